"""What every layer must keep, and cases of every word of the language with their results by loops.

Sizes differ from each other in every case, so that no two can be exchanged unseen. The loops get
numbers of their own, not those that the package read from the text.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import reference
import reference_nn as loops

from cnntool.nn import parse, trace
from cnntool.nn.gradcheck import spaced
from cnntool.nn.layers.table import LAYER_TYPES
from cnntool.nn.run import Run

NO_SIDES = (0, 0, 0, 0)
ONE = (1, 1)


@dataclass(frozen=True)
class LayerCase:
    """A layer and what it does.

    Attributes:
        text: The layer as users write it.
        shape: Of one input.
        loops: Its output in prediction, from the input and the layer's arrays by name.
        images: Inputs at a time.
        gap: Distance of neighbouring numbers of the input; what is below bends in between.
    """

    text: str
    shape: tuple[int, ...]
    loops: Callable[..., np.ndarray] = field(repr=False)
    images: int = 2
    gap: float = 0.05

    @property
    def word(self):
        return self.text.split()[0]

    @property
    def row(self):
        return trace(parse(self.text), self.shape).rows[0]

    def layer(self, *, first=False):
        return LAYER_TYPES[self.word](self.row, first=first)

    def input(self, rng, images=None):
        return spaced(rng, (*self.shape, images or self.images), self.gap)

    def arrays(self, rng):
        """Parameters and buffers by the layer's own names."""
        row, found = self.row, {}
        for tensor in (*row.parameters, *row.buffers):
            found[tensor.name] = rng.standard_normal(tensor.shape) / 2
            if tensor.name == "running_var":
                found[tensor.name] = rng.uniform(0.5, 2, tensor.shape)
        return found


def each_number(function):
    def compute(x):
        return np.array([function(float(v)) for v in x.ravel()]).reshape(x.shape)

    return compute


def relu_leak(slope):
    return each_number(lambda v: v if v > 0 else slope * v)


def softmax(x):
    y = np.zeros(x.shape)
    for place in loops.places(x.shape[1:]):
        at = (slice(None), *place)
        y[at] = loops.shares([float(v) for v in x[at]])
    return y


def conv(x, weight, bias=None, *, stride=ONE, sides=NO_SIDES, **more):
    return loops.conv2d(x, weight, bias, stride, sides, **more)


def deep(x, weight, bias=None, *, stride=ONE, sides=NO_SIDES, step):
    return loops.deep_conv2d(x, weight, bias, stride, sides, step)


def deconv(x, weight, bias=None, *, stride=ONE, sides=NO_SIDES, more=(0, 0), groups=1, gap=ONE):
    return loops.conv_transpose2d(x, weight, bias, stride, sides, more, groups, gap)


def depthwise(x, weight, bias=None, **options):
    return conv(x, weight, bias, groups=len(x), **options)


def separable(x, **arrays):
    options = {name: arrays.pop(name) for name in tuple(arrays) if "." not in name}
    filtered = depthwise(x, arrays["depthwise.weight"], arrays.get("depthwise.bias"), **options)
    return conv(filtered, arrays["pointwise.weight"], arrays.get("pointwise.bias"))


def local(x, weight, bias=None, *, stride=ONE, sides=NO_SIDES, dilation=ONE, mode="zeros"):
    x = loops.framed(x, sides, mode)
    return loops.local_conv2d(x, weight, bias, stride, NO_SIDES, dilation)


def deform(x, weight, bias=None, *, stride=ONE, sides=NO_SIDES, dilation=ONE, **offsets):
    moved = offsets.get("offset")
    if moved is None:
        moved = conv(
            x, offsets["offset.weight"], offsets["offset.bias"],
            stride=stride, sides=sides, dilation=dilation,
        )  # fmt: skip
    return loops.deform_conv2d(x, moved, weight, bias, stride, sides, dilation)


def pool(kind, kernel, stride, **options):
    return lambda x: loops.side_pool2d(x, kind, kernel, stride, **options)


def adaptive(kind, size):
    return lambda x: reference.adaptive_pool2d(x, kind, size)[0]


def enlarged(factor, mode):
    def compute(x):
        size = x.shape[1] * factor[0], x.shape[2] * factor[1]
        return reference.interpolate(x, size, mode)

    return compute


def batch_norm(x, weight, bias, running_mean, running_var, *, eps=1e-5):
    return loops.batch_norm(x, weight, bias, eps, running_mean, running_var)[0]


