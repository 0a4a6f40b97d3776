"""``generate``: sheets, folders, films, pictures of pictures, and what is refused."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from PIL import Image
from small_generators import KINDS, painter, saved
from trained_models import trained

from cnntool.nn.modelfile import save_model
from cnntool.predict.generator import Generator, samples_of

CLASSES = ["cat", "dog", "owl"]


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def model(name="class"):
    path = Path(f"{name}.safetensors")
    return str(path if path.exists() else saved(Path(), KINDS[name](), path.name))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def expected(path, seeds, numbers=None):
    """(N, H, W) straight from the library."""
    generator = Generator.load(path)
    condition = None if numbers is None else generator.condition(numbers)
    return np.moveaxis(samples_of(generator.pictures(generator.draw(seeds), condition))[0], -1, 0)


# --- folders


def test_a_file_each_in_folders_of_classes():
    path = model()
    result = done("generate", path, "--seeds", "0-1,12", "-o", "d/")
    names = [f"d/{label}/{seed:04}.png" for label in CLASSES for seed in (0, 1, 12)]
    assert result.lines == names
    truth = expected(path, [0, 1, 12] * 3, [0] * 3 + [1] * 3 + [2] * 3)
    for name, picture in zip(names, truth, strict=True):
        np.testing.assert_array_equal(pixels(name), picture)


def test_so_many_pictures_are_dealt_to_the_classes():
    path = model()
    result = done("generate", path, "--count", 5, "--seeds", 7, "-o", "d/")
    labels = ["cat", "dog", "owl", "cat", "dog"]
    assert result.lines == [f"d/{label}/{7 + n:04}.png" for n, label in enumerate(labels)]
    found = done("datasets", "d", "--json")
    described = json.loads(found.text)
    assert [row["class"] for row in described["classes"]] == CLASSES


def test_classes_that_were_asked_for():
    result = done("generate", model(), "--class", "owl", "--class", "cat", "--seeds", "3",
                  "-o", "d/")  # fmt: skip
    assert result.lines == ["d/owl/0003.png", "d/cat/0003.png"]
    line = refused(2, "generate", model(), "--class", "cow", "-o", "x.png")
    assert "unknown class 'cow'" in line
    assert "cat, dog, owl" in line


def test_without_classes_files_lie_together():
    result = done("generate", model("plain"), "-o", "d/", "--seeds", "99999", "--format", "bmp")
    assert result.lines == ["d/99999.bmp"]
    assert pixels("d/99999.bmp").shape == (6, 8)
    assert "trained without classes" in refused(
        2, "generate", model("plain"), "--class", "cat", "-o", "x.png"
    )
    assert "trained without vectors" in refused(
        2, "generate", model("plain"), "--vectors", "v.npy", "-o", "x.png"
    )


def test_files_of_vectors():
    path = model("vector")
    for array, message in (
        (np.zeros(3), "3 numbers; vectors of 3 are needed, one a row, all finite"),
        (np.zeros((2, 4)), "2x4 numbers; vectors of 3 are needed, one a row, all finite"),
        (np.full((2, 3), np.nan), "2x3 numbers; vectors of 3 are needed, one a row, all finite"),
        (np.array([["a", "b", "c"]]), "1x3 numbers; vectors of 3 are needed"),
    ):
        np.save("v.npy", array)
        assert message in refused(2, "generate", path, "--vectors", "v.npy", "-o", "x.png")
    np.save("v.npy", np.array([None]), allow_pickle=True)
    words = "'v.npy': no array of numbers as numpy.save writes them"
    assert words in refused(1, "generate", path, "--vectors", "v.npy", "-o", "x.png")
    Path("v.npy").write_bytes(b"no array")
    assert words in refused(1, "generate", path, "--vectors", "v.npy", "-o", "x.png")
    np.save("v.npy", np.zeros((70_000, 3)))  # more than a picture may have rows
    done("generate", path, "--vectors", "v.npy", "--count", 2, "-o", "x.png")


def test_nothing_is_overwritten():
    path = model()
    done("generate", path, "--seeds", "0-1", "-o", "d/")
    before = Path("d/dog/0001.png").read_bytes()
    line = refused(2, "generate", path, "--seeds", "1-2", "-o", "d/")
    assert "'d/cat/0001.png' exists; -f (--force) overwrites it" in line
    assert not Path("d/cat/0002.png").exists()
    done("generate", path, "--seeds", "1-2", "-o", "d/", "-f")
    assert Path("d/dog/0001.png").read_bytes() == before
    line = refused(2, "generate", path, "-o", path, "--format", "png", "-f")
    assert "'class.safetensors' is an input and is never overwritten" in line


def test_a_folder_that_takes_no_files():
    Path("d").write_text("no folder")
    assert invoke("generate", model(), "-o", "d/").status in (2, 3)


def test_classes_that_are_no_names_of_folders():
    import dataclasses

    odd = dataclasses.replace(KINDS["class"](), classes=("a/b", "..", "c"))
    path = str(saved(Path(), odd, "odd.safetensors"))
    line = refused(2, "generate", path, "-o", "d/")
    assert "the class 'a/b' cannot be the name of a folder; -o FILE.png takes any" in line
    assert not Path("d").exists()
    done("generate", path, "--class", "c", "--seeds", 0, "-o", "d/")
    done("generate", path, "-o", "g.png")


# --- sheets and films


def test_a_sheet_has_a_row_a_class():
    path = model()
    assert done("generate", path, "--seeds", "0-4", "-o", "g.png").lines == ["g.png"]
    sheet = pixels("g.png")
    height = 6 * 7  # 56 pixels for the longer side: 7 times as large
    truth = expected(path, [0, 1, 2, 3, 4] * 3, [0] * 5 + [1] * 5 + [2] * 5)
    assert sheet.shape[1] == 4 + 5 * (56 + 4)
    large = truth[3].repeat(7, axis=0).repeat(7, axis=1)
    rows = [
        top for top in range(80)
        if np.array_equal(sheet[top : top + height, 4 + 3 * 60 : 4 + 3 * 60 + 56, 0], large)
    ]  # fmt: skip
    assert len(rows) == 1


def test_sheets_of_other_forms():
    done("generate", model(), "--seeds", "0-4", "--columns", 3, "-o", "g.png")
    assert pixels("g.png").shape[1] == 4 + 3 * 60
    done("generate", model(), "--count", 7, "-o", "h.jpg", "--quality", 50)
    with Image.open("h.jpg") as image:
        assert image.format == "JPEG"
    result = done("generate", model(), "-o", "-", "--seeds", 0)
    assert result.stdout.startswith(b"\x89PNG")
    assert "no picture has this suffix" in refused(2, "generate", model(), "-o", "g.txt")
    assert "where to? -o FILE.png writes one sheet, -o DIR/ a file each" in refused(
        2, "generate", model()
    )
    assert "exists" in refused(2, "generate", model(), "-o", "g.png")


def test_pictures_that_fill_no_rows():
    """Fewer than classes, or no multiple of them, follow each other."""
    path = model()  # of three classes
    for count in (1, 2, 4):
        done("generate", path, "--count", count, "-o", "g.png", "-f")
        sheet = pixels("g.png")
        first = expected(path, [0], [0])[0].repeat(7, axis=0).repeat(7, axis=1)
        shown = [
            top for top in range(sheet.shape[0] - first.shape[0] + 1)
            if np.array_equal(sheet[top : top + first.shape[0], 4 : 4 + 56, 0], first)
        ]  # fmt: skip
        assert len(shown) == 1, count
        done("generate", path, "--count", count, "-o", "g.gif", "-f")
        with Image.open("g.gif") as film:
            # two are one of each of two classes, side by side
            assert (film.n_frames, film.width) == {1: (1, 120), 2: (1, 236), 4: (4, 120)}[count]


def test_options_that_a_form_has_no_use_for():
    for options, message in (
        (("-o", "d/", "--columns", 3), "--columns is for sheets, not for -o DIR/"),
        (("-o", "m.gif", "--columns", 3), "--columns means nothing to a GIF"),
        (("-o", "m.gif", "--quality", 3), "--quality means nothing to a GIF"),
    ):
        assert message in refused(2, "generate", model(), *options)
    line = refused(2, "generate", model(), "-o", "g.txt")
    assert "'g.txt': no picture has this suffix; use .png, " in line and ".npy, .gif, or" in line
    assert not Path("d").exists() and not Path("m.gif").exists()


def test_ways_between_seeds():
    path = model("plain")
    result = done("generate", path, "--interpolate", "--seeds", "3,8,1", "--steps", 4, "-o", "d/")
    assert len(result.lines) == 2 * 4 + 1
    assert result.lines[0] == "d/0003-0008-00000.png"
    assert result.lines[-1] == "d/0008-0001-10000.png"
    first, second, third = expected(path, [3, 8, 1])
    np.testing.assert_array_equal(pixels(result.lines[0]), first)
    np.testing.assert_array_equal(pixels(result.lines[4]), second)
    np.testing.assert_array_equal(pixels(result.lines[-1]), third)


def test_a_way_may_come_back():
    """And names sort as pictures follow each other."""
    options = ("--interpolate", "--seeds", "3,8,3", "--steps", 2)
    result = done("generate", model("plain"), *options, "-o", "d/")
    assert len(result.lines) == 5
    np.testing.assert_array_equal(pixels(result.lines[0]), pixels(result.lines[-1]))
    assert result.lines[:2] == sorted(result.lines[:2])
    assert len(done("generate", model("plain"), "--seeds", "3,8,3", "-o", "e/").lines) == 2


def test_films():
    path = model()
    assert done("generate", path, "--interpolate", "-o", "m.gif").lines == ["m.gif"]
    with Image.open("m.gif") as film:
        assert film.n_frames == 3 * 8 + 1
        assert film.size > (2 * 112, 2 * 84)  # three pictures, in two rows
    done("generate", path, "--seeds", "0-3", "-o", "s.gif")
    with Image.open("s.gif") as film:
        assert film.n_frames == 4
    assert "exists" in refused(2, "generate", path, "-o", "s.gif")
    done("generate", path, "--seeds", "0-400", "-o", "l.gif")
    with Image.open("l.gif") as film:
        assert film.n_frames == 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--interpolate", "--count", 3), "--interpolate and --count exclude each other"),
        (("--steps", 3), "--steps is for --interpolate"),
        (("--interpolate", "--seeds", "4"), "--interpolate goes from seed to seed; name two or"),
        (("--seeds", "4-2"), "'4-2' does not name seeds; write numbers and ranges: 0-7,12"),
        (("a.png",), "this model makes pictures of numbers; it takes no IMG"),
        (("--seeds", "10000000"), "'10000000': seeds go up to 9999999"),
        (("--seeds", "0-70000"), "'0-70000' are more than 65536 seeds"),
        (("--count", 100_000), "100000 pictures are too many for one sheet; -o DIR/ writes a file"),
        (("--report", "r.jsonl"), "--report is for models that take pictures"),
        (("--recursive",), "--recursive is for models that take pictures"),
        (("--name", "{stem}"), "--name is for models that take pictures"),
    ],
)
def test_requests_that_make_no_sense(options, message):
    assert message in refused(2, "generate", model(), "-o", "x.png", *options)
    assert not Path("x.png").exists()


def test_other_models():
    save_model("c.safetensors", trained())
    line = refused(2, "generate", "c.safetensors", "-o", "x.png")
    assert "a model that tells classes; a generator is needed here" in line
    line = refused(2, "predict", model(), "x.png")
    assert "a model that makes pictures; a classifier or one that segments is needed" in line
    Path("broken.safetensors").write_bytes(b"no model")
    assert "broken" in refused(4, "generate", "broken.safetensors", "-o", "x.png")


def test_more_is_said():
    result = done("generate", model(), "-v", "-o", "x.png")
    assert "cnntool: model: makes pictures 1×6×8 of 4 random numbers and one of 3 classes" in (
        result.stderr
    )


# --- pictures of pictures


def test_pictures_in_a_folder():
    path = str(saved(Path(), painter(), "p.safetensors"))
    Path("in").mkdir()
    for n in range(3):
        Image.fromarray(np.full((5, 6), 80 * n, np.uint8)).save(f"in/{n}.png")
    Path("in/bad.png").write_bytes(b"no picture")
    result = invoke("generate", path, "in", "-o", "out/")
    assert result.status == 1
    assert result.lines == [f"out/{n}.superres.png" for n in range(3)]
    assert "cnntool: 3 done, 1 failed, 0 skipped" in result.stderr
    assert pixels("out/1.superres.png").shape == (10, 12)


def test_a_picture_through_a_pipe():
    path = str(saved(Path(), painter(), "p.safetensors"))
    Image.fromarray(np.full((4, 4), 80, np.uint8)).save("a.png")
    result = done("generate", path, "-", "-o", "-", stdin=Path("a.png").read_bytes())
    assert result.stdout.startswith(b"\x89PNG")


def test_only_what_is_for_pictures():
    path = str(saved(Path(), painter(), "p.safetensors"))
    for option in (("--class", "a"), ("--count", 3), ("--interpolate",), ("--columns", 2)):
        line = refused(2, "generate", path, "a.png", *option)
        assert f"{option[0]} is for models that make pictures of numbers" in line
    assert "no input" in refused(2, "generate", path)


def test_the_format_of_the_input_is_kept():
    path = str(saved(Path(), painter("colorize", "", 3), "p.safetensors"))
    Image.fromarray(np.full((8, 8), 80, np.uint8)).save("a.jpg")
    assert done("generate", path, "a.jpg").lines == ["a.colorize.jpg"]
    Image.fromarray(np.full((8, 8), 30_000, np.uint16)).save("b.png")
    assert done("generate", path, "b.png").lines == ["b.colorize.png"]
    assert pixels("b.colorize.png").dtype == np.uint8
    assert sorted(os.listdir()) == [
        "a.colorize.jpg", "a.jpg", "b.colorize.png", "b.png", "p.safetensors"
    ]  # fmt: skip
