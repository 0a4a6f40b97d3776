"""``cnntool check``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, picture_options, table_options
from cnntool.cli.running import gather, run_table
from cnntool.cli.streams import warn
from cnntool.files import natural_key


@click.command(
    cls=Command,
    short_help="Check that every picture of a folder is readable.",
    examples="""
    cnntool check photos/ -r                one row a file, counts at the end
    cnntool check photos/ -r --json | jq '.[] | select(.status == "bad") | .path'
    """,
)
@table_options("tsv")
@picture_options(outputs=False, device=None)
def command(run: RunOptions, form: str) -> None:
    """Check that every picture of a folder is readable.

    Every file is decoded to its last byte. Ends with status 1 if any is bad.
    """
    from cnntool.jobs.check import COLUMNS, CheckJob

    inputs = gather(run)
    sizes: Counter[str] = Counter()
    classes: Counter[str] = Counter()

    def count(row: Mapping[str, Any]) -> None:
        if row["status"] == "ok":
            sizes[f"{row['height']}x{row['width']}x{row['channels']}"] += 1
            if row["class"]:
                classes[row["class"]] += 1

    def summary() -> None:
        if inputs.several and not run.quiet:
            by_name = sorted(classes.items(), key=lambda found: natural_key(found[0]))
            _tell("class", by_name)
            _tell("size (rows x columns x channels)", sizes.most_common())

    run_table(run, CheckJob(limits=run.limits), inputs, form, COLUMNS, each=count, after=summary)


def _tell(kind: str, counts: Sequence[tuple[str, int]], most: int = 12) -> None:
    """Say how many files there are of each kind."""
    if counts:
        shown = ", ".join(f"{name}: {number}" for name, number in counts[:most])
        more = f" and {len(counts) - most} more" if len(counts) > most else ""
        warn(f"files by {kind}: {shown}{more}")
