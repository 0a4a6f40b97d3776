"""Rows of features: a table as it comes, or arrays at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cnntool.cli.options import RunOptions
from cnntool.cli.running import (
    claim_report,
    emit_path,
    execute,
    finish,
    form_asked_for,
    gather,
    shares,
    table,
)
from cnntool.cli.streams import emit, warn
from cnntool.errors import InputError, OptionError
from cnntool.files import complaint, quote
from cnntool.folder.inputs import Inputs
from cnntool.folder.outputs import OutputPlan, check_result_file
from cnntool.report.feature_tables import FeatureTable

ARRAYS = (".npy", ".npz")


def run_features(
    options: RunOptions,
    make: Callable[..., Any],
    form: str,
    *,
    visualize: str | None = None,
    dry_run: bool = False,
) -> None:
    """Run a feature job over the inputs; exits with the run's status.

    Args:
        options: What the user asked for; ``output`` is a table's file, ``.npy`` or ``.npz``.
        make: Makes the job from keyword arguments of :class:`cnntool.jobs.features.FeatureJob`.
        form: Kind of table where the output's suffix does not tell.
        visualize: Where pictures of the features go.
        dry_run: Print the length of a row and stop.
    """
    job = make(limits=options.limits)
    length = job.fixed_length()
    if dry_run:
        emit(str(length or _first_length(job, gather(options))))
        return
    inputs = gather(options, results=visualize)
    if visualize is not None:
        claim_report(options, inputs)
        if options.output not in (None, "-"):
            check_result_file(str(options.output), inputs, force=options.force)
        plan = _pictures(visualize, inputs, options)
        job = replace(job, pictures=plan)
        plan.prepare(plan.check(inputs, job.outputs))
    if not length and len(inputs.items) > 1:
        length = _common_length(job, inputs)
    job = replace(job, length=length)
    if os.path.splitext(options.output or "")[1].lower() in ARRAYS:
        _into_arrays(job, inputs, options, printing=visualize is not None)
        return
    rows_on_stdout = options.output in (None, "-")
    with table(FeatureTable, options, inputs, form, more=ARRAYS) as writer:

        def row(values: Mapping[str, Any]) -> None:
            writer.features(values["path"], values["features"])

        summary = execute(
            job,
            inputs,
            options,
            shares(options, inputs)[0],
            row=row,
            after=writer.close,  # a table that waits for its widths stands above the counts
            # names of pictures among the rows would spoil the table
            path=(lambda path: None if options.quiet else warn(f"wrote {quote(path)}"))
            if rows_on_stdout
            else None,
            printing=rows_on_stdout or visualize is not None,
        )
    finish(summary)


def _into_arrays(job: Any, inputs: Inputs, options: RunOptions, *, printing: bool) -> None:
    """All rows in one file at the end: (n, d), and the paths in an .npz."""
    from cnntool.jobs.feature_files import FeatureFile

    path = str(options.output)
    if word := form_asked_for():
        raise OptionError(f"{word} is for tables; leave it out to write {path}")
    check_result_file(path, inputs, force=options.force)
    with FeatureFile(path, force=options.force) as file:

        def row(values: Mapping[str, Any]) -> None:
            file.add(values["path"], values["features"])

        jobs = shares(options, inputs)[0]
        summary = execute(job, inputs, options, jobs, row=row, printing=printing)
        if file.commit():
            emit_path(options, path)
    finish(summary)


def _first_length(job: Any, inputs: Inputs) -> int:
    """Length of the row of the first input.

    Raises:
        InputError: It gives none.
    """
    for path, reason in inputs.failures:
        raise InputError(complaint(path, reason))
    path = inputs.items[0].path
    try:
        return int(job.measure(path))
    except InputError as error:
        raise InputError(complaint(path, str(error))) from error


def _common_length(job: Any, inputs: Inputs) -> int:
    """Length of the first row that there will be; damaged pictures fail in their turn."""
    for item in inputs.items:
        if item.path != "-":
            try:
                return int(job.measure(item.path))
            except InputError:
                continue
    return 0


def _pictures(target: str, inputs: Inputs, options: RunOptions) -> OutputPlan:
    plan = OutputPlan.decide(
        target,
        inputs,
        writable=(".png",),
        suffix=".png",
        force=options.force,
        terminal=False,
    )
    if plan.kind == "stdout":
        raise OptionError("--visualize writes files; standard output is for the rows")
    return plan
