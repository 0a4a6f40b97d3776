"""Manual pages in roff, made from click commands; they are read by groff and mandoc alike."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

import click

from cnntool import __version__
from cnntool.cli import COMMANDS, group
from cnntool.cli.command import HEADINGS, Command
from cnntool.cli.lazy import LazyCommand
from cnntool.filters.kernel_families import FAMILIES, Family
from cnntool.filters.kernels import ALIASES, KERNELS

DATE = "2026-11-21"
"""Of the pages: fixed, so that the same commands give the same bytes."""

EXITS = {
    "0": "Done.",
    "1": "Something about one or more inputs failed (missing, damaged, too small), "
    "or a gate was not met.",
    "2": "Usage: a bad option, kernel or name, outputs that collide, refusing to overwrite.",
    "3": "The system stopped it: disk full, no permission, memory, no such device, "
    "an optional package that is missing.",
    "4": "A model, data set or checkpoint is invalid or unsafe, or a training cannot be resumed.",
    "5": "Training diverged: numbers were not finite.",
    "130, 143, 141": "Ended by Ctrl-C, SIGTERM or a closed pipe, after cleaning up.",
}
"""Exit statuses in the words of all pages."""

UNUSED: dict[str, tuple[str, ...]] = {
    "train": (), "predict": ("5",), "evaluate": ("5",), "datasets": ("5",), "explain": ("5",),
}  # fmt: skip
"""Statuses that a command never has; others have neither 4 nor 5."""

VARIABLES = {
    "CNNTOOL_COMMAND_OPTION": "Default of an option of one command: CNNTOOL_CONVOLVE_BORDER=edge.",
    "CNNTOOL_OPTION": "Default of an option of all commands that have it: CNNTOOL_JOBS=1.",
    "CNNTOOL_CONFIG": "File for --config.",
    "NO_COLOR, FORCE_COLOR": "Never, or always, use colour.",
}
"""Environment variables in the words of all pages."""

CONFIGURATION = """\
jobs = 2                  # for all commands that have --jobs
[convolve]
border = "edge"           # for cnntool convolve alone
kernel = ["sobel-x", "sobel-y"]
"""

_ESCAPES = {
    "\\": r"\e", "-": r"\-", "'": r"\(aq", '"': r"\(dq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti",
    "×": r"\(mu", "·": r"\(pc", "−": r"\-", "≤": r"\(<=", "≥": r"\(>=", "→": r"\(->",
    # devices without these signs would leave them out
    "…": "...", "°": " degrees", "²": r"\(ha2", "√": "root of ", "Σ": "sum of ", "∇": "nabla",
}  # fmt: skip
_SIGNATURE = re.compile(r"((?:--?[\w-]+(?:, | / )?)+)(?: (.*))?")


def roff(text: str) -> str:
    """Text that roff prints as it is, in ASCII."""
    return "".join(_ESCAPES.get(c) or (c if c.isascii() else rf"\[u{ord(c):04X}]") for c in text)


def guarded(line: str) -> str:
    """A line of text that is no request, though it begins with a point."""
    return rf"\&{line}" if line.startswith(".") else line


def filled(text: str) -> str:
    """A paragraph in source lines of less than 80 characters, each sentence on a new one."""
    sentences = re.split(r"(?<=[.:]) (?=[A-Z])", roff(" ".join(text.split())))
    lines = [
        line
        for sentence in sentences
        for line in textwrap.wrap(sentence, 79, break_long_words=False, break_on_hyphens=False)
    ]
    return "\n".join(map(guarded, lines))


def bold(text: str) -> str:
    return rf"\fB{roff(text)}\fR"


def italic(text: str) -> str:
    return rf"\fI{roff(text)}\fR"


def as_written(lines: Iterable[str]) -> list[str]:
    """Lines that are not filled."""
    return [".EX", *(guarded(roff(line)) for line in lines), ".EE"]


def tagged(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Paragraphs under tags; tags are roff, texts are not."""
    return [line for tag, text in rows for line in (".TP", tag, filled(text))]


