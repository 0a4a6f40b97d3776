"""Pool a picture and put pooled values back: :mod:`cnntool.ops` pooling on (H, W[, C]) arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cnntool.backend import Array, array_module
from cnntool.errors import InputError, NameNotFound, OptionError, ShapeError
from cnntool.filters.words import POOL_KINDS
from cnntool.geometry import extent, pair
from cnntool.ops import adaptive_pooling, median_pooling, pooling, unpooling
from cnntool.ops.windows import Axes, window_axes

WITH_INDICES = ("max", "global-max", "adaptive-max")
"""Kinds that know where each value came from."""

Size = int | Sequence[int]


class Pooled(NamedTuple):
    """A pooled picture, and the positions r·W + c of its values in the planes of the original."""

    values: Array
    indices: Array | None


class Unreached(NamedTuple):
    """Pixels behind the last window: rows at the bottom, columns at the right, last channels."""

    rows: int
    columns: int
    channels: int


def pool(
    image: Array,
    kind: str = "max",
    size: Size = 2,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    exclude_pad: bool = False,
    return_indices: bool = False,
) -> Pooled:
    """A smaller picture of one value a window.

    Args:
        image: Picture.
        kind: One of :data:`~cnntool.filters.words.POOL_KINDS`. 'median' leaves padding out; 'l2'
            is the root of the sum of squares; 'global' kinds take the whole picture as one
            window; 'adaptive' kinds make a picture of ``size``.
        size: Window: one number, rows and columns, or channels, rows and columns (then windows
            also slide along the channels). For the adaptive kinds, the size of the result.
        stride: Steps, in the forms of ``size``; None means the window.
        padding: Rows above and below, columns left and right; at most half the window. It counts
            as minus infinity for 'max', 0 for 'avg', 'sum' and 'l2'.
        dilation: Distance between the pixels of a window.
        ceil_mode: Whether windows may run off the bottom and right edge, if they begin inside.
        exclude_pad: For 'avg': padding does not count as pixels.
        return_indices: Whether to return positions too, for :func:`unpool`; for the kinds of
            maxima.

    Shape:
        (H, W[, C]) -> (H', W'[, C']), H' = (H + 2·padding - dilation·(rows - 1) - 1) / stride + 1
        rounded down (up in ``ceil_mode``). 'max' and 'min' keep the dtype, the others make
        float32 of types smaller than float64. Indices have the shape of the values, int64.

    Raises:
        NameNotFound: Unknown kind.
        OptionError: Options that make no window, or that the kind does not take.
        ShapeError: The window does not fit the picture, or would see padding only.

    Example:
        >>> import numpy as np
        >>> pool(np.arange(16).reshape(4, 4)).values.tolist()
        [[5, 7], [13, 15]]
    """
    if kind not in POOL_KINDS:
        raise NameNotFound.among("kind of pooling", kind, POOL_KINDS)
    if return_indices and kind not in WITH_INDICES:
        raise OptionError(
            f"positions are kept for {', '.join(WITH_INDICES)} pooling only, got '{kind}'"
        )
    if exclude_pad and kind != "avg":
        raise OptionError(f"excluding the padding makes sense for 'avg' only, got '{kind}'")
    _check_picture(image)
    if kind.startswith(("global", "adaptive")):
        plain = stride is None and _is(padding, 0) and _is(dilation, 1) and not ceil_mode
        if not plain:
            raise OptionError(f"'{kind}' takes no stride, padding, dilation or ceil mode")
        target = 1 if kind.startswith("global") else size
        x = _as_maps(image)
        if kind.endswith("max"):
            found = adaptive_pooling.adaptive_max_pool2d(x, target, return_indices)
            return _as_pooled(found if return_indices else (found, None), image.ndim)
        return _as_pooled((adaptive_pooling.adaptive_avg_pool2d(x, target), None), image.ndim)
    window = _window(size, stride)
    axes = _axes(image.shape, window, padding, dilation, ceil_mode)
    if kind in ("max", "min", "median") and not all(axis.sees_input() for axis in axes):
        raise ShapeError(
            f"some windows see nothing but padding, so they have no {kind}; "
            "use less dilation or padding"
        )
    if return_indices and window.depth > 1:
        raise OptionError(
            "positions are kept channel by channel; "
            f"with a window of {window.depth} channels there are none"
        )
    deep = window.depth > 1 or window.depth_stride > 1
    x = image.transpose(2, 0, 1)[..., None] if deep else _as_maps(image)
    options: dict[str, Any] = {
        "kernel_size": window.size,
        "stride": window.stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
        "depth": window.depth,
        "depth_stride": window.depth_stride,
    }
    if return_indices:
        found = pooling.max_pool2d(x, return_indices=True, **options)
    elif kind == "avg":
        found = pooling.avg_pool2d(x, count_include_pad=not exclude_pad, **options), None
    else:
        found = _WINDOWED[kind](x, **options), None
    if deep:
        values = found[0][..., 0].transpose(1, 2, 0)
        return Pooled(array_module(values).ascontiguousarray(values), None)
    return _as_pooled(found, image.ndim)


def _l2(x: Array, **options: Any) -> Array:
    return pooling.lp_pool2d(x, 2, **options)


_WINDOWED: dict[str, Callable[..., Array]] = {
    "max": pooling.max_pool2d,
    "min": pooling.min_pool2d,
    "sum": pooling.sum_pool2d,
    "median": median_pooling.median_pool2d,
    "l2": _l2,
}


class _Window(NamedTuple):
    size: tuple[int, int]
    stride: tuple[int, int]
    depth: int
    depth_stride: int


def _window(size: Size, stride: Size | None) -> _Window:
    """Window and step from one number, rows and columns, or channels, rows and columns."""
    depth, plane = _split(size, "size")
    if stride is None:
        return _Window(plane, plane, depth or 1, depth or 1)
    step, steps = _split(stride, "stride")
    return _Window(plane, steps, depth or 1, depth or 1 if step is None else step)


def _split(value: Size, name: str) -> tuple[int | None, tuple[int, int]]:
    values = (value,) if isinstance(value, int) else tuple(int(v) for v in value)
    if len(values) == 3:
        return values[0], (values[1], values[2])
    if len(values) > 3 or not values:
        raise OptionError(f"{name} takes N, H,W or D,H,W, got {len(values)} numbers")
    return None, pair(values if len(values) == 2 else values[0], name)


def _axes(
    shape: Sequence[int], window: _Window, padding: Size, dilation: Size, ceil_mode: bool
) -> Axes:
    """Channel, row and column axes of the windows, with errors that speak of the picture."""
    h, w = shape[:2]
    channels = shape[2] if len(shape) == 3 else 1
    (kh, kw), depth = window.size, window.depth
    if depth > channels:
        raise ShapeError(f"a window of {depth} channels does not fit a picture of {channels}")
    try:
        return window_axes(
            (channels, h, w),
            window.size,
            window.stride,
            padding,
            dilation,
            ceil_mode,
            depth,
            window.depth_stride,
        )
    except ShapeError as error:
        dy, dx = pair(dilation, "dilation")
        reach = f"{extent(kh, dy)} x {extent(kw, dx)}"
        raise ShapeError(
            f"a pooling window of {reach} does not fit a picture of {h} x {w}; "
            "use a smaller size or more padding",
            **error.facts,
        ) from None


def _is(value: Size, number: int) -> bool:
    """Whether one number, or both of two, equal ``number``."""
    return pair(value) == (number, number)


def _check_picture(image: Array) -> None:
    if image.ndim not in (2, 3) or min(image.shape) < 1:
        raise ShapeError(
            f"a picture is (H, W) or (H, W, C) and not empty, got shape {_times(image.shape)}"
        )


def _as_maps(image: Array) -> Array:
    """(H, W[, C]) -> (1, H, W, C), a view."""
    return image[None, :, :, None] if image.ndim == 2 else image[None]


def _as_pooled(found: tuple[Array, Array | None], ndim: int) -> Pooled:
    """(1, H, W, C) values and indices -> (H, W[, C])."""
    values, indices = found
    cut = (0, slice(None), slice(None), 0) if ndim == 2 else (0,)
    return Pooled(values[cut], None if indices is None else indices[cut])


def unreached(
    shape: Sequence[int],
    size: Size = 2,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Unreached:
    """How much of a picture the windows of :func:`pool` leave out at its far ends.

    Args:
        shape: (H, W[, C]) of the picture.
        size: As for :func:`pool`, as are the others.
        stride: Steps.
        padding: Padding.
        dilation: Distance between the pixels of a window.
        ceil_mode: Whether windows may run off the far edge.

    Raises:
        OptionError: Options that make no window.
        ShapeError: The window does not fit.

    Example:
        >>> unreached((7, 9), size=(2, 4))
        Unreached(rows=1, columns=1, channels=0)
    """
    window = _window(size, stride)
    depth, rows, columns = _axes(shape, window, padding, dilation, ceil_mode)
    left = (
        axis.size - max(inputs.stop for _, _, inputs in axis.taps())
        for axis in (rows, columns, depth)
    )
    return Unreached(*left)


def dropped(
    shape: Sequence[int],
    kind: str = "max",
    size: Size = 2,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    exclude_pad: bool = False,
) -> str:
    """A sentence for the user on what :func:`pool` leaves out; '' if it uses all of the picture.

    Arguments as for :func:`pool`, with the picture's shape instead of the picture.

    Example:
        >>> dropped((7, 9), size=2)
        'windows do not reach the last row and the last column; --ceil keeps them'
        >>> dropped((8, 8), size=2)
        ''
    """
    del exclude_pad  # what counts as a pixel does not change what is reached
    if kind.startswith(("global", "adaptive")):
        return ""
    left = unreached(shape, size, stride, padding, dilation, ceil_mode)
    parts = [
        f"the last {number} {name}s" if number > 1 else f"the last {name}"
        for number, name in zip(left, ("row", "column", "channel"), strict=True)
        if number
    ]
    if not parts:
        return ""
    text = "windows do not reach " + " and ".join(parts)
    if ceil_mode:
        return text
    keep = unreached(shape, size, stride, padding, dilation, ceil_mode=True)
    return text if any(keep) else f"{text}; --ceil keeps {'it' if sum(left) == 1 else 'them'}"


def unpool(image: Array, indices: Array, shape: Sequence[int]) -> Array:
    """A picture of zeros with every pooled value back at its place.

    Args:
        image: Pooled picture.
        indices: Position r·W + c of each value in its plane, as :func:`pool` returns them.
        shape: (H, W) of the original; further numbers are ignored.

    Shape:
        (H', W'[, C]) -> (H, W[, C]), dtype of ``image``.

    Raises:
        ShapeError: Picture and indices differ in shape.
        InputError: Indices that are not whole numbers or lie outside the original.

    Example:
        >>> import numpy as np
        >>> values, indices = pool(np.array([[1, 2], [4, 3]]), return_indices=True)
        >>> unpool(values, indices, (2, 2)).tolist()
        [[0, 0], [4, 0]]
    """
    _check_picture(image)
    xp = array_module(indices)
    if tuple(image.shape) != tuple(indices.shape):
        raise ShapeError(
            f"a picture of {_times(image.shape)} does not fit positions of {_times(indices.shape)};"
            " they must come from the same pooling"
        )
    if indices.dtype.kind not in "iu":
        raise InputError(f"positions must be whole numbers, got {indices.dtype}")
    h, w = int(shape[0]), int(shape[1])
    low, high = int(indices.min()), int(indices.max())
    if low < 0 or high >= h * w:
        raise InputError(
            f"positions must lie between 0 and {h * w - 1} for an original of {h} x {w}; "
            f"found {low if low < 0 else high}"
        )
    positions = indices.astype(xp.int64, copy=False)
    y = unpooling.max_unpool2d(_as_maps(image), _as_maps(positions), (h, w))
    return y[0] if image.ndim == 3 else y[0, :, :, 0]


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
