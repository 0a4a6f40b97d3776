"""cnntool augment: copies, their names and seeds, masks, the sheet and the list."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from PIL import Image
from pillow_files import array, load, npy, png, save

from cnntool.augment import Augmentation
from cnntool.folder.job import Item
from cnntool.jobs.augment import file_seed

OPS = "hflip p=0.5 | rotate 15 | brightness 0.2"


def records(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def again(record, pixels, **options):
    """What the library makes of the input of a line of the list: 8-bit samples."""
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    y = Augmentation.parse(record["ops"]).apply(
        planes[..., None], seed=record["seed"], step=0, offset=record["copy"], **options
    )[..., 0]
    return y[0] if pixels.ndim == 2 else y.transpose(1, 2, 0)


@pytest.fixture
def tree(folder, rng):
    """Three pictures in a tree, two of one name."""
    for name in ("cats/1.png", "cats/2.png", "dogs/1.png"):
        os.makedirs(os.path.dirname(f"in/{name}"), exist_ok=True)
        save(f"in/{name}", rng.integers(0, 256, (12, 15, 3), dtype=np.uint8))
    return folder


# --------------------------------------------------------------------------------- names and copies
def test_a_copy_lies_beside_its_picture(folder, photo):
    result = done("augment", "a.png", "--ops", OPS)
    assert result.lines == ["a.a0.png"] and result.stderr == ""
    found = load("a.a0.png")
    assert found.shape == photo.shape and found.dtype == np.uint8
    assert (found != photo).any()
    np.testing.assert_array_equal(load("a.png"), photo)


def test_copies_are_numbered(folder, photo):
    result = done("augment", "a.png", "--ops", OPS, "--copies", 3, "-o", "out/")
    assert result.lines == ["out/a.a0.png", "out/a.a1.png", "out/a.a2.png"]
    one, two, three = map(load, result.lines)
    assert (one != two).any() and (two != three).any() and (one != three).any()
    more = done("augment", "a.png", "--ops", OPS, "--copies", 5, "-o", "more/")
    for name in ("a.a0.png", "a.a2.png"):  # a longer series begins as the shorter one
        assert (folder / "out" / name).read_bytes() == (folder / "more" / name).read_bytes()
    assert len(more.lines) == 5


def test_template_and_format(folder, photo):
    result = done(
        "augment", "a.png", "--ops", OPS, "--copies", 2, "--name", "{what}/{stem}", "-o", "out/",
        "--format", "webp",
    )  # fmt: skip
    assert result.lines == ["out/a0/a.webp", "out/a1/a.webp"]


def test_one_file_and_standard_streams(folder, photo):
    done("augment", "a.png", "--ops", OPS, "-o", "b.png")
    piped = done("augment", "a.png", "--ops", OPS, "-o", "-").stdout
    np.testing.assert_array_equal(load(piped), load("b.png"))
    from_stdin = done("augment", "-", "--ops", "rotate 0", stdin=png(photo)).stdout
    np.testing.assert_array_equal(load(from_stdin), photo)
    message = refused(2, "augment", "a.png", "--ops", OPS, "-o", "c.png", "--copies", 2)
    assert "several results of 'a.png' would be written to 'c.png'" in message
    message = refused(2, "augment", "a.png", "--ops", OPS, "-o", "-", "--copies", 2)
    assert "standard output takes one result, there would be 2" in message


def test_what_changes_nothing_keeps_every_sample(samples, folder, rng):
    ops = "rotate 0 | shift 0 | scale 0 | contrast 0 | hue 0 | blur 0 | noise 0"
    pixels = rng.integers(0, 256, (9, 12, 4), dtype=np.uint8)
    pixels[..., 3] = rng.integers(0, 2, (9, 12)) * 255
    pixels[pixels[..., 3] == 0] = 0
    save("alpha.png", pixels)
    for path in (samples / "camera.png", samples / "gradient-16bit.png", "alpha.png"):
        done("augment", path, "--ops", ops, "-o", "same.png", "-f")
        found = load("same.png")
        assert found.dtype == load(path).dtype
        np.testing.assert_array_equal(found, load(path))


# -------------------------------------------------------------------------------------------- seeds
def test_order_jobs_and_ways_to_name_do_not_matter(tree):
    done("augment", "in", "-r", "--ops", OPS, "--copies", 2, "-o", "one/", "-j", 1)
    done("augment", "in", "-r", "--ops", OPS, "--copies", 2, "-o", "two/", "-j", 2)
    (tree / "list").write_text("in/dogs/1.png\nin/cats/2.png\nin/cats/1.png\n")
    done("augment", "--files-from", "list", "--root", "in", "--ops", OPS, "--copies", 2,
         "-o", "three/")  # fmt: skip
    os.rename("in", "elsewhere")
    done("augment", "elsewhere", "-r", "--ops", OPS, "--copies", 2, "-o", "four/")
    names = [
        f"{d}/{n}.a{c}.png" for d, n in (("cats", 1), ("cats", 2), ("dogs", 1)) for c in (0, 1)
    ]
    for name in names:
        data = (tree / "one" / name).read_bytes()
        assert all((tree / other / name).read_bytes() == data for other in ("two", "three", "four"))


def test_every_path_and_seed_draws_anew(tree):
    done("augment", "in", "-r", "--ops", OPS, "--copies", 2, "-o", "a/", "--manifest", "a.jsonl")
    done("augment", "in", "-r", "--ops", OPS, "--copies", 2, "-o", "b/", "--manifest", "b.jsonl",
         "--seed", 1)  # fmt: skip
    angles = [row["drawn"][1]["angle"] for row in records("a.jsonl") + records("b.jsonl")]
    assert len(set(angles)) == 12
    assert all(-15 <= angle <= 15 for angle in angles)


def test_seed_of_a_file():
    assert file_seed(0, Item("x/a/b.png", "a")) == file_seed(0, Item("y/z/a/b.png", "a"))
    assert file_seed(0, Item("a/b.png", "a")) != file_seed(0, Item("c/b.png", "c"))
    assert file_seed(0, Item("b.png")) != file_seed(1, Item("b.png"))
    assert file_seed(3, Item("caf\udce9.png")) < 1 << 48


# --------------------------------------------------------------------------------------------- list
def test_list_tells_every_file(tree):
    result = done(
        "augment", "in", "-r", "--ops", f"{OPS} | cutout 3px p=0.5", "--copies", 3, "-o", "out/",
        "--manifest", "out/drawn.jsonl",
    )  # fmt: skip
    rows = records("out/drawn.jsonl")
    assert [row["output"] for row in rows] == result.lines
    assert [row["copy"] for row in rows] == [0, 1, 2] * 3
    assert {row["source"] for row in rows} == {"in/cats/1.png", "in/cats/2.png", "in/dogs/1.png"}
    for row in rows:
        assert row["ops"] == f"{OPS} | cutout 3px p=0.5"
        assert [step["word"] for step in row["drawn"]] == [
            "hflip",
            "rotate",
            "brightness",
            "cutout",
        ]
        assert ("holes" in row["drawn"][3]) == row["drawn"][3]["applied"]
        pixels = load(row["source"])
        np.testing.assert_array_equal(load(row["output"]), np.rint(again(row, pixels)))


def test_list_holds_what_succeeded(tree):
    (tree / "in" / "cats" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    result = invoke("augment", "in", "-r", "--ops", OPS, "-o", "out/", "--manifest", "m.jsonl",
                    "--report", "r.jsonl", "--preview", "p.png")  # fmt: skip
    assert result.status == 1
    assert [row["source"] for row in records("m.jsonl")] == ["in/cats/2.png", "in/dogs/1.png"]
    assert [row["status"] for row in records("r.jsonl")] == ["failed", "done", "done"]
    assert result.errors[-1] == "cnntool: 2 done, 1 failed, 0 skipped"
    assert result.lines == ["out/cats/2.a0.png", "out/dogs/1.a0.png", "p.png"]


def test_list_is_whole_where_nobody_reads_on(tree):
    command = [sys.executable, "-m", "cnntool", "augment", "in", "-r", "--ops", OPS, "-o", "out/",
               "--manifest", "m.jsonl", "-j", "1"]  # fmt: skip
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert ended.returncode == -signal.SIGPIPE and ended.stderr == b""
    assert all(os.path.exists(row["output"]) for row in records("m.jsonl"))
    assert sorted(os.listdir()) == ["in", "m.jsonl", "out"]


def test_skip_existing_makes_what_is_missing(tree):
    everything = done("augment", "in", "-r", "--ops", OPS, "--copies", 2, "-o", "out/").lines
    before = {name: (tree / name).read_bytes() for name in everything}
    os.remove("out/cats/2.a1.png")
    result = done("augment", "in", "-r", "--ops", OPS, "--copies", 2, "-o", "out/",
                  "--skip-existing", "--manifest", "m.jsonl")  # fmt: skip
    assert result.lines == ["out/cats/2.a1.png"]
    assert [row["output"] for row in records("m.jsonl")] == ["out/cats/2.a1.png"]
    assert result.errors == ["cnntool: 1 done, 0 failed, 2 skipped"]
    assert before == {name: (tree / name).read_bytes() for name in everything}
    message = refused(2, "augment", "in", "-r", "--ops", OPS, "-o", "out/", "--skip-existing",
                      "--manifest", "m.jsonl")  # fmt: skip
    assert "'m.jsonl' exists" in message


# -------------------------------------------------------------------------------------------- masks
@pytest.fixture
def pairs(folder, rng):
    """Two pictures with masks of four classes, one with a palette."""
    for part in ("images", "masks"):
        os.makedirs(f"data/{part}")
    for name in "ab":
        labels = np.kron(rng.integers(0, 4, (3, 4), dtype=np.uint8), np.ones((5, 4), np.uint8))
        # in the picture every class has its grey, so that both can be compared
        save(f"data/images/{name}.png", labels * 60)
        image = Image.fromarray(labels)
        if name == "b":
            image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
        image.save(f"data/masks/{name}.png")
    return folder


MOVES = "rotate 30 fill=255 interpolation=nearest | shift 0.2 | hflip"


def test_masks_move_with_their_pictures(pairs):
    result = done("augment", "data/images", "--masks", "data/masks", "--ops", MOVES, "--copies", 2,
                  "-o", "more/images/", "--manifest", "m.jsonl")  # fmt: skip
    assert result.lines == [
        f"more/{part}/{name}.a{copy}.png"
        for name in "ab" for copy in (0, 1) for part in ("images", "masks")
    ]  # fmt: skip
    for row in records("m.jsonl"):
        picture, mask = load(row["output"]), load(row["mask"])
        np.testing.assert_array_equal(picture, np.where(mask == 255, 255, mask * 60))
        assert (mask == 255).any()
    with Image.open("more/masks/b.a0.png") as image:
        assert image.mode == "P"
        assert image.getpalette()[:12] == [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255]


def test_where_masks_go(pairs):
    args = ("augment", "data/images/a.png", "--masks", "data/masks", "--ops", MOVES)
    assert done(*args).lines == ["data/images/a.a0.png", "data/images/a.a0.mask.png"]
    assert done(*args, "-o", "x.png").lines == ["x.png", "x.mask.png"]
    assert done(*args, "-o", "out/").lines == ["out/a.a0.png", "out/masks/a.a0.png"]
    made = done(*args, "-o", "jpg/", "--format", "jpeg").lines
    assert made == ["jpg/a.a0.jpg", "jpg/masks/a.a0.png"]
    made = done(*args, "-o", "named/", "--name", "{stem}-{what}.bmp").lines
    assert made == ["named/a-a0.bmp", "named/masks/a-a0.png"]
    message = refused(2, *args, "-o", "-")
    assert "standard output has no room for masks; use -o DIR/ with --masks" in message
    message = refused(2, "augment", "data/images", "--masks", "data/masks", "--ops", MOVES,
                      "-o", "data/")  # fmt: skip
    assert "masks are read from 'data/masks' and would be written there too" in message


def test_only_moves_touch_masks(pairs):
    done("augment", "data/images", "--masks", "data/masks", "--ops",
         "brightness 0.5 | blur 2 | noise 50 | cutout 0.5", "-o", "out/")  # fmt: skip
    for name in "ab":
        np.testing.assert_array_equal(
            load(f"out/masks/{name}.a0.png"), load(f"data/masks/{name}.png")
        )


def test_masks_of_black_and_white(folder, rng):
    os.mkdir("masks")
    pixels = np.zeros((10, 12), np.uint8)
    pixels[2:8, 3:9] = 255
    save("a.png", pixels)
    save("masks/a.png", pixels)
    args = ("augment", "a.png", "--masks", "masks", "--ops", "rotate 30:30", "-o", "out/")
    result = done(*args)
    assert "the mask holds 0 and 255 alone, and 255 also marks what lies beyond" in result.stderr
    assert load("out/masks/a.a0.png")[0, 0] == 255
    result = done(*args, "-f", "--mask-fill", 0)
    assert result.stderr == "" and load("out/masks/a.a0.png")[0, 0] == 0


def test_masks_that_are_none(pairs, rng):
    args = ("augment", "data/images", "--masks", "data/masks", "--ops", MOVES, "-o", "out/")
    os.remove("data/masks/a.png")
    result = invoke(*args)
    assert result.status == 1
    assert (
        "'data/images/a.png': no mask 'data/masks/a.png'; masks have the names of" in result.stderr
    )
    save("data/masks/a.png", np.zeros((3, 4), np.uint8))
    result = invoke(*args, "-f")
    assert "its mask 'data/masks/a.png' has 3x4 pixels, the picture 15x16" in result.stderr
    save("data/masks/a.png", rng.integers(0, 256, (15, 16, 3), dtype=np.uint8))
    result = invoke(*args, "-f")
    assert "its mask 'data/masks/a.png': a mask in colours" in result.stderr
    (pairs / "data/masks/a.png").write_bytes(b"nothing")
    result = invoke(*args, "-f")
    assert "its mask 'data/masks/a.png': not a picture" in result.stderr
    os.remove("data/masks/a.png")
    Image.fromarray(np.zeros((15, 16), np.uint8)).save("data/masks/a.TIF")
    assert invoke(*args, "-f").status == 0
    message = refused(2, "augment", "data/images", "--masks", "nowhere", "--ops", MOVES, "-o", "o/")
    assert "--masks 'nowhere': no such folder" in message


# -------------------------------------------------------------------------------------------- sheet
def test_sheet_of_inputs_beside_copies(tree):
    result = done("augment", "in", "-r", "--ops", OPS, "-o", "out/", "--preview", "sheet.png")
    assert result.lines[-1] == "sheet.png" and len(result.lines) == 4
    sheet = load("sheet.png")
    # three rows of an input and five copies, small pictures enlarged by whole factors
    width, height = 15 * 9, 12 * 9
    assert sheet.shape[1] == 6 * width + 7 * 8
    first = load("in/cats/1.png").repeat(9, axis=0).repeat(9, axis=1)
    np.testing.assert_array_equal(sheet[8 : 8 + height, 8 : 8 + width], first)
    copy = load("out/cats/1.a0.png").repeat(9, axis=0).repeat(9, axis=1)
    np.testing.assert_array_equal(sheet[8 : 8 + height, 16 + width : 16 + 2 * width], copy)


def test_sheet_alone(tree):
    result = done("augment", "in", "-r", "--ops", OPS, "--copies", 0, "--preview", "sheet.jpg")
    assert result.lines == ["sheet.jpg"]
    assert sorted(os.listdir()) == ["in", "sheet.jpg"]


def test_sheet_shows_some_of_many_and_large_ones_small(folder, rng):
    os.mkdir("in")
    for number in range(9):
        save(f"in/{number}.png", rng.integers(0, 256, (4, 700), dtype=np.uint8))
    done("augment", "in", "--ops", "noise 9", "--copies", 0, "--preview", "sheet.png")
    assert load("sheet.png").shape[1] == 6 * 320 + 7 * 8
    assert load("sheet.png").shape[0] < 6 * 60


def test_sheet_with_masks_and_opacity(pairs, rng):
    done("augment", "data/images", "--masks", "data/masks", "--ops", MOVES, "--copies", 0,
         "--preview", "sheet.png")  # fmt: skip
    sheet = load("sheet.png")
    assert (sheet.max(axis=2) - sheet.min(axis=2)).max() > 50  # colours of classes on grey pictures
    pixels = rng.integers(0, 256, (9, 12, 4), dtype=np.uint8)
    save("alpha.png", pixels)
    done("augment", "alpha.png", "--ops", MOVES, "--copies", 9, "-o", "out/", "--preview", "s.png")
    assert load("s.png").shape[1] == 8 * 132 + 9 * 8


def test_nothing_to_show(folder):
    (folder / "a.png").write_bytes(b"nothing")
    result = invoke("augment", "a.png", "--ops", OPS, "--copies", 0, "--preview", "sheet.png")
    assert result.status == 1 and not os.path.exists("sheet.png")


# ----------------------------------------------------------------------------------------- pictures
def test_pictures_of_16_bits(samples, folder):
    picture, ops = samples / "gradient-16bit.png", "rotate 10 | contrast 0.5"
    done("augment", picture, "--ops", ops, "-o", "o.png", "--manifest", "m.jsonl")
    found = load("o.png")
    assert found.dtype == np.uint16
    expected = again(records("m.jsonl")[0], load(picture), full_range=65535)
    np.testing.assert_array_equal(found, np.rint(expected))


def test_opacity_moves_and_colours_do_not_bleed(samples, folder):
    done("augment", samples / "square.png", "--ops", "rotate 30:30 | blur 1:1", "-o", "o.png")
    found, before = load("o.png"), load(samples / "square.png")
    colour = before[before[..., 3] == 255][0, :3]
    seen = found[..., 3] > 20
    assert 0 < seen.mean() < 1
    assert np.abs(found[seen][:, :3].astype(int) - colour).max() <= 8


def test_arrays_and_grey(folder, photo, rng):
    values = rng.uniform(0, 255, (6, 7)).astype(np.float32)
    made = array(done("augment", "-", "--ops", "hflip p=1", stdin=npy(values)).stdout)
    np.testing.assert_array_equal(made, values[:, ::-1])
    done("augment", "a.png", "--ops", "vflip p=1", "--gray", "-o", "g.png")
    assert load("g.png").shape == (14, 17)


def test_gpu_gives_what_the_cpu_gives(folder, photo, double_as_gpu):
    ops = f"{OPS} | elastic 0.03 | hue 0.1 | blur 1 | noise 9"
    done("augment", "a.png", "--ops", ops, "-o", "cpu.npy")
    done("augment", "a.png", "--ops", ops, "-o", "gpu.npy", "--device", "gpu")
    np.testing.assert_allclose(np.load("gpu.npy"), np.load("cpu.npy"), atol=0.05)


# ----------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Missing option '--ops'"),
        (["--ops", "rotat 5"], "--ops: unknown word 'rotat' at column 1; did you mean 'rotate'?"),
        (["--ops", ""], "--ops: the text is empty; write changes with | between them"),
        (["--ops", "rotate 500"], "--ops: A of 'rotate' is '500' at column 8; it must be a number"),
        (["--ops", OPS, "--copies", "-1"], "-1 is not in the range 0<=x<=10000"),
        (["--ops", OPS, "--copies", "0"], "--copies 0 writes nothing; add --preview FILE"),
        (["--ops", OPS, "--copies", "0", "--preview", "p.png", "-o", "x/"],
         "--copies 0 writes the --preview alone; leave out -o and --manifest"),
        (["--ops", OPS, "--copies", "0", "--preview", "p.png", "--manifest", "m"],
         "--copies 0 writes the --preview alone"),
        (["--ops", OPS, "--mask-fill", "0"], "--mask-fill goes with --masks"),
        (["--ops", OPS, "--preview", "p.txt"], "--preview 'p.txt': use one of the suffixes .png"),
        (["--ops", OPS, "--preview", "p.npy"], "--preview 'p.npy': use one of the suffixes .png"),
        (["--ops", OPS, "--preview", "a.png"], "'a.png' is an input and is never overwritten"),
        (["--ops", OPS, "--preview", "a.a0.png"], "'a.a0.png' would be a result and the file of "
         "--preview at once"),
        (["--ops", OPS, "--preview", "p.png", "--manifest", "p.png"], "the file of"),
        (["--ops", OPS, "--manifest", ""], "an output has an empty name"),
    ],
)  # fmt: skip
def test_refused_before_anything_is_read(folder, photo, options, message):
    assert message in refused(2, "augment", "a.png", *options)
    assert os.listdir() == ["a.png"]


def test_existing_files_stay(folder, photo):
    for name, options in (
        ("a.a0.png", []),
        ("p.png", ["--preview", "p.png"]),
        ("m.jsonl", ["--manifest", "m.jsonl"]),
    ):
        (folder / name).write_bytes(b"mine")
        assert f"'{name}' exist" in refused(2, "augment", "a.png", "--ops", OPS, *options)
        assert (folder / name).read_bytes() == b"mine"
        done("augment", "a.png", "--ops", OPS, *options, "-f")
        assert (folder / name).read_bytes() != b"mine"
        os.remove("a.a0.png")


def test_folders_need_an_output(tree):
    message = refused(2, "augment", "in", "--ops", OPS)
    assert "'in' is a folder; add -o DIR/ for the results" in message


def test_words_are_completed(folder):
    result = invoke("augment", env={
        "_CNNTOOL_COMPLETE": "bash_complete", "COMP_WORDS": "cnntool augment --ops bri",
        "COMP_CWORD": "3",
    })  # fmt: skip
    assert "brightness" in result.text


def test_help_lists_every_word():
    from cnntool.augment.words import WORDS

    text = done("augment", "--help").text
    for entry in WORDS.values():
        assert entry.example in text and entry.summary in text
