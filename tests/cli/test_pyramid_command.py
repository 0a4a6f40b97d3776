"""cnntool pyramid: levels into files, and levels back into the picture."""

import numpy as np
import pytest
import reference
from cli_runner import done, refused
from pillow_files import array, load, save


@pytest.fixture
def photo(folder, rng):
    pixels = rng.integers(0, 256, (23, 18, 3), dtype=np.uint8)
    save("a.png", pixels)
    return pixels


def test_gaussian_levels_are_pictures(folder, photo):
    result = done("pyramid", "a.png")
    assert result.lines == ["a.l0.png", "a.l1.png", "a.l2.png", "a.l3.png"]
    assert result.stderr == ""
    wanted = photo.astype(float)
    for name in result.lines:
        found = load(name)
        assert found.dtype == np.uint8 and found.shape == wanted.shape
        assert np.abs(found - wanted).max() <= 0.51
        wanted = reference.pyramid_reduce(wanted)
    np.testing.assert_array_equal(load("a.l0.png"), photo)


def test_laplacian_levels_are_arrays(folder, photo):
    result = done("pyramid", "a.png", "--kind", "laplacian", "--levels", "3", "-o", "levels/")
    assert result.lines == [f"levels/a.l{level}.npy" for level in range(3)]
    first, second = np.load("levels/a.l0.npy"), np.load("levels/a.l1.npy")
    assert first.dtype == np.float32 and first.shape == (23, 18, 3)
    assert second.shape == (12, 9, 3)
    smaller = reference.pyramid_reduce(photo.astype(float))
    wanted = photo - reference.pyramid_expand(smaller, (23, 18))
    np.testing.assert_allclose(first, wanted, atol=1e-3)


@pytest.mark.parametrize("name", ["chelsea.jpg", "square.png", "camera.png", "lecture-a.png"])
def test_collapse_gives_the_picture_back_exactly(samples, folder, name):
    result = done("pyramid", samples / name, "--kind", "laplacian", "-o", "levels/")
    # in any order
    back = done("pyramid", *reversed(result.lines), "--collapse", "-o", "back.png")
    assert back.lines == ["back.png"] and back.stderr == ""
    np.testing.assert_array_equal(load("back.png"), load(samples / name))
    done("pyramid", "levels/", "--collapse", "-o", "from-folder.png")
    assert (folder / "from-folder.png").read_bytes() == (folder / "back.png").read_bytes()


@pytest.mark.parametrize("options", [[], ["--depth", "16"]])
def test_collapse_of_16_bits(samples, folder, options):
    picture = samples / "gradient-16bit.png"
    levels = done("pyramid", picture, "--kind", "laplacian", "-o", "levels/").lines
    done("pyramid", *levels, "--collapse", "-o", "back.png", *options)
    found = load("back.png")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, load(picture))
    done("pyramid", *levels, "--collapse", "--depth", "8", "-o", "small.png")
    np.testing.assert_array_equal(load("small.png"), np.rint(load(picture) / 257))


def test_dark_pictures_of_16_bits_need_the_depth(folder):
    pixels = np.arange(0, 480, dtype=np.uint16).reshape(20, 24)
    save("dark.png", pixels)
    levels = done("pyramid", "dark.png", "--kind", "laplacian", "-o", "levels/").lines
    done("pyramid", *levels, "--collapse", "--depth", "16", "-o", "back.png")
    np.testing.assert_array_equal(load("back.png"), pixels)


def test_collapse_without_o_stays_an_array(folder, photo):
    levels = done("pyramid", "a.png", "--kind", "laplacian", "-o", "levels/").lines
    result = done("pyramid", *levels, "--collapse")
    assert result.lines == ["levels/a.l0.collapsed.npy"]
    np.testing.assert_array_equal(np.load(result.lines[0]), photo)
    payload = done("pyramid", *levels, "--collapse", "-o", "-").stdout
    np.testing.assert_array_equal(array(payload), photo)
    message = refused(2, "pyramid", *levels, "--collapse")
    assert "exists" in message


def test_changed_levels_are_clipped_with_a_note(folder, photo):
    levels = done("pyramid", "a.png", "--kind", "laplacian", "-o", "levels/").lines
    np.save(levels[0], np.load(levels[0]) * 3)
    result = done("pyramid", *levels, "--collapse", "-o", "b.png")
    assert "clipped (--range)" in result.stderr
    assert load("b.png").dtype == np.uint8
    done("pyramid", *levels, "--collapse", "-o", "c.png", "--range", "rescale")
    assert (load("c.png").min(), load("c.png").max()) == (0, 255)


