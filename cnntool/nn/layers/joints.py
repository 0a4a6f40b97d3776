"""Layers one after another, and side by side: sums, stacks, and the way down and up again.

On the way back a gradient that goes several ways must be told apart, because each way may overwrite
what it gets: parts of a stack lie apart anyway, and a sum gives a copy to all but the last. Where
one way does not want its input's gradient, none of them does, and None comes out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from cnntool import ops
from cnntool.backend import Array, array_module
from cnntool.nn.layer import Backward
from cnntool.nn.layer_rows import LayerRow
from cnntool.nn.run import Run
from cnntool.ops import memory
from cnntool.ops.activations import masked_by


class Block(Protocol):
    """A layer, or several that are joined."""

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`cnntool.nn.layer.Layer.forward`."""
        ...


class Sequence:
    """Layers one after another; without any, its input comes out.

    Attributes:
        parts: The layers.

    Example:
        >>> import numpy as np
        >>> from cnntool.nn import parse, trace
        >>> from cnntool.nn.layers.activations import Relu, Tanh
        >>> rows = trace(parse("relu | tanh"), (2,)).rows
        >>> net = Sequence([Relu(rows[0]), Tanh(rows[1])])
        >>> y, backward = net.forward(np.array([[-1.0], [0.5]]), Run(tensors={}, training=True))
        >>> y.round(3).tolist(), backward(np.ones((2, 1))).round(3).tolist()
        ([[0.0], [0.462]], [[0.0], [0.786]])
    """

    def __init__(self, parts: Iterable[Block]) -> None:
        self.parts = tuple(parts)

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """The output of the last layer, and the way back through all.

        What a layer kept is let go as soon as the gradient has passed it, so the way back can be
        taken once. It ends where a layer says that nothing before it wants a gradient.
        """
        steps: list[Backward] = []
        for part in self.parts:
            x, step = part.forward(x, run)
            if step is not None:
                steps.append(step)
        if not run.needs_gradients:
            return x, None
        return x, _Way(steps)


class _Way:
    """Gradients of layers one after another, taken once from the last to the first."""

    def __init__(self, steps: list[Backward]) -> None:
        self._steps: list[Backward] | None = steps

    def __call__(self, grad: Array) -> Array | None:
        steps, self._steps = self._steps, None
        if steps is None:
            raise RuntimeError("the way back is gone: it can be taken once, call forward again")
        found: Array | None = grad
        del grad
        while steps and found is not None:
            found = steps.pop()(found)
        return found


class Residual:
    """The sum of a main branch and a shortcut.

    Attributes:
        row: The row of the sum.
        main: The main branch.
        shortcut: The other; None adds the input itself.
        relu: Whether a ReLU follows.
    """

    def __init__(
        self, row: LayerRow, main: Block, shortcut: Block | None = None, *, relu: bool = False
    ) -> None:
        self.row, self.main, self.shortcut, self.relu = row, main, shortcut, relu

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`cnntool.nn.layer.Layer.forward`."""
        main, main_back = self.main.forward(x, run)
        short, short_back = x, None
        if self.shortcut is not None:
            short, short_back = self.shortcut.forward(x, run)
        # a new array: a branch may keep its output for the way back, or give a view of its input
        xp = array_module(main)
        y = xp.add(main, short, out=memory.empty(xp, main.shape, main.dtype))
        if self.relu:
            ops.relu(y, out=y)
        if main_back is None:
            return y, None

        def backward(grad: Array) -> Array | None:
            if self.relu:
                grad = masked_by(y, grad, out=grad)
            through = main_back(_copy(grad))
            beside = grad if short_back is None else short_back(grad)
            return _sum([through, beside])

        return y, backward


class Concat:
    """Branches that read the same input, their maps in one stack.

    Attributes:
        row: The row of the stack.
        branches: Top of the stack first.
    """

    def __init__(self, row: LayerRow, branches: Iterable[Block]) -> None:
        self.row, self.branches = row, tuple(branches)

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`cnntool.nn.layer.Layer.forward`."""
        ends = [branch.forward(x, run) for branch in self.branches]
        y = _stack([part for part, _ in ends])
        if not run.needs_gradients:
            return y, None
        ways = [(part.shape[0], way) for part, way in ends]
        del ends

        def backward(grad: Array) -> Array | None:
            found, first = [], 0
            for count, way in ways:
                found.append(None if way is None else way(grad[first : first + count]))
                first += count
            return _sum(found)

        return y, backward


class Skip:
    """The input's maps in front of those of what it holds.

    Attributes:
        row: The row of the stack.
        body: What it holds.
    """

    def __init__(self, row: LayerRow, body: Block) -> None:
        self.row, self.body = row, body

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`cnntool.nn.layer.Layer.forward`."""
        below, back = self.body.forward(x, run)
        y = _stack([x, below])
        if back is None:
            return y, None
        count = x.shape[0]

        def backward(grad: Array) -> Array | None:
            return _sum([back(grad[count:]), grad[:count]])

        return y, backward


class Pooled:
    """Max pooling that stores positions, a body, and unpooling to these positions.

    Attributes:
        row: The row of the unpooling.
        pool_row: The row of the pooling.
        kernel: Rows and columns of its window, which is also the stride.
        body: What runs at the smaller size.

    References:
        Badrinarayanan, Kendall, Cipolla 2017, SegNet, section 3.
    """

    def __init__(self, pool_row: LayerRow, unpool_row: LayerRow, body: Block) -> None:
        if pool_row.facts.kernel is None:
            raise TypeError(f"{pool_row.name} is no pooling")
        self.row, self.pool_row, self.body = unpool_row, pool_row, body
        self.kernel = pool_row.facts.kernel

    def forward(self, x: Array, run: Run) -> tuple[Array, Backward | None]:
        """See :meth:`cnntool.nn.layer.Layer.forward`."""
        size = x.shape[1:3]
        if not run.needs_gradients:
            small, places = ops.max_pool2d(x, self.kernel, return_indices=True)
            found, _ = self.body.forward(small, run)
            return ops.max_unpool2d(found, places, size), None
        (small, places), pool_back = ops.max_pool2d_vjp(x, self.kernel, return_indices=True)
        found, back = self.body.forward(small, run)
        y, unpool_back = ops.max_unpool2d_vjp(found, places, size)

        def backward(grad: Array) -> Array | None:
            inner = unpool_back(grad)
            if back is not None:
                inner = back(inner)
            return None if inner is None else pool_back(inner)

        return y, backward


def _copy(grad: Array) -> Array:
    copy = memory.empty(array_module(grad), grad.shape, grad.dtype)
    copy[...] = grad
    return copy


def _stack(parts: list[Array]) -> Array:
    """Maps (or vectors) one behind the other, in a new array."""
    last = parts[-1]
    count = sum(part.shape[0] for part in parts)
    y = memory.empty(array_module(last), (count, *last.shape[1:]), last.dtype)
    first = 0
    for part in parts:
        y[first : first + part.shape[0]] = part
        first += part.shape[0]
    return y


def _sum(gradients: list[Array | None]) -> Array | None:
    """Gradients of one input summed into the first; None if one of them is."""
    total, *others = gradients
    for gradient in others:
        if total is None or gradient is None:
            return None
        total += gradient
    return total
