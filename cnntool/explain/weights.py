"""The filters of a layer, as arrays of small pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import OptionError
from cnntool.explain.subject import Subject
from cnntool.nn.layer_rows import LayerRow


@dataclass(frozen=True, eq=False)
class Filters:
    """The weights of a layer.

    Attributes:
        row: The layer.
        stored: The weights as the model file has them, in torch's order.
        planes: The same as pictures (A, B, h, w): a filter in each row, what it has for each map
            of its input one behind the other. Those of a dense layer behind a flatten are as large
            as the maps were; else they are one number each.
        coloured: Whether the three maps that a filter sees are red, green and blue.
        sees: What the B planes of a filter belong to, in a word.
    """

    row: LayerRow
    stored: NDArray[np.float32]
    planes: NDArray[np.float32]
    coloured: bool
    sees: str


def filters(subject: Subject, name: str) -> Filters:
    """The filters of a layer.

    Of ``separable`` those that slide, one a map; of ``deform`` the taps; of ``local`` those of the
    middle position, since every position has its own.

    Raises:
        NameNotFound: There is no such layer.
        OptionError: The layer has none; the message lists those that have.
    """
    row = subject.layer(name)
    tensor = _tensor(row)
    if tensor is None:
        having = [other.name for other in subject.network.rows.values() if _tensor(other)]
        raise OptionError(
            f"layer {name} has no filters; these have: {', '.join(having) or 'none here'}"
        )
    stored = subject.device.to_host(subject.plain.tensors[f"{name}.{tensor}"])
    stored = np.array(stored, np.float32)
    planes, sees = stored, "map"
    if row.word == "local":
        planes = stored[..., stored.shape[4] // 2, stored.shape[5] // 2]
    elif row.word == "dense":
        shape = flattened(subject, row)
        planes = stored.reshape(len(stored), *(shape or (stored.shape[1], 1, 1)))
        sees = "map" if shape else "input"
    elif (
        row.word == "deconv"
        and row.input[0] == stored.shape[0]
        and row.output[0] == (stored.shape[1])
    ):
        planes = stored.swapaxes(0, 1)  # stored by input map, as in torch
    coloured = planes.shape[1] == 3 and subject.shape[0] == 3 and _sees_picture(subject, row)
    return Filters(row, stored, planes, coloured, sees)


def _tensor(row: LayerRow) -> str | None:
    """Name of the array with the filters of a layer."""
    if row.word == "batchnorm":
        return None
    names = [tensor.name for tensor in row.parameters if tensor.name.endswith("weight")]
    wanted = ("weight", "depthwise.weight")
    return next((name for name in wanted if name in names), None)


def flattened(subject: Subject, row: LayerRow) -> tuple[int, int, int] | None:
    """Shape of the maps whose numbers a dense layer sees one behind the other, if that is so."""
    for before in reversed(subject.network.path(row.name)[:-1]):
        if before.word == "flatten":
            shape = before.input
            return (shape[0], shape[1], shape[2]) if len(shape) == 3 else None
        if before.word not in _KEEPING:
            return None
    return None


_KEEPING = ("dropout", "relu", "relu6", "leakyrelu", "sigmoid", "tanh", "batchnorm")
"""Layers between a flatten and a dense layer that leave numbers in their places."""


def _sees_picture(subject: Subject, row: LayerRow) -> bool:
    """Whether the maps of a layer's input are still the picture's channels."""
    before = subject.network.path(row.name)[:-1]
    return all(
        other.word in ("pad", "dropout", "batchnorm", "flatten", *_POOLS) for other in before
    )


_POOLS = ("maxpool", "avgpool", "sumpool", "upsample", "adaptiveavgpool")
