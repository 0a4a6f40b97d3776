"""Where results go, what they are called, and what is never overwritten."""

import json
import os

import numpy as np
import pytest
from cli_runner import done, invoke, refused
from pillow_files import array, load, npy, png, save

from cnntool.images.formats import WRITABLE


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


# --- where results go ---


def test_beside_the_input(folder, photo):
    (folder / "sub").mkdir()
    save("sub/b.png", photo)
    result = done("convolve", "sub/b.png", "a.png", "-k", "box", "-k", "sharpen")
    wanted = ["sub/b.box.png", "sub/b.sharpen.png", "a.box.png", "a.sharpen.png"]
    assert result.lines == wanted
    assert all(map(os.path.isfile, wanted))
    assert result.errors[-1] == "cnntool: 2 done, 0 failed, 0 skipped"


def test_into_a_file(folder, photo):
    assert done("convolve", "a.png", "-k", "box", "-o", "x.tif").lines == ["x.tif"]
    with open("x.tif", "rb") as file:
        assert file.read(2) == b"II"


def test_into_a_folder(folder, photo):
    assert done("convolve", "a.png", "-k", "box", "-o", "out/").lines == ["out/a.box.png"]
    # one that exists needs no slash
    assert done("edges", "a.png", "-o", "out").lines == ["out/a.edges.png"]


def test_a_tree_stays_a_tree(folder, photo):
    (folder / "in/deep").mkdir(parents=True)
    for name in ("in/2.png", "in/10.png", "in/deep/x.png"):
        save(name, photo)
    (folder / "in/notes.txt").write_text("no picture")
    (folder / "in/.hidden.png").write_bytes(b"")
    result = done("edges", "in", "-o", "out")
    assert result.lines == ["out/2.edges.png", "out/10.edges.png"]
    result = done("edges", "in", "-r", "-o", "in/out")
    assert result.lines == [
        "in/out/2.edges.png", "in/out/10.edges.png", "in/out/deep/x.edges.png"
    ]  # fmt: skip
    assert result.errors[-1] == "cnntool: 3 done, 0 failed, 1 skipped"
    # the output folder is never read
    assert len(done("edges", "in", "-r", "-o", "in/out", "-f").lines) == 3


def test_a_folder_needs_o(folder, photo):
    (folder / "in").mkdir()
    save("in/a.png", photo)
    message = refused(2, "convolve", "in", "-k", "box")
    assert "'in' is a folder; add -o DIR/" in message
    assert files(folder) == ["a.png", "in/a.png"]


def test_one_file_for_several_inputs(folder, photo):
    save("b.png", photo)
    message = refused(2, "convolve", "a.png", "b.png", "-k", "box", "-o", "out")
    assert message == "cnntool: 'out' is one file for 2 inputs; write 'out/' for a folder"
    assert files(folder) == ["a.png", "b.png"]


def test_lists_of_names(folder, photo):
    (folder / "in").mkdir()
    for name in ("in/a b.png", "in/c\nd.png"):
        save(name, photo)
    result = done("edges", "--files-from", "-", "-0", "-o", "out/",
                  stdin=b"in/a b.png\0in/c\nd.png\0")  # fmt: skip
    assert result.stdout == b"out/in/a b.edges.png\0out/in/c\nd.edges.png\0"
    (folder / "names").write_text("in/a b.png\n")
    result = done("edges", "--files-from", "names", "--root", "in", "-o", "flat")
    assert result.lines == ["flat/a b.edges.png"]
    (folder / "names").write_text("../elsewhere/x.png\n")
    message = refused(2, "edges", "--files-from", "names", "-o", "flat/")
    assert "is not below the folder" in message


@pytest.mark.parametrize(
    "template, name",
    [
        ("{stem}-{what}{ext}", "a-box.png"),
        ("{what}/{stem}", "box/a.png"),
        ("{name}.{what}", "a.png.box.png"),
        ("{parent}_{stem}", None),
        ("fixed.jpg", "fixed.jpg"),
    ],
)
def test_templates(folder, photo, template, name):
    result = done("convolve", "a.png", "-k", "box", "--name", template, "-o", "out/")
    assert result.lines == [f"out/{name or folder.name + '_a.png'}"]
    assert load(result.lines[0]).shape == photo.shape


