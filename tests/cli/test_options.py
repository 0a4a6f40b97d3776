"""What all commands share: help, where options come from, names of outputs, completion."""

import json
import os
import subprocess
import sys

import click
import numpy as np
import pytest
from cli_runner import done, invoke, process, refused
from pillow_files import array, load, npy, png, save

from cnntool.cli import COMMANDS, group
from cnntool.cli.command import Command, Option
from cnntool.images.formats import WRITABLE


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photo(folder, rng):
    pixels = rng.integers(0, 256, (12, 15, 3), dtype=np.uint8)
    save("a.png", pixels)
    return pixels


def command(name):
    return group.commands[name].load()


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


# --- help ---


HEAVY = ("numpy", "scipy", "cupy", "PIL", "rich")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["convolve", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from cnntool.cli.main import _run\n"
        "status = _run(sys.argv[1:])\n"
        f"loaded = [name for name in {HEAVY} if name in sys.modules]\n"
        "sys.exit(f'status {status}, loaded {loaded}' if status or loaded else 0)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert "cnntool" in found.stdout


def test_help_of_no_command_loads_anything_heavy():
    code = (
        "import sys\n"
        "from cnntool.cli.main import _run, COMMANDS\n"
        "assert not any(_run([name, '-h']) for name in COMMANDS)\n"
        f"sys.exit(str([name for name in {HEAVY} if name in sys.modules] or 0))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert found.stderr.strip() == b"0", found.stderr


def test_version():
    from cnntool import __version__

    assert done("--version").text == f"cnntool {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_line_of_the_list_is_that_of_the_command(name):
    found = command(name)
    assert isinstance(found, Command)
    assert COMMANDS[name] == found.short_help == group.commands[name].short_help
    assert found.help.splitlines()[0] == COMMANDS[name]
    assert len(COMMANDS[name]) <= 70


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_begins_with_examples(name, option):
    lines = done(name, option).lines
    assert lines[0].startswith(f"Usage: cnntool {name} ")
    assert lines[2] == "Examples:"
    assert lines[3].startswith("  cnntool ") and f"cnntool {name}" in "".join(lines[3:6])
    assert max(map(len, lines)) <= 100


def test_help_of_the_group_begins_with_examples():
    result = done("-h")
    assert "Examples:" in result.lines[:5]
    assert all(f"  {name} " in result.text for name in COMMANDS)
    bare = invoke()
    assert bare.status == 2 and bare.text.startswith("Usage: cnntool")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help_and_a_default(name):
    found = command(name)
    context = click.Context(found, info_name=name, **group.context_settings)
    for parameter in found.params:
        if not isinstance(parameter, click.Option):
            continue
        assert parameter.help and parameter.help[0].isupper(), parameter.opts
        assert parameter.help.rstrip("]")[-1] in ".,l" or parameter.help[-1] in ".]"
        record = parameter.get_help_record(context)[1]
        has_default = parameter.default not in (None, False, ()) and not parameter.is_flag
        if has_default and "UNSET" not in str(parameter.default) and not parameter.count:
            assert "default: " in record, parameter.opts


def test_ranges_are_shown():
    text = done("convolve", "-h").text
    assert "1<=x<=100" in text and "x>=0" in text


# --- errors are one line ---


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["convole"], "No such command 'convole'. Did you mean 'convolve'? See 'cnntool --help'"),
        (["convolve", "a.png", "--bordr", "edge"], "Did you mean"),
        (["convolve", "a.png", "-k"], "Option '-k' requires an argument"),
        (["convolve", "a.png", "-k", "box", "--border", "edg"], "'edg' is not one of"),
        (["convolve", "-k", "box"], "no input; name files, folders or -, or use --files-from"),
        (["convolve", "", "-k", "box"], "an input has an empty name"),
        (["edges", "-Z", "a.png"], "-Z"),
        (["split", "a.png", "--jobs", "-1"], "-1 is not in the range x>=0"),
    ],
)
def test_usage_errors(folder, photo, arguments, words):
    message = refused(2, *arguments)
    assert words in message
    assert files(folder) == ["a.png"]


