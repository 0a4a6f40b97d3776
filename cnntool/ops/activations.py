"""Activation functions: elementwise bends, and the softmax over channels.

Every gradient is computed from the result, not from the input, so an activation may work in place
(``out=x``) and a training step keeps one array instead of two. What is written over the result
before the gradient is asked for makes the gradient wrong.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from cnntool.backend import Array, array_module
from cnntool.errors import OptionError
from cnntool.ops import memory
from cnntool.ops.buffers import Backward, as_float, bits_type, destination


def relu(x: Array, *, out: Array | None = None) -> Array:
    """Negative numbers replaced by zero: max(x, 0); NaN stays.

    Args:
        x: Numbers of any shape and real type.
        out: Where to put the result; may be ``x``, which is then overwritten.

    Shape:
        Unchanged. float64 stays, smaller types become float32.

    Raises:
        ShapeError: ``out`` does not have the result's shape and type.

    Example:
        >>> relu(np.array([-2.0, 0.0, 3.0])).tolist()
        [0.0, 0.0, 3.0]
    """
    x = as_float(x)
    # with both limits it runs three times as fast as the maximum with zero (NumPy 2.4)
    return array_module(x).clip(x, 0, np.inf, out=destination(x, out))


def masked_by(y: Array, grad: Array, *, out: Array | None = None) -> Array:
    """``grad`` where y > 0, else 0: the gradient of ReLU from its result, of y's type.

    The sign bit of 0 - y, shifted over all bits, is a mask: three passes of 0.1 ns a number, less
    than comparing and multiplying, and infinite gradients are stopped too.

    Example:
        >>> masked_by(np.array([0.0, 2.0]), np.array([5.0, np.inf])).tolist()
        [0.0, inf]
    """
    xp, bits = array_module(y), bits_type(y)
    grad = grad.astype(y.dtype, copy=False)
    keep = memory.empty(xp, y.shape, bits)
    xp.subtract(y.dtype.type(0), y, out=keep.view(y.dtype))
    xp.right_shift(keep, bits(8 * keep.itemsize - 1), out=keep)
    target = destination(y, out)
    xp.bitwise_and(grad.view(bits), keep, out=target.view(bits))
    return target


def relu_vjp(x: Array, *, out: Array | None = None) -> tuple[Array, Backward]:
    """:func:`relu` and its gradient: that of y where y > 0, else 0 (at 0 too).

    Example:
        >>> y, backward = relu_vjp(np.array([-2.0, 0.0, 3.0]))
        >>> backward(np.ones(3)).tolist()
        [0.0, 0.0, 1.0]
    """
    y = relu(x, out=out)

    def backward(grad_y: Array, *, out: Array | None = None) -> Array:
        return masked_by(y, grad_y, out=out)

    return y, backward


def relu6(x: Array, *, out: Array | None = None) -> Array:
    """Numbers limited to 0…6. Arguments as for :func:`relu`.

    References:
        Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10.

    Example:
        >>> relu6(np.array([-2.0, 3.0, 8.0])).tolist()
        [0.0, 3.0, 6.0]
    """
    x = as_float(x)
    return array_module(x).clip(x, 0, 6, out=destination(x, out))


def relu6_vjp(x: Array, *, out: Array | None = None) -> tuple[Array, Backward]:
    """:func:`relu6` and its gradient: that of y where 0 < y < 6, else 0."""
    y = relu6(x, out=out)

    def backward(grad_y: Array, *, out: Array | None = None) -> Array:
        xp, bits = array_module(y), bits_type(y)
        inside = (y > 0) & (y < 6)
        grad = destination(y, out)
        xp.multiply(grad_y.astype(y.dtype, copy=False).view(bits), inside, out=grad.view(bits))
        return grad

    return y, backward


def _check_slope(slope: float) -> None:
    if not isfinite(slope):
        raise OptionError(f"negative_slope must be a finite number such as 0.01, got {slope}")


def leaky_relu(x: Array, negative_slope: float = 0.01, *, out: Array | None = None) -> Array:
    """Negative numbers multiplied by a small slope, others kept.

    Args:
        x: Numbers of any shape and real type.
        negative_slope: Factor of negative numbers; any finite number.
        out: Where to put the result; may be ``x``, which is then overwritten.

    Shape:
        Unchanged. float64 stays, smaller types become float32.

    Raises:
        OptionError: The slope is not finite.
        ShapeError: ``out`` does not have the result's shape and type.

    References:
        Maas, Hannun, Ng 2013, Rectifier nonlinearities improve neural network acoustic models.

    Example:
        >>> leaky_relu(np.array([-2.0, 0.0, 3.0]), 0.25).tolist()
        [-0.5, 0.0, 3.0]
    """
    _check_slope(negative_slope)
    if negative_slope == 0:
        return relu(x, out=out)
    x = as_float(x)
    xp = array_module(x)
    steep = xp.multiply(x, negative_slope)
    choose = xp.maximum if negative_slope <= 1 else xp.minimum
    return choose(x, steep, out=destination(x, out))


def leaky_relu_vjp(
    x: Array, negative_slope: float = 0.01, *, out: Array | None = None
) -> tuple[Array, Backward]:
    """:func:`leaky_relu` and its gradient: that of y where x > 0, else slope times it."""
    _check_slope(negative_slope)
    # a negative slope makes all results positive: only x tells the sides apart
    positive = x > 0 if negative_slope < 0 else None
    y = leaky_relu(x, negative_slope, out=out)

    def backward(grad_y: Array, *, out: Array | None = None) -> Array:
        xp = array_module(y)
        rising = y > 0 if positive is None else positive
        factor = xp.multiply(~rising, negative_slope, dtype=y.dtype)
        factor += rising
        return xp.multiply(grad_y, factor, out=factor if out is None else destination(y, out))

    return y, backward


def sigmoid(x: Array, *, out: Array | None = None) -> Array:
    """The logistic curve 1 / (1 + exp(-x)), precise for negative x too. See :func:`relu`.

    Below -87 (float32; -708 for float64) the result stays at about 1e-38 (1e-308), where the
    exponential function would overflow.

    Example:
        >>> sigmoid(np.array([-1e9, 0.0, 1e9])).round(6).tolist()
        [0.0, 0.5, 1.0]
    """
    x = as_float(x)
    xp = array_module(x)
    limit = -708 if x.dtype == np.float64 else -87
    y = xp.clip(x, limit, np.inf, out=destination(x, out))
    xp.negative(y, out=y)
    xp.exp(y, out=y)
    y += 1
    return xp.reciprocal(y, out=y)


def sigmoid_vjp(x: Array, *, out: Array | None = None) -> tuple[Array, Backward]:
    """:func:`sigmoid` and its gradient y·(1 - y)·grad_y."""
    y = sigmoid(x, out=out)

    def backward(grad_y: Array, *, out: Array | None = None) -> Array:
        slope = 1 - y
        slope *= y
        xp = array_module(y)
        return xp.multiply(slope, grad_y, out=slope if out is None else destination(y, out))

    return y, backward


def tanh(x: Array, *, out: Array | None = None) -> Array:
    """The hyperbolic tangent. Arguments as for :func:`relu`.

    Example:
        >>> tanh(np.array([-30.0, 0.0, 30.0])).tolist()
        [-1.0, 0.0, 1.0]
    """
    x = as_float(x)
    return array_module(x).tanh(x, out=destination(x, out))


def tanh_vjp(x: Array, *, out: Array | None = None) -> tuple[Array, Backward]:
    """:func:`tanh` and its gradient (1 - y²)·grad_y."""
    y = tanh(x, out=out)

    def backward(grad_y: Array, *, out: Array | None = None) -> Array:
        xp = array_module(y)
        slope = y * y
        xp.subtract(1, slope, out=slope)
        return xp.multiply(slope, grad_y, out=slope if out is None else destination(y, out))

    return y, backward


def _shifted(x: Array, axis: int, out: Array | None) -> tuple[Any, Array]:
    """The library, and x minus its largest number along the axis: no exponential overflows."""
    x = as_float(x)
    xp = array_module(x)
    return xp, xp.subtract(x, x.max(axis=axis, keepdims=True), out=destination(x, out))


def softmax(x: Array, axis: int = 0, *, out: Array | None = None) -> Array:
    """Shares of the classes: exp(x) divided by its sum over the classes.

    Args:
        x: Scores, one map a class.
        axis: Where the classes are; the channels by default.
        out: Where to put the result; may be ``x``, which is then overwritten.

    Shape:
        (K, …) unchanged. float64 stays, smaller types become float32.

    Raises:
        ShapeError: ``out`` does not have the result's shape and type.

    Example:
        >>> softmax(np.array([[1000.0], [1000.0], [-1000.0]]))[:, 0].tolist()
        [0.5, 0.5, 0.0]
    """
    xp, y = _shifted(x, axis, out)
    xp.exp(y, out=y)
    y /= y.sum(axis=axis, keepdims=True)
    return y


def softmax_vjp(x: Array, axis: int = 0, *, out: Array | None = None) -> tuple[Array, Backward]:
    """:func:`softmax` and its gradient y·(grad_y - Σ grad_y·y)."""
    y = softmax(x, axis, out=out)

    def backward(grad_y: Array, *, out: Array | None = None) -> Array:
        xp = array_module(y)
        mean = (grad_y * y).sum(axis=axis, keepdims=True)
        grad = xp.subtract(grad_y, mean, out=destination(y, out))
        grad *= y
        return grad

    return y, backward


def log_softmax(x: Array, axis: int = 0, *, out: Array | None = None) -> Array:
    """Logarithms of :func:`softmax`, precise where a share is too small for a float.

    Example:
        >>> log_softmax(np.array([[0.0], [-1000.0]]))[:, 0].tolist()
        [0.0, -1000.0]
    """
    xp, y = _shifted(x, axis, out)
    total = xp.exp(y).sum(axis=axis, keepdims=True)
    y -= xp.log(total, out=total)
    return y


def log_softmax_vjp(x: Array, axis: int = 0, *, out: Array | None = None) -> tuple[Array, Backward]:
    """:func:`log_softmax` and its gradient grad_y - exp(y)·Σ grad_y."""
    y = log_softmax(x, axis, out=out)

    def backward(grad_y: Array, *, out: Array | None = None) -> Array:
        xp = array_module(y)
        share = xp.exp(y)
        share *= grad_y.sum(axis=axis, keepdims=True)
        return xp.subtract(grad_y, share, out=share if out is None else destination(y, out))

    return y, backward
