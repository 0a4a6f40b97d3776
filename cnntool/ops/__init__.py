"""Maths on arrays (C, H, W, N): channels first, batch last. No state, no files.

A picture (H, W, channels) is such an array without a copy: ``image[None]`` is (1, H, W, channels),
a batch of maps with one channel. So filters and networks share these functions. They are named and
parametrised as in ``torch.nn.functional``, take arrays of NumPy or CuPy and give arrays of the same
library. Beside ``f(…) -> y`` stands ``f_vjp(…) -> (y, backward)``, where ``backward(grad_y)`` is
the gradient with respect to the arguments that are arrays::

    >>> import numpy as np
    >>> from cnntool.ops import max_pool2d, max_pool2d_vjp
    >>> image = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    >>> max_pool2d(image[None], 2)[0, ..., 0]
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    >>> y, backward = max_pool2d_vjp(image[None], 2)
    >>> backward(np.ones_like(y))[0, ..., 0]
    array([[0., 0., 0., 0.],
           [0., 1., 0., 1.],
           [0., 0., 0., 0.],
           [0., 1., 0., 1.]], dtype=float32)

What they need is imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnntool.ops.activations import (
        leaky_relu,
        leaky_relu_vjp,
        log_softmax,
        log_softmax_vjp,
        relu,
        relu6,
        relu6_vjp,
        relu_vjp,
        sigmoid,
        sigmoid_vjp,
        softmax,
        softmax_vjp,
        tanh,
        tanh_vjp,
    )
    from cnntool.ops.adaptive_pooling import (
        adaptive_avg_pool2d,
        adaptive_avg_pool2d_vjp,
        adaptive_max_pool2d,
        adaptive_max_pool2d_vjp,
        global_avg_pool2d,
        global_avg_pool2d_vjp,
        global_max_pool2d,
        global_max_pool2d_vjp,
    )
    from cnntool.ops.class_losses import (
        cross_entropy,
        cross_entropy_divisor,
        cross_entropy_vjp,
        dice_loss,
        dice_loss_vjp,
    )
    from cnntool.ops.convolution import (
        conv2d,
        conv2d_vjp,
    )
    from cnntool.ops.correlation import (
        correlate,
    )
    from cnntool.ops.deformable import (
        deform_conv2d,
        deform_conv2d_vjp,
    )
    from cnntool.ops.dense import (
        linear,
        linear_vjp,
    )
    from cnntool.ops.local import (
        local_conv2d,
        local_conv2d_vjp,
    )
    from cnntool.ops.losses import (
        binary_cross_entropy_with_logits,
        binary_cross_entropy_with_logits_vjp,
        mse_loss,
        mse_loss_vjp,
    )
    from cnntool.ops.masking import (
        dropout,
        dropout_vjp,
    )
    from cnntool.ops.median_pooling import (
        median_pool2d,
    )
    from cnntool.ops.normalization import (
        batch_norm,
        batch_norm_vjp,
    )
    from cnntool.ops.padding import (
        pad,
        pad_vjp,
    )
    from cnntool.ops.pooling import (
        avg_pool2d,
        avg_pool2d_vjp,
        lp_pool2d,
        lp_pool2d_vjp,
        max_pool2d,
        max_pool2d_vjp,
        min_pool2d,
        min_pool2d_vjp,
        sum_pool2d,
        sum_pool2d_vjp,
    )
    from cnntool.ops.resampling import (
        interpolate,
        interpolate_vjp,
    )
    from cnntool.ops.response_norm import (
        local_response_norm,
        local_response_norm_vjp,
    )
    from cnntool.ops.shallow import (
        shallow_conv2d,
        shallow_conv2d_vjp,
    )
    from cnntool.ops.transposed import (
        conv_transpose2d,
        conv_transpose2d_vjp,
    )
    from cnntool.ops.unpooling import (
        max_unpool2d,
        max_unpool2d_vjp,
    )

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_vjp",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_vjp",
    "avg_pool2d",
    "avg_pool2d_vjp",
    "batch_norm",
    "batch_norm_vjp",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_vjp",
    "conv2d",
    "conv2d_vjp",
    "conv_transpose2d",
    "conv_transpose2d_vjp",
    "correlate",
    "cross_entropy",
    "cross_entropy_divisor",
    "cross_entropy_vjp",
    "deform_conv2d",
    "deform_conv2d_vjp",
    "dice_loss",
    "dice_loss_vjp",
    "dropout",
    "dropout_vjp",
    "global_avg_pool2d",
    "global_avg_pool2d_vjp",
    "global_max_pool2d",
    "global_max_pool2d_vjp",
    "interpolate",
    "interpolate_vjp",
    "leaky_relu",
    "leaky_relu_vjp",
    "linear",
    "linear_vjp",
    "local_conv2d",
    "local_conv2d_vjp",
    "local_response_norm",
    "local_response_norm_vjp",
    "log_softmax",
    "log_softmax_vjp",
    "lp_pool2d",
    "lp_pool2d_vjp",
    "max_pool2d",
    "max_pool2d_vjp",
    "max_unpool2d",
    "max_unpool2d_vjp",
    "median_pool2d",
    "min_pool2d",
    "min_pool2d_vjp",
    "mse_loss",
    "mse_loss_vjp",
    "pad",
    "pad_vjp",
    "relu",
    "relu6",
    "relu6_vjp",
    "relu_vjp",
    "shallow_conv2d",
    "shallow_conv2d_vjp",
    "sigmoid",
    "sigmoid_vjp",
    "softmax",
    "softmax_vjp",
    "sum_pool2d",
    "sum_pool2d_vjp",
    "tanh",
    "tanh_vjp",
]

# functions without their _vjp, by module
_MODULES = {
    "activations": (
        "leaky_relu",
        "log_softmax",
        "relu",
        "relu6",
        "sigmoid",
        "softmax",
        "tanh",
    ),
    "adaptive_pooling": (
        "adaptive_avg_pool2d",
        "adaptive_max_pool2d",
        "global_avg_pool2d",
        "global_max_pool2d",
    ),
    "class_losses": (
        "cross_entropy",
        "cross_entropy_divisor",
        "dice_loss",
    ),
    "convolution": ("conv2d",),
    "correlation": ("correlate",),
    "deformable": ("deform_conv2d",),
    "masking": ("dropout",),
    "dense": ("linear",),
    "local": ("local_conv2d",),
    "losses": (
        "binary_cross_entropy_with_logits",
        "mse_loss",
    ),
    "median_pooling": ("median_pool2d",),
    "normalization": ("batch_norm",),
    "padding": ("pad",),
    "pooling": (
        "avg_pool2d",
        "lp_pool2d",
        "max_pool2d",
        "min_pool2d",
        "sum_pool2d",
    ),
    "resampling": ("interpolate",),
    "response_norm": ("local_response_norm",),
    "shallow": ("shallow_conv2d",),
    "transposed": ("conv_transpose2d",),
    "unpooling": ("max_unpool2d",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # a type checker takes the names above and reports all others

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = _HOMES[name.removesuffix("_vjp")]
        value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
