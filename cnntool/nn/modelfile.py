"""Model files: a trained network in one sealed file.

The layout is that of :mod:`cnntool.nn.tensor_file`. Its metadata are texts::

    format           cnntool model
    version          1
    specification    the network, as it was written
    name             of the built-in network, or nothing
    input            [1, 28, 28]
    task             classify, segment or generate
    classes          ["cat", "dog"]
    preprocessing    {"color": "gray", "fit": "stretch", "scale": 0.00392156862745098, …}
    history          {"accuracy": "0.991", …}
    features         {"kind": "hog", "size": [28, 28], "orientations": 9, …}; only where the
                     network gets features instead of pictures
    generation       {"condition": "class", "latent": 64, "later": [{"spec": …}], …}; only where
                     pictures are made of more than numbers, or in more than one stage

and its arrays are the parameters and buffers of the specification, no more and no fewer, as
float32. Numbers come back exactly as they were.

What is written can be read: both ways go through one set of checks, :mod:`cnntool.nn.saved_model`.
Weights must be finite, when they are saved and when they are loaded. A network with a NaN in it
answers everything with NaN; it must neither take the place of an older one that works nor be used.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from cnntool.errors import ModelFileError
from cnntool.files import quote, write_whole
from cnntool.grammar import shown
from cnntool.nn import strict_json
from cnntool.nn.contradictions import Contradiction
from cnntool.nn.generation import Generation, Maker
from cnntool.nn.saved_model import HogFeatures, Preprocessing, SavedModel, check
from cnntool.nn.tensor_file import decode, encode, read_bytes

__all__ = [
    "HogFeatures",
    "Preprocessing",
    "SavedModel",
    "decode_model",
    "encode_model",
    "load_model",
    "save_model",
]

FORMAT = "cnntool model"
"""The metadata entry ``format`` of a model file."""

VERSION = 1
"""The version that is written; newer ones are refused."""

MAX_BYTES = 2 << 30
"""Largest model file."""

_ENTRIES = (
    "format", "version", "specification", "name", "input", "task", "classes", "preprocessing",
    "history",
)  # fmt: skip
_FEATURES = "features"  # an entry of models that have some
_GENERATION = "generation"  # and another
_VERSION = re.compile(r"[1-9][0-9]{0,5}")


def encode_model(model: SavedModel, *, where: str = "the model") -> bytes:
    """The bytes of a model file; equal models give equal bytes.

    Args:
        model: Everything about the network.
        where: What messages call the file.

    Raises:
        ModelFileError: The model contradicts itself, is too large, or has weights that are not
            finite.

    Example:
        >>> import numpy as np
        >>> tensors = {"0.dense.weight": np.ones((2, 3), np.float32)}
        >>> model = SavedModel(spec="dense 2 bias=no", input=(3,), tensors=tensors)
        >>> decode_model(encode_model(model)).spec
        'dense 2 bias=no'
    """
    try:
        check(model)
    except Contradiction as error:
        raise ModelFileError(f"{where} cannot be written: {error}") from None
    data = encode(model.tensors, model_texts(model), where=where)
    if len(data) > MAX_BYTES:
        raise ModelFileError(
            f"{where} cannot be written: {len(data)} bytes; a model file has at most {MAX_BYTES}"
        )
    return data


def decode_model(
    data: bytes | bytearray | memoryview, *, where: str = "the model file"
) -> SavedModel:
    """The model in the bytes of a file.

    Args:
        data: The whole file.
        where: What messages call it: its name in quotes.

    Returns:
        The model; its arrays are writable and in the order of the layers.

    Raises:
        ModelFileError: It is no model file, is damaged, is of a newer version, contradicts
            itself, or has weights that are not finite.
    """
    file = decode(data, where=where)
    try:
        model = model_of(file.metadata, file.tensors)
        names = check(model)
    except Contradiction as error:
        raise ModelFileError(f"{where}: {error}") from None
    return dataclasses.replace(model, tensors={name: file.tensors[name] for name in names})


def save_model(path: str | os.PathLike[str], model: SavedModel, *, force: bool = False) -> None:
    """Write a model file, whole or not at all, and safe from power cuts when this returns.

    Args:
        path: The file; its folder must exist. A new file gets the mode 0666 less the umask, a
            replaced one keeps its own.
        model: Everything about the network.
        force: Replace a file that exists.

    Raises:
        ModelFileError: As for :func:`encode_model`; nothing was written.
        OptionError: The file exists and ``force`` is off.
        SystemFailure: The system did not take the bytes; an old file is as it was.
    """
    name = os.fspath(path)
    write_whole(name, encode_model(model, where=quote(name)), force=force, sync=True)


def load_model(path: str | os.PathLike[str]) -> SavedModel:
    """The model in a file, which is read whole before anything in it is looked at.

    Args:
        path: The file, at most 2 GiB long.

    Raises:
        InputError: There is no such file, or it cannot be read.
        ModelFileError: As for :func:`decode_model`, or it is too large.
        SystemFailure: No more files can be opened, or the like.
    """
    return decode_model(read_bytes(path, limit=MAX_BYTES), where=quote(os.fspath(path)))


def model_texts(model: SavedModel) -> dict[str, str]:
    """All that a model says besides its arrays, as texts by name; it was checked."""
    how = dataclasses.asdict(model.preprocessing)
    texts = {
        "format": FORMAT,
        "version": str(VERSION),
        "specification": model.spec,
        "name": model.name,
        "input": json.dumps(model.input),
        "task": model.task,
        # names of folders may hold bytes that are no text: escapes carry them through
        "classes": json.dumps(model.classes),
        "preprocessing": json.dumps({name: _real(value) for name, value in how.items()}),
        "history": json.dumps(dict(model.history), sort_keys=True),
    }
    if model.features is not None:
        texts[_FEATURES] = json.dumps({"kind": "hog", **dataclasses.asdict(model.features)})
    if model.generation is not None:
        texts[_GENERATION] = json.dumps(dataclasses.asdict(model.generation))
    return texts


def model_of(texts: Mapping[str, str], tensors: Mapping[str, NDArray[Any]]) -> SavedModel:
    """What the texts say, with the right fields, but not checked further.

    Raises:
        Contradiction: They are not those of :func:`model_texts`.
    """
    _check_version(texts)
    for name in _ENTRIES:
        if name not in texts:
            raise Contradiction(f"its metadata have no entry '{name}'")
    for name in texts:
        if name not in (*_ENTRIES, _FEATURES, _GENERATION):
            raise Contradiction(
                f"its metadata have an entry '{shown(name)}', which version {VERSION} has not"
            )
    how = _parsed(texts, "preprocessing", dict)
    fields = [field.name for field in dataclasses.fields(Preprocessing)]
    if sorted(how) != sorted(fields):
        raise Contradiction(f"its entry 'preprocessing' must say {', '.join(fields)}, and no more")
    return SavedModel(
        spec=texts["specification"],
        input=tuple(_parsed(texts, "input", list)),
        tensors=tensors,
        task=texts["task"],
        classes=tuple(_parsed(texts, "classes", list)),
        preprocessing=Preprocessing(**{name: _real(value) for name, value in how.items()}),
        features=_features(texts),
        generation=_generation(texts),
        name=texts["name"],
        history=_parsed(texts, "history", dict),
    )


def _features(texts: Mapping[str, str]) -> HogFeatures | None:
    if _FEATURES not in texts:
        return None
    found = _parsed(texts, _FEATURES, dict)
    fields = ["kind", *(field.name for field in dataclasses.fields(HogFeatures))]
    if sorted(found) != sorted(fields):
        raise Contradiction(f"its entry 'features' must say {', '.join(fields)}, and no more")
    if found.pop("kind") != "hog":
        raise Contradiction("the kind of its features is unknown; possible is hog")
    sizes = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    return HogFeatures(**{**found, **sizes})


def _generation(texts: Mapping[str, str]) -> Generation | None:
    if _GENERATION not in texts:
        return None
    found = _parsed(texts, _GENERATION, dict)
    _check_fields("generation", found, Generation)
    later = found.pop("later")
    if not isinstance(later, list):
        raise Contradiction("the later stages of its generation are no list")
    makers = []
    for maker in later:
        if not isinstance(maker, dict):
            raise Contradiction("a later stage of its generation is no object")
        _check_fields("later stage", maker, Maker)
        sizes = maker.pop("input")
        makers.append(Maker(**maker, input=tuple(sizes) if isinstance(sizes, list) else sizes))
    return Generation(**found, later=tuple(makers))


def _check_fields(what: str, found: Mapping[str, Any], kind: type) -> None:
    fields = [field.name for field in dataclasses.fields(kind)]
    if sorted(found) != sorted(fields):
        raise Contradiction(f"its {what} must say {', '.join(fields)}, and no more")


def _check_version(texts: Mapping[str, str]) -> None:
    """Before anything else: other formats and newer versions may have other entries."""
    found = texts.get("format")
    if found != FORMAT:
        what = "no format" if found is None else f"the format '{shown(found)}'"
        raise Contradiction(
            f"no model file: its metadata tell {what}, not '{FORMAT}'; 'cnntool import' makes a "
            "model of weights"
        )
    version = texts.get("version", "")
    if not _VERSION.fullmatch(version):
        raise Contradiction(f"its version is '{shown(version)}'; it must be a number from 1")
    if int(version) > VERSION:
        raise Contradiction(
            f"it has version {version}, and this cnntool reads {VERSION}; update cnntool"
        )


def _parsed(texts: Mapping[str, str], name: str, kind: type) -> Any:
    try:
        found = strict_json.parse(texts[name])
    except strict_json.NotStrict as error:
        raise Contradiction(f"its entry '{name}' is unusable: {error}") from None
    if not isinstance(found, kind):
        form = "a list" if kind is list else "an object"
        raise Contradiction(f"its entry '{name}' is not {form} in JSON")
    return found


def _real(value: Any) -> Any:
    """Whole numbers as float and lists of numbers as tuples; the rest as it is."""
    if isinstance(value, list | tuple):
        return tuple(float(item) if type(item) is int else item for item in value)
    return float(value) if type(value) is int else value
