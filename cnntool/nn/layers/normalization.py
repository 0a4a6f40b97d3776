"""Normalisation: over the batch, and across neighbouring maps."""

from __future__ import annotations

from cnntool import ops
from cnntool.backend import Array, array_module
from cnntool.nn.layer import Backward, FixedLayer, Layer, settings_of
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.run import Run


def _reusable(grad: Array) -> Array | None:
    """The gradient's memory for the answer, if it is one block without gaps."""
    return grad if grad.flags.c_contiguous else None


class BatchNorm(Layer):
    """Every map (or number of a vector) to mean 0 and variance 1, then scaled and shifted.

    In training with the statistics of the whole batch, of which one shard keeps a record; in
    prediction with that record.
    """

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        given = settings_of(row)
        self.eps, self.momentum = given.real("eps"), given.real("momentum")

    def folded(self, run: Run) -> tuple[Array, Array]:
        """Factor and summand of every map that it comes to in prediction."""
        weight, bias, mean, variance = (
            self.tensor(run, name) for name in ("weight", "bias", "running_mean", "running_var")
        )
        factor = weight / array_module(variance).sqrt(variance + variance.dtype.type(self.eps))
        return factor, bias - mean * factor

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`Layer.forward`; training changes the running statistics in place."""
        recorded = not run.training or run.keeps_statistics
        mean = self.tensor(run, "running_mean") if recorded else None
        variance = self.tensor(run, "running_var") if recorded else None
        weight, bias = self.tensor(run, "weight"), self.tensor(run, "bias")
        if not run.needs_gradients:
            y = ops.batch_norm(x, mean, variance, weight, bias, False, self.momentum, self.eps)
            return y, None
        y, vjp = ops.batch_norm_vjp(
            x, mean, variance, weight, bias, run.training, self.momentum, self.eps,
            all_reduce=run.all_reduce,
        )  # fmt: skip

        def backward(grad: Array) -> Array | None:
            grad_x, grad_weight, grad_bias = vjp(grad, out=_reusable(grad))
            self.put(run, "weight", grad_weight)
            self.put(run, "bias", grad_bias)
            return grad_x if self.wants_input_gradient(run) else None

        return y, backward


class LocalResponseNorm(FixedLayer):
    """Every value divided by a power of the mean square of its neighbouring maps."""

    def __init__(self, row: LayerRow, *, first: bool = False) -> None:
        super().__init__(row, first=first)
        given = settings_of(row)
        self.size = given.whole("size")
        self.alpha, self.beta, self.k = (given.real(name) for name in ("alpha", "beta", "k"))

    def _value(self, x: Array, run: Run) -> Array:
        return ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def _value_vjp(self, x: Array, run: Run) -> tuple[Array, Backward]:
        y, backward = ops.local_response_norm_vjp(x, self.size, self.alpha, self.beta, self.k)
        return y, lambda grad: backward(grad, out=_reusable(grad))
