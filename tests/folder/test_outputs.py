"""The paragraph on outputs, sentence by sentence."""

import dataclasses
import io
import os
import pickle
import shutil
import subprocess
import sys

import pytest

from cnntool.errors import OptionError, SystemFailure
from cnntool.folder.inputs import Inputs, collect
from cnntool.folder.job import Item
from cnntool.folder.outputs import OutputPlan, check_result_file, checked_template

READABLE = (".png", ".jpg", ".gif", ".npy")
WRITABLE = (".png", ".jpg", ".npy", ".tiff")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names):
    for name in names:
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "wb") as stream:
            stream.write(b"old")


def decide(output, paths, *, recursive=False, listed=None, root="", **options):
    inputs = collect(
        paths,
        suffixes=READABLE,
        recursive=recursive,
        files_from=None if listed is None else "-",
        stdin=None if listed is None else io.BytesIO(listed),
        root=root,
        exclude=output,
    )
    options.setdefault("terminal", False)
    return OutputPlan.decide(output, inputs, writable=WRITABLE, **options), inputs


def outputs_of(plan, *whats):
    return lambda item: tuple(plan.path(item, what) for what in whats)


def check(plan, inputs, *whats):
    return plan.check(inputs, outputs_of(plan, *(whats or ("sobel-x",))))


# where results go


def test_beside_the_input():
    plan, inputs = decide(None, ["a.png", "dir/b.JPG", "c.gif", "d"])
    assert plan.kind == "beside"
    assert [plan.path(item, "sobel-x") for item in inputs.items] == [
        "a.sobel-x.png",
        "dir/b.sobel-x.JPG",
        "c.sobel-x.png",
        "d.sobel-x.png",
    ]


@pytest.mark.parametrize("output", ["out/", "out//", "there"])
def test_into_a_folder(output):
    os.mkdir("there")
    plan, inputs = decide(output, ["a.png", "dir/b.npy"])
    assert plan.kind == "folder"
    assert [os.path.normpath(plan.path(item, "max2")) for item in inputs.items] == [
        os.path.normpath(f"{output}/a.max2.png"),
        os.path.normpath(f"{output}/b.max2.npy"),
    ]


def test_one_file():
    plan, inputs = decide("x.png", ["a.png"])
    assert plan.kind == "file"
    assert plan.path(inputs.items[0], "whatever") == "x.png"
    with pytest.raises(
        OptionError, match="'out' is one file for 2 inputs; write 'out/' for a fold"
    ):
        decide("out", ["a.png", "b.png"])


def test_trees_are_kept():
    touch("photos/a.png", "photos/sub/deep/b.png")
    plan, inputs = decide("out", ["photos"], recursive=True)
    assert plan.kind == "folder"
    assert [plan.path(item, "edges") for item in inputs.items] == [
        "out/a.edges.png",
        "out/sub/deep/b.edges.png",
    ]


def test_trees_of_lists():
    plan, inputs = decide("out", [], listed=b"photos/sub/b.png\na.png\n")
    assert [plan.path(item, "x") for item in inputs.items] == [
        "out/photos/sub/b.x.png",
        "out/a.x.png",
    ]
    plan, inputs = decide("out", [], listed=b"photos/sub/b.png\n", root="photos")
    assert plan.path(inputs.items[0], "x") == "out/sub/b.x.png"
    plan, inputs = decide(None, [], listed=b"photos/sub/b.png\n../up.png")
    assert plan.kind == "beside"
    assert plan.path(inputs.items[1], "x") == "../up.x.png"


@pytest.mark.parametrize("name", [b"../x.png", b"d/../../x.png", b"/etc/x.png"])
def test_lists_that_lead_out(name):
    plan, inputs = decide("out", [], listed=name)
    with pytest.raises(OptionError, match=r"is not below the folder .* with --root"):
        check(plan, inputs)


def test_folders_need_an_output():
    touch("photos/a.png")
    with pytest.raises(OptionError, match="'photos' is a folder; add -o DIR/ for the results"):
        decide(None, ["photos"])


