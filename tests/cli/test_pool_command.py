"""cnntool pool and unpool, into files and back."""

import numpy as np
import pytest
import reference
from cli_runner import done, invoke, refused
from pillow_files import array, load, npy, save

from cnntool.filters.words import POOL_KINDS


@pytest.fixture
def photo(folder, rng):
    pixels = rng.integers(0, 256, (11, 14, 3), dtype=np.uint8)
    save("a.png", pixels)
    return pixels


def raw(*args, **options):
    return array(done("pool", *args, "-o", "-", "--format", "npy", **options).stdout)


def slow(pixels, kind, *args, **options):
    """Pooling of (H, W, C), window by window."""
    maps = pixels.astype(float).transpose(2, 0, 1)[..., None]
    kind = "lp" if kind == "l2" else kind
    values, _ = reference.pool2d(maps, kind, *args, **options)
    return values[..., 0].transpose(1, 2, 0)


def test_names_tell_kind_and_size(folder, photo):
    for options, name in [
        ([], "max2"),
        (["--size", "3,2"], "max3x2"),
        (["--kind", "avg", "--size", "4"], "avg4"),
        (["--size", "3,2,2"], "max3x2x2"),
        (["--kind", "global-avg"], "global-avg"),
        (["--kind", "adaptive-max", "--size", "5,4"], "adaptive-max5x4"),
    ]:
        result = done("pool", "a.png", *options)
        assert result.lines == [f"a.{name}.png"]


@pytest.mark.parametrize("kind", ["max", "min", "avg", "sum", "l2"])
@pytest.mark.parametrize(
    "options, arguments",
    [
        ([], {"kernel": (2, 2)}),
        (["--size", "3,2"], {"kernel": (3, 2)}),
        (["--size", "3", "--stride", "2,1"], {"kernel": (3, 3), "stride": (2, 1)}),
        (["--size", "4,3", "--padding", "2,1"], {"kernel": (4, 3), "padding": (2, 1)}),
        (["--size", "3", "--ceil"], {"kernel": (3, 3), "ceil_mode": True}),
        (["--size", "3,2", "--dilation", "2,3"], {"kernel": (3, 2), "dilation": (2, 3)}),
        (
            ["--size", "2,3,2", "--stride", "1,2,2"],
            {"kernel": (3, 2), "stride": (2, 2), "depth": 2, "depth_stride": 1},
        ),
    ],
)
def test_windows_are_those_of_slow_loops(folder, photo, kind, options, arguments):
    found = raw("a.png", "--kind", kind, *options, "-q")
    np.testing.assert_allclose(found, slow(photo, kind, **arguments), rtol=1e-5)
    assert found.dtype == (np.uint8 if kind in ("max", "min") else np.float32)


def test_padding_left_out_of_averages(folder, photo):
    options = ["--kind", "avg", "--size", "3", "--padding", "1"]
    wanted = slow(photo, "avg", (3, 3), padding=(1, 1), include_pad=False)
    np.testing.assert_allclose(raw("a.png", *options, "--exclude-pad", "-q"), wanted, rtol=1e-5)


@pytest.mark.parametrize("kind", ["max", "avg"])
def test_whole_and_adaptive_windows(folder, photo, kind):
    reduce = np.max if kind == "max" else np.mean
    found = raw("a.png", "--kind", f"global-{kind}")
    np.testing.assert_allclose(found, reduce(photo, axis=(0, 1), keepdims=True), rtol=1e-5)
    found = raw("a.png", "--kind", f"adaptive-{kind}", "--size", "4,5")
    assert found.shape == (4, 5, 3)
    # rows floor(i·11/4) .. ceil((i+1)·11/4), columns in the same way
    part = photo[2:6, 5:9]
    np.testing.assert_allclose(found[1, 2], reduce(part, axis=(0, 1)), rtol=1e-5)


@pytest.mark.parametrize("kind", POOL_KINDS)
def test_every_kind_runs_on_every_picture(samples, folder, kind):
    for name in ("lecture-a.png", "square.png", "gradient-16bit.png", "chelsea.jpg"):
        result = invoke("pool", samples / name, "--kind", kind, "--size", "3", "-o", "out/", "-q")
        assert result.status == 0, result.stderr
        assert load(result.lines[0]).dtype == load(samples / name).dtype


