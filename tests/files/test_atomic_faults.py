"""A file is old or new, whatever fails or kills while it is written.

The pattern is SQLite's: let the Nth system call fail, for N = 1, 2, 3 … until a run meets no fault.
First with the calls wrapped in Python, which works everywhere; then with strace, where nothing of
the program is changed; then with real full disks.
"""

import errno
import os
import re
import resource
import shutil
import subprocess
import sys

import pytest

from cnntool.errors import SystemFailure
from cnntool.files import atomic, sweep_stale, write_whole

OLD, NEW = b"old" * 1000, b"new!" * 1000
CALLS = ("open", "write", "fsync", "close", "link", "replace", "unlink", "rename", "fchmod")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}

SAVE = """
import sys
from cnntool.errors import CnntoolError
from cnntool.files import write_whole
try:
    write_whole(sys.argv[1], b"new!" * 1000, force=sys.argv[2] == "force", sync=True)
except CnntoolError as error:
    print(error.message)
    sys.exit(error.exit_code)
"""


def litter(folder):
    return [name for name in os.listdir(folder) if name.endswith(".cnntool-tmp")]


def start(tmp_path, force):
    path = tmp_path / "x.bin"
    if force:
        path.write_bytes(OLD)
    elif path.exists():
        path.unlink()
    return path


class Faults:
    """Counts the calls of the system that a module makes and lets one of them fail."""

    def __init__(self, monkeypatch, at, number):
        self.count = 0
        self.hit = None
        for name in CALLS:
            monkeypatch.setattr(os, name, self.wrapped(getattr(os, name), name, at, number))

    def wrapped(self, call, name, at, number):
        def counted(*arguments, **options):
            self.count += 1
            if self.count == at:
                self.hit = name
                if name == "close":  # a close that fails has closed all the same
                    call(*arguments, **options)
                raise OSError(number, os.strerror(number))
            return call(*arguments, **options)

        return counted


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EMFILE]
)
def test_error_at_every_call(tmp_path, monkeypatch, force, number):
    monkeypatch.setattr(atomic, "_CHUNK", 1500)  # three writes
    hits = []
    for at in range(1, 40):
        path = start(tmp_path, force)
        with monkeypatch.context() as patch:
            faults = Faults(patch, at, number)
            try:
                write_whole(str(path), NEW, force=force, sync=True)
                failure = None
            except SystemFailure as error:
                failure = error
        if faults.hit is None:
            assert failure is None
            break
        hits.append(faults.hit)
        if failure is not None:
            assert failure.errno == number
            assert os.strerror(number) in str(failure)
            assert "x.bin" in str(failure)
        assert failure is not None or faults.hit == "unlink"
        # once the name is given, only the folder's own safety can fail
        named = {"link", "replace"} & set(hits[:-1])
        expected = NEW if named else OLD
        assert (path.read_bytes() if path.exists() else OLD) == expected
        if faults.hit == "unlink":
            assert len(litter(tmp_path)) == 1  # nobody can remove it now; a later run will
            temporary = tmp_path / litter(tmp_path)[0]
            temporary.unlink()
        assert not litter(tmp_path)
        # a failed fsync is the end: trying again would call lost data safe
        assert hits.count("fsync") <= 2
    assert hits[:2] == ["open", "fchmod"] if force else ["open", "write"]
    assert hits.count("write") == 3
    assert hits.count("fsync") == 2
    assert ("replace" if force else "link") in hits


def test_a_write_that_takes_nothing(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_: 0)
        with pytest.raises(SystemFailure, match="Input/output error"):
            write_whole(str(tmp_path / "x"), b"x")
    assert os.listdir(tmp_path) == []


def test_short_writes(tmp_path, monkeypatch):
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
        write_whole(str(tmp_path / "x"), NEW)
    assert (tmp_path / "x").read_bytes() == NEW


