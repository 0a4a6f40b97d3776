"""``cnntool info``: what to put into a report of a bug."""

import csv
import io
import json
import platform

import numpy
from cli_runner import done, process

import cnntool


def test_table():
    lines = done("info").lines
    names = [line.split()[0] for line in lines]
    for name in ("cnntool", "python", "numpy", "scipy", "pillow", "cupy", "blas", "cores", "gpu"):
        assert name in names
    column = lines[0].index(cnntool.__version__)
    assert all(line[column - 2 : column] == "  " and line[column] != " " for line in lines)
    found = {line.split()[0]: line[column:] for line in lines}
    assert found["cnntool"] == cnntool.__version__
    assert found["python"].startswith(platform.python_version())
    assert found["numpy"] == numpy.__version__


def test_json():
    found = json.loads(done("info", "--json").stdout)
    assert found["cnntool"] == cnntool.__version__
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 1 << 20


def test_other_forms():
    table = list(csv.reader(io.StringIO(done("info", "--csv").text)))
    assert table[0] == ["name", "value"]
    assert table[1] == ["cnntool", cnntool.__version__]
    assert done("info", "--as", "tsv").lines[1] == f"cnntool\t{cnntool.__version__}"
    entries = [json.loads(line) for line in done("info", "--as", "jsonl").lines]
    assert entries[0] == {"name": "cnntool", "value": cnntool.__version__}


def test_says_why_there_is_no_gpu(tmp_path):
    """A CuPy that cannot be imported is one reason; the words are a sentence."""
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy/__init__.py").write_text("raise ImportError('libcuda is not here')")
    result = process("info", "--json", env={"PYTHONPATH": str(tmp_path)})
    assert result.status == 0
    found = json.loads(result.stdout)
    assert found["auto_device"] == "cpu"
    assert found["gpu"].startswith("not used: ")
    assert len(found["gpu"]) > 20


def test_gpu_is_told(double_as_gpu):
    found = json.loads(done("info", "--json").stdout)
    assert found["gpu"] == "works"
    assert found["auto_device"].startswith("gpu")
    assert any(name.startswith("gpu:") for name in found)


def test_variables_are_told():
    found = json.loads(done("info", "--json", env={"CNNTOOL_JOBS": "2"}).stdout)
    assert "CNNTOOL_JOBS=2" in found["variables"]
