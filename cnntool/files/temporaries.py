"""Names that files have while they are written, and the three ways in which those go away.

A temporary is ``.<name>.<home>-<pid>-<random>.cnntool-tmp`` in the folder of its final name. It is
removed by its writer; by :func:`remove_temporaries` when a signal ends the process; and after a
kill that nobody can catch by :func:`sweep_stale` at the start of the next run. ``home`` tells the
machine and its numbering of processes, so that a pid is only judged where it means something.
"""

# names stay strings: bytes that are no text pass through, and system calls are the matter itself
# ruff: noqa: PTH108, PTH115

from __future__ import annotations

import contextlib
import functools
import os
import re
import stat
import threading
import time
import zlib

from cnntool.errors import SystemFailure

SUFFIX = ".cnntool-tmp"
STALE_SECONDS = 24 * 3600.0
"""Age at which a temporary is litter although a process of its number lives."""

_LONGEST_NAME = 255  # bytes, of one component on all common file systems
_NAME = re.compile(
    r"\..*\.(?P<home>[0-9a-f]{8})-(?P<pid>[0-9]{1,10})-[0-9a-f]{8}" + re.escape(SUFFIX), re.DOTALL
)
_FLAGS = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)


class _Registry:
    """Temporaries of this process that exist now, and whether new ones may still be made."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.paths: set[str] = set()
        self.closed = False


_registry = _Registry()
if hasattr(os, "register_at_fork"):
    # a child must not remove its parent's files, nor inherit a lock that some thread held
    os.register_at_fork(after_in_child=_registry.__init__)  # type: ignore[misc]


def create(folder: str, name: str) -> tuple[int, str]:
    """A new empty temporary for the final name ``name``: its descriptor and its path.

    Args:
        folder: Where it is made; '' is the current folder.
        name: The final name, without folders; shortened if the temporary would be too long.

    Raises:
        OSError: The folder does not take a new file.
        SystemFailure: The process is being ended and must not leave anything behind.
    """
    while True:
        path = os.path.join(folder, _temporary_name(name))
        # making the file and noting its name is one step for whoever removes what is noted
        with _registry.lock:
            if _registry.closed:
                raise SystemFailure("the run is being ended; nothing more is written")
            _registry.paths.add(path)
            try:
                return os.open(path, _FLAGS, 0o666), path
            except FileExistsError:
                _registry.paths.discard(path)
            except OSError:
                _registry.paths.discard(path)
                raise


def forget(path: str) -> None:
    """Tell that the temporary ``path`` has its final name or is gone."""
    _registry.paths.discard(path)


def remove(path: str) -> None:
    """Remove the temporary ``path`` if it is still there; failing to is not an error."""
    with contextlib.suppress(OSError):
        os.unlink(path)
    forget(path)


def remove_temporaries(*, final: bool = False) -> None:
    """Remove all temporaries of this process, for when it is about to die.

    Writers still at work find their file gone and fail; no final name is touched.

    Args:
        final: Also refuse new temporaries from now on.
    """
    # a signal may have come while this very thread held the lock: do not wait for ever
    locked = _registry.lock.acquire(timeout=0.5)
    try:
        _registry.closed = _registry.closed or final
        for path in list(_registry.paths):
            remove(path)
    finally:
        if locked:
            _registry.lock.release()


def sweep_stale(folder: str) -> int:
    """Remove temporaries in ``folder`` that killed runs left there; how many.

    A temporary is stale if the process that made it is gone, or if it is older than a day. A
    folder that cannot be read is left alone.

    Args:
        folder: Not searched deeper; '' is the current folder.
    """
    removed = 0
    try:
        with os.scandir(folder or ".") as entries:
            names = [e.name for e in entries if e.name.endswith(SUFFIX)]
    except OSError:
        return 0
    for name in names:
        match = _NAME.fullmatch(name)
        path = os.path.join(folder, name)
        if match is None or path in _registry.paths:
            continue
        with contextlib.suppress(OSError):
            if _is_stale(path, match["home"], int(match["pid"])):
                os.unlink(path)
                removed += 1
    return removed


def probe(folder: str) -> None:
    """Make and remove a file in ``folder``, so that a run that cannot write ends at once.

    Asking for permissions is not enough: file systems mounted read-only, full ones and the
    superuser's powers only show when a file is made.

    Raises:
        OSError: What writing there would meet.
    """
    descriptor, path = create(folder, "probe")
    try:
        os.close(descriptor)
    finally:
        remove(path)


def _is_stale(path: str, home: str, pid: int) -> bool:
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        return False
    if time.time() - found.st_mtime > STALE_SECONDS:
        return True
    return home == _home() and not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # signal 0 would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _temporary_name(name: str) -> str:
    tail = f".{_home()}-{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
    encoded = os.fsencode(name)[: _LONGEST_NAME - 1 - len(tail)]
    # the cut may fall inside a character, and some file systems take valid UTF-8 only
    valid = encoded.decode("utf-8", "ignore").encode("utf-8")
    return "." + os.fsdecode(valid) + tail  # in the locale C names are not decoded


@functools.cache
def _home() -> str:
    """Eight digits for the machine and, on Linux, the process numbering of the container."""
    names = [os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")]
    with contextlib.suppress(OSError):
        names.append(os.readlink("/proc/self/ns/pid"))
    return f"{zlib.crc32(' '.join(names).encode('utf-8', 'surrogateescape')):08x}"
