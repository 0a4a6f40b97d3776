"""Depthwise convolution: every map has filters of its own, and maps never mix.

There is nothing to multiply as matrices, so each tap of the filters is one multiplication and one
addition over a block of many maps that fits the cache. A call a map, as pictures are filtered,
costs a tenth of a millisecond, and networks have thousands of maps: EfficientNet-Lite0 took 1.2 s
for one picture so, and takes 0.055 s with blocks (one core of the reference machine).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from cnntool.backend import Array, array_module
from cnntool.ops import memory
from cnntool.ops.correlation_methods import Steps
from cnntool.ops.sharing import share

BLOCK = 1 << 16
"""Numbers of a block of outputs: with inputs and scratch about a megabyte, as the L2 cache has.

Measured on maps of 7×7 to 112×112: 2^13 takes 1.5 times as long, 2^15 is as good.
"""

MOST_PRODUCTS = 300_000
"""Products of one map up to which blocks are faster than the methods for pictures.

Those need a tenth of a millisecond for each map and less than two passes a tap: 1152 maps of 7×7
with filters of 5×5 take 158 ms map by map and 1.6 ms in blocks, 32 maps of 112×112 of 8 pictures
with filters of 3×3 7 and 11 ms.
"""


@dataclass(frozen=True)
class _Block:
    """Some maps, or some rows of one.

    Attributes:
        maps: Which maps.
        rows: Which rows of their outputs.
    """

    maps: slice
    rows: slice


def pays(
    shape: tuple[int, ...], weight: tuple[int, ...], out: tuple[int, ...], groups: int
) -> bool:
    """Whether :func:`forward` can do a convolution, and is faster than a call a map.

    Args:
        shape: (C, H, W, N) of the input.
        weight: (O, C/groups, kh, kw).
        out: (O, oh, ow, N).
        groups: Independent groups of maps.

    Example:
        >>> pays((32, 7, 7, 1), (32, 1, 3, 3), (32, 7, 7, 1), 32)
        True
        >>> pays((32, 700, 700, 1), (32, 1, 3, 3), (32, 700, 700, 1), 32)
        False
    """
    return groups == shape[0] > 1 and prod(weight[2:]) * prod(out[1:]) <= MOST_PRODUCTS


def _blocks(shape: tuple[int, ...]) -> list[_Block]:
    """All outputs (C, oh, ow, N) in blocks that fit the cache."""
    c, rows, columns, n = shape
    line = max(1, columns * n)
    maps = max(1, BLOCK // max(1, rows * line))
    tall = max(1, rows if maps > 1 else BLOCK // line)
    return [
        _Block(slice(first, min(first + maps, c)), slice(top, min(top + tall, rows)))
        for first in range(0, c, maps)
        for top in range(0, rows, tall)
    ]


def _taps(
    padded: Array, block: _Block, columns: int, kernel: tuple[int, int], steps: Steps
) -> Iterator[tuple[int, int, Array]]:
    """For each tap of the filters the part of the input that it sees."""
    (down, across), (tall, wide) = steps.stride, steps.dilation
    count = block.rows.stop - block.rows.start
    for i in range(kernel[0]):
        top = block.rows.start * down + i * tall
        for j in range(kernel[1]):
            left = j * wide
            yield (
                i,
                j,
                padded[
                    block.maps,
                    top : top + (count - 1) * down + 1 : down,
                    left : left + (columns - 1) * across + 1 : across,
                ],
            )


def _scratch(like: Array, blocks: Sequence[_Block]) -> Array:
    """Memory for the products of one block, the largest of them."""
    largest = max((b.maps.stop - b.maps.start) * (b.rows.stop - b.rows.start) for b in blocks)
    xp = array_module(like)
    return memory.empty(xp, (largest * like.shape[2] * like.shape[3],), like.dtype)


def _shared(shape: tuple[int, ...], like: Array, work: Callable[..., None], threads: int) -> None:
    """``work(block, scratch)`` for all blocks, shared out to threads."""

    def run(blocks: Sequence[_Block]) -> None:
        scratch = _scratch(like, blocks)
        for block in blocks:
            work(block, scratch)

    if all(shape):
        share(_blocks(shape), run, threads=threads)


def forward(padded: Array, weight: Array, steps: Steps, y: Array, *, threads: int = 1) -> None:
    """Filter every map.

    Args:
        padded: Input maps with their frame, (C, H, W, N).
        weight: m filters a map, those of map 0 first, (C·m, 1, kh, kw).
        steps: Strides and dilations.
        y: Gets the outputs, (C·m, oh, ow, N).
        threads: Threads that share the maps.

    Example:
        >>> import numpy as np
        >>> x, y = np.arange(8.0).reshape(2, 1, 4, 1), np.empty((2, 1, 3, 1))
        >>> forward(x, np.array([[1.0, 1], [0, 2]]).reshape(2, 1, 1, 2), Steps(), y)
        >>> y[:, 0, :, 0].tolist()
        [[1.0, 3.0, 5.0], [10.0, 12.0, 14.0]]
    """
    each = weight.shape[0] // padded.shape[0]
    xp = array_module(padded)
    for number in range(each):
        out, kernels = y[number::each], weight[number::each]

        def filtered(block: _Block, scratch: Array, out: Any = out, kernels: Any = kernels) -> None:
            target = out[block.maps, block.rows]
            product = scratch[: target.size].reshape(target.shape)
            for i, j, part in _taps(padded, block, out.shape[2], kernels.shape[2:], steps):
                factor = kernels[block.maps, :, i, j].reshape(-1, 1, 1, 1)
                if i == j == 0:
                    xp.multiply(part, factor, out=target)
                else:
                    xp.multiply(part, factor, out=product)
                    target += product

        _shared(out.shape, out, filtered, threads)


def grad_weight(
    padded: Array, grad: Array, shape: tuple[int, int, int, int], steps: Steps
) -> Array:
    """The gradient of the filters.

    Args:
        padded: Input maps with their frame, (C, H, W, N).
        grad: Gradient of the outputs, (C·m, oh, ow, N).
        shape: Of the filters, (C·m, 1, kh, kw).
        steps: Strides and dilations.
    """
    xp = array_module(padded)
    found = xp.zeros(shape, dtype=grad.dtype)
    each = shape[0] // padded.shape[0]
    for number in range(each):
        own, kernels = grad[number::each], found[number::each]

        def summed(block: _Block, scratch: Array, own: Any = own, kernels: Any = kernels) -> None:
            source = own[block.maps, block.rows]
            product = scratch[: source.size].reshape(source.shape)
            for i, j, part in _taps(padded, block, own.shape[2], shape[2:], steps):
                xp.multiply(part, source, out=product)
                kernels[block.maps, 0, i, j] += product.reshape(len(source), -1).sum(axis=1)

        _shared(own.shape, own, summed, 1)
    return found


def grad_input(grad: Array, weight: Array, shape: tuple[int, int, int, int], steps: Steps) -> Array:
    """The gradient of the input with its frame.

    Args:
        grad: Gradient of the outputs, (C·m, oh, ow, N).
        weight: Filters, (C·m, 1, kh, kw).
        shape: Of the input with its frame, (C, H, W, N).
        steps: Strides and dilations.
    """
    xp = array_module(grad)
    found = memory.zeros(xp, shape, grad.dtype)
    each = weight.shape[0] // shape[0]
    for number in range(each):
        own, kernels = grad[number::each], weight[number::each]

        def spread(block: _Block, scratch: Array, own: Any = own, kernels: Any = kernels) -> None:
            source = own[block.maps, block.rows]
            product = scratch[: source.size].reshape(source.shape)
            for i, j, part in _taps(found, block, own.shape[2], kernels.shape[2:], steps):
                factor = kernels[block.maps, :, i, j].reshape(-1, 1, 1, 1)
                xp.multiply(source, factor, out=product)
                part += product

        _shared(own.shape, own, spread, 1)
    return found
