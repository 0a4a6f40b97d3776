"""Arguments, folders and lists into the items of a run.

Only names are collected. Whether a file can be read is found out when its turn comes, so that one
bad input is one failed item and no more.
"""

# names stay strings: bytes that are no text pass through
# ruff: noqa: PTH112, PTH207

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from cnntool.errors import OptionError
from cnntool.files import FolderId, WalkLog, folder_id, natural_key, read_names, walk
from cnntool.folder.job import STANDARD_INPUT, Item


@dataclass
class Inputs:
    """What a run works on.

    Attributes:
        items: The inputs in order.
        folders: The folder arguments.
        from_list: Whether a list of names was read.
        notes: (path, reason) of what was left out on purpose.
        failures: (path, reason) of folders that could not be read or held nothing.
        skipped: Files in folders that are no inputs by their suffix or kind.
        protected: Other files that are read (a list of names, a kernel, a configuration).
        claimed: Single files that the run writes besides its results, and the option of each.
    """

    items: list[Item] = field(default_factory=list)
    folders: tuple[str, ...] = ()
    from_list: bool = False
    notes: list[tuple[str, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    skipped: int = 0
    protected: tuple[str, ...] = ()
    claimed: dict[str, str] = field(default_factory=dict)

    @property
    def files_read(self) -> tuple[str, ...]:
        """Everything that no result may replace."""
        return (*(item.path for item in self.items), *self.protected)

    @property
    def any_folder(self) -> bool:
        """Whether a folder was among the arguments."""
        return bool(self.folders)

    @property
    def several(self) -> bool:
        """Whether the run deserves a count at its end."""
        return self.any_folder or self.from_list or len(self.items) > 1


def collect(
    paths: Sequence[str],
    *,
    suffixes: Iterable[str],
    recursive: bool = False,
    files_from: str | None = None,
    null: bool = False,
    root: str = "",
    exclude: str | None = None,
    expand: bool = os.name == "nt",
    stdin: BinaryIO | None = None,
) -> Inputs:
    """The items that the arguments stand for: paths in their order, then the list.

    A named file is always an item, whatever its suffix and even if it is missing. A folder gives
    its files with a known suffix, in natural order.

    Args:
        paths: Files, folders, or ``-`` for one input from standard input.
        suffixes: What files in folders end in, with the dot; case does not matter.
        recursive: Descend into the folders below.
        files_from: A list of names, ``-`` for standard input.
        null: The list's names end with NUL.
        root: Folder that names of the list are relative to in an output folder; '' is the
            current one.
        exclude: A folder not to read: the output's.
        expand: Replace wildcards in ``paths``; elsewhere than on Windows shells do it.
        stdin: What ``-`` in ``files_from`` reads; sys.stdin by default.

    Raises:
        OptionError: No inputs, an empty name, or standard input wanted twice.
        InputError: The list cannot be read.

    Example:
        >>> [item.path for item in collect(["b.png", "a.txt"], suffixes=[".png"]).items]
        ['b.png', 'a.txt']
    """
    if not paths and files_from is None:
        raise OptionError("no input; name files, folders or -, or use --files-from")
    if expand:
        paths = [name for path in paths for name in _expanded(path)]
    _check_arguments(paths, files_from)
    known = tuple(suffix.lower() for suffix in suffixes)
    # the output folder may not exist yet; then there is nothing in it to keep out of
    excluded = folder_id(exclude) if exclude else None
    inputs = Inputs(from_list=files_from is not None)
    for path in paths:
        if path != STANDARD_INPUT and os.path.isdir(path):
            _add_folder(inputs, path, recursive, known, excluded)
        else:
            inputs.items.append(Item(path))
    if files_from is not None:
        inputs.items.extend(_listed(files_from, null, root or ".", stdin))
    return inputs


def _add_folder(
    inputs: Inputs,
    path: str,
    recursive: bool,
    known: tuple[str, ...],
    excluded: FolderId | None,
) -> None:
    log = WalkLog()
    before = len(inputs.items)
    found = walk(
        path,
        recursive=recursive,
        wanted=lambda name: name.lower().endswith(known),
        log=log,
        exclude=() if excluded is None else (excluded,),
    )
    inputs.items.extend(Item(name, below) for name, below in found)
    inputs.folders += (path,)
    inputs.notes += log.special
    inputs.failures += log.failures
    inputs.skipped += log.other_suffix + len(log.special)
    if len(inputs.items) == before and not log.failures:
        inputs.failures.append((path, _nothing_found(log)))


def _nothing_found(log: WalkLog) -> str:
    reason = "no input files in this folder"
    if log.other_suffix:
        reason += f"; {log.other_suffix} with other suffixes"
    if log.folders:
        plural = "s" if log.folders > 1 else ""
        reason += f"; {log.folders} subfolder{plural} not entered, -r descends"
    return reason


def _check_arguments(paths: Sequence[str], files_from: str | None) -> None:
    if "" in paths:
        raise OptionError("an input has an empty name; is a variable of the shell unset?")
    if list(paths).count(STANDARD_INPUT) + (files_from == "-") > 1:
        raise OptionError(
            "standard input can be read once; give '-' as one input or to --files-from, not twice"
        )


def _expanded(path: str) -> list[str]:
    """What a wildcard stands for, in natural order; the path itself if it exists or none match."""
    if os.path.lexists(path) or not glob.has_magic(path):
        return [path]
    return sorted(glob.glob(path), key=natural_key) or [path]


def _listed(source: str, null: bool, root: str, stdin: BinaryIO | None) -> Iterator[Item]:
    """Items of a list, each with its folder below ``root``; a folder outside begins with '..'."""
    last, folder = None, ""
    for name in read_names(source, null=null, stdin=stdin):
        above = os.path.dirname(name)
        if above != last:  # most neighbours share their folder, and then its one string
            last, folder = above, _below(above, root)
        # a file of that name: an input from standard input has no place in a list
        yield Item(os.path.join(".", name) if name == STANDARD_INPUT else name, folder)


def _below(folder: str, root: str) -> str:
    try:
        relative = os.path.relpath(folder or ".", root)
    except ValueError:  # another drive
        return os.path.join(os.pardir, folder)
    return "" if relative == "." else relative
