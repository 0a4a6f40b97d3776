import subprocess
import sys

import picture_files as files
import pytest
from PIL import Image

from cnntool.images import formats


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.png", "png"),
        ("a.JPG", "jpeg"),
        ("dir.png/a.jpeg", "jpeg"),
        ("a.jpe", "jpeg"),
        ("a.jfif", "jpeg"),
        ("a.tif", "tiff"),
        ("a.TIFF", "tiff"),
        ("a.bmp", "bmp"),
        ("a.dib", "bmp"),
        ("a.gif", "gif"),
        ("a.webp", "webp"),
        ("a.pgm", "pnm"),
        ("a.ppm", "pnm"),
        ("a.pbm", "pnm"),
        ("a.pnm", "pnm"),
        ("a.pfm", "pfm"),
        ("a.npy", "npy"),
        ("a.eps", None),
        ("a.txt", None),
        ("png", None),
        (".png", None),
        ("a.png/", None),
    ],
)
def test_by_suffix(path, name):
    assert formats.by_suffix(path) == name


def test_each_suffix_stands_for_one_format():
    suffixes = [s for entry in formats.FORMATS.values() for s in entry.suffixes]
    assert len(suffixes) == len(set(suffixes)) == len(formats.KNOWN_SUFFIXES)
    assert all(s.startswith(".") and s == s.lower() for s in suffixes)


def test_the_choices_of_format_are_those_that_can_be_written():
    assert formats.WRITABLE == ("png", "jpeg", "bmp", "tiff", "webp", "pnm", "pfm", "npy")
    assert formats.output_format("gif") == "png"
    assert all(formats.output_format(name) == name for name in formats.WRITABLE)


@pytest.mark.parametrize(
    ("pillow", "name"),
    [("PNG", "png"), ("JPEG", "jpeg"), ("GIF", "gif"), ("BMP", "bmp"), ("TIFF", "tiff"),
     ("WEBP", "webp"), ("PPM", "pnm")],
)  # fmt: skip
def test_content_tells_the_format(pillow, name):
    assert formats.sniff(files.saved(Image.new("RGB", (5, 3)), pillow)) == name


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"MM\0*", "tiff"),
        (b"II+\0", "tiff"),
        (b"P1 ", "pnm"),
        (b"P3#", "pnm"),
        (b"Pf\n", "pfm"),
        (b"PF ", "pfm"),
        (b"\x93NUMPY\x01", "npy"),
        (b"P7\n", None),
        (b"P5", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"BM" + bytes(12) + b"\x05\0\0\0", None),
        (b"", None),
        (b"\x89PN", None),
    ],
)
def test_first_bytes(start, name):
    assert formats.sniff(start) == name


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"%!PS-Adobe", "EPS"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x0cjP  \r\n", "JPEG 2000"),
        (b"8BPS", "Photoshop"),
        (b"P7\nWIDTH", "PAM"),
        (b"<!doctype html>", "web page"),
        (b"PK\x03\x04", "ZIP"),
        (b"\x89PNG\n\x1a\n", "damaged signature"),
        (b"\x89png\r\n\x1a\n\0\0\0\x0dIHDR", "damaged signature"),
        (b"BM....", "damaged BMP"),
        (b"hello", "unknown content"),
    ],
)
def test_description_of_what_is_not_read(start, what):
    assert what in formats.describe(start)


def test_readable_names_all():
    phrase = formats.readable()
    assert all(name in phrase for name in formats.FORMATS)
    assert phrase.endswith("and npy")


def test_light_modules_import_neither_numpy_nor_pillow():
    code = (
        "import sys, cnntool.images, cnntool.images.formats, cnntool.images.limits\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('numpy', 'PIL')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_package_offers_names_on_demand():
    import cnntool.images as images

    assert all(getattr(images, name) is not None for name in images.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = images.nothing
