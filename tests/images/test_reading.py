import os
import pathlib
import shutil
import subprocess
import sys
import threading

import numpy as np
import picture_files as files
import pytest
from PIL import Image

from cnntool.errors import InputError, LimitError
from cnntool.images import Limits, decode, inspect, opened, read, reading

RNG = np.random.default_rng(9)
COLOR = RNG.integers(0, 256, (6, 9, 3)).astype(np.uint8)
DATA = files.saved(Image.fromarray(COLOR), "PNG")
TINY = Limits("tiny", memory_budget=10_000, side=1000, file_size=3000, frames=3)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(DATA)
    return path


class TestOpened:
    def test_picture(self, path):
        with opened(path) as picture:
            np.testing.assert_array_equal(picture.pixels, COLOR)
        np.testing.assert_array_equal(read(str(path)).pixels, COLOR)

    def test_content_counts_and_not_the_name(self, tmp_path):
        (tmp_path / "cat.jpg").write_bytes(DATA)
        assert read(tmp_path / "cat.jpg").format == "png"

    def test_input_is_not_touched(self, path):
        before = path.stat()
        read(path)
        assert path.stat().st_mtime_ns == before.st_mtime_ns
        assert path.read_bytes() == DATA

    def test_only_the_block_holds_the_picture(self, path):
        import weakref

        with opened(path) as picture:
            watched = weakref.ref(picture)
            del picture
            assert watched() is None

    def test_memory_is_held_while_the_block_runs(self, path):
        budget = Limits("two", memory_budget=6 * 9 * (17 + 12) * 3 // 2)
        inside = []
        overlap = []

        def work():
            for _ in range(10):
                with opened(path, limits=budget, kernels=1):
                    inside.append(1)
                    overlap.append(len(inside))
                    threading.Event().wait(0.001)
                    inside.pop()

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert max(overlap) == 1
        assert len(overlap) == 30

    def test_kernels_count(self, path):
        just = Limits("just", memory_budget=6 * 9 * (17 + 2 * 12))
        with opened(path, limits=just, kernels=2):
            pass
        message = r"9 x 6 pixels and 3 results need 2\.8 KiB of memory, the budget is 2\.2 KiB"
        with pytest.raises(LimitError, match=message), opened(path, limits=just, kernels=3):
            pass
        with pytest.raises(LimitError, match="9 x 6 pixels need"):
            decode(DATA, limits=Limits("less", memory_budget=6 * 9 * 17 - 1))

    def test_files_are_closed(self, path):
        if not os.path.isdir("/proc/self/fd"):
            pytest.skip("needs /proc")
        formats = ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]
        image = Image.fromarray(COLOR)
        paths = []
        for format in formats:
            (path.parent / format).write_bytes(files.saved(image, format))
            paths.append(path.parent / format)
        for path in paths:
            read(path)
        before = len(os.listdir("/proc/self/fd"))
        for path in paths * 5:
            read(path)
        assert len(os.listdir("/proc/self/fd")) == before


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "what"),
        [
            (b"%!PS-Adobe-3.0 EPSF-3.0\n", "an EPS or PostScript file"),
            (b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF file"),
            (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 file"),
            (b"#!/bin/sh\n", "of unknown content"),
            (b"\0" * 100, "of unknown content"),
        ],
    )
    def test_other_contents(self, data, what):
        names = "readable are png, jpeg, gif, bmp, tiff, webp, pnm, pfm and npy"
        with pytest.raises(InputError, match=f"^not a picture: {what}; {names}$"):
            decode(data)

    @pytest.mark.parametrize(
        "format", ["AVIF", "JPEG2000", "TGA", "PCX", "ICO", "SGI", "QOI", "DDS"]
    )
    def test_formats_that_pillow_would_read(self, format):
        try:
            data = files.saved(Image.fromarray(COLOR), format)
        except (KeyError, OSError):
            pytest.skip(f"this Pillow cannot write {format}")
        with pytest.raises(InputError, match=r"^not a picture: .*; readable are png"):
            decode(data)

    def test_nothing(self):
        with pytest.raises(InputError, match=r"^the file is empty$"):
            decode(b"")

    @pytest.mark.skipif(os.name != "posix", reason="needs a shell script")
    def test_ghostscript_is_never_run(self, tmp_path):
        marker = tmp_path / "it ran"
        for name in ("gs", "gswin64c"):
            (tmp_path / name).write_text(f"#!/bin/sh\ntouch '{marker}'\n")
            (tmp_path / name).chmod(0o755)
        eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
        (tmp_path / "eps.png").write_bytes(eps)
        code = (
            "import sys; from cnntool.errors import InputError; from cnntool.images import read\n"
            "try: read(sys.argv[1])\n"
            "except InputError as error: print(error)\n"
        )
        environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
        assert shutil.which("gs", path=environment["PATH"]) == str(tmp_path / "gs")
        command = [sys.executable, "-c", code, str(tmp_path / "eps.png")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert "an EPS or PostScript file" in done.stdout
        assert not marker.exists()


class TestDecodersErrors:
    @pytest.mark.parametrize(
        "error",
        [
            OSError("image file is truncated (3 bytes not processed)"), SyntaxError("broken"),
            ValueError("bad"), TypeError("bad"), IndexError("bad"), KeyError("bad"),
            AttributeError("bad"), EOFError(), RuntimeError("bad"), NotImplementedError(),
            RecursionError("bad"), OverflowError("bad"), ZeroDivisionError("bad"),
            AssertionError(), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), UserWarning("bad"),
            Image.DecompressionBombError("bad"), __import__("struct").error("bad"),
            __import__("zlib").error("bad"), LookupError("bad"),
        ],
    )  # fmt: skip
    def test_every_class_becomes_ours(self, error, monkeypatch):
        def fail(data, header):
            raise error

        monkeypatch.setattr(reading, "decode_with_pillow", fail)
        with pytest.raises(InputError, match=r"^(truncated|damaged) PNG \(.+\)$") as caught:
            decode(DATA)
        assert caught.value.__cause__ is error

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (EOFError(), "truncated PNG (the picture data end too early)"),
            (OSError("image file is truncated"), "truncated PNG (the picture data end too early)"),
            (SyntaxError("broken PNG file"), "damaged PNG (broken PNG file)"),
            (NotImplementedError(), "damaged PNG (NotImplementedError)"),
            (ValueError("a\nb\x1b[31m"), r"damaged PNG (a b\033[31m)"),
        ],
    )
    def test_reason(self, error, message, monkeypatch):
        def fail(data, header):
            raise error

        monkeypatch.setattr(reading, "decode_with_pillow", fail)
        with pytest.raises(InputError) as caught:
            decode(DATA)
        assert str(caught.value) == message

    def test_reason_is_short(self, monkeypatch):
        def fail(data, header):
            raise ValueError("long " * 1000)

        monkeypatch.setattr(reading, "decode_with_pillow", fail)
        with pytest.raises(InputError) as caught:
            decode(DATA)
        assert len(str(caught.value)) <= 200

    def test_no_memory(self, monkeypatch):
        def fail(data, header):
            raise MemoryError

        monkeypatch.setattr(reading, "decode_with_pillow", fail)
        with pytest.raises(
            LimitError, match=r"^9 x 6 pixels do not fit the memory that is left; try"
        ):
            decode(DATA)
        monkeypatch.setitem(reading._INSPECTORS, "png", lambda data: fail(data, None))
        with pytest.raises(LimitError, match=r"^the header does not fit the memory that is left"):
            decode(DATA)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_wishes_to_stop_pass(self, error, monkeypatch):
        def fail(data, header):
            raise error

        monkeypatch.setattr(reading, "decode_with_pillow", fail)
        with pytest.raises(error):
            decode(DATA)