def test_standard_output():
    for output in ("-", None):
        plan, inputs = decide(output, ["-"])
        assert plan.kind == "stdout"
        assert plan.path(inputs.items[0], "sobel-x") == "-"
        assert check(plan, inputs) == frozenset()
    plan, inputs = decide("-", ["a.png"])
    assert plan.kind == "stdout"
    with pytest.raises(OptionError, match="-o - takes exactly one input, no folder and no list"):
        decide("-", ["a.png", "b.png"])
    touch("photos/a.png")
    with pytest.raises(OptionError, match="-o - takes exactly one input"):
        decide("-", ["photos"])
    with pytest.raises(OptionError, match="standard output takes one result, there would be 2"):
        check(plan, inputs, "sobel-x", "sobel-y")
    with pytest.raises(OptionError, match="standard input among other inputs: add -o DIR/"):
        decide(None, ["-", "a.png"])


def test_standard_input_into_files():
    plan, inputs = decide("out/", ["-"])
    assert plan.path(inputs.items[0], "box") == "out/stdin.box.png"
    assert plan.path(inputs.items[0], "box", ".npy") == "out/stdin.box.npy"


def test_nothing_binary_onto_a_terminal():
    with pytest.raises(OptionError, match="not written to a terminal; use -o FILE, or a pipe"):
        decide("-", ["a.png"], terminal=True)
    decide("x.png", ["a.png"], terminal=True)


