"""What one does to a picture: filters, edges, pooling, HOG, channels, pyramids.

Pictures are arrays (H, W) or (H, W, C) as :func:`cnntool.images.read` gives them, with samples of
0..255 (0..65535 for uint16), also as floats. Arrays of CuPy come back as arrays of CuPy. Inputs are
never changed::

    >>> import numpy as np
    >>> from cnntool.filters import convolve, pool
    >>> step = np.array([[0, 0, 9, 9]] * 4, dtype=np.uint8)
    >>> convolve(step, "sobel-x")[0]
    array([ 0., 36., 36.,  0.], dtype=float32)
    >>> pool(step, "avg").values
    array([[0., 9.],
           [0., 9.]], dtype=float32)

Results are floats as they fall out, negative ones too; :class:`Levels` fits them into 8 or 16
bits::

    >>> from cnntool.filters import Levels
    >>> convolve(255 - step, "sobel-x", levels=Levels(np.uint8, "abs"))[0]
    array([ 0, 36, 36,  0], dtype=uint8)

The names below are imported when they are first used: the command line asks this package's tables
of words for its options and must not load NumPy for that.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnntool.filters.canny import canny
    from cnntool.filters.channels import (
        from_linear,
        luma,
        merge,
        premultiply,
        split,
        to_linear,
        unpremultiply,
    )
    from cnntool.filters.convolve import Convolution, convolve
    from cnntool.filters.edges import edges
    from cnntool.filters.flatten import flatten
    from cnntool.filters.hog import hog, hog_image, hog_length
    from cnntool.filters.kernel import Kernel
    from cnntool.filters.kernel_matrix import format_kernel
    from cnntool.filters.kernel_text import parse_kernel
    from cnntool.filters.kernels import KERNELS
    from cnntool.filters.levels import Levels, LevelsReport
    from cnntool.filters.operators import OPERATORS
    from cnntool.filters.pool import Pooled, pool, unpool
    from cnntool.filters.pyramid import collapse, gaussian_pyramid, laplacian_pyramid
    from cnntool.filters.trace import trace

__all__ = [
    "KERNELS",
    "OPERATORS",
    "Convolution",
    "Kernel",
    "Levels",
    "LevelsReport",
    "Pooled",
    "canny",
    "collapse",
    "convolve",
    "edges",
    "flatten",
    "format_kernel",
    "from_linear",
    "gaussian_pyramid",
    "hog",
    "hog_image",
    "hog_length",
    "laplacian_pyramid",
    "luma",
    "merge",
    "parse_kernel",
    "pool",
    "premultiply",
    "split",
    "to_linear",
    "trace",
    "unpool",
    "unpremultiply",
]

_MODULES = {
    "canny": ("canny",),
    "channels": (
        "split", "merge", "luma", "to_linear", "from_linear", "premultiply", "unpremultiply",
    ),
    "convolve": ("convolve", "Convolution"),
    "edges": ("edges",),
    "flatten": ("flatten",),
    "hog": ("hog", "hog_image", "hog_length"),
    "kernel": ("Kernel",),
    "kernel_matrix": ("format_kernel",),
    "kernel_text": ("parse_kernel",),
    "kernels": ("KERNELS",),
    "levels": ("Levels", "LevelsReport"),
    "operators": ("OPERATORS",),
    "pool": ("pool", "unpool", "Pooled"),
    "pyramid": ("gaussian_pyramid", "laplacian_pyramid", "collapse"),
    "trace": ("trace",),
}  # fmt: skip
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


class _Door(ModuleType):
    """This package, whose names win over modules of the same name.

    ``cnntool.filters.edges`` is a module and, for the library's user, a function. Importing the
    module would put it in the function's place, and what ``from cnntool.filters import edges``
    means would hang on what was imported before. ``from cnntool.filters.edges import edges`` is
    not touched by this.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and _HOMES.get(name) == name:
            value = getattr(value, name, value)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Door

if not TYPE_CHECKING:  # a type checker takes the names above and reports all others

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
