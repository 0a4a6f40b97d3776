"""Weights of torch's networks by our names.

torchvision names an array by the attributes that lead to it (``layer2.0.downsample.1.bias``), we
by the path of its layer in the specification (``8.shortcut.batchnorm.bias``). The arrays themselves
are alike: same order of axes, same statistics of batch normalisation. So weights from there need
new names and nothing else::

    data = read_bytes("resnet18.safetensors", limit=1 << 30)
    file = decode(data, where="resnet18.safetensors", require_digest=False)
    spec = create("resnet18")
    weights = rename(file.tensors, "resnet18", trace(spec.chain, spec.input))

with the functions of :mod:`cnntool.nn.tensor_file`.

The same for EfficientNet-Lite, which torchvision does not have, by the names of the implementation
that its published weights come from. Names follow from the order of layers alone; widths and the
number of classes are free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby, zip_longest
from types import MappingProxyType
from typing import Protocol, TypeVar

from cnntool.errors import ModelFileError, NameNotFound, SpecError
from cnntool.grammar import shown
from cnntool.models import alexnet, efficientnet, inception, resnet, vgg
from cnntool.nn.layer_rows import LayerRow, Trace
from cnntool.nn.nodes import Concat, Layer, Residual
from cnntool.nn.shapes import trace as walk
from cnntool.nn.spec import parse

__all__ = ["KNOWN", "TORCHVISION", "bare", "is_counter", "rename", "torch_names"]

_SHOWN = 3  # names of a kind in a message
_LENGTH = 60  # of a name in it, which may come from a file
_WRAPPERS = ("module.", "_orig_mod.")  # put in front by DataParallel and by torch.compile
_HEADS = ("aux1.", "aux2.")  # torchvision's GoogLeNet has them for training only


class _Shaped(Protocol):
    """An array of any library."""

    @property
    def shape(self) -> Sequence[int]: ...


T = TypeVar("T", bound=_Shaped)

_Rows = Sequence[LayerRow]
_Pairs = Iterator[tuple[str, str]]


# ---------------------------------------------------------------------- names, family by family
def _sequential(rows: _Rows) -> _Pairs:
    """AlexNet and VGG: two lists, numbered like ours; what joins them counts in neither."""
    part, first = "features", 0
    for number, row in enumerate(rows):
        if row.parameters:
            yield row.name, f"{part}.{number - first}"
        if _word(row) == "flatten":
            part, first = "classifier", number + 1


def _resnet(rows: _Rows) -> _Pairs:
    """ResNet: ``layer1`` to ``layer4`` hold blocks; a shortcut stands where one of them begins."""
    stage = block = 0
    for item in _items(rows):
        if not isinstance(item[-1].node, Residual):
            yield from _outside(item[0])
            continue
        if stage == 0 or item[-1].node.shortcut is not None:
            stage, block = stage + 1, 0
        here = f"layer{stage}.{block}"
        seen = {"conv": 0, "batchnorm": 0}
        for row in item:
            word = _word(row)
            if word not in seen:
                continue
            if ".shortcut." in row.name:
                yield row.name, f"{here}.downsample.{0 if word == 'conv' else 1}"
            else:
                seen[word] += 1
                yield row.name, f"{here}.{'conv' if word == 'conv' else 'bn'}{seen[word]}"
        block += 1


def _outside(row: LayerRow) -> _Pairs:
    """What stands around the blocks: the first convolution, and the classifier."""
    names = {"conv": "conv1", "batchnorm": "bn1", "dense": "fc"}
    if _word(row) in names:
        yield row.name, names[_word(row)]


def _googlenet(rows: _Rows) -> _Pairs:
    """GoogLeNet: modules are numbered by size of their maps, lettered within one."""
    size, letter, convs = 1, 0, 0
    for item in _items(rows):
        word = _word(item[-1])
        if isinstance(item[-1].node, Concat):
            here = f"inception{size}{'abcde'[letter]}"
            letter += 1
            for number, branch in enumerate(_branches(item[:-1]), start=1):
                yield from _branch(branch, f"{here}.branch{number}")
        elif word == "maxpool":
            size, letter = size + 1, 0
        elif word == "conv":
            convs += 1
            yield item[0].name, f"conv{convs}.conv"
        elif word == "batchnorm":
            yield item[0].name, f"conv{convs}.bn"
        elif word == "dense":
            yield item[0].name, "fc"


def _branch(rows: _Rows, here: str) -> _Pairs:
    """A convolution has no number where it is alone; pooling in front of it takes one."""
    parts = ("conv", "maxpool")
    alone = sum(_word(row) in parts for row in rows) == 1
    number = -1
    for row in rows:
        number += _word(row) in parts
        place = here if alone else f"{here}.{number}"
        if _word(row) == "conv":
            yield row.name, f"{place}.conv"
        elif _word(row) == "batchnorm":
            yield row.name, f"{place}.bn"


def _efficientnet(rows: _Rows) -> _Pairs:
    """EfficientNet-Lite: a stem, blocks around depthwise convolutions, a head, a classifier."""
    learning = [row for row in rows if row.parameters]
    words = [_word(row) for row in learning]
    at, block = 0, 0

    def pair(conv: str, norm: str, here: str = "") -> _Pairs:
        nonlocal at
        yield learning[at].name, f"{here}{conv}"
        yield learning[at + 1].name, f"{here}{norm}"
        at += 2

    yield from pair("_conv_stem", "_bn0")
    while "depthwise" in words[at : at + 3]:
        here = f"_blocks.{block}."
        if words[at] == "conv":
            yield from pair("_expand_conv", "_bn0", here)
        yield from pair("_depthwise_conv", "_bn1", here)
        yield from pair("_project_conv", "_bn2", here)
        block += 1
    yield from pair("_conv_head", "_bn1")
    yield learning[at].name, "_fc"


def _word(row: LayerRow) -> str:
    """The layer's word; empty where branches are added or joined."""
    return row.node.word if isinstance(row.node, Layer) else ""


