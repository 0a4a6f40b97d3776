"""Devices: NumPy on a CPU, CuPy on a GPU. The only module that imports cupy.

``get(device)`` gives a :class:`Backend`; ``array_module(x)`` tells which library made an array, so
that one source serves both. A library that nobody asked for cannot have made the array, so the
test is a look-up of the array's type and imports nothing.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

Array = Any
"""An array of NumPy or CuPy; operations document its shape."""

_MODULES: dict[type, Any] = {np.ndarray: np}


def register(array_type: type, module: Any) -> None:
    """Make ``array_module`` answer ``module`` for arrays of ``array_type``."""
    _MODULES[array_type] = module


def array_module(x: Array) -> Any:
    """The library that made ``x``: numpy, cupy, or what was registered.

    Example:
        >>> array_module(np.zeros(3)).__name__
        'numpy'
    """
    return _MODULES.get(type(x), np)


_ = ModuleType
