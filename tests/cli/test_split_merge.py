"""cnntool split and merge: channels apart and together again."""

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from pillow_files import array, load, png, save


def test_one_grey_picture_a_channel(folder, photo):
    assert done("split", "a.png").lines == ["a.R.png", "a.G.png", "a.B.png"]
    for channel, name in enumerate("RGB"):
        found = load(f"a.{name}.png")
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, photo[..., channel])


def test_merge_is_the_inverse_bit_for_bit(folder, photo):
    lines = done("split", "a.png").lines
    assert done("merge", *lines, "-o", "b.png").lines == ["b.png"]
    np.testing.assert_array_equal(load("b.png"), photo)


@pytest.mark.parametrize("name", ["square.png", "camera.png", "chelsea.jpg", "gradient-16bit.png"])
def test_there_and_back(samples, folder, name):
    lines = done("split", samples / name, "-o", "parts/", "--format", "png").lines
    done("merge", *lines, "-o", "b.png")
    np.testing.assert_array_equal(load("b.png"), load(samples / name))
    assert load("b.png").dtype == load(samples / name).dtype


def test_grey_with_opacity(folder, rng):
    pixels = rng.integers(0, 256, (6, 5, 2), dtype=np.uint8)
    save("a.png", pixels)
    lines = done("split", "a.png").lines
    assert lines == ["a.L.png", "a.A.png"]
    done("merge", *lines, "-o", "b.png")
    np.testing.assert_array_equal(load("b.png"), pixels)


def test_arrays_of_16_bits_and_floats(folder, rng):
    for dtype in (np.uint16, np.float32):
        pixels = (rng.random((6, 5, 4)) * 60000).astype(dtype)
        np.save("a.npy", pixels)
        lines = done("split", "a.npy", "-o", "parts/", "-f").lines
        assert lines == [f"parts/a.{name}.npy" for name in "RGBA"]
        done("merge", *lines, "-o", "b.npy", "-f")
        found = np.load("b.npy")
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, pixels)


def test_merged_16_bits_make_a_deep_picture(folder, rng):
    import struct

    planes = rng.integers(0, 65536, (3, 6, 5), dtype=np.uint16)
    for plane, name in zip(planes, "RGB", strict=True):
        save(f"{name}.png", plane)
    done("merge", "R.png", "G.png", "B.png", "-o", "b.png")
    width, height, depth, colour = struct.unpack(">IIBB", (folder / "b.png").read_bytes()[16:26])
    assert (width, height, depth, colour) == (5, 6, 16, 2)
    done("merge", "R.png", "G.png", "B.png", "--depth", "8", "-o", "c.png")
    np.testing.assert_array_equal(load("c.png"), np.rint(planes / 257).transpose(1, 2, 0))


@pytest.mark.parametrize(
    "space, names, tolerance",
    [("hsv", "H S V", 3), ("ycbcr", "Y Cb Cr", 1), ("lab", "L a b", 26)],
)
def test_spaces(folder, photo, space, names, tolerance):
    lines = done("split", "a.png", "--space", space).lines
    assert lines == [f"a.{name}.png" for name in names.split()]
    done("merge", *lines, "--space", space, "-o", "b.png")
    difference = np.abs(load("b.png").astype(int) - photo)
    assert difference.max() <= tolerance and difference.mean() < 1


def test_ycbcr_is_that_of_jpeg(folder, photo):
    from PIL import Image

    done("split", "a.png", "--space", "ycbcr", "-o", "y/")
    wanted = np.array(Image.fromarray(photo).convert("YCbCr"))
    for channel, name in enumerate(("Y", "Cb", "Cr")):
        assert np.abs(load(f"y/a.{name}.png").astype(int) - wanted[..., channel]).max() <= 1


def test_gray(folder, photo):
    assert done("split", "a.png", "--space", "gray", "-o", "g.png").lines == ["g.png"]
    assert np.abs(load("g.png") - photo @ [0.299, 0.587, 0.114]).max() <= 0.5 + 1e-9
    done("merge", "g.png", "--space", "gray", "-o", "h.png")
    np.testing.assert_array_equal(load("h.png"), load("g.png"))


def test_some_channels(folder, photo):
    assert done("split", "a.png", "--channels", "B,R").lines == ["a.B.png", "a.R.png"]
    assert done("split", "a.png", "--channels", "g", "-o", "green.png").lines == ["green.png"]
    np.testing.assert_array_equal(load("green.png"), photo[..., 1])
    payload = done("split", "-", "--channels", "B", stdin=png(photo)).stdout
    np.testing.assert_array_equal(load(payload), photo[..., 2])
    message = refused(2, "split", "a.png", "--channels", "R,X")
    assert message == "cnntool: no channel 'X' in rgb; use R, G, B, L, A"
    message = refused(2, "split", "a.png", "--channels", "R", "--space", "hsv")
    assert "no channel 'R' in hsv; use H, S, V, A" in message
    message = refused(1, "split", "a.png", "--channels", "A", "-o", "alpha.png")
    assert "no channel A; this picture has R, G, B in rgb" in message
    assert not (folder / "alpha.png").exists()


