"""cnntool convolve: what a user types, and what comes out."""

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from pillow_files import array, load, npy, png, save

from cnntool.filters.kernels import KERNELS
from cnntool.filters.words import BORDERS

RAMP = np.tile(np.arange(250, 50, -10, dtype=np.uint8), (8, 1))
"""Brightness that falls by 10 from pixel to pixel: sobel-x is -80 inside."""


def raw(*args, **options):
    return array(done("convolve", *args, "-o", "-", "--format", "npy", **options).stdout)


# --- signs and ranges ---


def test_sobel_of_a_falling_ramp_is_not_black(folder):
    save("down.png", RAMP)
    result = done("convolve", "down.png", "-k", "sobel-x")
    assert result.lines == ["down.sobel-x.png"]
    found = load("down.sobel-x.png")
    assert found.dtype == np.uint8
    assert (found[:, 1:-1] == 80).all() and (found[:, [0, -1]] == 0).all()
    assert result.errors == [
        "cnntool: 'down.png': sobel-x: 90 % of values were negative; shown as absolute values "
        "(--range)"
    ]


def test_arrays_hold_the_negative_numbers(folder):
    save("down.png", RAMP)
    result = done("convolve", "down.png", "-k", "sobel-x", "-o", "x.npy")
    assert result.stderr == ""
    found = np.load("x.npy")
    assert found.dtype == np.float32
    assert (found[:, 1:-1] == -80).all()


@pytest.mark.parametrize(
    "mode, inside, edge",
    [("clip", 0, 0), ("abs", 80, 0), ("offset", 48, 128), ("rescale", 0, 255)],
)
def test_range(folder, mode, inside, edge):
    save("down.png", RAMP)
    done("convolve", "down.png", "-k", "sobel-x", "--range", mode, "-o", "x.png")
    found = load("x.png")
    assert (found[:, 1:-1] == inside).all() and (found[:, [0, -1]] == edge).all()
    # floats follow the same rule, but are not rounded
    floats = raw("down.png", "-k", "sobel-x", "--range", mode, "--scale", "0.99")
    assert floats.dtype == np.float32
    if mode == "abs":
        np.testing.assert_allclose(floats[:, 1:-1], 79.2, rtol=1e-6)
    if mode == "offset":
        np.testing.assert_allclose(floats[:, 1:-1], 48.8, rtol=1e-6)
    if mode == "rescale":
        assert floats.min() == 0 and floats.max() == 255


def test_raw_needs_a_format_of_floats(folder):
    save("down.png", RAMP)
    message = refused(2, "convolve", "down.png", "-k", "sobel-x", "--range", "raw", "-o", "x.png")
    assert "--range raw keeps negative and fractional values" in message
    for mode in ("raw", "auto"):
        assert raw("down.png", "-k", "sobel-x", "--range", mode).min() == -80
    done("convolve", "down.png", "-k", "sobel-x", "--range", "raw", "-o", "x.tiff")
    assert load("x.tiff").dtype == np.float32 and load("x.tiff").min() == -80
    done("convolve", "down.png", "-k", "sobel-x", "-o", "x.pfm")
    assert (load("x.pfm").min(), load("x.pfm").max()) == (-80, 0)
    save("colour.png", np.zeros((4, 5, 3), np.uint8))
    message = refused(
        2, "convolve", "colour.png", "-k", "sobel-x", "--range", "raw", "-o", "y.tiff"
    )
    assert "raw values do not fit TIFF" in message
    assert sorted(p.name for p in folder.iterdir()) == ["colour.png", "down.png", "x.pfm", "x.tiff"]


def test_sums_are_clipped_with_one_note(folder):
    save("up.png", RAMP)
    result = done("convolve", "up.png", "-k", "1 1", "-o", "x.png")
    assert result.errors == [
        "cnntool: 'up.png': custom: 60 % of values were above 255; clipped (--range)"
    ]
    assert done("convolve", "up.png", "-k", "1 1", "-o", "y.png", "--range", "clip").stderr == ""
    assert done("convolve", "up.png", "-k", "1 1", "-o", "z.png", "-q").stderr == ""


def test_auto_decides_by_the_sum_of_the_kernel(folder):
    save("down.png", RAMP)
    nearly = "-1 0 1.0000001"
    result = done("convolve", "down.png", "-k", nearly, "-o", "x.png")
    assert "absolute values" in result.stderr
    result = done("convolve", "down.png", "-k", "-1 0 1.01", "-o", "y.png")
    assert "clipped" in result.stderr


