"""Where the results of a run go, and every reason not to write them, before anything is read.

The plan is decided once, from ``-o`` and the inputs; then it is a plain value that names the file
of each result, wherever a job runs. All names are made and compared before the first input is
opened: a collision that shows after an hour has already cost the hour.
"""

# names stay strings: bytes that are no text pass through
# ruff: noqa: PTH110, PTH112, PTH117

from __future__ import annotations

import os
import string
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from cnntool.errors import CnntoolError, OptionError
from cnntool.files import (
    folder_id,
    probe,
    quote,
    sweep_stale,
    system_failure,
    write_whole,
)
from cnntool.files.atomic import Bytes, exists_error
from cnntool.folder.conflicts import find_conflicts
from cnntool.folder.inputs import Inputs
from cnntool.folder.job import STANDARD_INPUT, STANDARD_OUTPUT, Item

TEMPLATE = "{stem}.{what}{ext}"
"""Names of results, beside the inputs and in output folders alike."""

FIELDS = ("stem", "what", "ext", "name", "parent")
"""Fields of a template: stem and name of the input, what was done, suffix, the input's folder."""

Kind = Literal["beside", "file", "folder", "stdout"]
"""Where results go: next to their inputs, into one file, into a folder, to standard output."""


@dataclass(frozen=True)
class OutputPlan:
    """The names of a run's results; picklable, so that jobs anywhere agree on them.

    Made by :meth:`decide`.

    Example:
        >>> plan = OutputPlan("folder", "out", writable=frozenset({".jpg"}))
        >>> plan.path(Item("photos/sub/a.jpg", "sub"), "sobel-x")
        'out/sub/a.sobel-x.jpg'

    Attributes:
        kind: Where results go.
        target: The file or folder; '' for the other kinds.
        template: Format of a name, with the fields of :data:`FIELDS`.
        suffix: The suffix of ``--format``, with its dot; '' keeps the input's where possible.
        writable: Suffixes in lower case that can be written; others become ``.png``.
        force: Existing files are replaced.
        skip_existing: Existing files are kept and not made again.
    """

    kind: Kind
    target: str = ""
    template: str = TEMPLATE
    suffix: str = ""
    writable: frozenset[str] = frozenset()
    force: bool = False
    skip_existing: bool = False

    @classmethod
    def decide(
        cls,
        output: str | None,
        inputs: Inputs,
        *,
        writable: Iterable[str],
        suffix: str | None = None,
        name: str | None = None,
        force: bool = False,
        skip_existing: bool = False,
        terminal: bool | None = None,
    ) -> OutputPlan:
        """The plan that ``-o`` and the inputs ask for.

        Args:
            output: What ``-o`` says; None if it was not given.
            inputs: What is worked on.
            writable: Suffixes that can be written, with their dots.
            suffix: The suffix of ``--format``.
            name: The template of ``--name``; None is :data:`TEMPLATE`.
            force: Replace existing files.
            skip_existing: Keep existing files.
            terminal: Whether standard output is a terminal; None asks it.

        Raises:
            OptionError: The arguments contradict each other, or would eat their own results.
        """
        if force and skip_existing:
            raise OptionError("--force overwrites and --skip-existing keeps; give one of them")
        suffixes = frozenset(s.lower() for s in writable)
        kind, target = _kind(output, inputs)
        if kind == "stdout" and (_stdout_is_terminal() if terminal is None else terminal):
            raise OptionError(
                "a picture is not written to a terminal; use -o FILE, or a pipe after the command"
            )
        return cls(
            kind,
            target,
            checked_template(TEMPLATE if name is None else name, suffixes),
            suffix or "",
            suffixes,
            force,
            skip_existing,
        )

    def path(self, item: Item, what: str, suffix: str | None = None) -> str:
        """The file that becomes of ``item``; ``-`` is standard output.

        Args:
            item: The input.
            what: What was done to it, as it stands in the name (``sobel-x``).
            suffix: The result's suffix where the job knows better than :meth:`suffix_of`.

        Raises:
            OptionError: The name leads out of the output folder.
        """
        if self.kind == "stdout":
            return STANDARD_OUTPUT
        if self.kind == "file":
            return self.target
        name = self._name(item, what, suffix)
        if self.kind == "beside":
            return os.path.join(os.path.dirname(item.path), name)
        if _leads_out(item.folder):
            raise OptionError(
                f"{quote(item.path)} is not below the folder that the names in the list are "
                "relative to; give one that holds all inputs with --root"
            )
        return os.path.join(self.target, item.folder, name)

    def suffix_of(self, item: Item) -> str:
        """The suffix of the results of ``item``: of ``--format``, its own, or ``.png``."""
        if self.suffix:
            return self.suffix
        own = os.path.splitext(item.path)[1]
        return own if own.lower() in self.writable else ".png"

    def wants(self, path: str) -> bool:
        """Whether ``path`` is still to be written."""
        return not (self.skip_existing and os.path.exists(path))

    def write(self, path: str, data: Bytes, *, sync: bool = False) -> bool:
        """Write a result whole to ``path``; False if it exists and is to be kept.

        Raises:
            OptionError: It appeared since the plan was checked.
            SystemFailure: The system did not take it.
        """
        if not self.wants(path):
            return False
        write_whole(path, data, force=self.force, sync=sync)
        return True

    def check(self, inputs: Inputs, outputs: Callable[[Item], Iterable[str]]) -> frozenset[str]:
        """Find everything wrong with the names of all results; the folders to write to.

        Args:
            inputs: What is worked on.
            outputs: The names of an item's results, usually the job's ``outputs``.

        Raises:
            OptionError: Two results of one name, a result that is an input, a file that exists,
                or a name that no file can have.
        """
        return find_conflicts(
            inputs.items,
            outputs,
            inputs.files_read,
            force=self.force,
            skip_existing=self.skip_existing,
            claimed=inputs.claimed,
        )

    def prepare(self, folders: Iterable[str]) -> None:
        """Make the folders of an output folder, sweep them, and try whether they take files.

        Raises:
            SystemFailure: A folder cannot be made or written to.
        """
        for folder in sorted(folders):
            try:
                if self.kind == "folder" or "/" in self.template:
                    os.makedirs(folder or ".", exist_ok=True)
                sweep_stale(folder)
                probe(folder)
            except CnntoolError:
                raise
            except OSError as error:
                what = "the output folder cannot be used"
                raise system_failure(folder or ".", error, what) from error

    def _name(self, item: Item, what: str, suffix: str | None) -> str:
        full = "stdin" if item.path == STANDARD_INPUT else os.path.basename(item.path)
        template = self.template if what else self.template.replace(".{what}", "")
        name = template.format(
            stem=os.path.splitext(full)[0],
            # a slash in a kernel's name must not make a folder
            what=what.replace("/", "-").replace(os.sep, "-"),
            ext=self.suffix_of(item) if suffix is None else suffix,
            name=full,
            parent=os.path.basename(os.path.dirname(os.path.abspath(item.path))),
        )
        if _leads_out(name) or any(part in ("", ".", "..") for part in name.split("/")):
            raise OptionError(f"--name {quote(self.template)} gives no usable name: {quote(name)}")
        return name


