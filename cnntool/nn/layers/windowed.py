"""Convolutions of every kind but the plain one: windows slide alike, weights differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cnntool import ops
from cnntool.backend import Array
from cnntool.geometry import deconv_same_padding
from cnntool.nn.layer import Backward, Layer, padding_of, settings_of
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.run import Run

Vjp = Callable[[Array], tuple[Array | None, ...]]
"""From a gradient to those of input, weight and, if there is one, bias."""


class _Windowed(Layer):
    """What they share.

    Attributes:
        window: Keywords of the operation: stride, padding (top, right, bottom, left), dilation.
        biased: Whether there is a bias.
    """

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        given = settings_of(row)
        self.biased = given.flag("bias")
        self.window: dict[str, Any] = {
            "stride": given.pair("stride"),
            "padding": padding_of(row),
            "dilation": given.pair("dilation"),
        }

    def weights(self, run: Run) -> tuple[Array, Array | None]:
        """Weights, and bias or None."""
        return self.tensor(run, "weight"), self.tensor(run, "bias") if self.biased else None

    def storing(self, vjp: Vjp, run: Run, part: str = "") -> Backward:
        """The way back through an operation that stores the gradients of its weights.

        Args:
            vjp: The operation's own.
            run: The pass.
            part: What stands before the names of weight and bias.
        """

        def backward(grad: Array) -> Array | None:
            grad_x, *rest = vjp(grad)
            self.put_weights(run, rest, part)
            return grad_x

        return backward

    def put_weights(self, run: Run, gradients: Sequence[Array | None], part: str = "") -> None:
        """Store gradients of a weight and, if there is one, of a bias."""
        for name, gradient in zip(("weight", "bias"), gradients, strict=False):
            self.put(run, f"{part}{name}", gradient)

    def convolved(
        self, x: Array, run: Run, part: str = "", *, bias: bool, wanted: bool, **options: Any
    ) -> tuple[Array, Backward | None]:
        """A convolution with weights of its own, and its way back.

        Args:
            x: Input maps.
            run: The pass.
            part: What stands before the names of its weight and bias.
            bias: Whether there is a bias.
            wanted: Whether the gradient of ``x`` is.
            **options: Of the operation.
        """
        weight = self.tensor(run, f"{part}weight")
        added = self.tensor(run, f"{part}bias") if bias else None
        if not run.needs_gradients:
            return ops.conv2d(x, weight, added, **options, threads=run.threads), None
        y, vjp = ops.conv2d_vjp(x, weight, added, **options, need_input_grad=wanted)
        return y, self.storing(vjp, run, part)


class Deconv(_Windowed):
    """Transposed convolution: every input adds its multiple of a kernel to the output."""

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        given = settings_of(row)
        rows, columns = given.pair("outpad")
        if given.sides("pad") == "same":
            rows, columns = (
                deconv_same_padding(*numbers)[2]
                for numbers in zip(
                    *(given.pair(name) for name in ("kernel", "stride", "dilation")), strict=True
                )
            )
        self.window |= {"output_padding": (rows, columns), "groups": given.whole("groups")}

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`Layer.forward`."""
        weight, bias = self.weights(run)
        if not run.needs_gradients:
            return ops.conv_transpose2d(x, weight, bias, **self.window), None
        y, vjp = ops.conv_transpose2d_vjp(
            x, weight, bias, **self.window, need_input_grad=self.wants_input_gradient(run)
        )
        return y, self.storing(vjp, run)


class Depthwise(_Windowed):
    """One filter a map."""

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        self.window |= {
            "padding_mode": settings_of(row).word("padmode"),
            "groups": row.input[0],
        }

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`Layer.forward`."""
        wanted = self.wants_input_gradient(run)
        return self.convolved(x, run, bias=self.biased, wanted=wanted, **self.window)


class Separable(Depthwise):
    """One filter a map, then a convolution of 1×1 that mixes the maps."""

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`Layer.forward`."""
        wanted = self.wants_input_gradient(run)
        filtered, filter_back = self.convolved(
            x, run, "depthwise.", bias=self.biased, wanted=wanted, **self.window
        )
        y, mix_back = self.convolved(filtered, run, "pointwise.", bias=self.biased, wanted=True)
        if filter_back is None or mix_back is None:
            return y, None
        return y, lambda grad: filter_back(mix_back(grad))


class Local(_Windowed):
    """Weights of its own at every position."""

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        self.mode = settings_of(row).word("padmode")
        # the operation itself pads with zeros only
        self.frame = padding_of(row) if self.mode != "zeros" else (0, 0, 0, 0)
        if any(self.frame):
            self.window["padding"] = 0

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`Layer.forward`."""
        weight, bias = self.weights(run)
        wanted = self.wants_input_gradient(run)
        unpad = None
        if any(self.frame) and run.needs_gradients and wanted:
            x, unpad = ops.pad_vjp(x, self.frame, self.mode)
        elif any(self.frame):
            x = ops.pad(x, self.frame, self.mode)
        if not run.needs_gradients:
            return ops.local_conv2d(x, weight, bias, **self.window), None
        y, vjp = ops.local_conv2d_vjp(x, weight, bias, **self.window, need_input_grad=wanted)
        backward = self.storing(vjp, run)
        return y, backward if unpad is None else lambda grad: unpad(backward(grad))


class Deform(_Windowed):
    """Taps that read beside their places: by learned offsets, or by some found in the input."""

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        self.predicted = settings_of(row).word("offsets") == "predicted"

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`Layer.forward`."""
        weight, bias = self.weights(run)  # the shape of the weights tells the groups
        wanted = self.wants_input_gradient(run)
        offset, offset_back = self._offsets(x, run, wanted)
        if offset_back is None:
            return ops.deform_conv2d(x, offset, weight, bias, **self.window), None
        y, vjp = ops.deform_conv2d_vjp(
            x, offset, weight, bias, **self.window, need_input_grad=wanted
        )

        def backward(grad: Array) -> Array | None:
            grad_x, grad_offset, *rest = vjp(grad)
            self.put_weights(run, rest)
            through = offset_back(grad_offset)
            if through is not None:
                grad_x += through
            return grad_x

        return y, backward

    def _offsets(self, x: Array, run: Run, wanted: bool) -> tuple[Array, Backward | None]:
        """Offsets of all taps, and the way of their gradient to what they come from."""
        if self.predicted:
            return self.convolved(x, run, "offset.", bias=True, wanted=wanted, **self.window)

        def store(grad: Array) -> None:
            self.put(run, "offset", grad)

        return self.tensor(run, "offset"), store if run.needs_gradients else None
