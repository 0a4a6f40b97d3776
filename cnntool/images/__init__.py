"""Picture files: one reader, one writer, the table of formats, the limits on inputs.

* :mod:`reading`: :func:`opened`, :func:`read`, :func:`decode`: files into :class:`Picture`
* :mod:`writing`: :func:`encode`: pixels into the bytes of a file
* :mod:`formats`, :mod:`limits`: names, suffixes and bounds, without NumPy or Pillow
* :mod:`header`, :mod:`structure`, :mod:`png`: what a file says before it is decoded
* :mod:`decoding`, :mod:`netpbm`, :mod:`arrays`: pixels out of Pillow's formats, PNM and PFM, .npy
* :mod:`png_writing`, :mod:`tiff_writing`: encoders
* :mod:`orientation`: which side is up

The names below are imported when they are first used, since the command line asks the light modules
for its options before it knows whether there will be a picture.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnntool.images.formats import FORMATS, by_suffix, sniff
    from cnntool.images.limits import LIMITS, Limits, reserve
    from cnntool.images.picture import Picture
    from cnntool.images.reading import decode, inspect, opened, read, read_bytes
    from cnntool.images.writing import encode

__all__ = [
    "FORMATS",
    "LIMITS",
    "Limits",
    "Picture",
    "by_suffix",
    "decode",
    "encode",
    "inspect",
    "opened",
    "read",
    "read_bytes",
    "reserve",
    "sniff",
]

_HOMES = {
    "FORMATS": "formats",
    "by_suffix": "formats",
    "sniff": "formats",
    "LIMITS": "limits",
    "Limits": "limits",
    "reserve": "limits",
    "Picture": "picture",
    "decode": "reading",
    "inspect": "reading",
    "opened": "reading",
    "read": "reading",
    "read_bytes": "reading",
    "encode": "writing",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"cnntool.images.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
