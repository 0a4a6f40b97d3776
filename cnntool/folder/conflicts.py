"""Everything wrong with the names of results, found before the first is written."""

# names stay strings: bytes that are no text pass through
# ruff: noqa: PTH116

from __future__ import annotations

import functools
import os
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

from cnntool.errors import OptionError
from cnntool.files import is_stream, quote
from cnntool.folder.job import STANDARD_INPUT, STANDARD_OUTPUT, Item

Outputs = Callable[[Item], Iterable[str]]
"""Names of the results of one item."""

_LONGEST_NAME = 255  # bytes of one component on all common file systems
_SHORT = 60  # characters of a name where a message holds two or three


def find_conflicts(
    items: Sequence[Item],
    outputs: Outputs,
    inputs: Sequence[str],
    *,
    force: bool = False,
    skip_existing: bool = False,
    claimed: Mapping[str, str] | None = None,
) -> frozenset[str]:
    """The folders that results will be written to, if nothing is wrong with any name.

    Args:
        items: What is worked on.
        outputs: The names of an item's results; ``-`` is standard output.
        inputs: Files that are read, which no result may replace.
        force: Existing files may be replaced.
        skip_existing: Existing files are kept.
        claimed: Other files that the run writes, and the option that names each.

    Raises:
        OptionError: Two results of one name, a result that is an input, a file that exists,
            or a name that no file can have.
    """
    return _Conflicts(items, outputs, inputs, force, skip_existing, claimed or {}).folders()


class _Conflicts:
    def __init__(
        self,
        items: Sequence[Item],
        outputs: Outputs,
        inputs: Sequence[str],
        force: bool,
        skip_existing: bool,
        claimed: Mapping[str, str],
    ) -> None:
        self.items = items
        self.outputs = outputs
        self.inputs = inputs
        self.force = force
        self.skip_existing = skip_existing
        self.claimed = {identity(path): option for path, option in claimed.items()}
        # hashes, not names: with many inputs the names would be most of the memory
        self.owner: dict[int, int] = {}
        self.existing = 0
        self.first_existing = ""

    def folders(self) -> frozenset[str]:
        folders = set()
        on_stdout = 0
        for index, item in enumerate(self.items):
            for path in self.outputs(item):
                if path == STANDARD_OUTPUT:
                    on_stdout += 1
                    continue
                self.refuse_shared(index, path)
                if self.will_be_written(path):
                    folders.add(os.path.dirname(path))
        if on_stdout > 1:
            raise OptionError(
                f"standard output takes one result, there would be {on_stdout}; use -o DIR/"
            )
        if self.existing:
            more = f" and {self.existing - 1} more" if self.existing > 1 else ""
            raise OptionError(
                f"{quote(self.first_existing)}{more} exist{'' if more else 's'}; -f (--force) "
                "overwrites, --skip-existing keeps",
                path=self.first_existing,
                count=self.existing,
            )
        return frozenset(folders)

    def refuse_shared(self, index: int, path: str) -> None:
        """Note that the item at ``index`` becomes ``path``; an error if another does so already."""
        name = identity(path)
        if name in self.claimed:
            raise OptionError(
                f"{quote(path)} would be a result and the file of {self.claimed[name]} at once; "
                "choose another name for one of them"
            )
        earlier = self.owner.get(hash(name))
        if earlier is None:
            self.owner[hash(name)] = index
            return
        here, there = self.items[index], self.items[earlier]
        same = [identity(p) for p in self.outputs(there)].count(name)
        if same < 1 + (earlier == index):
            return  # two names with one hash
        if earlier == index:
            raise OptionError(
                f"several results of {quote(here.path, _SHORT)} would be written to "
                f"{quote(path, _SHORT)}; write to a folder (-o DIR/), with {{what}} in --name"
            )
        if identity(here.path) == identity(there.path):
            raise OptionError(f"{quote(here.path)} is named twice; name every input once")
        same_folder = os.path.dirname(here.path) == os.path.dirname(there.path)
        template = "{name}.{what}{ext}" if same_folder else "{parent}-{stem}.{what}{ext}"
        raise OptionError(
            f"{quote(there.path, _SHORT)} and {quote(here.path, _SHORT)} would both become "
            f"{quote(path, _SHORT)}; --name '{template}' may keep them apart"
        )

    def will_be_written(self, path: str) -> bool:
        """Whether ``path`` is for the plan to write; counts what exists, refuses what cannot be."""
        if len(os.fsencode(os.path.basename(path))) > _LONGEST_NAME:
            raise OptionError(
                f"{quote(path)}: the name is longer than {_LONGEST_NAME} bytes; "
                "choose a shorter one with --name"
            )
        try:
            found = os.stat(path)
        except OSError:  # nothing there, or a folder that will complain by itself
            return True
        if stat.S_ISDIR(found.st_mode):
            raise OptionError(f"{quote(path)} is a folder; choose another name with --name or -o")
        if is_stream(path):  # a device, a pipe, /dev/stdout: written into
            return False
        if (found.st_dev, found.st_ino) in self.input_files:
            raise OptionError(
                f"{quote(path)} is an input and is never overwritten; choose another -o or --name"
            )
        if self.skip_existing:
            return False
        if not self.force:
            self.existing += 1
            self.first_existing = self.first_existing or path
        return True

    @functools.cached_property
    def input_files(self) -> set[tuple[int, int]]:
        """What the inputs are under all their names; asked for only if some result exists."""
        found = set()
        for path in self.inputs:
            if path == STANDARD_INPUT:
                continue
            try:
                status = os.stat(path)
            except (OSError, ValueError):
                continue
            found.add((status.st_dev, status.st_ino))
        return found


def identity(path: str) -> str:
    """One spelling for all spellings of a name that mean one file."""
    path = os.path.normcase(os.path.abspath(path))
    if sys.platform == "darwin":  # its file systems ignore case and composition
        path = unicodedata.normalize("NFC", path.casefold())
    return path
