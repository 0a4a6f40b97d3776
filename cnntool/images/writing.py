"""The one writer: pixels into the bytes of a file, whole and in memory.

Nothing is written to disk here: an encoder that fails half way must not have touched a file. What
does not fit a format is an error that says what does, never a silent change: opacity is not dropped
unless all of it is opaque, floats are not clipped, 16 bits are not cut.

PNG, TIFF, PNM, PFM and .npy are written by modules of ours, with one copy of the samples beside the
result. JPEG, WebP and BMP go through Pillow, JPEG into a file in memory (``memfd_create``) instead
of a ``BytesIO``: with a real file behind it Pillow's encoder runs in C from beginning to end,
without the interpreter lock. Two threads on two cores then write JPEGs 1.5 to 2.0 times as fast as
one, else 1.0 to 1.2 times (1024 x 768, quality 90, 2.6 ms a picture on one).
"""

from __future__ import annotations

import importlib
import io
import os
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnntool.errors import (
    InputError,
    LimitError,
    NameNotFound,
    OptionError,
    ShapeError,
    SystemFailure,
)
from cnntool.images import arrays, netpbm, png_writing, tiff_writing
from cnntool.images.formats import FORMATS, WRITABLE, Format
from cnntool.images.picture import Picture

_PILLOW = {
    "jpeg": ("JPEG", "JpegImagePlugin"),
    "webp": ("WEBP", "WebPImagePlugin"),
    "bmp": ("BMP", "BmpImagePlugin"),
}
_END_OF_JPEG = b"\xff\xd9"
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def encode(
    picture: Picture | NDArray[np.generic],
    format: str,
    *,
    alpha: bool | None = None,
    quality: int = 90,
    icc: bytes | None = None,
) -> bytes:
    r"""The bytes of a file that holds ``picture``.

    Args:
        picture: A picture, or pixels (H, W) or (H, W, C): uint8, uint16, float32 or float64. For
            ``npy`` an array of any shape, a stack of results (K, H, W[, C]) say.
        format: A name of :data:`~cnntool.images.formats.WRITABLE`.
        alpha: Whether the last channel is opacity; by default what the picture says. In formats
            other than ``npy`` the last of 2 or 4 channels always is.
        quality: 1..100 for JPEG and WebP.
        icc: Colour profile for PNG, JPEG, TIFF and WebP; by default the picture's. It is stored
            only where it describes as many channels.

    Returns:
        The file. Equal arguments give equal bytes on one machine.

    Raises:
        NameNotFound: No such format, or one that is only read.
        OptionError: Floats or 16 bits into a format of 8, a quality out of range.
        InputError: Opacity that hides something, in a format without.
        ShapeError: The pixels have no picture's shape, or a side is too long for the format.
        LimitError: There is not enough memory.
        SystemFailure: The system stopped the encoder.

    Example:
        >>> encode(np.zeros((2, 3), np.uint8), "pnm")[:11]
        b'P5\n3 2\n255\n'
    """
    if isinstance(picture, Picture):
        pixels = picture.pixels
        alpha = picture.alpha if alpha is None else alpha
        icc = picture.icc if icc is None else icc
    else:
        pixels = picture
    if format not in WRITABLE:
        raise NameNotFound.among("output format", format, WRITABLE)
    target = FORMATS[format]
    if not 1 <= quality <= 100:
        raise OptionError(f"the quality of {target.title} is 1 to 100, not {quality}")
    if format == "npy":
        if pixels.dtype.kind not in "biuf":
            raise OptionError(f"samples of type {pixels.dtype} are not written; real numbers are")
        return arrays.write(pixels)
    pixels = _fitting(_checked(pixels), target, bool(alpha))
    profile = _matching(icc or b"", pixels)
    try:
        return _encoded(pixels, target, quality, profile)
    except MemoryError as error:
        h, w = pixels.shape[:2]
        raise LimitError(
            f"not enough memory to write {w} x {h} pixels as {target.title}; try fewer --jobs"
        ) from error


