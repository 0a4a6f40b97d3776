"""Where in the picture a layer finds what speaks for a class: Grad-CAM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import OptionError
from cnntool.explain.subject import Samples, Subject, check_change
from cnntool.geometry import Reach
from cnntool.nn.fields import Field
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.observer import Recorder
from cnntool.predict.classifier import check_finite

Map = NDArray[np.float32]

CONVOLUTIONS = ("conv", "deconv", "depthwise", "separable", "local", "deform")
"""Words of layers that filter."""

JOINTS = ("add", "concat", "unpool")
"""Words of rows that join branches."""

ACTIVATIONS = ("relu", "relu6", "leakyrelu", "sigmoid", "tanh")
"""Words of layers that bend what a convolution gives."""


def last_convolution(subject: Subject) -> str:
    """The layer that Grad-CAM looks at by itself: where the last convolution leads.

    That is the last one whose maps have more than one position; if it stands in a branch, the
    layer that joins the branches; and the activation behind that, if there is one.

    Raises:
        OptionError: No layer filters and gives maps.
    """
    rows = list(subject.network.rows.values())
    place = max((n for n, row in enumerate(rows) if _filters(row)), default=None)
    if place is None:
        raise OptionError(
            "no convolution of this network gives maps; name a layer with --layer, or use saliency"
        )
    number = rows[place].name.partition(".")[0]
    joints = [f"{number}.{word}" for word in JOINTS]
    place = next((n for n, row in enumerate(rows) if row.name in joints), place)
    for behind in rows[place + 1 :]:
        if behind.word in ACTIVATIONS:
            return behind.name
        if behind.word != "batchnorm":
            break
    return rows[place].name


def _filters(row: LayerRow) -> bool:
    return row.word in CONVOLUTIONS and row.output[1] * row.output[2] > 1


def gradcam(subject: Subject, image: Samples, number: int, layer: str) -> Map:
    """How much each position of a layer speaks for a class.

    Each map counts by the mean gradient of the class's score in it; of their sum the positive part
    is taken.

    Args:
        subject: The network.
        image: Samples 0..255, (C, H, W).
        number: Of the class.
        layer: Name of the layer.

    Returns:
        (h, w), as large as the layer's maps, >= 0.

    Raises:
        NameNotFound: There is no such layer.
        OptionError: The layer gives no maps.
        InputError: The gradient is zero everywhere.
        ModelFileError: The network gives numbers that are not finite.

    References:
        Selvaraju et al. 2017, Grad-CAM: visual explanations from deep networks via gradient-based
        localization, equations 1 and 2.

    Example:
        The mean of two maps, weighted 1 and -1, so the second speaks against the class:

        >>> from cnntool.nn import parse
        >>> from cnntool.nn.network import Network
        >>> from cnntool.nn.observed import ObservedNetwork
        >>> from cnntool.nn.saved_model import Preprocessing
        >>> from cnntool.predict.preprocess import Preprocessor
        >>> net = Network(parse("conv 2 1 bias=no | globalavgpool | flatten | dense 1"), (1, 1, 2))
        >>> weights = {"0.conv.weight": np.array([1.0, -1.0]).reshape(2, 1, 1, 1)}
        >>> weights |= {"3.dense.weight": np.array([[2.0, -1]]), "3.dense.bias": np.ones(1)}
        >>> net.load(weights)
        >>> how = Preprocessor(Preprocessing(color="gray", scale=1, mean=(5,), std=(1,)), (1, 2))
        >>> subject = Subject(ObservedNetwork(net), how, ("no", "yes"))
        >>> gradcam(subject, np.array([[[9, 2]]], np.uint8), 1, "0.conv").tolist()
        [[6.0, 0.0]]
    """
    subject.maps(layer)
    seen = Recorder([layer], stop=True)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        _, backward = subject.network.forward(subject.inputs(image[..., None]), seen, gradient=True)
        if backward is None:
            raise RuntimeError("a pass with gradients gave none")
        backward(subject.seed([number]))
        maps, gradient = (
            subject.device.to_host(found[layer])[..., 0].astype(np.float64)
            for found in (seen.outputs, seen.gradients)
        )
        weights = gradient.mean(axis=(1, 2))
        found = np.maximum(np.tensordot(weights, maps, 1), 0).astype(np.float32)
    check_finite(weights)
    check_finite(found)
    check_change(gradient, subject.classes[number], layer)
    return found


def spread(found: Map, row: LayerRow, size: Sequence[int], zoom: int = 1) -> Map:
    """A layer's map as large as the picture: every value at the centre of what its neuron sees.

    Between the centres it is linear. Beyond the outermost ones it falls to 0 within the distance
    of two: a network without padding has no neurons that look at the picture's edge.

    Args:
        found: One number for each position of the layer, (h, w).
        row: The layer.
        size: Rows and columns of the picture.
        zoom: How many pixels a pixel of the picture becomes, down and across.

    Returns:
        (zoom·H, zoom·W).

    Example:
        >>> from cnntool.nn import parse, trace
        >>> row = trace(parse("conv 1 3 pad=1 | maxpool 2"), (1, 2, 4)).rows[-1]
        >>> spread(np.array([[0.0, 8.0]]), row, (2, 4)).tolist()
        [[0.0, 2.0, 6.0, 6.0], [0.0, 2.0, 6.0, 6.0]]
    """
    down = _weights(_centres(row.field, 0, found.shape[0]), size[0], zoom)
    across = _weights(_centres(row.field, 1, found.shape[1]), size[1], zoom)
    large: Map = (down @ found @ across.T).astype(np.float32)
    return large


def _centres(field: Field, axis: int, count: int) -> NDArray[np.float64]:
    """Where the neurons along an axis look, in pixels; evenly spread where that is not told."""
    reach: Reach | None = (field.rows, field.columns)[axis]
    if reach is not None:
        centres = np.array([sum(reach.at(place)) / 2 for place in range(count)])
        if (np.diff(centres) > 0).all():
            return centres
    return (np.arange(count) + 0.5) * field.whole[axis] / count - 0.5


def _weights(centres: NDArray[np.float64], length: int, zoom: int) -> NDArray[np.float64]:
    """How much each neuron counts at each pixel: (zoom·length, neurons)."""
    if len(centres) == 1:
        return np.ones((zoom * length, 1))
    pixels = (np.arange(zoom * length) + 0.5) / zoom - 0.5
    step = float(np.diff(centres).mean())
    # one more on either side, which counts nothing
    ends = np.concatenate([[centres[0] - step], centres, [centres[-1] + step]])
    place = np.interp(pixels, ends, np.arange(len(ends)))
    before = np.minimum(place.astype(np.intp), len(ends) - 2)
    weights, rows = np.zeros((len(pixels), len(ends))), np.arange(len(pixels))
    weights[rows, before + 1] = place - before
    weights[rows, before] = 1 - (place - before)
    return weights[:, 1:-1]
