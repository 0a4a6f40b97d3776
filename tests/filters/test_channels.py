"""Taking pictures apart and together, grey, opacity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from cnntool.errors import NameNotFound, ShapeError
from cnntool.filters.channels import (
    SPACES,
    from_linear,
    luma,
    merge,
    premultiply,
    split,
    to_linear,
    unpremultiply,
)


def planes_of(*args, **options):
    return [plane for _, plane in split(*args, **options)]


def names_of(*args, **options):
    return [name for name, _ in split(*args, **options)]


def colours(step: int) -> np.ndarray:
    """A coarse grid of all 8-bit colours, as a picture."""
    levels = np.unique([*range(0, 256, step), 1, 254, 255]).astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(
        len(levels), -1, 3
    )


@given(
    data=st.data(),
    kind=st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]),
    layout=st.sampled_from([(1, False), (2, True), (3, False), (4, True)]),
)
@settings(deadline=None, max_examples=60)
def test_rgb_comes_back_bit_for_bit(data, kind, layout):
    height, width = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 6)))
    channels, alpha = layout
    elements = st.integers(0, 255) if np.dtype(kind).kind == "u" else st.floats(-1, 300, width=32)
    pixels = data.draw(hnp.arrays(kind, (height, width, channels), elements=elements))
    planes = planes_of(pixels, alpha=alpha)
    back = merge(planes, alpha=alpha)
    np.testing.assert_array_equal(back.reshape(pixels.shape), pixels)
    assert back.dtype == kind
    for i, plane in enumerate(planes):
        np.testing.assert_array_equal(plane, pixels[..., i])
        assert plane.flags.c_contiguous and plane.flags.owndata


@pytest.mark.parametrize(
    ("shape", "alpha", "space", "names"),
    [
        ((3, 5), False, "rgb", ["L"]),
        ((3, 5, 1), False, "rgb", ["L"]),
        ((3, 5, 2), True, "rgb", ["L", "A"]),
        ((3, 5, 3), False, "rgb", ["R", "G", "B"]),
        ((3, 5, 4), True, "rgb", ["R", "G", "B", "A"]),
        ((3, 5, 2), False, "rgb", ["0", "1"]),
        ((3, 5, 4), False, "rgb", ["0", "1", "2", "3"]),
        ((3, 5, 3), False, "hsv", ["H", "S", "V"]),
        ((3, 5, 4), True, "ycbcr", ["Y", "Cb", "Cr", "A"]),
        ((3, 5, 4), True, "lab", ["L", "a", "b", "alpha"]),
        ((3, 5, 2), True, "gray", ["gray", "A"]),
        ((3, 5), False, "hsv", ["H", "S", "V"]),
    ],
)
def test_names(shape, alpha, space, names):
    pixels = np.full(shape, 77, np.uint8)
    assert names_of(pixels, space, alpha) == names
    assert len({name.casefold() for name in names}) == len(names)
    if shape[2:] not in ((2,), (4,)) or alpha:
        back = merge(planes_of(pixels, space, alpha), space, alpha)
        assert back.shape[:2] == (3, 5)


@pytest.mark.parametrize("space", ["hsv", "ycbcr", "lab", "gray"])
def test_alpha_is_kept_exactly(rng, space):
    pixels = rng.integers(0, 256, (4, 6, 4), dtype=np.uint8)
    planes = planes_of(pixels, space, alpha=True)
    np.testing.assert_array_equal(planes[-1], pixels[..., 3])
    np.testing.assert_array_equal(merge(planes, space, alpha=True)[..., -1], pixels[..., 3])


@pytest.mark.parametrize("space", SPACES)
def test_grey_pictures_stay_grey(space):
    grey = np.arange(256, dtype=np.uint8).reshape(8, 32)
    back = merge(planes_of(grey, space), space)
    if back.ndim == 2:
        np.testing.assert_array_equal(back, grey)
    else:
        assert np.all(back == back[..., :1])
        # lightness in 256 steps is finer than grey in some places and coarser in others
        limit = 1 if space == "lab" else 0
        assert np.abs(back[..., 0].astype(int) - grey).max() <= limit


def test_inputs_stay_as_they_are(rng):
    pixels = rng.integers(0, 256, (5, 4, 4), dtype=np.uint8)
    before = pixels.copy()
    for space in SPACES:
        planes = planes_of(pixels, space, alpha=True)
        planes_before = [plane.copy() for plane in planes]
        merged = merge(planes, space, alpha=True)
        merged[...] = 0
        for plane, old in zip(planes, planes_before, strict=True):
            np.testing.assert_array_equal(plane, old)
    luma(pixels, alpha=True)
    np.testing.assert_array_equal(pixels, before)


# --------------------------------------------------------------------------------------------- grey
def test_luma_is_rounded_half_to_even():
    pixels = colours(3)
    red, green, blue = (pixels[..., i].astype(np.int64) for i in range(3))
    whole, rest = np.divmod(299 * red + 587 * green + 114 * blue, 1000)
    expected = whole + ((rest > 500) | ((rest == 500) & (whole % 2 == 1)))
    np.testing.assert_array_equal(luma(pixels), expected)
    pillow = np.asarray(Image.fromarray(pixels).convert("L")).astype(int)
    assert np.abs(expected - pillow).max() <= 1
    assert np.mean(expected != pillow) < 0.01


def test_luma_of_sixteen_bits(rng):
    pixels = rng.integers(0, 65536, (50, 41, 3)).astype(np.uint16)
    total = pixels.astype(np.int64) @ np.array([299, 587, 114])
    np.testing.assert_array_equal(luma(pixels), np.rint(total / 1000))
    assert luma(pixels).dtype == np.uint16


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_luma_keeps_greys_exactly(kind):
    top = 65535 if kind == np.uint16 else 255
    grey = np.arange(top + 1).astype(kind)[None]
    np.testing.assert_array_equal(luma(np.stack([grey] * 3, -1)), grey)
    np.testing.assert_array_equal(luma(grey), grey)
    assert luma(grey).base is None


def test_luma_types_and_opacity(rng):
    pixels = rng.integers(0, 256, (5, 7, 4), dtype=np.uint8)
    exact = pixels[..., :3] @ np.array([0.299, 0.587, 0.114])
    grey = luma(pixels, alpha=True, dtype=np.float32)
    assert grey.dtype == np.float32
    np.testing.assert_allclose(grey, exact, rtol=1e-6)
    assert luma(pixels, alpha=True).dtype == np.uint8
    for kind in (np.float32, np.float64):
        floats = luma(pixels[..., :3].astype(kind))
        assert floats.dtype == kind
        np.testing.assert_allclose(floats, exact, rtol=1e-6 if kind == np.float32 else 1e-14)
    np.testing.assert_array_equal(luma(pixels[..., :2], alpha=True), pixels[..., 0])
    assert luma(pixels[..., 0], dtype=np.float32).dtype == np.float32


# ------------------------------------------------------------------------------------------ opacity
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_weighting_by_opacity(rng, kind, channels):
    top = 65535 if kind == np.uint16 else 255
    pixels = rng.integers(0, top + 1, (300, 231, channels)).astype(kind)
    pixels[0, 0, -1] = 0
    before = pixels.copy()
    weighted = premultiply(pixels)
    assert weighted.dtype == (np.float64 if kind == np.float64 else np.float32)
    exact = pixels.astype(np.float64)
    exact[..., :-1] *= exact[..., -1:] / top
    np.testing.assert_allclose(weighted, exact, rtol=1e-6)
    back = unpremultiply(weighted, top)
    seen = pixels[..., -1] > 0
    np.testing.assert_allclose(back[seen], pixels[seen], rtol=1e-5)
    assert not back[~seen].any()
    np.testing.assert_array_equal(pixels, before)


def test_negative_opacity_is_not_seen():
    pixels = np.array([[[10.0, -3.0], [10.0, 127.5]]])
    assert unpremultiply(pixels).tolist() == [[[0, -3], [20, 127.5]]]


# ------------------------------------------------------------------------------------------- device
@pytest.mark.parametrize("space", SPACES)
def test_same_on_every_library(xp, rng, space):
    pixels = rng.integers(0, 256, (4, 5, 4), dtype=np.uint8)
    on_device = xp.to_device(pixels)
    with xp.no_transfers():
        planes = planes_of(on_device, space, alpha=True)
        merged = merge(planes, space, alpha=True)
    expected = planes_of(pixels, space, alpha=True)
    for plane, host in zip(planes, expected, strict=True):
        # 32 bits may round the other way
        assert np.abs(xp.to_host(plane).astype(int) - host).max() <= (xp.name != "numpy")
    limit = 0 if xp.name == "numpy" else 30
    again = merge(expected, space, alpha=True)
    assert np.abs(xp.to_host(merged).astype(int) - again).max() <= limit


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_light_and_opacity_on_every_library(xp, rng, kind):
    pixels = rng.integers(0, 256, (4, 5, 4)).astype(kind)
    on_device = xp.to_device(pixels)
    with xp.no_transfers():
        results = [
            to_linear(on_device),
            from_linear(to_linear(on_device)),
            premultiply(on_device),
            unpremultiply(premultiply(on_device)),
            luma(on_device, alpha=True),
        ]
    expected = [
        to_linear(pixels),
        from_linear(to_linear(pixels)),
        premultiply(pixels),
        unpremultiply(premultiply(pixels)),
        luma(pixels, alpha=True),
    ]
    for result, host in zip(results, expected, strict=True):
        assert xp.to_host(result).dtype == host.dtype
        np.testing.assert_allclose(xp.to_host(result), host, rtol=1e-5, atol=1e-4)


# ------------------------------------------------------------------------------------------- errors
def grey(*shape, kind=np.uint8):
    return np.zeros(shape, kind)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda: split(grey(3, 4, 2), "hsv"),
            "colour space hsv needs 1 or 3 colour channels, got 2",
        ),
        (lambda: split(grey(3, 4, 4), "gray"), "grey needs 1 or 3 colour channels, got 4"),
        (lambda: luma(grey(3, 4, 4)), "grey needs 1 or 3 colour channels, got 4"),
        (lambda: split(grey(3)), r"a picture is \(H, W\) or \(H, W, C\), got shape 3"),
        (lambda: split(grey(3, 4), alpha=True), "with opacity has two channels or more, got 1"),
        (lambda: merge([]), "rgb is merged from 1 or 3 pictures, got 0"),
        (lambda: merge([grey(3, 4)] * 2), "rgb is merged from 1 or 3 pictures, got 2"),
        (
            lambda: merge([grey(3, 4)] * 3, alpha=True),
            "rgb is merged from 2 or 4 pictures, the last one opacity, got 3",
        ),
        (lambda: merge([grey(3, 4)], "lab"), "lab is merged from 3 pictures, got 1"),
        (
            lambda: merge([grey(3, 4), grey(3, 4), grey(4, 3)]),
            "picture 3 is 3×4 pixels, picture 1 is 4×3; channels must have one size",
        ),
        (
            lambda: merge([grey(3, 4), grey(3, 4, kind=np.uint16), grey(3, 4)]),
            "picture 2 holds uint16, picture 1 holds uint8; channels must have one depth",
        ),
        (
            lambda: merge([grey(3, 4, 3)]),
            "picture 1 has 3 channels; channels to merge are grey pictures",
        ),
        (lambda: merge([grey(3, 4), grey(3)]), r"picture 2 has 1 dimensions; \(H, W\) is needed"),
    ],
)
def test_what_does_not_fit_is_said(call, match):
    with pytest.raises(ShapeError, match=match):
        call()


@pytest.mark.parametrize("call", [split, lambda pixels, space: merge([pixels], space)])
def test_unknown_space(call):
    with pytest.raises(
        NameNotFound, match="unknown colour space 'cmyk'; use rgb, hsv, ycbcr, lab, gray"
    ):
        call(grey(2, 2), "cmyk")


def test_planes_with_one_channel_are_planes():
    assert merge([grey(3, 4, 1)] * 3).shape == (3, 4, 3)
    assert merge([grey(3, 4, 1)], "gray").shape == (3, 4)
