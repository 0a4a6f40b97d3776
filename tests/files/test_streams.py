"""Standard output: full disks and closed descriptors are failures, a closed pipe is not."""

import errno
import io
import os
import threading

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


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_pipe_that_does_not_wait(buffering):
    """Some programs leave it so behind; a slow reader still gets every byte."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = os.urandom(300_000)
    found = []

    def read():
        while block := os.read(reading, 5000):
            found.append(block)

    reader = threading.Thread(target=read)
    reader.start()
    with open(writing, "wb", buffering=buffering) as stream:
        send(stream, data)
    reader.join()
    os.close(reading)
    assert b"".join(found) == data


def test_short_writes():
    class Short(io.RawIOBase):
        taken = b""

        def writable(self):
            return True

        def write(self, data):
            self.taken += bytes(data[:7])
            return len(data[:7])

    stream = Short()
    send(stream, bytes(range(100)))
    assert stream.taken == bytes(range(100))


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
