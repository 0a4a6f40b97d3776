"""Arrays of other programs as the weights of a network that the user names.

Arrays find their layers by the names of the specification itself, by torch's names for its own
networks (however wide they are made), or else by their order: the arrays of the first layer, of the
second, and so on, each of the shape that its layer needs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import ModelFileError, NameNotFound, OptionError, SpecError
from cnntool.exchange.importing import IMAGENET, Wishes, task_of
from cnntool.exchange.onnx_import import metadata_of
from cnntool.files import natural_key, quote
from cnntool.grammar import shown
from cnntool.models import create
from cnntool.models.imagenet import COUNT, imagenet_classes
from cnntool.models.torch_names import (
    KNOWN,
    TORCHVISION,
    bare,
    is_counter,
    rename,
    torch_names,
)
from cnntool.nn.contradictions import Contradiction, tensor_shapes
from cnntool.nn.layer_rows import Trace
from cnntool.nn.modelfile import model_of
from cnntool.nn.saved_model import Preprocessing, SavedModel, check
from cnntool.nn.shapes import trace
from cnntool.nn.spec import Spec
from cnntool.nn.tensor_file import decode
from cnntool.nn.torch_file import decode_torch, is_torch_file
from cnntool.predict.pretrained import PRETRAINED

Arrays = Mapping[str, NDArray[Any]]

_GOOGLENET = replace(IMAGENET, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))  # its own, in torchvision


def import_weights(
    path: str, data: bytes | bytearray, spec: Spec | None, wishes: Wishes
) -> tuple[SavedModel, str]:
    """The model that the arrays of a file make of a network.

    Args:
        path: The file.
        data: Its bytes.
        spec: The network; None: the file says which.
        wishes: What the user says besides.

    Returns:
        The model, and how its arrays were found.

    Raises:
        ModelFileError: The file is damaged or unsafe, or its arrays do not fit the network.
        OptionError: No network, or what the user says does not fit.
    """
    where = quote(path)
    if data[8:9] == b"{" or not is_torch_file(data):
        file = decode(data, where=where, require_digest=False)
        arrays, texts, ordered = file.tensors, metadata_of(file.metadata), False
        if file.metadata.get("format") == "cnntool model":
            raise OptionError(f"{where} is a model already; give it to the other commands as it is")
    else:
        arrays, texts, ordered = decode_torch(data, where=where), {}, True
    floats = _floats(arrays, where)
    base = _told(texts, where) if texts and spec is None else None
    if spec is None and base is None:
        raise OptionError(
            f"{where} holds weights and no network; say which: --spec resnet18, or --spec @net.txt "
            "with --input CxHxW"
        )
    if base is None:
        if spec is None:
            raise TypeError("a network")
        base = _wanted(spec, floats, wishes, where)
    elif wishes.input is not None and wishes.input != base.input:
        raise OptionError(f"{where}: it says the shape of its input itself; leave --input out")
    found = base.trace()
    tensors, told = _matched(floats, base.name, found, ordered=ordered, where=where)
    model = _completed(replace(base, tensors=tensors), found, wishes)
    history = {**model.history, "source": os.path.basename(path), "arrays": told}
    model = replace(model, history=history)
    try:
        check(model)
    except Contradiction as error:
        raise ModelFileError(f"{where}: {error}") from None
    return model, told


def _floats(arrays: Arrays, where: str) -> dict[str, NDArray[np.float32]]:
    """What can be weights, as float32; counters of batches are left out."""
    found: dict[str, NDArray[np.float32]] = {}
    for name, array in arrays.items():
        plain = bare(name)
        if is_counter(plain):
            continue
        if array.dtype.kind != "f":
            raise ModelFileError(
                f"{where}: array '{shown(name, 60)}' is {array.dtype}; weights are numbers with a "
                "point, so export the network before it is quantised"
            )
        if plain in found:
            raise ModelFileError(f"{where}: array '{shown(plain, 60)}' is there twice")
        with np.errstate(over="ignore"):  # what becomes infinite is refused when it is checked
            found[plain] = np.ascontiguousarray(array, np.float32).reshape(array.shape)
    if not found:
        raise ModelFileError(f"{where}: it holds no arrays of weights")
    return found


def _told(texts: Mapping[str, str], where: str) -> SavedModel:
    """The model that a file of ours describes, without its arrays."""
    try:
        return model_of(texts, {})
    except (Contradiction, TypeError, ValueError) as error:
        raise ModelFileError(f"{where}: its metadata are damaged: {error}") from None


def _wanted(
    spec: Spec, arrays: Mapping[str, NDArray[np.float32]], wishes: Wishes, where: str
) -> SavedModel:
    """The model that the user names, without its arrays."""
    input = wishes.input or spec.input
    if input is None:
        raise OptionError(
            "the specification does not say the shape of its input; give it: --input CxHxW, such "
            "as 3x224x224"
        )
    text = spec.text
    if spec.name:
        count = _class_count(spec, arrays)
        text = create(spec.name, count, input).text
    return SavedModel(spec=text, input=input, tensors={}, name=spec.name)


def _class_count(spec: Spec, arrays: Mapping[str, NDArray[np.float32]]) -> int | None:
    """How many classes the arrays of a built-in network tell apart; None: its own number."""
    found = trace(spec.chain, spec.input or ())
    last = f"{found.rows[-1].name}.bias"
    if spec.name in KNOWN and last not in arrays:
        last = torch_names(spec.name, found).get(last, last)
    array = arrays.get(last)
    return len(array) if array is not None and array.ndim == 1 and len(array) else None


# ---------------------------------------------------------------------------------- names to layers
def _matched(
    arrays: Mapping[str, NDArray[np.float32]],
    name: str,
    found: Trace,
    *,
    ordered: bool,
    where: str,
) -> tuple[dict[str, NDArray[np.float32]], str]:
    """The arrays by our names, and how they were found."""
    shapes = tensor_shapes(found)
    if arrays.keys() == shapes.keys():
        for key, shape in shapes.items():
            if arrays[key].shape != shape:
                raise ModelFileError(
                    f"{where}: array '{shown(key, 60)}' is {arrays[key].shape}; its network needs "
                    f"{shape}"
                )
        return {key: arrays[key] for key in shapes}, "names of the specification"
    if name in KNOWN:
        try:
            return rename(arrays, name, found), f"torch's names of {name}"
        except ModelFileError as error:
            raise ModelFileError(f"{where}: {error}") from None
    for other in KNOWN:  # the same layers with other widths
        try:
            names = torch_names(other, found)
        except (SpecError, NameNotFound):
            continue
        if arrays.keys() == set(names.values()):
            try:
                return rename(arrays, other, found), f"torch's names of {other}"
            except ModelFileError as error:
                raise ModelFileError(f"{where}: {error}") from None
    return _by_order(arrays, found, ordered=ordered, where=where), "order of the layers"


def _by_order(
    arrays: Mapping[str, NDArray[np.float32]], found: Trace, *, ordered: bool, where: str
) -> dict[str, NDArray[np.float32]]:
    """Groups of arrays that share a name up to its last dot, one for each layer with weights."""
    names: Sequence[str] = list(arrays) if ordered else sorted(arrays, key=natural_key)
    groups: dict[str, dict[str, str]] = {}
    for name in names:
        layer, _, own = name.rpartition(".")
        groups.setdefault(layer, {})[own] = name
    wanted: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, shape in tensor_shapes(found).items():
        layer, _, own = key.rpartition(".")
        wanted.setdefault(layer, {})[own] = shape
    tensors: dict[str, NDArray[np.float32]] = {}
    for group, layer in zip_longest(groups, wanted):
        if group is None or layer is None:
            raise ModelFileError(
                f"{where}: it has arrays of {len(groups)} layers, the network {len(wanted)} layers "
                f"with arrays; {'layer ' + layer if layer else shown(repr(group), 60)} is left over"
            )
        given, needed = groups[group], wanted[layer]
        if given.keys() != needed.keys():
            raise ModelFileError(
                f"{where}: '{shown(group, 60)}' has {', '.join(sorted(map(shown, given)))}; layer "
                f"{layer}, whose turn it is, needs {', '.join(sorted(needed))}"
            )
        for own, shape in needed.items():
            array = arrays[given[own]]
            if array.shape != shape:
                raise ModelFileError(
                    f"{where}: array '{shown(given[own], 60)}' is {array.shape}; layer {layer}, "
                    f"whose turn it is, needs {shape}"
                )
            tensors[f"{layer}.{own}"] = array
    return tensors


# ------------------------------------------------------------------------------ what is known more
def _completed(model: SavedModel, found: Trace, wishes: Wishes) -> SavedModel:
    """The model with its task, classes and preprocessing."""
    output = found.output
    task = task_of(model.input, output)
    pictures = output if task == "generate" else model.input
    classes, how = model.classes, model.preprocessing
    if model.name in KNOWN and output == (COUNT,) and not classes:
        classes = imagenet_classes()
    if model.features is None:  # features come from samples as they are
        how = wishes.preprocessing(pictures, _preprocessing_of(model, output))
    names = () if task == "generate" else wishes.names(output[0], classes)
    return replace(model, task=task, classes=names, preprocessing=how)


def _preprocessing_of(model: SavedModel, output: tuple[int, ...]) -> Preprocessing | None:
    """What the file says, or what published weights of this network want."""
    if model.preprocessing != Preprocessing():
        return model.preprocessing
    if output != (COUNT,):
        return None
    if model.name in PRETRAINED:
        return PRETRAINED[model.name].preprocessing
    if model.name in TORCHVISION:
        return _GOOGLENET if model.name == "googlenet" else IMAGENET
    return None
