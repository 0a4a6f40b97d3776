"""Edge operators against SciPy and NumPy in float64, ramps, rotations and borders."""

import colorsys
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.ndimage
import skimage.feature
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import NameNotFound, OptionError, ShapeError
from cnntool.filters.edges import edges
from cnntool.filters.kernel_text import EDGE_OPERATORS
from cnntool.filters.kernels import KERNELS
from cnntool.filters.levels import Levels
from cnntool.filters.operators import OPERATORS, SHOWS, SIGNED, check
from cnntool.ops import correlation

ROOT = np.sqrt(2)
X_KERNELS = {
    "sobel": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "scharr": [[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]],
    "prewitt": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    "freichen": [[-1, 0, 1], [-ROOT, 0, ROOT], [-1, 0, 1]],
}
PAIRS = {name: (np.array(k, float), np.array(k, float).T) for name, k in X_KERNELS.items()}
PAIRS["roberts"] = (np.array([[1.0, 0], [0, -1]]), np.array([[0.0, 1], [-1, 0]]))
CLOCKWISE = ((1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0), (0, 1), (0, 2))  # from east
RINGS = {"kirsch": [5, 5, -3, -3, -3, -3, -3, 5], "robinson": [2, 1, 0, -1, -2, -1, 0, 1]}
GRADIENTS = (*PAIRS, *RINGS)
DTYPES = ("uint8", "uint16", "float32", "float64")


def compass(name):
    kernels = []
    for k in range(8):
        kernel = np.zeros((3, 3))
        for weight, place in zip(np.roll(RINGS[name], k), CLOCKWISE, strict=True):
            kernel[place] = weight
        kernels.append(kernel)
    return kernels


def correlate(image, kernel):
    """float64, SciPy's 'mirror' being our 'reflect'; even kernels reach right and down."""
    origin = tuple(-1 if size == 2 else 0 for size in kernel.shape)
    x = image.astype(np.float64)
    if x.ndim == 2:
        return scipy.ndimage.correlate(x, kernel, mode="mirror", origin=origin)
    channels = [correlate(x[..., c], kernel) for c in range(x.shape[2])]
    return np.stack(channels, axis=2)


def responses(image, name):
    kernels = PAIRS[name] if name in PAIRS else compass(name)
    return [correlate(image, kernel) for kernel in kernels]


def magnitude(image, name):
    maps = responses(image, name)
    return np.hypot(*maps) if name in PAIRS else np.max(maps, axis=0)


def degrees(image, name):
    maps = responses(image, name)
    if name in RINGS:
        return 45.0 * np.argmax(maps, axis=0)
    x, y = maps
    if name == "roberts":  # its first kernel looks to the upper left, its second to the upper right
        x, y = y - x, -(x + y)
    return np.degrees(np.arctan2(y, x)) % 360


def gain(name):
    return np.abs(PAIRS[name][0] if name in PAIRS else compass(name)[0]).sum()


def picture(rng, shape, dtype):
    if dtype.startswith("uint"):
        return rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)
    return (rng.random(shape) * 255).astype(dtype)


def circular_distance(a, b):
    return np.abs((a - b + 180) % 360 - 180)


SHAPES = ((13, 17), (9, 14, 1), (11, 8, 3), (1, 5), (6, 1), (1, 1), (2, 2, 4))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", GRADIENTS)
def test_magnitude_is_that_of_scipy(name, shape, dtype, rng):
    image = picture(rng, shape, dtype)
    result = edges(image, name)
    exact = magnitude(image, name)
    assert result.shape == shape
    assert result.dtype == (np.float64 if dtype == "float64" else np.float32)
    tolerance = (1e-10 if dtype == "float64" else 1e-5) * gain(name) * float(image.max())
    np.testing.assert_allclose(result, exact, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", GRADIENTS)
def test_x_and_y(name, rng):
    image = picture(rng, (9, 12, 3), "uint8")
    maps = responses(image, name)
    y = maps[1] if name in PAIRS else maps[2]  # the south kernel of a compass
    tolerance = 1e-3 if name == "freichen" else 0
    np.testing.assert_allclose(edges(image, name, "x"), maps[0], rtol=0, atol=tolerance)
    np.testing.assert_allclose(edges(image, name, "y"), y, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PAIRS)
def test_angle_is_that_of_arctan2(name, dtype, rng):
    image = picture(rng, (13, 11, 3), dtype)
    full = 65535 if dtype == "uint16" else 255
    result = edges(image, name, "angle")
    assert 0 <= result.min() and result.max() <= full
    found = result.astype(np.float64) * 360 / full
    # rounding of a small gradient turns it further
    blurred = np.degrees(1e-5 * gain(name) * image.max() / np.maximum(magnitude(image, name), 1e-9))
    assert (circular_distance(found, degrees(image, name)) < 0.001 + blurred).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RINGS)
