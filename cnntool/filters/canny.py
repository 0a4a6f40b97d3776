"""Canny's edge detector: thin lines along the ridges of the gradient.

Smooth with a Gaussian, take the gradient, keep the pixels whose gradient is largest along its own
direction, and of these all that are strong or hang together with a strong one. The definition is
scikit-image's to the last pixel, with its order of operations and its precision, because that is
what results are compared with.

Everything up to the ridges is done in strips of rows that overlap by the Gaussian's reach, so the
memory needed beyond the input is 1 byte a pixel for marks and 4 for the labels of connected lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError

Floats = NDArray[np.floating[Any]]

TRUNCATE = 4.0
"""Width of the Gaussian's window to each side, in sigmas."""
STRIP_BYTES = 1 << 19
"""Aim for one float array of a strip: about six of them are in use and should stay in the cache."""

_DTYPES = ("uint8", "uint16", "float32", "float64")
_WEAK, _STRONG = 1, 2
_TINY = np.float32(1e-14)  # the lower limit where it is 0: flat areas are no ridges


def canny(
    image: Array,
    *,
    sigma: float = 1.0,
    low: float = 0.1,
    high: float = 0.2,
    full_range: float | None = None,
    threads: int = 1,
) -> Array:
    """Which pixels of a grey picture lie on an edge.

    Args:
        image: Samples, uint8, uint16, float32 or float64. Computed in float64, float32 pictures in
            float32; on the host, also for pictures on a GPU.
        sigma: Width of the Gaussian that smooths first, in pixels, >= 0; 0 leaves it out. Outside
            of the picture is nothing: border pixels are means of what lies inside.
        low: Gradient that a line must have to be followed, as a share of the full range, >= 0. The
            gradient is that of the Sobel kernels: a sharp step by the full range measures 4.
        high: Gradient that a line must have at one of its pixels, >= ``low``.
        full_range: What low and high are shares of: the largest sample by default, 65535 for
            uint16, else 255.
        threads: Threads that share the strips.

    Shape:
        (H, W) -> (H, W), bool. The outermost rows and columns are never marked.

    Raises:
        OptionError: A number is negative, or ``low`` exceeds ``high``.
        ShapeError: The picture is not (H, W) or has no pixels.

    References:
        Canny 1986, A computational approach to edge detection, IEEE PAMI 8(6), sections V to VIII.
        The direction across the edge is interpolated between neighbours, as in scikit-image's
        ``feature.canny``; lines are connected through corners (8 neighbours).

    Example:
        >>> step = np.zeros((5, 6), np.uint8)
        >>> step[:, 3:] = 200
        >>> canny(step)[2].astype(int)
        array([0, 0, 1, 1, 0, 0])
    """
    check_options(sigma, low, high)
    if image.ndim != 2 or image.size == 0:
        raise ShapeError(
            "canny works on one grey channel (H, W) that is not empty, got shape "
            + "x".join(map(str, image.shape))
        )
    if str(image.dtype) not in _DTYPES:
        raise OptionError(f"canny works on {', '.join(_DTYPES)} pixels, got {image.dtype}")
    if full_range is not None and not 0 < full_range < math.inf:
        raise OptionError(f"full_range must be above 0 and finite, got {full_range:g}")
    xp = array_module(image)
    host = image if xp is np else xp.asnumpy(image)
    search = _Search.of(host, sigma, low, high, full_range)
    edges = _connected(search.marks(threads))
    return edges if xp is np else xp.asarray(edges)


def check_options(sigma: float, low: float, high: float) -> None:
    """Refuse numbers that :func:`canny` cannot use.

    Raises:
        OptionError: One is negative or not finite, or ``low`` exceeds ``high``.
    """
    for name, value in (("sigma", sigma), ("low", low), ("high", high)):
        if not 0 <= value < math.inf:
            raise OptionError(f"canny's {name} must be 0 or more and finite, got {value:g}")
    if low > high:
        raise OptionError(
            f"canny's low must not exceed high, got low {low:g} and high {high:g}; "
            "the defaults are 0.1 and 0.2"
        )