@pytest.mark.parametrize(
    "template, words",
    [
        ("{nothing}", "unknown field {nothing}; there are {stem} {what} {ext} {name} {parent}"),
        ("{stem", "unpaired brace"),
        ("../{stem}", "leads out of the output folder"),
        ("{stem:>9}", "takes no format"),
    ],
)
def test_senseless_templates(folder, photo, template, words):
    assert words in refused(2, "edges", "a.png", "--name", template)


FORMATS = {
    "png": b"\x89PNG",
    "jpeg": b"\xff\xd8\xff",
    "bmp": b"BM",
    "tiff": b"II*\0",
    "webp": b"RIFF",
    "pnm": b"P6",
    "pfm": b"PF\n",
    "npy": b"\x93NUMPY",
}


@pytest.mark.parametrize("name", WRITABLE)
def test_format(folder, photo, name):
    for action in (["convolve", "-", "-k", "box"], ["edges", "-"], ["pool", "-"]):
        payload = done(*action, "--format", name, stdin=png(photo)).stdout
        assert payload.startswith(FORMATS[name])
    result = done("convolve", "a.png", "-k", "box", "--format", name)
    suffix = {"jpeg": "jpg", "tiff": "tif"}.get(name, name)
    assert result.lines == [f"a.box.{suffix}"]


def test_standard_output_carries_only_the_bytes(folder, photo):
    result = done("convolve", "a.png", "-k", "box", "-o", "-")
    assert result.stderr == "" and load(result.stdout).shape == photo.shape
    assert done("convolve", "-", "-k", "box", stdin=png(photo)).stdout == result.stdout
    assert array(done("edges", "-", stdin=npy(photo)).stdout).dtype == np.float32
    result = done("edges", "-", "-o", "-", "--format", "png", stdin=npy(photo))
    assert result.stdout.startswith(b"\x89PNG")


def test_standard_output_takes_one_picture(folder, photo):
    save("b.png", photo)
    message = refused(2, "edges", "a.png", "b.png", "-o", "-")
    assert "-o - takes exactly one input" in message
    message = refused(2, "convolve", "a.png", "-k", "box", "-k", "outline", "-o", "-")
    assert "standard output takes one result, there would be 2" in message


def test_a_terminal_gets_no_picture(folder, photo):
    message = refused(2, "edges", "a.png", "-o", "-", terminal="stdout")
    assert "a picture is not written to a terminal" in message
    assert done("edges", "a.png", terminal="stdout").lines == ["a.edges.png"]


def test_unknown_suffix(folder, photo):
    message = refused(2, "edges", "a.png", "-o", "x.gif")
    assert "'x.gif': pictures cannot be written with this suffix; use .png, .jpg" in message
    assert "'x.xyz'" in refused(2, "edges", "a.png", "-o", "x.xyz")
    assert files(folder) == ["a.png"]
    assert done("edges", "a.png", "-o", "x.xyz", "--format", "png").lines == ["x.xyz"]
    # none at all: the input's format
    assert done("edges", "a.png", "-o", "plain").lines == ["plain"]
    assert (folder / "plain").read_bytes().startswith(b"\x89PNG")


def test_gif_is_read_and_png_written(folder, photo):
    save("b.gif", photo[..., 0])
    assert done("edges", "b.gif").lines == ["b.edges.png"]


def test_nothing_is_overwritten_unasked(folder, photo):
    (folder / "a.sobel-y.png").write_text("precious")
    command = ["convolve", "a.png", "-k", "sobel-x", "-k", "sobel-y"]
    message = refused(2, *command)
    assert message == (
        "cnntool: 'a.sobel-y.png' exists; -f (--force) overwrites, --skip-existing keeps"
    )
    # nothing was written before that was found out
    assert files(folder) == ["a.png", "a.sobel-y.png"]
    assert done(*command, "--force", "-q").lines == ["a.sobel-x.png", "a.sobel-y.png"]
    assert load("a.sobel-y.png").shape == photo.shape


