"""cnntool edges: operators and views, into files."""

import numpy as np
import pytest
from cli_runner import done, refused
from pillow_files import array, load, save

from cnntool.filters.operators import OPERATORS, SHOWS


@pytest.fixture
def photo(folder, rng):
    from scipy.ndimage import gaussian_filter

    pixels = gaussian_filter(rng.random((40, 52, 3)) * 255, (3, 3, 0)) * 3 - 255
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    save("a.png", pixels)
    return pixels


def raw(*args, **options):
    return array(done("edges", *args, "-o", "-", "--format", "npy", **options).stdout)


def gradient(pixels):
    """Derivatives to the right and downwards of each channel."""
    from scipy.ndimage import correlate

    kernel = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    tail = (1,) * (pixels.ndim - 2)
    # scipy's mirror is the border that does not repeat the edge pixel
    return tuple(
        correlate(pixels.astype(float), matrix.reshape(3, 3, *tail), mode="mirror")
        for matrix in (kernel, kernel.T)
    )


def test_magnitude(folder, photo):
    assert done("edges", "a.png").lines == ["a.edges.png"]
    x, y = gradient(photo)
    magnitude = np.hypot(x, y)
    np.testing.assert_allclose(raw("a.png"), magnitude, rtol=1e-5, atol=1e-3)
    found = load("a.edges.png")
    assert np.abs(found - np.clip(np.rint(magnitude), 0, 255)).max() <= 1


def test_derivatives(folder, photo):
    for show, wanted in zip("xy", gradient(photo), strict=True):
        np.testing.assert_allclose(raw("a.png", "--show", show), wanted, atol=1e-3)
        result = done("edges", "a.png", "--show", show, "-o", f"{show}.png")
        assert "negative; shown as absolute values" in result.stderr
        assert (load(f"{show}.png") == np.clip(np.abs(wanted), 0, 255)).all()
        done("edges", "a.png", "--show", show, "--range", "offset", "-o", f"{show}o.png")
        assert (load(f"{show}o.png") == np.clip(wanted + 128, 0, 255)).all()


def test_angle(folder, photo):
    x, y = gradient(photo)
    degrees = np.degrees(np.arctan2(y, x)) % 360
    found = raw("a.png", "--show", "angle")
    turn = np.abs(found / 255 * 360 - degrees)
    turn = np.minimum(turn, 360 - turn)
    assert turn[np.hypot(x, y) > 1].max() < 0.01
    done("edges", "a.png", "--show", "angle", "-o", "b.png")
    assert load("b.png").shape == photo.shape
    ramp = np.tile(np.arange(0, 100, 10, dtype=np.uint8), (8, 1))
    save("up.png", ramp)
    save("down.png", ramp.T.copy())
    assert raw("up.png", "--show", "angle")[4, 4] == 0
    assert raw("down.png", "--show", "angle")[4, 4] == pytest.approx(255 / 4)


def test_canny_is_that_of_scikit_image(folder, photo):
    from skimage.feature import canny

    done("edges", "a.png", "--operator", "canny", "--gray", "-o", "b.png")
    done("convolve", "a.png", "-k", "identity", "--gray", "-o", "g.png")
    wanted = canny(load("g.png"), sigma=1, low_threshold=0.1 * 255, high_threshold=0.2 * 255)
    assert 0 < wanted.mean() < 0.5
    np.testing.assert_array_equal(load("b.png"), np.where(wanted, 255, 0))
    options = ["--sigma", "1.5", "--low", "0.02", "--high", "0.05"]
    done("edges", "g.png", "--operator", "canny", *options, "-o", "c.png")
    wanted = canny(load("g.png"), 1.5, 0.02 * 255, 0.05 * 255)
    np.testing.assert_array_equal(load("c.png"), np.where(wanted, 255, 0))


def test_hsv_is_a_colour_picture(folder, photo):
    save("g.png", photo[..., 0])
    done("edges", "g.png", "--show", "hsv", "-o", "b.png")
    found = load("b.png")
    assert found.shape == (40, 52, 3) and found.dtype == np.uint8
    # brightness is the magnitude
    magnitude = np.clip(np.hypot(*gradient(photo[..., 0])), 0, 255)
    assert np.abs(found.max(axis=2) - magnitude).max() <= 1


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("show", SHOWS)
def test_every_operator_shows_everything(folder, photo, operator, show):
    command = ["edges", "a.png", "--operator", operator, "--show", show, "-o", "b.png"]
    if operator == "canny" and show != "magnitude":
        assert "marks lines and has no" in refused(2, *command)
        return
    done(*command)
    assert load("b.png").shape[:2] == photo.shape[:2]


