"""Arguments, folders and lists into items."""

import io
import os
import tracemalloc

import pytest

from cnntool.errors import InputError, OptionError
from cnntool.folder.inputs import collect
from cnntool.folder.job import Item

SUFFIXES = (".png", ".jpg")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "notes.txt", "d/img10.png", "d/img9.JPG", "d/sub/x.png", "d/.h.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "d/list.txt").write_bytes(b"")
    return tmp_path


def names(inputs):
    return [(item.path, item.folder) for item in inputs.items]


def test_files_are_always_tried():
    inputs = collect(["notes.txt", "missing.png", "a.png", "-"], suffixes=SUFFIXES)
    assert names(inputs) == [("notes.txt", ""), ("missing.png", ""), ("a.png", ""), ("-", "")]
    assert not inputs.any_folder
    assert inputs.several
    assert not collect(["a.png"], suffixes=SUFFIXES).several


def test_folder():
    inputs = collect(["d"], suffixes=SUFFIXES)
    assert names(inputs) == [("d/img9.JPG", ""), ("d/img10.png", "")]
    assert inputs.any_folder
    assert inputs.folders == ("d",)
    assert inputs.skipped == 1
    assert inputs.several
    assert not inputs.failures


def test_recursive_between_files():
    inputs = collect(["a.png", "d/", "notes.txt"], suffixes=SUFFIXES, recursive=True)
    assert names(inputs) == [
        ("a.png", ""),
        ("d/img9.JPG", ""),
        ("d/img10.png", ""),
        ("d/sub/x.png", "sub"),
        ("notes.txt", ""),
    ]


def test_output_folder_is_not_read():
    inputs = collect(["d"], suffixes=SUFFIXES, recursive=True, exclude="d/sub/../sub/")
    assert [item.path for item in inputs.items] == ["d/img9.JPG", "d/img10.png"]
    inputs = collect(["d"], suffixes=SUFFIXES, recursive=True, exclude="d/not-yet")
    assert len(inputs.items) == 3


def test_folders_without_inputs(here):
    (here / "empty").mkdir()
    (here / "other").mkdir()
    (here / "other/sub").mkdir()
    (here / "other/x.txt").write_bytes(b"")
    inputs = collect(["empty", "other", "a.png"], suffixes=SUFFIXES)
    assert inputs.failures == [
        ("empty", "no input files in this folder"),
        (
            "other",
            "no input files in this folder; 1 with other suffixes; 1 subfolder not entered, "
            "-r descends",
        ),
    ]
    assert names(inputs) == [("a.png", "")]


def test_what_is_left_out_is_noted(here):
    os.mkfifo(here / "d/pipe.png")
    (here / "d/loop").symlink_to(".")
    inputs = collect(["d"], suffixes=SUFFIXES, recursive=True)
    assert sorted(inputs.notes) == [
        ("d/loop", "a link to a folder is not followed"),
        ("d/pipe.png", "skipped: it is a pipe"),
    ]
    assert inputs.skipped == 3  # these and the list


def test_a_named_pipe_is_tried(here):
    os.mkfifo(here / "pipe")  # as `<(command)` of a shell is
    assert names(collect(["pipe"], suffixes=SUFFIXES)) == [("pipe", "")]


def listed(data, **options):
    return collect(
        options.pop("paths", []),
        suffixes=SUFFIXES,
        files_from="-",
        stdin=io.BytesIO(data),
        **options,
    )


def test_lists_keep_trees_below_the_root():
    inputs = listed(b"a.png\nd/sub/x.png\n./d/y.png\nd/../z.png\n")
    assert names(inputs) == [
        ("a.png", ""),
        ("d/sub/x.png", "d/sub"),
        ("./d/y.png", "d"),
        ("d/../z.png", ""),
    ]
    assert inputs.from_list
    assert inputs.several
    assert names(listed(b"d/sub/x.png\0d/y.png", null=True, root="d")) == [
        ("d/sub/x.png", "sub"),
        ("d/y.png", ""),
    ]
    # outside: decided on where the results go, because only a tree of results needs it
    assert names(listed(b"../x.png\na.png", root="d"))[1] == ("a.png", "..")
    inside = os.path.abspath("d/sub/x.png")
    assert names(listed(os.fsencode(inside), root="d")) == [(inside, "sub")]


def test_lists_follow_paths():
    inputs = listed(b"d/img9.JPG\n", paths=["a.png", "d/sub"])
    assert [item.path for item in inputs.items] == ["a.png", "d/sub/x.png", "d/img9.JPG"]


def test_a_dash_in_a_list_is_a_file():
    assert names(listed(b"-\n")) == [("./-", "")]


def test_an_empty_list_is_no_failure():
    inputs = listed(b"")
    assert inputs.items == []
    assert inputs.failures == []


def test_usage():
    with pytest.raises(
        OptionError, match="no input; name files, folders or -, or use --files-from"
    ):
        collect([], suffixes=SUFFIXES)
    with pytest.raises(OptionError, match="an input has an empty name; is a variable of the shell"):
        collect(["a.png", ""], suffixes=SUFFIXES)
    with pytest.raises(OptionError, match="standard input can be read once"):
        collect(["-", "-"], suffixes=SUFFIXES)
    with pytest.raises(OptionError, match="standard input can be read once"):
        listed(b"", paths=["-"])
    with pytest.raises(InputError, match=r"'none.txt': the list cannot be read: No such file"):
        collect([], suffixes=SUFFIXES, files_from="none.txt")


def test_wildcards_only_where_shells_leave_them(here):
    (here / "b[1].png").write_bytes(b"")
    (here / "b1.png").write_bytes(b"")
    collected = collect(["d/*.png", "b[1].png", "no*.gif"], suffixes=SUFFIXES, expand=True)
    # a file of that very name comes before what the wildcard would mean
    assert [item.path for item in collected.items] == ["d/img10.png", "b[1].png", "no*.gif"]
    collected = collect(["b?.png"], suffixes=SUFFIXES, expand=True)
    assert [item.path for item in collected.items] == ["b1.png"]
    collected = collect(["b?.png"], suffixes=SUFFIXES, expand=False)
    assert [item.path for item in collected.items] == ["b?.png"]


def test_items_are_small_and_picklable():
    import pickle

    item = Item("caf\udce9.png", "sub")
    assert pickle.loads(pickle.dumps(item)) == item
    data = b"".join(b"some/folder/of/photos/photo-%06d.png\n" % i for i in range(20_000))
    tracemalloc.start()
    try:
        inputs = listed(data)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(inputs.items) == 20_000
    assert kept / 20_000 < 300  # bytes a file
    assert peak / 20_000 < 500
