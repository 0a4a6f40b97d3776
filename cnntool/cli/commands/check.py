"""``cnntool check``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import click

from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, picture_options, table_options
from cnntool.cli.running import gather, run_table
from cnntool.cli.streams import warn


@click.command(
    cls=Command,
    short_help="Check that every picture of a folder is readable.",
    examples="""
    cnntool check photos/ -r                one row a file, counts at the end
    cnntool check photos/ -r --json | jq '.[] | select(.status == "bad") | .path'
    """,
)
@table_options("tsv")
@picture_options(outputs=False, device=False)
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
            for title, counts in (("classes", classes), ("sizes", sizes)):
                if counts:
                    warn(f"{title}: {_shown(counts)}")

    run_table(run, CheckJob(limits=run.limits), inputs, form, COLUMNS, each=count, after=summary)


def _shown(counts: Counter[str], most: int = 8) -> str:
    parts = [f"{name} {number}" for name, number in counts.most_common(most)]
    more = len(counts) - most
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")
