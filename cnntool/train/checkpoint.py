"""A training on disk, to go on with bit for bit: weights, optimiser, and how far it has come.

Order, dropout and augmentation are computed from seed, epoch and picture, so there is no state of
a random generator to keep. Two checkpoints are kept. A new one is written beside them, read back
and compared before the names change, so at every moment at least one whole checkpoint lies there:
whatever happens, :func:`newest` finds it.
"""

# ruff: noqa: PTH105, PTH110
from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import Diverged, ModelFileError, SystemFailure
from cnntool.files import quote, system_failure, write_whole
from cnntool.nn import tensor_file
from cnntool.train.gan_options import GanOptions, GanProgress
from cnntool.train.options import Options
from cnntool.train.progress import Progress

FORMAT, VERSION = "cnntool checkpoint", "1"
NAMES = ("checkpoint.next.safetensors", "checkpoint.safetensors", "checkpoint.previous.safetensors")
"""A new one that is being checked, the newest, and the one before it."""

MAX_BYTES = 16 << 30

Kind = TypeVar("Kind", Options, GanOptions)
How = TypeVar("How", Progress, GanProgress)

SUPERVISED, ADVERSARIAL = "supervised", "adversarial"
KINDS: Mapping[str, tuple[Any, Any]] = {
    SUPERVISED: (Options, Progress),
    ADVERSARIAL: (GanOptions, GanProgress),
}
"""Kinds of trainings: what their options and their progress are."""


@dataclass(frozen=True, eq=False)
class Checkpoint(Generic[Kind, How]):
    """Everything that a training goes on from.

    Attributes:
        options: What the training is.
        progress: How far it has come.
        weights: Parameters and buffers of the network by name; of several, ``generator/…``.
        optimiser: State of the optimiser by name, likewise.
        best: Weights of the best epoch by name; empty if there is none.
        facts: Texts beside it: fingerprint of the data, threads, version.
    """

    options: Kind
    progress: How
    weights: Mapping[str, NDArray[Any]]
    optimiser: Mapping[str, NDArray[Any]]
    best: Mapping[str, NDArray[Any]]
    facts: Mapping[str, str]

    def encode(self) -> bytes:
        """The bytes of the file.

        Raises:
            Diverged: A weight is not a finite number: that is nothing to go on from.
        """
        for name, array in self.weights.items():
            if not np.isfinite(array).all():
                raise Diverged(f"weights of {name} are not finite; this state is not saved")
        groups = {"weights": self.weights, "optimiser": self.optimiser, "best": self.best}
        tensors = {
            f"{group}/{name}": np.asarray(array)
            for group, arrays in groups.items()
            for name, array in arrays.items()
        }
        return tensor_file.encode(
            tensors,
            {
                "format": FORMAT,
                "version": VERSION,
                "kind": ADVERSARIAL if isinstance(self.options, GanOptions) else SUPERVISED,
                "options": json.dumps(self.options.as_json()),
                "progress": json.dumps(self.progress.as_json()),
                "facts": json.dumps(dict(self.facts)),
            },
        )


def decode(data: bytes | bytearray, where: str) -> Checkpoint[Any, Any]:
    """A checkpoint from the bytes of a file.

    Raises:
        ModelFileError: It is damaged, or none, or of another version.
    """
    file = tensor_file.decode(data, where=where)
    kind, version = file.metadata.get("format"), file.metadata.get("version")
    if kind != FORMAT:
        raise ModelFileError(f"{where} is no checkpoint of a training but '{kind}'")
    if version != VERSION:
        raise ModelFileError(
            f"{where} is a checkpoint of version {version}, this program reads {VERSION}; "
            "take the program that wrote it"
        )
    groups: dict[str, dict[str, NDArray[Any]]] = {"weights": {}, "optimiser": {}, "best": {}}
    for name, array in file.tensors.items():
        group, _, rest = name.partition("/")
        if group not in groups:
            raise ModelFileError(f"{where} holds '{name}', which belongs to no checkpoint")
        groups[group][rest] = array
    try:
        options, progress, facts = (
            json.loads(file.metadata[name]) for name in ("options", "progress", "facts")
        )
        if not isinstance(facts, dict) or not all(isinstance(x, str) for x in facts.values()):
            raise TypeError("'facts' are no texts by name")
        made, counted = KINDS[file.metadata["kind"]]
        return Checkpoint(
            made.from_json(options),
            counted.from_json(progress),
            groups["weights"],
            groups["optimiser"],
            groups["best"],
            facts,
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{where} does not say what a checkpoint says: {error}") from error


def save(folder: str, checkpoint: Checkpoint[Any, Any]) -> None:
    """Write a checkpoint into a run's folder, and keep the one before it.

    Raises:
        Diverged: Its weights are not finite; what lies there stays.
        SystemFailure: It cannot be written; what lies there stays.
    """
    data = checkpoint.encode()
    fresh, current, previous = (os.path.join(folder, name) for name in NAMES)
    write_whole(fresh, data, force=True, sync=True)
    try:
        written = tensor_file.read_bytes(fresh, limit=MAX_BYTES)
    except OSError as error:
        raise system_failure(fresh, error, "cannot be read back") from error
    if written != data:
        raise SystemFailure(
            f"{quote(fresh)} reads back other than it was written; the disk is failing"
        )
    try:
        if os.path.exists(current):
            os.replace(current, previous)
        os.replace(fresh, current)
    except OSError as error:
        raise system_failure(current, error) from error


def newest(folder: str) -> tuple[Checkpoint[Any, Any], list[str]]:
    """The checkpoint that came furthest, and complaints about damaged ones.

    Raises:
        ModelFileError: There is none, or all are damaged.
    """
    found: list[Checkpoint[Any, Any]] = []
    complaints: list[str] = []
    for name in NAMES:
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            continue
        try:
            data = tensor_file.read_bytes(path, limit=MAX_BYTES)
            found.append(decode(data, quote(path)))
        except ModelFileError as error:
            complaints.append(error.message)
    if not found:
        reason = complaints[0] if complaints else "there is no checkpoint in it"
        raise ModelFileError(
            f"{quote(folder)} cannot be resumed: {reason}; start the training anew with -f"
        )
    return max(found, key=lambda checkpoint: checkpoint.progress.step), complaints


def remove(folder: str) -> None:
    """Remove all checkpoints of a run that begins anew."""
    for name in NAMES:
        Path(folder, name).unlink(missing_ok=True)
