"""Slow loops that are obviously right: the oracle of tests. Imports nothing of the package.

Maps are (C, H, W, N), pictures (H, W[, C]); everything is computed in float64.
"""

import math
from itertools import product

import numpy as np

# --- windows ---


def window_starts(size, kernel, stride, padding=0, dilation=1, ceil_mode=False):
    """Where windows begin along one axis, in coordinates of the input."""
    reach = dilation * (kernel - 1) + 1
    starts = []
    for i in range(size + 2 * padding + reach):
        start = i * stride - padding
        fits = start + reach <= size + padding
        begins_inside = start < size
        rest_uncovered = not starts or starts[-1] + reach < size + padding
        if not starts and not fits and start + reach - stride >= size + padding:
            break  # nothing fits, and the step is too short to owe it a window
        if not (fits or (ceil_mode and begins_inside and rest_uncovered)):
            break
        starts.append(start)
    return starts


def window_taps(start, kernel, dilation):
    return [start + a * dilation for a in range(kernel)]


def pool2d(
    x,
    kind,
    kernel,
    stride=None,
    padding=(0, 0),
    dilation=(1, 1),
    ceil_mode=False,
    include_pad=True,
    divisor=None,
    depth=1,
    depth_stride=None,
    p=2,
):
    """Pooling window by window; returns (values, positions r·W + c of maxima and minima)."""
    stride = stride or kernel
    c, h, w, n = x.shape
    rows = window_starts(h, kernel[0], stride[0], padding[0], dilation[0], ceil_mode)
    columns = window_starts(w, kernel[1], stride[1], padding[1], dilation[1], ceil_mode)
    channels = window_starts(c, depth, depth_stride or depth, ceil_mode=ceil_mode)
    y = np.zeros((len(channels), len(rows), len(columns), n))
    positions = np.full(y.shape, -1)
    for (k, first), (i, top), (j, left), m in product(
        enumerate(channels), enumerate(rows), enumerate(columns), range(n)
    ):
        values, places, padded = [], [], 0
        for channel, row, column in product(
            window_taps(first, depth, 1),
            window_taps(top, kernel[0], dilation[0]),
            window_taps(left, kernel[1], dilation[1]),
        ):
            if channel >= c:
                continue
            if 0 <= row < h and 0 <= column < w:
                values.append(float(x[channel, row, column, m]))
                places.append(row * w + column)
            elif row < h + padding[0] and column < w + padding[1]:
                padded += 1
        place = (k, i, j, m)
        if kind in ("max", "min"):
            best, where = (-math.inf if kind == "max" else math.inf), -1
            for value, position in zip(values, places, strict=True):
                beats = value > best if kind == "max" else value < best
                if beats or math.isnan(value) or where < 0:
                    best, where = value, position
            y[place], positions[place] = best, where
        elif kind == "avg":
            count = divisor or len(values) + (padded if include_pad else 0)
            y[place] = sum(values) / count if values else 0.0
        elif kind == "sum":
            y[place] = sum(values)
        elif kind == "median":
            y[place] = np.median(values)
        elif kind == "lp":
            y[place] = sum(abs(v) ** p for v in values) ** (1 / p)
        else:
            raise ValueError(kind)
    return y, positions


def adaptive_pool2d(x, kind, size):
    """Regions from floor(i·size/out) to ceil((i+1)·size/out); (values, positions of maxima)."""
    c, h, w, n = x.shape
    oh, ow = size
    y = np.zeros((c, oh, ow, n))
    positions = np.zeros((c, oh, ow, n), dtype=int)
    for k, i, j, m in product(range(c), range(oh), range(ow), range(n)):
        rows = range(math.floor(i * h / oh), math.ceil((i + 1) * h / oh))
        columns = range(math.floor(j * w / ow), math.ceil((j + 1) * w / ow))
        cells = [(float(x[k, r, s, m]), r * w + s) for r in rows for s in columns]
        if kind == "avg":
            y[k, i, j, m] = sum(value for value, _ in cells) / len(cells)
        else:
            best = max(value for value, _ in cells)
            y[k, i, j, m] = best
            positions[k, i, j, m] = next(place for value, place in cells if value == best)
    return y, positions


# --- resizing ---


