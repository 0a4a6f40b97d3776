"""Rows of features: a table as it comes, or arrays at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import click

from cnntool.cli.options import RunOptions
from cnntool.cli.running import execute, finish, gather, shares, table
from cnntool.cli.streams import emit
from cnntool.errors import InputError, OptionError
from cnntool.folder.inputs import Inputs
from cnntool.folder.outputs import OutputPlan, check_result_file

FORMS = {".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".txt": "table"}
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
    if dry_run:
        emit(str(_length(job, options)))
        return
    inputs = gather(options)
    if visualize is not None:
        plan = _pictures(visualize, inputs, options)
        job = replace(job, pictures=plan)
        plan.prepare(plan.check(inputs, job.outputs))
    if len(inputs.items) > 1:
        job = replace(job, length=_first_length(job, inputs))
    suffix = os.path.splitext(options.output or "")[1].lower()
    if suffix in ARRAYS:
        _into_arrays(job, inputs, options)
        return
    given = click.get_current_context().get_parameter_source("as_form")
    if suffix in FORMS and form == "tsv" and given is not click.core.ParameterSource.COMMANDLINE:
        form = FORMS[suffix]
    elif suffix not in FORMS and suffix and options.output not in (None, "-", os.devnull):
        known = ", ".join((*ARRAYS, *FORMS))
        raise OptionError(f"features cannot be written as '{suffix}'; use {known}")
    from cnntool.jobs.feature_files import plain_numbers

    with table(options, inputs, form, None) as writer:

        def row(values: Mapping[str, Any]) -> None:
            numbers = plain_numbers(values["features"])
            if form in ("json", "jsonl"):
                writer.row({"path": values["path"], "features": numbers})
            else:
                cells = {f"f{place}": number for place, number in enumerate(numbers)}
                writer.row({"path": values["path"], **cells})

        jobs = shares(options, inputs)[0]
        summary = execute(job, inputs, replace(options, skip_existing=False), jobs, row=row)
    finish(summary)


def _into_arrays(job: Any, inputs: Inputs, options: RunOptions) -> None:
    """All rows in memory, then one file: (n, d), and the paths in an .npz."""
    path = str(options.output)
    check_result_file(path, inputs, force=options.force)
    rows: list[Any] = []
    names: list[str] = []

    def row(values: Mapping[str, Any]) -> None:
        rows.append(values["features"])
        names.append(str(values["path"]))

    jobs = shares(options, inputs)[0]
    summary = execute(job, inputs, options, jobs, row=row)
    if rows:
        from cnntool.jobs.feature_files import write_features

        write_features(path, rows, names, force=options.force)
        emit(path)
    finish(summary)


def _length(job: Any, options: RunOptions) -> int:
    if job.size is not None and not options.paths:
        return int(job.count_of(job.size))
    inputs = gather(options)
    return int(job.measure(inputs.items[0].path))


def _first_length(job: Any, inputs: Inputs) -> int:
    """Length of the first picture's row; damaged ones fail in their turn."""
    if job.size is not None and job.gray:
        return 0  # all are alike
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
