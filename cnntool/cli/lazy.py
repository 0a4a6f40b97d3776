"""Commands that are imported only when they run.

``cnntool --help``, completion and "did you mean" answer from one line of help a command, so that
they load neither NumPy nor Pillow. The stub's line is tested to equal the command's own.
"""

from __future__ import annotations

import importlib
import keyword
from typing import Any

import click

from cnntool.cli.command import example_lines, write_examples
from cnntool.errors import NameNotFound


def module_of(name: str) -> str:
    """The module of a command: its name, as Python writes names.

    Example:
        >>> module_of("predict"), module_of("import")
        ('predict', 'import_')
    """
    return name.replace("-", "_") + "_" * keyword.iskeyword(name)


class LazyCommand(click.Command):
    """Name, one-line help and module of a command that is not yet imported."""

    def __init__(self, name: str, module: str, short_help: str) -> None:
        super().__init__(name, short_help=short_help)
        self.module = module

    def load(self) -> click.Command:
        """Import the module and return its ``command``."""
        command: click.Command = importlib.import_module(self.module).command
        return command

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The real command's parameters: completion asks the stub for them."""
        return self.load().get_params(ctx)


class LazyGroup(click.Group):
    """Answers help, completion and 'did you mean' from stubs; imports only what runs."""

    def __init__(
        self,
        *args: Any,
        table: dict[str, str],
        package: str,
        examples: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = example_lines(examples)
        for name, line in table.items():
            module = f"{package}.{module_of(name)}"
            self.add_command(LazyCommand(name, module, line))

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, then what the tool does."""
        write_examples(self.examples, formatter)
        super().format_help_text(ctx, formatter)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the table's order: what belongs together stands together."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, but with the real command in place of the stub.

        Raises:
            NameNotFound: There is no such command; the message suggests near ones.
        """
        typed = args[0]
        if typed[:1].isalnum() and typed not in self.commands and not ctx.resilient_parsing:
            raise NameNotFound.among("command", typed, self.commands, f"{ctx.command_path} --help")
        name, command, rest = super().resolve_command(ctx, args)
        if isinstance(command, LazyCommand):
            command = command.load()
        below = getattr(command, "subcommands", {})
        if rest and rest[0] in below:
            return f"{name} {rest[0]}", below[rest[0]], rest[1:]
        return name, command, rest
