"""``import``: a network or weights of another program as a model."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace

from cnntool.errors import ModelFileError, OptionError
from cnntool.exchange.importing import Wishes
from cnntool.exchange.onnx_import import import_onnx
from cnntool.exchange.weight_import import import_weights
from cnntool.files import quote
from cnntool.jobs.exporting import check_output, same_file
from cnntool.jobs.networks import network
from cnntool.nn.facts import times
from cnntool.nn.modelfile import MAX_BYTES, SavedModel, save_model
from cnntool.nn.tensor_file import read_bytes
from cnntool.nn.torch_file import is_torch_file

MAX_NAMES = 4 << 20
"""Longest file of class names, in bytes."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for.

    Attributes:
        source: The file to import.
        output: The model to write.
        spec: The network, for files of weights: a name, a specification or ``@FILE``.
        class_names: A file with names of the classes.
        wishes: What else the user says.
        force: Whether an existing file is replaced.
    """

    source: str
    output: str
    spec: str | None = None
    class_names: str | None = None
    wishes: Wishes = field(default_factory=Wishes)
    force: bool = False


@dataclass(frozen=True)
class Imported:
    """What was written.

    Attributes:
        notes: What it is, how it was checked, what was assumed.
        specification: Its layers.
    """

    notes: list[str]
    specification: str


def import_model(request: Request) -> Imported:
    """Write the model.

    Raises:
        CnntoolError: The file cannot be read or is not what it should be, a package is missing, the
            model cannot be written; nothing is left behind.
    """
    check_output(request.output, force=request.force)
    spec = None if request.spec is None else network(request.spec)
    wishes = request.wishes
    if request.class_names is not None:
        wishes = replace(wishes, classes=read_class_names(request.class_names))
    suffix = os.path.splitext(request.source)[1].lower()
    if suffix == ".onnx":
        if spec is not None:
            raise OptionError("an .onnx file says its layers itself; leave --spec out")
        model, told = import_onnx(request.source, wishes)
        told = f"checked by {told}"
    else:
        data = read_bytes(request.source, limit=MAX_BYTES)
        if suffix != ".safetensors" and data[8:9] != b"{" and not is_torch_file(data):
            raise _unknown(request.source, data)
        model, told = import_weights(request.source, data, spec, wishes)
        told = f"arrays found by {told}"
    if same_file(request.source, request.output):
        raise OptionError(f"{quote(request.output)} is the file to import; name another one")
    save_model(request.output, model, force=request.force)
    notes = [f"{quote(request.output)}: {described(model)}; {told}", *_assumed(model, wishes)]
    return Imported(notes, model.spec)


def _unknown(path: str, data: bytes | bytearray) -> ModelFileError:
    from cnntool.predict.foreign import foreign

    kind = foreign(data) or "of unknown content"
    if kind == "an ONNX file":
        return ModelFileError(f"{quote(path)}: {kind}; call it .onnx")
    return ModelFileError(
        f"{quote(path)}: {kind}; imported are .onnx, .safetensors and .pth files of torch.save"
    )


def read_class_names(path: str) -> tuple[str, ...]:
    """Names of classes: a text with one a line, or JSON: a list, or names by number.

    Raises:
        OptionError: It is none of these, or two classes are called alike.
    """
    where = quote(path)
    try:
        data = read_bytes(path, limit=MAX_NAMES)
        text = bytes(data).decode("utf-8-sig")
    except ModelFileError as error:
        raise OptionError(f"--class-names: {error}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"--class-names: {where} is no text in UTF-8") from error
    if text.lstrip()[:1] in ("[", "{"):
        names = _from_json(text, where)
    else:
        names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise OptionError(f"--class-names: {where} holds no names; write one a line")
    twice = next((name for k, name in enumerate(names) if name in names[:k]), None)
    if twice is not None:
        raise OptionError(f"--class-names: {where}: two classes are called '{twice}'")
    return tuple(names)


def _from_json(text: str, where: str) -> list[str]:
    """``["cat", …]``, ``{"0": "cat", …}`` or ``{"0": ["n02123045", "cat"], …}``."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"--class-names: {where} is no JSON, though it begins so") from error
    if isinstance(found, dict):
        keys = [str(number) for number in range(len(found))]
        found = [found[key] for key in keys] if all(key in found for key in keys) else None
    if isinstance(found, list):
        found = [item[-1] if isinstance(item, list) and item else item for item in found]
    if not isinstance(found, list) or not all(isinstance(name, str) and name for name in found):
        raise OptionError(
            f"--class-names: {where} must be a list of names, or names by number from 0"
        )
    return found


def described(model: SavedModel) -> str:
    """A model in one line."""
    found = model.trace()
    name = f"{model.name}, " if model.name else ""
    does = {
        "classify": f"{found.output[0]} classes",
        "segment": f"{found.output[0]} classes of pixels",
        "generate": f"makes pictures {times(found.output)}",
    }
    rows = f"{len(found.rows)} layers, {found.params} parameters"
    return f"{name}{rows}, {times(found.input)} in, {does[model.task]}"


def _assumed(model: SavedModel, wishes: Wishes) -> list[str]:
    """What the file did not say."""
    notes: list[str] = []
    how = model.preprocessing
    plain = how.mean == (0.0,) * how.channels and how.std == (1.0,) * how.channels
    if model.task != "generate" and plain and not wishes.preprocesses:
        notes.append(
            f"preprocessing is not in the file: samples 0..255 times {how.scale:.6g}, nothing "
            "subtracted, stretched to size; --scale, --mean, --std and --fit say otherwise"
        )
    if model.task != "generate" and not model.classes:
        notes.append("classes have no names, only numbers; --class-names FILE names them")
    return notes
