"""Files that are written whole or not at all.

The bytes go to a temporary in the same folder, and only a complete file gets the final name, in one
step of the file system. Whatever happens in between, a reader finds the old file or the new one.
With ``sync`` this holds for power cuts too: data first, then the name, then the folder.

References:
    Pillai et al. 2014, All File Systems Are Not Created Equal (OSDI): the order of steps.
    PostgreSQL wiki, Fsync Errors: why a failed fsync is an end and never tried again.
"""

# names stay strings: bytes that are no text pass through, and system calls are the matter itself
# ruff: noqa: PTH104, PTH105, PTH114, PTH116

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Iterator
from types import TracebackType

from cnntool.errors import CnntoolError, OptionError, SystemFailure
from cnntool.files import temporaries
from cnntool.files.names import quote

Bytes = bytes | bytearray | memoryview
"""Anything that is written as it lies in memory."""

_CHUNK = 16 << 20  # bytes a call: a signal is answered between two calls
_DESCRIPTOR_PATH = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,6})")
_STANDARD_PATHS = {"/dev/stdout": 1, "/dev/stderr": 2}

# file systems without hard links say so in many ways
_NO_LINKS = {
    errno.EPERM,
    errno.EACCES,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.EXDEV,
    errno.EMLINK,
    errno.EINVAL,
}
# folders that cannot be synchronised are not at fault
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF}

