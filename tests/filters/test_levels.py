"""Rounding and range against a loop over Python's own round()."""

import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cnntool.errors import OptionError
from cnntool.filters.levels import Levels, LevelsReport, to_integer

FLOATS = (np.float32, np.float64)
WHOLE = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32)


def slowly(values, top, mode, factor=1.0):
    """Samples, and how many values were negative and clipped, one value after the other."""
    flat = [0.0 if math.isnan(v) else v * factor for v in values.ravel().tolist()]
    if mode == "rescale":
        low, high = min(flat), max(flat)
        samples = [round((v - low) * (top / (high - low))) if high > low else 0 for v in flat]
        return samples, sum(v < -0.5 for v in flat), 0
    samples, negative, clipped = [], 0, 0
    for value in flat:
        whole = round(value) if math.isfinite(value) else value
        negative += whole < 0
        if mode == "abs":
            whole = abs(whole)
        elif mode == "offset":
            whole += (top + 1) // 2
        clipped += not 0 <= whole <= top
        samples.append(min(max(whole, 0), top))
    return samples, negative, clipped


def check(values, dtype, mode, **options):
    before = values.copy()
    pixels, report = to_integer(values, dtype, mode, **options)
    np.testing.assert_array_equal(values, before)
    assert pixels.dtype == dtype
    assert pixels.shape == values.shape
    top = int(np.iinfo(dtype).max)
    factor = top / options["full_range"] if "full_range" in options else 1.0
    samples, negative, clipped = slowly(values, top, mode, factor)
    assert pixels.ravel().tolist() == samples
    assert (report.negative, report.clipped) == (negative, clipped)
    assert report.total == values.size
    assert report.invalid == np.count_nonzero(values != values)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("mode", ["clip", "abs", "offset", "rescale"])
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_floats_against_the_loop(dtype, mode, data):
    kind = data.draw(st.sampled_from(FLOATS))
    top = int(np.iinfo(dtype).max)
    halves = st.integers(-3 * top, 3 * top).map(lambda n: n / 2)
    # a rescaled value that is a tie in exact numbers has no right answer in floating ones
    wide = st.integers(-5000, 5000) if mode == "rescale" else halves
    others = st.floats(-3.0 * top, 3.0 * top, width=32) if mode != "rescale" else halves
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=6))
    values = data.draw(hnp.arrays(kind, shape, elements=st.one_of(wide, others)))
    if mode == "rescale":
        with np.errstate(all="ignore"):
            exact = (values - values.min()) * (top / max(float(np.ptp(values)), 1e-9))
        values = values[np.abs(exact % 1 - 0.5) > 1e-6]
        if values.size == 0:
            return
    check(values, dtype, mode)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("mode", ["clip", "abs", "offset"])
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_integers_against_the_loop(dtype, mode, data):
    kind = data.draw(st.sampled_from(WHOLE))
    info = np.iinfo(kind)
    edges = [v for v in (info.min, info.max, 0, 255, 256, -128, 65535, 65536) if v <= info.max]
    elements = st.one_of(
        st.integers(info.min, info.max),
        st.sampled_from([v for v in edges if v >= info.min]),
        st.integers(max(info.min, -300), min(info.max, 300)),
    )
    values = data.draw(hnp.arrays(kind, st.integers(1, 9), elements=elements))
    check(values, dtype, mode)


