"""The worked examples of a first course on convolution, from the command line, to the number."""

import io

import cli_runner
import numpy as np
import pytest

L = "0 1 0; -1 2 -1; 0 1 0"
A = """
    3 3 5 1 2 3
    3 4 0 1 4 5
    5 1 2 3 2 0
    5 0 4 5 2 1
    3 4 3 1 0 2
    2 0 4 3 5 1
"""
PATCHES = ("0 0 0/0 0 0/0 0 1", "0 0 0/0 0 0/0 1 0", "0 0 0/0 0 1/1 0 0")


def rows(text):
    """Numbers in rows, parted by line ends or '/'."""
    lines = text.strip().replace("/", "\n").splitlines()
    return [[float(word) for word in line.split()] for line in lines]


def array(*args, **options):
    """What a command writes to standard output as .npy."""
    result = cli_runner.done(*args, "-o", "-", "--format", "npy", **options)
    return np.load(io.BytesIO(result.stdout))


def output_matrix(*args):
    """The last matrix that --values prints."""
    lines = cli_runner.done(*args, "--values").lines
    title = max(place for place, line in enumerate(lines) if line.startswith("output"))
    return rows("\n".join(lines[title + 1 :]))


CONVOLUTIONS = [
    ("a", L, [], "9 2 2 6 / -1 4 8 7 / -4 8 8 0 / 2 9 7 4"),
    ("a", L, ["--stride", "2"], "9 2 / -4 8"),
    ("a", L, ["--dilation", "2"], "5 7 / 5 13"),
    ("b", L, [], "5 7 / 3 9"),
    ("b", L, ["--padding", "same", "--border", "constant"],
     "6 4 4 5 / 6 5 7 8 / 4 3 9 7 / 1 2 3 4"),
    ("b", L, ["--padding", "1", "--border", "constant"], "6 4 4 5 / 6 5 7 8 / 4 3 9 7 / 1 2 3 4"),
    ("map", "1 0 1; 0 1 0; 1 0 1", [], "4 3 4 / 2 4 3 / 2 3 4"),
]  # fmt: skip


@pytest.mark.parametrize("name, kernel, options, wanted", CONVOLUTIONS)
def test_convolution(samples, name, kernel, options, wanted):
    command = ["convolve", samples / f"lecture-{name}.png", "-k", kernel, "--padding", "valid"]
    np.testing.assert_array_equal(array(*command, *options), rows(wanted))
    assert output_matrix(*command, *options) == rows(wanted)
    for method in ("direct", "fft"):
        found = array(*command, *options, "--method", method)
        np.testing.assert_allclose(found, rows(wanted), atol=1e-4)


def test_twice(samples):
    once = cli_runner.done(
        "convolve", samples / "lecture-a.png", "-k", L, "--padding", "valid", "-o", "-",
        "--format", "npy",
    )  # fmt: skip
    twice = array("convolve", "-", "-k", L, "--padding", "valid", stdin=once.stdout)
    np.testing.assert_array_equal(twice, rows("11 15 / 25 23"))


@pytest.mark.parametrize(
    "fill, corner", [("constant", 0), ("reflect", 4), ("edge", 3), ("wrap", 1), ("max", 5)]
)
def test_fills_of_the_frame(samples, fill, corner):
    found = array(
        "convolve", samples / "lecture-a.png", "-k", "1 0 0; 0 0 0; 0 0 0", "--border", fill
    )
    assert found[0, 0] == corner


def test_trace(samples):
    command = ["convolve", samples / "lecture-a.png", "-k", L, "--padding", "valid"]
    first = "3·0 + 3·1 + 5·0 + 3·(-1) + 4·2 + 0·(-1) + 5·0 + 1·1 + 2·0 = 9\n"
    assert cli_runner.done(*command, "--trace", "0,0").text == first
    found = cli_runner.done(*command, "--trace", "0,1", "--trace", "0,2").lines
    assert [line.rpartition(" = ")[2] for line in found] == ["2", "2"]


def test_split_prints_the_matrix(samples):
    found = cli_runner.done("split", samples / "lecture-a.png", "--values")
    assert found.lines[0] == "L (6x6)"
    assert [line.split() for line in found.lines[1:]] == [
        line.split() for line in A.strip().splitlines()
    ]
    part = cli_runner.done("split", samples / "lecture-a.png", "--values", "--crop", "1,2,2,3")
    assert part.text == "L (2x3)\n0 1 4\n2 3 2\n"


@pytest.mark.parametrize("number, value, flipped", [(1, 1, 1), (2, -5, 2), (3, 6, -1)])
def test_kernel_on_a_digit(samples, number, value, flipped):
    command = ["convolve", samples / f"lecture-digit-{number}.png", "-k", "1 2 3; -4 7 4; 2 -5 1"]
    found = cli_runner.done("split", command[1], "--values").text
    assert rows(found.partition("\n")[2]) == rows(PATCHES[number - 1])
    assert array(*command, "--padding", "valid").tolist() == [[value]]
    # true convolution is another number where the patch is not symmetric
    assert array(*command, "--padding", "valid", "--flip").tolist() == [[flipped]]