def test_averages_round_half_to_even(folder):
    save("a.png", np.array([[1, 2, 3, 4], [1, 2, 3, 4]], np.uint8))
    done("pool", "a.png", "--kind", "avg", "-o", "b.png")
    assert load("b.png").tolist() == [[2, 4]]  # 1.5 and 3.5


def test_sums_are_clipped_with_a_note(folder):
    save("a.png", np.full((4, 4), 100, np.uint8))
    result = done("pool", "a.png", "--kind", "sum", "-o", "b.png")
    assert result.errors == ["cnntool: 'a.png': 100 % of values were above 255; clipped (--range)"]
    assert (load("b.png") == 255).all()
    assert (raw("a.png", "--kind", "sum") == 400).all()


@pytest.mark.parametrize("kind", ["max", "avg"])
def test_ranges(folder, photo, kind):
    base = raw("a.png", "--kind", kind, "-q").astype(float)
    expected = {
        "clip": base,
        "abs": base,
        "offset": np.clip(base + 128, 0, 255),
        "rescale": (base - base.min()) / np.ptp(base) * 255,
    }
    for mode, wanted in expected.items():
        done("pool", "a.png", "--kind", kind, "--range", mode, "-o", "b.png", "-f", "-q")
        assert np.abs(load("b.png") - wanted).max() <= 0.5 + 1e-4, mode
        floats = raw("a.png", "--kind", kind, "--range", mode, "-q")
        np.testing.assert_allclose(floats, wanted, atol=1e-4)
    message = refused(2, "pool", "a.png", "--kind", kind, "--range", "raw", "-o", "c.png")
    assert "--range raw keeps" in message
    raw("a.png", "--kind", kind, "--range", "raw", "-q")


def test_range_leaves_opacity_alone(folder, rng):
    pixels = rng.integers(0, 200, (4, 6, 4), dtype=np.uint8)
    save("a.png", pixels)
    done("pool", "a.png", "--range", "offset", "-o", "b.png", "-q")
    wanted = slow(pixels, "max", (2, 2))[..., 3]
    np.testing.assert_array_equal(load("b.png")[..., 3], wanted)


def test_windows_that_miss_the_far_edge_are_noted(folder, photo):
    result = done("pool", "a.png", "-o", "b.png")
    assert result.errors == ["cnntool: 'a.png': windows do not reach the last row; --ceil keeps it"]
    assert done("pool", "a.png", "--ceil", "-o", "c.png").stderr == ""
    assert load("c.png").shape == (6, 7, 3)


def test_sixteen_bits(folder, rng):
    pixels = rng.integers(0, 65536, (6, 8), dtype=np.uint16)
    save("a.png", pixels)
    for kind in ("max", "avg"):
        done("pool", "a.png", "--kind", kind, "-o", f"{kind}.png")
        found = load(f"{kind}.png")
        assert found.dtype == np.uint16
        wanted = slow(pixels[..., None], kind, (2, 2))[..., 0]
        assert np.abs(found - np.rint(wanted)).max() <= 1
    done("pool", "a.png", "--depth", "8", "-o", "b.png")
    np.testing.assert_array_equal(load("b.png"), np.rint(load("max.png") / 257))


def test_gray(folder, photo):
    assert raw("a.png", "--gray", "-q").shape == (5, 7)


# --- positions ---


def test_unpool_restores_every_maximum(folder, photo):
    result = done("pool", "a.png", "--size", "3,2", "--indices", "i.npz", "-o", "p.png", "-q")
    assert result.lines == ["i.npz", "p.png"]
    assert done("unpool", "p.png", "--indices", "i.npz").lines == ["p.unpooled.png"]
    found = load("p.unpooled.png")
    assert found.shape == photo.shape
    for channel in range(3):
        for row in range(3):
            for column in range(7):
                here = np.s_[3 * row : 3 * row + 3, 2 * column : 2 * column + 2, channel]
                window, put = photo[here], found[here]
                assert np.count_nonzero(put) <= 1
                assert put[np.unravel_index(window.argmax(), window.shape)] == window.max()
    assert (found[9:] == 0).all()


def test_positions_in_the_file(folder):
    pixels = np.array([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]], np.uint8)
    save("a.png", pixels)
    done("pool", "a.png", "--indices", "i.npz", "-o", "p.png")
    with np.load("i.npz") as file:
        assert sorted(file.files) == ["indices", "size"]
        assert file["indices"].tolist() == [[5, 7], [8, 15]]
        assert file["indices"].dtype == np.int64
        assert file["size"].tolist() == [4, 4]


