"""From options to a run: inputs, output names, checks, the job, and what is printed meanwhile."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cnntool.cli.config import CONFIG_FILE
from cnntool.cli.notes import Notes, Text
from cnntool.cli.options import RunOptions
from cnntool.cli.progress import follow
from cnntool.cli.streams import emit, emit_bytes, warn
from cnntool.errors import OptionError
from cnntool.files import WholeFile, quote, standard_output, terminal_safe
from cnntool.folder.inputs import Inputs, collect
from cnntool.folder.job import Item, Job
from cnntool.folder.journal import Journal
from cnntool.folder.outputs import OutputPlan, check_result_file
from cnntool.folder.run import Summary, run
from cnntool.images.formats import FORMATS, KNOWN_SUFFIXES, WRITABLE, by_suffix
from cnntool.machine import cores
from cnntool.report.tables import TableWriter

if TYPE_CHECKING:
    from cnntool.jobs.augment_sheet import Companions
    from cnntool.jobs.picture import PictureJob

WRITABLE_SUFFIXES = frozenset(s for name in WRITABLE for s in FORMATS[name].suffixes)

FORMS = {".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".txt": "table"}
"""Suffix of a table's file -> its form."""

MakeJob = Callable[..., "PictureJob"]
Table = TypeVar("Table", bound=TableWriter)


def gather(
    options: RunOptions,
    suffixes: frozenset[str] = KNOWN_SUFFIXES,
    *,
    results: str | None = None,
) -> Inputs:
    """The inputs that the user named.

    Args:
        options: What the user asked for.
        suffixes: What files of folders must end in.
        results: The folder of results, which is never read, if it is not ``-o``.
    """
    results = results or options.output
    inputs = collect(
        options.paths,
        suffixes=suffixes,
        recursive=options.recursive,
        files_from=options.files_from,
        null=options.null,
        root=options.root or "",
        exclude=None if results in (None, "-") else results,
    )
    read = (options.files_from, click.get_current_context().meta.get(CONFIG_FILE))
    inputs.protected += tuple(str(path) for path in read if path not in (None, "-"))
    return inputs


def claim_report(options: RunOptions, inputs: Inputs, *, prepare: bool = False) -> None:
    """Make sure of the file of ``--report`` before results are named or made.

    Its folder may be the results' own, so it is tried (``prepare``) when that is there.

    Raises:
        OptionError: It is an input, another file of this run, or exists.
    """
    if options.report is None:
        return
    if options.skip_existing and Path(options.report).is_file():
        raise OptionError(f"{quote(options.report)} exists; name this run's report otherwise")
    check_result_file(options.report, inputs, "--report", force=options.force, prepare=prepare)


def emit_path(options: RunOptions, path: str) -> None:
    """Print the name of a file that was written, as lists of names are asked for."""
    on_terminal = standard_output().isatty()
    emit(terminal_safe(path) if on_terminal else path, "\0" if options.null else "\n")


