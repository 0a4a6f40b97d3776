"""How a command looks: examples first, options under headings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

HEADINGS = ("Options", "Input and output", "Running")


def example_lines(text: str) -> list[str]:
    """The lines of an ``examples`` argument."""
    return [line.strip() for line in text.strip().splitlines()]


def write_examples(lines: list[str], formatter: click.HelpFormatter) -> None:
    """The first block of a help, its lines as they are."""
    if lines:
        with formatter.section("Examples"):
            for line in lines:
                formatter.write(" " * formatter.current_indent + line + "\n")


class Option(click.Option):
    """A click option that stands under a heading of the help.

    ``--border`` of ``convolve`` is also set by ``CNNTOOL_CONVOLVE_BORDER``, or for all commands
    that have it by ``CNNTOOL_BORDER``; the first wins.
    """

    def __init__(self, *args: Any, heading: str = HEADINGS[0], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading

    @property
    def long_name(self) -> str:
        """The long name without dashes: what variables and configuration files call it."""
        return max(self.opts, key=len).lstrip("-")

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The text of the first variable that is set and not empty."""
        word = self.long_name.replace("-", "_").upper()
        prefixes = dict.fromkeys((ctx.auto_envvar_prefix, ctx.find_root().auto_envvar_prefix))
        names = [f"{prefix}_{word}".replace(" ", "_") for prefix in prefixes if prefix]
        return next((text for name in names if (text := os.environ.get(name))), None)


class Command(click.Command):
    """A command whose help begins with examples and groups its options.

    Args:
        examples: Lines of the help's first block; ``$`` is not written.
        subcommands: Commands that take over where their name is the first word: ``cnntool datasets
            download`` besides ``cnntool datasets mnist``.
    """

    def __init__(
        self,
        *args: Any,
        examples: str = "",
        subcommands: Sequence[click.Command] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = example_lines(examples)
        self.subcommands = {str(command.name): command for command in subcommands}

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, then what the command does."""
        write_examples(self.examples, formatter)
        super().format_help_text(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One block of options a heading, then the commands below this one."""
        blocks: dict[str, list[tuple[str, str]]] = {heading: [] for heading in HEADINGS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            # arguments stand in the line of usage
            if record is not None and not isinstance(parameter, click.Argument):
                blocks[getattr(parameter, "heading", HEADINGS[-1])].append(record)
        for heading, records in blocks.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)
        if self.subcommands:
            with formatter.section("Commands"):
                formatter.write_dl(
                    [
                        (name, command.get_short_help_str(300))
                        for name, command in self.subcommands.items()
                    ]
                )
