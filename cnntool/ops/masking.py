"""Dropout: zero a random share of the numbers in training, scale the others up.

Which numbers are zeroed is no state but a function: a 32-bit hash of (seed, step, number of the
image, place in the image). So a run can be repeated from its seed and step, a batch that is split
over threads drops what the whole batch would, and a GPU drops what a CPU does, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError
from cnntool.ops.buffers import Backward, as_float, bits_type, destination
from cnntool.ops.hashing import counted, key, mix

BLOCK = 1 << 16
"""Hashes computed at a time on a CPU: two arrays of them stay in the second-level cache."""


def _blocks(xp: Any, features: int, n: int) -> list[slice]:
    """Rows of (features, n) that are hashed at a time; all at once on a device."""
    height = features if xp is not np else max(1, BLOCK // max(n, 1))
    return [slice(top, min(top + height, features)) for top in range(0, features, max(height, 1))]


def kept(
    xp: Any, shape: tuple[int, ...], p: float, *, seed: int, step: int = 0, offset: int = 0
) -> Array:
    """Which numbers dropout keeps.

    Args:
        xp: The library of the result.
        shape: (C, H, W, N) or (features, N).
        p: Share that is dropped, 0 to 1; its granularity is 2^-32.
        seed: Any whole number; different for each layer of a network and each run.
        step: Any whole number; different for each training step.
        offset: Number of the first image within the whole batch.

    Shape:
        ``shape``, booleans.

    Example:
        >>> whole = kept(np, (5, 4), 0.5, seed=1, step=7)
        >>> part = kept(np, (5, 2), 0.5, seed=1, step=7, offset=2)
        >>> bool((whole[:, 2:] == part).all())
        True
    """
    features, n = prod(shape[:-1]), shape[-1]
    places = counted(xp, 0, features, key(seed, step, 0), whole=False)[:, None]
    images = counted(xp, offset, n, key(seed, step, 1), whole=False)[None, :]
    blocks = _blocks(xp, features, n)
    height = blocks[0].stop if blocks else 0
    hashes, scratch = (xp.empty((height, n), dtype=np.uint32) for _ in range(2))
    keep = xp.empty((features, n), dtype=bool)
    threshold = np.uint32(min(round(p * 2**32), 2**32 - 1))
    for rows in blocks:
        count = rows.stop - rows.start
        h = hashes[:count]
        xp.bitwise_xor(places[rows], images, out=h)
        mix(xp, h, scratch[:count], whole=False)
        xp.greater_equal(h, threshold, out=keep[rows])
    return keep.reshape(shape)


def _check(p: float) -> None:
    if not 0 <= p <= 1:
        raise OptionError(f"the share that dropout zeroes must be between 0 and 1, got {p}")


def dropout(
    x: Array,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: int,
    step: int = 0,
    offset: int = 0,
    out: Array | None = None,
) -> Array:
    """A random share p of the numbers zeroed, the others divided by 1 - p.

    The mean stays what it was, so prediction needs no scaling.

    Args:
        x: Maps or features.
        p: Share that is zeroed, 0 to 1. 0 changes nothing, 1 zeroes everything.
        training: Nothing is dropped if this is False.
        seed: Any whole number; different for each layer of a network and each run.
        step: Any whole number; different for each training step.
        offset: Number of x's first image within the whole batch, for one that is split.
        out: Where to put the result; may be ``x``, which is then overwritten.

    Shape:
        (C, H, W, N) or (features, N), unchanged. float64 stays, smaller types become float32.

    Raises:
        OptionError: ``p`` is no share.
        ShapeError: ``out`` does not have the result's shape and type.

    References:
        Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from overfitting.
        The hash: Wellons 2018, Prospecting for hash functions (the constants found by
        TheIronBorn), its last shift left out.

    Example:
        >>> dropout(np.ones((2, 5), np.float32), 0.5, seed=3)
        array([[2., 2., 2., 2., 0.],
               [0., 2., 2., 2., 0.]], dtype=float32)
    """
    _check(p)
    return _dropped(x, p, training, seed, step, offset, out)[0]


def dropout_vjp(
    x: Array,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: int,
    step: int = 0,
    offset: int = 0,
    out: Array | None = None,
) -> tuple[Array, Backward]:
    """:func:`dropout` and its gradient: zero where x was dropped, else divided by 1 - p.

    It keeps one byte a number, and neither x nor y.

    Example:
        >>> y, backward = dropout_vjp(np.ones((1, 6)), 0.5, seed=1)
        >>> bool((backward(np.ones((1, 6))) == y).all())
        True
    """
    _check(p)
    y, apply = _dropped(x, p, training, seed, step, offset, out)

    def backward(grad_y: Array, *, out: Array | None = None) -> Array:
        return apply(as_float(grad_y), out)

    return y, backward


def _dropped(
    x: Array, p: float, training: bool, seed: int, step: int, offset: int, out: Array | None
) -> tuple[Array, Callable[[Array, Array | None], Array]]:
    """The result, and what made it of x: it makes grad_x of grad_y just so."""
    xp = array_module(x)
    everything = not training or p == 0
    keep = None if everything or p == 1 else kept(
        xp, x.shape, p, seed=seed, step=step, offset=offset
    )  # fmt: skip

    def apply(values: Array, out: Array | None) -> Array:
        result = destination(values, out)
        if everything:
            result[...] = values
        elif keep is None:
            result[...] = 0
        else:
            xp.multiply(values, 1 / (1 - p), out=result)
            bits = result.view(bits_type(result))
            bits *= keep
        return result

    return apply(as_float(x), out), apply
