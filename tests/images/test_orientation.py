import struct

import picture_files as files
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.images.orientation import orientation


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("value", range(1, 9))
def test_values(order, kind, value):
    block = files.exif(value, order, kind)
    assert orientation(block) == value
    assert orientation(block[6:]) == value  # PNG and WebP leave the name out


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
def test_impossible_values_mean_upright(value):
    assert orientation(files.exif(value)) == 1


def test_text_where_the_number_should_be():
    assert (
        orientation(
            files.exif(6, kind=4).replace(
                struct.pack(">HH", 0x112, 4), struct.pack(">HH", 0x112, 2)
            )
        )
        == 1
    )


@pytest.mark.parametrize(
    "block", [b"", b"Exif\0\0", b"II*\0", b"XX*\0" + bytes(99), b"MM\0*\xff\xff\xff\xff"]
)
def test_damage_means_upright(block):
    assert orientation(block) == 1


def test_cut_blocks():
    block = files.exif(6)
    found = {orientation(block[:end]) for end in range(len(block))}
    assert found == {1, 6}


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60))
def test_anything_gives_a_number(rest):
    assert 1 <= orientation(b"II*\0\x08\0\0\0" + rest) <= 8