@dataclass(frozen=True)
class _Search:
    """One picture, the limits in its units, and what its border does to the smoothing."""

    image: NDArray[Any]
    sigma: float
    radius: int
    unit: float | None
    low: np.float32
    high: float
    weights: Floats
    row_of: NDArray[np.intp]
    column_of: NDArray[np.intp]

    @classmethod
    def of(
        cls, image: NDArray[Any], sigma: float, low: float, high: float, full_range: float | None
    ) -> _Search:
        kind = np.float32 if image.dtype == np.float32 else np.float64
        unit = None
        if image.dtype.kind == "u":  # integers are brought to 0..1, floats stay as they are
            top = float(np.iinfo(image.dtype).max)
            unit = 1.0 / top
            scale = 1.0 if full_range is None else full_range / top
        else:
            scale = 255.0 if full_range is None else full_range
        radius = int(TRUNCATE * sigma + 0.5)
        height, width = image.shape
        window = 2 * radius + 1
        weights = _smoothed_ones(min(height, window), min(width, window), sigma, kind)
        return cls(
            image,
            sigma,
            radius,
            unit,
            np.float32(low * scale) or _TINY,
            high * scale,
            weights,
            _nearest_in(height, weights.shape[0]),
            _nearest_in(width, weights.shape[1]),
        )

    def marks(self, threads: int) -> NDArray[np.uint8]:
        """(H, W): 0, or 1 and 2 on ridges above the lower and the higher limit."""
        height, width = self.image.shape
        marks = np.zeros((height, width), np.uint8)
        if height < 3 or width < 3:
            return marks
        reach = self.radius + 2
        rows = max(STRIP_BYTES // (width * self.weights.itemsize) - 2 * reach, 2 * reach, 16)
        starts = range(1, height - 1, rows)

        def work(starts: Sequence[int]) -> None:
            for start in starts:
                self._mark_strip(start, min(start + rows, height - 1), marks)

        threads = max(1, min(threads, len(starts)))
        if threads == 1:
            work(starts)
            return marks
        with ThreadPoolExecutor(threads) as pool:
            for future in [pool.submit(work, starts[t::threads]) for t in range(threads)]:
                future.result()
        return marks

    def _mark_strip(self, start: int, stop: int, marks: NDArray[np.uint8]) -> None:
        from scipy import ndimage

        reach = self.radius + 2  # the Gaussian's, the Sobel kernels' and that of the comparison
        first, last = max(start - reach, 0), min(stop + reach, self.image.shape[0])
        smooth = self._smooth(first, last)
        # rows at the ends of the strip that are not ends of the picture are wrong and cut off
        begin, end = start - 1 - first, stop + 1 - first
        down = ndimage.sobel(smooth, axis=0)[begin:end]
        across = ndimage.sobel(smooth, axis=1)[begin:end]
        with np.errstate(over="ignore", invalid="ignore"):  # floats of any size may come
            size = down * down
            size += across * across
            np.sqrt(size, out=size)
            candidates = size >= self.low
        candidates[[0, -1]] = False
        candidates[:, [0, -1]] = False
        at = np.flatnonzero(candidates)
        at = at[_on_ridge(at, down, across, size)]
        strong = size.ravel()[at] >= self.high
        values = np.where(strong, np.uint8(_STRONG), np.uint8(_WEAK))
        # index in the strip, whose first row is start - 1 -> index in the picture
        marks.ravel()[at + (start - 1) * marks.shape[1]] = values

    def _smooth(self, first: int, last: int) -> Floats:
        """Rows of the smoothed picture; near inner ends of the strip they are too dark."""
        from scipy import ndimage

        strip = self.image[first:last]
        if self.unit is not None:
            strip = np.multiply(strip, self.unit, dtype=np.float64)
        smooth: Floats = ndimage.gaussian_filter(
            strip, self.sigma, mode="constant", truncate=TRUNCATE
        )
        inside = self.weights[self.row_of[first:last]][:, self.column_of]
        with np.errstate(over="ignore", invalid="ignore"):
            smooth /= inside
        return smooth


def _smoothed_ones(height: int, width: int, sigma: float, kind: type[np.floating[Any]]) -> Floats:
    """How much of the Gaussian lies inside the picture, for each distance from the borders.

    A picture larger than the window has one row of such weights for all rows farther from the
    borders than the window reaches, so the middle row stands for them.
    """
    from scipy import ndimage

    ones = np.ones((height, width), kind)
    weights: Floats = ndimage.gaussian_filter(ones, sigma, mode="constant", truncate=TRUNCATE)
    return weights + np.finfo(kind).eps


def _nearest_in(size: int, short: int) -> NDArray[np.intp]:
    """Positions of a long axis in a short one that keeps both ends and stretches its middle."""
    position = np.arange(size)
    from_end = short - (size - position)
    return np.where(position < short // 2, position, np.maximum(from_end, short // 2))


def _on_ridge(
    at: NDArray[np.intp], down: Floats, across: Floats, size: Floats
) -> NDArray[np.bool_]:
    """Whether the gradient at these places is not larger on either side, along its direction.

    The direction passes between two of the eight neighbours; the gradient there is interpolated:
    between a neighbour on the axis that the direction is nearer to, and one at a corner.
    """
    columns = size.shape[1]
    flat = size.ravel()
    middle, dy, dx = flat[at], down.ravel()[at], across.ravel()[at]
    falling = (dy > 0) == (dx > 0)  # the direction goes to the lower right, or back
    corner = np.where(falling, columns + 1, 1 - columns)
    np.abs(dy, out=dy)
    np.abs(dx, out=dx)
    steep = np.where(falling, dy > dx, dy >= dx)
    side = np.where(steep, np.where(falling, columns, -columns), 1)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        share = np.where(steep, dx, dy) / np.where(steep, dy, dx)
        rest = 1.0 - share.astype(np.float64)

        def not_above(corner: NDArray[np.intp], side: NDArray[np.intp]) -> NDArray[np.bool_]:
            # one product in the picture's precision, one in float64: as the definition has it
            between = flat[corner] * share + flat[side] * rest
            return np.asarray(between <= middle)

        return not_above(at + corner, at + side) & not_above(at - corner, at - side)


def _connected(marks: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Lines of marks, connected through sides and corners, that hold a strong mark."""
    from scipy import ndimage

    labels, count = ndimage.label(marks, structure=np.ones((3, 3), bool))
    keep = np.zeros(count + 1, bool)
    keep[labels[marks == _STRONG]] = True
    return np.asarray(keep[labels])
