"""Which class computes a word of the language.

Example:
    >>> import numpy as np
    >>> from cnntool.nn import parse, trace
    >>> from cnntool.nn.run import Run
    >>> row = trace(parse("maxpool 2"), (1, 2, 4)).rows[0]
    >>> layer = LAYER_TYPES["maxpool"](row)
    >>> x = np.array([[1.0, 3, 5, 4], [2, 0, 6, 7]]).reshape(1, 2, 4, 1)
    >>> y, backward = layer.forward(x, Run(tensors={}, training=True))
    >>> y.ravel().tolist(), backward(y)[0, :, :, 0].tolist()
    ([3.0, 7.0], [[0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 7.0]])
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cnntool.nn.layer import Layer
from cnntool.nn.layers import (
    activations,
    dropout,
    normalization,
    pooling,
    reshaping,
    windowed,
)
from cnntool.nn.layers.convolution import Conv
from cnntool.nn.layers.dense import Dense

LAYER_TYPES: Mapping[str, type[Layer]] = MappingProxyType(
    {
        "conv": Conv,
        "deconv": windowed.Deconv,
        "depthwise": windowed.Depthwise,
        "separable": windowed.Separable,
        "local": windowed.Local,
        "deform": windowed.Deform,
        "maxpool": pooling.MaxPool,
        "avgpool": pooling.AvgPool,
        "sumpool": pooling.SumPool,
        "adaptiveavgpool": pooling.AdaptiveAvgPool,
        "globalavgpool": pooling.GlobalAvgPool,
        "globalmaxpool": pooling.GlobalMaxPool,
        "upsample": reshaping.Upsample,
        "batchnorm": normalization.BatchNorm,
        "lrn": normalization.LocalResponseNorm,
        "pad": reshaping.Pad,
        "relu": activations.Relu,
        "relu6": activations.Relu6,
        "leakyrelu": activations.LeakyRelu,
        "sigmoid": activations.Sigmoid,
        "tanh": activations.Tanh,
        "softmax": activations.Softmax,
        "dropout": dropout.Dropout,
        "flatten": reshaping.Reshape,
        "dense": Dense,
        "reshape": reshaping.Reshape,
    }
)
"""Word of :data:`cnntool.nn.layer_words.LAYERS` -> class, made of a row and ``first=``."""
