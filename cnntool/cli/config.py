"""``--config FILE.toml``: defaults for options. Flag > CNNTOOL_* variable > file > default.

A key at the top of the file serves every command that has the option, a table ``[convolve]`` only
that command::

    jobs = 0
    [convolve]
    border = "edge"
    kernel = ["sobel-x", "sobel-y"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cnntool.errors import NameNotFound, OptionError


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


def command_defaults(config: dict[str, Any], name: str, command: click.Command) -> dict[str, Any]:
    """Defaults of one command by parameter name.

    Raises:
        NameNotFound: The command's table has a key that is no option of it.
    """
    names = _option_names(command)
    shared = {k: v for k, v in config.items() if not isinstance(v, dict) and k in names}
    own = config.get(name, {})
    for key in own:
        if key not in names:
            raise NameNotFound.among(
                f"option in [{name}] of the configuration", key, names, f"cnntool {name} --help"
            )
    return {names[key]: value for key, value in {**shared, **own}.items()}


def _use(context: click.Context, _parameter: click.Parameter, path: str | None) -> None:
    inherited = (context.parent.obj or {}).get("config") if context.parent else None
    config = read_config(path) if path is not None else inherited
    if context.parent is None:
        context.obj = {"config": config}
    elif config is not None:
        context.default_map = command_defaults(config, context.info_name or "", context.command)


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