def test_halves_round_to_even(folder):
    np.save("h.npy", np.array([[0.5, 1.5, 2.5, 254.5, 255.4]], np.float32))
    done("convolve", "h.npy", "-k", "identity", "-o", "h.png")
    assert load("h.png").tolist() == [[0, 2, 2, 254, 255]]


# --- identity ---


def pictures(rng):
    colour = rng.integers(0, 256, (9, 7, 4), dtype=np.uint8)
    colour[..., 3] = rng.choice([0, 3, 128, 255], (9, 7))
    return {
        "L": (colour[..., 0], None),
        "LA": (colour[..., 2:], None),
        "RGB": (colour[..., :3], None),
        "RGBA": (colour, None),
        "P": (colour[..., :3], "P"),
        "1": (colour[..., 0] > 99, None),
        "I;16": (rng.integers(0, 65536, (9, 7), dtype=np.uint16), None),
    }


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "I;16"])
@pytest.mark.parametrize("kernel", ["identity", "1", "0 1 0 0; 0 0 0 0"])
def test_identity_keeps_every_pixel(folder, rng, mode, kernel):
    from PIL import Image

    pixels, convert = pictures(rng)[mode]
    save("a.png", pixels, convert)
    with Image.open("a.png") as image:
        assert image.mode == mode
        wanted = np.array(image.convert({"P": "RGB", "1": "L"}.get(mode, mode)))
    result = done("convolve", "a.png", "-k", kernel, "-o", "b.png")
    assert result.stderr == ""
    found = load("b.png")
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


def test_identity_of_a_palette_with_transparency(folder, rng):
    from PIL import Image

    image = Image.fromarray(rng.integers(0, 4, (6, 5), dtype=np.uint8))
    image = image.convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 99, 98, 97])
    image.save("a.png", transparency=2)
    done("convolve", "a.png", "-k", "identity", "-o", "b.png")
    np.testing.assert_array_equal(load("b.png"), np.array(image_as_rgba("a.png")))


def image_as_rgba(path):
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("RGBA")


# --- depth ---


def test_sixteen_bits_stay(folder, rng):
    pixels = rng.integers(0, 65536, (9, 11), dtype=np.uint16)
    save("a.png", pixels)
    result = done("convolve", "a.png", "-k", "box", "-o", "b.png")
    assert result.stderr == ""
    found = load("b.png")
    assert found.dtype == np.uint16
    inside = np.rint(sum(pixels[r : r + 7, c : c + 9] / 9 for r in range(3) for c in range(3)))
    assert np.abs(found[1:-1, 1:-1] - inside).max() <= 1
    result = done("convolve", "a.png", "-k", "box", "-o", "b.jpg")
    assert "16-bit samples were scaled down" in result.stderr
    assert load("b.jpg").dtype == np.uint8


def test_deep_colours_are_read_as_8_bits_with_a_note(folder, rng):
    planes = rng.integers(0, 65536, (3, 6, 5), dtype=np.uint16)
    for plane, name in zip(planes, "RGB", strict=True):
        save(f"{name}.png", plane)
    done("merge", "R.png", "G.png", "B.png", "-o", "a.png")
    result = done("convolve", "a.png", "-k", "identity", "-o", "b.png")
    assert result.errors == ["cnntool: 'a.png': 16-bit colour read as 8 bits a channel"]
    found = load("b.png")
    assert found.dtype == np.uint8
    assert np.abs(found - planes.transpose(1, 2, 0) / 257).max() <= 1


def test_sixteen_bits_keep_what_eight_lose(folder):
    save("a.png", np.arange(0, 65536, 1024, dtype=np.uint16)[None] + np.zeros((5, 1), np.uint16))
    done("convolve", "a.png", "-k", "gaussian-3", "-o", "b.png")
    assert len(np.unique(load("b.png"))) > 60
    done("convolve", "a.png", "-k", "identity", "-o", "c.png", "--depth", "8")
    assert load("c.png")[0].tolist() == [round(v / 257) for v in range(0, 65536, 1024)]


def test_depth_16_of_8_bits_fills_the_range(folder, photo):
    done("convolve", "a.png", "-k", "identity", "--depth", "16", "--gray", "-o", "b.png")
    done("convolve", "a.png", "-k", "identity", "--gray", "-o", "c.png")
    np.testing.assert_array_equal(load("b.png"), load("c.png") * np.uint16(257))
    message = refused(2, "convolve", "a.png", "-k", "box", "--depth", "16", "-o", "b.jpg")
    assert "JPEG holds 8 bits; use png" in message
    message = refused(2, "convolve", "a.png", "-k", "box", "--depth", "8", "-o", "b.pfm")
    assert "PFM holds floats; leave out --depth" in message