def test_the_terminal_is_asked(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdout", Terminal())
    with pytest.raises(OptionError, match="not written to a terminal"):
        decide("-", ["a.png"], terminal=None)
    monkeypatch.setattr("sys.stdout", None)
    decide("-", ["a.png"], terminal=None)


def test_output_is_input_folder():
    touch("photos/a.png")
    os.symlink("photos", "alias")
    for output in ("photos", "photos/", "alias", "./photos/."):
        with pytest.raises(OptionError, match="'photos' is the input and the output folder"):
            decide(output, ["photos"])


def test_output_that_is_no_folder():
    touch("file", "photos/a.png")
    for output, paths in (("file/", ["a.png"]), ("file", ["photos"])):
        with pytest.raises(OptionError, match=r"'file/?' is no folder, and these inputs need one"):
            decide(output, paths)


def test_contradictions():
    with pytest.raises(OptionError, match="--force overwrites and --skip-existing keeps; give one"):
        decide(None, ["a.png"], force=True, skip_existing=True)
    with pytest.raises(OptionError, match="an output has an empty name; is a variable"):
        decide("", ["a.png"])


# names


def test_suffix_rules():
    plan, _ = decide(None, ["a.png"])
    assert [plan.suffix_of(Item(p)) for p in ("A.JPG", "a.npy", "a.gif", "a", "-", ".png")] == [
        ".JPG", ".npy", ".png", ".png", ".png", ".png",
    ]  # fmt: skip
    plan, _ = decide(None, ["a.png"], suffix=".webp")
    assert plan.path(Item("a.npy"), "box") == "a.box.webp"
    assert plan.path(Item("a.png"), "l0", ".npy") == "a.l0.npy"


def test_templates():
    item = Item("dir/sub/a.b.jpg", "sub")
    cases = {
        "{stem}-{what}{ext}": "o/sub/a.b-box.jpg",
        "{what}/{stem}{ext}": "o/sub/box/a.b.jpg",
        "{parent}_{name}.{what}{ext}": "o/sub/sub_a.b.jpg.box.jpg",
        "{stem}.png": "o/sub/a.b.png",
        "{{x}}{stem}": "o/sub/{x}a.b.jpg",
    }
    for template, expected in cases.items():
        plan, _ = decide("o/", ["a.png"], name=template)
        assert plan.path(item, "box") == expected
    plan, _ = decide(None, ["a.png"])
    assert plan.path(Item("a.png"), "") == "a.png"
    assert plan.path(Item("a.png"), "k/x:y") == "a.k-x:y.png"


@pytest.mark.parametrize(
    "template, message",
    [
        ("{stem}.{kernel}{ext}", r"unknown field \{kernel\}; there are \{stem\} \{what\} \{ext\}"),
        ("{}", r"unknown field \{\}; there are"),
        ("{stem.__class__}", "unknown field"),
        ("{stem[0]}", "unknown field"),
        ("{stem!r}{ext}", r"\{stem\} takes no format"),
        ("{stem:>5}{ext}", r"\{stem\} takes no format"),
        ("{stem", "unpaired brace"),
        ("stem}", "unpaired brace"),
        ("../{stem}{ext}", "leads out of the output folder; leave out"),
        ("/tmp/{stem}{ext}", "leads out of the output folder"),
        ("a/../../{stem}{ext}", "leads out of the output folder"),
        ("a//{stem}{ext}", "leads out of the output folder"),
        ("", "leads out of the output folder"),
    ],
)
def test_bad_templates(template, message):
    with pytest.raises(OptionError, match=message):
        checked_template(template, WRITABLE)


def test_names_that_are_none():
    plan, _ = decide("o/", ["a.png"], name="{parent}/{stem}{ext}")
    with pytest.raises(OptionError, match=r"gives no usable name: '/x.png'"):
        plan.path(Item("/x.png"), "box")


# what is refused before anything is written


def test_collisions():
    plan, inputs = decide("out/", ["a/x.png", "b/x.png"])
    with pytest.raises(
        OptionError, match=r"'a/x.png' and 'b/x.png' would both become 'out/x.sobel-x.png'; "
        r"--name '\{parent\}-\{stem\}.\{what\}\{ext\}' may keep them apart",
    ):  # fmt: skip
        check(plan, inputs)
    plan, inputs = decide("out/", ["a/x.png", "b/x.png"], name="{parent}-{stem}.{what}{ext}")
    check(plan, inputs)


def test_collisions_by_format():
    plan, inputs = decide("out/", ["x.png", "x.jpg"], suffix=".png")
    with pytest.raises(OptionError, match=r"--name '\{name\}.\{what\}\{ext\}' may keep them apart"):
        check(plan, inputs)
    plan, inputs = decide("out/", ["x.png", "x.jpg"], suffix=".png", name="{name}.{what}{ext}")
    check(plan, inputs)


def test_collisions_under_several_spellings():
    plan, inputs = decide("out/", ["a.png", "dir/../a.png"])
    with pytest.raises(OptionError, match=r"'dir/../a.png' is named twice; name every input once"):
        check(plan, inputs)
    plan, inputs = decide("out/", ["a.png", "./b.png", "c.png"])
    plan = dataclasses.replace(plan, kind="beside")
    names = {"a.png": "o/x", "./b.png": "o/./y", "c.png": "o/z/../x"}
    with pytest.raises(OptionError, match=r"'a.png' and 'c.png' would both become"):
        plan.check(inputs, lambda item: (names[item.path],))


def test_collisions_within_one_input():
    plan, inputs = decide("x.png", ["a.png"])
    check(plan, inputs, "sobel-x")
    with pytest.raises(
        OptionError, match=r"several results of 'a.png' would be written to 'x.png'"
    ):
        check(plan, inputs, "sobel-x", "sobel-y")


def test_case_matters_only_where_it_does(monkeypatch):
    plan, inputs = decide("out/", ["A.png", "a.png", "e\u0301.png", "\u00e9.png"])
    if sys.platform != "darwin":
        check(plan, inputs)
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(OptionError, match=r"would both become|is named twice"):
        check(plan, inputs)


def test_messages_with_long_names_stay_short():
    plan, inputs = decide("o" * 200 + "/", ["a" * 200 + "/x.png", "b" * 200 + "/x.png"])
    with pytest.raises(OptionError) as caught:
        check(plan, inputs)
    assert len(f"cnntool: {caught.value}") <= 300


def test_inputs_are_never_overwritten():
    touch("a.png", "b.png")
    os.link("a.png", "hard.png")
    os.symlink("a.png", "soft.png")
    for target in ("a.png", "./a.png", "hard.png", "soft.png"):
        plan, inputs = decide(target, ["a.png"], force=True)
        with pytest.raises(OptionError, match="is an input and is never overwritten"):
            check(plan, inputs)
    # also the input of another item, and through a link to its folder
    os.symlink(".", "out")
    plan, inputs = decide("out/", ["a.png", "b.png"], name="{stem}.png", force=True)
    with pytest.raises(OptionError, match=r"'out/a.png' is an input"):
        check(plan, inputs)
    plan, inputs = decide(None, ["a.png", "x.png"], name="{stem}{ext}", force=True)
    with pytest.raises(OptionError, match="is an input"):
        check(plan, inputs)


def test_existing_files():
    touch("out/a.sobel-x.png", "out/b.sobel-x.png", "out/c.sobel-x.png")
    paths = ["a.png", "b.png", "c.png", "d.png"]
    plan, inputs = decide("out", paths)
    with pytest.raises(
        OptionError, match=r"'out/a.sobel-x.png' and 2 more exist; -f \(--force\) overwrites, "
        "--skip-existing keeps",
    ) as caught:  # fmt: skip
        check(plan, inputs)
    assert caught.value.exit_code == 2
    assert caught.value.count == 3
    plan, inputs = decide("out", ["a.png"])
    with pytest.raises(OptionError, match=r"'out/a.sobel-x.png' exists; -f"):
        check(plan, inputs)
    plan, inputs = decide("out", paths, force=True)
    assert check(plan, inputs) == {"out"}
    plan, inputs = decide("out", paths, skip_existing=True)
    assert check(plan, inputs) == {"out"}
    plan, inputs = decide("out", paths[:3], skip_existing=True)
    assert check(plan, inputs) == frozenset()  # nothing to write, nothing to prepare


def test_folders_and_devices_in_the_place_of_files():
    os.makedirs("out/a.sobel-x.png")
    plan, inputs = decide("out", ["a.png"], force=True)
    with pytest.raises(OptionError, match=r"'out/a.sobel-x.png' is a folder; choose another name"):
        check(plan, inputs)
    plan, inputs = decide("/dev/null", ["a.png"])
    assert check(plan, inputs) == frozenset()
    plan.prepare(frozenset())


def test_names_that_are_too_long():
    plan, inputs = decide("out/", ["n" * 250 + ".png"])
    with pytest.raises(
        OptionError, match="longer than 255 bytes; choose a shorter one with --name"
    ):
        check(plan, inputs)


def test_hashes_that_collide(monkeypatch):
    """Two names with one hash are still two names."""
    import cnntool.folder.conflicts as conflicts

    monkeypatch.setattr(conflicts, "hash", lambda text: 1, raising=False)
    plan, inputs = decide("out/", ["a.png", "b.png"])
    check(plan, inputs, "x", "y")
    plan, inputs = decide("out/", ["a/x.png", "b.png", "b/x.png"])
    with pytest.raises(OptionError, match=r"'a/x.png' and 'b/x.png' would both"):
        # with the third compared to the first that has the hash
        check(plan, inputs)


# preparing and writing


def test_prepare_makes_and_sweeps(tmp_path):
    touch("photos/a.png", "photos/sub/b.png")
    plan, inputs = decide("new/out", ["photos"], recursive=True)
    folders = check(plan, inputs)
    assert not os.path.exists("new")
    plan.prepare(folders)
    assert sorted(os.listdir("new/out")) == ["sub"]
    from cnntool.files import temporaries

    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    touch(f"new/out/sub/.b.png.{temporaries._home()}-{child.pid}-01234567.cnntool-tmp")
    plan.prepare(folders)
    assert os.listdir("new/out/sub") == []


def test_prepare_makes_subfolders_of_templates():
    touch("a.png")
    plan, inputs = decide(None, ["a.png"], name="{what}/{stem}{ext}")
    plan.prepare(check(plan, inputs))
    assert os.path.isdir("sobel-x")


def test_prepare_fails_at_once():
    plan, inputs = decide("none/x.png", ["a.png"])
    with pytest.raises(SystemFailure, match="'none': the output folder cannot be used: No such"):
        plan.prepare(check(plan, inputs))
    touch("file")
    plan, inputs = decide("file/sub/", ["a.png"])
    with pytest.raises(SystemFailure, match=r"'file/sub/?': the output folder cannot be used: "):
        plan.prepare(check(plan, inputs))


def test_prepare_of_a_folder_without_permission():
    program = (
        "from cnntool.errors import SystemFailure\n"
        "from cnntool.folder.outputs import OutputPlan\n"
        "try:\n"
        "    OutputPlan('folder', 'closed').prepare(['closed'])\n"
        "except SystemFailure as error:\n"
        "    print(error, error.exit_code)\n"
    )
    os.mkdir("closed", 0o555)
    command = [sys.executable, "-B", "-c", program]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root writes everywhere, and there is no setpriv to be somebody else")
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        for folder in (os.getcwd(), os.path.dirname(os.getcwd())):
            os.chmod(folder, 0o755)
        os.chmod(os.path.dirname(os.path.dirname(os.getcwd())), 0o755)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)
    if run.returncode:
        pytest.skip(f"another user cannot start Python here: {run.stderr[-100:]}")
    assert run.stdout == (
        "'closed': the output folder cannot be used: Permission denied; "
        "write to a folder that is yours 3\n"
    )