class TestLimits:
    @pytest.mark.parametrize(
        ("name", "data", "match"),
        [
            ("34 bytes of WebP", files.webp_bomb(16383, 5000), "16383 x 5000 pixels need 1.3 GiB"),
            ("tall PNG", files.png(1, 80_000_000, b""), "1 x 80000000 pixels: a side is longer"),
            ("large PNG", files.png(20_000, 20_000, b""), "20000 x 20000 pixels need 6.3 GiB"),
            ("large PGM", b"P5 20000 20000 255\n", "20000 x 20000 pixels need"),
            ("large BMP", b"BM" + bytes(12) + b"\x28\0\0\0" + b"\0\x40\0\0" * 2, "16384 x 16384"),
            ("large PFM", b"PF 20000 20000 1\n", "20000 x 20000 pixels need"),
            ("many frames", files.gif([np.zeros((1, 1), int)] * 2000, np.zeros((256, 3))),
             "2000 frames are more than 1000"),
        ],
    )  # fmt: skip
    def test_bombs(self, name, data, match):
        with pytest.raises(LimitError, match=match) as caught:
            decode(data, limits="strict")
        assert "--limits off" in str(caught.value)
        assert len(str(caught.value)) <= 200

    def test_tiles_larger_than_the_picture_count(self):
        import struct

        tags = {
            256: 9,
            257: 6,
            258: 8,
            259: 5,
            262: 1,
            277: 1,
            322: 60_000,
            323: 60_000,
            324: 8,
            325: 9,
        }
        page = struct.pack("<H", len(tags))
        page += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
        with pytest.raises(LimitError, match="9 x 6 pixels need"):
            decode(b"II*\0\x08\0\0\0" + page + bytes(4), limits="strict")

    def test_own_profile(self):
        with pytest.raises(LimitError, match="1001 x 1 pixels: a side is longer than 1000"):
            decode(files.png(1001, 1, b""), limits=TINY)
        with pytest.raises(LimitError, match=r"file is larger than 2\.9 KiB"):
            decode(DATA + bytes(3000), limits=TINY)
        assert inspect(DATA, limits=TINY).width == 9

    @pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
    def test_bombs_cost_little_memory(self, tmp_path):
        bombs = {
            "webp": files.webp_bomb(),
            "tall": files.png(1, 80_000_000, bytes(80_000_000 * 2 >> 8)),
            "wide": files.png(20_000, 20_000, bytes(1 << 20)),
            "lie": files.png(7000, 7000, b"\0"),
            "pgm": b"P5 7000 7000 255\nABC",
            "npy": b"\x93NUMPY\x02\0\xff\xff\xff\x3f" + bytes(99),
        }
        for name, data in bombs.items():
            (tmp_path / name).write_bytes(data)
        code = (
            "import re, sys\n"
            "from cnntool.errors import InputError\n"
            "from cnntool.images import read\n"
            "for path in sys.argv[1:]:\n"
            "    try: read(path, limits='strict')\n"
            "    except InputError as error: print(error)\n"
            # ru_maxrss would begin with the peak of the process that started this one
            "print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])\n"
        )
        command = [sys.executable, "-c", code, *(str(tmp_path / name) for name in bombs)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        *errors, peak = done.stdout.splitlines()
        assert len(errors) == len(bombs), done.stdout
        assert int(peak) < 300 * 1024


def test_no_code_runs_and_nothing_else_is_opened(path):
    for format in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        data = files.saved(Image.fromarray(COLOR), format)
        decode(data)  # imports are done now
        events = watched_events(lambda data=data: decode(data))
        assert events == []
    events = watched_events(lambda: read(path))
    assert [event for event, _ in events] == ["open"]


def watched_events(act):
    """Events of the interpreter's audit that would mean trouble, while ``act`` runs."""
    watched = (
        "import",
        "exec",
        "compile",
        "open",
        "subprocess.Popen",
        "os.system",
        "socket.connect",
    )
    me = threading.get_ident()
    events = []
    active = True

    def hook(event, arguments):
        if active and event in watched and threading.get_ident() == me:
            events.append((event, arguments))

    sys.addaudithook(hook)
    try:
        act()
    finally:
        active = False
    return events


def test_pillow_is_called_in_no_unsafe_way():
    """No path reaches Pillow, truncated files are never allowed, nothing is evaluated."""
    folder = pathlib.Path(reading.__file__).parent
    text = "".join(path.read_text("utf-8") for path in folder.glob("*.py"))
    for word in ("Image.open(", "LOAD_TRUNCATED", "np.load(", "eval(", "exec(", "pickle.", "mmap"):
        assert word not in text, word
