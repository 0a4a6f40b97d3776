"""Random changes of pictures in training: a little language, and what it does to batches.

A text says what may happen to a picture, and each picture of each batch is changed anew::

    >>> import numpy as np
    >>> from cnntool.augment import Augmentation
    >>> change = Augmentation.parse("hflip p=0.5 | rotate 15 | brightness 0.2")
    >>> digits = np.full((1, 28, 28, 64), 200, np.uint8)
    >>> changed = change.apply(digits, seed=1, step=0)
    >>> changed.shape, changed.dtype
    ((1, 28, 28, 64), dtype('float32'))

* :mod:`language`, :mod:`amounts`: text to steps and back
* :mod:`words`: the closed table of changes; :mod:`steps`: one of them with its settings
* :mod:`chance`: random numbers that are a function of seed, step, word and picture
* :mod:`draws`: what is drawn: angles, factors, places
* :mod:`places`, :mod:`elastic`, :mod:`sampling`: moves, as one reading of the picture
* :mod:`colours`, :mod:`pixels`, :mod:`opacity`: everything else
* :mod:`session`, :mod:`augmentation`: one batch; the whole

The language loads no NumPy; what computes is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from cnntool.augment.language import format_steps, parse
from cnntool.augment.steps import Step, step

if TYPE_CHECKING:
    from cnntool.augment.augmentation import Augmentation

__all__ = ["Augmentation", "Step", "format_steps", "parse", "step"]


def __getattr__(name: str) -> object:
    """What computes, when it is first used."""
    if name == "Augmentation":
        return importlib.import_module("cnntool.augment.augmentation").Augmentation
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
