"""What the source must never hold: ways to run code from data, and imports that cost a second."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1] / "cnntool"
MODULES = sorted(ROOT.rglob("*.py"))

UNSAFE_MODULES = {
    "pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "yaml",
    "xml", "imp", "code", "codeop", "pty",
}  # fmt: skip
"""These run code from data, or unpack more than was asked for."""

NETWORK = {"socket", "ssl", "http", "urllib", "ftplib", "smtplib", "asyncio", "requests"}
PROCESSES = {"subprocess", "multiprocessing"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
HEAVY = {
    "scipy.signal", "scipy.ndimage", "scipy.stats", "scipy.optimize", "scipy.sparse",
    "scipy.interpolate", "matplotlib", "skimage", "cv2", "torch", "onnx", "pandas",
}  # fmt: skip
"""Each takes from a tenth of a second to a second to import: only inside functions."""

MAY_USE_NETWORK = {"data/fetch.py"}
MAY_START_PROCESSES: set[str] = set()
MAY_FORK = {"nn/processes.py"}
"""It takes care of the copies: ends them, never lets them into the caller's code."""

MEMORY_POOLS = {"memory.Pool"}
"""Pools that keep arrays of :mod:`cnntool.ops.memory`, no processes."""


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def imports(tree, *, top_only=False):
    """(name of the module, line) of every import; of functions' too, unless ``top_only``."""
    nodes = _at_import(tree) if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            yield node.module, node.lineno
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def _at_import(node):
    """Statements that run when the module is imported, those for type checkers left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _at_import(child)


def within(module, forbidden):
    """Whether ``module`` is one of ``forbidden`` or lies below one."""
    return any(module == name or module.startswith(f"{name}.") for name in forbidden)


def dotted(node):
    """``np.load`` for the expression np.load; '' for what is no plain name."""
    try:
        return ast.unparse(node)
    except (AttributeError, ValueError):
        return ""


@pytest.fixture(params=MODULES, ids=name_of)
def module(request):
    return request.param, ast.parse(request.param.read_text("utf-8"))


def test_there_are_modules():
    assert len(MODULES) > 60


def test_source_is_safe(module):
    path, tree = module
    name = name_of(path)
    found = []
    for imported, line in imports(tree):
        unsafe = within(imported, UNSAFE_MODULES)
        unsafe |= within(imported, NETWORK) and name not in MAY_USE_NETWORK
        unsafe |= within(imported, PROCESSES) and name not in MAY_START_PROCESSES
        unsafe |= within(imported, {"cupy", "cupyx"}) and name != "backend.py"
        if unsafe:
            found.append(f"{name}:{line} imports {imported}")
    for node in ast.walk(tree):
        allowed = {"forks"} if name in MAY_FORK else set()
        found += [f"{name}:{node.lineno} {words}" for words in {*_unsafe(node)} - allowed]
    assert found == []


def _unsafe(node):
    """What is wrong with one node, in words."""
    if isinstance(node, ast.Call):
        function = dotted(node.func)
        last = function.rsplit(".", 1)[-1]
        keywords = {keyword.arg: dotted(keyword.value) for keyword in node.keywords}
        if function in UNSAFE_CALLS:
            yield f"calls {function}"
        if function in ("os.system", "os.popen", "os.startfile") or last.startswith(
            ("execv", "execl", "spawnv", "spawnl")
        ):
            yield f"starts another program by {function}"
        if function in ("os.fork", "os.forkpty"):
            yield "forks"
        if keywords.get("shell") == "True":
            yield "runs a shell"
        if last == "Pool" and function not in MEMORY_POOLS:
            yield "makes a pool that hangs when a worker dies"
        if function in ("np.load", "numpy.load", "xp.load"):
            if keywords.get("allow_pickle") != "False":
                yield "loads arrays without allow_pickle=False"
        if keywords.get("allow_pickle") not in (None, "False"):
            yield "allows pickles"
        if function in ("Image.open", "PIL.Image.open") and "formats" not in keywords:
            yield "opens any format that Pillow knows, EPS among them"
        if function in ("tempfile.mktemp", "torch.load", "np.fromregex", "np.genfromtxt"):
            yield f"calls {function}"
        if function in ("extract", "extractall") or last == "extractall":
            yield "unpacks an archive to names that the archive chose"
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if "LOAD_TRUNCATED" in dotted(target):
                yield "reads truncated pictures as if they were whole"
            if "MAX_IMAGE_PIXELS" in dotted(target) and dotted(node.value) == "None":
                yield "switches Pillow's limit off"
    if isinstance(node, ast.Attribute) and dotted(node) in ("np.random.seed", "random.seed"):
        yield "touches global random state"


def test_top_of_module_is_light(module):
    _, tree = module
    slow = [(m, line) for m, line in imports(tree, top_only=True) if within(m, HEAVY)]
    assert slow == []


def test_only_the_backend_knows_devices(module):
    """No other module asks for CUDA by name in a string either."""
    path, tree = module
    if name_of(path) == "backend.py":
        return
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func) == "importlib.import_module"
    ]
    for call in calls:
        assert "cupy" not in ast.unparse(call)


GUILTY = [
    ("import pickle", "imports pickle"),
    ("from marshal import loads", "imports marshal"),
    ("def f():\n    import urllib.request", "imports urllib"),
    ("import subprocess", "imports subprocess"),
    ("from cupy import cuda", "imports cupy"),
]


@pytest.mark.parametrize("source, words", GUILTY)
def test_guard_sees_imports(source, words):
    names = {name for name, _ in imports(ast.parse(source))}
    bad = UNSAFE_MODULES | NETWORK | PROCESSES | {"cupy"}
    assert any(within(name, bad) for name in names), words


@pytest.mark.parametrize("source", [
    "eval('1')", "exec(text)", "np.load(path)", "np.load(path, allow_pickle=True)",
    "subprocess.run(x, shell=True)", "mp.Pool(4)", "Image.open(path)", "os.system('ls')",
    "ImageFile.LOAD_TRUNCATED_IMAGES = True", "Image.MAX_IMAGE_PIXELS = None",
    "archive.extractall()", "np.lib.format.read_array(f, allow_pickle=True)",
    "np.random.seed(1)", "os.fork()", "multiprocessing.Pool()",
])  # fmt: skip
def test_guard_sees_calls(source):
    assert [words for node in ast.walk(ast.parse(source)) for words in _unsafe(node)]


@pytest.mark.parametrize("source", [
    "np.load(path, allow_pickle=False)", "Image.open(data, formats=('PNG',))",
    "re.compile('a')", "memory.Pool()", "table.evaluate(1)", "Image.MAX_IMAGE_PIXELS = 10 ** 9",
])  # fmt: skip
def test_guard_lets_pass(source):
    assert not [words for node in ast.walk(ast.parse(source)) for words in _unsafe(node)]