_REMEDIES = {
    errno.ENOSPC: "free some space or write elsewhere",
    errno.EDQUOT: "free some space or write elsewhere",
    errno.EROFS: "write to another folder",
    errno.EACCES: "write to a folder that is yours",
    errno.EPERM: "write to a folder that is yours",
    errno.ENOENT: "make its folder first",
    errno.EFBIG: "raise 'ulimit -f' or write elsewhere",
    errno.EMFILE: "raise 'ulimit -n' or lower --jobs",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def system_failure(path: str, error: OSError, what: str = "cannot be written") -> SystemFailure:
    """``error`` as the failure that stops a run: path, the system's words, a way out.

    Example:
        >>> print(system_failure("out.png", OSError(errno.EROFS, "Read-only file system")))
        'out.png': cannot be written: Read-only file system; write to another folder
    """
    text = error.strerror or str(error) or type(error).__name__
    message = f"{quote(path)}: {what}: {text}"
    if error.errno in _REMEDIES:
        message += f"; {_REMEDIES[error.errno]}"
    failure = SystemFailure(message, path=path)
    failure.errno = error.errno
    return failure


def is_stream(path: str) -> bool:
    """Whether ``path`` names something already open or without a beginning: never replaced.

    True for ``/dev/stdout`` and its like, devices, pipes and sockets.

    Example:
        >>> is_stream("/dev/stdout"), is_stream("a.png")
        (True, False)
    """
    if _descriptor_of(path) is not None:
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def write_whole(path: str, data: Bytes, *, force: bool = False, sync: bool = False) -> None:
    """Write ``data`` to ``path`` so that no other process ever sees a part of it.

    A link is followed and its target written. Devices, pipes and ``/dev/stdout`` are written
    straight into. A new file gets the mode 0666 less the umask, a replaced one keeps its own.

    Args:
        path: The final name; its folder must exist.
        data: All bytes of the file.
        force: Replace a file that exists; else it is an error even if it appears while writing.
        sync: Return only when the data would survive a power cut.

    Raises:
        OptionError: The file exists and ``force`` is off, or it is a folder.
        SystemFailure: The system did not take the bytes; nothing is left behind.
        BrokenPipeError: ``path`` is a pipe that nobody reads any more.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "a.txt")
        ...     write_whole(path, b"whole")
        ...     os.path.getsize(path), os.listdir(folder)
        (5, ['a.txt'])
    """
    with WholeFile(path, force=force, sync=sync) as file:
        file.write(data)


class WholeFile:
    """A file that is written piece by piece and gets its name at the end.

    As a context manager it commits at the end of the block and discards on an exception.
    Arguments and errors as for :func:`write_whole`.
    """

    def __init__(self, path: str, *, force: bool = False, sync: bool = False) -> None:
        self.path = path
        self._force = force
        self._sync = sync
        self._temporary: str | None = None
        self._descriptor = -1
        with _failures(path):
            self._open()

    def write(self, data: Bytes) -> None:
        """Append ``data``, all of it."""
        view = memoryview(data)
        if view.nbytes == 0:  # shapes with a 0 cannot be cast
            return
        view = view.cast("B")
        with _failures(self.path):
            while view:
                count = os.write(self._descriptor, view[:_CHUNK])
                if count == 0:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                view = view[count:]

    def commit(self) -> None:
        """Give the file its name, replacing or refusing as asked."""
        temporary = self._temporary
        with _failures(self.path):
            try:
                if self._sync and temporary is not None:
                    os.fsync(self._descriptor)
                self._close()
                if temporary is not None:
                    self._rename(temporary)
            finally:
                self.discard()
            if self._sync and temporary is not None:
                _sync_folder(os.path.dirname(self._target))

    def discard(self) -> None:
        """Remove what was written; nothing happens after a commit."""
        with contextlib.suppress(OSError):
            self._close()
        if self._temporary is not None:
            temporaries.remove(self._temporary)
            self._temporary = None

    def __enter__(self) -> WholeFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()

    def _open(self) -> None:
        standing = _descriptor_of(self.path)
        if standing is not None:
            self._descriptor = os.dup(standing)
            return
        # the link stays; what it points to is written
        self._target = os.path.realpath(self.path) if os.path.islink(self.path) else self.path
        old = _stat(self._target)
        if old is not None and stat.S_ISDIR(old.st_mode):
            raise OptionError(f"{quote(self.path)} is a folder; name a file to write, or add '/'")
        if old is not None and not stat.S_ISREG(old.st_mode):
            self._descriptor = os.open(self._target, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
            return
        if old is not None and not self._force:
            raise exists_error(self.path)
        folder, name = os.path.split(self._target)
        self._descriptor, self._temporary = temporaries.create(folder, name)
        if old is not None and hasattr(os, "fchmod"):
            try:
                os.fchmod(self._descriptor, stat.S_IMODE(old.st_mode) & 0o777)
            except BaseException:
                self.discard()
                raise

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _rename(self, temporary: str) -> None:
        if self._force:
            os.replace(temporary, self._target)
        else:
            _name_without_replacing(temporary, self._target, self.path)
        temporaries.forget(temporary)
        self._temporary = None


def exists_error(path: str) -> OptionError:
    """The refusal to overwrite ``path``."""
    return OptionError(f"{quote(path)} exists; -f (--force) overwrites it", path=path)


def _name_without_replacing(temporary: str, target: str, shown: str) -> None:
    """Move ``temporary`` to ``target``, unless that exists by now."""
    try:
        if sys.platform == "win32":
            os.rename(temporary, target)  # refuses by itself there
            return
        os.link(temporary, target)
    except FileExistsError as error:
        raise exists_error(shown) from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # the second best: a look just before
        if os.path.lexists(target):
            raise exists_error(shown) from error
        os.rename(temporary, target)
    else:
        temporaries.remove(temporary)


def _descriptor_of(path: str) -> int | None:
    """The open descriptor that ``path`` stands for.

    Opening ``/dev/stdout`` again would start at the beginning of a file that a shell appends to,
    and its name may lead to a regular file, which must not be replaced then.
    """
    if path in _STANDARD_PATHS:
        return _STANDARD_PATHS[path]
    match = _DESCRIPTOR_PATH.fullmatch(path)
    return int(match[1]) if match else None


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _sync_folder(folder: str) -> None:
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder or ".", os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except PermissionError:  # a folder that may be written to but not read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _failures(path: str) -> Iterator[None]:
    """Errors of the system become failures that name ``path``; a closed pipe stays one."""
    try:
        yield
    except (CnntoolError, BrokenPipeError):
        raise
    except OSError as error:
        raise system_failure(path, error) from error