def reordered(shape):
    """The same numbers one after another: channel, row, column."""

    def compute(x):
        y = np.zeros((*shape, x.shape[-1]))
        for number, place in enumerate(loops.places(shape)):
            rest, at = number, []
            for size in reversed(x.shape[:-1]):
                at.insert(0, rest % size)
                rest //= size
            y[place] = x[tuple(at)]
        return y

    return compute


def unchanged(x):
    return x


CONV_CASES = (
    LayerCase("conv 3 2x3", (2, 4, 6), conv),
    LayerCase("conv 5 1", (3, 2, 4), conv),
    LayerCase(
        "conv 4 3x2 2x1 pad=1:0:2:1 dilation=1x2 groups=2 bias=no", (6, 5, 4),
        partial(conv, stride=(2, 1), sides=(1, 0, 2, 1), dilation=(1, 2), groups=2),
    ),
    LayerCase("conv 2 3 2 pad=same", (1, 4, 7), partial(conv, stride=(2, 2), sides=(0, 1, 1, 1))),
    LayerCase(
        "conv 2 3 pad=1x2 padmode=reflect", (3, 4, 5),
        partial(conv, sides=(1, 2, 1, 2), mode="reflect"),
    ),
    LayerCase(
        "conv 2 2x3 pad=2:1:0:3 padmode=circular", (1, 3, 4),
        partial(conv, sides=(2, 1, 0, 3), mode="circular"),
    ),
    LayerCase("conv 2 2 pad=1 padmode=max", (3, 2, 4), partial(conv, sides=(1,) * 4, mode="max")),
    LayerCase(
        "conv 2 2 pad=2 padmode=replicate", (3, 1, 4),
        partial(conv, sides=(2,) * 4, mode="replicate"),
    ),
    LayerCase(
        "conv 3 2x1 1x2 depth=2 dstride=2 pad=0:1:1:0", (7, 3, 4),
        partial(deep, stride=(1, 2), sides=(0, 1, 1, 0), step=2),
    ),
    LayerCase("conv 2 3 depth=1 bias=no", (3, 5, 4), partial(deep, step=1)),
)  # fmt: skip

WINDOWED_CASES = (
    LayerCase("deconv 4 2x3", (3, 2, 5), deconv),
    LayerCase(
        "deconv 4 3x2 3x2 pad=1:0:2:1 outpad=2x1 dilation=1x3 groups=2 bias=no", (6, 3, 2),
        partial(
            deconv, stride=(3, 2), sides=(1, 0, 2, 1), more=(2, 1), groups=2, gap=(1, 3)
        ),
    ),
    LayerCase(
        "deconv 2 1x4 3x1 pad=same", (1, 2, 5),
        partial(deconv, stride=(3, 1), sides=(0, 2, 0, 1), more=(2, 0)),
    ),
    LayerCase("depthwise 2x3", (3, 4, 5), depthwise),
    LayerCase(
        "depthwise 3x2 2x1 pad=1:0:2:3 padmode=circular dilation=1x2 bias=no", (2, 4, 3),
        partial(
            depthwise, stride=(2, 1), sides=(1, 0, 2, 3), mode="circular", dilation=(1, 2)
        ),
    ),
    LayerCase("separable 5 2x3", (3, 4, 6), separable),
    LayerCase(
        "separable 2 3x2 2 pad=same padmode=reflect dilation=1x2 bias=no", (4, 6, 5),
        partial(separable, stride=(2, 2), sides=(0, 1, 1, 1), mode="reflect", dilation=(1, 2)),
    ),
    LayerCase("local 3 2x3", (2, 4, 5), local),
    LayerCase(
        "local 2 3x2 2x1 pad=1:0:2:1 dilation=1x2 bias=no", (3, 4, 5),
        partial(local, stride=(2, 1), sides=(1, 0, 2, 1), dilation=(1, 2)),
    ),
    LayerCase(
        "local 2 3 pad=same padmode=max", (1, 3, 4), partial(local, sides=(1,) * 4, mode="max")
    ),
    LayerCase(
        "local 3 2x3 pad=1:3:0:2 padmode=replicate", (2, 3, 4),
        partial(local, sides=(1, 3, 0, 2), mode="replicate"),
    ),
    LayerCase("deform 3 2x3", (2, 4, 5), deform),
    LayerCase(
        "deform 4 3x2 2x1 pad=1:0:2:1 dilation=1x2 groups=2 bias=no", (6, 4, 5),
        partial(deform, stride=(2, 1), sides=(1, 0, 2, 1), dilation=(1, 2)),
    ),
    LayerCase(
        "deform 4 2x3 pad=same groups=2 offsets=learned", (6, 3, 4),
        partial(deform, sides=(0, 1, 1, 1)),
    ),
    LayerCase("deform 2 2 2x1 offsets=learned bias=no", (3, 5, 4), partial(deform, stride=(2, 1))),
)  # fmt: skip