def test_depth_of_arrays(folder, photo):
    found = array(
        done("convolve", "a.png", "-k", "box", "--depth", "8", "-o", "-", "--format", "npy").stdout
    )
    assert found.dtype == np.uint8
    done("convolve", "a.png", "-k", "box", "-o", "b.png")
    np.testing.assert_array_equal(found, load("b.png"))
    # floats with samples of 16 bits
    np.save("f.npy", np.array([[0, 1000.4, 65535]], np.float32))
    done("convolve", "f.npy", "-k", "identity", "--depth", "16", "-o", "f.png")
    assert load("f.png").tolist() == [[0, 1000, 65535]]


# --- opacity, light, grey ---


def test_blurred_square_has_no_dark_fringe(samples, folder):
    picture = load(samples / "square.png")
    done("convolve", samples / "square.png", "-k", "gaussian:sigma=3", "-o", "b.png")
    found = load("b.png")
    seen = found[..., 3] > 0
    assert seen.sum() > (picture[..., 3] > 0).sum()
    assert (found[seen][:, :3] == (230, 120, 20)).all()


def test_edges_of_a_square_keep_its_opacity(samples, folder):
    done("convolve", samples / "square.png", "-k", "outline", "-o", "b.png")
    np.testing.assert_array_equal(load("b.png")[..., 3], load(samples / "square.png")[..., 3])


def test_opacity_into_jpeg_is_refused_unless_all_is_opaque(samples, folder):
    message = refused(1, "convolve", samples / "square.png", "-k", "box", "-o", "b.jpg")
    assert "JPEG does not keep transparency" in message
    save("opaque.png", np.full((5, 6, 4), 255, np.uint8))
    done("convolve", "opaque.png", "-k", "box", "-o", "b.jpg")


def test_gray(folder, photo):
    found = raw("a.png", "-k", "identity", "--gray")
    assert found.shape == (14, 17)
    np.testing.assert_allclose(found, photo @ [0.299, 0.587, 0.114], atol=0.5 + 1e-3)


def test_linear_light_is_brighter(folder):
    save("a.png", np.tile(np.array([0, 255], np.uint8), (6, 4)))
    plain = raw("a.png", "-k", "box:4,2", "--padding", "valid")
    linear = raw("a.png", "-k", "box:4,2", "--padding", "valid", "--linear")
    assert plain[0, 0] == 127.5
    assert linear[0, 0] == pytest.approx(187.5, abs=0.1)


# --- options of the filter ---


def test_options_reach_the_filter(folder):
    save("a.png", np.array([[1, 2, 3], [4, 5, 6]], np.uint8))
    command = ["a.png", "-k", "1 10"]
    assert raw(*command, "--padding", "valid").tolist() == [[21, 32], [54, 65]]
    assert raw(*command, "--padding", "valid", "--flip").tolist() == [[12, 23], [45, 56]]
    assert raw(*command).tolist() == [[21, 32, 23], [54, 65, 56]]  # reflect: 3 2
    constant = raw(*command, "--border", "constant", "--border-value", "9")
    assert constant.tolist() == [[21, 32, 93], [54, 65, 96]]
    assert raw(*command, "--border", "max").tolist() == [[21, 32, 63], [54, 65, 66]]
    assert raw(*command, "--stride", "1,2").tolist() == [[21, 23], [54, 56]]
    assert raw(*command, "--stride", "2").shape == (1, 2)
    assert raw(*command, "--dilation", "2", "--padding", "valid").tolist() == [[31], [64]]
    assert raw(*command, "--padding", "full", "--border", "edge").shape == (2, 4)
    assert raw(*command, "--padding", "1").shape == (4, 4)
    assert raw(*command, "--padding", "2,1").shape == (6, 4)
    # top, right, bottom, left
    four = raw(*command, "--padding", "1,0,0,2", "--border", "constant")
    assert four.tolist() == [[0] * 4, [0, 10, 21, 32], [0, 40, 54, 65]]
    sums = raw(*command, "--padding", "valid", "--normalize", "sum", "--scale", "11")
    np.testing.assert_allclose(sums, [[21, 32], [54, 65]], rtol=1e-6)
    moved = raw(*command, "--padding", "valid", "--scale", "-1", "--offset", "100")
    assert moved.tolist() == [[79, 68], [46, 35]]


@pytest.mark.parametrize("border", BORDERS)
def test_every_word_for_a_border(folder, photo, border):
    assert raw("a.png", "-k", "box:4", "--border", border).shape == photo.shape


