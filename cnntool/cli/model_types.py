"""What options about trained models look like: their layers and classes, completed while typing."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from cnntool.errors import CnntoolError
from cnntool.files import quote


def _saved(context: click.Context) -> Any:
    """The model in the file that stands on the command line so far; None if it is none."""
    path = context.params.get("model") or next(iter(context.args), None)
    if not path:
        return None
    from cnntool.nn.modelfile import MAX_BYTES, decode_model
    from cnntool.nn.tensor_file import read_bytes
    from cnntool.predict.model import find_model

    try:
        file = find_model(path)
        return decode_model(read_bytes(file, limit=MAX_BYTES), where=quote(file))
    except CnntoolError:  # nobody wants an error while typing
        return None


class LayerName(click.ParamType):  # type: ignore[type-arg]  # generic only in new versions of click
    """The name of a layer; completes those of the model that is typed already.

    Args:
        more: Other words that are taken.
    """

    name = "layer"

    def __init__(self, *more: str) -> None:
        self.more = more

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The forms for the help."""
        return "|".join(("NAME", *self.more))

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """Layers with their output's shape."""
        saved = _saved(ctx)
        rows = saved.trace().rows if saved is not None else ()
        names = {row.name: f"{row.spec}, gives {'x'.join(map(str, row.output))}" for row in rows}
        names |= dict.fromkeys(self.more, "each of them")
        return [
            CompletionItem(name, help=text)
            for name, text in names.items()
            if name.startswith(incomplete)
        ]


class ClassLabel(click.ParamType):  # type: ignore[type-arg]
    """The label of a class; completes those of the model that is typed already.

    Args:
        more: Other words that are taken.
    """

    name = "label"

    def __init__(self, *more: str) -> None:
        self.more = more

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The forms for the help."""
        return "|".join(("LABEL", *self.more))

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """Classes in their order."""
        saved = _saved(ctx)
        labels: tuple[str, ...] = ()
        if saved is not None:
            outputs = saved.trace().output[0]
            labels = saved.classes or tuple(map(str, range(max(2, outputs))))
            if len(labels) == 1:
                labels = (f"not {labels[0]}", labels[0])
        return [
            CompletionItem(label) for label in (*labels, *self.more) if label.startswith(incomplete)
        ]