def paragraphs(text: str) -> list[str]:
    r"""A docstring's paragraphs; a block after \b keeps its lines."""
    found = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in block.splitlines()]
        found.append(".PP")
        if lines[0] == "\b":
            found += as_written(lines[1:])
        else:
            found.append(filled(" ".join(lines)))
    return found[1:]


def signature(text: str) -> str:
    """``-k, --kernel KERNEL``: options bold, what they take italic."""
    options, value = _SIGNATURE.fullmatch(text).groups()
    marked = re.sub(r"--?[\w-]+", lambda match: bold(match[0]), options)
    if not value:
        return marked
    # a long list of choices may break behind a bar
    return f"{marked} {italic(value)}".replace("|", r"|\:")


def options(command: click.Command, context: click.Context) -> list[str]:
    """The options under their headings."""
    blocks: dict[str, list[tuple[str, str]]] = {heading: [] for heading in HEADINGS}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            heading = getattr(parameter, "heading", HEADINGS[-1])
            blocks[heading].append((signature(record[0]), " ".join(record[1].split())))
    lines = [".SH OPTIONS"]
    for heading, rows in blocks.items():
        if rows:
            lines += [f'.SS "{heading}"'] * (heading != HEADINGS[0])
            lines += tagged(rows)
    return lines


def exits(*left_out: str) -> list[str]:
    rows = [(bold(status), text) for status, text in EXITS.items() if status not in left_out]
    return [".SH EXIT STATUS", *tagged(rows)]


def family_form(family: Family) -> str:
    """How to write a kernel with parameters: ``gaussian:sigma[,size]``."""
    parts = []
    for place, parameter in enumerate(family.parameters):
        part = ("," if place else ":") + parameter.key
        parts.append(part if parameter.required else f"[{part}]")
    return family.name + "".join(parts)


def kernel_sections() -> list[str]:
    """The named kernels and families, for the pages of the commands that take them."""
    named = [
        (bold(name) + roff(f" ({kernel.size[0]}x{kernel.size[1]})"), kernel.summary + ".")
        for name, kernel in KERNELS.items()
    ]
    families = [(bold(family_form(f)), f.summary + ".") for f in FAMILIES.values()]
    others = ", ".join(f"{alias} = {name}" for alias, name in ALIASES.items())
    return [
        ".SH KERNELS",
        *tagged(named),
        ".PP",
        filled(f"Other names: {others}."),
        ".SH KERNELS WITH PARAMETERS",
        filled(
            "Parameters are named (gaussian:sigma=1.4,size=7) or stand in this order "
            "(gaussian:1.4,7); those in brackets may be left out."
        ),
        *tagged(families),
        ".SH OWN KERNELS",
        filled(
            "A matrix: rows between semicolons, values between blanks or commas, fractions and a "
            "divisor at the end are fine; or JSON."
        ),
        ".PP",
        *as_written(['"0 1 0; -1 2 -1; 0 1 0"', '"1 2 1; 2 4 2; 1 2 1 / 16"', '"[[1, 0, -1]]"']),
        ".PP",
        filled(
            "A file, @matrix.txt: such rows in lines (txt, csv), json, npy, or a matrix of "
            "libvips with its header."
        ),
    ]


def see_also(names: Sequence[str]) -> list[str]:
    return [".SH SEE ALSO", ",\n".join(f"{bold(name)}(1)" for name in names)]


def head(name: str, line: str, synopsis: str) -> list[str]:
    title, version = roff(name.upper()), roff(f"cnntool {__version__}")
    return [
        f'.TH {title} 1 {DATE} "{version}" "User Commands"',
        ".nh",  # names of commands must not break
        ".ad l",
        ".SH NAME",
        rf"{roff(name)} \- {roff(line[0].lower() + line[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        synopsis,
        ".SH DESCRIPTION",
    ]


