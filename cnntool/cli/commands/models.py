"""``cnntool models``."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, common_options, table_options
from cnntool.cli.streams import emit
from cnntool.files import standard_output
from cnntool.report.tables import TableWriter


def _complete(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from cnntool.models import MODELS

    return [
        CompletionItem(name, help=model.summary)
        for name, model in MODELS.items()
        if name.startswith(incomplete)
    ]


@click.command(
    cls=Command,
    short_help="List the built-in networks, or print one's specification.",
    examples="""
    cnntool models                          all networks with their parameters
    cnntool models lenet5                   its layers, ready to edit
    cnntool models unet > net.txt           edit it, then: cnntool shape @net.txt
    cnntool models --json                   everything, for programs
    """,
)
@click.argument("model", metavar="[NAME]", required=False, shell_complete=_complete)
@table_options("table")
@common_options
def command(run: RunOptions, model: str | None, form: str) -> None:
    """List the built-in networks, or print one's specification.

    A network is a text: print it, change it, and give it to any command that takes a network.
    """
    from cnntool.jobs.networks import MODEL_COLUMNS, model_rows
    from cnntool.models import MODELS, create, find

    names = list(MODELS) if model is None else [find(model).name]
    if model is not None and form == "table":
        emit(create(model).text)
        return
    full = form in ("json", "jsonl")
    rows = model_rows(names, full=full, short=form == "table")
    with TableWriter(form, standard_output(), None if full else MODEL_COLUMNS) as writer:
        for row in rows:
            writer.row(row)
