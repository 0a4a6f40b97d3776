"""The folder of a run: what a training leaves for people and programs.

============================ =======================================================
``model.safetensors``        the trained network, for ``predict`` and ``evaluate``
``checkpoint.safetensors``   where ``--resume`` goes on; one more before it
``metrics.csv``              one row an epoch
``run.json``                 all options, versions, data, results
``confusion.png``            what is taken for what, on the test pictures
``samples.png``              some of these with truth and answer, if every pixel has a class; or
                             pictures that a generator makes
``samples/``                 the same after every epoch
``samples.gif``              one after another
``curves.png``               loss and accuracy over epochs, if matplotlib is installed
============================ =======================================================
"""

# ruff: noqa: PTH108, PTH112, PTH208
from __future__ import annotations

import csv
import io
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from cnntool.errors import CnntoolError, ModelFileError, OptionError
from cnntool.files import natural_key, probe, quote, sweep_stale, system_failure, write_whole
from cnntool.train import checkpoint

MODEL, METRICS, RUN = "model.safetensors", "metrics.csv", "run.json"
CONFUSION, CURVES, SAMPLES = "confusion.png", "curves.png", "samples.png"
FILM, SAMPLE_FOLDER = "samples.gif", "samples"

PATIENCE = 2.0
"""Seconds after which a folder that is held is another training's."""

_UNDECODED = re.compile("[\ud800-\udfff]")
_OWN = (MODEL, METRICS, RUN, CONFUSION, CURVES, SAMPLES, FILM, *checkpoint.NAMES)


def check(folder: str, *, force: bool, data: str = "") -> None:
    """Refuse a folder that cannot become that of a new run; nothing is changed.

    Args:
        folder: Of the run.
        force: Whether another run may lie in it.
        data: Path of what is learned from, or a name.

    Raises:
        OptionError: It is not empty, and ``force`` is off; or it lies among the data.
        SystemFailure: It cannot be made, or takes no files.
    """
    if folder in ("", "-"):
        raise OptionError("-o names the folder of a run, such as runs/first")
    try:
        if os.path.isdir(folder):
            sweep_stale(folder)
            if os.listdir(folder) and not force:
                raise OptionError(
                    f"{quote(folder)} exists; use -f, -o or --resume: begin anew, take another "
                    "folder, or go on"
                )
        elif os.path.lexists(folder):
            raise OptionError(f"{quote(folder)} exists and is no folder; choose another -o")
        if os.path.isdir(data) and _inside(folder, data):
            raise OptionError(
                f"{quote(folder)} lies in the data set {quote(data)} and would be read as a part "
                "of it; choose another -o"
            )
        probe(_nearest(folder))
    except OSError as error:
        if isinstance(error, CnntoolError):
            raise
        raise system_failure(folder, error, "takes no files") from error


def reopen(folder: str) -> None:
    """Make sure that a run's folder still takes files, and sweep what a killed run left there.

    Raises:
        ModelFileError: There is no such folder.
        SystemFailure: It takes no files.
    """
    if not os.path.isdir(folder):
        raise ModelFileError(f"{quote(folder)} is no folder of a run; name what -o was")
    sweep_stale(folder)
    try:
        probe(folder)
    except OSError as error:
        raise system_failure(folder, error, "takes no files") from error


def check_apart(folder: str, model: str) -> None:
    """Refuse to clear the folder of the model that a training begins with.

    Raises:
        OptionError: The model lies there.
    """
    home = model if os.path.isdir(model) else os.path.dirname(model)
    if os.path.realpath(home) == os.path.realpath(folder) and _removed(model):
        raise OptionError(
            f"{quote(folder)} holds {quote(model)}, which the training begins with; choose another "
            "folder with -o"
        )


def _removed(model: str) -> bool:
    """Whether a new run in its folder would remove a model."""
    return os.path.isdir(model) or os.path.basename(model) in _OWN


def _inside(folder: str, data: str) -> bool:
    real, around = os.path.realpath(folder), os.path.realpath(data)
    return real == around or real.startswith(os.path.join(around, ""))


def _nearest(folder: str) -> str:
    """The folder itself, or what is there of the way to it."""
    while folder and not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return folder


@contextmanager
def held(folder: str, *, new: bool = False) -> Iterator[None]:
    """Keep other trainings out of a folder meanwhile.

    The system lets go of it when the last process of the training has ended, whatever ended it.
    Where it has no such locks, or the file system none, nobody is kept out.

    Args:
        folder: Of the run. If there is none, there is nothing to hold.
        new: Make it, and when it is held remove what an earlier run left; other files stay.

    Raises:
        OptionError: Another training holds it.
        SystemFailure: It cannot be made, or files in it cannot be removed.
    """
    if new:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise system_failure(folder, error, "cannot be made") from error
    lock = _locked(folder)
    try:
        if new:
            clear(folder)
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _locked(folder: str) -> int | None:
    """A descriptor of the folder that holds it; None where that cannot be done."""
    try:
        import fcntl
    except ImportError:  # on Windows
        return None
    try:
        found = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    last = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return found
        except BlockingIOError as error:
            # workers of a training that was killed are gone in a moment
            if time.monotonic() > last:
                os.close(found)
                raise OptionError(
                    f"{quote(folder)} is being trained by another process; wait for its end, or "
                    "choose another -o"
                ) from error
            time.sleep(0.02)
        except OSError:  # a file system without locks
            return found


def clear(folder: str) -> None:
    """Remove what an earlier run left; other files stay."""
    made = [os.path.join(SAMPLE_FOLDER, name) for name in _sample_names(folder)]
    for name in (*_OWN, *made):
        try:
            os.unlink(os.path.join(folder, name))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise system_failure(os.path.join(folder, name), error, "cannot be removed") from error


def write_metrics(folder: str, history: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """``metrics.csv``: a plain header, then one row an epoch; what is unknown is empty."""
    text = io.StringIO()
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    for row in history:
        table.writerow({name: _short(row.get(name)) for name in names})
    write_whole(os.path.join(folder, METRICS), text.getvalue().encode(), force=True)


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else value


def write_run(folder: str, facts: Mapping[str, Any]) -> None:
    """``run.json``; bytes of names that are no text become escapes, so it is always UTF-8."""
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    escaped = _UNDECODED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    write_whole(os.path.join(folder, RUN), escaped.encode(), force=True, sync=True)


def _sample_names(folder: str) -> list[str]:
    try:
        names = os.listdir(os.path.join(folder, SAMPLE_FOLDER))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((n for n in names if re.fullmatch(r"epoch-\d+\.png", n)), key=natural_key)


def write_sample(folder: str, name: str, data: bytes) -> None:
    """A picture of an epoch."""
    below = os.path.join(folder, SAMPLE_FOLDER)
    try:
        os.makedirs(below, exist_ok=True)
    except OSError as error:
        raise system_failure(below, error, "cannot be made") from error
    write_whole(os.path.join(below, name), data, force=True)


def samples(folder: str) -> list[bytes]:
    """The pictures of all epochs, in their order."""
    found = []
    for name in _sample_names(folder):
        with open(os.path.join(folder, SAMPLE_FOLDER, name), "rb") as file:
            found.append(file.read())
    return found


def write_picture(folder: str, name: str, data: bytes) -> None:
    """A picture."""
    write_whole(os.path.join(folder, name), data, force=True)