def test_positions_of_a_picture_on_standard_output(folder, photo):
    result = done("pool", "a.png", "--indices", "i.npz", "-o", "-", "-q")
    assert result.stdout.startswith(b"\x89PNG")
    assert load(result.stdout).shape == (5, 7, 3)
    back = done("unpool", "-", "--indices", "i.npz", stdin=result.stdout)
    assert load(back.stdout).shape == photo.shape


def test_positions_are_never_overwritten_unasked(folder, photo):
    (folder / "i.npz").write_text("precious")
    message = refused(2, "pool", "a.png", "--indices", "i.npz", "-o", "p.png")
    assert "'i.npz' exists; -f (--force) overwrites" in message
    assert (folder / "i.npz").read_text() == "precious"
    assert not (folder / "p.png").exists()
    done("pool", "a.png", "--indices", "i.npz", "-o", "p.png", "-f")
    (folder / "a.npz").write_bytes((folder / "a.png").read_bytes())
    assert "is an input" in refused(2, "pool", "a.npz", "--indices", "a.npz", "-o", "q.png", "-f")
    message = refused(2, "pool", "a.png", "--indices", "r.npz", "-o", "r.npz", "--format", "png")
    assert "several results" in message


@pytest.mark.parametrize(
    "options, words",
    [
        (["--indices", "i.npz", "--kind", "avg"], "--indices goes with --kind max"),
        (["--indices", "i.npz", "a.png"], "--indices takes exactly one input"),
        (["--indices", "i.npz", "--skip-existing"], "belong together"),
        (["--indices", "i.txt"], "--indices 'i.txt' must end in .npz"),
        (["--indices", "-"], "--indices '-' must end in .npz"),
        (["--kind", "mode"], "'mode' is not one of"),
        (["--size", "0"], "0 is below 1"),
        (["--size", "1,2,3,4"], "has 4 numbers, not 1 or 2 or 3"),
        (["--padding", "2"], "padding"),
        (["--kind", "max", "--exclude-pad"], "makes sense for 'avg' only"),
        (["--kind", "global-max", "--stride", "2"], "takes no stride"),
        (["--size", "2,2,2", "--indices", "i.npz"], "channel by channel"),
    ],
)
def test_senseless_options(folder, photo, options, words):
    assert words in refused(2, "pool", "a.png", *options, "-q")
    assert [p.name for p in folder.iterdir()] == ["a.png"]


def test_window_that_does_not_fit(folder, photo):
    assert "does not fit a picture of 11 x 14" in refused(1, "pool", "a.png", "--size", "12")
    assert "does not fit a picture of 3" in refused(1, "pool", "a.png", "--size", "4,2,2")


@pytest.mark.parametrize(
    "data, words",
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"PK\x03\x04 broken", "damaged pooling indices"),
        (npy(np.zeros(3)), "damaged pooling indices"),
    ],
)
def test_unpool_with_bad_positions(folder, photo, data, words):
    if data is not None:
        (folder / "i.npz").write_bytes(data)
    message = refused(1, "unpool", "a.png", "--indices", "i.npz")
    assert "'i.npz'" in message and words in message


def test_unpool_with_positions_of_another_picture(folder, photo):
    done("pool", "a.png", "--size", "5", "--indices", "i.npz", "-o", "p.png", "-q")
    message = refused(1, "unpool", "a.png", "--indices", "i.npz")
    assert "they must come from the same pooling" in message


@pytest.mark.parametrize("kind", POOL_KINDS)
def test_gpu_gives_what_the_cpu_gives(folder, photo, double_as_gpu, kind):
    command = ["a.png", "--kind", kind, "--size", "3,2", "-q"]
    np.testing.assert_allclose(raw(*command, "--device", "gpu"), raw(*command), rtol=1e-5)
    if kind == "max":
        done("pool", *command, "--indices", "i.npz", "-o", "p.png", "--device", "gpu")
        done("unpool", "p.png", "--indices", "i.npz", "-o", "g.png", "--device", "gpu")
        done("unpool", "p.png", "--indices", "i.npz", "-o", "c.png")
        np.testing.assert_array_equal(load("g.png"), load("c.png"))