def check_result_file(
    path: str, inputs: Inputs, option: str = "-o", *, force: bool = False, prepare: bool = True
) -> None:
    """Refuse ``path`` for a file that all inputs go into, or claim it: a table, a report.

    Args:
        path: The file.
        inputs: What is read, and what else is written; ``path`` is added.
        option: Who names it.
        force: Existing files may be replaced.
        prepare: Try whether its folder takes files; results may have to make it first.

    Raises:
        OptionError: It is an input, a folder, claimed by another option, or exists and ``force``
            is off.
        SystemFailure: Its folder does not take files.
    """
    if not path:
        raise OptionError("an output has an empty name; is a variable of the shell unset?")
    try:
        others = {name: owner for name, owner in inputs.claimed.items() if owner != option}
        folders = find_conflicts(
            [Item("")], lambda item: (path,), inputs.files_read, force=force, claimed=others
        )
    except OptionError as error:
        if "count" not in error.facts:
            raise
        raise exists_error(path) from error  # there is nothing to skip here
    if prepare:
        OutputPlan("file", path).prepare(folders)
    inputs.claimed[path] = option


def checked_template(template: str, writable: Iterable[str]) -> str:
    """``template`` with a suffix, if its fields are known and it stays in its folder.

    Example:
        >>> checked_template("{what}/{stem}", {".png"})
        '{what}/{stem}{ext}'
    """
    shown = f"--name {quote(template)}"
    known = " ".join("{" + name + "}" for name in FIELDS)
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise OptionError(f"{shown}: unpaired brace; there are {known}") from error
    fields = []
    for _, field, spec, conversion in parts:
        if field is None:
            continue
        if field not in FIELDS:
            raise OptionError(f"{shown}: unknown field {{{field}}}; there are {known}")
        if spec or conversion:
            raise OptionError(f"{shown}: {{{field}}} takes no format; write it plain")
        fields.append(field)
    if _leads_out(template) or any(part in ("", ".", "..") for part in template.split("/")):
        raise OptionError(
            f"{shown} leads out of the output folder; leave out '..', '//' and a '/' in front"
        )
    # without a suffix nobody could tell the format
    if "ext" not in fields and not template.lower().endswith(tuple(writable)):
        template += "{ext}"
    return template


def _kind(output: str | None, inputs: Inputs) -> tuple[Kind, str]:
    """Where results go, by the rules of ``-o``."""
    count = len(inputs.items)
    if output is None:
        if inputs.any_folder:
            raise OptionError(
                f"{quote(inputs.folders[0])} is a folder; add -o DIR/ for the results, so that "
                "the next run does not read them"
            )
        if not any(item.path == STANDARD_INPUT for item in inputs.items):
            return "beside", ""
        if count == 1:
            return "stdout", ""
        raise OptionError("standard input among other inputs: add -o DIR/ for the results")
    if output == "":
        raise OptionError("an output has an empty name; is a variable of the shell unset?")
    if output == STANDARD_OUTPUT:
        if inputs.several or count != 1:
            raise OptionError("-o - takes exactly one input, no folder and no list; use -o DIR/")
        return "stdout", ""
    if (
        output.endswith(("/", os.sep))
        or os.path.isdir(output)
        or inputs.any_folder
        or inputs.from_list
    ):
        _check_folder(output, inputs)
        return "folder", output
    if count > 1:
        raise OptionError(
            f"{quote(output)} is one file for {count} inputs; write {quote(output + '/')} "
            "for a folder"
        )
    return "file", output


def _check_folder(output: str, inputs: Inputs) -> None:
    if os.path.lexists(output.rstrip("/" + os.sep)) and not os.path.isdir(output):
        raise OptionError(f"{quote(output)} is no folder, and these inputs need one; see -o")
    identity = folder_id(output)
    for folder in inputs.folders:
        if identity is not None and identity == folder_id(folder):
            raise OptionError(
                f"{quote(folder)} is the input and the output folder; write elsewhere, for "
                f"instance {quote(os.path.join(output, 'out', ''))}"
            )


def _leads_out(path: str) -> bool:
    """Whether a relative path ends outside the folder it is relative to."""
    if os.path.isabs(path) or os.path.splitdrive(path)[0]:
        return True
    first = os.path.normpath(path).split(os.sep, 1)[0]
    return first == os.pardir


def _stdout_is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()
