"""Nothing is half added: these tests name the line that was forgotten."""

import ast
import importlib
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

import cnntool
from cnntool.cli import COMMANDS
from cnntool.cli.lazy import module_of
from cnntool.filters.kernel_families import FAMILIES
from cnntool.filters.kernels import KERNELS

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOORS = ("cnntool.filters", "cnntool.images", "cnntool.ops")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def modules() -> list[pathlib.Path]:
    return sorted((ROOT / "cnntool").rglob("*.py"))


def fresh(code: str) -> None:
    """Run code in a new interpreter."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------- commands
@pytest.mark.parametrize("name", COMMANDS)
class TestCommand:
    def test_has_a_module_with_its_line_of_help(self, name):
        path = ROOT / "cnntool" / "cli" / "commands" / f"{module_of(name)}.py"
        assert path.exists(), f"write {path.relative_to(ROOT)}"
        command = importlib.import_module(f"cnntool.cli.commands.{path.stem}").command
        assert command.get_short_help_str(300) == COMMANDS[name], f"line of {name} in COMMANDS"
        assert command.examples, f"{path.relative_to(ROOT)} gives no examples"
        assert all("cnntool" in line for line in command.examples)

    def test_has_a_manual_page(self, name):
        path = ROOT / "man" / f"cnntool-{name}.1"
        assert path.exists(), "run: python tests/generate_pages.py"

    def test_is_shown_in_readme(self, name):
        text = (ROOT / "README.md").read_text("utf-8")
        assert f"| `cnntool {name}` |" in text, "run: python tests/generate_pages.py"

    def test_is_tested(self, name):
        word = re.compile(rf"[\"' ]{name}[\"' ]")
        texts = (path.read_text("utf-8") for path in (ROOT / "tests" / "cli").glob("test_*.py"))
        assert any(map(word.search, texts)), f"no test in tests/cli/ runs {name}"


def test_every_command_module_is_in_the_table():
    stems = {p.stem for p in (ROOT / "cnntool" / "cli" / "commands").glob("[a-z]*.py")}
    assert stems == {module_of(name) for name in COMMANDS}


# -------------------------------------------------------------------------------------- kernels
def test_every_kernel_is_listed():
    runner = importlib.import_module("cli_runner")
    result = runner.invoke("kernels", "--as", "tsv")
    listed = {line.split("\t")[0] for line in result.lines[1:]}
    assert result.status == 0
    assert listed == set(KERNELS) | {family.example for family in FAMILIES.values()}


# -------------------------------------------------------------------------------------- library
@pytest.mark.parametrize("door", DOORS)
def test_lists_of_a_door_agree(door):
    module = importlib.import_module(door)
    tree = ast.parse(pathlib.Path(module.__file__).read_text("utf-8"))
    typed = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for line in node.body
        for alias in line.names
    }
    assert typed == set(module.__all__), f"names under TYPE_CHECKING in {door}"
    assert len(module.__all__) == len(set(module.__all__))
    assert set(module.__all__) <= set(dir(module)) or door == "cnntool.images"
    for name in module.__all__:
        assert getattr(module, name, None) is not None, f"{door} does not find {name}"


def public() -> list[str]:
    module = importlib.import_module("cnntool.filters")
    return [name for name in module.__all__ if callable(getattr(module, name))]


@pytest.mark.parametrize("name", public())
def test_public_names_of_filters_have_an_example(name):
    filters = importlib.import_module("cnntool.filters")
    doc = getattr(filters, name).__doc__ or ""
    if isinstance(getattr(filters, name), type) and name != "Levels" and name != "Kernel":
        assert "Attributes:" in doc or issubclass(getattr(filters, name), tuple)
    else:
        assert "Example:" in doc and ">>>" in doc, f"the docstring of {name} needs an Example"


@pytest.mark.parametrize("door", DOORS)
def test_door_refuses_what_it_does_not_have(door):
    with pytest.raises(AttributeError, match=f"'{door}' has no attribute 'nothing'"):
        importlib.import_module(door).nothing  # noqa: B018


def test_functions_win_over_modules_of_their_name():
    fresh(
        "import cnntool.filters, cnntool.filters.edges\n"
        "from cnntool.filters import hog_image, hog, edges, convolve, pool, flatten, canny\n"
        "for f in (hog, edges, convolve, pool, flatten, canny):\n"
        "    assert type(f).__name__ == 'function', f\n"
        "from cnntool.filters.edges import edges as same\n"
        "assert same is edges is cnntool.filters.edges\n"
    )


@pytest.mark.parametrize("door", DOORS)
def test_doors_load_nothing_heavy(door):
    words = " cnntool.filters.words, cnntool.filters.kernels, cnntool.filters.operators,"
    fresh(
        f"import sys, {door},{words if door == 'cnntool.filters' else ''} cnntool.errors\n"
        "heavy = {'numpy', 'scipy', 'PIL', 'cupy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )


# ------------------------------------------------------------------------------------ packaging
def test_version_is_a_literal_and_in_the_changelog():
    tree = ast.parse((ROOT / "cnntool" / "__init__.py").read_text("utf-8"))
    docstring, version = tree.body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(version, ast.Assign) and ast.literal_eval(version.value)
    assert re.fullmatch(r"\d+\.\d+\.\d+", cnntool.__version__)
    newest = re.search(r"(?m)^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"))[1]
    assert newest.rstrip(",") == cnntool.__version__


def test_licence_and_type_marker_are_shipped():
    assert (ROOT / "LICENSE").read_text("utf-8").startswith("MIT License")
    assert (ROOT / "cnntool" / "py.typed").exists()
    texts = PROJECT["project"]["license-files"]
    assert texts == ["LICENSE", "cnntool/data/mnist/LICENCE-MNIST.md"]
    assert "CC BY-SA 3.0" in (ROOT / texts[1]).read_text("utf-8")


def test_source_distribution_holds_what_tests_need():
    sdist = set(PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    assert {"cnntool", "tests", "samples", "man"} <= {name.strip("/") for name in sdist}
    for name in sdist:
        assert (ROOT / name.strip("/")).exists(), name


def test_every_package_needed_is_declared():
    declared = {re.split(r"[<>=\[]", line)[0] for line in PROJECT["project"]["dependencies"]}
    names = {"PIL": "pillow"}
    optional = {"cupy", "cupyx", "matplotlib"}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found = [node.module]
            else:
                continue
            for top in {name.split(".")[0] for name in found} - sys.stdlib_module_names - optional:
                assert top == "cnntool" or names.get(top, top) in declared, f"{path}: {top}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_short_and_says_what_it_holds(path):
    text = path.read_text("utf-8")
    assert text.count("\n") <= 450, "one idea a file"
    assert len(ast.get_docstring(ast.parse(text)) or "") > 10, "no docstring worth the name"
