"""The folder of a run: what a training leaves for people and programs.

============================ =======================================================
``model.safetensors``        the trained network, for ``predict`` and ``evaluate``
``checkpoint.safetensors``   where ``--resume`` goes on; one more before it
``metrics.csv``              one row an epoch
``run.json``                 all options, versions, data, results
``confusion.png``            what is taken for what, on the test pictures
``curves.png``               loss and accuracy over epochs, if matplotlib is installed
============================ =======================================================
"""

# ruff: noqa: PTH108, PTH112, PTH208
from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from cnntool.errors import OptionError, SystemFailure
from cnntool.files import quote, system_failure, write_whole
from cnntool.train import checkpoint
from cnntool.train.progress import ROW_NAMES

MODEL, METRICS, RUN = "model.safetensors", "metrics.csv", "run.json"
CONFUSION, CURVES = "confusion.png", "curves.png"

_OWN = (MODEL, METRICS, RUN, CONFUSION, CURVES, *checkpoint.NAMES)


def prepare(folder: str, *, force: bool) -> None:
    """Make the folder of a new run.

    Raises:
        OptionError: It exists and is not empty, and ``force`` is off.
        SystemFailure: It cannot be made.
    """
    try:
        there = os.listdir(folder) if os.path.isdir(folder) else None
        if there is None:
            if os.path.lexists(folder):
                raise OptionError(f"{quote(folder)} exists and is no folder; choose another -o")
            os.makedirs(folder)
        elif there and not force:
            raise OptionError(
                f"{quote(folder)} exists; use -f to begin anew, -o for another folder, or --resume "
                f"{quote(folder)} to go on"
            )
    except OSError as error:
        if isinstance(error, SystemFailure):
            raise
        raise system_failure(folder, error, "cannot be made") from error


def clear(folder: str) -> None:
    """Remove what an earlier run left; other files stay."""
    for name in _OWN:
        try:
            os.unlink(os.path.join(folder, name))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise system_failure(os.path.join(folder, name), error, "cannot be removed") from error


def write_metrics(folder: str, history: Sequence[Mapping[str, Any]]) -> None:
    """``metrics.csv``: a plain header, then one row an epoch; what is unknown is empty."""
    text = io.StringIO()
    table = csv.DictWriter(text, ROW_NAMES, lineterminator="\n")
    table.writeheader()
    for row in history:
        table.writerow({name: _short(row[name]) for name in ROW_NAMES})
    write_whole(os.path.join(folder, METRICS), text.getvalue().encode(), force=True)


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else value


def write_run(folder: str, facts: Mapping[str, Any]) -> None:
    """``run.json``."""
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    data = text.encode("utf-8", "surrogateescape")
    write_whole(os.path.join(folder, RUN), data, force=True, sync=True)


def write_picture(folder: str, name: str, data: bytes) -> None:
    """A picture."""
    write_whole(os.path.join(folder, name), data, force=True)
