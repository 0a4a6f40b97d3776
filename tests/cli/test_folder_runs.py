"""Many files in one run: which, in what order, where to, and what is told about them."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cli_runner import done, invoke, process, refused
from folder_trees import BELOW, KERNEL, TOP, make_tree, report, save, tree


@pytest.fixture
def folder(tmp_path, monkeypatch, rng):
    """A tree of pictures, with things in it that are no inputs."""
    monkeypatch.chdir(tmp_path)
    make_tree(tmp_path, rng)
    return tmp_path


# --- which inputs, which outputs


def test_a_folder_gives_its_own_files_in_natural_order(folder):
    result = done("convolve", "in", *KERNEL, "-o", "out")
    assert result.lines == TOP
    assert result.errors[-1] == "cnntool: 3 done, 0 failed, 1 skipped"  # notes.txt
    assert sorted(tree("out")) == sorted(os.path.basename(name) for name in TOP)


def test_recursive_keeps_the_tree(folder):
    result = done("convolve", "in", "-r", *KERNEL, "-o", "out")
    assert result.lines == TOP + BELOW
    assert result.errors[-1] == "cnntool: 6 done, 0 failed, 2 skipped"
    assert sorted(tree("out")) == sorted(name.removeprefix("out/") for name in TOP + BELOW)


def test_folders_and_files_together(folder):
    result = done("convolve", "in/B", "in/img2.png", "in/a", *KERNEL, "-o", "out", "-r")
    assert result.lines == [
        "out/y.gaussian-5.png", "out/img2.gaussian-5.png", "out/x.gaussian-5.jpg",
        "out/deep/er.gaussian-5.png",
    ]  # fmt: skip


def test_a_named_file_is_always_tried(folder):
    (folder / "in/raw").write_bytes((folder / "in/img1.png").read_bytes())
    assert done("convolve", "in/raw", *KERNEL).lines == ["in/raw.gaussian-5.png"]
    assert "not a picture" in refused(1, "convolve", "in/notes.txt", *KERNEL)


def test_a_missing_file_fails_alone(folder):
    result = invoke("convolve", "in/img1.png", "none.png", "in/img2.png", *KERNEL, "-o", "out/")
    assert result.status == 1
    assert result.lines == TOP[:2]
    assert result.errors == [
        "cnntool: 'none.png': no such file",
        "cnntool: 2 done, 1 failed, 0 skipped",
    ]


def test_the_only_one_that_fails(folder):
    assert refused(1, "convolve", "none.png", *KERNEL) == "cnntool: 'none.png': no such file"


def test_an_empty_folder_fails(folder):
    (folder / "empty").mkdir()
    message = invoke("convolve", "empty", *KERNEL, "-o", "out/")
    assert message.status == 1
    assert message.errors == [
        "cnntool: 'empty': no input files in this folder",
        "cnntool: 0 done, 1 failed, 0 skipped",
    ]
    (folder / "empty/notes.txt").touch()
    (folder / "empty/more").mkdir()
    message = invoke("convolve", "empty", *KERNEL, "-o", "out/")
    assert message.errors[0].endswith(
        "this folder; 1 with other suffixes; 1 subfolder not entered, -r descends"
    )


def test_results_in_the_input_folder_are_not_read(folder):
    for _ in range(2):
        result = done("convolve", "in", "-r", *KERNEL, "-o", "in/out", "-f")
        assert len(result.lines) == 6
    assert "in/out/out" not in "\n".join(result.lines)


def test_results_beside_the_inputs(folder):
    assert done("convolve", "in/a/x.jpg", "in/B/y.png", *KERNEL).lines == [
        "in/a/x.gaussian-5.jpg", "in/B/y.gaussian-5.png",
    ]  # fmt: skip


def test_refusals_before_anything_is_written(folder):
    before = tree(".")
    assert "'in' is a folder; add -o DIR/" in refused(2, "convolve", "in", *KERNEL)
    two = ("convolve", "in/img1.png", "in/img2.png", *KERNEL)
    assert "write 'out/' for a folder" in refused(2, *two, "-o", "out")
    assert "exactly one input" in refused(2, *two, "-o", "-")
    assert "is the input and the output folder" in refused(2, "convolve", "in", *KERNEL, "-o", "in")
    save(folder / "in/a/img1.png", np.random.default_rng(1))
    before["in/a/img1.png"] = (folder / "in/a/img1.png").read_bytes()
    message = refused(2, "convolve", "in/img1.png", "in/a/img1.png", *KERNEL, "-o", "out/")
    assert "would both become 'out/img1.gaussian-5.png'; --name" in message
    assert "is named twice" in refused(2, *two, "in/img1.png", "-o", "out/")
    assert "no input; name files" in refused(2, "convolve", *KERNEL)
    assert "an input has an empty name" in refused(2, "convolve", "", *KERNEL)
    assert tree(".") == before
    assert not os.path.exists("out")


def test_names_that_meet_in_one_format(folder, rng):
    save(folder / "in/img1.bmp", rng)
    message = refused(2, "convolve", "in", *KERNEL, "-o", "out/", "--format", "png")
    assert "'in/img1.bmp' and 'in/img1.png' would both become 'out/img1.gaussian-5.png'" in message
    assert "--name '{name}.{what}{ext}' may keep them apart" in message
    args = ("convolve", "in", *KERNEL, "-o", "out/", "--format", "png")
    assert len(done(*args, "--name", "{name}.{what}{ext}").lines) == 4


def test_odd_names(folder):
    """Dashes in front, spaces behind, folders called like pictures, devices."""
    data = (folder / "in/img1.png").read_bytes()
    for name in ("-k.png", "trailing .png", "..png", " .png", "x.PNG", "X.png"):
        (folder / name).write_bytes(data)
    (folder / "dir.png").mkdir()
    (folder / "dir.png/y.png").write_bytes(data)
    assert done("convolve", *KERNEL, "-o", "out/", "--", "-k.png").lines == [
        "out/-k.gaussian-5.png"
    ]
    names = ["./-k.png", "trailing .png", "..png", " .png", "x.PNG", "X.png", "dir.png"]
    result = done("convolve", *names, *KERNEL, "-o", "o2/")
    assert len(result.lines) == 7
    assert all(map(os.path.isfile, result.lines))
    assert refused(1, "convolve", "/dev/zero", *KERNEL, "-o", "z.png").endswith(
        "'/dev/zero': a device, not a file"
    )
    long = "l" * 248 + ".png"
    (folder / long).write_bytes(data)
    message = refused(2, "convolve", long, *KERNEL)
    assert "the name is longer than 255 bytes; choose a shorter one with --name" in message
    assert done("convolve", long, *KERNEL, "--name", "{what}").lines == ["gaussian-5.png"]


def test_never_overwrites_without_force(folder):
    done("convolve", "in", *KERNEL, "-o", "out")
    before = tree("out")
    message = refused(2, "convolve", "in", *KERNEL, "--scale", 2, "-o", "out")
    assert message.endswith(
        "'out/img1.gaussian-5.png' and 2 more exist; -f (--force) overwrites, --skip-existing keeps"
    )
    assert tree("out") == before
    done("convolve", "in", *KERNEL, "--scale", 2, "-o", "out", "-f")
    assert tree("out") != before


def test_mode_of_files(folder):
    old = os.umask(0o027)
    try:
        done("convolve", "in/img1.png", *KERNEL, "-o", "a.png")
        assert os.stat("a.png").st_mode & 0o777 == 0o640
        os.chmod("a.png", 0o604)
        done("convolve", "in/img1.png", *KERNEL, "-o", "a.png", "-f")
        assert os.stat("a.png").st_mode & 0o777 == 0o604
    finally:
        os.umask(old)


def test_inputs_are_never_changed(folder):
    before = {name: os.stat(f"in/{name}").st_mtime_ns for name in tree("in")}
    content = tree("in")
    done("convolve", "in", "-r", *KERNEL, "-o", "out")
    message = refused(2, "convolve", "in/img1.png", *KERNEL, "-o", "in/img1.png", "-f")
    assert "is an input and is never overwritten" in message
    os.link("in/img2.png", "link.png")
    message = refused(2, "convolve", "in/img2.png", *KERNEL, "-o", "link.png", "-f")
    assert "is an input and is never overwritten" in message
    assert tree("in") == content
    assert {name: os.stat(f"in/{name}").st_mtime_ns for name in before} == before


# --- lists


def test_a_list_keeps_names_below_the_root(folder):
    (folder / "list").write_text("in/img1.png\nin/a/x.jpg\n\nin/B/y.png\r\n")
    result = done("convolve", "--files-from", "list", *KERNEL, "-o", "out")
    assert result.lines == ["out/in/img1.gaussian-5.png", "out/in/a/x.gaussian-5.jpg",
                            "out/in/B/y.gaussian-5.png"]  # fmt: skip
    result = done("convolve", "--files-from", "list", "--root", "in", *KERNEL, "-o", "o2/")
    assert result.lines == [
        "o2/img1.gaussian-5.png",
        "o2/a/x.gaussian-5.jpg",
        "o2/B/y.gaussian-5.png",
    ]
    assert result.errors == ["cnntool: 3 done, 0 failed, 0 skipped"]


def test_names_outside_the_root_are_refused(folder):
    for root, name in (("in/a", "in/img1.png"), (".", "../x.png"), ("in", "in/../../x.png")):
        message = refused(
            2, "convolve", "--files-from", "-", "--root", root, *KERNEL, "-o", "out/",
            stdin=name.encode(),
        )  # fmt: skip
        assert "is not below the folder" in message
        assert "--root" in message
    assert not os.path.exists("out")


def test_null_separated_lists_in_and_out(folder):
    strange = folder / "in/two\nlines.png"
    shutil.copy("in/img1.png", strange)
    names = b"in/two\nlines.png\0in/img2.png\0"
    result = done("convolve", "--files-from", "-", "-0", *KERNEL, "-o", "out/", stdin=names)
    assert result.stdout == b"out/in/two\nlines.gaussian-5.png\0out/in/img2.gaussian-5.png\0"
    message = refused(2, "convolve", "--files-from", "-", *KERNEL, "-o", "o/", stdin=names)
    assert "NUL characters between names; add -0" in message
    result = done("convolve", "in", "-0", *KERNEL, "-o", "o3/")
    assert result.stdout.endswith(b".png\0")


def test_standard_input_is_read_once(folder):
    message = refused(2, "convolve", "-", "--files-from", "-", *KERNEL, "-o", "out/")
    assert "standard input can be read once" in message
    assert "the list cannot be read: No such file" in refused(
        1, "convolve", "--files-from", "none", *KERNEL, "-o", "out/"
    )


@pytest.mark.skipif(shutil.which("find") is None, reason="needs find")
def test_a_pipe_from_find(folder):
    """As it is written in the manual: find … -print0 | cnntool … --files-from - -0."""
    shutil.copy("in/img1.png", "in/a/ two\nlines .png")
    command = (
        f"find in -name '*.png' -not -name '.*' -not -path '*/.*' -print0 | sort -z | "
        f"'{sys.executable}' -m cnntool convolve --files-from - -0 -k gaussian-5 -o out/"
    )
    found = subprocess.run(["sh", "-c", command], capture_output=True, timeout=60)
    assert found.returncode == 0, found.stderr
    paths = found.stdout.decode().split("\0")
    assert paths.pop() == ""
    assert len(paths) == 6
    assert "out/in/a/ two\nlines .gaussian-5.png" in paths
    assert all(map(os.path.isfile, paths))
    assert b"6 done, 0 failed, 0 skipped" in found.stderr


# --- order, jobs, reports


def test_jobs_change_nothing(folder, rng):
    for index in range(12):  # the first ones are the slow ones
        save(folder / f"in/n{index}.png", rng, (300 - 20 * index, 200, 3))
    (folder / "in/n3.png").write_bytes(b"bad")
    runs = []
    for jobs in (1, 2, 8):
        out = f"out{jobs}"
        result = invoke("convolve", "in", "-r", "-k", "gaussian:2", "-k", "sobel-y", "-o", out,
                        "-j", jobs, "--report", f"{out}.jsonl")  # fmt: skip
        assert result.status == 1
        lines = [line.removeprefix(out) for line in result.lines]
        told = [(line["path"], line["status"], line["error"]) for line in report(f"{out}.jsonl")]
        runs.append((lines, result.stderr, tree(out), told))
    assert runs[0] == runs[1] == runs[2]
    lines = runs[0][0]
    assert lines[:4] == ["/img1.gaussian-2.png", "/img1.sobel-y.png", "/img2.gaussian-2.png",
                         "/img2.sobel-y.png"]  # fmt: skip


def test_report(folder):
    (folder / "in/img2.png").write_bytes(b"")
    done("convolve", "in/img1.png", *KERNEL, "-o", "out/")
    result = invoke("convolve", "in", *KERNEL, "-o", "out/", "--skip-existing",
                    "--report", "run.jsonl")  # fmt: skip
    assert result.status == 1
    lines = report("run.jsonl")
    assert all(
        list(line) == ["path", "status", "outputs", "error", "seconds"] for line in lines
    )  # fmt: skip
    assert [(line["path"], line["status"], line["outputs"]) for line in lines] == [
        ("in/img1.png", "skipped", ["out/img1.gaussian-5.png"]),
        ("in/img2.png", "failed", []),
        ("in/img10.png", "done", ["out/img10.gaussian-5.png"]),
    ]
    assert [line["error"] for line in lines] == [None, "the file is empty", None]
    assert all(0 <= line["seconds"] < 60 for line in lines)
    again = ("convolve", "in", *KERNEL, "-o", "o2/", "--report", "run.jsonl")
    assert "'run.jsonl' exists; -f (--force) overwrites it" in refused(2, *again)
    message = refused(2, *again, "--skip-existing")
    assert "'run.jsonl' exists; name this run's report otherwise" in message


def test_skip_existing_does_what_is_missing(folder):
    done("convolve", "in", "-r", *KERNEL, "-o", "out")
    before = {name: os.stat(f"out/{name}").st_mtime_ns for name in tree("out")}
    result = done("convolve", "in", "-r", *KERNEL, "-o", "out", "--skip-existing")
    assert result.lines == []
    assert result.errors == ["cnntool: 0 done, 0 failed, 8 skipped"]
    assert {name: os.stat(f"out/{name}").st_mtime_ns for name in before} == before
    os.unlink("out/img2.gaussian-5.png")
    result = done("convolve", "in", "-r", *KERNEL, "-o", "out", "--skip-existing")
    assert result.lines == ["out/img2.gaussian-5.png"]
    assert result.errors == ["cnntool: 1 done, 0 failed, 7 skipped"]
    assert "give one of them" in refused(
        2, "convolve", "in", *KERNEL, "-o", "out", "--skip-existing", "-f"
    )


@pytest.mark.parametrize("jobs", [1, 2])
def test_stop_at_the_first_failure(folder, rng, jobs):
    for index in range(40):
        save(folder / f"many/{index}.png", rng)
    (folder / "many/3.png").write_bytes(b"bad")
    result = invoke("convolve", "many", *KERNEL, "-o", "out", "--on-error", "stop", "-j", jobs,
                    "--report", "r.jsonl")  # fmt: skip
    assert result.status == 1
    assert result.lines[:3] == [f"out/{index}.gaussian-5.png" for index in range(3)]
    assert len(result.lines) < 30
    assert sorted(tree("out")) == sorted(os.path.basename(name) for name in result.lines)
    assert result.errors[0].startswith("cnntool: 'many/3.png': not a picture")
    assert result.errors[1] == f"cnntool: {len(result.lines)} done, 1 failed, 0 skipped"
    assert len(report("r.jsonl")) == len(result.lines) + 1


# --- very many


MANY = """
import io, resource, sys
from cnntool.cli.main import _run