def test_one_file_is_too_few(folder, photo):
    assert "several results of 'a.png'" in refused(2, "split", "a.png", "-o", "b.png")
    assert "standard output takes one result" in refused(2, "split", "a.png", "-o", "-")
    assert "standard output takes one result" in refused(2, "split", "-", stdin=png(photo))


# --- matrices ---


def test_values(folder):
    save("a.png", np.array([[[1, 20, 255], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]], np.uint8))
    result = done("split", "a.png", "--values")
    assert (
        result.text == "R (2x2)\n 1  4\n 7 10\nG (2x2)\n20  5\n 8 11\nB (2x2)\n255   6\n  9  12\n"
    )
    assert [p.name for p in folder.iterdir()] == ["a.png"]
    result = done("split", "a.png", "--values", "--channels", "G", "--crop", "1,0,1,2")
    assert result.text == "G (1x2)\n 8 11\n"
    result = done("split", "a.png", "--values", "-o", "out/")
    assert result.lines[-3:] == ["out/a.R.png", "out/a.G.png", "out/a.B.png"]


def test_values_of_floats(folder):
    np.save("a.npy", np.array([[0.5, -1.25], [3, 1e-3]]))
    assert done("split", "a.npy", "--values").text == "L (2x2)\n  0.5 -1.25\n    3 0.001\n"


def test_values_that_are_too_many(folder, rng):
    save("a.png", rng.integers(0, 256, (70, 70), dtype=np.uint8))
    message = refused(1, "split", "a.png", "--values")
    assert "70x70 values are too many to print; show a part with --crop T,L,H,W" in message
    assert len(done("split", "a.png", "--values", "--crop", "0,0,64,64").lines) == 65
    # a part that goes over the edge ends there
    assert done("split", "a.png", "--values", "--crop", "69,68,5,5").lines[0] == "L (1x2)"
    message = refused(1, "split", "a.png", "--values", "--crop", "70,0,2,2")
    assert "--crop 70,0,2,2 lies outside the picture of 70x70" in message
    assert "goes with --values" in refused(2, "split", "a.png", "--crop", "0,0,2,2")
    assert "has 2 numbers, not 4" in refused(2, "split", "a.png", "--values", "--crop", "0,0")
    assert "leaves no room" in refused(2, "split", "a.png", "--values", "-o", "-")


# --- what cannot be merged ---


def test_merge_names_the_culprit(folder, photo):
    lines = done("split", "a.png").lines
    message = refused(1, "merge", lines[0], "gone.png", lines[2], "-o", "b.png")
    assert message == "cnntool: 'gone.png': no such file"
    save("small.png", photo[:5, :5, 0])
    message = refused(1, "merge", lines[0], "small.png", lines[2], "-o", "b.png")
    assert message == "cnntool: 'small.png' is 5x5, 'a.R.png' is 14x17; channels need one size"
    message = refused(1, "merge", lines[0], "a.png", lines[2], "-o", "b.png")
    assert message.startswith("cnntool: 'a.png' has 3 channels; merge takes grey pictures")
    save("deep.png", photo[..., 0].astype(np.uint16))
    message = refused(1, "merge", lines[0], lines[1], "deep.png", "-o", "b.png")
    assert message.startswith("cnntool: 'deep.png' has uint16 samples, 'a.R.png' uint8")
    assert not (folder / "b.png").exists()


def test_merge_checks_the_number_first(folder, photo):
    assert "merge needs -o OUT" in refused(2, "merge", "a.png")
    message = refused(2, "merge", *["a.png"] * 5, "-o", "b.png")
    assert "rgb is merged from 3 pictures (R, G, B)" in message and "got 5" in message
    message = refused(2, "merge", "a.png", "b.png", "--space", "hsv", "-o", "c.png")
    assert "hsv is merged from 3 pictures (H, S, V)" in message


def test_merge_never_overwrites(folder, photo):
    lines = done("split", "a.png").lines
    assert "exists" in refused(2, "merge", *lines, "-o", "a.png")
    message = refused(2, "merge", *lines, "-o", lines[1], "-f")
    assert "is an input and is never overwritten" in message
    done("merge", *lines, "-o", "a.png", "-f")


def test_merge_of_pipes(folder, photo):
    lines = done("split", "a.png").lines
    red = (folder / lines[0]).read_bytes()
    result = done("merge", "-", lines[1], lines[2], "-o", "-", stdin=red)
    np.testing.assert_array_equal(load(result.stdout), photo)
    payload = done("merge", *lines, "-o", "-", "--format", "npy").stdout
    np.testing.assert_array_equal(array(payload), photo)
    result = invoke("merge", "-", lines[1], lines[2], "-o", "b.png", stdin=b"junk")
    assert result.status == 1 and result.stderr.startswith("cnntool: standard input: not a picture")