def _items(rows: _Rows) -> Iterator[list[LayerRow]]:
    """The rows of each item of the outermost chain; the one that adds or joins comes last."""
    for _, item in groupby(rows, key=lambda row: row.name.split(".")[0]):
        yield list(item)


def _branches(rows: _Rows) -> Iterator[list[LayerRow]]:
    for _, branch in groupby(rows, key=lambda row: row.name.split(".")[1]):
        yield list(branch)


_MODELS = {
    model.name: model
    for family in (alexnet, vgg, resnet, inception, efficientnet)
    for model in family.MODELS
}

TORCHVISION: Mapping[str, Callable[[_Rows], _Pairs]] = MappingProxyType(
    {
        "alexnet": _sequential,
        **{f"vgg{depth}": _sequential for depth in (11, 13, 16, 19)},
        **{f"resnet{depth}": _resnet for depth in (18, 34, 50)},
        "googlenet": _googlenet,
    }
)
"""Built-in networks that torchvision has layer for layer -> rule of its names."""

KNOWN: Mapping[str, Callable[[_Rows], _Pairs]] = MappingProxyType(
    {**TORCHVISION, "efficientnet-lite0": _efficientnet}
)
"""The same, and those whose weights others published for torch."""


# ------------------------------------------------------------------------------------ in public
def torch_names(name: str, trace: Trace) -> dict[str, str]:
    """What torch calls every array of a network.

    Args:
        name: A key of :data:`KNOWN`.
        trace: The network, walked through; of any widths and number of classes.

    Returns:
        Our name -> torch's, parameters and buffers, in the order of the layers.

    Raises:
        NameNotFound: Its names are not known: torchvision does not have it, or not so.
        SpecError: What was walked through is another network.

    Example:
        >>> from cnntool.models import create
        >>> spec = create("resnet18")
        >>> names = torch_names("resnet18", walk(spec.chain, spec.input))
        >>> names["0.conv.weight"], names["8.shortcut.batchnorm.running_mean"]
        ('conv1.weight', 'layer2.0.downsample.1.running_mean')
    """
    if name not in KNOWN:
        raise NameNotFound(
            f"torchvision has no network that is built like '{name}' here; its names are known for "
            + ", ".join(KNOWN),
            name=name,
            near=[],
        )
    _check_layers(name, trace.rows)
    return _names(name, trace.rows)


def bare(key: str) -> str:
    """A name without what training on several devices or compiling puts in front of it.

    Example:
        >>> bare("module._orig_mod.conv1.weight")
        'conv1.weight'
    """
    while key.startswith(_WRAPPERS):
        key = key.partition(".")[2]
    return key


def is_counter(name: str) -> bool:
    """Whether an array counts batches: batch normalisation in torch has them.

    Example:
        >>> is_counter("bn1.num_batches_tracked"), is_counter("bn1.running_mean")
        (True, False)
    """
    return name.rpartition(".")[2] == "num_batches_tracked"


def rename(state: Mapping[str, T], name: str, trace: Trace) -> dict[str, T]:
    """The arrays of a network by our names.

    Counters of batches are left out, and so are the heads that torchvision's GoogLeNet has for
    training. ``module.`` and ``_orig_mod.`` in front of names, which come from training on several
    devices and from compiling, are taken off.

    Args:
        state: torch's name -> array, of NumPy or anything else that has a shape.
        name: A key of :data:`KNOWN`.
        trace: The network that shall get the arrays.

    Returns:
        Our name -> the array itself, not a copy, in the order of the layers.

    Raises:
        NameNotFound: Its names are not known: torchvision does not have it, or not so.
        SpecError: What was walked through is another network.
        ModelFileError: Arrays are missing, are too many, or have other shapes (facts are
            ``missing`` and ``unexpected``, torch's names, and ``wrong``, name -> (shape
            found, shape needed)), or one is there twice, with and without a wrapper's name.

    Example:
        >>> import numpy as np
        >>> from cnntool.models import create
        >>> found = walk(create("vgg11").chain, (3, 64, 64))
        >>> rename({"features.0.weight": np.zeros((64, 3, 3, 3))}, "vgg11", found)
        Traceback (most recent call last):
        ...
        cnntool.errors.ModelFileError: the weights do not fit vgg11: 21 of 22 arrays are missing \
(features.0.bias, features.3.weight, features.3.bias, …); give all weights of torchvision's vgg11
    """
    names = torch_names(name, trace)
    arrays = _unwrapped(state, name)
    shapes = {
        names[f"{row.name}.{tensor.name}"]: tensor.shape
        for row in trace.rows
        for tensor in (*row.parameters, *row.buffers)
    }
    missing = [key for key in shapes if key not in arrays]
    unexpected = [key for key in arrays if key not in shapes]
    wrong = {
        key: (tuple(arrays[key].shape), shape)
        for key, shape in shapes.items()
        if key in arrays and tuple(arrays[key].shape) != shape
    }
    if missing or unexpected or wrong:
        problems = _problems(missing, unexpected, wrong, len(shapes))
        fix = _fix(name, set(arrays), wrong, bool(missing or unexpected), list(shapes)[-2:])
        raise ModelFileError(
            f"the weights do not fit {name}: {', '.join(problems)}; {fix}",
            missing=missing,
            unexpected=unexpected,
            wrong=wrong,
        )
    return {ours: arrays[theirs] for ours, theirs in names.items()}