@pytest.mark.parametrize("method", ["direct", "separable", "fft"])
def test_methods_agree(folder, photo, method):
    kernel = "gaussian:sigma=1.5"
    np.testing.assert_allclose(
        raw("a.png", "-k", kernel, "--method", method), raw("a.png", "-k", kernel), atol=2e-3
    )


def test_kernel_larger_than_the_picture(folder):
    save("a.png", np.full((3, 4), 7, np.uint8))
    np.testing.assert_allclose(raw("a.png", "-k", "box:25"), np.full((3, 4), 7), rtol=1e-5)
    message = refused(1, "convolve", "a.png", "-k", "box:9", "--padding", "valid")
    assert "'a.png': a window of 9 does not fit an input of 3" in message


def test_all_named_kernels_in_one_run(folder, photo):
    options = [word for name in KERNELS for word in ("-k", name)]
    result = done("convolve", "a.png", *options, "-o", "all/", "-q")
    assert result.lines == [f"all/a.{name}.png" for name in KERNELS]


# --- notes ---


def test_notes_of_one_kind_are_counted(folder):
    for number in range(4):
        save(f"{number}.png", RAMP)
    result = done("convolve", *(f"{n}.png" for n in range(4)), "-k", "sobel-x", "-o", "out/")
    assert [line for line in result.errors if "absolute" in line] == [
        "cnntool: '0.png': sobel-x: 90 % of values were negative; shown as absolute values "
        "(--range)"
    ]
    assert "cnntool: 3 more notes of the same kind; -v shows all" in result.errors


# --- pipes ---


def test_pipe_from_command_to_command(folder, photo):
    blurred = done("convolve", "-", "-k", "gaussian-5", "-o", "-", stdin=png(photo))
    assert blurred.stdout.startswith(b"\x89PNG") and blurred.stderr == ""
    result = done("edges", "-", "-o", "b.png", stdin=blurred.stdout)
    assert result.lines == ["b.png"]
    done("convolve", "a.png", "-k", "gaussian-5", "-o", "soft.png")
    done("edges", "soft.png", "-o", "c.png")
    np.testing.assert_array_equal(load("b.png"), load("c.png"))


def test_floats_pipe_unclipped(folder):
    save("down.png", RAMP)
    sobel = done("convolve", "down.png", "-k", "sobel-x", "-o", "-", "--format", "npy").stdout
    result = done("pool", "-", "--kind", "min", "--size", "2", stdin=sobel)
    assert array(result.stdout).min() == -80
    result = done("pool", "-", "--size", "2", "-o", "a.pooled.png", stdin=sobel)
    assert result.lines == ["a.pooled.png"]


def test_arrays_stay_arrays(folder):
    np.save("a.npy", np.arange(12.0).reshape(3, 4))
    assert done("convolve", "a.npy", "-k", "box").lines == ["a.box.npy"]
    assert np.load("a.box.npy").dtype == np.float64
    found = array(done("convolve", "-", "-k", "box", stdin=npy(np.zeros((4, 5), "f4"))).stdout)
    assert found.shape == (4, 5) and found.dtype == np.float32


# --- devices ---


def test_gpu_without_one(folder, photo, monkeypatch):
    import sys

    from cnntool import backend

    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(backend, "_probed", {})
    message = refused(3, "convolve", "a.png", "-k", "box", "--device", "gpu")
    assert "GPUs need CuPy" in message and "pip install" in message
    assert done("convolve", "a.png", "-k", "box", "--device", "auto").status == 0
    message = refused(2, "convolve", "a.png", "-k", "box", "--device", "tpu")
    assert "unknown device 'tpu'; use cpu, gpu, gpu:N (N from 0) or auto" in message


@pytest.mark.parametrize("kernel", ["sobel-x", "gaussian:sigma=2", "sharpen"])
def test_gpu_gives_what_the_cpu_gives(samples, folder, photo, double_as_gpu, kernel):
    for source in ("a.png", samples / "square.png", samples / "gradient-16bit.png"):
        for name in ("c.npy", "c.png"):
            done("convolve", source, "-k", kernel, "-o", name, "-f", "-q")
            result = invoke("convolve", source, "-k", kernel, "-o", "g" + name, "-f", "-q",
                            "--device", "gpu")  # fmt: skip
            assert result.status == 0, result.stderr
        wanted, found = np.load("c.npy"), np.load("gc.npy")
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
        assert np.abs(load("c.png").astype(int) - load("gc.png")).max() <= 1