def _checked(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Pixels of a picture's shape, (H, W, 1) as (H, W)."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim not in (2, 3) or 0 in pixels.shape or pixels.shape[2:] > (4,):
        shown = " x ".join(map(str, pixels.shape))
        raise ShapeError(
            f"an array of {shown} is no picture; H x W or H x W x C with C up to 4 is, "
            "and any array can be written as .npy"
        )
    if pixels.dtype not in (np.uint8, np.uint16, np.float32, np.float64):
        raise OptionError(
            f"samples of type {pixels.dtype} do not fit a picture; uint8, uint16 and floats do"
        )
    return pixels


def _fitting(pixels: NDArray[np.generic], target: Format, alpha: bool) -> NDArray[np.generic]:
    """Pixels that ``target`` can hold: these, or these without an opacity that hides nothing."""
    h, w = pixels.shape[:2]
    if target.max_side and max(h, w) > target.max_side:
        raise ShapeError(
            f"{w} x {h} pixels: the longest side in {target.title} is {target.max_side}; "
            "write png or tiff"
        )
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels in (2, 4) and not target.alpha:
        full = 65535 if pixels.dtype == np.uint16 else 255
        if not (pixels[:, :, -1] == full).all():
            kind = "transparency" if alpha else f"{channels} channels"
            # a property of this picture: others of a folder can be written
            raise InputError(
                f"{target.title} does not keep {kind}; write {_that('alpha')} (--format png)"
            )
        pixels = pixels[:, :, 0] if channels == 2 else pixels[:, :, :3]
    if pixels.dtype.kind == "f" and not target.floats:
        if target.name == "tiff" and pixels.ndim == 2:
            return pixels.astype(np.float32, copy=False)
        raise OptionError(
            f"raw values do not fit {target.title}; use --range clip, abs, offset or rescale, "
            f"or write {_that('floats')}"
        )
    if pixels.dtype == np.uint16 and not (target.grey16 or target.floats):
        raise OptionError(
            f"16-bit samples do not fit {target.title}; use --depth 8, or write {_that('color16')}"
        )
    return pixels


def _that(ability: str) -> str:
    """The formats that have an ability, as a phrase."""
    names = [name for name in WRITABLE if getattr(FORMATS[name], ability)]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _matching(icc: bytes, pixels: NDArray[np.generic]) -> bytes:
    """The profile if it is for as many channels as the pixels have, else nothing."""
    color = pixels.ndim == 3 and pixels.shape[2] > 2
    return icc if icc[16:20] == (b"RGB " if color else b"GRAY") else b""


def _encoded(pixels: NDArray[np.generic], target: Format, quality: int, icc: bytes) -> bytes:
    match target.name:
        case "png":
            return png_writing.encode(pixels, icc)
        case "tiff":
            return tiff_writing.encode(pixels, icc)
        case "pnm":
            return netpbm.write_pnm(pixels)
        case "pfm":
            return netpbm.write_pfm(pixels)
    return _through_pillow(pixels, target, quality, icc)


def _through_pillow(pixels: NDArray[np.generic], target: Format, quality: int, icc: bytes) -> bytes:
    name, plugin = _PILLOW[target.name]
    importlib.import_module(f"PIL.{plugin}")  # registers the encoder, and no other format's
    options: dict[str, object] = {}
    if target.lossy:
        options["quality"] = quality
        if icc:
            options["icc_profile"] = icc
    try:
        with _file_in_memory(target) as file:
            _image(pixels).save(file, name, **options)
            if isinstance(file, io.BytesIO):
                return file.getvalue()
            file.seek(0)
            data = file.read()
    except OSError as error:
        if error.errno:
            raise SystemFailure(
                f"cannot encode {target.title}: {error.strerror}", errno=error.errno
            ) from error
        raise InputError(f"cannot be encoded as {target.title} ({error})") from error
    # Pillow's C code does not look whether its last write was a short one (a limit on file sizes)
    if not data.endswith(_END_OF_JPEG):
        raise SystemFailure("cannot encode JPEG: the file in memory was cut short")
    return data


def _file_in_memory(target: Format) -> IO[bytes]:
    if target.name == "jpeg" and hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("cnntool"), "w+b")
    return io.BytesIO()


def _image(pixels: NDArray[np.generic]) -> Image.Image:
    """Pillow's copy of the pixels; of grey ones a view."""
    h, w = pixels.shape[:2]
    mode = _MODES[1 if pixels.ndim == 2 else pixels.shape[2]]
    return Image.frombuffer(mode, (w, h), np.ascontiguousarray(pixels), "raw", mode, 0, 1)
