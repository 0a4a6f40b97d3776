"""``cnntool info``."""

from __future__ import annotations

import click

from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, common_options, table_options
from cnntool.cli.streams import emit


@click.command(
    cls=Command,
    short_help="Show versions, cores and devices of this machine.",
    examples="""
    cnntool info
    cnntool info --json
    """,
)
@table_options("table")
@common_options
def command(run: RunOptions, form: str) -> None:
    """Show versions, cores and devices of this machine.

    Says why a GPU is not used where none is. The first thing to put into a bug report.
    """
    from cnntool.report.environment import facts

    found = facts()
    if form == "table":
        width = max(map(len, found))
        for name, value in found.items():
            emit(f"{name.ljust(width)}  {value}")
        return
    if form == "json":
        import json

        emit(json.dumps(found, indent=2))
        return
    import sys

    from cnntool.report.tables import TableWriter

    writer = TableWriter(form, sys.stdout, ("name", "value"))
    for name, value in found.items():
        writer.row({"name": name, "value": value})
    writer.close()
