"""Extend maps beyond their borders, and say where border pixels come from.

The words for borders are NumPy's; :data:`MODES` also takes the words of other libraries. Everything
rests on :func:`border_indices`: plain integers on the host that tell, for each position of a padded
axis, which pixel it copies. ``pad`` copies run by run of such integers, so it works for any amount
(also larger than the map), needs no index array on a device, and its gradient is the same walk
backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.backend import Array, array_module
from cnntool.errors import NameNotFound, OptionError, ShapeError
from cnntool.geometry import four_sides
from cnntool.ops import memory

MODES: dict[str, str] = {
    "constant": "constant",
    "zero": "constant",
    "zeros": "constant",
    "black": "constant",
    "edge": "edge",
    "replicate": "edge",
    "nearest": "edge",
    "clamp": "edge",
    "reflect": "reflect",
    "mirror": "reflect",
    "reflect101": "reflect",
    "symmetric": "symmetric",
    "wrap": "wrap",
    "circular": "wrap",
    "tile": "wrap",
    "periodic": "wrap",
    "max": "max",
}
"""Accepted word -> the word used here. ``reflect`` has NumPy's meaning, never SciPy's."""

FILLED = ("constant", "max")
"""Modes whose border holds one value instead of copies of pixels."""


def border_mode(name: str) -> str:
    """The mode that a word stands for.

    Raises:
        NameNotFound: The word is not in :data:`MODES`.

    Example:
        >>> border_mode("replicate"), border_mode("mirror")
        ('edge', 'reflect')
    """
    if name not in MODES:
        raise NameNotFound.among("border", name, MODES, "cnntool convolve --help")
    return MODES[name]


def border_indices(size: int, before: int, after: int, mode: str) -> NDArray[np.intp]:
    """Which pixel each position of a padded axis copies; -1 stands for the fill value.

    Row ``1 2 3 4``, two pixels on each side:

    - constant: ``0 0 |1 2 3 4| 0 0``
    - edge: ``1 1 |1 2 3 4| 4 4``
    - reflect: ``3 2 |1 2 3 4| 3 2``
    - symmetric: ``2 1 |1 2 3 4| 4 3``
    - wrap: ``3 4 |1 2 3 4| 1 2``
    - max: ``4 4 |1 2 3 4| 4 4``

    Args:
        size: Length of the axis in pixels, >= 1 (0 for the filled modes only).
        before: Pixels in front, >= 0; may exceed ``size``.
        after: Pixels behind, >= 0; may exceed ``size``.
        mode: One of :data:`MODES`.

    Shape:
        (before + size + after,), host integers.

    Raises:
        ShapeError: There is no pixel to copy.

    Example:
        >>> border_indices(4, 2, 2, "reflect").tolist()
        [2, 1, 0, 1, 2, 3, 2, 1]
        >>> border_indices(2, 1, 4, "wrap").tolist()
        [1, 0, 1, 0, 1, 0, 1]
        >>> border_indices(3, 1, 0, "constant").tolist()
        [-1, 0, 1, 2]
    """
    mode = border_mode(mode)
    position = np.arange(-before, size + after, dtype=np.intp)
    if mode in FILLED:
        return np.where((position < 0) | (position >= size), -1, position)
    if size < 1:
        raise ShapeError(f"an axis of length 0 has no pixels to fill a '{mode}' border with")
    if mode == "edge":
        return np.clip(position, 0, size - 1)
    if mode == "wrap":
        return position % size
    if mode == "symmetric":  # period 2·size: there and back, both ends twice
        position %= 2 * size
        return np.minimum(position, 2 * size - 1 - position)
    period = max(2 * (size - 1), 1)  # reflect: both ends once; one pixel repeats
    position %= period
    return np.minimum(position, period - position) if size > 1 else position


def _runs(index: NDArray[np.intp]) -> Iterator[tuple[slice, slice]]:
    """Slices (target, source) that copy ``index`` piece by piece, without the fill positions.

    A piece steps by +1 or -1 through the source, or stands still (a source of length 1).
    """
    start, last = 0, len(index)
    while start < last:
        first = int(index[start])
        if first < 0:
            start += 1
            continue
        step = int(index[start + 1]) - first if start + 1 < last else 0
        if step not in (-1, 0, 1) or index[min(start + 1, last - 1)] < 0:
            step = 0
        stop = start + 1
        while stop < last and index[stop] >= 0 and index[stop] - index[stop - 1] == step:
            stop += 1
        length = stop - start
        if step == 0:
            source = slice(first, first + 1)
        elif step > 0:
            source = slice(first, first + length)
        else:
            end = first - length
            source = slice(first, end if end >= 0 else None, -1)
        yield slice(start, stop), source
        start = stop


def _pieces(size: int, before: int, after: int, mode: str) -> list[tuple[slice, slice]]:
    """Runs of the border alone, as (target, source) slices into the padded axis.

    The inside is in place before borders are copied, so sources point into it.
    """
    index = border_indices(size, before, after, mode)
    pieces = []
    for low, high in ((0, before), (before + size, before + size + after)):
        for target, source in _runs(index[low:high]):
            stop = None if source.stop is None else source.stop + before
            if source.stop is None and before > 0:
                stop = before - 1
            pieces.append(
                (
                    slice(target.start + low, target.stop + low),
                    slice(source.start + before, stop, source.step),
                )
            )
    return pieces


def _fill_value(x: Array, value: float) -> Any:
    """``value`` as a number of x's type, or an error where an integer type cannot hold it."""
    dtype = np.dtype(x.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if not limits.min <= value <= limits.max or value != int(value):
            raise OptionError(
                f"a border of {value:g} does not fit {dtype} pixels; "
                f"use a whole number from {limits.min} to {limits.max}, or convert to float"
            )
    return dtype.type(value)


def pad(
    x: Array, padding: int | Sequence[int], mode: str = "constant", value: float = 0.0
) -> Array:
    """Maps with a border around them.

    Args:
        x: Maps.
        padding: Pixels on every side, (rows, columns), or (top, right, bottom, left); each >= 0,
            of any size.
        mode: What fills the border, see :func:`border_indices`; 'max' fills with the largest value
            of each map.
        value: The fill of mode 'constant'.

    Shape:
        (C, H, W, N) -> (C, top + H + bottom, left + W + right, N), dtype kept.

    Raises:
        OptionError: Negative padding, or a value that x's integer type cannot hold.
        NameNotFound: Unknown mode.
        ShapeError: A map without pixels has nothing to copy.

    Example:
        >>> x = np.array([[1, 2], [3, 4]]).reshape(1, 2, 2, 1)
        >>> pad(x, 1, "edge")[0, :, :, 0]
        array([[1, 1, 2, 2],
               [1, 1, 2, 2],
               [3, 3, 4, 4],
               [3, 3, 4, 4]])
    """
    xp = array_module(x)
    mode = border_mode(mode)
    top, right, bottom, left = four_sides(padding)
    c, h, w, n = x.shape
    shape = (c, top + h + bottom, left + w + right, n)
    inside = (slice(None), slice(top, top + h), slice(left, left + w))
    if mode == "constant":
        y = memory.full(xp, shape, _fill_value(x, value), x.dtype)
        y[inside] = x
        return y
    if mode == "max":
        if h * w == 0:
            raise ShapeError("a map without pixels has no largest value for a 'max' border")
        y = memory.empty(xp, shape, x.dtype)
        y[...] = x.max(axis=(1, 2), keepdims=True)
        y[inside] = x
        return y
    rows, columns = _pieces(h, top, bottom, mode), _pieces(w, left, right, mode)
    y = memory.empty(xp, shape, x.dtype)
    y[inside] = x
    middle = y[:, :, left : left + w]
    for target, source in rows:
        middle[:, target] = middle[:, source]
    for target, source in columns:
        y[:, :, target] = y[:, :, source]
    return y


def pad_vjp(
    x: Array, padding: int | Sequence[int], mode: str = "constant", value: float = 0.0
) -> tuple[Array, Callable[[Array], Array]]:
    """:func:`pad` and its gradient.

    A border pixel's gradient goes to the pixel that it copies; a 'max' border's to the first
    largest pixel of its map.

    Shape:
        backward: (C, top + H + bottom, left + W + right, N) -> (C, H, W, N).

    Example:
        >>> y, backward = pad_vjp(np.zeros((1, 1, 2, 1)), (0, 1, 0, 2), "edge")
        >>> backward(np.ones_like(y)).ravel().tolist()
        [3.0, 2.0]
    """
    xp = array_module(x)
    word = border_mode(mode)
    top, right, bottom, left = four_sides(padding)
    c, h, w, n = x.shape
    y = pad(x, padding, word, value)
    inside = (slice(None), slice(top, top + h), slice(left, left + w))
    largest: Array = x.reshape(c, h * w, n).argmax(axis=1) if word == "max" else None  # (C, N)

    def backward(grad_y: Array) -> Array:
        if word == "constant":
            return grad_y[inside].copy()
        if word == "max":
            grad_x = grad_y[inside].copy()
            frame = grad_y.sum(axis=(1, 2)) - grad_x.sum(axis=(1, 2))  # (C, N)
            here = xp.arange(h * w)[None, :, None] == largest[:, None, :]
            grad_x += (here * frame[:, None, :]).reshape(c, h, w, n)
            return grad_x
        # the walk of pad, backwards: columns first, then rows
        grad = grad_y.copy()
        for target, source in _pieces(w, left, right, word):
            piece = grad[:, :, target]
            if source.stop is not None and source.stop - source.start == 1:
                piece = piece.sum(axis=2, keepdims=True)
            grad[:, :, source] += piece
        grad = grad[:, :, left : left + w]
        for target, source in _pieces(h, top, bottom, word):
            piece = grad[:, target]
            if source.stop is not None and source.stop - source.start == 1:
                piece = piece.sum(axis=1, keepdims=True)
            grad[:, source] += piece
        return grad[:, top : top + h].copy()

    return y, backward
