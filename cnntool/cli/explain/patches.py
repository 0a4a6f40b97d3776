"""``cnntool explain patches``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cnntool.cli.command import Command
from cnntool.cli.explain import options as shared
from cnntool.cli.options import (
    DEVICE_AUTO,
    FOLDER_RUN,
    RunOptions,
    common_options,
    option,
    table_options,
)
from cnntool.cli.progress import follow
from cnntool.cli.results import claimed_format, result_options, write_result
from cnntool.cli.running import execute, finish, form_asked_for, shares
from cnntool.cli.streams import warn
from cnntool.errors import InputError
from cnntool.files import quote, standard_output
from cnntool.report.tables import TableWriter

if TYPE_CHECKING:
    from cnntool.explain.patches import TopPatches
    from cnntool.explain.subject import Subject
    from cnntool.folder.run import Summary
    from cnntool.jobs.explain_patches import Source

_JOBS, _ON_ERROR, _, _LIMITS = FOLDER_RUN


@click.command(
    "patches",
    cls=Command,
    short_help="Show the parts of many pictures that excite each filter most.",
    examples="""
    cnntool explain patches runs/mnist-cnn-mnist mnist --layer 3.conv -o patches.png
    cnntool explain patches model.safetensors photos/ --layer 0.conv --top 16 -o patches.png
    cnntool explain patches model.safetensors photos/ --layer 6.conv --channels 0-3 --json
    """,
)
@shared.MODEL
@click.argument("dataset", metavar="DATASET", type=click.Path())
@shared.layer_option(help="The layer, as 'cnntool shape' names it.")
@option("--top", type=click.IntRange(1, 1000), default=9, metavar="N", help="Patches a filter.")
@shared.CHANNELS
@option(
    "--part",
    type=click.Choice(("train", "validation", "test")),
    default="train",
    help="Which pictures; train is all of what has no parts.",
)
@option("--limit", type=click.IntRange(1), metavar="N", help="At most N pictures, evenly spaced.")
@shared.INVERT
@table_options("table")
@result_options("The picture, .npy for the patches themselves, or - for standard output.")
@_JOBS
@_ON_ERROR
@_LIMITS
@DEVICE_AUTO
@common_options
def command(
    run: RunOptions,
    form: str,
    model: str,
    dataset: str,
    layer: str | None,
    top: int,
    channels: tuple[int, ...] | None,
    part: str,
    limit: int | None,
    invert: bool,
) -> None:
    """Show the parts of many pictures that excite each filter most.

    DATASET is what 'train' takes, or any folder with pictures in it; they pass by one after
    another. For each filter of the layer the strongest place of every picture counts, and the best
    of these are cut out as exactly what the neuron sees: one row a filter. What lies outside the
    picture is checked.

    Without -o a table is printed: filter, rank, source, box (top, left, bottom, right in pixels of
    the network's input, the last two excluded), the neuron's row and column, its activation. With
    -o the table is printed if its form is asked for (--json).
    """
    subject = shared.opened(run, model, segments=True)
    name = shared.asked_layer(subject, layer)
    from cnntool.explain.patches import TopPatches
    from cnntool.jobs import explain_patches as job
    from cnntool.jobs.explain_filters import channel_numbers

    numbers = channel_numbers(subject, name, channels or ())
    told = run.output is None or bool(form_asked_for())
    if told and run.output == "-":
        raise click.UsageError("-o - leaves no room on standard output for the table")
    format = None if run.output is None else claimed_format(run, run.output, subject.path)
    source = job.open_source(
        subject, dataset, part=part, limit=limit, limits=run.limits, invert=invert
    )
    search = TopPatches(subject, name, top=top, channels=numbers)
    summary = _search(run, subject, search, source, invert)
    if not search.pictures:
        raise InputError(f"{quote(dataset)}: no picture could be read")
    found = search.patches()
    if format is not None:
        data = job.patches_file(subject, search, source, format, run.quality)
        write_result(run, str(run.output), data, told=not told)
    if told:
        with TableWriter(form, standard_output(), job.COLUMNS) as writer:
            for row in job.rows(found, source):
                writer.row(row)
    if (note := job.silent(found)) and not run.quiet:
        warn(note)
    if summary is not None:
        finish(summary)


def _search(
    run: RunOptions, subject: Subject, search: TopPatches, source: Source, invert: bool
) -> Summary | None:
    """Let all pictures pass by; how it went, where they are files."""
    from cnntool.jobs import explain_patches as job
    from cnntool.jobs.predict import DecodeJob

    if isinstance(source, job.Arrays):
        shown = run.progress and not run.quiet
        with follow(len(source), shown=shown, printing=False) as progress:
            job.search_arrays(subject, search, source, progress)
        return None
    collector = job.Collector(subject, search, source)
    return execute(
        DecodeJob(preprocess=subject.preprocess, limits=run.limits, invert=invert),
        source.inputs,
        run,
        shares(run, source.inputs)[0],
        row=collector.add,
        after=collector.finish,
        printing=False,
    )
