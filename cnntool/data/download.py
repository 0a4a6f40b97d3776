"""Known data sets from the web into a folder, each file checked before it gets its name.

A mirror that is gone, slow or wrong is passed over with a word; only files with the right length
and SHA-256 are kept. Archives are never unpacked as they say: known members are read out of them,
and written under names of ours.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from cnntool.data.fetch import SECURE, FetchError, fetch, host
from cnntool.data.known import Known, Remote
from cnntool.errors import ModelFileError, OptionError, SystemFailure
from cnntool.files import WholeFile, one_line, quote, sweep_stale, system_failure

Progress = Callable[[int, int], None]
"""Called with bytes so far and bytes in all."""

MEMBER_SIZES = {"cifar": 30_730_000}
"""Bytes of each member of an archive, by the kind of the data set."""

_BLOCK = 1 << 20


def download(
    entry: Known,
    folder: str,
    *,
    force: bool = False,
    progress: Progress = lambda done, total: None,
    tell: Callable[[str], None] = lambda sentence: None,
    schemes: Collection[str] = SECURE,
) -> list[str]:
    """Download the files of ``entry`` that ``folder`` lacks; the paths that were written.

    Args:
        entry: The data set.
        folder: Is made if it is not there.
        force: Replace files there that are not what they should be.
        progress: Told of bytes as they come.
        tell: Gets a sentence about each mirror that failed.
        schemes: See :func:`cnntool.data.fetch.fetch`.

    Raises:
        OptionError: The folder has another file of that name, and ``force`` is off.
        SystemFailure: No mirror had a file, or it could not be written.
        ModelFileError: The archive is right but lacks a member.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise system_failure(folder, error, "cannot be made") from error
    sweep_stale(folder)
    kept = [os.path.join(folder, name) for name in entry.members]
    size = MEMBER_SIZES.get(entry.kind, 0)
    if kept and not force and all(_has_size(path, size) for path in kept):
        return []
    written: list[str] = []
    done = 0
    for file in entry.files:
        path = os.path.join(folder, file.name)
        if not _is_there(path, file, force):
            _fetch(file, entry, path, tell, schemes, _Counter(progress, done, entry.size))
            written.append(path)
        done += file.size
        progress(done, entry.size)
    if entry.members:
        archive = os.path.join(folder, entry.files[0].name)
        _take_out(archive, dict.fromkeys(entry.members, size), folder)
        Path(archive).unlink(missing_ok=True)
        return kept
    return written


@dataclass(frozen=True)
class _Counter:
    """Tells how far a download of several files is."""

    progress: Progress
    before: int
    total: int

    def __call__(self, count: int) -> None:
        self.progress(self.before + count, self.total)


class _Checked:
    """Bytes on their way into a file, counted and hashed."""

    def __init__(self, target: WholeFile, counter: _Counter) -> None:
        self.target, self.counter = target, counter
        self.digest, self.count = hashlib.sha256(), 0

    def write(self, block: bytes) -> None:
        self.target.write(block)
        self.digest.update(block)
        self.count += len(block)
        self.counter(self.count)


def _fetch(
    file: Remote,
    entry: Known,
    path: str,
    tell: Callable[[str], None],
    schemes: Collection[str],
    counter: _Counter,
) -> None:
    """One file from the first mirror that has it."""
    reason = "no address to download it from"
    for mirror in entry.mirrors:
        try:
            # an old file was judged before; the new one takes its place in one step
            with WholeFile(path, force=True, sync=True) as target:
                checked = _Checked(target, counter)
                fetch(mirror + file.name, file.size, checked.write, schemes=schemes)
                if checked.digest.hexdigest() != file.sha256:
                    raise FetchError("this is another file: its SHA-256 differs")
                return
        except FetchError as error:
            reason = f"{host(mirror)}: {error}"
            tell(f"{file.name} not from {reason}")
    raise SystemFailure(f"{entry.name}: {file.name} cannot be downloaded: {reason}")


def _is_there(path: str, file: Remote, force: bool) -> bool:
    """Whether the right file is there; another one is an error unless it may be replaced."""
    if not os.path.lexists(path):
        return False
    if _has_size(path, file.size) and _sha256(path) == file.sha256:
        return True
    if not force:
        raise OptionError(
            f"{quote(path)} exists and is another file; -f (--force) downloads it again"
        )
    return False


def _has_size(path: str, size: int) -> bool:
    try:
        return Path(path).stat().st_size == size
    except OSError:
        return False


def _sha256(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise system_failure(path, error, "cannot be read") from error


def _take_out(archive: str, members: dict[str, int], folder: str) -> None:
    """Copy members of a .tar.gz, each of a known size, into files of their names."""
    missing = dict(members)
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                name = member.name.rpartition("/")[2]
                if missing.get(name) != member.size or not member.isreg():
                    continue
                stream = tar.extractfile(member)
                if stream is None:
                    continue
                with WholeFile(os.path.join(folder, name), force=True, sync=True) as target:
                    while block := stream.read(_BLOCK):
                        target.write(block)
                del missing[name]
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ModelFileError(
            f"{quote(archive)}: damaged archive ({one_line(str(error), 80)})"
        ) from error
    if missing:
        raise ModelFileError(f"{quote(archive)}: lacks {', '.join(missing)}")
