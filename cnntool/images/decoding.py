"""PNG, JPEG, GIF, BMP, TIFF and WebP through Pillow, into arrays.

The plugin classes of Pillow are called by name with bytes in memory. So no other decoder can be
talked into running (EPS would start Ghostscript), no file is mapped into memory (a file that
shrinks would end the process), and the reason for a refusal survives. Decoding releases the
interpreter lock. Pillow keeps RGB in 4 bytes a pixel; the array beside it is filled strip by strip,
palettes and other colour spaces are converted strip by strip too, so that reading never needs more
than the file, Pillow's picture and the array: at most 3.4 bytes a sample of an RGB picture.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnntool.errors import InputError
from cnntool.images import png
from cnntool.images.header import Header, damaged
from cnntool.images.orientation import orientation
from cnntool.images.picture import DEEP_COLOR, Picture
from cnntool.images.shared_memory import samples

_PLUGINS = {
    "png": ("PngImagePlugin", "PngImageFile"),
    "jpeg": ("JpegImagePlugin", "JpegImageFile"),
    "gif": ("GifImagePlugin", "GifImageFile"),
    "bmp": ("BmpImagePlugin", "BmpImageFile"),
    "tiff": ("TiffImagePlugin", "TiffImageFile"),
    "webp": ("WebPImagePlugin", "WebPImageFile"),
}
# Pillow's mode -> the mode that pixels are taken in
_TAKEN_AS = {
    "1": "L", "L": "L", "LA": "LA", "La": "LA", "P": "RGB", "PA": "RGBA",
    "RGB": "RGB", "RGBX": "RGB", "RGBA": "RGBA", "RGBa": "RGBA", "CMYK": "RGB", "YCbCr": "RGB",
    "I;16": "I;16", "I;16L": "I;16L", "I;16B": "I;16B", "I": "I", "F": "F",
}  # fmt: skip
# mode -> channels, how Pillow hands them over, what they become
_SAMPLES = {
    "L": (1, "u1", "u1"), "LA": (2, "u1", "u1"), "RGB": (3, "u1", "u1"), "RGBA": (4, "u1", "u1"),
    "I;16": (1, "<u2", "u2"), "I;16L": (1, "<u2", "u2"), "I;16B": (1, ">u2", "u2"),
    "I": (1, "i4", "i4"), "F": (1, "f4", "f4"),
}  # fmt: skip
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_STRIP = 1 << 18
_LARGEST_PROFILE = 1 << 20
_TIFF_BITS_PER_SAMPLE = 258


def decode(data: bytes, header: Header) -> Picture:
    """The first picture of a file whose header was judged.

    Args:
        data: The file.
        header: Of this file, from :mod:`~cnntool.images.structure` or :mod:`~cnntool.images.png`.

    Returns:
        Upright pixels: uint8, uint16 for deep grey, float32 for float files.

    Raises:
        Exception: Whatever Pillow raises for a damaged file, of any class.
    """
    notes = []
    try:
        image = _loaded(data, header)
    except ValueError:
        if not (isinstance(header, png.PngHeader) and header.has_text):
            raise
        # a text or profile that unpacks to more than Pillow allows must not cost the picture
        image = _loaded(png.without_text(data), header)
        notes.append("text and colour profile left out")
    if isinstance(header, png.PngHeader) and _may_lack_rows(image, header):
        png.check_complete(data, header)
    mode = "LA" if _is_deep_la(header) else image.mode
    if _is_deep_color(image, header):
        mode += ";16"
        notes.append(DEEP_COLOR)
    if image.mode == "CMYK":
        notes.append("CMYK converted to RGB without its colour profile")
    if header.frames > 1:
        parts = "pages" if header.format == "tiff" else "frames"
        notes.append(f"only the first of {header.frames} {parts} is used")
    pixels, alpha, more = _pixels(_turned_upright(image, header), header)
    return Picture(
        pixels,
        alpha=alpha,
        format=header.format,
        notes=(*notes, *more),
        mode=mode,
        icc=_profile(image.info.get("icc_profile"), pixels),
    )


def _loaded(data: bytes, header: Header) -> Image.Image:
    _prepare_pillow(header)
    module, name = _PLUGINS[header.format]
    plugin: Callable[[io.BytesIO], Any] = getattr(importlib.import_module(f"PIL.{module}"), name)
    image: Image.Image = plugin(io.BytesIO(data))
    if image.width * image.height > header.pixels:
        raise damaged(header.format, "header and picture differ in size")
    image.load()
    return image


def _prepare_pillow(header: Header) -> None:
    """Keep Pillow and libtiff quiet, and let a size pass that our own limits have let pass."""
    if header.format == "tiff":
        _silence_libtiff()
    if Image.MAX_IMAGE_PIXELS is not None and header.pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = header.pixels
    # Warnings of metadata are nobody's concern here. A block that restores filters is not safe
    # with threads, and other code may have replaced the filters: so look each time.
    if not (warnings.filters and warnings.filters[0] == _QUIET):
        warnings.filterwarnings("ignore", module=r"PIL\b")


def _quiet_filter() -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")
        return warnings.filters[0]


_QUIET = _quiet_filter()


@functools.cache
def _silence_libtiff() -> None:
    """Switch off libtiff's own lines on stderr; what matters comes back as an error."""
    import ctypes

    # the library behind Pillow's extension module; where it is linked statically it stays loud
    with contextlib.suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(importlib.import_module("PIL._imaging").__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def _may_lack_rows(image: Image.Image, header: png.PngHeader) -> bool:
    """Whether the last row decoded is black, as rows are that the file does not hold."""
    if header.interlaced:
        return True
    last = image.crop((0, image.height - 1, image.width, image.height))
    return not any(last.tobytes())


def _is_deep_color(image: Image.Image, header: Header) -> bool:
    if isinstance(header, png.PngHeader):
        return header.depth == 16 and header.color_type != 0
    if header.format != "tiff" or image.mode in ("I;16", "I;16B", "I", "F"):
        return False
    bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS_PER_SAMPLE, ())
    return 16 in bits