def test_a_missing_file(folder):
    assert refused(1, "edges", "gone.png") == "cnntool: 'gone.png': no such file"


def test_the_same_as_a_process(folder):
    result = process("edges", "gone.png")
    assert (result.status, result.stdout) == (1, b"")
    assert result.stderr == "cnntool: 'gone.png': no such file\n"
    result = process("convolve", "-", "-k", "identity", stdin=png(np.full((2, 3), 7, np.uint8)))
    assert result.status == 0 and (load(result.stdout) == 7).all()


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


# --- where an option comes from ---


def border(result):
    """Which of the borders was used on a row of 1 2."""
    return {(2, 1): "reflect", (1, 2): "edge", (0, 0): "constant", (2, 2): "max"}[
        tuple(array(result.stdout)[0, [0, -1]].astype(int))
    ]


@pytest.fixture
def row(folder):
    save("row.png", np.array([[1, 2]], np.uint8))
    taps = "1 0 0"

    def run(*options, before=(), **more):
        command = ["convolve", "row.png", "--padding", "0,1", "-o", "-", "--format", "npy"]
        left = array(done(*before, *command, "-k", taps, *options, **more).stdout)
        return {2: "reflect", 1: "edge", 0: "constant"}[int(left[0, 0])]

    return run


def test_precedence(row, folder):
    (folder / "c.toml").write_text('[convolve]\nborder = "edge"\n')
    config = ["--config", "c.toml"]
    variable = {"CNNTOOL_CONVOLVE_BORDER": "constant"}
    flag = ["--border", "mirror"]
    assert row() == "reflect"
    assert row(*config) == "edge"
    assert row(env=variable) == "constant"
    assert row(*config, env=variable) == "constant"
    assert row(*config, *flag, env=variable) == "reflect"
    assert row(*flag, env=variable) == "reflect"
    assert row(env={"CNNTOOL_CONVOLVE_BORDER": ""}) == "reflect"


def test_config_before_the_command_and_by_variable(row, folder):
    (folder / "c.toml").write_text('[convolve]\nborder = "edge"\n')
    assert row(before=["--config", "c.toml"]) == "edge"
    assert row(env={"CNNTOOL_CONFIG": "c.toml"}) == "edge"
    (folder / "d.toml").write_text('border = "constant"\n')
    assert row("--config", "d.toml", env={"CNNTOOL_CONFIG": "c.toml"}) == "constant"


def test_tables_of_a_command_win_over_the_top(row, folder):
    (folder / "c.toml").write_text('border = "edge"\nsigma = 3\n[edges]\nshow = "x"\n')
    assert row("--config", "c.toml") == "edge"
    (folder / "c.toml").write_text('border = "edge"\n[convolve]\nborder = "constant"\n')
    assert row("--config", "c.toml") == "constant"


def test_variables_of_one_command_win_over_those_of_all(row):
    variables = {"CNNTOOL_BORDER": "edge"}
    assert row(env=variables) == "edge"
    assert row(env={**variables, "CNNTOOL_CONVOLVE_BORDER": "constant"}) == "constant"


def test_values_of_a_configuration_file(folder, photo):
    (folder / "c.toml").write_text(
        "depth = 16\njobs = 1\nquality = 20\n"
        '[convolve]\nkernel = ["sobel-x", [[0, 1], [1, 0]]]\nstride = 2\npadding = [1, 2]\n'
        'gray = true\nborder = "edge"\nscale = 2\n'
    )
    result = done("convolve", "a.png", "--config", "c.toml", "-q")
    assert result.lines == ["a.sobel-x.png", "a.custom.png"]
    found = load("a.sobel-x.png")
    assert found.dtype == np.uint16 and found.shape == (6, 9)
    (folder / "c.toml").write_text('[convolve]\nkernel = "box"\n[kernels]\nas = "json"\n')
    assert done("convolve", "a.png", "--config", "c.toml").lines == ["a.box.png"]
    assert json.loads(done("kernels", "box", "--config", "c.toml").text)[0]["name"] == "box"


