"""Slow loops for operations of networks: the oracle of their tests. Imports nothing of the package.

Maps are (C, H, W, N); everything is computed in float64, number by number.
"""

import math
from itertools import product

import numpy as np


def places(shape):
    return product(*map(range, shape))


# --- sums ---


def linear(x, weight, bias=None):
    y = np.zeros((weight.shape[0], x.shape[1]))
    for o, n in places(y.shape):
        y[o, n] = sum(float(weight[o, i]) * float(x[i, n]) for i in range(x.shape[0]))
        if bias is not None:
            y[o, n] += bias[o]
    return y


def reach(kernel, dilation):
    return dilation * (kernel - 1) + 1


def conv_sizes(x, kernel, stride, sides, dilation):
    """Rows and columns of the output; ``sides`` are (top, right, bottom, left)."""
    h, w = x.shape[1:3]
    return (
        (h + sides[0] + sides[2] - reach(kernel[0], dilation[0])) // stride[0] + 1,
        (w + sides[1] + sides[3] - reach(kernel[1], dilation[1])) // stride[1] + 1,
    )


def pixel(x, channel, row, column, image):
    """The value of a map, 0 outside."""
    if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
        return float(x[channel, row, column, image])
    return 0.0


def local_conv2d(x, weight, bias, stride, sides, dilation):
    o, c, kh, kw = weight.shape[:4]
    y = np.zeros((o, *conv_sizes(x, (kh, kw), stride, sides, dilation), x.shape[3]))
    for k, i, j, n in places(y.shape):
        total = 0.0 if bias is None else float(bias[k, i, j])
        for m, a, b in places((c, kh, kw)):
            row = i * stride[0] + a * dilation[0] - sides[0]
            column = j * stride[1] + b * dilation[1] - sides[3]
            total += float(weight[k, m, a, b, i, j]) * pixel(x, m, row, column, n)
        y[k, i, j, n] = total
    return y


def conv_transpose2d(x, weight, bias, stride, sides, output_padding, groups, dilation):
    """Zeros put between the inputs, then correlated with the kernels turned by 180 degrees."""
    c, h, w, n = x.shape
    share, kh, kw = weight.shape[1:]
    rows = (h - 1) * stride[0] + 1 + 2 * (reach(kh, dilation[0]) - 1) + output_padding[0]
    columns = (w - 1) * stride[1] + 1 + 2 * (reach(kw, dilation[1]) - 1) + output_padding[1]
    wide = np.zeros((c, rows, columns, n))
    for m, i, j, image in places(x.shape):
        row = i * stride[0] + reach(kh, dilation[0]) - 1
        column = j * stride[1] + reach(kw, dilation[1]) - 1
        wide[m, row, column, image] = x[m, i, j, image]
    oh, ow = rows - reach(kh, dilation[0]) + 1, columns - reach(kw, dilation[1]) + 1
    y = np.zeros((share * groups, oh, ow, n))
    each = c // groups
    for k, i, j, image in places(y.shape):
        group = k // share
        total = 0.0 if bias is None else float(bias[k])
        for m, a, b in places((each, kh, kw)):
            turned = weight[group * each + m, k % share, kh - 1 - a, kw - 1 - b]
            row, column = i + a * dilation[0], j + b * dilation[1]
            total += float(turned) * pixel(wide, group * each + m, row, column, image)
        y[k, i, j, image] = total
    return y[:, sides[0] : oh - sides[2], sides[3] : ow - sides[1]]


def between(x, channel, row, column, image):
    """Bilinear reading: every pixel counts by max(0, 1 - distance) down times that across."""
    total = 0.0
    for i, j in places(x.shape[1:3]):
        share = max(0.0, 1 - abs(row - i)) * max(0.0, 1 - abs(column - j))
        total += share * float(x[channel, i, j, image])
    return total