def test_laplacian_levels_as_pictures(folder, photo, samples):
    result = done("pyramid", "a.png", "--kind", "laplacian", "--format", "png")
    assert result.lines == [f"a.l{level}.png" for level in range(4)]
    assert "l0: " in result.stderr and "absolute values" in result.stderr
    smaller = reference.pyramid_reduce(photo.astype(float))
    wanted = photo - reference.pyramid_expand(smaller, (23, 18))
    assert np.abs(load("a.l0.png") - np.clip(np.abs(wanted), 0, 255)).max() <= 0.51
    done("pyramid", "a.png", "--kind", "laplacian", "--format", "png", "--range", "offset", "-f")
    assert np.abs(load("a.l0.png") - np.clip(wanted + 128, 0, 255)).max() <= 0.51
    # differences have no opacity
    done("pyramid", samples / "square.png", "--kind", "laplacian", "--format", "png", "-o", "s/")
    assert load("s/square.l0.png").shape == (48, 64, 3)
    assert load("s/square.l3.png").shape == (6, 8, 4)


def test_template_with_a_suffix_decides_the_format(folder, photo):
    names = ["--name", "{what}.tif"]
    result = done("pyramid", "a.png", "--kind", "laplacian", "--levels", "2", *names, "-q")
    assert result.lines == ["l0.tif", "l1.tif"]
    assert load("l0.tif").dtype == np.uint8


def test_one_file_is_too_few_for_several_levels(folder, photo):
    assert "several results of 'a.png'" in refused(2, "pyramid", "a.png", "-o", "b.png")
    assert done("pyramid", "a.png", "--levels", "1", "-o", "b.png").lines == ["b.png"]
    assert "standard output takes one result" in refused(2, "pyramid", "a.png", "-o", "-")


def test_number_of_levels(folder, photo):
    message = refused(1, "pyramid", "a.png", "--levels", "7")
    assert "a picture of 23 x 18 has 6 levels at most, got 7" in message
    assert len(done("pyramid", "a.png", "--levels", "6", "-o", "six/").lines) == 6
    for count in ("0", "31", "x"):
        assert "Invalid value for '--levels'" in refused(2, "pyramid", "a.png", "--levels", count)
    assert [p.name for p in folder.iterdir() if p.is_file()] == ["a.png"]


def test_levels_that_do_not_belong_together(folder, photo):
    levels = done("pyramid", "a.png", "--kind", "laplacian", "-o", "levels/").lines
    message = refused(1, "pyramid", levels[0], levels[2], "--collapse", "-o", "b.png")
    assert "half of level 0 is 12x9x3" in message
    save("grey.png", np.zeros((12, 9), np.uint8))
    message = refused(1, "pyramid", levels[0], "grey.png", "--collapse", "-o", "b.png")
    assert message.startswith("cnntool: 'grey.png' has 1 channel, 'levels/a.l0.npy' 3;")
    message = refused(1, "pyramid", levels[0], "gone.npy", "--collapse", "-o", "b.png")
    assert message == "cnntool: 'gone.npy': no such file"
    assert not (folder / "b.png").exists()


def test_collapse_of_an_empty_folder(folder):
    (folder / "empty").mkdir()
    message = refused(1, "pyramid", "empty", "--collapse", "-o", "b.png")
    assert "'empty': no input files in this folder" in message


def test_gray_and_16_bits(samples, folder, photo):
    done("pyramid", "a.png", "--gray", "--levels", "2")
    assert load("a.l1.png").shape == (12, 9)
    done("pyramid", samples / "gradient-16bit.png", "--levels", "2", "-o", "g/")
    assert load("g/gradient-16bit.l1.png").dtype == np.uint16
    assert load("g/gradient-16bit.l1.png").max() > 60000


@pytest.mark.parametrize("kind", ["gaussian", "laplacian"])
def test_gpu_gives_what_the_cpu_gives(folder, photo, double_as_gpu, kind):
    command = ["pyramid", "a.png", "--kind", kind, "--format", "npy"]
    here, there = done(*command, "-o", "c/"), done(*command, "-o", "g/", "--device", "gpu")
    for one, other in zip(here.lines, there.lines, strict=True):
        np.testing.assert_allclose(np.load(other), np.load(one), atol=1e-3)
    if kind == "laplacian":
        done("pyramid", *there.lines, "--collapse", "-o", "b.png", "--device", "gpu")
        np.testing.assert_array_equal(load("b.png"), photo)
