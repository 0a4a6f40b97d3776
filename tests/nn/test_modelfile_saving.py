"""Model files on disks: the old one or the new one, whatever fails, and nothing is ever run."""

import errno
import os
import re
import resource
import stat
import subprocess
import sys

import numpy as np
import pytest
from small_models import SPEC, assert_equal, numbers, small

from cnntool.errors import InputError, ModelFileError, OptionError, SystemFailure
from cnntool.files import atomic
from cnntool.nn import modelfile
from cnntool.nn.modelfile import encode_model, load_model, save_model
from cnntool.nn.tensor_file import encode

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def test_what_cannot_be_saved(tmp_path):
    path = tmp_path / "m.safetensors"
    weights = {**small().tensors, "4.dense.bias": np.float32([0, np.nan, 0])}
    with pytest.raises(ModelFileError) as caught:
        save_model(path, small(tensors=weights))
    assert re.search(
        r"/m.safetensors' cannot be written: 1 of 3 numbers of array", str(caught.value)
    )
    assert caught.value.exit_code == 4
    with pytest.raises(
        ModelFileError, match=r"^the model cannot be written: it has names for 1 cl"
    ):
        encode_model(small(classes=("a",)))
    surrogate = SPEC + "# \udce9"
    with pytest.raises(
        ModelFileError, match=r"^the model cannot be written: a text in it holds byt"
    ):
        encode_model(small(spec=surrogate))
    assert os.listdir(tmp_path) == []


def test_too_large(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    save_model(path, small())
    monkeypatch.setattr(modelfile, "MAX_BYTES", 99)
    with pytest.raises(ModelFileError, match=r"/m.safetensors': \d{4} bytes; at most 99 are read"):
        load_model(path)
    with pytest.raises(ModelFileError, match=r"^the model cannot be written: \d{4} bytes; a model"):
        encode_model(small())


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"/none': no such file$") as caught:
        load_model(tmp_path / "none")
    assert caught.value.exit_code == 1
    with pytest.raises(InputError, match=r"': a folder, not a file$"):
        load_model(tmp_path)


def test_a_file_of_another_kind(samples):
    for path in sorted(samples.iterdir()):
        if path.is_file():
            with pytest.raises(ModelFileError, match=r"': no safetensors file, as models are: "):
                load_model(path)


def test_existing_files(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(OptionError, match=r"/m.safetensors' exists; -f \(--force\) overwrites it"):
        save_model(path, small())
    assert path.read_bytes() == b"old"
    save_model(path, small(), force=True)
    assert_equal(load_model(path), small())
    assert os.listdir(tmp_path) == ["m.safetensors"]


@pytest.mark.skipif(os.name == "nt", reason="needs modes of files")
def test_modes(tmp_path):
    path = tmp_path / "m.safetensors"
    before = os.umask(0o027)
    try:
        save_model(path, small())
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        save_model(path, small(), force=True)
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(before)


def test_order_of_steps(tmp_path, monkeypatch):
    """Data, then their safety, then the name, then the folder's safety."""
    steps = []

    def counted(name, call):
        def counting(*arguments):
            steps.append(name)
            return call(*arguments)

        return counting

    for name in ("write", "fsync", "replace"):
        monkeypatch.setattr(os, name, counted(name, getattr(os, name)))
    save_model(tmp_path / "m", small(), force=True)
    assert steps == ["write", "fsync", "replace", "fsync"]


class Faults:
    """Counts calls of the system and lets one of them fail; ``hit`` tells which it was."""

    def __init__(self, patch, at, number):
        self.count, self.at, self.number, self.hit = 0, at, number, None
        for name in ("open", "write", "fsync", "close", "replace", "fchmod"):
            patch.setattr(os, name, self.wrapped(name, getattr(os, name)))

    def wrapped(self, name, call):
        def counting(*arguments):
            self.count += 1
            if self.count != self.at:
                return call(*arguments)
            self.hit = name
            if name == "close":  # a close that fails has closed all the same
                call(*arguments)
            raise OSError(self.number, os.strerror(self.number))

        return counting


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_error_at_every_call(tmp_path, monkeypatch, number):
    """The old model or the new one, whatever fails."""
    monkeypatch.setattr(atomic, "_CHUNK", 1000)
    path = tmp_path / "m.safetensors"
    old, new = small(), small(tensors=numbers(SPEC, (1, 5, 6), seed=1))
    hits = []
    for at in range(1, 40):
        save_model(path, old, force=True)
        with monkeypatch.context() as patch:
            faults = Faults(patch, at, number)
            try:
                save_model(path, new, force=True)
                failure = None
            except SystemFailure as error:
                failure = error
        if faults.hit is None:
            break
        assert failure is not None
        assert os.strerror(number) in str(failure)
        assert_equal(load_model(path), new if "replace" in hits else old)
        assert os.listdir(tmp_path) == ["m.safetensors"]
        hits.append(faults.hit)
    assert_equal(load_model(path), new)
    assert hits.count("write") >= 2
    assert hits.count("fsync") == 2
    assert "replace" in hits


def test_file_size_limit(tmp_path):
    """A disk that fills up in the middle of saving: the old model stays."""
    path = tmp_path / "m.safetensors"
    save_model(path, small())
    program = (
        "import sys\n"
        "from cnntool.errors import SystemFailure\n"
        "from cnntool.nn.modelfile import load_model, save_model\n"
        "try:\n"
        "    save_model(sys.argv[1], load_model(sys.argv[1]), force=True)\n"
        "except SystemFailure as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-B", "-c", program, str(path)],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )  # fmt: skip
    assert "m.safetensors': cannot be written: File too large; raise 'ulimit -f'" in run.stdout
    assert_equal(load_model(path), small())
    assert os.listdir(tmp_path) == ["m.safetensors"]