def deform_conv2d(x, offset, weight, bias, stride, sides, dilation):
    o, share, kh, kw = weight.shape
    groups = x.shape[0] // share
    oh, ow = conv_sizes(x, (kh, kw), stride, sides, dilation)
    n = x.shape[3]
    if offset.ndim == 1:
        offset = np.broadcast_to(offset[:, None, None, None], (len(offset), oh, ow, n))
    sets = offset.shape[0] // (2 * kh * kw)
    y = np.zeros((o, oh, ow, n))
    for k, i, j, image in places(y.shape):
        total = 0.0 if bias is None else float(bias[k])
        for m, a, b in places((share, kh, kw)):
            channel = k // (o // groups) * share + m
            number = 2 * (channel // (x.shape[0] // sets) * kh * kw + a * kw + b)
            row = i * stride[0] + a * dilation[0] - sides[0] + offset[number, i, j, image]
            column = j * stride[1] + b * dilation[1] - sides[3] + offset[number + 1, i, j, image]
            total += float(weight[k, m, a, b]) * between(x, channel, row, column, image)
        y[k, i, j, image] = total
    return y


# --- normalisation ---


def batch_norm(x, weight, bias, eps, mean=None, variance=None):
    """(y, means, variances divided by n - 1); the given statistics, or those of the batch."""
    y, means, spreads = np.zeros(x.shape), [], []
    for c in range(x.shape[0]):
        values = [float(v) for v in x[c].ravel()]
        centre = math.fsum(values) / len(values)
        squares = math.fsum((v - centre) ** 2 for v in values)
        means.append(centre)
        spreads.append(squares / (len(values) - 1))
        used = squares / len(values) if variance is None else float(variance[c])
        centre = centre if mean is None else float(mean[c])
        scale = 1.0 if weight is None else float(weight[c])
        shift = 0.0 if bias is None else float(bias[c])
        for place in places(x.shape[1:]):
            away = float(x[(c, *place)]) - centre
            y[(c, *place)] = away / math.sqrt(used + eps) * scale + shift
    return y, np.array(means), np.array(spreads)


def local_response_norm(x, size, alpha, beta, k):
    y = np.zeros(x.shape)
    for c, *place in places(x.shape):
        window = range(c - size // 2, c - size // 2 + size)
        squares = sum(float(x[(m, *place)]) ** 2 for m in window if 0 <= m < x.shape[0])
        y[(c, *place)] = float(x[(c, *place)]) / (k + alpha * squares / size) ** beta
    return y


# --- losses ---


def shares(scores):
    """Softmax of a list of numbers."""
    parts = [math.exp(s - max(scores)) for s in scores]
    return [p / math.fsum(parts) for p in parts]


def cross_entropy(logits, target, weight=None, ignore=-100, smoothing=0.0):
    """(terms, weights of the targets), both shaped like the targets."""
    k = logits.shape[0]
    weight = np.ones(k) if weight is None else weight
    terms, weights = np.zeros(target.shape), np.zeros(target.shape)
    for place in places(target.shape):
        label = int(target[place])
        if label == ignore:
            continue
        logs = [math.log(p) for p in shares([float(s) for s in logits[(slice(None), *place)]])]
        for j in range(k):
            wanted = (1 - smoothing) * (j == label) + smoothing / k
            terms[place] -= weight[j] * wanted * logs[j]
        weights[place] = weight[label]
    return terms, weights


def binary_cross_entropy(logits, target, pos_weight=1.0):
    terms = np.zeros(logits.shape)
    pos_weight = np.broadcast_to(pos_weight, logits.shape)
    for place in places(logits.shape):
        p = 1 / (1 + math.exp(-float(logits[place])))
        t = float(target[place])
        terms[place] = -pos_weight[place] * t * math.log(p) - (1 - t) * math.log(1 - p)
    return terms


def dice_loss(logits, target, weight=None, ignore=-100, smooth=1.0):
    """One loss an image."""
    k, h, w, n = logits.shape
    classes = range(k) if k > 1 else [1]
    weight = np.ones(k) if weight is None else weight
    losses = np.zeros(n)
    for image in range(n):
        for number, label in enumerate(classes):
            both = predicted = true = 0.0
            for i, j in places((h, w)):
                if target[i, j, image] == ignore:
                    continue
                scores = [float(s) for s in logits[:, i, j, image]]
                p = shares(scores)[number] if k > 1 else 1 / (1 + math.exp(-scores[0]))
                t = float(target[i, j, image] == label)
                both, predicted, true = both + p * t, predicted + p, true + t
            dice = (2 * both + smooth) / (predicted + true + smooth)
            losses[image] += (1 - dice) * weight[number] / sum(weight)
    return losses


# --- layers ---


def fold_back(position, size, mode):
    """Which of ``size`` pixels a position beyond the ends copies."""
    while not 0 <= position < size:
        if mode == "replicate":
            position = 0 if position < 0 else size - 1
        elif mode == "circular":
            position += size if position < 0 else -size
        elif size == 1:
            position = 0
        else:  # reflect: the end itself is the mirror
            position = -position if position < 0 else 2 * (size - 1) - position
    return position


def framed(x, sides, mode="zeros"):
    top, right, bottom, left = sides
    c, h, w, n = x.shape
    y = np.zeros((c, h + top + bottom, w + left + right, n))
    for m, i, j, image in places(y.shape):
        row, column = i - top, j - left
        if mode in ("zeros", "max"):
            inside = 0 <= row < h and 0 <= column < w
            fill = 0.0 if mode == "zeros" else max(float(v) for v in x[m, :, :, image].ravel())
            y[m, i, j, image] = x[m, row, column, image] if inside else fill
        else:
            row, column = fold_back(row, h, mode), fold_back(column, w, mode)
            y[m, i, j, image] = x[m, row, column, image]
    return y


def conv2d(x, weight, bias, stride, sides, dilation=(1, 1), groups=1, mode="zeros"):
    """Every group on its own: the same kernel at each position."""
    x, share, each = framed(x, sides, mode), weight.shape[1], len(weight) // groups
    out = conv_sizes(x, weight.shape[2:], stride, (0,) * 4, dilation)
    parts = []
    for group in range(groups):
        filters = slice(group * each, (group + 1) * each)
        kernels = np.broadcast_to(weight[filters][..., None, None], (*weight[filters].shape, *out))
        biases = None
        if bias is not None:
            biases = np.broadcast_to(bias[filters][:, None, None], (each, *out))
        maps = x[group * share : (group + 1) * share]
        parts.append(local_conv2d(maps, kernels, biases, stride, (0,) * 4, dilation))
    return np.concatenate(parts)


def deep_conv2d(x, weight, bias, stride, sides, step):
    """Filters shallower than the input slide along it; all places of filter 0 come first."""
    depth, maps = weight.shape[1], []
    for number in range(len(weight)):
        one = weight[number : number + 1]
        added = None if bias is None else bias[number : number + 1]
        for first in range(0, len(x) - depth + 1, step):
            maps.append(conv2d(x[first : first + depth], one, added, stride, sides))
    return np.concatenate(maps)


def window_begins(size, kernel, stride, before, after, dilation, ceil):
    """First taps of pooling windows along one axis, by torch's rules."""
    far, begins = reach(kernel, dilation), []
    while True:
        begin = len(begins) * stride - before
        if begin + far > size + after:  # it runs off the far edge
            covered = begin - stride + far >= size + after
            if not ceil or covered or begin >= size:
                return begins
        begins.append(begin)


def side_pool2d(
    x, kind, kernel, stride, sides=(0, 0, 0, 0), dilation=(1, 1), ceil=False, countpad=True,
    depth=1, step=None,
):  # fmt: skip
    """Pooling with padding that differs from side to side."""
    c, h, w, n = x.shape
    top, right, bottom, left = sides
    step = step or depth
    channels = window_begins(c, depth, step, 0, 0, 1, ceil)
    rows = window_begins(h, kernel[0], stride[0], top, bottom, dilation[0], ceil)
    columns = window_begins(w, kernel[1], stride[1], left, right, dilation[1], ceil)
    y = np.zeros((len(channels), len(rows), len(columns), n))
    for k, i, j, image in places(y.shape):
        values, padded = [], 0
        for m, a, b in places((depth, *kernel)):
            channel = channels[k] + m
            row, column = rows[i] + a * dilation[0], columns[j] + b * dilation[1]
            if channel >= c:
                continue
            if 0 <= row < h and 0 <= column < w:
                values.append(float(x[channel, row, column, image]))
            elif row < h + bottom and column < w + right:
                padded += 1
        if kind == "max":
            y[k, i, j, image] = max(values, default=-math.inf)
        else:
            count = 1 if kind == "sum" else len(values) + padded * countpad
            y[k, i, j, image] = sum(values) / max(count, 1)
    return y
