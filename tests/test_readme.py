"""README tells the truth: its examples are run, its tables compared, its links followed."""

import doctest
import os
import pathlib
import re
import subprocess

import console_blocks
import numpy as np
import pytest
import shell

from cnntool.filters.words import RANGES
from cnntool.ops.padding import MODES, pad

ROOT = shell.ROOT
README = ROOT / "README.md"
TEXT = README.read_text("utf-8")
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "samples" / "README.md"]


def block(kind: str) -> str:
    """The code in the first block of a kind."""
    return re.search(rf"^```{kind}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)[1]


def table(head: str) -> list[list[str]]:
    """The cells of the table whose first heading is ``head``."""
    lines = TEXT[TEXT.index(f"\n| {head} |") + 1 :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_examples_print_what_readme_says(tmp_path):
    variables = console_blocks.surroundings(tmp_path)
    found = console_blocks.examples(TEXT)
    assert len(found) >= 20
    wrong = []
    for example in found:
        printed = shell.run(example.command, tmp_path, variables).stdout
        if not example.fits(printed):
            wrong.append(f"README.md:{example.line}: {example.command}\n{printed}")
    assert not wrong, "run: python tests/console_blocks.py README.md\n" + "\n".join(wrong)


def test_library_example(tmp_path, monkeypatch):
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    example = doctest.DocTestParser().get_doctest(block("pycon"), {}, "README.md", None, 0)
    results = doctest.DocTestRunner().run(example)
    assert results.attempted >= 8 and results.failed == 0
    assert os.path.getsize("soft.png") > 1000


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("install", r"python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/cnntool "),
        ("tests", r".venv/bin/pip install -q '.[test]' && .venv/bin/python -m pytest "),
    ],
)
def test_set_up_is_two_commands(name, begin):
    part = TEXT.partition(f"<!-- {name}: begin -->\n")[2].partition(f"<!-- {name}: end -->")[0]
    first, command, last = part.splitlines()
    assert (first, last) == ("```sh", "```")
    assert command.startswith(begin)
    assert TEXT[: TEXT.index(part)].count("\n") < 30, "not on the first screen"


def test_main_job_of_the_install_command(tmp_path):
    variables = console_blocks.surroundings(tmp_path)
    job = re.search(r"&& \.venv/bin/(cnntool .*)", TEXT)[1]
    done = shell.run(f"{job} && {job}", tmp_path, variables)  # it may be run again
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "edges.jpg").exists()
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "/edges.jpg" in ignored and ".venv/" in ignored


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor:
            heads = re.findall(r"(?m)^#+ (.*)$", found.read_text("utf-8"))
            assert anchor in [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads]


def test_pictures_are_small_and_all_are_shown():
    pictures = list((ROOT / "samples" / "pictures").iterdir())
    assert sum(path.stat().st_size for path in pictures) < 400_000
    assert all(f"(samples/pictures/{path.name})" in TEXT for path in pictures)


def test_table_of_borders():
    rows = table("border")
    named = {}
    for name, row, others in rows:
        border = re.match(r"`(\w+)`", name)[1]
        before, inside, after = (part.split() for part in row.strip("`").split("│"))
        line = np.array(inside, float).reshape(1, 1, 4, 1)
        sides = (0, len(after), 0, len(before))
        padded = pad(line, sides, border).ravel()
        assert padded.tolist() == [float(value) for value in [*before, *inside, *after]], border
        words = set(re.findall(r"`([a-z]\w+)`", others))
        named |= dict.fromkeys((words & MODES.keys()) | {border}, border)
    assert named == MODES


def test_table_of_ranges():
    assert [re.match(r"`(\w+)`", row[0])[1] for row in table("`--range`")] == list(RANGES)


def test_configuration_example(tmp_path):
    variables = console_blocks.surroundings(tmp_path)
    (tmp_path / "own.toml").write_text(block("toml"), "utf-8")
    job = "convolve samples/lecture-b.png -k lecture --values"
    configured = shell.run(f"cnntool --config own.toml {job}", tmp_path, variables)
    explicit = shell.run(f"cnntool {job} --border edge --jobs 2", tmp_path, variables)
    assert configured.returncode == explicit.returncode == 0
    assert configured.stdout == explicit.stdout
    assert shell.run(f"cnntool {job}", tmp_path, variables).stdout != explicit.stdout


def test_completion_line_gives_a_script(tmp_path):
    variables = shell.environment(tmp_path) | {"_CNNTOOL_COMPLETE": "bash_source"}
    done = shell.run("cnntool", tmp_path, variables)
    assert 'eval "$(_CNNTOOL_COMPLETE=bash_source cnntool)"' in TEXT
    assert done.returncode == 0
    subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)


def test_runner_of_examples_finds_differences():
    text = "```console\n$ a\n1 … 3\n$ b\n…\nend\n```\n```sh\n$ c\n```\n"
    first, second = console_blocks.examples(text)
    assert (first.command, first.line, first.expected) == ("a", 2, ("1 … 3",))
    assert first.fits("1 2 3\n") and not first.fits("1 2 4\n") and not first.fits("1 2 3\n4\n")
    assert second.fits("end\n") and second.fits("x\ny\nend\n") and not second.fits("end\nx\n")


def test_runner_of_examples_writes_them_anew(tmp_path):
    text = "```console\n$ echo new\nold\n$ echo kept\nk…t\n```\n"
    expected = "```console\n$ echo new\nnew\n$ echo kept\nk…t\n```\n"
    assert console_blocks.renewed(text, pathlib.Path(tmp_path)) == expected