class Counting(io.RawIOBase):
    lines, memory = [], {}
    def writable(self):
        return True
    def write(self, data):
        self.lines += bytes(data).decode().splitlines()
        if len(self.lines) in (1000, 5000):
            with open("/proc/self/statm") as file:
                self.memory[len(self.lines)] = int(file.read().split()[1])
        return len(data)

sys.stdout = io.TextIOWrapper(Counting())
sys.stdout.buffer  # the raw stream: every line at once
status = _run(sys.argv[1:])
order = [int(line.rsplit("/", 1)[1].split(".")[0]) for line in Counting.lines]
print(status, order == list(range(5000)), file=sys.__stdout__)
print((Counting.memory[5000] - Counting.memory[1000]) * resource.getpagesize(), file=sys.__stdout__)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_memory_does_not_grow(folder, rng):
    """5 000 small files: in order, and all but the list of names is constant."""
    save(folder / "many/0.png", rng, (8, 8))
    for index in range(1, 5000):
        os.link("many/0.png", f"many/{index}.png")
    found = subprocess.run(
        [sys.executable, "-c", MANY, "convolve", "many", *KERNEL, "-o", "out"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    first, growth = found.stdout.splitlines()
    assert first == "0 True"
    assert int(growth) < 50e6
    assert found.stderr.splitlines()[-1] == "cnntool: 5000 done, 0 failed, 0 skipped"


def test_a_process_of_its_own(folder):
    """Once as users run it: module, arguments, exit status."""
    result = process("convolve", "in", "none.png", "-r", *KERNEL, "-o", "out")
    assert result.status == 1
    assert result.lines == TOP + BELOW
    assert result.errors[-1] == "cnntool: 6 done, 1 failed, 2 skipped"
