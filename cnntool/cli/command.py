"""How a command looks: examples first, options under headings."""

from __future__ import annotations

from typing import Any

import click

HEADINGS = ("Options", "Input and output", "Running")


class Option(click.Option):
    """A click option that stands under a heading of the help."""

    def __init__(self, *args: Any, heading: str = HEADINGS[0], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading


class Command(click.Command):
    """A command whose help begins with examples and groups its options.

    Args:
        examples: Lines of the help's first block; ``$`` is not written.
    """

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = [line.strip() for line in examples.strip().splitlines()]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, then what the command does."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(" " * formatter.current_indent + line + "\n")
        super().format_help_text(ctx, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One block of options a heading."""
        blocks: dict[str, list[tuple[str, str]]] = {heading: [] for heading in HEADINGS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                blocks[getattr(parameter, "heading", HEADINGS[-1])].append(record)
        for heading, records in blocks.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)
