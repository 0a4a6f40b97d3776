"""A trained model: the network with its weights, and how pictures are made ready for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cnntool import backend, models
from cnntool.backend import Backend
from cnntool.errors import ModelFileError, OptionError
from cnntool.files import quote
from cnntool.nn.facts import times
from cnntool.nn.modelfile import MAX_BYTES, SavedModel, decode_model
from cnntool.nn.network import Network
from cnntool.nn.spec import parse
from cnntool.nn.tensor_file import read_bytes
from cnntool.predict.foreign import IMPORTABLE, foreign
from cnntool.predict.preprocess import Preprocessor
from cnntool.predict.pretrained import is_pretrained, load_pretrained, weights_file

MODEL_FILE = "model.safetensors"
"""The model in the folder of a run."""

CHECKPOINT_FILE = "checkpoint.safetensors"
"""What a training that was stopped goes on from, in the same folder."""

_ADVICE = f"models are what 'cnntool train' makes: RUN/{MODEL_FILE}"
_IMPORT = "'cnntool import' makes a model of it and runs nothing in it"


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model that is ready to be used.

    Attributes:
        path: Its file.
        saved: All that the file says, but for the arrays: the network holds them.
        network: The network on its device, with its weights.
        preprocess: From pictures to its input.
    """

    path: str
    saved: SavedModel
    network: Network
    preprocess: Preprocessor

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str | Backend = "cpu",
        tasks: Sequence[str] = ("classify",),
    ) -> TrainedModel:
        """The model in a file or in the folder of a run, or one whose weights a package brings.

        Nothing in the file is run, looked up or unpickled.

        Args:
            path: A model file, a folder with one, or a key of
                :data:`cnntool.predict.pretrained.PRETRAINED`.
            device: Where it is to compute: a name as ``--device`` takes it, or what
                :func:`cnntool.backend.get` gave.
            tasks: What it may be for, of :data:`cnntool.nn.saved_model.TASKS`.

        Raises:
            InputError: There is no such file, or it cannot be read.
            ModelFileError: It is no model, damaged, or of a newer version; a folder without one.
            OptionError: A built-in network without weights; a model for another task, or one that
                takes no pictures.
            MissingPackage: The package with the weights is not installed.
            DeviceError: The device does not work.
        """
        file, saved = load_saved(path, tasks=tasks)
        if len(saved.input) != 3 and saved.features is None:
            raise OptionError(
                f"{quote(file)}: it takes vectors of {times(saved.input)}; one that takes pictures "
                "is needed here"
            )
        on = device if isinstance(device, Backend) else backend.get(device)
        network = Network(parse(saved.spec), saved.input, device=on)
        network.load(saved.tensors)
        return cls(file, replace(saved, tensors={}), network, Preprocessor.of(saved))

    @property
    def device(self) -> Backend:
        """Where it computes."""
        return self.network.device

    @property
    def named(self) -> bool:
        """Whether its classes have names; else they are called by their numbers."""
        return bool(self.saved.classes)

    @property
    def classes(self) -> tuple[str, ...]:
        """What its classes are called, in the order of their numbers.

        A single output tells two apart: the second is what it is sure of when it is high.
        """
        names, outputs = self.saved.classes, self.network.output[0]
        if outputs > 1:
            return names or tuple(map(str, range(outputs)))
        if len(names) == 1:
            return (f"not {names[0]}", names[0])
        return names or ("0", "1")

    def __str__(self) -> str:
        """In one line, for notes."""
        name = f"{self.saved.name}, " if self.saved.name else ""
        return (
            f"{name}{len(self.classes)} classes, pictures {times(self.preprocess.shape)}, "
            f"device {self.device.name}"
        )


def load_saved(path: str | os.PathLike[str], *, tasks: Sequence[str]) -> tuple[str, SavedModel]:
    """As :func:`read_model`, for a purpose.

    Args:
        path: As for :meth:`TrainedModel.load`.
        tasks: What it may be for, of :data:`cnntool.nn.saved_model.TASKS`.

    Raises:
        As :func:`read_model`; OptionError: A model for another task.
    """
    file, saved = read_model(path)
    _check_use(saved, quote(file), tasks)
    return file, saved


def read_model(path: str | os.PathLike[str]) -> tuple[str, SavedModel]:
    """What a model file says, whatever the model is for, and where it lies.

    Args:
        path: As for :meth:`TrainedModel.load`.

    Raises:
        InputError: There is no such file, or it cannot be read.
        ModelFileError: It is no model, damaged, or of a newer version; a folder without one.
        OptionError: A built-in network without weights.
        MissingPackage: The package with the weights is not installed.
    """
    file = find_model(path)
    if is_pretrained(os.fspath(path)):
        return file, load_pretrained(os.fspath(path))
    data = read_bytes(file, limit=MAX_BYTES)
    try:
        return file, decode_model(data, where=quote(file))
    except ModelFileError:
        if kind := foreign(data):
            advice = _IMPORT if kind.startswith(IMPORTABLE) else _ADVICE
            raise ModelFileError(f"{quote(file)}: {kind}; {advice}") from None
        raise


def find_model(path: str | os.PathLike[str]) -> str:
    """The file of a model that is named by itself, by the folder of its run, or as pretrained.

    Raises:
        ModelFileError: The folder holds no model.
        OptionError: It is the name of a built-in network, which has no weights.
        MissingPackage: The package with the weights of this name is not installed.
    """
    name = os.fspath(path)
    if is_pretrained(name):
        return weights_file(name)
    place = Path(name)
    if place.is_dir():
        file = place / MODEL_FILE
        if file.is_file():
            return os.fspath(file)
        if (place / CHECKPOINT_FILE).is_file():
            raise ModelFileError(
                f"{quote(name)}: its training has not made a model yet; go on with it: cnntool "
                f"train --resume {quote(name)}"
            )
        raise ModelFileError(f"{quote(name)}: no {MODEL_FILE} in this folder; {_ADVICE}")
    if not place.exists() and name in models.MODELS:
        raise OptionError(
            f"'{name}' is a built-in network without weights; "
            f"'cnntool train DATASET --model {name}' makes a model of it"
        )
    return name


def _check_use(saved: SavedModel, where: str, tasks: Sequence[str]) -> None:
    if saved.task not in tasks:
        does = {"classify": "tells classes", "segment": "segments", "generate": "makes pictures"}
        needed = {
            "classify": "a classifier",
            "segment": "one that segments",
            "generate": "a generator",
        }
        wanted = " or ".join(needed[task] for task in tasks)
        raise OptionError(f"{where}: a model that {does[saved.task]}; {wanted} is needed here")
