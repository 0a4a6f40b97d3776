"""cnntool convolve: kernels as text, several at once, and the arithmetic shown."""

import re

import numpy as np
import pytest
from cli_runner import done, refused
from pillow_files import array, load, png, save


def raw(*args, **options):
    return array(done("convolve", *args, "-o", "-", "--format", "npy", **options).stdout)


# --- kernels as text ---


@pytest.mark.parametrize(
    "text, words",
    [
        ("sobel", "'sobel' is an operator of two kernels; did you mean sobel-x, sobel-y, or "
         "'cnntool edges --operator sobel'?"),
        ("canny", "cnntool edges --operator canny"),
        ("gausian-3", "unknown kernel 'gausian-3'; did you mean 'gaussian-3'"),
        ("", "the kernel is empty"),
        ("1 2; 3", "row"),
        ("1 two 3", "two"),
        ("[[1, 2], [3]]", "row"),
        ("[[1, 2", "JSON"),
        ("{}", "JSON"),
        ("nan", "nan"),
        ("1 inf", "inf"),
        ("gaussian", "sigma"),
        ("gaussian:sigma=-1", "sigma"),
        ("gaussian:width=2", "width"),
        ("box:0", "box"),
        ("box:1e9", "box"),
        ("sobel-x:3", "takes no parameters"),
        ("@nothing-here.txt", "nothing-here.txt"),
        (";", ""),
    ],
)  # fmt: skip
def test_senseless_kernels(folder, photo, text, words):
    assert words in refused(2, "convolve", "a.png", "-k", text)
    assert [p.name for p in folder.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "options, words",
    [
        ([], "Missing option '-k'"),
        (["-k", "box", "--stride", "0"], "0 is below 1"),
        (["-k", "box", "--stride", "1,2,3"], "has 3 numbers, not 1 or 2"),
        (["-k", "box", "--dilation", "x"], "'x' is not N[,M]"),
        (["-k", "box", "--padding", "some"], "not one of same, valid, full"),
        (["-k", "box", "--padding", "1,2,3"], "has 3 numbers, not 1 or 2 or 4"),
        (["-k", "box", "--padding", "-1"], "-1 is below 0"),
        (["-k", "box", "--border", "mirorr"], "'mirorr' is not one of"),
        (["-k", "box", "--border-value", "nan"], "'nan' is not a finite number"),
        (["-k", "box", "--scale", "inf"], "'inf' is not a finite number"),
        (["-k", "sobel-x", "--normalize", "sum"], "sums to 0"),
        (["-k", "laplacian", "--method", "separable"], "rank 1"),
        (["-k", "box", "--quality", "101"], "101"),
        (["-k", "box", "--stack", "--grid"], "exclude each other"),
        (["-k", "box", "--stack", "-o", "x.png"], "--stack needs .npy"),
        (["-k", "box", "--stack", "--format", "png"], "--stack needs .npy"),
        (["-k", "box", "--trace", "1"], "has 1 numbers, not 2"),
        (["-k", "box", "--trace", "0,0", "-o", "-"], "leaves no room"),
        (["-k", "box", "--values", "-o", "-"], "leaves no room"),
        (["-k", "box", "--trace", "0,0", "--linear"], "leave out --linear"),
        (["-k", "box", "--format", "gif"], "'gif' is not one of"),
    ],
)
def test_senseless_options(folder, photo, options, words):
    assert words in refused(2, "convolve", "a.png", *options)
    assert [p.name for p in folder.iterdir()] == ["a.png"]


def test_forms_of_kernels_and_their_file_names(folder, photo):
    (folder / "blur.txt").write_text("1 1\n1 1\n")
    (folder / "more.json").write_text("[[0.5, 0.5]]")
    (folder / "k.csv").write_text("1,2,3\n4,5,6\n")
    np.save("n.npy", np.array([[1.0, -1.0]]))
    kernels = [
        "0 1 0; 1 -4 1; 0 1 0",
        "[[1, 0], [0, -1]]",
        "1/9 1/9",
        "@blur.txt",
        "@more.json",
        "@k.csv",
        "@n.npy",
        "gaussian:sigma=1.4",
        "Gaussian:1.4,size=3",
        "sobel_x",
    ]
    options = [word for kernel in kernels for word in ("-k", kernel)]
    result = done("convolve", "a.png", *options, "-q")
    names = [
        *("custom", "custom2", "custom3", "blur", "more", "k", "n"),
        *("gaussian-sigma-1.4", "gaussian-1.4-size-3", "sobel-x"),
    ]
    assert result.lines == [f"a.{name}.png" for name in names]
    assert all((folder / line).is_file() for line in result.lines)


# --- several kernels ---


def test_stack(folder, photo):
    save("g.png", photo[..., 0])
    result = done("convolve", "a.png", "g.png", "-k", "sobel-x", "-k", "box", "--stack")
    assert result.lines == ["a.stack.npy", "g.stack.npy"]
    colour, grey = np.load("a.stack.npy"), np.load("g.stack.npy")
    assert colour.shape == (2, 14, 17, 3) and grey.shape == (2, 14, 17)
    assert colour.dtype == grey.dtype == np.float32
    np.testing.assert_array_equal(colour[0], raw("a.png", "-k", "sobel-x"))
    np.testing.assert_array_equal(grey[1], raw("g.png", "-k", "box"))
    assert done("convolve", "a.png", "-k", "box", "--stack", "-o", "s.npy").lines == ["s.npy"]
    assert np.load("s.npy").shape == (1, 14, 17, 3)
    payload = done("convolve", "-", "-k", "box", "--stack", stdin=png(photo)).stdout
    assert array(payload).shape == (1, 14, 17, 3)
    result = done("convolve", "a.png", "g.png", "-k", "box", "--stack", "-o", "out.png/")
    assert result.lines == ["out.png/a.stack.npy", "out.png/g.stack.npy"]