def _is_deep_la(header: Header) -> bool:
    """Whether Pillow makes RGBA of grey and opacity, for want of a wide LA."""
    return isinstance(header, png.PngHeader) and header.color_type == 4 and header.depth == 16


def _turned_upright(image: Image.Image, header: Header) -> Image.Image:
    if header.format == "tiff":  # Pillow has done it
        return image
    method = _UPRIGHT.get(orientation(image.info.get("exif") or b""))
    return image if method is None else image.transpose(method)


def _pixels(
    image: Image.Image, header: Header
) -> tuple[NDArray[np.generic], bool, tuple[str, ...]]:
    """Pixels, whether the last channel is opacity, and notes."""
    if image.mode == "LAB":
        image = _lab_to_rgb(image)
    if image.mode not in _TAKEN_AS:
        raise InputError(f"pixels of kind {image.mode} are not supported; convert to RGB first")
    if _is_deep_la(header):
        target = "LA"
    elif image.mode == "P" and image.has_transparency_data:
        target = "RGBA"
    else:
        target = _TAKEN_AS[image.mode]
    pixels = _filled(image, target, _transparent_value(image, header))
    alpha = pixels.ndim == 3 and pixels.shape[2] in (2, 4)
    if target != "I":
        return pixels, alpha, ()
    if pixels.min() >= 0 and pixels.max() <= 65535:
        return pixels.astype(np.uint16), False, ()
    return pixels.astype(np.float32), False, ("32-bit integers read as floats",)


def _transparent_value(image: Image.Image, header: Header) -> tuple[int, ...]:
    """The samples of the one transparent value of a picture without opacity, or nothing."""
    if isinstance(header, png.PngHeader):
        if header.depth < 8:
            return tuple(value * 255 // ((1 << header.depth) - 1) for value in header.transparent)
        if header.depth == 16 and header.color_type == 2:
            return tuple(value >> 8 for value in header.transparent)
        return header.transparent
    key = image.info.get("transparency")
    return (key,) if image.mode == "L" and isinstance(key, int) else ()


def _filled(image: Image.Image, target: str, key: tuple[int, ...]) -> NDArray[np.generic]:
    """Pixels of ``image`` in mode ``target``, with a channel of opacity where there is a key."""
    w, h = image.size
    channels, stored, dtype = _SAMPLES[target]
    if image.mode == target and not key:
        with samples(image) as whole:
            if whole is not None:
                pixels: NDArray[np.generic] = np.empty((h, w, channels), np.uint8)
                for channel in range(channels):  # long runs; pixel by pixel would be 5 times slower
                    pixels[:, :, channel] = whole[:, :, channel]
                return pixels[:, :, 0] if channels == 1 else pixels
    out: NDArray[np.generic] = np.empty((h, w, channels + bool(key)), dtype)
    rows = max(1, _STRIP // (w * channels))
    for top in range(0, h, rows):
        bottom = min(h, top + rows)
        strip = image if rows >= h else image.crop((0, top, w, bottom))
        if strip.mode != target:
            strip = strip.convert(target)
        taken = np.frombuffer(strip.tobytes(), stored).reshape(bottom - top, w, channels)
        out[top:bottom, :, :channels] = taken
        if key:
            opaque = np.any(taken != key, axis=2)
            out[top:bottom, :, channels] = opaque * np.iinfo(dtype).max
    return out[:, :, 0] if out.shape[2] == 1 else out


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB"))
    if converted is None:
        raise InputError("a Lab picture could not be converted to RGB; convert it first")
    return converted


def _profile(profile: object, pixels: NDArray[np.generic]) -> bytes:
    """A colour profile that describes ``pixels`` as they are now, or nothing."""
    kind = b"RGB " if pixels.ndim == 3 and pixels.shape[2] > 2 else b"GRAY"
    if isinstance(profile, bytes) and profile[16:20] == kind and len(profile) <= _LARGEST_PROFILE:
        return profile
    return b""
