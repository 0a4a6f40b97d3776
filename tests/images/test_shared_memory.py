"""Pillow's memory as an array: the same samples as Pillow's own way gives."""

from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from cnntool.images import decoding
from cnntool.images.reading import read
from cnntool.images.shared_memory import samples as stored_samples


@contextmanager
def nothing(image):
    yield None


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (2, 31), (640, 480)])
@pytest.mark.parametrize("mode, channels", [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_equals_pillows_bytes(mode, channels, size, rng):
    expected = rng.integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
    image = Image.frombytes(mode, size, expected.tobytes())
    with stored_samples(image) as stored:
        assert stored is not None
        assert not stored.flags.writeable
        np.testing.assert_array_equal(stored[:, :, :channels], expected)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "I;16", "I", "F", "CMYK", "YCbCr"])
def test_other_modes_are_left_to_pillow(mode):
    with stored_samples(Image.new(mode, (4, 3))) as stored:
        assert stored is None


def test_pictures_in_several_blocks_are_left_to_pillow():
    with stored_samples(Image.new("RGB", (3000, 2500))) as stored:
        assert stored is None


def test_a_pillow_without_the_interface():
    class Old:
        mode, width, height = "RGB", 3, 2

    with stored_samples(Old()) as stored:
        assert stored is None


@pytest.mark.parametrize("name", ["coffee.jpg", "camera.png", "square.png"])
def test_both_ways_decode_alike(name, samples, monkeypatch):
    fast = read(samples / name).pixels
    monkeypatch.setattr(decoding, "samples", nothing)
    np.testing.assert_array_equal(fast, read(samples / name).pixels)