def test_stack_needs_maps_of_one_size(folder, photo):
    message = refused(
        1, "convolve", "a.png", "-k", "box", "-k", "1 1", "--padding", "valid", "--stack"
    )
    assert "the map of custom is 14x16, that of box 12x15" in message


def test_grid(folder, photo):
    result = done("convolve", "a.png", "-k", "sobel-x", "-k", "sobel-y", "-k", "box", "--grid")
    assert result.lines == ["a.grid.png"]
    sheet = load("a.grid.png")
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    # the maps are in it, enlarged by whole factors until a side has 128 pixels
    alone = done("convolve", "a.png", "-k", "box", "-o", "box.png")
    assert alone.status == 0
    factor = 8
    big = np.kron(load("box.png"), np.ones((factor, factor, 1), np.uint8))
    assert contains(sheet, big)


def contains(sheet, part):
    height, width = part.shape[:2]
    corners = np.argwhere((sheet == part[0, 0]).all(axis=2))
    return any(
        np.array_equal(sheet[r : r + height, c : c + width], part)
        for r, c in corners
        if r + height <= sheet.shape[0] and c + width <= sheet.shape[1]
    )


@pytest.mark.parametrize("name", ["s.jpg", "s.npy", "s.pfm", "s.tif"])
def test_grid_into_other_formats(samples, folder, name):
    for source in ("square.png", "gradient-16bit.png"):
        done("convolve", samples / source, "-k", "box", "-k", "outline", "--grid", "-o", name, "-f")
        assert (folder / name).stat().st_size > 0


# --- showing the arithmetic ---


def test_trace_writes_nothing_without_o(folder, photo):
    done("convolve", "a.png", "-k", "box", "--trace", "3,4")
    assert [p.name for p in folder.iterdir()] == ["a.png"]
    result = done("convolve", "a.png", "-k", "1", "--trace", "3,4", "-o", "b.png")
    red, green, blue = photo[3, 4]
    assert result.lines == [
        f"R: {red}·1 = {red}", f"G: {green}·1 = {green}", f"B: {blue}·1 = {blue}", "b.png"
    ]  # fmt: skip
    assert (folder / "b.png").is_file()


def test_trace_of_standard_input_with_a_picture(folder, photo):
    result = done("convolve", "-", "-k", "1", "--trace", "0,0", "--gray", "-o", "b.png",
                  stdin=png(photo))  # fmt: skip
    assert len(result.lines) == 2 and result.lines[1] == "b.png"


def test_trace_of_several_kernels(folder):
    save("a.png", np.array([[5, 7]], np.uint8))
    result = done("convolve", "a.png", "-k", "1 1", "-k", "1 -1", "--padding", "valid",
                  "--trace", "0,0", "--values")  # fmt: skip
    assert result.lines == [
        "# custom", "5·1 + 7·1 = 12", "kernel custom (1x2)", "1 1", "input (1x2)", "5 7",
        "output (1x1)", "12",
        "# custom", "5·1 + 7·(-1) = -2", "kernel custom (1x2)", " 1 -1", "input (1x2)", "5 7",
        "output (1x1)", "-2",
    ]  # fmt: skip


def test_trace_outside_of_the_output(folder, photo):
    message = refused(1, "convolve", "a.png", "-k", "box", "--trace", "14,0", "-o", "b.png")
    assert "no pixel 14,0; it is 14x17" in message
    assert not (folder / "b.png").exists()


def test_trace_of_a_transparent_picture_says_what_it_leaves_out(samples, folder):
    result = done("convolve", samples / "square.png", "-k", "1", "--trace", "12,20")
    assert result.lines == ["R: 230·1 = 230", "G: 120·1 = 120", "B: 20·1 = 20"]
    assert "opacity is left out" in result.stderr


# --- telling more ---


def test_verbose(folder, photo):
    result = done("convolve", "a.png", "-k", "gaussian-5", "-o", "b.png", "-v", "-j", "1")
    assert len(result.errors) == 2
    assert result.errors[0].startswith("cnntool: 1 input, 1 at a time, ")
    assert result.errors[0].endswith("device cpu")
    assert result.errors[1].startswith("cnntool: 'a.png': gaussian-5: kernel 5x5, method ")
    save("c.png", photo)
    result = done("convolve", "a.png", "c.png", "-k", "sobel-x", "-o", "out/", "-v")
    notes = [line for line in result.errors if "method" in line]
    assert [line.split("'")[1] for line in notes] == ["a.png", "c.png"]
    assert "every pixel stays" in done("convolve", "a.png", "-k", "identity", "-v").stderr


def test_very_verbose_tells_the_time(folder, photo):
    result = done("convolve", "a.png", "-k", "box", "-o", "b.png", "-vv")
    assert re.fullmatch(r"cnntool: 'a\.png': \d+\.\d{3} s", result.errors[-1])
    assert not re.search(r"\d s$", done("convolve", "a.png", "-k", "box", "-v").stderr, re.M)
