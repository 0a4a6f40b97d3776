"""``--config FILE.toml``: defaults for options. Flag > CNNTOOL_* variable > file > default.

A key at the top of the file serves every command that has the option, a table ``[convolve]`` only
that command::

    jobs = 0
    [convolve]
    border = "edge"
    kernel = ["sobel-x", "sobel-y"]
    [explain]                # a key of these serves all commands below that have it
    invert = true
    [explain.maximize]
    steps = 1024
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cnntool.cli.lazy import LazyCommand
from cnntool.errors import NameNotFound, OptionError

CONFIG_FILE = "cnntool.config"
"""Where a click context remembers the file: results must not replace it."""


def _option_names(command: click.Command) -> dict[str, str]:
    """Long option name without dashes -> parameter name."""
    names = {}
    for parameter in command.params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if option.startswith("--"):
                names[option[2:]] = parameter.name or ""
    return names


def read_config(path: str) -> dict[str, Any]:
    """The file as a dictionary.

    Raises:
        OptionError: It cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise OptionError(f"cannot read the configuration '{path}': {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"the configuration '{path}' is not TOML: {error}") from error


def command_defaults(
    config: dict[str, Any], name: str, command: click.Command, group: click.Group
) -> dict[str, Any]:
    """Defaults of one command by parameter name.

    Args:
        config: What the file holds.
        name: Of the command; ``explain maximize`` for one below another.
        command: The command.
        group: All commands: a key at the top of the file must be an option of one of them.

    Raises:
        NameNotFound: A key is no option, or a table no command.
        OptionError: What is named like a command is no table.
    """
    names = _option_names(command)
    shared: dict[str, Any] = {}
    for key, value in config.items():
        if key in group.commands:
            if not isinstance(value, dict):
                raise OptionError(
                    f"'{key}' in the configuration is a command; write its options below [{key}]"
                )
        elif isinstance(value, dict):
            raise NameNotFound.among("command in the configuration", key, group.commands)
        elif key in names:
            shared[key] = value
        else:
            _check_elsewhere(key, group)
    own = _own(config, name, names, group)
    repeatable = {p.name for p in command.params if getattr(p, "multiple", False)}
    return {
        # one kernel need not stand in brackets
        names[key]: [value] if names[key] in repeatable and not isinstance(value, list) else value
        for key, value in {**shared, **own}.items()
    }


def _own(
    config: dict[str, Any], name: str, names: dict[str, str], group: click.Group
) -> dict[str, Any]:
    """What the tables of a command say: its own, and for one below another that of both."""
    above, _, below = name.partition(" ")
    tables: list[tuple[str, dict[str, Any]]] = []
    table = dict(config.get(above, {}))
    parent = _loaded(group.commands[above])
    others = getattr(parent, "subcommands", {})
    inner = {key: table.pop(key) for key in list(table) if key in others and _is_table(table[key])}
    if below:
        elsewhere = {key for one in (parent, *others.values()) for key in _option_names(one)}
        shared = {key: table[key] for key in table if key in names or key not in elsewhere}
        tables = [(above, shared), (f"{above}.{below}", inner.get(below, {}))]
    else:
        tables = [(above, table)]
    for title, found in tables:
        for key in found:
            if key not in names:
                known = names if title != above else [*names, *others]
                kind = f"option in [{title}] of the configuration"
                raise NameNotFound.among(kind, key, known, f"cnntool {name} --help")
    return {key: value for _, found in tables for key, value in found.items()}


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _loaded(stub: click.Command) -> click.Command:
    return stub.load() if isinstance(stub, LazyCommand) else stub


def _check_elsewhere(key: str, group: click.Group) -> None:
    """Raise NameNotFound unless some command has the option ``key``."""
    known: set[str] = set()
    for stub in group.commands.values():
        command = _loaded(stub)
        for one in (command, *getattr(command, "subcommands", {}).values()):
            known |= _option_names(one).keys()
    if key not in known:
        raise NameNotFound.among("option in the configuration", key, sorted(known))


def _use(context: click.Context, _parameter: click.Parameter, path: str | None) -> None:
    inherited = (context.parent.obj or {}).get("config") if context.parent else None
    config = read_config(path) if path is not None else inherited
    if path is not None:
        context.meta[CONFIG_FILE] = path
    if context.parent is None:
        context.obj = {"config": config}
    elif config is not None and isinstance(context.parent.command, click.Group):
        name = context.info_name or ""
        context.default_map = command_defaults(
            config, name, context.command, context.parent.command
        )


def config_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--config``; given before or after the command's name."""
    return click.option(
        "--config",
        metavar="FILE.toml",
        envvar="CNNTOOL_CONFIG",
        is_eager=True,
        expose_value=False,
        callback=_use,
        help="Read defaults of options from this file.",
    )(function)
