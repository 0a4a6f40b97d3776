"""Operators as other programs write them become layers, or one line that says why not."""

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper
from onnx_files import graph_file, node
from onnx_imports import W, layers, random, refusal

CASES = {
    "plain": ([node("Conv", "x w b", "y")], W, "conv 4 3"),
    "all settings": (
        [node("Conv", "x w", "y", strides=[2, 1], dilations=[1, 2], pads=[1, 0, 2, 3])], W,
        "conv 4 3 2x1 pad=1:3:2:0 dilation=1x2 bias=no",
    ),
    "same": ([node("Conv", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 2])], W,
             "conv 4 3 2 pad=same bias=no"),
    "same, odd pixel first": (
        [node("Conv", "x w", "y", auto_pad="SAME_LOWER", strides=[2, 2])], W,
        "conv 4 3 2 pad=1:0:0:1 bias=no",
    ),
    "valid": ([node("Conv", "x w", "y", auto_pad="VALID")], W, "conv 4 3 bias=no"),
    "depthwise": (
        [node("Conv", "x w", "y", group=3)], {"w": random(3, 1, 3, 2)}, "depthwise 3x2 bias=no",
    ),
    "groups": ([node("Conv", "x w", "y", group=3)], {"w": random(6, 1, 3, 2)},
               "conv 6 3x2 groups=3 bias=no"),
    "bias behind": (
        [node("Conv", "x w", "c"), node("Add", "c s", "y")], {"w": W["w"], "s": random(4, 1, 1)},
        "conv 4 3",
    ),
    "bias in front": (
        [node("Conv", "x w", "c"), node("Add", "s c", "y")], {"w": W["w"], "s": random(1, 4, 1, 1)},
        "conv 4 3",
    ),
    "numbers for maps": (
        [node("Sub", "x m", "a"), node("Div", "a s", "d"), node("Conv", "d w b", "y")],
        {**W, "m": random(3, 1, 1), "s": np.float32([[[2]], [[3]], [[0.5]]])},
        "batchnorm | conv 4 3",
    ),
    "from a number": ([node("Sub", "o x", "a"), node("Mul", "a t", "y")],
                      {"o": np.float32(1), "t": np.float32(2)}, "batchnorm"),
    "twice": ([node("Add", "x x", "y")], {}, "batchnorm"),
    "turned": (
        [node("ConvTranspose", "x w", "y", strides=[2, 2], output_padding=[1, 0],
              pads=[1, 0, 0, 1])],
        {"w": random(3, 5, 3, 3)}, "deconv 5 3 2 pad=1:1:0:0 outpad=1x0 bias=no",
    ),
    "max": ([node("MaxPool", "x", "y", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0])], {},
            "maxpool 3x2 2 pad=1x0"),
    "max, step 1": ([node("MaxPool", "x", "y", kernel_shape=[2, 2])], {}, "maxpool 2 1"),
    "max, ceil": ([node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)], {},
                  "maxpool 3 2 ceil=yes"),
    "mean": ([node("AveragePool", "x", "y", kernel_shape=[2, 2], strides=[2, 2])], {}, "avgpool 2"),
    "mean, padded": (
        [node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], {},
        "avgpool 3 1 pad=1 countpad=no",
    ),
    "mean, counted": (
        [node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)], {},
        "avgpool 3 1 pad=1",
    ),
    "global": ([node("GlobalAveragePool", "x", "g"), node("Flatten", "g", "y")], {},
               "globalavgpool | flatten"),
    "reduced": ([node("ReduceMean", "x", "y", axes=[2, 3], keepdims=0)], {},
                "globalavgpool | flatten"),
    "reduced from the end": ([node("ReduceMax", "x", "y", axes=[-1, -2])], {}, "globalmaxpool"),
    "relu6": ([node("Clip", "x l h", "y")], {"l": np.float32(0), "h": np.float32(6)}, "relu6"),
    "clip at 0": ([node("Clip", "x l", "y")], {"l": np.float32(0)}, "relu"),
    "leaky": ([node("LeakyRelu", "x", "y", alpha=0.2)], {}, "leakyrelu 0.2"),
    "one slope": ([node("PRelu", "x s", "y")], {"s": np.full((3, 1, 1), 0.25, np.float32)},
                  "leakyrelu 0.25"),
    "words": ([node("Sigmoid", "x", "s"), node("Tanh", "s", "t"),
               node("Softmax", "t", "y", axis=1)],
              {}, "sigmoid | tanh | softmax"),
    "dropout": ([node("Dropout", "x r", "d"), node("Relu", "d", "y")], {"r": np.float32(0.3)},
                "dropout 0.3 | relu"),
    "norm": (
        [node("BatchNormalization", "x s b m v", "y", epsilon=1e-3)],
        {"s": random(3), "b": random(3), "m": random(3), "v": random(3) ** 2},
        "batchnorm eps=0.001",
    ),
    "lrn": ([node("LRN", "x", "y", size=3, alpha=0.5, bias=2.0)], {}, "lrn 3 alpha=0.5 k=2"),
    "gemm": (
        [node("Flatten", "x", "f"), node("Gemm", "f w b", "y", alpha=0.5, beta=2.0)],
        {"w": random(144, 5), "b": random(5)}, "flatten | dense 5",
    ),
    "gemm of one pixel": (
        [node("GlobalAveragePool", "x", "g"), node("Squeeze", "g a", "f"),
         node("Gemm", "f w", "y", transB=1)],
        {"w": random(5, 3), "a": np.int64([2, 3])}, "globalavgpool | flatten | dense 5 bias=no",
    ),
    "product and sum": (
        [node("Flatten", "x", "f"), node("MatMul", "f w", "m"), node("Add", "b m", "y")],
        {"w": random(144, 5), "b": random(5)}, "flatten | dense 5",
    ),
    "turned weights": (
        [node("Flatten", "x", "f"), node("Transpose", "w", "t", perm=[1, 0]),
         node("MatMul", "f t", "y")],
        {"w": random(5, 144)}, "flatten | dense 5 bias=no",
    ),
    "shape as a program": (
        [node("Shape", "x", "s"), node("Gather", "s i", "n", axis=0), node("Unsqueeze", "n z", "u"),
         node("Concat", "u m", "t", axis=0), node("Reshape", "x t", "y")],
        {"i": np.int64(0), "z": np.int64([0]), "m": np.int64([-1])}, "flatten",
    ),
    "reshape": ([node("Reshape", "x t", "y")], {"t": np.int64([0, 6, 4, 6])}, "reshape 6x4x6"),
    "vector to maps": (
        [node("Flatten", "x", "f"), node("Unsqueeze", "f a", "y")], {"a": np.int64([2, 3])},
        "flatten | reshape 144x1x1",
    ),
    "pad": ([node("Pad", "x p", "y")], {"p": np.int64([0, 0, 1, 2, 0, 0, 3, 4])}, "pad 1:4:3:2"),
    "larger": ([node("Resize", "x - s", "y", mode="nearest", nearest_mode="floor",
                     coordinate_transformation_mode="asymmetric")],
               {"s": np.float32([1, 1, 2, 3])}, "upsample 2x3"),
    "residual": ([node("Conv", "x w", "c", pads=[1] * 4), node("Relu", "c", "r"),
                  node("Add", "r x", "y")], {"w": random(3, 3, 3, 3)},
                 "residual(conv 3 3 pad=1 bias=no | relu)"),
    "sum of three": ([node("Relu", "x", "a"), node("Tanh", "x", "b"), node("Sum", "a b x", "y")],
                     {},                     "residual(residual(relu, tanh))"),
    "stack": ([node("Relu", "x", "a"), node("Concat", "a x", "y", axis=1)], {},
              "concat(relu, dropout 0)"),
    "stacks that grow": (
        [node("Relu", "x", "a"), node("Concat", "x a", "s", axis=1), node("Conv", "s w", "b"),
         node("Concat", "x a b", "y", axis=1)],
        {"w": random(2, 6, 1, 1)}, "skip(relu) | skip(conv 2 1 bias=no)",
    ),
    "unpooled": (
        [node("MaxPool", "x", "p i", kernel_shape=[2, 2], strides=[2, 2]), node("Relu", "p", "r"),
         node("Shape", "x", "s"),
         node("MaxUnpool", "r i s", "y", kernel_shape=[2, 2], strides=[2, 2])],
        {}, "pooled 2 (relu)",
    ),
    "channels last": ([node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Conv", "t w", "y")],
                      {"w": random(4, 3, 3, 3)}, "conv 4 3 bias=no"),
    "repeated": ([node("Relu", "x", "a"), node("Tanh", "a", "b"), node("Relu", "b", "c"),
                  node("Tanh", "c", "y")], {}, "(relu | tanh)*2"),
    "what nothing needs": ([node("HardSwish", "x", "h"), node("Relu", "x", "y")], {}, "relu"),
    "constants": (
        [node("Constant", "", "k", value=numpy_helper.from_array(random(4, 3, 3, 3))),
         node("Identity", "k", "w"), node("Identity", "x", "i"), node("Conv", "i w", "c"),
         node("Identity", "c", "y")],
        {}, "conv 4 3 bias=no",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_operators(name, file):
    nodes, arrays, spec = CASES[name]
    shape = (8, 6, 3) if name == "channels last" else (3, 8, 6)
    assert layers(nodes, arrays, shape, file=file) == spec


OLD = {
    "Clip": ([node("Clip", "x", "y", min=0.0, max=6.0)], {}, "relu6", 7),
    "Dropout": ([node("Dropout", "x", "d", ratio=0.25), node("Relu", "d", "y")], {},
                "dropout 0.25 | relu", 7),
    "Squeeze": ([node("GlobalMaxPool", "x", "g"), node("Squeeze", "g", "y", axes=[2, 3])], {},
                "globalmaxpool | flatten", 11),
    "Pad": ([node("Pad", "x", "y", pads=[0, 0, 1, 1, 0, 0, 1, 1])], {}, "pad 1", 10),
    "Upsample": ([node("Upsample", "x s", "y", mode="nearest")], {"s": np.float32([1, 1, 2, 2])},
                 "upsample 2", 9),
    "Resize": ([node("Resize", "x s", "y", mode="nearest")], {"s": np.float32([1, 1, 2, 2])},
               "upsample 2", 10),
    "Softmax": ([node("Flatten", "x", "f"), node("Softmax", "f", "y")], {},
                "flatten | softmax", 11),
    "Pad, axes": ([node("Pad", "x p - a", "y", mode="reflect")],
                  {"p": np.int64([2, 1]), "a": np.int64([-1])}, "pad 0:1:0:2 padmode=reflect", 18),
    "ReduceMean": ([node("ReduceMean", "x a", "y")], {"a": np.int64([2, 3])}, "globalavgpool", 18),
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_operators_of_other_opsets(name, file):
    nodes, arrays, spec, opset = OLD[name]
    assert layers(nodes, arrays, file=file, opset=opset) == spec


# --- what no layer does

REFUSED = {
    "HardSwish": ([node("HardSwish", "x", "y")], {},
                  "node 'HardSwish_y' (HardSwish): which no layer does; train it with"),
    "unknown": ([node("Einsum", "x", "y", equation="nchw->nhwc")], {},
                "node 'Einsum_y' (Einsum): which no layer does; known are Conv, ConvTranspose"),
    "1-D": ([node("Conv", "x w", "y")], {"w": random(4, 3, 3)}, "slides along 1 axes; layers"),
    "weights from the input": ([node("Conv", "x x", "y")], {},
                               "its weights is computed from the input; it must be constant"),
    "misfit": ([node("Conv", "x w", "y")], {"w": random(4, 5, 3, 3)},
               "its weight is (4, 5, 3, 3), where (4, 3, 3, 3) is needed"),
    "too large": ([node("Conv", "x w", "y")], {"w": random(4, 3, 9, 9)},
                  "rows (8 - 9)/1 + 1 = 0 are less than 1; take a kernel of at most 6, or pad="),
    "kernel_shape": ([node("Conv", "x w", "y", kernel_shape=[5, 5])], W,
                     "its kernel_shape [5, 5] is not that of its weights (3, 3)"),
    "output_shape": ([node("ConvTranspose", "x w", "y", output_shape=[9, 9])],
                     {"w": random(3, 2, 3, 3)}, "gives its output_shape; export it with pads"),
    "columns": ([node("MaxPool", "x", "y", kernel_shape=[2, 2], storage_order=1)], {},
                "counts along columns (storage_order 1)"),
    "clip": ([node("Clip", "x l h", "y")], {"l": np.float32(-1), "h": np.float32(1)},
             "clips to -1..1; layers clip to 0..6, or at 0"),
    "slopes": ([node("PRelu", "x s", "y")], {"s": random(3, 1, 1)},
               "has several slopes, or one below 0; leakyrelu has one"),
    "softmax": ([node("Softmax", "x", "y", axis=3)], {},
                "works along axis 3 of 4; layers along the maps"),
    "training": ([node("BatchNormalization", "x s s s s", "y m v", training_mode=1)],
                 {"s": np.ones(3, np.float32)}, "computes statistics; export the network for pred"),
    "lrn": ([node("LRN", "x", "y", size=4)], {}, "has the even size 4; lrn sees other neighbours"),
    "gemm": ([node("Gemm", "x w", "y", transA=1)], {"w": random(3, 2)},
             "is a product of other matrices than inputs and weights"),
    "dense on maps": ([node("MatMul", "x w", "y")], {"w": random(6, 2)},
                      "gets 3×8×6; dense takes vectors"),
    "gate": ([node("Sigmoid", "x", "s"), node("Mul", "x s", "y")], {},
             "multiplies two values (as squeeze-and-excitation and gates do); no layer does"),
    "division": ([node("Div", "o x", "y")], {"o": np.float32(1)}, "divides by a value; layers"),
    "zero": ([node("Div", "x o", "y")], {"o": np.float32(0)}, "divides by zero"),
    "shapes": ([node("GlobalAveragePool", "x", "g"), node("Add", "x g", "y")], {},
               "adds 3×8×6 and 3×1×1; residual adds equal shapes"),
    "a frame of numbers": ([node("Add", "x s", "y")], {"s": random(8, 6)},
                           "has constants of (8, 6) for 3×8×6; layers have one for each map"),
    "rows": ([node("Concat", "x x", "y", axis=2)], {}, "joins along axis 2, not maps"),
    "sizes": ([node("MaxPool", "x", "p", kernel_shape=[2, 2]), node("Concat", "x p", "y", axis=1)],
              {}, "joins 3×8×6 and 3×7×5, whose rows and columns differ"),
    "batch": ([node("Flatten", "x", "y", axis=0)], {}, "flattens the batch too"),
    "batch moved": ([node("Reshape", "x t", "y")], {"t": np.int64([-1, 3])},
                    "makes [380112, 3] of 3×8×6 and moves the batch"),
    "four axes": ([node("Reshape", "x t", "y")], {"t": np.int64([0, 3, 4, 2, 6])},
                  "makes 4 axes; values here are maps or vectors"),
    "turned": ([node("Transpose", "x", "y", perm=[0, 1, 3, 2])], {},
               "reorders axes ([0, 1, 3, 2]); export the network with channels first (NCHW)"),
    "cut": ([node("Pad", "x p", "y")], {"p": np.int64([0, 0, -1, 0, 0, 0, 0, 0])},
            "pads by [0, 0, -1, 0, 0, 0, 0, 0]; layers pad rows and columns, and cut nothing"),
    "fill": ([node("Pad", "x p f", "y")], {"p": np.int64([0, 0, 1, 0, 0, 0, 0, 0]),
             "f": np.float32(3)}, "fills with 3 (constant); pad fills with zeros"),
    "by half": ([node("Resize", "x - s", "y")], {"s": np.float32([1, 1, 1.5, 1])},
                "resizes by 1.5×1; upsample by whole factors"),
    "corners": ([node("Resize", "x - s", "y", mode="linear",
                      coordinate_transformation_mode="align_corners")],
                {"s": np.float32([1, 1, 2, 2])},
                "resizes by 'linear' and 'align_corners'; upsample does nearest"),
    "reduced maps": ([node("ReduceMean", "x", "y", axes=[1])], {},
                     "reduces the axes [1]; layers reduce rows and columns"),
    "places": ([node("MaxPool", "x", "p i", kernel_shape=[2, 2]), node("Shape", "x", "s"),
                node("MaxUnpool", "p i s", "y", kernel_shape=[2, 2])], {},
               "tells places of windows that overlap or are padded"),
    "second output": ([node("MaxPool", "x", "p i", kernel_shape=[2, 2], strides=[2, 2]),
                       node("Cast", "i", "y", to=TensorProto.FLOAT)], {},
                      "reads another output of node 'MaxPool_p' (MaxPool) than its first"),
    "nothing": ([node("Add", "x gone", "y")], {}, "its summand is computed from the input"),
    "no input": ([node("Relu", "w", "y")], {"w": random(1, 3, 8, 6)}, "let the exporter fold"),
    "constants": ([node("Cos", "w", "c"), node("Add", "x c", "y")], {"w": random(3, 1, 1)},
                  "Cos on constants; let the exporter fold constants"),
    "bomb": ([node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")],
             {"s": np.int64([1 << 20, 1 << 20])}, "an operator that makes 1099511627776 numbers"),
    "crossing": ([node("Relu", "x", "a"), node("Tanh", "a", "b"), node("Sigmoid", "b", "c"),
                  node("Add", "c a", "d"), node("Tanh", "x", "e"), node("Add", "b e", "f"),
                  node("Add", "d f", "y")], {}, "'b' goes into branches that meet in"),
    "infinite": ([node("Conv", "x w", "y")], {"w": np.full((4, 3, 3, 3), np.inf, np.float32)},
                 "108 of 108 numbers of array '0.conv.weight' are NaN or infinite"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_operator(name, file):
    nodes, arrays, words = REFUSED[name]
    found = refusal(file(graph_file(nodes, arrays)))
    assert words in found
    assert "node '" in found or name in ("crossing", "infinite")
