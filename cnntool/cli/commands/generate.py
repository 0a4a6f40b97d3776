"""``cnntool generate``: pictures that a trained generator makes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli.command import Command
from cnntool.cli.model_types import ClassLabel
from cnntool.cli.options import DEVICE_AUTO, RunOptions, given, option, picture_options, refuse
from cnntool.cli.progress import follow
from cnntool.cli.results import claim, claimed_format, write_result
from cnntool.cli.running import emit_path, run_pictures
from cnntool.cli.streams import warn
from cnntool.cli.types import NumberRanges
from cnntool.errors import NameNotFound, OptionError

if TYPE_CHECKING:
    from cnntool.jobs.generate import Wish
    from cnntool.predict.generator import Generator

_OF_NUMBERS = ("labels", "vectors", "count", "interpolate", "steps", "columns")
_OF_PICTURES = (
    "recursive", "files_from", "root", "name", "skip_existing", "jobs", "on_error", "report",
    "limits",
)  # fmt: skip
_SEEDS = tuple(range(16))
_CORNERS = tuple(range(4))


@click.command(
    cls=Command,
    short_help="Make pictures with a trained generator.",
    examples="""
    cnntool generate runs/mnist-dcgan -o grid.png
    cnntool generate runs/mnist-conditional --class 3 --seeds 0-99 -o threes.png
    cnntool generate runs/mnist-conditional --count 5000 -o more/     folders of classes
    cnntool generate runs/mnist-conditional --interpolate -o morph.gif
    cnntool generate runs/mnist-superres small/*.png -o large/
    """,
)
@click.argument("model", metavar="MODEL", type=click.Path())
@option(
    "--seeds",
    type=NumberRanges("seeds", repeated=True),
    help="Of random numbers: each makes another picture, always the same one.  [default: 0-15; "
    "0-3 with --interpolate; 0 with IMG]",
)
@option(
    "--class",
    "labels",
    type=ClassLabel(),
    multiple=True,
    metavar="LABEL",
    help="Make pictures of this class; may be given several times.  [default: each]",
)
@option(
    "--vectors",
    type=click.Path(),
    metavar="FILE.npy",
    help="Conditions of a model that takes vectors, one a row.",
)
@option(
    "--count",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="So many pictures in all, with seeds from the first one on, of each class in turn.",
)
@option("--interpolate", is_flag=True, help="Go from each seed to the next, on a great circle.")
@option(
    "--steps",
    type=click.IntRange(1, 1000),
    default=8,
    metavar="N",
    help="Pictures on each such way.",
)
@option(
    "--columns",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Pictures in a row.  [default: those of a class]",
)
@picture_options(device=DEVICE_AUTO)
def command(
    run: RunOptions,
    model: str,
    seeds: tuple[int, ...] | None,
    labels: tuple[str, ...],
    vectors: str | None,
    count: int | None,
    interpolate: bool,
    steps: int,
    columns: int | None,
) -> None:
    """Make pictures with a trained generator.

    MODEL is a model file or the folder of a training of a generator. -o FILE.png is one sheet with
    a row a class, -o FILE.gif shows one picture after another, and -o DIR/ gets a file each, in a
    folder for each class, so that 'cnntool train' takes it as a data set or a part of one.

    Models that learned to make pictures of others (superres, colorize, inpaint) take these as IMG,
    and write results as other commands do. Larger pictures than those of the training are worked on
    in overlapping tiles; a missing middle is filled in pictures of the training's size alone.
    """
    from cnntool.predict.generator import Generator

    generator = Generator.load(model, device=run.device)
    if run.verbose:
        warn(f"model: {generator}")
    if generator.generation.of_pictures:
        refuse(_OF_NUMBERS, "is for models that make pictures of numbers; this one takes pictures")
        _paint(run, generator, seeds[0] if seeds else 0)
        return
    refuse(_OF_PICTURES, "is for models that take pictures; this one makes them of numbers")
    if run.paths:
        raise OptionError("this model makes pictures of numbers; it takes no IMG")
    if interpolate and count is not None:
        raise click.UsageError("--interpolate and --count exclude each other")
    if not interpolate and given("steps"):
        raise click.UsageError("--steps is for --interpolate")
    from cnntool.jobs import generate

    if seeds and not interpolate:
        seeds = tuple(dict.fromkeys(seeds))
    table = _vectors(generator, vectors)
    numbers: list[Any] = [None]
    if table is not None:
        numbers = list(range(len(table)))
    if generator.generation.condition == "class":
        numbers = _numbers(generator, labels)
    elif labels:
        raise OptionError("--class: this model was trained without classes")
    wanted = generate.wishes(
        seeds or (_CORNERS if interpolate else _SEEDS),
        numbers,
        count=count,
        steps=steps if interpolate else None,
    )
    _write(run, generator, wanted, table, columns)


def _paint(run: RunOptions, generator: Generator, seed: int) -> None:
    """A picture for each picture."""
    from cnntool.jobs.paint import PaintJob
    from cnntool.predict.painter import Painter

    painter = Painter(generator, seed)

    def make(**shared: Any) -> PaintJob:
        return PaintJob(painter=painter, **shared)

    # one after another: the model's own products use all cores
    run = replace(run, device=generator.device.name, jobs=1)
    run_pictures(run, make, protected=(generator.path,))


def _write(
    run: RunOptions,
    generator: Generator,
    wanted: list[Wish],
    table: Any,
    columns: int | None,
) -> None:
    """Make the pictures and write them."""
    from cnntool.images.picture import Picture
    from cnntool.images.writing import encode
    from cnntool.jobs import generate

    output = run.output
    if not output:
        raise OptionError("where to? -o FILE.png writes one sheet, -o DIR/ a file each")
    if output != "-" and (output.endswith(os.sep) or Path(output).is_dir()):
        refuse(("columns",), "is for sheets, not for -o DIR/")
        folder = generate.Folder(
            output, generator.classes, run.format or "png", run.quality, run.force
        )
        names = folder.names(wanted)
        pictures = generate.made(generator, wanted, table)
        with follow(len(wanted), shown=run.progress and not run.quiet) as progress:
            for name in folder.write(names, pictures, progress):
                emit_path(run, name)
        return
    film = run.format is None and output.lower().endswith(".gif")
    if film:
        refuse(("columns", "quality"), "means nothing to a GIF")
        claim(run, output, generator.path)
        data = generate.animation(generator, wanted, table)
    else:
        format = claimed_format(run, output, generator.path, also=".gif")
        pictures = generate.made(generator, wanted, table)
        made = generate.sheet(
            generator, wanted, pictures, columns=columns, titles=generator.classes
        )
        data = encode(Picture(made), format, quality=run.quality)
    write_result(run, output, data)


def _numbers(generator: Generator, labels: tuple[str, ...]) -> list[int]:
    """Numbers of the classes that were asked for."""
    for label in labels:
        if label not in generator.classes:
            raise NameNotFound.among("class", label, generator.classes, listed=True)
    chosen = dict.fromkeys(labels) or generator.classes
    return [generator.classes.index(label) for label in chosen]


def _vectors(generator: Generator, path: str | None) -> Any:
    """The vectors, where the model takes some."""
    from cnntool.jobs.generate import read_vectors

    takes = generator.generation.condition == "vector"
    if takes and path is None:
        width = generator.generation.width
        raise OptionError(f"this model takes vectors of {width} numbers: --vectors FILE.npy")
    if path is not None and not takes:
        raise OptionError("--vectors: this model was trained without vectors")
    return None if path is None else read_vectors(path, generator)
