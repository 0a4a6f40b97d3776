import errno
import io
import os
import stat
import subprocess
import sys
import threading

import numpy as np
import picture_files as files
import pytest
from PIL import Image

from cnntool.errors import InputError, LimitError, SystemFailure
from cnntool.images import Limits, read, read_bytes, reading

RNG = np.random.default_rng(9)
COLOR = RNG.integers(0, 256, (6, 9, 3)).astype(np.uint8)
DATA = files.saved(Image.fromarray(COLOR), "PNG")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(DATA)
    return path


class TestBytes:
    def test_file(self, path):
        assert read_bytes(path) == read_bytes(str(path)) == DATA
        assert read_bytes(path, limits=Limits("exact", file_size=len(DATA))) == DATA

    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match=r"^no such file$"):
            read_bytes(tmp_path / "none.png")

    def test_folder(self, tmp_path):
        with pytest.raises(InputError, match=r"^a folder, not a file$"):
            read_bytes(tmp_path)

    def test_empty(self, tmp_path):
        (tmp_path / "empty.png").touch()
        with pytest.raises(InputError, match=r"^the file is empty$"):
            read_bytes(tmp_path / "empty.png")

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
    def test_no_permission(self, path):
        path.chmod(0)
        with pytest.raises(InputError, match=r"^no permission to read it$"):
            read_bytes(path)

    def test_no_permission_for_anybody(self, path, monkeypatch):
        def refuse(*args, **options):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(reading, "open", refuse, raising=False)
        with pytest.raises(InputError, match=r"^no permission to read it$"):
            read_bytes(path)

    @pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
    def test_device(self):
        with pytest.raises(InputError, match=r"^a device, not a file$"):
            read_bytes("/dev/zero")

    def test_name_with_a_nul(self):
        with pytest.raises(InputError, match=r"^no possible file name: embedded null"):
            read_bytes("a\0b")

    def test_name_that_is_too_long(self):
        with pytest.raises(InputError, match=r"^cannot be read: File name too long"):
            read_bytes("x" * 5000)

    def test_other_trouble_with_one_file(self, path, monkeypatch):
        def fail(*args, **options):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(reading, "open", fail, raising=False)
        with pytest.raises(InputError, match=r"^cannot be read: Input/output error$"):
            read_bytes(path)

    def test_too_many_open_files_is_no_fault_of_the_input(self, path, monkeypatch):
        def fail(*args, **options):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        monkeypatch.setattr(reading, "open", fail, raising=False)
        with pytest.raises(SystemFailure, match=r"^cannot be read: Too many open files$") as caught:
            read_bytes(path)
        assert caught.value.errno == errno.EMFILE

    def test_large_file_is_refused_before_it_is_read(self, tmp_path):
        with open(tmp_path / "large.png", "wb") as file:
            file.truncate(1 << 40)  # a hole
        with pytest.raises(LimitError, match=r"the file is larger than 512\.0 MiB; --limits off"):
            read_bytes(tmp_path / "large.png")

    def test_file_that_grows_while_it_is_read(self, path, monkeypatch):
        real = os.fstat

        def smaller(descriptor):
            status = list(real(descriptor))
            if stat.S_ISREG(status[0]):
                status[6] = 10
            return os.stat_result(status)

        monkeypatch.setattr(os, "fstat", smaller)
        assert read_bytes(path) == DATA
        with pytest.raises(LimitError):
            read_bytes(path, limits=Limits("tiny", file_size=20))

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_named_pipe(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        data = RNG.bytes(3 << 20)
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,))
        writer.start()
        assert read_bytes(tmp_path / "pipe") == data
        writer.join()

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_named_pipe_without_an_end(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")

        def pour():
            with open(tmp_path / "pipe", "wb") as pipe, pytest.raises(BrokenPipeError):
                while True:
                    pipe.write(bytes(1 << 16))

        writer = threading.Thread(target=pour)
        writer.start()
        with pytest.raises(LimitError, match="the file is larger than"):
            read_bytes(tmp_path / "pipe", limits=Limits("small", file_size=4 << 20))
        writer.join()


class TestStandardInput:
    def test_stream(self):
        assert read_bytes("-", stdin=io.BytesIO(DATA)) == DATA
        np.testing.assert_array_equal(read("-", stdin=io.BytesIO(DATA)).pixels, COLOR)

    def test_redirected_file(self, path):
        with open(path, "rb") as file:
            assert read_bytes("-", stdin=file) == DATA

    def test_process(self):
        code = "from cnntool.images import read; print(read('-').pixels.sum())"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, input=DATA, capture_output=True, check=True)
        assert int(done.stdout) == COLOR.sum(dtype=int)

    def test_limit(self):
        with pytest.raises(LimitError, match="the file is larger than"):
            read_bytes("-", stdin=io.BytesIO(bytes(2 << 20)), limits=Limits("small", file_size=9))

    def test_empty(self):
        with pytest.raises(InputError, match=r"^standard input is empty$"):
            read_bytes("-", stdin=io.BytesIO())

    def test_closed(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", None)
        with pytest.raises(InputError, match=r"^standard input is closed$"):
            read_bytes("-")

    def test_terminal(self):
        class Terminal(io.BytesIO):
            def isatty(self):
                return True

        with pytest.raises(InputError, match="standard input is a terminal; name a file or pipe"):
            read_bytes("-", stdin=Terminal())

    def test_folder(self):
        class Folder(io.BytesIO):
            def read(self, size=-1):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))

        with pytest.raises(InputError, match=r"^cannot be read: Is a directory$"):
            read_bytes("-", stdin=Folder())
