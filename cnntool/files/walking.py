"""Folders into file names, in an order that people expect, in little memory.

One folder at a time is read and sorted; nothing is kept of a file but its name. Links to folders
are not followed, and no folder is read twice, so loops of links or mounts end.
"""

# names stay strings: bytes that are no text pass through, and system calls are the matter itself
# ruff: noqa: PTH116

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from cnntool.files.names import Predicate, natural_key

FolderId = tuple[int, int]
"""Device and inode of a folder: what it is under all its names."""

_NEVER_WANTED = {"thumbs.db", "desktop.ini", "__macosx"}
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(slots=True)
class WalkLog:
    """What a walk left out.

    Attributes:
        other_suffix: Files whose name was not wanted.
        folders: Subfolders not entered because the walk was not recursive.
        special: (path, reason) of links to folders, pipes, sockets and devices.
        failures: (path, reason) of folders that could not be read.
    """

    other_suffix: int = 0
    folders: int = 0
    special: list[tuple[str, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)


def folder_id(path: str) -> FolderId | None:
    """Device and inode of the folder ``path``; None if there is no such folder."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


def walk(
    folder: str,
    *,
    recursive: bool,
    wanted: Predicate,
    log: WalkLog,
    exclude: Container[FolderId] = (),
) -> Iterator[tuple[str, str]]:
    """The files of ``folder``: (path, folder relative to ``folder``, '' at its top).

    Files come in natural order, those of a folder before those of its subfolders. Hidden entries
    are passed over without a word. A link that leads nowhere is given like a file, so that its
    reader says what is wrong.

    Args:
        folder: Where to begin; a link to a folder is followed here.
        recursive: Whether to enter subfolders.
        wanted: Tells from a name whether it is an input.
        log: Gets what is left out, and why.
        exclude: Folders never entered, as :func:`folder_id` gives them.
    """
    seen: set[FolderId] = set()
    waiting = [(folder, "")]
    while waiting:
        path, relative = waiting.pop()
        identity = folder_id(path)
        if identity is not None and identity[1]:  # 0: a file system without inode numbers
            if identity in exclude or identity in seen:
                continue
            seen.add(identity)
        files, folders = _entries(path, wanted, log)
        for name in sorted(files, key=natural_key):
            yield os.path.join(path, name), relative
        if recursive:
            waiting += [
                (os.path.join(path, name), os.path.join(relative, name))
                for name in sorted(folders, key=natural_key, reverse=True)
            ]
        else:
            log.folders += len(folders)


def _entries(path: str, wanted: Predicate, log: WalkLog) -> tuple[list[str], list[str]]:
    """Names of the wanted files and of the subfolders of ``path``."""
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or name.lower() in _NEVER_WANTED:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif _leads_to_folder(entry):
                    log.special.append((entry.path, "a link to a folder is not followed"))
                elif not wanted(name):
                    log.other_suffix += 1
                elif (kind := _special_kind(entry)) is not None:
                    log.special.append((entry.path, f"skipped: it is {kind}"))
                else:
                    files.append(name)
    except OSError as error:
        log.failures.append((path, f"the folder cannot be read: {error.strerror or error}"))
    return files, folders


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into a closed folder
        return False


def _special_kind(entry: os.DirEntry[str]) -> str | None:
    """What a file is that is not a regular one; None for regular files and links to nowhere."""
    if entry.is_file(follow_symlinks=False):
        return None
    try:
        mode = entry.stat().st_mode
    except OSError:
        return None
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")
