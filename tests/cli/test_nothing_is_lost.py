"""Files that are read are never replaced, and no file is written twice in a run."""

import json

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from pillow_files import load, save

from cnntool.filters.kernel_text import what_names


@pytest.fixture
def pictures(folder, rng):
    for name, shape in (("a.png", (30, 33, 3)), ("b.png", (31, 32, 3))):
        save(name, rng.integers(0, 256, shape).astype(np.uint8))
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ["convolve", "a.png", "-k", "box:3", "-o", "x.png", "--report", "x.png"],
        ["convolve", "a.png", "b.png", "-k", "box:3", "-o", "d/", "--report", "d/b.box-3.png"],
        ["hog", "a.png", "-o", "x.csv", "--report", "x.csv"],
        ["hog", "a.png", "-o", "x.npy", "--report", "x.npy"],
        ["hog", "a.png", "-o", "x.npy", "--visualize", "x.npy"],
        ["pool", "a.png", "--indices", "x.npz", "--report", "x.npz", "-o", "y.png"],
        ["check", "a.png", "-o", "x.csv", "--report", "x.csv"],
    ],
)
@pytest.mark.parametrize("force", [[], ["-f"]])
def test_one_file_for_two_results_is_refused_before_the_first(pictures, command, force):
    before = sorted(path.name for path in pictures.rglob("*"))
    assert "choose another name for one of them" in refused(2, *command, *force)
    assert sorted(path.name for path in pictures.rglob("*") if path.is_file()) == before


def test_what_is_read_besides_pictures_is_never_replaced(pictures):
    done("pool", "a.png", "--indices", "i.npz", "-o", "p.png")
    (pictures / "k.txt").write_text("0 1 0\n1 2 1\n0 1 0\n")
    (pictures / "list.txt").write_text("a.png\nb.png\n")
    (pictures / "c.toml").write_text('[convolve]\nborder = "edge"\n')
    kept = {
        name: (pictures / name).read_bytes() for name in ("i.npz", "k.txt", "list.txt", "c.toml")
    }
    png = ["--format", "png", "-f"]
    for command in (
        ["unpool", "p.png", "--indices", "i.npz", "-o", "i.npz", *png],
        ["convolve", "a.png", "-k", "@k.txt", "-o", "k.txt", *png],
        ["convolve", "a.png", "-k", "box:3", "--config", "c.toml", "-o", "c.toml", *png],
        [
            "hog",
            "--files-from",
            "list.txt",
            "--size",
            "24x24",
            "-o",
            "list.txt",
            "--as",
            "csv",
            "-f",
        ],
        ["convolve", "a.png", "-k", "box:3", "--report", "a.png", "-f"],
    ):
        assert "is an input and is never overwritten" in refused(2, *command)
    assert kept == {name: (pictures / name).read_bytes() for name in kept}


def test_a_kernel_named_twice_never_takes_the_name_of_another():
    names = what_names(["box:3", "box:3", "box:32", "gaussian:1", "gaussian:1", "gaussian:12"])
    assert names == ["box-3", "box-3_2", "box-32", "gaussian-1", "gaussian-1_2", "gaussian-12"]


@pytest.mark.parametrize(
    "command",
    [
        ["convolve", "one.png", "-k", "box:3", "--padding", "12000", "-o", "x.npy"],
        ["pool", "one.png", "--kind", "adaptive-avg", "--size", "16000,16000", "-o", "x.png"],
        ["pool", "one.png", "--kind", "adaptive-max", "--size", "2,70000", "-o", "x.png"],
    ],
)
def test_results_keep_to_the_limits_too(folder, command):
    save("one.png", np.full((1, 1), 7, np.uint8))
    result = invoke(*command, "--limits", "strict")
    assert result.status == 1
    assert "--limits off" in result.stderr
    assert not (folder / command[-1]).exists()


def test_indices_that_ask_for_too_large_a_picture(folder):
    from cnntool.jobs.indices import pack_indices

    save("one.png", np.full((1, 1), 7, np.uint8))
    (folder / "i.npz").write_bytes(pack_indices(np.zeros((1, 1), np.int64), (32768, 32767)))
    result = invoke("unpool", "one.png", "--indices", "i.npz", "-o", "x.png", "--limits", "strict")
    assert result.status == 1 and "a result of 32767 x 32768 pixels" in result.stderr


@pytest.mark.parametrize("highest", [199, 399, 40_000])
def test_pyramids_of_dark_16_bit_pictures(folder, rng, highest):
    save("deep.png", rng.integers(0, highest + 1, (23, 18)).astype(np.uint16))
    done("pyramid", "deep.png", "--kind", "laplacian", "--levels", "3", "-o", "l/")
    levels = sorted(str(path) for path in (folder / "l").iterdir())
    done("pyramid", "--collapse", *levels, "--depth", "16", "-o", "back.png")
    np.testing.assert_array_equal(load("back.png"), load("deep.png"))
    result = invoke("pyramid", "--collapse", *levels, "-o", "plain.png")
    assert ("use --depth 16" in result.stderr) == (highest == 399)


def test_collapse_takes_levels_as_they_are(folder):
    for option in (["--gray"], ["--levels", "9"], ["--kind", "gaussian"]):
        message = refused(2, "pyramid", "a.npy", "--collapse", "-o", "x.png", *option)
        assert f"--collapse takes levels as they are; leave out {option[0]}" in message


def test_names_of_tables_end_as_asked_for(pictures):
    for name in ("x.npy", "x.csv"):
        result = invoke(
            "hog", "--files-from", "-", "-0", "--size", "24x24", "-o", name, "-q",
            stdin=b"a.png\0b.png\0",
        )  # fmt: skip
        assert result.stdout == name.encode() + b"\0"
    assert np.load("x.npy").shape[0] == 2


def test_the_report_of_one_result_of_many_inputs(pictures):
    done("split", "a.png", "-o", "s/")
    parts = [f"s/a.{name}.png" for name in "RGB"]
    done("merge", *parts, "-o", "m.png", "--report", "m.jsonl")
    lines = [json.loads(line) for line in (pictures / "m.jsonl").read_text().splitlines()]
    assert [line["path"] for line in lines] == parts
    assert {line["status"] for line in lines} == {"done"}
    assert all(line["outputs"] == ["m.png"] for line in lines)
    (pictures / "bad.png").write_bytes(b"no picture")
    result = invoke("merge", parts[0], "bad.png", parts[2], "-o", "n.png", "--report", "n.jsonl")
    assert result.status == 1
    lines = [json.loads(line) for line in (pictures / "n.jsonl").read_text().splitlines()]
    assert len(lines) == 3 and all("'bad.png'" in line["error"] for line in lines)


def test_numbers_of_several_pictures_say_whose_they_are(pictures):
    result = done("convolve", "a.png", "b.png", "-k", "box:1", "--trace", "0,0", "--gray")
    assert [line for line in result.lines if line.startswith("#")] == ["# a.png", "# b.png"]
    alone = done("convolve", "a.png", "-k", "box:1", "--trace", "0,0", "--gray")
    assert not alone.text.startswith("#")


def test_drawings_beside_rows_are_told_on_stderr(pictures):
    result = done("hog", "a.png", "--visualize", "h.png")
    assert "cnntool: wrote 'h.png'" in result.stderr


def test_the_report_may_lie_among_the_results(pictures):
    done("convolve", "a.png", "b.png", "-k", "box:3", "-o", "new/", "--report", "new/report.jsonl")
    assert len((pictures / "new/report.jsonl").read_text().splitlines()) == 2