KILLS = """
import os, sys
from cnntool.files import atomic
from cnntool.nn.modelfile import load_model, save_model
old, new, folder = load_model(sys.argv[1]), load_model(sys.argv[2]), sys.argv[3]
atomic._CHUNK = 700
for at in range(1, 60):
    path = os.path.join(folder, f"{at}", "model.safetensors")
    os.mkdir(os.path.dirname(path))
    save_model(path, old)
    child = os.fork()
    if child == 0:
        count = 0
        def killing(call):
            def counted(*arguments, **options):
                global count
                count += 1
                if count == at:
                    os.kill(os.getpid(), 9)
                return call(*arguments, **options)
            return counted
        for name in ("open", "write", "fsync", "close", "replace", "fchmod"):
            setattr(os, name, killing(getattr(os, name)))
        save_model(path, new, force=True)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(at, status)
    if status == 0:
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_before_every_call(tmp_path):
    old, new = small(), small(tensors=numbers(SPEC, (1, 5, 6), seed=1))
    save_model(tmp_path / "old", old)
    save_model(tmp_path / "new", new)
    (tmp_path / "runs").mkdir()
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-B", "-c", KILLS, "old", "new", "runs"],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    statuses = [int(line.split()[1]) for line in run.stdout.splitlines()]
    assert statuses[-1] == 0
    assert set(statuses[:-1]) == {-9}
    assert len(statuses) > 8
    weights = []
    for at in range(1, len(statuses) + 1):
        found = load_model(tmp_path / "runs" / f"{at}" / "model.safetensors")
        weights.append(found.tensors["4.dense.bias"].tobytes())
    expected = [model.tensors["4.dense.bias"].tobytes() for model in (old, new)]
    assert set(weights) == set(expected)
    assert weights == sorted(weights, key=expected.index)  # never old again after new


WATCHED = """
import os, sys
from cnntool.nn.modelfile import load_model
from cnntool.errors import ModelFileError
load_model(sys.argv[1])
seen = []
def hook(event, arguments):
    if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return
    if event.split(".")[0] in ("exec", "compile", "import", "pickle", "marshal", "subprocess", "os",
                               "socket", "open", "ctypes", "code", "shutil", "tempfile"):
        seen.append(event)
sys.addaudithook(hook)
for path in sys.argv[1:]:
    try:
        load_model(path)
    except ModelFileError:
        seen.append("refused")
print(seen)
"""


def test_nothing_is_run(tmp_path):
    """Loading opens one file for reading, and does nothing else that the interpreter reports."""
    save_model(tmp_path / "good", small())
    evil = small(spec="__import__('os').system('touch PWNED')")
    (tmp_path / "evil").write_bytes(encode(evil.tensors, modelfile.model_texts(evil)))
    (tmp_path / "pickle").write_bytes(b"cos\nsystem\n(S'touch PWNED'\ntR.")
    run = subprocess.run(
        [sys.executable, "-B", "-c", WATCHED, "good", "evil", "pickle"],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert run.stdout == "['refused', 'refused']\n"
    assert not (tmp_path / "PWNED").exists()