def shares(options: RunOptions, inputs: Inputs) -> tuple[int, int]:
    """Jobs at the same time, and threads inside each: their product is at most the cores."""
    jobs = max(1, min(options.jobs or cores(), len(inputs.items)))
    return jobs, max(1, cores() // jobs)


def run_pictures(
    options: RunOptions,
    make: MakeJob,
    *,
    writes: bool = True,
    protected: tuple[str, ...] = (),
    companions: Companions | None = None,
) -> None:
    """Run a job that writes pictures over the inputs; exits with the run's status.

    Args:
        options: What the user asked for.
        make: Makes the job from keyword arguments of :class:`cnntool.jobs.picture.PictureJob`.
        writes: Whether files are written; else the job only prints.
        protected: Other files that the job reads; no result may replace them.
        companions: Files that the job's rows become.
    """
    inputs = gather(options)
    inputs.protected += protected
    claim_report(options, inputs)
    if companions is not None:
        companions.claim(inputs)
    plan = _plan(options, inputs) if writes else OutputPlan("stdout")
    jobs, threads = shares(options, inputs)
    job = make(**_shared(options, plan, threads))
    if writes:
        plan.prepare(plan.check(inputs, job.outputs))
    if options.verbose:
        count = f"{len(inputs.items)} input" + ("s" if len(inputs.items) != 1 else "")
        warn(f"{count}, {jobs} at a time, {threads} threads each, device {job.device}")
    if companions is None:
        finish(execute(job, inputs, options, jobs))
        return
    companions.start(inputs)

    def written() -> None:
        for path in companions.finish():
            if options.output != "-":  # where standard output carries a picture and nothing else
                emit_path(options, path)

    try:
        summary = execute(job, inputs, options, jobs, row=companions.row, after=written)
    finally:
        companions.close()
    finish(summary)


def run_one(options: RunOptions, make: MakeJob) -> None:
    """Run a job that makes one picture of all inputs; exits with the run's status.

    Args:
        options: What the user asked for.
        make: As for :func:`run_pictures`, with all ``paths`` besides.
    """
    found = gather(options)
    paths = tuple(item.path for item in found.items)
    first = [Item(paths[0])] if paths else []
    inputs = Inputs(items=first, notes=found.notes, failures=found.failures)
    plan = _plan(options, inputs)
    job = make(paths=paths, **_shared(options, plan, cores()))
    others = Inputs(items=found.items, protected=found.protected)
    claim_report(options, others)
    plan.prepare(
        plan.check(others, lambda item: job.outputs(item) if item is others.items[0] else ())
    )
    reasons: list[str] = []
    written: list[str] = []

    def failure(sentence: str) -> None:
        # a reason that names one of the inputs needs no other name in front
        rest = sentence.removeprefix(f"{quote(paths[0])}: ") if paths else sentence
        named = rest.startswith(("standard input", *map(quote, paths)))
        reasons.append(rest if named else sentence)
        warn(reasons[-1])

    def path(name: str) -> None:
        written.append(name)
        emit_path(options, name)

    unreported = replace(options, report=None)
    summary = execute(job, inputs, unreported, 1, failure=failure, path=path)
    if options.report is not None:
        _report_together(options, paths, written, reasons)
    finish(summary)


def _report_together(
    options: RunOptions, paths: tuple[str, ...], written: list[str], reasons: list[str]
) -> None:
    """One line of the report an input, where all of them became one result or none."""
    journal = Journal(str(options.report), force=options.force)
    error = "; ".join(reasons) or None
    for name in paths:
        journal.add(name, "failed" if error else "done", outputs=written, error=error)
    journal.commit()


def run_table(
    options: RunOptions,
    job: Job,
    inputs: Inputs,
    form: str,
    columns: tuple[str, ...] | None = None,
    *,
    each: Callable[[Mapping[str, Any]], None] | None = None,
    after: Callable[[], None] | None = None,
) -> None:
    """Run a job that makes rows, and write them as they come; exits with the run's status.

    Args:
        options: What the user asked for; ``output`` is the table's file.
        job: Makes the rows.
        inputs: What it is run over.
        form: Kind of table.
        columns: Its columns; none: those of the first row.
        each: Called with every row.
        after: Called at the end, before the counts.
    """
    with table(TableWriter, options, inputs, form, columns) as writer:

        def row(values: Mapping[str, object]) -> None:
            writer.row(values)
            if each is not None:
                each(values)

        def finished() -> None:
            writer.close()  # a table that waits for its widths stands above the counts
            if after is not None:
                after()

        jobs, printing = shares(options, inputs)[0], options.output in (None, "-")
        summary = execute(job, inputs, options, jobs, row=row, after=finished, printing=printing)
    finish(summary)


@contextmanager
def table(
    kind: Callable[..., Table],
    options: RunOptions,
    inputs: Inputs,
    form: str,
    columns: tuple[str, ...] | None = None,
    more: tuple[str, ...] = (),
) -> Iterator[Table]:
    """A table on standard output, or in the file of ``-o``, which is written whole.

    Args:
        kind: Who writes it: :class:`TableWriter` or a subclass.
        options: Where it goes.
        inputs: Files that it must not replace.
        form: What kind of table, where neither ``--as`` nor the file's suffix tells.
        columns: Its columns; none: those of the first row.
        more: Other suffixes that the command writes, for the message about a wrong one.
    """
    if options.output in (None, "-"):
        with kind(form, standard_output(), columns) as writer:
            yield writer
        return
    path = str(options.output)
    form = _form_of(path, form, more)
    check_result_file(path, inputs, force=options.force)
    with WholeFile(path, force=options.force) as file:
        with kind(form, io.BufferedWriter(_Pieces(file)), columns) as writer:
            yield writer
    emit_path(options, path)


def form_asked_for() -> str:
    """The option on the command line that chooses the form of the table, if there is one."""
    context = click.get_current_context()
    for name, word in (("as_form", "--as"), ("as_json", "--json"), ("as_csv", "--csv")):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            return word
    return ""


def _form_of(path: str, form: str, more: tuple[str, ...]) -> str:
    """The form that the suffix of ``path`` stands for, unless an option asks for another."""
    suffix = os.path.splitext(path)[1].lower()
    if not suffix or form_asked_for():
        return form
    if suffix not in FORMS:
        known = ", ".join((*more, *FORMS))
        raise OptionError(f"{quote(path)}: no table has this suffix; use {known}, or --as")
    return FORMS[suffix]


class _Pieces(io.RawIOBase):
    """A stream into a file that gets its name at the end."""

    def __init__(self, file: WholeFile) -> None:
        self._file = file

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Append all of it."""
        self._file.write(data)
        return len(data)


def _plan(options: RunOptions, inputs: Inputs) -> OutputPlan:
    plan = OutputPlan.decide(
        options.output,
        inputs,
        writable=WRITABLE_SUFFIXES,
        suffix=FORMATS[options.format].suffixes[0] if options.format else None,
        name=options.name,
        force=options.force,
        skip_existing=options.skip_existing,
    )
    _check_suffix(plan, options)
    return plan


def _shared(options: RunOptions, plan: OutputPlan, threads: int) -> dict[str, Any]:
    """Arguments that every picture job takes."""
    return {
        "plan": plan,
        "format": options.format or "",
        "limits": options.limits,
        "quality": options.quality,
        "device": check_device(options.device),
        "threads": threads,
        "verbose": options.verbose,
    }


def execute(
    job: Job,
    inputs: Inputs,
    options: RunOptions,
    jobs: int,
    row: Callable[[Mapping[str, object]], None] | None = None,
    after: Callable[[], None] | None = None,
    failure: Callable[[str], None] | None = None,
    path: Callable[[str], None] | None = None,
    printing: bool = True,
) -> Summary:
    """The run itself, with what the user sees of it; the counts come last.

    Args:
        job: What to do.
        inputs: What to do it with.
        options: What the user asked for.
        jobs: Threads.
        row: Gets each row; by default its text is printed.
        after: Called at the end, before the counts.
        failure: Gets the sentence about each failed input; by default it goes to stderr.
        path: Gets each file written; by default it is printed.
        printing: Whether anything is printed on standard output before the end.
    """
    claim_report(options, inputs, prepare=True)
    notes = Notes(quiet=options.quiet, every=options.verbose > 0)

    def tell_end(summary: Summary) -> None:
        notes.close()
        if after is not None:
            after()
        if summary.several and not options.quiet:
            warn(str(summary))

    if options.verbose > 1:
        from cnntool.jobs.timing import Timed

        job = Timed(job)
    shown = options.progress and not options.quiet
    with follow(len(inputs.items), shown=shown, printing=printing) as progress:
        return run(
            job,
            inputs,
            jobs=jobs,
            on_error="stop" if options.on_error == "stop" else "continue",
            report=options.report,
            force=options.force,
            skip_existing=options.skip_existing,
            debug=options.debug,
            print0=options.null,
            emit_path=path,
            emit_row=row or Text(headed=inputs.several),
            emit_payload=emit_bytes,
            emit_note=notes.add,
            emit_failure=failure,
            emit_summary=tell_end,
            progress=progress,
        )


def finish(summary: Summary) -> None:
    """Leave with the status of the run."""
    if summary.exit_code:
        click.get_current_context().exit(summary.exit_code)


def check_device(name: str) -> str:
    """The device that will be used: ``auto`` becomes what works.

    Raises:
        DeviceError: A GPU was asked for and does not work.
    """
    if name == "cpu":
        return name
    from cnntool import backend

    return str(backend.get(name).name)


def _check_suffix(plan: OutputPlan, options: RunOptions) -> None:
    if plan.kind != "file" or options.format or not os.path.splitext(plan.target)[1]:
        return
    name = by_suffix(plan.target)
    if name is None or not FORMATS[name].writes:
        raise OptionError(
            f"{quote(plan.target)}: pictures cannot be written with this suffix; "
            f"use {', '.join(FORMATS[f].suffixes[0] for f in WRITABLE)}, or --format"
        )
