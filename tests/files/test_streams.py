"""Standard output: full disks and closed descriptors are failures, a closed pipe is not."""

import errno
import io
import os

import pytest

from cnntool.errors import SystemFailure
from cnntool.files import send, standard_output

needs_dev_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


def test_send_writes_at_once(tmp_path):
    with open(tmp_path / "x", "wb") as stream:
        send(stream, b"abc")
        assert (tmp_path / "x").read_bytes() == b"abc"


@needs_dev_full
def test_full_disk():
    with open("/dev/full", "wb") as stream:
        with pytest.raises(
            SystemFailure, match="standard output: cannot be written: No space"
        ) as e:
            send(stream, b"abc")
        assert e.value.errno == errno.ENOSPC
        # what could not be written is not tried again when the stream is closed


def test_closed_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError), open(writing, "wb", buffering=0) as stream:
        send(stream, b"abc")


def test_closed_standard_output(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(SystemFailure, match="standard output: cannot be written: Bad file desc"):
        standard_output()


def test_text_before_bytes(monkeypatch):
    raw = io.BytesIO()
    text = io.TextIOWrapper(raw, write_through=False)
    monkeypatch.setattr("sys.stdout", text)
    text.write("first ")
    send(standard_output(), b"second")
    assert raw.getvalue() == b"first second"