def test_angle_of_a_compass_is_that_of_its_kernel(name, dtype, rng):
    image = picture(rng, (13, 11, 3), dtype)
    full = 65535 if dtype == "uint16" else 255
    eighths = edges(image, name, "angle") * 8 / full
    place = np.rint(eighths).astype(int)
    np.testing.assert_allclose(eighths, place, atol=1e-5)
    maps = np.array(responses(image, name))
    if dtype.startswith("uint"):  # exact, so that ties are ties: the first one counts
        np.testing.assert_array_equal(place, np.argmax(maps, axis=0))
    chosen = np.take_along_axis(maps, place[None], axis=0)[0]
    np.testing.assert_allclose(chosen, maps.max(axis=0), atol=1e-5 * gain(name) * image.max())


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("eighth", range(8))
def test_angle_points_to_rising_brightness(name, eighth, dtype):
    across = [1, 1, 0, -1, -1, -1, 0, 1][eighth]
    down = [0, 1, 1, 1, 0, -1, -1, -1][eighth]
    rows, columns = np.mgrid[:7, :9]
    ramp = (100 + 5 * across * columns + 5 * down * rows).astype(dtype)
    inside = edges(ramp, name, "angle")[1:-1, 1:-1] * 360 / 255
    np.testing.assert_allclose(inside, 45 * eighth, atol=1e-3)


@pytest.mark.parametrize("eighth", range(8))
def test_angle_in_eight_bits(eighth):
    rows, columns = np.mgrid[:7, :9]
    angle = np.pi * eighth / 4
    ramp = 100 + 5 * (np.cos(angle) * columns + np.sin(angle) * rows)
    result = edges(ramp, "scharr", "angle", levels=Levels(np.uint8, "rescale"))
    assert result.dtype == np.uint8
    assert (result[1:-1, 1:-1] == np.rint(45 * eighth * 255 / 360)).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([n for n in GRADIENTS if n != "roberts"]))
def test_a_turned_picture_has_turned_edges(seed, name):
    rng = np.random.default_rng(seed)
    image = picture(rng, (6, 9), "uint8")
    turned = np.rot90(image)  # counter-clockwise
    np.testing.assert_allclose(
        edges(turned, name), np.rot90(edges(image, name)), rtol=1e-5, atol=1e-3
    )
    if name not in RINGS:  # a compass breaks ties by order
        before = np.rot90(edges(image, name, "angle")) * 360 / 255
        after = edges(turned, name, "angle") * 360 / 255
        strong = edges(turned, name) > 1
        assert (circular_distance(after, before - 90)[strong] < 0.01).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*GRADIENTS, "canny"])
def test_constant_pictures_have_no_edges(name, dtype):
    for value in (0, 0.1, 77.7, 255):
        flat = np.full((8, 7, 3), value).astype(dtype)
        for show in SHOWS if name != "canny" else ("magnitude",):
            # products of matrices leave some rounding in one kernel of Kirsch
            rest = 1e-5 * gain(name) * 255 if name == "kirsch" and show in SIGNED else 0
            assert np.abs(edges(flat, name, show)).max() <= rest