def test_folders_that_cannot_be_synchronised(tmp_path, monkeypatch):
    real_fsync, real_open, calls = os.fsync, os.open, []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.EINVAL, "Invalid argument")
        real_fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        write_whole(str(tmp_path / "x"), NEW, sync=True)
    assert len(calls) == 2

    def closed_folder(path, flags, *mode):
        if flags & getattr(os, "O_DIRECTORY", 0):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_open(path, flags, *mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", closed_folder)
        write_whole(str(tmp_path / "y"), NEW, sync=True)
    assert (tmp_path / "y").read_bytes() == NEW


def test_images_are_not_synchronised(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: pytest.fail("fsync without sync"))
    write_whole(str(tmp_path / "x"), NEW)


KILLS = """
import os, sys
from cnntool.files import atomic, write_whole
folder, force = sys.argv[1], sys.argv[2] == "force"
atomic._CHUNK = 1500
names = sys.argv[3].split(",")
for at in range(1, 60):
    path = os.path.join(folder, f"{at}", "x.bin")
    os.mkdir(os.path.dirname(path))
    if force:
        with open(path, "wb") as stream:
            stream.write(b"old" * 1000)
    child = os.fork()
    if child == 0:
        count = 0
        def killing(call):
            def counted(*arguments, **options):
                global count
                count += 1
                if count == at:
                    os._exit(9)
                return call(*arguments, **options)
            return counted
        for name in names:
            setattr(os, name, killing(getattr(os, name)))
        write_whole(path, b"new!" * 1000, force=force, sync=True)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(at, status)
    if status == 0:
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("force", [False, True])
def test_kill_before_every_call(tmp_path, force):
    mode = "force" if force else "new"
    run = subprocess.run(
        [sys.executable, "-B", "-c", KILLS, str(tmp_path), mode, ",".join(CALLS)],
        env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    statuses = [int(line.split()[1]) for line in run.stdout.splitlines()]
    # open, 3 writes, fsync, close, name, open, fsync, close at least
    assert statuses[-1] == 0
    assert statuses[:-1] == [9] * len(statuses[:-1])
    assert len(statuses) > 10
    contents = set()
    for at, status in enumerate(statuses, 1):
        folder = tmp_path / str(at)
        path = folder / "x.bin"
        content = path.read_bytes() if path.exists() else None
        assert content in (NEW, OLD if force else None)
        assert status or content == NEW
        contents.add(content)
        assert len(litter(folder)) <= 1
        sweep_stale(str(folder))  # what the next run does
        assert not litter(folder)
    assert len(contents) == 2


def strace(*options):
    return ["strace", "-f", "-qq", *options]


def strace_works():
    if shutil.which("strace") is None:
        return "there is no strace"
    run = subprocess.run(strace("-o", os.devnull, "true"), capture_output=True, text=True)
    return None if run.returncode == 0 else f"strace does not work here: {run.stderr[:80]}"


@pytest.fixture(scope="module")
def needs_strace():
    reason = strace_works()
    if reason:
        pytest.skip(reason)


def saving(path, force):
    program = os.path.join(os.path.dirname(path), "..", "save.py")
    if not os.path.exists(program):
        root = os.path.dirname(os.path.dirname(os.path.dirname(atomic.__file__)))
        with open(program, "w") as stream:
            # -I keeps start-up short and its calls countable
            stream.write(f"import sys\nsys.path.insert(0, {root!r})\n" + SAVE)
    mode = "force" if force else "new"
    return [sys.executable, "-I", "-S", "-B", program, str(path), mode]


def trace(path, force, log):
    """System calls of one undisturbed save: all names, and how many came before the temporary."""
    calls = "openat,write,fsync,close,link,linkat,unlink,unlinkat,rename,renameat,renameat2"
    subprocess.run(
        [*strace("-o", str(log), "-e", f"trace={calls}"), *saving(path, force)],
        check=True,
        timeout=30,
    )
    names = []
    for line in log.read_text().splitlines():
        match = re.match(r"\d+ +(\w+)\((.*)", line)
        if match:
            names.append((match[1], match[2]))
    first = next(i for i, (_, rest) in enumerate(names) if ".cnntool-tmp" in rest)
    return names, first


@pytest.mark.faults
@pytest.mark.parametrize("force", [False, True])
def test_order_of_calls(tmp_path, needs_strace, force):
    (tmp_path / "d").mkdir()
    path = start(tmp_path / "d", force)
    names, first = trace(path, force, tmp_path / "log")
    order = [name.removesuffix("at").removesuffix("2") for name, _ in names[first:]]
    order = [{"renameat": "rename"}.get(name, name) for name in order]
    naming = ["rename"] if force else ["link", "unlink"]
    assert order == [
        "open", "write", "fsync", "close", *naming, "open", "fsync", "close",
    ]  # fmt: skip
    descriptors = [rest.split(")")[0].split(",")[0] for _, rest in names[first:]]
    assert descriptors[1] == descriptors[2] == descriptors[3]


@pytest.mark.faults
@pytest.mark.parametrize("force", [False, True])
def test_sigkill_before_every_call(tmp_path, needs_strace, force):
    folder = tmp_path / "d"
    folder.mkdir()
    path = start(folder, force)
    names, first = trace(path, force, tmp_path / "log")
    kills = 0
    contents = set()
    for index in range(first, len(names)):
        call = names[index][0]
        when = [name for name, _ in names[: index + 1]].count(call)
        start(folder, force)
        run = subprocess.run(
            [
                *strace("-o", os.devnull, "-e", f"trace={call}"),
                "-e", f"inject={call}:signal=SIGKILL:when={when}",
                *saving(path, force),
            ],
            capture_output=True, timeout=30,
        )  # fmt: skip
        kills += run.returncode in (-9, 137)
        content = path.read_bytes() if path.exists() else None
        assert content in (NEW, OLD if force else None)
        contents.add(content)
        assert len(litter(folder)) <= 1
        sweep_stale(str(folder))
        assert not litter(folder)
    # start-up must make the same calls every time for the numbers to mean what they should
    assert kills >= len(names) - first - 1
    assert len(contents) == 2


@pytest.mark.faults
@pytest.mark.parametrize(
    "call, error, force, status",
    [
        ("openat", "EMFILE", False, 3),
        ("openat", "EROFS", True, 3),
        ("write", "ENOSPC", True, 3),
        ("write", "EDQUOT", False, 3),
        ("fsync", "EIO", True, 3),
        ("close", "EIO", True, 3),
        ("rename", "EXDEV", True, 3),
        ("rename", "EACCES", True, 3),
        ("link", "EIO", False, 3),
        ("link", "EPERM", False, 0),  # no hard links: renamed instead
    ],
)
def test_injected_error(tmp_path, needs_strace, call, error, force, status):
    folder = tmp_path / "d"
    folder.mkdir()
    path = start(folder, force)
    names, first = trace(path, force, tmp_path / "log")
    call = next(name for name, _ in names[first:] if name.startswith(call))
    when = [name for name, _ in names[:first]].count(call) + 1
    start(folder, force)
    log = tmp_path / "log"
    run = subprocess.run(
        [
            *strace("-o", str(log), "-e", f"trace={call}"),
            "-e", f"inject={call}:error={error}:when={when}",
            *saving(path, force),
        ],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert "INJECTED" in log.read_text()
    assert run.returncode == status, run.stderr
    if status:
        assert os.strerror(getattr(errno, error)) in run.stdout
        assert "x.bin': cannot be written" in run.stdout
    content = path.read_bytes() if path.exists() else None
    assert content == (NEW if status == 0 else OLD if force else None)
    assert not litter(folder)
    if call == "fsync":
        assert log.read_text().count("fsync(") == 1


def test_file_size_limit(tmp_path):
    """A disk that fills up in the middle: the old file stays, nothing else is there."""
    path = start(tmp_path, force=True)
    program = SAVE.replace('b"new!" * 1000', 'b"new!" * 10000')

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    run = subprocess.run(
        [sys.executable, "-B", "-c", program, str(path), "force"],
        env=ENVIRONMENT, preexec_fn=limit, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert run.returncode == 3, run.stderr
    assert "x.bin': cannot be written: File too large; raise 'ulimit -f'" in run.stdout
    assert path.read_bytes() == OLD
    assert not litter(tmp_path)


@pytest.mark.faults
@pytest.mark.parametrize("options", ["size=16k", "size=1m,nr_inodes=3"])
def test_full_file_system(tmp_path, options):
    """A real full disk: no space, or no room for another name."""
    (tmp_path / "save.py").write_text(SAVE.replace('b"new!" * 1000', 'b"new!" * 10000'))
    (tmp_path / "mnt").mkdir()
    script = (
        f"mount -t tmpfs -o {options} cnntool-test mnt || exit 77\n"
        "printf old > mnt/x.bin; : > mnt/full\n"
        f"{sys.executable} -B save.py mnt/x.bin force; status=$?\n"
        "ls -A mnt; cat mnt/x.bin; exit $status\n"
    )
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    run = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    if run.returncode not in (0, 3):
        pytest.skip(f"no file system can be mounted here: {run.stderr[-80:]}")
    assert run.returncode == 3
    assert "'mnt/x.bin': cannot be written: No space left on device; free some space" in run.stdout
    assert run.stdout.endswith("full\nx.bin\nold")


def test_read_only_folder(tmp_path):
    """Somebody who may not write there is told so, also when root runs the tests."""
    folder = tmp_path / "d"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o555)
        try:
            with pytest.raises(SystemFailure, match="Permission denied; write to a folder that is"):
                write_whole(str(folder / "x"), b"x")
        finally:
            folder.chmod(0o755)
        return
    script = "mount --bind d d && mount -o remount,ro,bind d || exit 77\n"
    script += f'exec {sys.executable} -B -c "$0" d/x new'
    if shutil.which("unshare") is None:
        pytest.skip("root writes everywhere, and there is no unshare")
    run = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script, SAVE],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    if run.returncode not in (0, 3):
        pytest.skip(f"no folder can be made read-only here: {run.stderr[-80:]}")
    assert run.returncode == 3
    assert "'d/x': cannot be written: Read-only file system; write to another" in run.stdout
    assert os.listdir(folder) == []