POOL_CASES = (
    LayerCase("maxpool 2", (3, 4, 7), pool("max", (2, 2), (2, 2))),
    LayerCase(
        "maxpool 3x2 2x1 pad=1:0:1:1 ceil=yes", (2, 6, 5),
        pool("max", (3, 2), (2, 1), sides=(1, 0, 1, 1), ceil=True),
    ),
    LayerCase(
        "maxpool 2x3 1x2 pad=1 dilation=2x1 depth=2 dstride=3", (6, 5, 4),
        pool("max", (2, 3), (1, 2), sides=(1,) * 4, dilation=(2, 1), depth=2, step=3),
    ),
    LayerCase(
        "maxpool 4x3 3 pad=same depth=2 ceil=yes", (5, 7, 8),
        pool("max", (4, 3), (3, 3), sides=(1, 1, 2, 0), depth=2, ceil=True),
    ),
    LayerCase("avgpool 2x3", (3, 5, 6), pool("avg", (2, 3), (2, 3))),
    LayerCase(
        "avgpool 3x2 2x3 pad=1x1 dilation=1x2 ceil=yes", (2, 6, 5),
        pool("avg", (3, 2), (2, 3), sides=(1,) * 4, dilation=(1, 2), ceil=True),
    ),
    LayerCase(
        "avgpool 3x2 2x3 pad=1x1 ceil=yes countpad=no", (2, 6, 5),
        pool("avg", (3, 2), (2, 3), sides=(1,) * 4, ceil=True, countpad=False),
    ),
    LayerCase(
        "avgpool 3x4 2x3 pad=0:2:1:1 ceil=yes", (2, 5, 7),
        pool("avg", (3, 4), (2, 3), sides=(0, 2, 1, 1), ceil=True),
    ),
    LayerCase(
        "avgpool 3x4 2x3 pad=1:2:0:1 ceil=yes countpad=no depth=2 dstride=1", (3, 6, 7),
        pool(
            "avg", (3, 4), (2, 3), sides=(1, 2, 0, 1), ceil=True, countpad=False, depth=2, step=1
        ),
    ),
    LayerCase("sumpool 2x3 1x2", (3, 4, 7), pool("sum", (2, 3), (1, 2))),
    LayerCase(
        "sumpool 2 3x1 pad=same dilation=1x3 depth=3 dstride=2 ceil=yes", (4, 5, 7),
        pool(
            "sum", (2, 2), (3, 1), sides=(0, 2, 0, 1), dilation=(1, 3), depth=3, step=2, ceil=True
        ),
    ),
    LayerCase("adaptiveavgpool 2x3", (3, 5, 7), adaptive("avg", (2, 3))),
    LayerCase("adaptiveavgpool 4x6", (2, 3, 5), adaptive("avg", (4, 6))),
    LayerCase("globalavgpool", (3, 5, 4), adaptive("avg", (1, 1))),
    LayerCase("globalavgpool", (4, 1, 2), adaptive("avg", (1, 1)), images=3),
    LayerCase("globalmaxpool", (3, 5, 4), adaptive("max", (1, 1))),
    LayerCase("globalmaxpool", (4, 1, 2), adaptive("max", (1, 1)), images=3),
)  # fmt: skip