def test_values_of_variables(folder, photo):
    variables = {
        "CNNTOOL_CONVOLVE_KERNEL": "sobel-x|0 1 0; 1 -4 1; 0 1 0",
        "CNNTOOL_CONVOLVE_GRAY": "1",
        "CNNTOOL_RANGE": "offset",
        "CNNTOOL_OUTPUT": "out/",
        "CNNTOOL_QUIET": "yes",
        "CNNTOOL_JOBS": "1",
    }
    result = done("convolve", "a.png", env=variables)
    assert result.lines == ["out/a.sobel-x.png", "out/a.custom.png"]
    assert result.stderr == ""
    assert load(result.lines[0]).shape == (12, 15)
    message = refused(2, "edges", "a.png", env={"CNNTOOL_JOBS": "many"})
    assert "'many' is not a valid integer" in message
    message = refused(2, "edges", "a.png", env={"CNNTOOL_EDGES_SHOW": "depth"})
    assert "'depth' is not one of" in message


@pytest.mark.parametrize(
    "text, words",
    [
        ('bordr = "edge"', "unknown option in the configuration 'bordr'; did you mean 'border'"),
        ('[convole]\nborder = "edge"', "unknown command in the configuration 'convole'; did you"),
        ('[convolve]\nbordr = "edge"', "unknown option in [convolve] of the configuration 'bordr'"),
        ("convolve = 3", "write its options below [convolve]"),
        ("border = ", "the configuration 'c.toml' is not TOML"),
        ("border = 5", "5 is not one of"),
        ("stride = [1, 2, 3]", "has 3 numbers"),
        ('jobs = "x"', "'x' is not a valid integer"),
    ],
)
def test_senseless_configurations(folder, photo, text, words):
    (folder / "c.toml").write_text(text)
    command = ["convolve", "a.png", "-k", "box"]
    assert words in refused(2, *command, "--config", "c.toml")
    assert words in refused(2, "--config", "c.toml", *command)
    assert files(folder) == ["a.png", "c.toml"]


def test_a_missing_configuration(folder, photo):
    message = refused(2, "edges", "a.png", "--config", "gone.toml")
    assert "cannot read the configuration 'gone.toml': No such file" in message


def test_every_option_has_a_variable_of_its_own():
    for name in COMMANDS:
        words = [p.long_name for p in command(name).params if isinstance(p, Option)]
        assert len(words) == len(set(words))


# --- completion ---


def complete(words, place, shell="bash"):
    result = done(env={
        "_CNNTOOL_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)
    })  # fmt: skip
    return [line.rpartition(",")[2] for line in result.lines if line]


def test_completion_of_kernels():
    found = complete("cnntool convolve -k sob", 3)
    assert {"sobel-x", "sobel-x-5", "sobel-y", "sobel-y-5"} <= set(found)
    assert all(name.startswith("sob") for name in found)
    assert "gaussian-5" in complete("cnntool convolve --kernel gauss", 3)
    assert complete("cnntool convolve -k gabor:wave", 3) == ["gabor:wavelength="]
    assert complete("cnntool kernels lapl", 2)[:1] == ["laplacian"]
    assert complete("cnntool convolve -k zzz", 3) == []


def test_completion_of_words():
    assert complete("cnntool con", 1) == ["convolve"]
    assert {"--border", "--border-value"} <= set(complete("cnntool convolve --bor", 2))
    assert complete("cnntool convolve --border refl", 3) == ["reflect", "reflect101"]
    assert complete("cnntool convolve --padding ", 3) == ["same", "valid", "full"]
    assert complete("cnntool edges --operator ca", 3) == ["canny"]
    assert complete("cnntool pool --kind global", 3) == ["global-max", "global-avg"]


def test_completion_as_a_shell_asks():
    result = process(env={
        "_CNNTOOL_COMPLETE": "bash_complete", "COMP_WORDS": "cnntool convolve -k sob",
        "COMP_CWORD": "3",
    })  # fmt: skip
    assert result.status == 0
    assert "plain,sobel-x" in result.lines


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_for_shells(shell):
    if shell == "bash":
        from shutil import which

        if which("bash") is None:
            pytest.skip("click asks bash for its version")
    assert "_CNNTOOL_COMPLETE" in process(env={"_CNNTOOL_COMPLETE": f"{shell}_source"}).text
