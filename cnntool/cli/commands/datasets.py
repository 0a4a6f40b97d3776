"""``cnntool datasets``, ``cnntool datasets download`` and ``cnntool datasets make``."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from cnntool.cli.command import Command
from cnntool.cli.options import FILES, RunOptions, common_options, option, table_options
from cnntool.cli.progress import follow, follow_bytes
from cnntool.cli.streams import emit, warn
from cnntool.cli.types import Size
from cnntool.files import standard_output, terminal_safe
from cnntool.report.tables import TableWriter, json_text


def _complete(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from cnntool.data.known import KNOWN

    names = [
        CompletionItem(name, help=entry.summary)
        for name, entry in KNOWN.items()
        if name.startswith(incomplete)
    ]
    # the list takes folders too
    return names or [CompletionItem(incomplete, type="file")]


@click.command(
    "download",
    cls=Command,
    short_help="Download a data set, checked by its SHA-256.",
    examples="""
    cnntool datasets download fashion-mnist           then: cnntool train fashion-mnist
    cnntool datasets download cifar10 -o data/cifar10
    """,
)
@click.argument("known", metavar="NAME", shell_complete=_complete)
@option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(),
    heading=FILES,
    help="Folder for its files.  [default: in ~/.cache/cnntool]",
)
@option("-f", "--force", is_flag=True, heading=FILES, help="Replace other files of these names.")
@common_options
def download(run: RunOptions, known: str) -> None:
    """Download a data set, checked by its SHA-256.

    Several servers are tried. Files that are there already are not downloaded again. No other
    command of cnntool uses the network.
    """
    from cnntool.jobs.datasets import fetch

    def tell(sentence: str) -> None:
        if not run.quiet:
            warn(sentence)

    with follow_bytes(shown=run.progress and not run.quiet) as progress:
        written = fetch(known, run.output, force=run.force, progress=progress, tell=tell)
    on_terminal = standard_output().isatty()
    for path in written:
        emit(terminal_safe(path) if on_terminal else path)


def _complete_kind(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from cnntool.data.made import KINDS

    return [
        CompletionItem(name, help=kind.summary)
        for name, kind in KINDS.items()
        if name.startswith(incomplete)
    ]


@click.command(
    "make",
    cls=Command,
    short_help="Make a data set with a class for every pixel.",
    examples="""
    cnntool datasets make shapes shapes/                      then: cnntool train shapes/
    cnntool datasets make digit-scenes scenes/ --count 500 --size 96x96 --seed 7
    """,
)
@click.argument("kind", metavar="shapes|digit-scenes", shell_complete=_complete_kind)
@click.argument("folder", metavar="DIR", type=click.Path())
@option(
    "--count",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    default=2000,
    help="Pictures to learn from; there is a tenth as many more to test with.",
)
@option("--size", type=Size(), metavar="HxW", default="64x64", help="Of every picture.")
@option(
    "--seed", type=click.IntRange(0, 2**62), metavar="N", default=0, help="Of all that is drawn."
)
@option("-f", "--force", is_flag=True, heading=FILES, help="Replace a data set that was made.")
@common_options
def make(
    run: RunOptions, kind: str, folder: str, count: int, size: tuple[int, int], seed: int
) -> None:
    """Make a data set with a class for every pixel.

    shapes: ellipses, rectangles and triangles, one over another, on textures. digit-scenes: digits
    of MNIST in random sizes and colours on textures. DIR gets train/ and test/ with images/ and
    masks/, classes.txt and made.json; it is there whole or not at all. Same options, same pictures.
    """
    from cnntool.data.made.folder import parts
    from cnntool.jobs.datasets import make as make_folder

    with follow(
        sum(parts(count).values()), shown=run.progress and not run.quiet, printing=False
    ) as progress:
        made = make_folder(
            kind, folder, count, size=size, seed=seed, force=run.force, progress=progress
        )
    emit(terminal_safe(folder) if standard_output().isatty() else folder)
    if not run.quiet:
        warn(made)


@click.command(
    cls=Command,
    short_help="List data sets, show what is in one, download or make one.",
    examples="""
    cnntool datasets                           built in, on this machine, to download
    cnntool datasets mnist                     classes and pictures of each part
    cnntool datasets photos/ --size 64x64      the same of a folder, as training would read it
    cnntool datasets download fashion-mnist    from the web, checked
    cnntool datasets make shapes shapes/       pictures with a class for every pixel
    """,
    subcommands=(download, make),
)
@click.argument("source", metavar="[NAME|DIR|FILE]", required=False, shell_complete=_complete)
@option("--size", type=Size(), metavar="HxW", help="Bring pictures to this size.")
@option(
    "--fit",
    type=click.Choice(("stretch", "crop", "pad")),
    default="stretch",
    help="How they are brought to it.",
)
@option("--color", type=click.Choice(("gray", "rgb")), help="Read all pictures as these.")
@table_options("table")
@common_options
def command(
    run: RunOptions, source: str | None, form: str, size: Any, fit: str, color: str | None
) -> None:
    """List data sets, show what is in one, download or make one.

    A data set is a name, or a folder that holds a folder of pictures for each class (or train/,
    val/ and test/ above these), images/ and masks/, or IDX files; or an .npz file.
    """
    from cnntool.jobs.datasets import COLUMNS, describe, lines, rows

    if source is None:
        full = form in ("json", "jsonl")
        with TableWriter(form, standard_output(), None if full else COLUMNS) as writer:
            for row in rows(full=full):
                writer.row(row)
        return
    found = describe(source, size, fit, color)
    if not run.quiet:
        for note in found["notes"]:
            warn(note)
    if form == "json":
        emit(json_text(found))
        return
    with TableWriter(form, standard_output()) as writer:
        for row in found["classes"]:
            writer.row(row)
    if form == "table":
        emit("\n" + "\n".join(lines(found)))