def test_skip_existing(folder, photo):
    for name in "abc":
        save(f"{name}.png", photo)
    (folder / "b.edges.png").write_text("precious")
    result = done("edges", "a.png", "b.png", "c.png", "--skip-existing")
    assert result.lines == ["a.edges.png", "c.edges.png"]
    assert result.errors[-1] == "cnntool: 2 done, 0 failed, 1 skipped"
    assert (folder / "b.edges.png").read_text() == "precious"
    # of several results only what is missing is made
    result = done("convolve", "a.png", "-k", "box", "-q")
    result = done("convolve", "a.png", "-k", "box", "-k", "outline", "--skip-existing", "-q")
    assert result.lines == ["a.outline.png"]
    assert "give one of them" in refused(2, "edges", "a.png", "-f", "--skip-existing")


def test_collisions_are_found_first(folder, photo):
    save("a.jpg", photo)
    message = refused(2, "edges", "a.png", "a.jpg", "--format", "png", "-o", "out/")
    assert "'a.png' and 'a.jpg' would both become 'out/a.edges.png'" in message
    assert files(folder) == ["a.jpg", "a.png"]
    message = refused(2, "edges", "a.png", "-o", "a.png", "-f")
    assert "'a.png' is an input and is never overwritten" in message
    message = refused(2, "convolve", "a.png", "-k", "box", "-k", "outline", "-o", "b.png")
    assert "several results of 'a.png' would be written to 'b.png'" in message
    assert "is named twice" in refused(2, "edges", "a.png", "./a.png", "-o", "out/")


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_quality(samples, name):
    sizes = [
        len(done("convolve", samples / "chelsea.jpg", "-k", "identity", "-o", "-",
                 "--format", name, "--quality", quality).stdout)
        for quality in (10, 50, 90, 98)
    ]  # fmt: skip
    assert sizes == sorted(sizes) and sizes[-1] > 3 * sizes[0]
    default = done("convolve", samples / "chelsea.jpg", "-k", "identity", "-o", "-",
                   "--format", name).stdout  # fmt: skip
    assert len(default) == sizes[2]


# --- bad inputs among good ones ---


def test_a_bad_file_costs_one_line(folder, photo):
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    save("c.png", photo)
    result = invoke("edges", "a.png", "bad.png", "c.png", "--report", "r.jsonl")
    assert result.status == 1
    assert result.lines == ["a.edges.png", "c.edges.png"]
    found = [line for line in result.errors if "bad.png" in line]
    assert len(found) == 1 and found[0].startswith("cnntool: 'bad.png': truncated PNG")
    assert result.errors[-1] == "cnntool: 2 done, 1 failed, 0 skipped"
    rows = [json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()]
    assert [(row["path"], row["status"]) for row in rows] == [
        ("a.png", "done"), ("bad.png", "failed"), ("c.png", "done")
    ]  # fmt: skip
    good = [f"{number}.png" for number in range(12)]
    for name in good:
        save(name, photo)
    result = invoke("edges", "bad.png", *good, "--on-error", "stop", "-o", "out/", "-j", "1")
    # those that were begun already may come to their end
    assert result.status == 1 and len(result.lines) < 6


def test_jobs_keep_the_order(folder, photo):
    names = [f"{number}.png" for number in range(25)]
    for name in names:
        save(name, photo)
    alone = done("edges", *names, "-o", "one/", "-j", "1", "--no-progress")
    many = done("edges", *names, "-o", "many/", "-j", "4", "--no-progress")
    assert many.lines == [f"many/{number}.edges.png" for number in range(25)]
    for one, other in zip(alone.lines, many.lines, strict=True):
        assert (folder / one).read_bytes() == (folder / other).read_bytes()


def test_progress_is_plain_where_there_is_no_terminal(folder, photo, monkeypatch):
    monkeypatch.setattr("cnntool.cli.progress.QUIET_SECONDS", 0)
    names = [f"{number}.png" for number in range(20)]
    for name in names:
        save(name, photo[:3, :3])
    result = done("edges", *names, "-o", "out/")
    assert "cnntool: 50 % (10 of 20)" in result.errors
    result = done("edges", *names, "-o", "out/", "-f", "--no-progress")
    assert not any("of 20" in line for line in result.errors)
    assert done("edges", *names, "-o", "out/", "-f", "-q").stderr == ""
