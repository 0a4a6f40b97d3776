"""A place for the files of a test."""

import pytest


@pytest.fixture
def file(tmp_path):
    """Writes bytes to a file and gives its name."""

    def write(data, name="net.onnx"):
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write