# --------------------------------------------------------------------------------------- checks
def _names(name: str, rows: _Rows) -> dict[str, str]:
    layers = dict(KNOWN[name](rows))
    return {
        f"{row.name}.{tensor.name}": f"{layers[row.name]}.{tensor.name}"
        for row in rows
        for tensor in (*row.parameters, *row.buffers)
    }


@cache
def _built_in(name: str) -> Trace:
    model = _MODELS[name]
    return walk(parse(model.build(model.classes)), model.input)


def _check_layers(name: str, rows: _Rows) -> None:
    """Refuse a network that has other layers than the built-in one."""
    for row, expected in zip_longest(rows, _built_in(name).rows):
        found, needed = (_shown_layer(one) for one in (row, expected))
        if found != needed:
            raise SpecError(
                f"the network is not built like {name}: it has {found} where {name} has {needed}; "
                f"change nothing but widths and classes of '{name}', or name the network that it is"
            )


def _shown_layer(row: LayerRow | None) -> str:
    if row is None:
        return "its end"
    arrays = ", ".join(tensor.name for tensor in (*row.parameters, *row.buffers))
    return f"layer {row.name}" + (f" with {arrays}" if arrays else "")


def _unwrapped(state: Mapping[str, T], name: str) -> dict[str, T]:
    """What counts, by the names that a network has for itself."""
    arrays: dict[str, T] = {}
    given: dict[str, str] = {}
    for key, array in state.items():
        plain = bare(key)
        if is_counter(plain) or (name == "googlenet" and plain.startswith(_HEADS)):
            continue
        if plain in arrays:
            first, second = shown(given[plain], _LENGTH), shown(key, _LENGTH)
            raise ModelFileError(
                f"the weights hold both '{first}' and '{second}', which mean one array; give those "
                "of one network"
            )
        arrays[plain], given[plain] = array, key
    return arrays


def _problems(
    missing: list[str],
    unexpected: list[str],
    wrong: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]],
    total: int,
) -> list[str]:
    problems = []
    if missing:
        count = f"all {total}" if len(missing) == total else f"{len(missing)} of {total}"
        verb = "is" if len(missing) == 1 else "are"
        problems.append(f"{count} arrays {verb} missing ({_first(missing)})")
    if unexpected:
        names = [shown(key, _LENGTH) for key in unexpected[: _SHOWN + 1]]
        verb = "is" if len(unexpected) == 1 else "are"
        problems.append(f"{len(unexpected)} {verb} unexpected ({_first(names)})")
    if wrong:
        shapes = [
            f"{key} is {_sizes(found)}, not {_sizes(needed)}"
            for key, (found, needed) in wrong.items()
        ]
        verb = "has another shape" if len(wrong) == 1 else "have other shapes"
        problems.append(f"{len(wrong)} {verb} ({_first(shapes)})")
    return problems


def _fix(
    name: str,
    found: set[str],
    wrong: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]],
    other_names: bool,
    last: list[str],
) -> str:
    """What would work: the right number of classes, another network, or at least whose weights."""
    if not other_names:
        if set(wrong) == set(last):
            (weight, needed), (bias, _) = (wrong[key] for key in last)
            if (*weight[:1], *needed[1:]) == weight and weight[:1] == bias:
                return f"these are for {bias[0]} classes, so make the network with as many"
        return f"make {name} with the widths, classes and channels of input that they were made for"
    body = {key for key in found if not key.startswith(_HEADS)}
    for other in KNOWN:
        if other != name and body == set(_names(other, _built_in(other).rows).values()):
            return f"these are weights of {other}, so make that network"
    return f"give all weights of {_owner(name)} {name}"


def _owner(name: str) -> str:
    return "torchvision's" if name in TORCHVISION else "an"


def _first(names: Sequence[str]) -> str:
    return ", ".join([*names[:_SHOWN], *(["…"] if len(names) > _SHOWN else [])])


def _sizes(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "a number"