def interpolate(x, size, mode, align_corners=False, scales=None):
    """Pixel by pixel; ``scales`` are inputs per output where they do not follow from the size."""
    c, h, w, n = x.shape
    oh, ow = size
    sy, sx = scales or (h / oh, w / ow)
    tiny = 1e-9  # a quotient that should be a whole number may lie a rounding below it

    def nearest(i, step, length):
        return min(math.floor(i * step + tiny), length - 1)

    def between(i, step, length, out):
        if align_corners:
            at = i * (length - 1) / (out - 1) if out > 1 else 0.0
        else:
            at = max((i + 0.5) * step - 0.5, 0.0)
        before = min(math.floor(at + tiny), length - 1)
        return before, min(before + 1, length - 1), at - before

    y = np.zeros((c, oh, ow, n))
    for i, j in product(range(oh), range(ow)):
        if mode == "nearest":
            y[:, i, j] = x[:, nearest(i, sy, h), nearest(j, sx, w)]
            continue
        r, r2, a = between(i, sy, h, oh)
        s, s2, b = between(j, sx, w, ow)
        above = (1 - b) * x[:, r, s] + b * x[:, r, s2]
        below = (1 - b) * x[:, r2, s] + b * x[:, r2, s2]
        y[:, i, j] = (1 - a) * above + a * below
    return y


# --- histograms of gradients ---


def hog_cells(image, orientations, cell, signed=False):
    """Mean magnitude per cell and bin, pixel by pixel."""
    image = np.asarray(image, dtype=np.float64)
    planes = image[..., None] if image.ndim == 2 else image
    h, w, _ = planes.shape
    ch, cw = cell
    cells = np.zeros((h // ch, w // cw, orientations))
    turn = 360 if signed else 180
    for r, c in product(range(h // ch * ch), range(w // cw * cw)):
        down = planes[r + 1, c] - planes[r - 1, c] if 0 < r < h - 1 else 0 * planes[r, c]
        right = planes[r, c + 1] - planes[r, c - 1] if 0 < c < w - 1 else 0 * planes[r, c]
        size = [math.hypot(a, b) for a, b in zip(down, right, strict=True)]
        k = size.index(max(size))
        angle = math.degrees(math.atan2(down[k], right[k])) % turn
        place = min(int(angle * orientations / turn + 1e-9), orientations - 1)
        cells[r // ch, c // cw, place] += size[k] / (ch * cw)
    return cells


def hog_blocks(cells, block, norm):
    """Every block normalised by itself, flattened."""
    eps, found = 1e-5, []
    bh, bw = block
    for r, c in product(range(cells.shape[0] - bh + 1), range(cells.shape[1] - bw + 1)):
        v = cells[r : r + bh, c : c + bw].ravel()
        if norm == "l1":
            v = v / (v.sum() + eps)
        elif norm == "l1-sqrt":
            v = np.sqrt(v / (v.sum() + eps))
        else:
            v = v / math.sqrt((v * v).sum() + eps**2)
        if norm == "l2-hys":
            v = np.minimum(v, 0.2)
            v = v / math.sqrt((v * v).sum() + eps**2)
        found.append(v)
    return np.concatenate(found)


# --- pyramids ---

BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16


def _each_channel(function, image):
    if image.ndim == 2:
        return function(image)
    planes = [function(image[..., k]) for k in range(image.shape[2])]
    return np.stack(planes, axis=2)


def pyramid_reduce(image):
    """Blurred with a reflected border, then every second row and column."""

    def plane(p):
        wide = np.pad(p.astype(np.float64), 2, mode="reflect")
        rows, columns = range(0, p.shape[0], 2), range(0, p.shape[1], 2)
        return np.array([[BINOMIAL @ wide[i : i + 5, j : j + 5] @ BINOMIAL for j in columns]
                         for i in rows])  # fmt: skip

    return _each_channel(plane, image)


def pyramid_expand(image, size):
    """Zeros put between, then blurred with four times the weight; a single row stays as it is."""
    h, w = size

    def plane(p):
        zeros = np.zeros((h, w))
        zeros[::2, ::2] = p
        wide = np.pad(zeros, 2, mode="reflect")
        down = 2 * BINOMIAL if h > 1 else np.array([0, 0, 1, 0, 0])
        across = 2 * BINOMIAL if w > 1 else np.array([0, 0, 1, 0, 0])
        return np.array([[down @ wide[i : i + 5, j : j + 5] @ across for j in range(w)]
                         for i in range(h)])  # fmt: skip

    return _each_channel(plane, image)


# --- gradients ---


def directional(function, x, direction, grad_y, step=1e-6):
    """Derivative of sum(function(x)·grad_y) along ``direction``, by central differences."""
    above, below = function(x + step * direction), function(x - step * direction)
    return float(((above - below) * grad_y).sum()) / (2 * step)


def spaced(rng, shape, gap=0.01):
    """Values in random order that differ by at least ``gap``: no two change rank near a point."""
    values = rng.permutation(math.prod(shape)) * gap
    return (values - values.mean()).reshape(shape)
