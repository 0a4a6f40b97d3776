"""Pictures to and from files by Pillow alone, so that tests of commands share no code with them."""

import io
import os

import numpy as np
from PIL import Image


def save(path, pixels, mode=None, **options) -> str:
    """Write an array, (H, W) or (H, W, C); its path as text."""
    image = Image.fromarray(np.asarray(pixels))
    if mode is not None:
        image = image.convert(mode)
    image.save(path, **options)
    return os.fspath(path)


def load(source) -> np.ndarray:
    """Samples of the file at a path, or of its bytes."""
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        return np.array(image)


def png(pixels) -> bytes:
    """A PNG in memory."""
    data = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(data, "PNG")
    return data.getvalue()


def npy(pixels) -> bytes:
    """A .npy file in memory."""
    data = io.BytesIO()
    np.save(data, pixels)
    return data.getvalue()


def array(data: bytes) -> np.ndarray:
    """The array in the bytes of a .npy file."""
    return np.load(io.BytesIO(data))
