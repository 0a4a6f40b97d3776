"""Batch normalisation: every channel brought to mean 0 and variance 1 over the whole batch.

Blocks of channels stay in the cache through all passes. A batch may be split over threads: then
the shards exchange sums, and each sees the statistics of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError, ShapeError
from cnntool.ops.buffers import as_float, flat_destination

BLOCK_BYTES = 1 << 18
"""Aim for the part of an array that is worked on at a time on a CPU."""

AllReduce = Callable[[Array], Array]
"""Sum of one small array over all shards of a batch, in a fixed order.

Each shard calls it equally often, with an array (n,) of the same length, and gets the same sums;
whether it is changed is left open, so the caller goes on with the result alone.
"""


def batch_norm(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    all_reduce: AllReduce | None = None,
    out: Array | None = None,
) -> Array:
    """Every channel shifted and scaled to mean 0 and variance 1, then by weight and bias.

    In training mean and variance are those of the batch (divided by the number n of values), else
    the running ones. They change in training only: running = (1 - momentum)·running +
    momentum·batch, where the batch's variance is divided by n - 1.

    Args:
        x: Maps or features.
        running_mean: Means so far. State, not input: **changed in place in training**. None in
            training: nothing is kept, as shards of a batch but the first one want it.
        running_var: Variances so far; None together with ``running_mean``.
        weight: Factors; None means 1.
        bias: Summands; None means 0.
        training: Whether to use and record the batch's own statistics.
        momentum: Share of the new batch in the running statistics, 0 to 1.
        eps: Added to variances, so that a constant channel divides by no zero; > 0.
        all_reduce: For a batch that is split into shards, one thread each: sums over all shards,
            see :data:`AllReduce`. Called twice in training, never else.
        out: Where to put the result. Not ``x``, if a gradient is wanted.

    Shape:
        x (C, H, W, N) or (C, N), the others (C,) -> that of x. float64 stays, smaller types
        become float32.

    Raises:
        ShapeError: The sizes do not fit, or training with a single value a channel.
        OptionError: No running statistics to apply, or only one of them; ``momentum`` or ``eps``
            out of range.

    References:
        Ioffe, Szegedy 2015, Batch normalization, algorithms 1 and 2.

    Example:
        >>> x = np.array([[1.0, 3.0], [10.0, 10.0]])
        >>> batch_norm(x, None, None, training=True).round(3).tolist()
        [[-1.0, 1.0], [0.0, 0.0]]
        >>> mean, var = np.zeros(2), np.ones(2)
        >>> y = batch_norm(x, mean, var, training=True)
        >>> mean.tolist(), var.tolist()
        ([0.2, 1.0], [1.1, 0.9])
    """
    task = _Task.of(x, running_mean, running_var, weight, bias, training, momentum, eps)
    return task.forward(all_reduce, out)


def batch_norm_vjp(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    all_reduce: AllReduce | None = None,
    out: Array | None = None,
) -> tuple[Array, Callable[..., tuple[Array, ...]]]:
    """:func:`batch_norm` and its gradient.

    ``backward(grad_y, out=None)`` calls ``all_reduce`` once if training. Of a split batch every
    shard gets the gradient of its own x, and its own share of the gradients of weight and bias:
    they are yet to be summed over shards, as those of any other layer.

    Shape:
        backward: gradient of y -> gradients of x, and of weight and bias as far as there are any.

    Example:
        >>> x = np.array([[1.0, 2.0, 6.0]])
        >>> y, backward = batch_norm_vjp(x, None, None, np.ones(1), np.zeros(1), True)
        >>> [g.round(3).tolist() for g in backward(np.array([[1.0, 1.0, 1.0]]))]
        [[[0.0, 0.0, 0.0]], [0.0], [3.0]]
    """
    task = _Task.of(x, running_mean, running_var, weight, bias, training, momentum, eps)
    y = task.forward(all_reduce, out)

    def backward(grad_y: Array, *, out: Array | None = None) -> tuple[Array, ...]:
        grad_x, grad_weight, grad_bias = task.backward(grad_y, all_reduce, out)
        found = [grad_x]
        found += [] if weight is None else [grad_weight]
        found += [] if bias is None else [grad_bias]
        return tuple(found)

    return y, backward


def _rounds(rows: int, row_bytes: int, xp: Any, joined: bool) -> list[list[slice]]:
    """Blocks of rows. All blocks of a round pass one phase before any passes the next.

    Where the phases meet other shards in between, all blocks are in one round; else each block is
    a round of its own, and stays in the cache for all phases.
    """
    height = rows if xp is not np else max(1, BLOCK_BYTES // max(row_bytes, 1))
    blocks = [slice(top, min(top + height, rows)) for top in range(0, rows, max(height, 1))]
    return [blocks] if joined else [[block] for block in blocks]


def _dots(a: Array, b: Array) -> Array:
    """Row by row the sum of products of two (rows, m)."""
    return (a[:, None, :] @ b[:, :, None]).reshape(-1)


@dataclass(eq=False)
class _Task:
    """Batch normalisation of one x: what forward computes and backward needs."""

    x: Array  # (C, M)
    shape: tuple[int, ...]
    weight: Array | None
    training: bool
    eps: float
    bias: Array | None
    running: tuple[Array, Array] | None
    momentum: float
    mean: Array = None  # (C,), as the next
    inverse: Array = None  # 1 / standard deviation
    count: Array | float = 0  # values a channel in the whole batch

    @classmethod
    def of(
        cls,
        x: Array,
        running_mean: Array | None,
        running_var: Array | None,
        weight: Array | None,
        bias: Array | None,
        training: bool,
        momentum: float,
        eps: float,
    ) -> _Task:
        if x.ndim < 2 or not x.shape[0]:
            raise ShapeError(f"batch_norm takes (C, H, W, N) or (features, N), got {x.shape}")
        named = {
            "running_mean": running_mean, "running_var": running_var,
            "weight": weight, "bias": bias,
        }  # fmt: skip
        for name, value in named.items():
            if value is not None and value.shape != x.shape[:1]:
                raise ShapeError(
                    f"{name} of shape {value.shape} does not fit {x.shape[0]} channels; "
                    f"it must be ({x.shape[0]},)"
                )
        if (running_mean is None) != (running_var is None):
            raise OptionError("running_mean and running_var come together; give both or none")
        if not training and running_mean is None:
            raise OptionError(
                "batch_norm has no running statistics to apply; "
                "give running_mean and running_var, or training=True"
            )
        if not 0 <= momentum <= 1 or not eps > 0:
            raise OptionError(
                "batch_norm takes a momentum between 0 and 1 and an eps above 0, "
                f"got {momentum} and {eps}"
            )
        running = None if running_mean is None else (running_mean, running_var)
        flat = as_float(x).reshape(x.shape[0], -1)
        return cls(flat, x.shape, weight, training, eps, bias, running, momentum)

    def forward(self, all_reduce: AllReduce | None, out: Array | None) -> Array:
        x, xp = self.x, array_module(self.x)
        c, m = x.shape
        if self.training and all_reduce is None and m < 2:
            raise ShapeError(
                f"batch_norm in training needs at least two values a channel, got {m}; "
                "use a batch of several images"
            )
        y = flat_destination(x, self.shape, out)
        self.mean = xp.empty(c, dtype=x.dtype)
        self.inverse = xp.empty(c, dtype=x.dtype)
        squares = xp.empty(c, dtype=x.dtype)  # sums of squared distances from the mean
        ones = xp.ones(m, dtype=x.dtype)
        joined = self.training and all_reduce is not None
        for blocks in _rounds(c, m * x.itemsize, xp, joined):
            span = slice(blocks[0].start, blocks[-1].stop)
            if self.running is not None and not self.training:
                mean, variance = self.running
                self.mean[span] = mean[span]
                self.inverse[span] = 1 / xp.sqrt(variance[span] + self.eps)
            else:
                for rows in blocks:
                    self.mean[rows] = x[rows] @ ones / max(m, 1)
                    far = x[rows] - self.mean[rows, None]
                    squares[rows] = _dots(far, far)
                self._merge(span, squares, m, all_reduce)
            for rows in blocks:
                self._normalise(rows, y)
        return y.reshape(self.shape)

    def _merge(self, span: slice, squares: Array, m: int, all_reduce: AllReduce | None) -> None:
        """Statistics of the whole batch from those of this shard, by Chan, Golub, LeVeque 1979."""
        xp = array_module(squares)
        self.count = m
        if all_reduce is not None:
            own = self.mean[span].copy()
            packed = xp.empty(own.shape[0] + 1, dtype=own.dtype)
            packed[:-1] = own * m
            packed[-1] = m
            packed = all_reduce(packed)
            self.count = packed[-1]
            self.mean[span] = packed[:-1] / self.count
            own -= self.mean[span]
            squares[span] = all_reduce(squares[span] + m * own * own)
        variance = squares[span] / self.count
        self.inverse[span] = 1 / xp.sqrt(variance + self.eps)
        if self.running is not None:
            rest = xp.maximum(self.count - 1, 1) if all_reduce is not None else m - 1
            fresh = self.mean[span], squares[span] / rest
            for state, new in zip(self.running, fresh, strict=True):
                part = state[span]
                part *= 1 - self.momentum
                part += self.momentum * new

    def _normalise(self, rows: slice, y: Array) -> None:
        xp, part = array_module(y), y[rows]
        scale = self.inverse[rows]
        if self.weight is not None:
            scale = scale * self.weight[rows]
        xp.subtract(self.x[rows], self.mean[rows, None], out=part)
        part *= scale[:, None]
        if self.bias is not None:
            part += self.bias[rows, None]

    def backward(
        self, grad_y: Array, all_reduce: AllReduce | None, out: Array | None
    ) -> tuple[Array, Array, Array]:
        x, xp = self.x, array_module(self.x)
        c, m = x.shape
        g = grad_y.astype(x.dtype, copy=False).reshape(c, -1)
        grad_x = flat_destination(x, self.shape, out)
        ones = xp.ones(m, dtype=x.dtype)
        sums = xp.empty((2, c), dtype=x.dtype)  # of grad_y, and of grad_y·(x normalised)
        share = xp.empty((2, c), dtype=x.dtype)  # of every value in them, over the whole batch
        reduce = all_reduce if self.training else None
        for blocks in _rounds(c, m * x.itemsize, xp, reduce is not None):
            span = slice(blocks[0].start, blocks[-1].stop)
            for rows in blocks:
                sums[0, rows] = g[rows] @ ones
                far = x[rows] - self.mean[rows, None]
                sums[1, rows] = _dots(g[rows], far) * self.inverse[rows]
            if self.training:
                total = sums[:, span]
                if reduce is not None:
                    total = reduce(total.reshape(-1)).reshape(2, -1)
                share[:, span] = total / self.count
            for rows in blocks:
                self._gradient(rows, g, grad_x, share)
        return grad_x.reshape(self.shape), sums[1], sums[0]

    def _gradient(self, rows: slice, g: Array, grad_x: Array, share: Array) -> None:
        """grad_x = weight·inverse·(g - mean of g - normalised x · mean of g·(normalised x))."""
        xp, part, scale = array_module(g), grad_x[rows], self.inverse[rows]
        if self.training:
            far = self.x[rows] - self.mean[rows, None]
            far *= (share[1, rows] * scale)[:, None]
            xp.subtract(g[rows], far, out=part)
            part -= share[0, rows, None]
        else:
            part[...] = g[rows]
        if self.weight is not None:
            scale = scale * self.weight[rows]
        part *= scale[:, None]
