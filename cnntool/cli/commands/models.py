"""``cnntool models``."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from cnntool.cli.command import Command
from cnntool.cli.options import RunOptions, common_options, table_options
from cnntool.cli.streams import emit
from cnntool.files import standard_output
from cnntool.report.tables import TableWriter

if TYPE_CHECKING:
    from cnntool.models.adversarial import Gan
    from cnntool.models.model import Model


def _complete(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from cnntool.models import MODELS
    from cnntool.models.adversarial import GANS

    found: dict[str, Model | Gan] = {**MODELS, **GANS}
    return [
        CompletionItem(name, help=model.summary)
        for name, model in found.items()
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

    A network is a text: print it, change it, and give it to any command that takes a network. The
    last ones are generators with their discriminators, for digits: 'train' makes them for any
    pictures.
    """
    from cnntool.errors import NameNotFound
    from cnntool.jobs.networks import MODEL_COLUMNS, digits_gan, gan_rows, model_rows
    from cnntool.models import MODELS, create
    from cnntool.models.adversarial import GANS

    if model is not None and model not in (*MODELS, *GANS):
        raise NameNotFound.among("model", model, (*MODELS, *GANS), "cnntool models")
    if model is not None and form == "table":
        emit(digits_gan(model).text if model in GANS else create(model).text)
        return
    full = form in ("json", "jsonl")
    chosen = (*MODELS, *GANS) if model is None else (model,)
    plain = [name for name in chosen if name in MODELS]
    others = [name for name in chosen if name in GANS]
    how = {"full": full, "short": form == "table"}
    rows = chain(model_rows(plain, **how), gan_rows(others, **how))
    with TableWriter(form, standard_output(), None if full else MODEL_COLUMNS) as writer:
        for row in rows:
            writer.row(row)