@pytest.mark.parametrize("border", ["reflect", "symmetric", "edge", "wrap", "constant", "max"])
@pytest.mark.parametrize("name", ["sobel", "roberts", "kirsch", "robinson"])
@pytest.mark.parametrize("value", [0, 100, -20000.5])
def test_borders(name, border, value, rng):
    image = picture(rng, (5, 7), "uint8")
    before = 0 if name == "roberts" else 1
    options = {"mode": border}
    if border in ("constant", "max"):
        fill = value if border == "constant" else image.max()
        options = {"mode": "constant", "constant_values": fill}
    padded = np.pad(image.astype(np.float64), ((before, 1), (before, 1)), **options)
    inside = slice(before, -1), slice(before, -1)
    exact = magnitude(padded, name)[inside]
    result = edges(image, name, border=border, border_value=value)
    np.testing.assert_allclose(result, exact, rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("show", SHOWS)
@pytest.mark.parametrize("name", ["sobel", "kirsch", "robinson"])
def test_strips_leave_no_seams(name, show, threads, rng, monkeypatch):
    image = picture(rng, (75, 20, 3), "uint8")
    whole = edges(image, name, show)
    monkeypatch.setattr(correlation, "STRIP_BYTES", 1)
    np.testing.assert_array_equal(edges(image, name, show, threads=threads), whole)
    for mode in ("auto", "offset", "rescale"):
        levels = Levels(np.uint8, mode, zero_sum=show in SIGNED)
        samples = edges(image, name, show, levels=levels, threads=threads)
        own = mode if show in ("magnitude", *SIGNED) else "clip"
        wanted = Levels(np.uint8, own, zero_sum=show in SIGNED).of(whole)
        np.testing.assert_array_equal(samples, wanted)


@pytest.mark.parametrize("show", SHOWS)
@pytest.mark.parametrize("name", OPERATORS)
def test_opacity_is_kept(name, show, rng):
    if name == "canny" and show != "magnitude":
        return
    image = picture(rng, (9, 12, 4), "uint8")
    floats = edges(image, name, show, alpha=True)
    plain = edges(image[..., :3], name, show)
    plain = plain[..., None] if plain.ndim == 2 else plain
    np.testing.assert_array_equal(floats[..., -1], image[..., -1])
    np.testing.assert_array_equal(floats[..., :-1], plain)
    samples = edges(image, name, show, alpha=True, levels=Levels(np.uint8))
    np.testing.assert_array_equal(samples[..., -1], image[..., -1])
    grey = edges(image[..., 2:], name, show, alpha=True)
    assert grey.shape == (9, 12, 4 if show == "hsv" else 2)


def test_depths_are_converted(rng):
    image = picture(rng, (6, 9, 2), "uint16")
    eight = Levels(np.uint8, full_range=65535)
    result = edges(image, alpha=True, levels=eight)
    np.testing.assert_array_equal(result[..., 1], np.rint(image[..., 1] / 257))
    exact = np.minimum(np.rint(magnitude(image[..., 0], "sobel") / 257), 255)
    np.testing.assert_array_equal(result[..., 0], exact)
    angle = edges(image[..., 0], show="angle", levels=Levels(np.uint8))
    np.testing.assert_allclose(angle, degrees(image[..., 0], "sobel") * 255 / 360, atol=0.51)
    floats = (image[..., 0] / 1.0).astype(np.float32)
    np.testing.assert_allclose(
        edges(floats, show="angle", full_range=65535), edges(image[..., 0], show="angle"), atol=0.01
    )


@pytest.mark.parametrize("name", GRADIENTS)
def test_colours_are_those_of_hsv(name, rng):
    image = picture(rng, (5, 8, 3), "uint8")
    red, green, blue = image.astype(np.int64).transpose(2, 0, 1)
    grey = np.rint((299 * red + 587 * green + 114 * blue) / 1000)
    value = np.minimum(magnitude(grey, name), 255)
    hue = degrees(grey, name) / 360
    exact = [
        [colorsys.hsv_to_rgb(h, 1, v) for h, v in zip(*lines, strict=True)]
        for lines in zip(hue, value, strict=True)
    ]
    np.testing.assert_allclose(edges(image, name, "hsv"), exact, atol=0.01)
    assert edges(image[..., 0], name, "hsv").shape == (5, 8, 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_canny_marks_at_the_full_range(dtype, rng):
    image = picture(rng, (20, 26, 3), dtype)
    grey = (image.astype(np.float64) @ [299, 587, 114]) / 1000
    if dtype.startswith("uint"):
        grey = np.rint(grey)
    full = 65535 if dtype == "uint16" else 255
    lines = skimage.feature.canny(grey.astype(dtype), 0.8, 0.2 * full, 0.6 * full)
    options = {"sigma": 0.8, "low": 0.2, "high": 0.6}
    result = edges(image, "canny", **options)
    assert lines.any()
    assert result.dtype == (np.float64 if dtype == "float64" else np.float32)
    np.testing.assert_array_equal(result, lines * float(full))
    samples = edges(image, "canny", levels=Levels(np.uint8, "rescale"), **options)
    np.testing.assert_array_equal(samples, lines * np.uint8(255))
    assert edges(image[..., :1], "canny").shape == (20, 26)


@pytest.mark.parametrize("factor", [1e-30, 1e30])
@pytest.mark.parametrize("name", PAIRS)
def test_floats_of_any_size(name, factor, rng):
    image = (rng.random((6, 9)) * factor).astype(np.float32)
    exact = magnitude(image, name)
    np.testing.assert_allclose(edges(image, name), exact, rtol=0, atol=1e-5 * exact.max())


@pytest.mark.parametrize("show", SHOWS)
@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_other_libraries(name, show, dtype, xp, rng):
    image = picture(rng, (9, 12, 4), dtype)
    on_device = xp.to_device(image)
    with xp.no_transfers():
        result = edges(on_device, name, show, alpha=True)
    tolerance = 1e-5 * gain(name) * 255
    np.testing.assert_allclose(
        xp.to_host(result), edges(image, name, show, alpha=True), atol=tolerance
    )
    samples = edges(on_device, name, show, alpha=True, levels=Levels(np.uint8, "clip"))
    assert samples.dtype == np.uint8
    np.testing.assert_array_equal(xp.to_host(samples)[..., -1], np.rint(image[..., -1]))


def test_canny_of_another_library(xp, rng):
    image = picture(rng, (9, 12, 3), "uint8")
    result = xp.to_host(edges(xp.to_device(image), "canny"))
    np.testing.assert_array_equal(result, edges(image, "canny"))


@pytest.mark.parametrize("name", OPERATORS)
def test_input_is_only_read_and_may_be_a_view(name, rng):
    image = picture(rng, (12, 18, 3), "float32")
    before = image.copy()
    image.setflags(write=False)
    result = edges(image[::2, ::-1], name)
    np.testing.assert_array_equal(result, edges(before[::2, ::-1].copy(), name))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", ["sobel", "kirsch"])
def test_memory_is_input_and_output(name, rng):
    image = picture(rng, (3000, 1100, 4), "uint8")
    tracemalloc.start()
    try:
        edges(image, name, alpha=True, levels=Levels(np.uint8))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    strips = 2 * 18 * correlation.STRIP_BYTES  # integer strips are twice as large
    assert peak < image.nbytes + strips < 6 * image.nbytes


# --- the table and the messages ---


def test_the_table_names_kernels_that_exist():
    assert tuple(OPERATORS) == EDGE_OPERATORS
    for name, operator in OPERATORS.items():
        assert name == operator.name and operator.summary
        count = {"pair": 2, "compass": 8, "lines": 0}[operator.kind]
        assert len(operator.kernels) == count
        assert set(operator.kernels) <= set(KERNELS)
    assert set(SHOWS) > SIGNED and all(SHOWS.values())


@pytest.mark.parametrize("name", RINGS)
def test_the_compass_is_that_of_the_kernel_table(name):
    table = [KERNELS[kernel].array() for kernel in OPERATORS[name].kernels]
    np.testing.assert_array_equal(table, compass(name))


def test_the_table_needs_no_numpy():
    code = "import sys, cnntool.filters.operators; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_words():
    image = np.zeros((4, 5), np.uint8)
    with pytest.raises(NameNotFound, match="edge operator 'sobell'; did you mean 'sobel'"):
        edges(image, "sobell")
    with pytest.raises(NameNotFound, match="unknown show 'angel'; did you mean 'angle'"):
        edges(image, show="angel")
    with pytest.raises(NameNotFound, match="border 'miror'; did you mean 'mirror'"):
        edges(image, border="miror")


@pytest.mark.parametrize("show", ["x", "y", "angle", "hsv"])
def test_canny_has_lines_only(show):
    with pytest.raises(OptionError, match=f"'canny' marks lines and has no '{show}' to show; take"):
        check("canny", show)


@pytest.mark.parametrize("shape", [(7,), (0, 5), (4, 0, 3), (2, 3, 4, 1)])
def test_what_is_no_picture(shape):
    text = "x".join(map(str, shape))
    with pytest.raises(ShapeError, match=f"not empty, got shape {text}"):
        edges(np.zeros(shape, np.uint8))


def test_opacity_needs_a_channel():
    for shape in ((4, 5), (4, 5, 1)):
        with pytest.raises(ShapeError, match="opacity has two channels or more, got 1"):
            edges(np.zeros(shape, np.uint8), alpha=True)


def test_grey_needs_one_or_three_channels():
    for options in ({"operator": "canny"}, {"show": "hsv"}):
        with pytest.raises(ShapeError, match="needs 1 or 3 colour channels, got 4"):
            edges(np.zeros((4, 5, 4), np.uint8), **options)


@pytest.mark.parametrize("value", [0, -1, np.inf])
def test_full_range_must_be_a_range(value):
    with pytest.raises(OptionError, match=f"full_range must be above 0 and finite, got {value:g}"):
        edges(np.zeros((4, 5), np.uint8), full_range=value)


def test_options_of_canny_reach_it():
    with pytest.raises(OptionError, match="low must not exceed high"):
        edges(np.zeros((4, 5), np.uint8), "canny", low=0.4, high=0.3)
