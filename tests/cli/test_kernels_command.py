"""cnntool kernels: the list, a matrix, a picture of one."""

import csv
import io
import json

import numpy as np
import pytest
from cli_runner import done, refused
from pillow_files import load

from cnntool.filters.kernel_families import FAMILIES
from cnntool.filters.kernel_text import parse_kernel
from cnntool.filters.kernels import ALIASES, KERNELS


def test_list_of_all(tmp_path, monkeypatch):
    lines = done("kernels").lines
    assert lines[0].split() == ["name", "size", "sum", "separable", "summary"]
    names = [line.split()[0] for line in lines[1:]]
    assert names == [*KERNELS, *(family.example for family in FAMILIES.values())]
    row = next(line for line in lines if line.startswith("sobel-x "))
    assert row.split()[:4] == ["sobel-x", "3x3", "0.0", "yes"]
    assert "brightness rising to the right is positive" in row


def test_every_name_of_the_list_is_a_kernel():
    for line in done("kernels").lines[1:]:
        name = line.split()[0]
        height, width = parse_kernel(name).size
        assert done("kernels", name).lines[0].partition(": ")[2] or f"({height}x{width})"


def test_matrix():
    assert done("kernels", "sobel-x", "gaussian-3").lines == [
        "sobel-x (3x3): gradient with some smoothing: brightness rising to the right is positive",
        "  -1  0  1",
        "  -2  0  2",
        "  -1  0  1",
        "  sum 0; sum of |k| 8; separable: 1 2 1 down, -1 0 1 across",
        "  source: Sobel & Feldman 1968",
        "",
        "gaussian-3 (3x3): blurs a little: binomial weights, sigma 0.71",
        "  1 2 1",
        "  2 4 2   / 16",
        "  1 2 1",
        "  sum 1; sum of |k| 1; separable: 0.0625 0.125 0.0625 down, 1 2 1 across",
        "  source: Burt & Adelson 1983, binomial filter",
    ]


def test_matrix_of_anything_that_k_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("1 2\n3 -4\n")
    assert done("kernels", "@mine.txt").lines[1:3] == ["   1  2", "   3 -4"]
    found = done("kernels", "1 0; 0 -1").lines
    assert found[:4] == [
        "custom (2x2): your own", "   1  0", "   0 -1", "  sum 0; sum of |k| 2"
    ]  # fmt: skip
    assert "offset 128" in done("kernels", "emboss-pillow").text
    # what rounding leaves of a sum of 0 is not shown
    assert "  sum 0; sum of |k|" in done("kernels", "log:sigma=1").text


@pytest.mark.parametrize("options", [["--json"], ["--as", "json"], ["--as", "jsonl"]])
def test_for_programs(options):
    text = done("kernels", *options).text
    rows = json.loads(text) if "jsonl" not in options else list(map(json.loads, text.splitlines()))
    assert len(rows) == len(KERNELS) + len(FAMILIES)
    row = next(row for row in rows if row["name"] == "gaussian-3")
    assert row["weights"] == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert (row["scale"], row["sum"], row["l1"], row["separable"]) == (16, 1.0, 1.0, True)
    assert row["aliases"] == [a for a, name in ALIASES.items() if name == "gaussian-3"]
    family = next(row for row in rows if row["name"].startswith("gabor"))
    assert "wavelength" in family["parameters"]


def test_named_ones_for_programs():
    rows = json.loads(done("kernels", "box:2,3", "sobel-y", "--json").text)
    assert [row["size"] for row in rows] == ["2x3", "3x3"]
    found = np.array(rows[0]["weights"]) / rows[0]["scale"]
    np.testing.assert_array_equal(found, np.full((2, 3), 1 / 6))


@pytest.mark.parametrize("option, separator", [("--csv", ","), ("--as=tsv", "\t")])
def test_tables(option, separator):
    rows = list(csv.reader(io.StringIO(done("kernels", option).text), delimiter=separator))
    assert rows[0] == ["name", "size", "sum", "separable", "summary"]
    assert ["identity", "3x3", "1.0", "yes", "leaves the picture as it is"] in rows


def test_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert done("kernels", "sobel-x", "--png", "k.png").lines == ["k.png"]
    found = load("k.png")
    assert found.shape[2] == 3
    height, width = found.shape[:2]
    # red is positive, blue negative, white 0: looked at beside the numbers
    places = [found[height // 6 - 20, width * column // 6 - 20] for column in (1, 3, 5)]
    assert places[0][2] > places[0][0] and (places[1] == 255).all()
    assert places[2][0] > places[2][2]
    message = refused(2, "kernels", "sobel-y", "--png", "k.png")
    assert "'k.png' exists" in message
    done("kernels", "sobel-y", "--png", "k.png", "-f")
    assert done("kernels", "box:2", "--png", "-").stdout.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["sobl-x"], "unknown kernel 'sobl-x'; did you mean 'sobel-x'"),
        (["sobel"], "did you mean sobel-x, sobel-y, or 'cnntool edges --operator sobel'?"),
        (["--png", "k.png"], "--png shows one kernel; name it"),
        (["box", "sobel-x", "--png", "k.png"], "--png shows one kernel; name it"),
        (["box", "--png", "k.jpg"], "--png writes PNG; 'k.jpg' does not end in .png"),
        (["--json", "--csv"], "--json and --csv exclude each other"),
        (["--as", "xml"], "'xml' is not one of"),
    ],
)
def test_errors(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused(2, "kernels", *arguments)
    assert not list(tmp_path.iterdir())


def test_binary_is_not_written_to_a_terminal():
    message = refused(2, "kernels", "box", "--png", "-", terminal="stdout")
    assert "refusing to write binary data to a terminal" in message
