"""A picture is data: nothing in it runs, nothing is fetched, no other program starts."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from watched import WATCHED, Trap, watched


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("in")
    return tmp_path


def test_hostile_inputs_run_nothing(here):
    """EPS with a Ghostscript at hand, pickles in arrays and alone, archives, scripts."""
    os.mkdir("bin")
    for name in ("gs", "gswin64c", "convert", "dwebp"):
        with open(f"bin/{name}", "w") as file:
            file.write("#!/bin/sh\ntouch trapped\n")
        os.chmod(f"bin/{name}", 0o755)
    objects = np.empty((4, 4), object)
    objects[...] = Trap()
    np.save("in/objects.npy", objects, allow_pickle=True)
    with open("in/pickle.npy", "wb") as file:
        pickle.dump(Trap(), file)
    with open("in/pickle.png", "wb") as file:
        pickle.dump(Trap(), file)
    np.savez("in/archive.npz", a=objects)
    os.rename("in/archive.npz", "in/archive.npy")
    structured = np.lib.format.magic(1, 0)
    code = b"{'descr': __import__('os').system('touch trapped'), 'shape': (1, 1)}"
    text = code + b" " * (-(10 + len(code) + 1) % 64) + b"\n"
    with open("in/code.npy", "wb") as file:
        file.write(structured + len(text).to_bytes(2, "little") + text + bytes(64))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(trapped) (w) file closefile\n"
    for name in ("real.eps", "named.png", "named.jpg"):
        with open(f"in/{name}", "wb") as file:
            file.write(eps)
    with zipfile.ZipFile("in/zip.png", "w") as archive:
        archive.writestr("../trapped", "x")
    for name, text in (
        ("svg.png", '<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>'),
        ("mvg.png", "push graphic-context\nfill 'url(https://127.0.0.1/x|touch trapped)'\n"),
        ("script.png", "#!/bin/sh\ntouch trapped\n"),
        ("include.jpg", "<?php system('touch trapped');"),
    ):
        with open(f"in/{name}", "w") as file:
            file.write(text)
    Image.new("RGB", (9, 8)).save("in/good.png")
    names = sorted(os.listdir("in"))
    commands = [
        ["convolve", *(f"in/{name}" for name in names), "-k", "box", "-o", "out/"],
        ["hog", *(f"in/{name}" for name in names), "--size", "24x24", "-o", "x.npz"],
        ["check", "in", "-o", "check.json"],
        ["unpool", "in/good.png", "--indices", "in/objects.npy", "-o", "u.png"],
        ["unpool", "in/good.png", "--indices", "in/archive.npy", "-o", "u.png"],
        ["convolve", "in/good.png", "-k", "@in/objects.npy", "-o", "k.png"],
        ["convolve", "in/good.png", "-k", "@in/code.npy", "-o", "k.png"],
        ["convolve", "in/good.png", "-k", "__import__('os').system('x')", "-o", "k.png"],
    ]  # fmt: skip
    statuses, events, errors = watched(commands, PATH=f"{here}/bin:{os.environ['PATH']}")
    assert events == []
    assert not [name for name in os.listdir(".") if "trapped" in name]
    assert statuses[:3] == [1, 1, 1]
    assert all(status in (1, 2) for status in statuses[3:])
    assert os.listdir("out") == ["good.box.png"]
    assert "Python objects; these are never loaded" in errors
    assert "Traceback" not in errors


def test_no_command_opens_a_connection(here):
    """Every command once, with its imports; none needs another program or the network either."""
    Image.new("RGB", (40, 30), (9, 99, 200)).save("a.png")
    statuses, events, errors = watched([
        ["convolve", "a.png", "-k", "gaussian:2", "-o", "b.png"],
        ["convolve", "a.png", "-k", "gaussian:9", "--method", "fft", "-o", "b.jpg", "-q"],
        ["convolve", "a.png", "-k", "sobel-x", "-k", "sobel-y", "--grid", "-o", "grid.png"],
        ["edges", "a.png", "--operator", "canny", "-o", "c.png"],
        ["pool", "a.png", "--indices", "i.npz", "-o", "p.png"],
        ["unpool", "p.png", "--indices", "i.npz", "-o", "u.png"],
        ["pyramid", "a.png", "-o", "levels/"],
        ["split", "a.png", "-o", "s/"],
        ["merge", "s/a.R.png", "s/a.G.png", "s/a.B.png", "-o", "m.png"],
        ["hog", "a.png", "--visualize", "h.png"],
        ["flatten", "a.png", "--json"],
        ["check", "a.png"],
        ["kernels"],
        ["kernels", "log:2", "--png", "k.png"],
        ["info"],
        ["--help"],
    ])  # fmt: skip
    assert statuses == [0] * 16, errors
    assert events == []


SPRUNG = {
    "pickle": f"import pickle; pickle.loads({pickle.dumps(Trap(), 0)!r})",
    "connection": "import socket; socket.socket().close()",
    "process": "import subprocess; subprocess.run(['true'])",
    "file elsewhere": "open('../elsewhere', 'w').close()",
}


@pytest.mark.parametrize("name", SPRUNG)
def test_the_watch_sees(here, name):
    """The hook would tell: the same things, done on purpose."""
    runs = f"def _run(command):\n    {SPRUNG[name]}\n    return 0\n"
    program = WATCHED.replace("from cnntool.cli.main import _run\n", runs)
    subprocess.run([sys.executable, "-c", program, '[["x"]]'], check=True, timeout=30)
    with open("watched.json") as file:
        assert len(json.load(file)[1]) >= 1


def test_an_archive_of_indices_is_judged_before_it_is_unpacked(here):
    """A megabyte that unpacks to a gigabyte, and names that lead out of the folder."""
    Image.new("L", (4, 4)).save("a.png")
    buffer = io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<i8", "fortran_order": False, "shape": (1 << 27, 1)}
    )
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("indices.npy", "w", force_zip64=True) as member:
            member.write(header.getvalue())
            for _ in range(64):
                member.write(bytes(1 << 20))
        archive.writestr("../trapped.npy", header.getvalue())
    with open("bomb.npz", "wb") as file:
        file.write(buffer.getvalue())
    statuses, events, errors = watched(
        [["unpool", "a.png", "--indices", "bomb.npz", "-o", "u.png"]]
    )
    assert statuses[0] in (1, 2)
    assert events == []
    assert len(errors.splitlines()) == 1
    assert not os.path.exists("../trapped.npy")
