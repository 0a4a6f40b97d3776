"""``cnntool hog --visualize``: histograms as pictures, beside the rows."""

import math
import os

import numpy as np
from cli_runner import done, refused
from feature_rows import picture, rows
from PIL import Image


def test_visualize_one_picture(tmp_path, rng):
    path, _ = picture(tmp_path / "grey.png", rng, (45, 38))
    out = tmp_path / "drawing.png"
    result = done("hog", path, "--visualize", out)
    assert len(rows(result)) == 1, "the rows, and nothing between them"
    with Image.open(out) as drawing:
        assert drawing.mode == "L"
        assert drawing.size == (11 * 38, 11 * 45)  # grown by a whole number
        assert drawing.getextrema() == (0, 255)
    # with the rows elsewhere, standard output has the names of what was written
    result = done("hog", path, "--visualize", out, "-o", tmp_path / "x.npy", "-f")
    assert result.lines == [str(out), str(tmp_path / "x.npy")]


def test_lines_lie_along_edges(tmp_path):
    """Edges that stand give lines that stand; 45 degrees give 45 degrees."""
    y, x = np.mgrid[:32, :32]
    for name, level, direction in (("v", x, (1, 0)), ("h", y, (0, 1)), ("d", x + y, (1, -1))):
        Image.fromarray(np.uint8(level * 4)).save(tmp_path / f"{name}.png")
        done(
            "hog", tmp_path / f"{name}.png", "--cell", 16, "--block", 1, "--orientations", 4,
            "--visualize", tmp_path / f"{name}.hog.png", "-o", os.devnull,
        )  # fmt: skip
        drawing = np.asarray(Image.open(tmp_path / f"{name}.hog.png"), float)
        bottom, right = np.nonzero(drawing[256:, 256:] > 127)
        down, across = np.cov(bottom, right).diagonal()
        # bins are 45 degrees wide and lines lie in their middle: at most 22.5 degrees off
        tilt = math.degrees(0.5 * math.atan2(2 * np.cov(bottom, right)[0, 1], down - across))
        wanted = math.degrees(math.atan2(direction[1], direction[0]))
        off = (tilt - wanted + 90) % 180 - 90
        assert abs(off) < 23, (name, tilt)


def test_visualize_a_folder(tmp_path, rng):
    for name in ("a/1.png", "a/b/2.jpg", "3.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        picture(tmp_path / "in" / name, rng, (40, 32, 3))
    drawings = tmp_path / "in" / "drawings"  # below the input: never read itself
    for _ in range(2):
        result = done("hog", tmp_path / "in", "-r", "--visualize", drawings, "-f")
        assert len(rows(result)) == 3
    found = [str(p.relative_to(drawings)) for p in drawings.rglob("*.png")]
    assert sorted(found) == ["3.hog.png", "a/1.hog.png", "a/b/2.hog.png"]
    message = refused(2, "hog", tmp_path / "in", "-r", "--visualize", drawings)
    assert "and 2 more exist; -f (--force) overwrites" in message


def test_visualize_is_no_data_on_stdout(samples):
    message = refused(2, "hog", samples / "camera.png", "--visualize", "-")
    assert "standard output is for the rows" in message


def test_a_flat_picture_has_a_black_drawing(tmp_path):
    Image.new("L", (64, 64), 99).save(tmp_path / "flat.png")
    result = done("hog", tmp_path / "flat.png", "--visualize", tmp_path / "d.png")
    assert not rows(result)[0][1].any()
    assert Image.open(tmp_path / "d.png").getextrema() == (0, 0)