def test_clipping_is_noted(folder):
    save("a.png", np.tile(np.repeat(np.array([0, 255], np.uint8), 5), (6, 1)))
    result = done("edges", "a.png", "-o", "b.png")
    assert result.errors == ["cnntool: 'a.png': 20 % of values were above 255; clipped (--range)"]
    assert done("edges", "a.png", "-o", "c.png", "--range", "clip").stderr == ""


@pytest.mark.parametrize("mode", ["clip", "abs", "offset", "rescale"])
def test_ranges_of_floats(folder, photo, mode):
    found = raw("a.png", "--show", "x", "--range", mode)
    assert found.min() >= 0 and found.max() <= 255
    x, _ = gradient(photo)
    wanted = {
        "clip": np.clip(x, 0, 255),
        "abs": np.clip(np.abs(x), 0, 255),
        "offset": np.clip(x + 128, 0, 255),
        "rescale": (x - x.min()) / np.ptp(x) * 255,
    }
    np.testing.assert_allclose(found, wanted[mode], atol=1e-3)
    # an angle fills the range of its own
    np.testing.assert_array_equal(
        raw("a.png", "--show", "angle", "--range", mode), raw("a.png", "--show", "angle")
    )


def test_raw_needs_floats(folder, photo):
    message = refused(2, "edges", "a.png", "--show", "x", "--range", "raw", "-o", "b.png")
    assert "--range raw keeps" in message
    assert raw("a.png", "--show", "x", "--range", "raw").min() < 0


def test_sixteen_bits(folder, rng):
    pixels = rng.integers(0, 2000, (9, 12), dtype=np.uint16)
    save("a.png", pixels)
    done("edges", "a.png", "-o", "b.png")
    found = load("b.png")
    assert found.dtype == np.uint16
    assert np.abs(found - np.hypot(*gradient(pixels))).max() <= 1


def test_opacity_stays(samples, folder):
    for show in ("magnitude", "x", "angle", "hsv"):
        done("edges", samples / "square.png", "--show", show, "-o", "b.png", "-f", "-q")
        np.testing.assert_array_equal(load("b.png")[..., 3], load(samples / "square.png")[..., 3])


def test_borders(folder, photo):
    inside = raw("a.png")[1:-1, 1:-1]
    for border in ("edge", "wrap", "symmetric", "max"):
        found = raw("a.png", "--border", border)
        np.testing.assert_array_equal(found[1:-1, 1:-1], inside)
    flat = np.full((5, 6), 10, np.uint8)
    save("flat.png", flat)
    assert raw("flat.png", "--border", "constant", "--border-value", "10").max() == 0
    assert raw("flat.png", "--border", "constant").max() > 0


@pytest.mark.parametrize(
    "options, words",
    [
        (["--operator", "sobell"], "'sobell' is not one of"),
        (["--show", "phase"], "'phase' is not one of"),
        (["--sigma", "-1"], "-1"),
        (["--sigma", "nan"], "nan"),
        (["--operator", "canny", "--low", "0.5"], "0.5"),
    ],
)
def test_senseless_options(folder, photo, options, words):
    assert words in refused(2, "edges", "a.png", *options)
    assert [p.name for p in folder.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--show", "x"],
        ["--show", "angle"],
        ["--show", "hsv"],
        ["--operator", "kirsch"],
        ["--operator", "roberts", "--show", "y"],
    ],
)
def test_gpu_gives_what_the_cpu_gives(samples, folder, photo, double_as_gpu, options):
    for source in ("a.png", samples / "square.png"):
        wanted, found = raw(source, *options), raw(source, *options, "--device", "gpu")
        assert found.dtype == wanted.dtype
        near = np.isclose(found, wanted, atol=1e-3)
        # where two kernels of a compass tie, or a gradient is nearly 0, rounding decides
        assert near.mean() > 0.98