OTHER_CASES = (
    LayerCase("upsample 2x3", (2, 3, 4), enlarged((2, 3), "nearest")),
    LayerCase("upsample 3x2 mode=bilinear", (2, 4, 3), enlarged((3, 2), "bilinear")),
    LayerCase("upsample 1", (3, 2, 4), unchanged),
    LayerCase("batchnorm", (3, 4, 5), batch_norm),
    LayerCase("batchnorm eps=0.1 momentum=0.3", (5,), partial(batch_norm, eps=0.1), images=4),
    LayerCase("lrn 3", (5, 2, 4), lambda x: loops.local_response_norm(x, 3, 1e-4, 0.75, 1)),
    LayerCase(
        "lrn 4 alpha=0.5 beta=0.6 k=2", (3, 4, 5),
        lambda x: loops.local_response_norm(x, 4, 0.5, 0.6, 2),
    ),
    LayerCase("pad 0:1:2:3", (2, 4, 5), lambda x: loops.framed(x, (0, 1, 2, 3))),
    LayerCase(
        "pad 2:0:1:3 padmode=reflect", (2, 3, 4),
        lambda x: loops.framed(x, (2, 0, 1, 3), "reflect"),
    ),
    LayerCase("pad 1 padmode=max", (2, 3, 4), lambda x: loops.framed(x, (1,) * 4, "max")),
    LayerCase("relu", (3, 4, 5), relu_leak(0)),
    LayerCase("relu", (7,), relu_leak(0), images=3),
    LayerCase("relu6", (3, 4, 5), each_number(lambda v: min(max(v, 0.0), 6.0)), gap=0.15),
    LayerCase("relu6", (9,), each_number(lambda v: min(max(v, 0.0), 6.0)), gap=0.9),
    LayerCase("leakyrelu 0.2", (3, 4, 5), relu_leak(0.2)),
    LayerCase("leakyrelu 3", (7,), relu_leak(3), images=3),
    LayerCase("leakyrelu 0", (7,), relu_leak(0), images=3),
    LayerCase("sigmoid", (3, 4, 5), each_number(lambda v: 1 / (1 + math.exp(-v)))),
    LayerCase("sigmoid", (7,), each_number(lambda v: 1 / (1 + math.exp(-v))), images=3),
    LayerCase("tanh", (3, 4, 5), each_number(math.tanh)),
    LayerCase("tanh", (7,), each_number(math.tanh), images=3),
    LayerCase("softmax", (3, 4, 5), softmax),
    LayerCase("softmax", (7,), softmax, images=3),
    LayerCase("dropout 0.4", (3, 4, 5), unchanged),
    LayerCase("dropout 0", (7,), unchanged, images=3),
    LayerCase("flatten", (2, 3, 4), reordered((24,))),
    LayerCase("flatten", (5,), unchanged, images=3),
    LayerCase("reshape 2x5x3", (3, 2, 5), reordered((2, 5, 3))),
    LayerCase("reshape 1x2x4", (8,), reordered((1, 2, 4)), images=3),
    LayerCase("dense 4", (6,), loops.linear, images=3),
    LayerCase("dense 5 bias=no", (3,), loops.linear),
)  # fmt: skip

LAYER_CASES = (*CONV_CASES, *WINDOWED_CASES, *POOL_CASES, *OTHER_CASES)


class Passes:
    """One case on one array library: its arrays, and passes through its layer.

    Attributes:
        layer: The layer.
        x: Its input.
        arrays: Its parameters and buffers by their own names, on the host.
    """

    def __init__(self, case, library, rng, dtype=np.float64, *, first=False):
        self.library, self.dtype = library, dtype
        self.layer = case.layer(first=first)
        self.host_x, self.arrays = case.input(rng), case.arrays(rng)
        self.x = self.to_device(self.host_x)
        self.parameters = [tensor.name for tensor in case.row.parameters]

    def to_device(self, a):
        return self.library.to_device(a.astype(self.dtype))

    def run(self, **options):
        """A pass, with memory for gradients if it trains; statistics are not recorded."""
        name = self.layer.name
        tensors = {f"{name}.{own}": self.to_device(a) for own, a in self.arrays.items()}
        gradients = None
        if options.get("training"):
            gradients = {
                f"{name}.{own}": self.to_device(np.full(self.arrays[own].shape, np.nan))
                for own in self.parameters
            }
        return Run(
            tensors=tensors, gradients=gradients, keeps_statistics=False, seed=5, step=3, **options
        )

    def gradients(self, run):
        """Gradients of the parameters after a pass, on the host."""
        name = self.layer.name
        return [self.library.to_host(run.gradients[f"{name}.{own}"]) for own in self.parameters]

    def predict(self, x=None):
        """The output in prediction, on the host."""
        y, backward = self.layer.forward(self.x if x is None else x, self.run())
        assert backward is None
        return self.library.to_host(y)

    def vjp(self, x, *parameters, **options):
        """Forward and backward as the gradient check wants it; on the host."""
        arrays = self.arrays
        self.arrays = arrays | dict(zip(self.parameters, parameters, strict=True))
        run = self.run(**options)
        self.arrays = arrays
        y, backward = self.layer.forward(x, run)

        def both(grad_y):
            grad_x = backward(grad_y.copy())  # it may overwrite what it is given
            return grad_x, *(self.gradients(run) if run.gradients else [None] * len(parameters))

        return y, both
