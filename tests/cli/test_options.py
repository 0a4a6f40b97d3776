"""What all commands share: help, errors, where options come from, completion."""

import json
import subprocess
import sys

import click
import numpy as np
import pytest
from cli_runner import done, invoke, process, refused
from pillow_files import array, load, png, save

from cnntool.cli import COMMANDS, group
from cnntool.cli.command import Command, Option


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
        assert parameter.help[-1] in ".]", parameter.opts
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
        (["convole"], "unknown command 'convole'; did you mean 'convolve'? See 'cnntool --help'"),
        (["xyz", "-h"], "unknown command 'xyz'. See 'cnntool --help'"),
        (["--jobs", "2", "edges"], "No such option"),
        (["convolve", "a.png", "--bordr", "edge"], "--border"),
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


# --- where an option comes from ---


@pytest.fixture
def row(folder):
    """A run that tells which border it used."""
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
    assert found.dtype == np.uint16 and found.shape == (7, 10)
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
    assert load(result.lines[0]).shape == (14, 17)
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