def test_writing():
    plan, _ = decide(None, ["a.png"])
    assert plan.write("x", b"one")
    with pytest.raises(OptionError, match="'x' exists"):
        plan.write("x", b"two")
    plan, _ = decide(None, ["a.png"], skip_existing=True)
    assert not plan.wants("x")
    assert not plan.write("x", b"two")
    assert plan.write("y", b"two", sync=True)
    plan, _ = decide(None, ["a.png"], force=True)
    assert plan.write("x", b"three")
    assert open_bytes("x") == b"three"


def open_bytes(name):
    with open(name, "rb") as stream:
        return stream.read()


def test_plans_are_picklable_values():
    plan, _ = decide("out/", ["a.png"], suffix=".webp")
    assert pickle.loads(pickle.dumps(plan)) == plan
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.target = "x"


def test_result_files():
    touch("a.png", "old.csv")
    inputs = collect(["a.png"], suffixes=READABLE)
    check_result_file("new.csv", inputs)
    check_result_file("new.csv", Inputs())
    check_result_file("old.csv", inputs, force=True)
    check_result_file("/dev/stdout", inputs)
    with pytest.raises(OptionError, match=r"'old.csv' exists; -f"):
        check_result_file("old.csv", inputs)
    with pytest.raises(OptionError, match=r"'a.png' is an input and is never overwritten"):
        check_result_file("a.png", inputs, force=True)
    with pytest.raises(OptionError, match="an output has an empty name"):
        check_result_file("", inputs)
    with pytest.raises(SystemFailure, match="'none': the output folder cannot be used"):
        check_result_file("none/x.csv", inputs)
    assert sorted(os.listdir(".")) == ["a.png", "old.csv"]


def test_many_inputs_take_little_time_and_memory():
    import time
    import tracemalloc

    items = [Item(f"photos/photo-{index}.png", "") for index in range(20_000)]
    inputs = Inputs(items=items, folders=("photos",))
    plan = OutputPlan.decide("out", inputs, writable=WRITABLE, terminal=False)
    started = time.perf_counter()
    check(plan, inputs)
    assert time.perf_counter() - started < 5
    tracemalloc.start()
    try:
        check(plan, inputs)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak / 20_000 < 200  # bytes a file
