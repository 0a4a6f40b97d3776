"""Convolution, with what often follows it: ReLU and max pooling, done while it is in the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnntool import ops
from cnntool.backend import Array
from cnntool.nn.layer import Backward, Layer, padding_of, settings_of
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.layers.normalization import BatchNorm
from cnntool.nn.run import Run
from cnntool.ops.activations import masked_by
from cnntool.ops.fused import conv2d_relu_pool, conv2d_relu_pool_vjp


class Conv(Layer):
    """``conv``, and ``conv | relu`` or ``conv | relu | maxpool K`` as one.

    Attributes:
        relu: Whether a ReLU follows.
        pool: Windows of the max pool behind it; (1, 1) is none.
        bias: Whether there is one.
        window: Keywords of the operation.
        depth: Keywords for filters that slide along the maps; empty where they see all maps.
    """

    def __init__(
        self,
        row: LayerRow,
        *,
        first: bool = False,
        relu: bool = False,
        pool: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__(row, first=first)
        given = settings_of(row)
        self.relu, self.pool, self.bias = relu, pool, given.flag("bias")
        self.window: dict[str, Any] = {
            "stride": given.pair("stride"),
            "padding": padding_of(row),
            "dilation": given.pair("dilation"),
            "padding_mode": given.word("padmode"),
        }
        self.depth: dict[str, Any] = {}
        if given.whole("depth"):
            if relu:
                raise TypeError("filters that slide along the maps are not joined with a ReLU")
            self.depth = {"depth_stride": given.whole("dstride")}
        else:
            self.window["groups"] = given.whole("groups")

    def predict(self, x: Array, run: Run, norm: BatchNorm | None, relu: bool) -> Array:
        """The output with a batch normalisation behind it folded in; no gradients."""
        weight = self.tensor(run, "weight")
        bias = self.tensor(run, "bias") if self.bias else None
        scale = None
        if norm is not None:
            scale, shift = norm.folded(run)
            bias = shift if bias is None else bias * scale + shift
        return conv2d_relu_pool(
            x, weight, bias, **self.window, scale=scale, relu=relu, threads=run.threads
        )

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`Layer.forward`."""
        weight = self.tensor(run, "weight")
        bias = self.tensor(run, "bias") if self.bias else None
        options = self.window | (self.depth or {"relu": self.relu, "pool": self.pool})
        plain: Callable[..., Array] = ops.shallow_conv2d if self.depth else conv2d_relu_pool
        if not run.needs_gradients:
            return plain(x, weight, bias, **options, threads=run.threads), None
        vjp = ops.shallow_conv2d_vjp if self.depth else conv2d_relu_pool_vjp
        y, way = vjp(x, weight, bias, **options, need_input_grad=self.wants_input_gradient(run))

        def backward(grad: Array) -> Array | None:
            grad_x, *rest = way(grad)
            for name, gradient in zip(("weight", "bias"), rest, strict=False):
                self.put(run, name, gradient)
            return grad_x

        return y, backward


class NormalizedConv:
    """``conv | batchnorm`` or ``conv | batchnorm | relu`` as one.

    In prediction the normalisation is a factor and a summand, applied while the convolution's
    result is in the cache. In training it is a layer of its own, and ReLU works in place.

    Attributes:
        conv: The convolution.
        norm: The normalisation.
        relu: Whether a ReLU follows.
    """

    def __init__(self, conv: Conv, norm: BatchNorm, *, relu: bool) -> None:
        self.conv, self.norm, self.relu = conv, norm, relu

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`Layer.forward`."""
        if not run.needs_gradients:
            return self.conv.predict(x, run, self.norm, self.relu), None
        convolved, conv_back = self.conv.forward(x, run)
        y, norm_back = self.norm.forward(convolved, run)
        if self.relu:
            ops.relu(y, out=y)
        if conv_back is None or norm_back is None:
            return y, None

        def backward(grad: Array) -> Array | None:
            if self.relu:
                grad = masked_by(y, grad, out=grad)
            inner = norm_back(grad)
            return None if inner is None else conv_back(inner)

        return y, backward