POOLING = [
    ("max", "4 5 5 / 5 5 2 / 4 4 5"),
    ("avg", "3.25 1.75 3.5 / 2.75 3.5 1.25 / 2.25 2.75 2"),
    ("sum", "13 7 14 / 11 14 5 / 9 11 8"),
]


@pytest.mark.parametrize("kind, wanted", POOLING)
def test_pooling(samples, kind, wanted):
    command = ["pool", samples / "lecture-a.png", "--kind", kind, "--size", "2"]
    np.testing.assert_array_equal(array(*command), rows(wanted))
    pooled = cli_runner.done(*command, "-o", "-")
    # halves round to even on the way to 8 bits
    found = cli_runner.done("split", "-", "--values", stdin=pooled.stdout).text
    assert rows(found.partition("\n")[2]) == np.rint(rows(wanted)).tolist()


def test_unpooling_puts_maxima_back(samples, tmp_path):
    indices = tmp_path / "p.npz"
    pooled = cli_runner.done(
        "pool", samples / "lecture-pool.png", "--indices", indices, "-o", tmp_path / "p.png"
    )
    assert pooled.lines == [str(indices), str(tmp_path / "p.png")]
    sparse = array("unpool", tmp_path / "p.png", "--indices", indices)
    # one-based, as on the slide
    places = [(int(row) + 1, int(column) + 1) for row, column in np.argwhere(sparse)]
    assert places == [(2, 2), (2, 4), (3, 1), (4, 4)]
    assert sparse[sparse > 0].tolist() == [6, 8, 3, 4]


def test_gradient_of_one_pixel(samples):
    picture = samples / "lecture-hog.png"
    assert array("convolve", picture, "-k", "diff-x")[2, 2] == 89 - 78 == 11
    assert array("convolve", picture, "-k", "diff-y")[2, 2] == 56 - 68 == -12
    # upwards, as the lecture counts
    assert array("convolve", picture, "-k", "diff-y", "--scale", "-1")[2, 2] == 12
    found = cli_runner.done("convolve", picture, "-k", "diff-x", "--trace", "2,2").text
    assert found == "78·(-1) + 85·0 + 89·1 = 11\n"


def test_filters_of_the_slides_are_matrices_that_can_be_typed(samples):
    kernels = (
        "1 2 1; 0 0 0; -1 -2 -1",  # horizontal lines
        "-1 2 -1; -1 2 -1; -1 2 -1",  # vertical lines
        "-1 -1 2; -1 2 -1; 2 -1 -1",  # a diagonal
        "-1 -1 -1; 0 0 0; 1 1 1",  # horizontal edges
        "1 0 -1; 1 0 -1; 1 0 -1",  # vertical edges
        "0 0 0; 0 1 0; 0 0 0",  # identity
    )
    options = [word for text in kernels for word in ("-k", text)]
    found = array("convolve", samples / "lecture-a.png", *options, "--stack", "--padding", "valid")
    assert found.shape == (6, 4, 4)
    picture = np.array(rows(A))
    for result, text in zip(found, kernels, strict=True):
        kernel = np.array(rows(text.replace(";", "/")))
        sums = [
            [(picture[r : r + 3, c : c + 3] * kernel).sum() for c in range(4)] for r in range(4)
        ]
        np.testing.assert_array_equal(result, sums)


def test_output_size_without_padding(tmp_path):
    np.save(tmp_path / "digit.npy", np.zeros((28, 28), np.uint8))
    command = ["convolve", tmp_path / "digit.npy", "-k", "sobel-x", "--padding", "valid"]
    assert array(*command).shape == (26, 26)


def test_a_hd_picture_has_millions_of_features(tmp_path):
    np.save(tmp_path / "hd.npy", np.zeros((720, 1280, 3), np.uint8))
    cli_runner.done("flatten", tmp_path / "hd.npy", "-o", tmp_path / "features.npy")
    assert np.load(tmp_path / "features.npy", mmap_mode="r").shape == (1, 2_764_800)


def test_flattening_goes_channel_by_channel(tmp_path):
    picture = np.array([[[1, 10, 100], [2, 20, 200]], [[3, 30, 210], [4, 40, 220]]], np.uint8)
    np.save(tmp_path / "a.npy", picture)
    found = cli_runner.done("flatten", tmp_path / "a.npy", "-o", tmp_path / "b.npy")
    assert found.lines == [str(tmp_path / "b.npy")]
    assert np.load(tmp_path / "b.npy").tolist() == [
        [1, 2, 3, 4, 10, 20, 30, 40, 100, 200, 210, 220]
    ]
