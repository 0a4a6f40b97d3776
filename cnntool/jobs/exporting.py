"""``export``: a model for other programs, compared with what they make of it, and written then."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnntool.errors import MissingPackage, ModelFileError, OptionError
from cnntool.exchange import comparison
from cnntool.exchange.onnx_export import OPSET, SAMPLES, encode_onnx
from cnntool.exchange.onnx_run import NotComputed, Runner
from cnntool.exchange.packages import has_onnxruntime
from cnntool.exchange.weight_files import encode_weights, names_of
from cnntool.files import probe, quote, system_failure, write_whole
from cnntool.files.atomic import exists_error
from cnntool.nn.saved_model import SavedModel
from cnntool.nn.shapes import trace
from cnntool.nn.spec import parse
from cnntool.nn.tensor_file import decode
from cnntool.predict.model import read_model


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for.

    Attributes:
        model: The model's name.
        output: The file to write.
        samples: Type of the pictures that an ONNX file takes; None: it takes what the network does.
        names: Whose names arrays get.
        force: Whether an existing file is replaced.
    """

    model: str
    output: str
    samples: str | None = None
    names: str = "auto"
    force: bool = False


def export(request: Request) -> str:
    """Write the file.

    Returns:
        What it holds and how it was checked, for a note.

    Raises:
        CnntoolError: The model cannot be read, the file cannot be written, a package is missing, or
            the outputs differ; nothing is left behind.
    """
    encoder = _encoder(request)
    check_output(request.output, force=request.force)
    path, model = read_model(request.model)
    if same_file(path, request.output):
        raise OptionError(f"{quote(request.output)} is the model itself; name another file")
    data, told = encoder(request, model)
    write_whole(request.output, data, force=request.force, sync=True)
    return told


def check_output(path: str, *, force: bool) -> None:
    """Refuse a file that could not be written, before anything is computed.

    Raises:
        OptionError: It exists and ``force`` is off.
        SystemFailure: Its folder takes no files.
    """
    if os.path.lexists(path) and not force:
        raise exists_error(path)
    try:
        probe(os.path.dirname(path))
    except OSError as error:
        raise system_failure(path, error) from error


def same_file(a: str, b: str) -> bool:
    """Whether two names are those of one file that exists."""
    return Path(b).exists() and Path(b).samefile(a)


def _encoder(request: Request) -> Callable[[Request, SavedModel], tuple[bytes, str]]:
    """How the file is made, by its suffix."""
    suffix = os.path.splitext(request.output)[1].lower()
    if suffix not in _ENCODERS:
        found = f"has the suffix '{suffix}'" if suffix else "has no suffix"
        raise OptionError(
            f"{quote(request.output)} {found}; possible are {' and '.join(_ENCODERS)}"
        )
    if suffix != ".onnx" and request.samples is not None:
        raise OptionError("--with-preprocess is for .onnx; weights alone compute nothing")
    if suffix == ".onnx" and request.names != "auto":
        raise OptionError("--names is for .safetensors; arrays in .onnx keep their names")
    return _ENCODERS[suffix]


def _onnx(request: Request, model: SavedModel) -> tuple[bytes, str]:
    data = encode_onnx(model, samples=request.samples)
    where = quote(request.output)
    inputs = comparison.numbers(model) if request.samples is None else comparison.pictures(model)
    try:
        kind = SAMPLES[request.samples] if request.samples else np.float32
        found = comparison.compare(model, Runner(data), inputs, kind=kind)
    except NotComputed as error:
        if has_onnxruntime():
            raise ModelFileError(f"{where}: not written: it cannot be checked: {error}") from error
        raise MissingPackage(
            f"{where}: not written: checking it needs onnxruntime ({error}); pip install "
            "onnxruntime"
        ) from error
    found.check(where)
    inside = "" if request.samples is None else f", takes pictures of {request.samples} 0..255"
    return data, f"{count(model)}, opset {OPSET}{inside}; checked by {found}"


def _safetensors(request: Request, model: SavedModel) -> tuple[bytes, str]:
    data = encode_weights(model, names=request.names, where=quote(request.output))
    called = names_of(model, request.names)
    back = decode(data, where=quote(request.output), require_digest=False).tensors
    if any(
        back[called[name]].tobytes() != array.tobytes() for name, array in model.tensors.items()
    ):
        raise ModelFileError(f"{quote(request.output)}: not written: arrays came back changed")
    whose = "the specification's names" if all(map(str.__eq__, called, called.values())) else (
        f"torch's names of {model.name}"
    )  # fmt: skip
    return data, f"{count(model)} in {len(called)} arrays, {whose}; read back bit for bit"


_ENCODERS: Mapping[str, Callable[[Request, SavedModel], tuple[bytes, str]]] = {
    ".onnx": _onnx,
    ".safetensors": _safetensors,
}


def count(model: SavedModel) -> str:
    """How many parameters a model has, in all of its networks."""
    total = model.trace().params
    if model.generation is not None:
        parts = model.generation.networks().values()
        total += sum(trace(parse(spec), input).params for spec, input in parts)
    return f"{total} parameters"
