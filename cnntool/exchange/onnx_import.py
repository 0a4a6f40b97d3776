"""An ONNX file as a model, checked against what the file itself computes.

A file that :mod:`cnntool.exchange.onnx_export` wrote says in its metadata which network it is, and
its arrays have that network's names. Of any other one, operators become layers and ways that meet
again become branches. Either way the file is computed by another program, and the model must give
the same outputs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cnntool.errors import MissingPackage, ModelFileError, OptionError, SpecError
from cnntool.exchange import comparison
from cnntool.exchange.importing import Wishes, task_of
from cnntool.exchange.onnx_export import INSIDE, PREFIX, SAMPLES
from cnntool.exchange.onnx_layers import translate
from cnntool.exchange.onnx_reading import OnnxFile, read_onnx
from cnntool.exchange.onnx_run import NotComputed, Runner
from cnntool.exchange.onnx_translation import Translated
from cnntool.exchange.packages import has_onnxruntime
from cnntool.exchange.structure import NotNested, nested
from cnntool.files import quote
from cnntool.nn.contradictions import Contradiction, tensor_shapes
from cnntool.nn.facts import Shape
from cnntool.nn.modelfile import model_of
from cnntool.nn.nodes import Chain, Node, Repeat
from cnntool.nn.saved_model import SavedModel, check
from cnntool.nn.shapes import trace
from cnntool.nn.spec_text import format_node

LONGEST_LINE = 100
"""Characters of a line of the specification, where it can be broken."""


def import_onnx(path: str, wishes: Wishes) -> tuple[SavedModel, str]:
    """The model in a file.

    Args:
        path: The file.
        wishes: What the user says of it.

    Returns:
        The model, and how it was checked.

    Raises:
        MissingPackage: A package that is needed is not installed.
        InputError: The file cannot be read.
        ModelFileError: It is damaged, has an operator that no layer does, or the model computes
            something else.
        OptionError: What the user says does not fit.
    """
    where, file = quote(path), read_onnx(path)
    own = _own(file)
    model, last = (own, False) if own is not None else _translated(file, wishes, where)
    try:
        check(model)
    except Contradiction as error:
        raise ModelFileError(f"{where}: {error}") from None
    told = _compared(file, model, where, last=last, inside=file.metadata.get(f"{PREFIX}{INSIDE}"))
    if own is not None:  # what is wished stands beside what was checked, not in it
        model = _wished(own, wishes)
    history = {**model.history, "source": os.path.basename(path), "check": str(told)}
    return replace(model, history=history), str(told)


# ------------------------------------------------------------------------------------ our own files
def _own(file: OnnxFile) -> SavedModel | None:
    """The model that the metadata describe, if they do and the arrays are there."""
    texts = metadata_of(file.metadata)
    inside = texts.pop(INSIDE, None)
    if not texts or inside not in (None, *SAMPLES):
        return None
    try:
        model = model_of(texts, {})
        shapes = tensor_shapes(model.trace())
        tensors = {name: file.arrays[name] for name in shapes}
        check(replace(model, tensors=tensors))
    except (Contradiction, SpecError, KeyError, TypeError):
        return None  # the operators tell
    return replace(model, tensors=tensors)


def _wished(model: SavedModel, wishes: Wishes) -> SavedModel:
    if wishes.input is not None and wishes.input != model.input:
        raise OptionError("the file says the shape of its input itself; leave --input out")
    output = model.trace().output
    pictures = output if model.task == "generate" else model.input
    how = model.preprocessing
    if wishes.preprocesses:
        how = wishes.preprocessing(pictures, how)
    names = wishes.names(output[0], model.classes) if wishes.classes else model.classes
    return replace(model, classes=names, preprocessing=how)


# ------------------------------------------------------------------------------------- other files
def _translated(file: OnnxFile, wishes: Wishes, where: str) -> tuple[SavedModel, bool]:
    """The model that the operators are, and whether the file takes channels last."""
    found = translate(file, _input_shape(file, wishes, where), where)
    chain, tensors = _network(found, where)
    input = found.start.shape
    output = trace(chain, input).output
    task = task_of(input, output)
    if len(input) == 1 and task == "classify":
        raise OptionError(
            f"{where}: its network takes vectors of {input[0]} numbers and tells classes; models "
            "here take pictures"
        )
    how = wishes.preprocessing(output if task == "generate" else input, None)
    if file.kind == np.uint8 and wishes.scale is None:
        how = replace(how, scale=1.0)  # it takes samples as they are
    names = () if task == "generate" else wishes.names(output[0], ())
    model = SavedModel(
        spec=written(chain),
        input=input,
        tensors=tensors,
        task=task,
        classes=names,
        preprocessing=how,
    )
    return model, found.last


def _input_shape(file: OnnxFile, wishes: Wishes, where: str) -> Shape:
    """Sizes of the input, from the file and from the user."""
    told = file.shape
    if wishes.input is not None:
        fits = len(wishes.input) == len(told) and all(
            size in (None, wish) for size, wish in zip(told, wishes.input, strict=True)
        )
        if not fits:
            shown = "×".join("?" if size is None else str(size) for size in told)
            raise OptionError(f"{where}: its input is {shown}; --input says otherwise")
        return wishes.input
    sizes = tuple(size for size in told if size is not None)
    if len(sizes) != len(told):
        raise OptionError(
            f"{where}: it leaves sizes of its input open; give them: --input CxHxW, such as "
            "3x224x224"
        )
    return sizes


def _network(found: Translated, where: str) -> tuple[Chain, dict[str, np.ndarray]]:
    """The tree, and the arrays by the names that its layers have."""
    try:
        tree = nested(found.output, found.start)
        rows = [row for row in trace(tree.chain, found.start.shape).rows if row.name]
    except NotNested as error:
        raise ModelFileError(
            f"{where}: {error}; specifications have branches inside of branches only"
        ) from None
    except SpecError as error:
        raise ModelFileError(f"{where}: its layers do not fit each other: {error}") from None
    tensors: dict[str, np.ndarray] = {}
    pieces = iter(tree.pieces)
    for row in rows:
        if not (row.parameters or row.buffers):
            continue
        piece = next(piece for piece in pieces if piece.weights)
        for tensor in (*row.parameters, *row.buffers):
            tensors[f"{row.name}.{tensor.name}"] = piece.weights[tensor.name]
    return tree.chain, tensors


def written(chain: Chain) -> str:
    """A specification for people: groups that repeat once, lines of bearable length.

    Example:
        >>> from cnntool.nn.spec import parse
        >>> written(parse("relu | tanh | relu | tanh | relu | tanh"))
        '(relu | tanh)*3'
    """
    lines = [""]
    for node in _folded(chain).items:
        text = format_node(node)
        if lines[-1] and len(lines[-1]) + len(text) + 3 > LONGEST_LINE:
            lines.append(text)
        else:
            lines[-1] += f" | {text}" if lines[-1] else text
    return "\n".join(lines)


def _folded(chain: Chain) -> Chain:
    """The chain with runs of equal groups as repetitions."""
    items: list[Node] = list(chain.items)
    found: list[Node] = []
    at = 0
    while at < len(items):
        best, times = 1, 1
        for length in range(1, min(40, (len(items) - at) // 2) + 1):
            group, count = items[at : at + length], 1
            while items[at + count * length : at + (count + 1) * length] == group:
                count += 1
            if count > 1 and (count - 1) * length > (times - 1) * best:
                best, times = length, count
        if times > 1 and best * times > 2:
            found.append(Repeat(Chain(tuple(items[at : at + best])), times))
        else:
            best, times = 1, 1
            found.append(items[at])
        at += best * times
    return Chain(tuple(found))


# ------------------------------------------------------------------------------------------- check
def _compared(
    file: OnnxFile, model: SavedModel, where: str, *, last: bool, inside: str | None
) -> comparison.Difference:
    """Both sides on the same inputs."""
    samples = inside in SAMPLES and model.features is None and len(model.input) == 3
    inputs = comparison.pictures(model) if samples else comparison.numbers(model)
    if file.kind == np.uint8 and not samples:  # whole numbers only
        inputs = comparison.whole_numbers(model)
    try:
        found = comparison.compare(
            model, Runner(file.whole), inputs, kind=file.kind, batch=file.batch, last=last
        )
    except NotComputed as error:
        if has_onnxruntime():
            raise ModelFileError(f"{where}: not imported: it cannot be checked: {error}") from error
        raise MissingPackage(
            f"{where}: not imported: checking it needs onnxruntime ({error}); pip install "
            "onnxruntime"
        ) from error
    half = file.kind == np.float16 or any(a.dtype == np.float16 for a in file.arrays.values())
    found.check(where, comparison.HALF if half else comparison.RELATIVE)
    return found


def metadata_of(texts: Mapping[str, str]) -> dict[str, str]:
    """Our texts among others."""
    return {
        name.removeprefix(PREFIX): text for name, text in texts.items() if name.startswith(PREFIX)
    }
