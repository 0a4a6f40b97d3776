"""``cnntool augment``."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from cnntool.augment.language import parse
from cnntool.augment.words import WORDS
from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, option, picture_options
from cnntool.cli.running import run_pictures
from cnntool.errors import OptionError


class Changes(click.ParamType):  # type: ignore[type-arg]  # generic only in new versions of click
    """Text of random changes; completes their words."""

    name = "ops"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Text -> steps."""
        if not isinstance(value, str):
            return value
        try:
            return parse(value)
        except OptionError as error:
            raise OptionError(f"--ops: {error.message}", **error.facts) from error

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """Words with what they do, behind what is there."""
        before, bar, begun = incomplete.rpartition("|")
        start = begun.lstrip()
        lead = before + bar + begun[: len(begun) - len(start)]
        return [
            CompletionItem(lead + entry.usage.split()[0], help=entry.summary)
            for word, entry in WORDS.items()
            if word.startswith(start)
        ]


def _listed() -> str:
    """The words, for the help."""
    width = max(len(entry.example) for entry in WORDS.values())
    lines = (f"{entry.example:{width}}  {entry.summary}" for entry in WORDS.values())
    return "\n".join(lines)


@click.command(
    cls=Command,
    short_help="Change pictures at random: copies for training, masks along with them.",
    examples="""
    cnntool augment cat.jpg --ops 'hflip p=0.5 | rotate 15 | brightness 0.2'    cat.a0.jpg
    cnntool augment photos/ -r --ops 'crop 0.8 | hflip' --copies 5 -o more/
    cnntool augment photos/ --ops 'rotate 10 | blur 1' --copies 0 --preview sheet.png
    cnntool augment data/images --masks data/masks --ops 'hflip | elastic 0.03' -o more/images/
    cnntool augment *.png --ops 'shift 2 | noise 10' --manifest drawn.jsonl -o out/
    """,
    help=f"""Change pictures at random: copies for training, masks along with them.

    Words stand between |; each is drawn anew for every copy:

    \b
    {_listed().replace(chr(10), chr(10) + "    ")}

    A number N means -N to N (rotate, shift, shear, hue), 1-N to 1+N (scale, brightness, contrast,
    saturation), 0 to N (blur, noise), N to 1 (crop), or N itself (elastic, cutout). LOW:HIGH gives
    both ends. Lengths are shares of the side (0.1), or pixels (2, 1.5px). p=0.5 does a word to half
    of the copies.

    What moves pixels comes first and in one go: border=constant|reflect|edge|symmetric|wrap, fill=0
    and interpolation=bilinear|nearest hold for all of it.

    What is drawn depends on --seed, the copy's number and the path below the folder argument,
    so neither order nor --jobs matters.
    """,
)
@option(
    "--ops",
    "steps",
    type=Changes(),
    required=True,
    metavar="OPS",
    help="Random changes, as above.",
)
@option(
    "--copies",
    type=click.IntRange(0, 10_000),
    default=1,
    metavar="N",
    help="Copies of each picture; 0 only makes the --preview.",
)
@option(
    "--masks",
    metavar="DIR",
    type=click.Path(),
    help="Move the masks in DIR along: class numbers, of the names of their pictures. They go "
    "to masks/ in the output folder, or beside it where that is called images.",
)
@option(
    "--mask-fill",
    type=click.IntRange(0, 255),
    default=255,
    metavar="N",
    help="Label of what lies beyond a mask; 255 stands for no class.",
)
@option(
    "--preview",
    metavar="FILE",
    type=click.Path(),
    help="Write a sheet of some inputs beside copies.",
)
@option(
    "--manifest",
    metavar="FILE.jsonl",
    type=click.Path(),
    help="Write one JSON line a copy: source, output, seed, what was drawn.",
)
@option(
    "--seed", type=click.IntRange(0, 2**62), default=0, metavar="N", help="Of all that is drawn."
)
@option("--gray", is_flag=True, help="Turn colour to grey first.")
@option("--depth", type=click.Choice(("8", "16")), help="Bits of outputs.  [default: the input's]")
@picture_options()
def command(
    run: RunOptions,
    steps: Any,
    copies: int,
    masks: str | None,
    mask_fill: int,
    preview: str | None,
    manifest: str | None,
    seed: int,
    gray: bool,
    depth: str | None,
) -> None:
    """Change pictures at random; the help of the command stands above."""
    if copies == 0 and preview is None:
        raise click.UsageError("--copies 0 writes nothing; add --preview FILE")
    if copies == 0 and (manifest is not None or run.output is not None):
        raise click.UsageError("--copies 0 writes the --preview alone; leave out -o and --manifest")
    if masks is None and mask_fill != 255:
        raise click.UsageError("--mask-fill goes with --masks")
    from cnntool.jobs.augment_sheet import COPIES, Companions

    companions = Companions(preview, manifest, force=run.force)

    def make(**shared: Any) -> Any:
        from cnntool.augment.augmentation import Augmentation
        from cnntool.jobs.augment import AugmentJob

        job = AugmentJob(
            augmentation=Augmentation(steps),
            copies=copies,
            seed=seed,
            masks=masks or "",
            mask_fill=mask_fill,
            sheet=frozenset(companions.chosen) if preview is not None else frozenset(),
            shown=min(max(copies, COPIES[0]), COPIES[1]),
            gray=gray,
            depth=int(depth or 0),
            write=copies > 0,
            **shared,
        )
        job.check()
        return job

    run_pictures(run, make, writes=copies > 0, companions=companions)