@pytest.mark.parametrize("mode", ["clip", "abs", "offset"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_halves_round_to_even_before_the_range(kind, mode):
    values = np.array(
        [n + 0.5 for n in (-257, -256, -130, -129, -128, -2, -1, 0, 1, 2, 126, 127, 128, 254, 255)],
        dtype=kind,
    )
    check(values, np.uint8, mode)
    check(values * 257, np.uint16, mode)


@pytest.mark.parametrize("mode", ["clip", "abs", "offset"])
def test_rounded_negatives_are_not_negative(mode):
    _, report = to_integer(np.array([-0.5, -0.2, 0.0], np.float32), np.uint8, mode)
    assert report.negative == 0
    assert report.note() is None


@pytest.mark.parametrize("kind", [*FLOATS, np.int16, np.int32])
@pytest.mark.parametrize("mode", ["clip", "abs", "offset"])
def test_large_arrays_are_worked_on_in_pieces(rng, kind, mode):
    values = np.rint(rng.normal(0, 200, (301, 257, 3))).astype(kind)
    signed = values.astype(np.int64)
    expected = {"clip": signed, "abs": np.abs(signed), "offset": signed + 128}[mode]
    pixels, report = to_integer(values, np.uint8, mode)
    np.testing.assert_array_equal(pixels, np.clip(expected, 0, 255))
    assert report.negative == np.count_nonzero(signed < 0)
    assert report.clipped == np.count_nonzero((expected < 0) | (expected > 255))
    assert report.total == values.size
    for view in (values[:, ::-2], values.transpose(1, 0, 2)):
        pixels, report = to_integer(view, np.uint8, mode)
        assert pixels.shape == view.shape
        assert report.total == view.size
    back, _ = to_integer(values.transpose(2, 1, 0), np.uint8, mode)
    np.testing.assert_array_equal(back, np.clip(expected, 0, 255).transpose(2, 1, 0))


@pytest.mark.parametrize("mode", ["clip", "abs", "offset"])
def test_depths_are_converted(rng, mode):
    eight = rng.integers(-300, 300, (5, 7)).astype(np.float32)
    check(eight, np.uint16, mode, full_range=255)
    check(eight.astype(np.int16), np.uint16, mode, full_range=255)
    sixteen = rng.integers(0, 65536, (6, 5)).astype(np.float64)
    check(sixteen, np.uint8, mode, full_range=65535)
    for pixels in (np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.float32)):
        wide, _ = to_integer(pixels, np.uint16, "clip", full_range=255)
        assert wide.tolist() == [257 * v for v in range(256)]
        narrow, _ = to_integer(wide, np.uint8, "clip", full_range=65535)
        assert narrow.tolist() == list(range(256))


def test_auto_depends_on_the_kernel():
    values = np.array([-80.0, 40.0, 300.0], np.float32)
    for zero_sum, samples in ((True, [80, 40, 255]), (False, [0, 40, 255])):
        pixels, report = to_integer(values, np.uint8, zero_sum=zero_sum)
        assert pixels.tolist() == samples
        assert report.mode == ("abs" if zero_sum else "clip")
        assert report.asked == "auto"


# ------------------------------------------------------------------------------- what is not finite
@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize(
    ("mode", "samples"),
    [
        ("clip", [0, 255, 0, 7, 0]),
        ("abs", [0, 255, 255, 7, 9]),
        ("offset", [128, 255, 0, 135, 119]),
    ],
)
def test_nan_is_0_and_infinity_the_end(kind, mode, samples):
    values = np.array([math.nan, math.inf, -math.inf, 7, -9], kind)
    pixels, report = to_integer(values, np.uint8, mode)
    assert pixels.tolist() == samples
    assert (report.invalid, report.negative) == (1, 2)
    assert report.note().endswith("were NaN; written as 0")
    assert math.isnan(values[0])


def test_nan_alone_is_noted():
    _, report = to_integer(np.array([[math.nan, 1.0, 2.0, 3.0]]), np.uint8, "clip")
    assert report.note() == "25 % of values were NaN; written as 0"
    pixels, _ = to_integer(np.array([math.nan, math.nan]), np.uint8, "rescale")
    assert pixels.tolist() == [0, 0]


def test_rescale_leaves_out_what_is_not_finite():
    values = np.array([math.nan, -math.inf, 10, 20, 30, math.inf])
    pixels, report = to_integer(values, np.uint8, "rescale")
    assert pixels.tolist() == [0, 0, 0, 128, 255, 255]
    assert report.invalid == 1


def test_rescale_of_one_value_is_black():
    for values in (np.full((3, 2), 77.0), np.full(4, -5, np.int16)):
        assert not to_integer(values, np.uint8, "rescale")[0].any()


# ----------------------------------------------------------------------------------- strip by strip
@pytest.mark.parametrize("mode", ["clip", "abs", "offset", "rescale"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_strips_give_the_whole(rng, mode, overwrite):
    values = rng.normal(0, 150, (53, 20, 3)).astype(np.float32)
    whole, expected = to_integer(values, np.uint8, mode)
    levels = Levels(np.uint8, mode)
    assert levels.needs_whole_picture == (mode == "rescale")
    out = np.empty_like(whole)
    work = values.copy()
    for start in range(0, 53, 7):
        levels.observe(work[start : start + 7])
    for start in range(0, 53, 7):
        strip = slice(start, start + 7)
        levels.apply(work[strip], out[strip], overwrite=overwrite)
    np.testing.assert_array_equal(out, whole)
    assert levels.report == expected
    if not overwrite:
        np.testing.assert_array_equal(work, values)


def test_strips_in_threads_are_all_counted(rng):
    values = np.rint(rng.normal(0, 200, (160, 500))).astype(np.int16)
    levels = Levels(np.uint8, "abs")
    out = np.empty(values.shape, np.uint8)

    def work(first):
        for row in range(first, 160, 4):
            levels.apply(values[row : row + 1], out[row : row + 1])

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(out, np.minimum(np.abs(values), 255))
    report = levels.report
    assert report.total == values.size
    assert report.negative == np.count_nonzero(values < 0)
    assert report.clipped == np.count_nonzero(np.abs(values) > 255)


def test_empty_strips_are_nothing():
    levels = Levels(np.uint8, "rescale")
    empty = np.empty((0, 5), np.float32)
    assert levels.of(empty).shape == (0, 5)
    assert levels.report.total == 0
    assert levels.report.negative_share == 0


def test_output_that_is_a_view(rng):
    values = rng.normal(0, 200, (400, 300)).astype(np.float32)
    out = np.full((400, 300, 3), 9, np.uint8)
    Levels(np.uint8, "abs").apply(values, out[..., 1])
    np.testing.assert_array_equal(out[..., 1], np.minimum(np.rint(np.abs(values)), 255))
    assert (out[..., 0] == 9).all() and (out[..., 2] == 9).all()


# --------------------------------------------------------------------------------------- the device
@pytest.mark.parametrize("mode", ["clip", "abs", "offset", "rescale"])
@pytest.mark.parametrize("kind", [np.float32, np.int16, np.int32, np.uint8])
def test_same_on_every_library(xp, rng, mode, kind):
    values = rng.integers(0 if kind == np.uint8 else -400, 250, (6, 5, 3)).astype(kind)
    if kind == np.float32:
        values += np.float32(0.25)
        values[0, 0, 0] = math.nan
    expected, report = to_integer(values, np.uint8, mode)
    on_device = xp.to_device(values)
    levels = Levels(np.uint8, mode)
    levels.observe(on_device)
    pixels = xp.xp.empty(values.shape, dtype=np.uint8)
    with xp.no_transfers():
        levels.apply(on_device, pixels)
    np.testing.assert_array_equal(xp.to_host(pixels), expected)
    assert levels.report == report == levels.report
    np.testing.assert_array_equal(xp.to_host(on_device), values)
    np.testing.assert_array_equal(xp.to_host(Levels(np.uint8, mode).of(on_device)), expected)


# --------------------------------------------------------------------------------- words and errors
@pytest.mark.parametrize(
    ("report", "asked", "sentence"),
    [
        (
            ("abs", "auto", 255, 200, 74),
            None,
            "37 % of values were negative; shown as absolute values (--range)",
        ),
        (
            ("abs", "auto", 255, 100, 37, 12),
            None,
            "37 % of values were negative; shown as absolute values; 12 % were above 255 and "
            "clipped (--range)",
        ),
        (
            ("abs", "abs", 255, 100, 37, 12),
            None,
            "12 % of values were above 255 and clipped (--range)",
        ),
        (("abs", "auto", 255, 100, 37), "abs", None),
        (("abs", "auto", 255, 100), None, None),
        (
            ("clip", "auto", 255, 1000, 3, 3),
            None,
            "less than 1 % of values were negative; clipped (--range)",
        ),
        (
            ("clip", "auto", 65535, 100, 0, 4),
            None,
            "4 % of values were above 65535; clipped (--range)",
        ),
        (
            ("clip", "auto", 255, 100, 30, 40),
            None,
            "30 % of values were negative, 10 % above 255; clipped (--range)",
        ),
        (("clip", "clip", 255, 100, 30, 40), None, None),
        (("clip", "clip", 255, 100, 30, 40, 100), None, "100 % of values were NaN; written as 0"),
        (
            ("offset", "offset", 255, 100, 30, 5),
            None,
            "5 % of values were outside -128..127; clipped (--range)",
        ),
        (("offset", "offset", 255, 100, 30), None, None),
        (("rescale", "rescale", 255, 100, 30), None, None),
        (
            ("abs", "auto", 255, 100, 50, 0, 2),
            None,
            "50 % of values were negative; shown as absolute values (--range); 2 % were NaN; "
            "written as 0",
        ),
    ],
)
def test_notes(report, asked, sentence):
    assert LevelsReport(*report).note(asked) == sentence


def test_shares():
    report = LevelsReport("clip", "auto", 255, 200, 50, 80)
    assert (report.negative_share, report.clipped_share) == (0.25, 0.4)


def test_raw_is_refused():
    with pytest.raises(
        OptionError,
        match=r"--range raw keeps negative and fractional values, which 8-bit samples cannot hold; "
        r"take a float format \(npy, pfm, tiff\), or clip, abs, offset or rescale",
    ):
        to_integer(np.zeros(3), np.uint8, "raw")
    with pytest.raises(OptionError, match="16-bit samples"):
        Levels(np.uint16, "raw")


def test_unknown_modes_and_types_are_refused():
    with pytest.raises(
        OptionError, match="unknown range 'clamp'; use auto, clip, abs, offset, rescale, raw"
    ):
        Levels(np.uint8, "clamp")
    with pytest.raises(OptionError, match="samples are uint8 or uint16, not float32"):
        Levels(np.float32)