def top_page() -> str:
    """``cnntool.1``."""
    context = click.Context(group, info_name="cnntool", **group.context_settings)
    about = f"{group.help}\n\nEach command has a page of its own, man cnntool-convolve say."
    lines = head(
        "cnntool",
        " ".join((group.help or "").split()),
        rf"{bold('cnntool')} [{italic('OPTIONS')}] {italic('COMMAND')} [{italic('ARGS')}]...",
    )
    lines += [*paragraphs(about), *options(group, context), ".SH COMMANDS"]
    lines += tagged((bold(f"cnntool-{name}") + "(1)", line) for name, line in COMMANDS.items())
    lines += exits()
    lines += [".SH ENVIRONMENT", *tagged((bold(n), text) for n, text in VARIABLES.items())]
    lines += [
        ".SH CONFIGURATION",
        filled(
            "An option takes its value from the command line, else from a CNNTOOL_ variable, "
            "else from the TOML file of --config, else the default."
        ),
        ".PP",
        *as_written(CONFIGURATION.splitlines()),
        ".SH SHELL COMPLETION",
        filled(
            "Of commands, options, kernels and files; for zsh and fish write zsh_source and "
            "fish_source."
        ),
        ".PP",
        *as_written(['eval "$(_CNNTOOL_COMPLETE=bash_source cnntool)"']),
    ]
    lines += [".SH EXAMPLES", *as_written(group.examples)]
    lines += see_also([f"cnntool-{name}" for name in COMMANDS])
    return "\n".join(lines) + "\n"


def command_page(name: str, command: click.Command) -> str:
    """``cnntool-NAME.1``."""
    parent = click.Context(group, info_name="cnntool", **group.context_settings)
    context = click.Context(command, info_name=name, parent=parent, **group.context_settings)
    pieces = command.collect_usage_pieces(context)
    usage = " ".join(italic(piece) for piece in pieces)
    lines = head(f"cnntool-{name}", COMMANDS[name], f"{bold(f'cnntool {name}')} {usage}")
    lines += [*paragraphs(command.help or ""), *options(command, context)]
    if name == "kernels":
        lines += kernel_sections()
    for below in getattr(command, "subcommands", {}).values():
        lines += subcommand_section(name, below, parent)
    lines += exits(*UNUSED.get(name, ("4", "5")))
    if isinstance(command, Command) and command.examples:
        lines += [".SH EXAMPLES", *as_written(command.examples)]
    others = {"convolve": ["kernels", "edges"], "edges": ["convolve"], "kernels": ["convolve"],
              "pool": ["unpool"], "unpool": ["pool"], "split": ["merge"], "merge": ["split"],
              "hog": ["flatten"], "flatten": ["hog"]}  # fmt: skip
    lines += see_also(["cnntool", *(f"cnntool-{other}" for other in others.get(name, []))])
    return "\n".join(lines) + "\n"


def subcommand_section(name: str, command: click.Command, parent: click.Context) -> list[str]:
    """A command below another one, as a section of that one's page."""
    full = f"{name} {command.name}"
    context = click.Context(command, info_name=full, parent=parent, **group.context_settings)
    usage = " ".join(italic(piece) for piece in command.collect_usage_pieces(context))
    lines = [f'.SH "{roff(full.upper())}"', f"{bold(f'cnntool {full}')} {usage}"]
    lines += [".PP", *paragraphs(command.help or "")]
    lines += options(command, context)[1:]  # without a section of their own
    if isinstance(command, Command) and command.examples:
        lines += ['.SS "Examples"', *as_written(command.examples)]
    return lines


def pages() -> dict[str, str]:
    """Every page by its file name."""
    made = {"cnntool.1": top_page()}
    for name, stub in group.commands.items():
        command = stub.load() if isinstance(stub, LazyCommand) else stub
        made[f"cnntool-{name}.1"] = command_page(name, command)
    return made
