"""Arrays of others into pictures (M, C, H, W) of 8-bit samples, or a word why that cannot be.

Nothing is guessed where it would change what a network sees: samples become bytes only if that
loses nothing, and data that were normalised are refused.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import ModelFileError

CHANNELS = (1, 3)
"""Channels of pictures: grey, and red, green, blue."""

_PIECE = 1 << 22  # samples looked at in one go
_EXACT = 0.25  # nearest byte is certain below this
_EPSILON = {2: 2.0**-10, 4: 2.0**-23, 8: 2.0**-52}  # of floats of so many bytes


def as_pictures(array: NDArray[np.generic], what: str) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Pictures (M, C, H, W) uint8, and notes about what was done to them.

    Args:
        array: (M, H, W); (M, H, W, C) or (M, C, H, W) with C = 1 or 3. Where both the second and
            the last size could be channels, the last are. Samples are whole numbers 0..255, or
            k/255 in 0..1 as floats.
        what: Subject of messages, such as ``'a.npz': x_train``.

    Raises:
        ModelFileError: It has no pictures' shape, or samples that are not bytes.

    Example:
        >>> pictures, notes = as_pictures(np.array([[[0.0, 0.2], [0.4, 1.0]]]), "x")
        >>> pictures.tolist(), notes
        ([[[[0, 51], [102, 255]]]], ('x: float64 samples 0..1 read as 0..255',))
    """
    planes = _channels_first(array, what)
    samples, notes = as_bytes(planes, what)
    return np.ascontiguousarray(samples), notes


def _channels_first(array: NDArray[np.generic], what: str) -> NDArray[np.generic]:
    shape = array.shape
    if 0 in shape[1:]:
        raise ModelFileError(f"{what}: pictures of size 0 ({_sizes(shape)})")
    if len(shape) == 3:
        return array[:, np.newaxis]  # (M, H, W) -> (M, 1, H, W)
    if len(shape) == 4 and shape[3] in CHANNELS:
        return array.transpose(0, 3, 1, 2)  # (M, H, W, C) -> (M, C, H, W)
    if len(shape) == 4 and shape[1] in CHANNELS:
        return array
    hint = ""
    if len(shape) == 2:
        side = round(shape[1] ** 0.5)
        square = f"(N, {side}, {side})" if side * side == shape[1] else "(N, H, W)"
        hint = f"; reshape rows of pixels to {square}"
    elif len(shape) == 4 and (shape[3] == 4 or shape[1] == 4 < shape[3]):
        hint = "; leave the channel of opacity out"
    raise ModelFileError(
        f"{what}: an array of {_sizes(shape)}; pictures are (N, H, W), (N, H, W, C) or "
        f"(N, C, H, W) with 1 or 3 channels{hint}"
    )


def as_bytes(array: NDArray[np.generic], what: str) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Samples as uint8, and notes.

    Args:
        array: Any shape. Whole numbers 0..255 of any type; floats also k/255 in 0..1: floats of
            which none is above 1 are taken so. Truth values become 0 and 255.
        what: Subject of messages.

    Raises:
        ModelFileError: They are not bytes: NaN, below 0, above 255, or between two bytes.
    """
    dtype = array.dtype
    if dtype == np.uint8:
        samples = array.astype(np.uint8, copy=False)
        if samples.size and int(samples.max()) == 1:
            return samples, (f"{what}: no sample is above 1, of 255; the pictures are black",)
        return samples, ()
    if dtype.kind == "b":
        note = f"{what}: true and false read as 255 and 0"
        return array.astype(np.uint8) * np.uint8(255), (note,)
    if dtype.kind not in "iuf":
        raise ModelFileError(f"{what}: samples of type {dtype.name}; pictures have numbers")
    if not array.size:
        return np.zeros(array.shape, np.uint8), ()
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ModelFileError(f"{what}: NaN or infinity among the samples; repair or drop them")
    if low < 0 or high > 255:
        raise ModelFileError(
            f"{what}: samples from {low:g} to {high:g}; bytes are 0 to 255. "
            "Save pictures before they are normalised"
        )
    unit = dtype.kind == "f" and high <= 1
    out = np.empty(array.shape, np.uint8)
    step = max(1, _PIECE * len(array) // array.size)
    for start in range(0, len(array), step):  # floats of a few pictures at a time: little memory
        piece = slice(start, start + step)
        out[piece] = _rounded(array[piece], unit, what)
    how = "0..1 read as 0..255" if unit else "read as bytes"
    return out, (f"{what}: {dtype.name} samples {how}",)


def _rounded(values: NDArray[np.generic], unit: bool, what: str) -> NDArray[np.float64]:
    exact = values.astype(np.float64)
    if unit:
        exact *= 255
    nearest = np.rint(exact)
    # k/255 is off by a rounding or two in the type it was stored in
    slack = min(_EXACT, 510 * _EPSILON[values.dtype.itemsize]) if unit else 0.0
    wrong = np.abs(exact - nearest) > slack
    if wrong.any():
        sample = float(values[wrong].reshape(-1)[0])
        form = "k/255" if unit else "whole"
        raise ModelFileError(
            f"{what}: the sample {sample:.6g} is no byte: {'0..1' if unit else '0..255'} was "
            f"expected to be {form}. Round to uint8 before saving"
        )
    return nearest


def _sizes(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"
