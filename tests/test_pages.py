"""Manual pages and the generated parts of README say what the commands say."""

import pathlib
import re
import shutil
import subprocess
import tomllib

import generate_pages
import manual_pages
import pytest

from cnntool.cli import COMMANDS
from cnntool.filters.kernels import KERNELS

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "man").glob("*.1"))


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A folder with README and manual pages in which the generator works."""
    shutil.copytree(ROOT / "man", tmp_path / "man")
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.setattr(generate_pages, "ROOT", tmp_path)
    return tmp_path


def test_generated_files_are_current():
    stale = generate_pages.stale(generate_pages.generated())
    assert not stale, "run: python tests/generate_pages.py"


def test_check_names_what_is_stale_and_writing_mends_it(copy, capsys):
    assert generate_pages.main([]) == 0
    capsys.readouterr()
    current = (copy / "README.md").read_bytes()
    (copy / "man" / "cnntool-pool.1").write_text("old")
    (copy / "man" / "cnntool-gone.1").write_text("of no command")
    (copy / "man" / "cnntool.1").unlink()
    readme = copy / "README.md"
    readme.write_text(readme.read_text("utf-8").replace("| `cnntool edges` |", "|"), "utf-8")
    stale = {"README.md", "man/cnntool-pool.1", "man/cnntool-gone.1", "man/cnntool.1"}
    assert generate_pages.main(["--check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert set(lines[:-1]) == {f"stale: {name}" for name in stale}
    assert lines[-1] == "run: python tests/generate_pages.py"
    assert generate_pages.main([]) == 0
    assert "removed: man/cnntool-gone.1" in capsys.readouterr().out
    assert generate_pages.main(["--check"]) == 0
    assert readme.read_bytes() == current


def test_readme_without_a_place_for_the_list(copy):
    with pytest.raises(ValueError, match="needs one '<!-- commands: begin -->'"):
        generate_pages.readme("# nothing here")


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_in_the_list_of_readme(name):
    text = (ROOT / "README.md").read_text("utf-8")
    listed = text.partition("<!-- commands: begin -->")[2].partition("<!-- commands: end -->")[0]
    assert f"| `cnntool {name}` | {COMMANDS[name]} |" in listed


def test_kernels_are_in_the_list_of_readme():
    text = (ROOT / "README.md").read_text("utf-8")
    listed = text.partition("<!-- kernels: begin -->")[2].partition("<!-- kernels: end -->")[0]
    assert not set(KERNELS) - set(listed.split())


def test_pages_show_the_options_of_real_commands():
    # a stub that is not loaded has none
    text = (ROOT / "man" / "cnntool-convolve.1").read_text("ascii")
    assert r"\fB\-k\fR, \fB\-\-kernel\fR \fIKERNEL\fR" in text
    assert text.startswith(rf".TH CNNTOOL\-CONVOLVE 1 {manual_pages.DATE} ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"a\b", r"a\eb"),
        ("it's -1 ~ ^ `x`", r"it\(aqs \-1 \(ti \(ha \(gax\(ga"),
        ("IMG… 3×3, 180°, ∇²", r"IMG... 3\(mu3, 180 degrees, nabla\(ha2"),
        ("ю", r"\[u044E]"),
    ],
)
def test_escapes(text, expected):
    assert manual_pages.roff(text) == expected


def test_text_is_never_a_request():
    assert manual_pages.filled(".so is text") == r"\&.so is text"
    assert manual_pages.as_written([".npy"]) == [".EX", r"\&.npy", ".EE"]


def test_lines_are_short_and_begin_with_sentences():
    lines = manual_pages.filled("One two. Then " + "word " * 40 + "end.").splitlines()
    assert max(map(len, lines)) < 80
    assert lines[0] == "One two." and lines[1].startswith("Then word")


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("device", ["utf8", "ascii"])
def test_groff_has_no_complaint(device):
    command = ["groff", "-man", "-ww", f"-T{device}", "-rLL=78n", *map(str, PAGES)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    shown = re.sub(r"\x1b\[[\d;]*m|.\x08", "", done.stdout)
    assert "cnntool-convolve - filter pictures with named or custom kernels" in shown
    assert r"\f" not in shown and r"\-" not in shown


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_mandoc_has_no_complaint():
    command = ["mandoc", "-Tlint", "-Wwarning", *map(str, PAGES)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_wheel_installs_the_pages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["shared-data"] == {"man": "share/man/man1"}
