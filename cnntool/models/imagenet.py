"""The 1000 classes of ImageNet's contest, which published weights of large networks tell apart."""

from __future__ import annotations

import os
from functools import cache

COUNT = 1000
"""How many they are."""


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Their names in the order of their numbers; no two are alike.

    References:
        Russakovsky et al. 2015, ImageNet large scale visual recognition challenge.

    Example:
        >>> imagenet_classes()[281:286]
        ('tabby', 'tiger cat', 'Persian cat', 'Siamese cat', 'Egyptian cat')
    """
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "imagenet_classes.txt")
    with open(path, encoding="utf-8") as file:
        return tuple(line.rstrip("\n") for line in file if not line.startswith("#"))
