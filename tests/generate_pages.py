"""Write man/*.1 and the command list of README.md from the commands themselves.

    python tests/generate_pages.py            write
    python tests/generate_pages.py --check    only say what is stale, status 1 if anything is
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click
from click_man.man import ManPage

from cnntool import __version__
from cnntool.cli import COMMANDS, group
from cnntool.cli.command import Command
from cnntool.cli.lazy import LazyCommand

ROOT = Path(__file__).parents[1]
DATE = "2026-11-21"
"""Of the pages: fixed, so that the same commands give the same bytes."""
BEGIN, END = "<!-- commands: begin -->", "<!-- commands: end -->"


def escaped(text: str) -> str:
    """Text that roff prints as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^(['.])", r"\\&\1", text)


def paragraphs(text: str) -> str:
    r"""A docstring's paragraphs; a block after \b keeps its lines."""
    parts = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in block.splitlines()]
        if lines[0] == "\b":
            parts.append(".nf\n" + "\n".join(map(escaped, block.splitlines()[1:])) + "\n.fi")
        else:
            parts.append(escaped(" ".join(lines)))
    return "\n.PP\n".join(parts)


def page(name: str, command: click.Command, parent: click.Context | None) -> str:
    """One manual page in roff."""
    context = click.Context(command, info_name=name, parent=parent, **group.context_settings)
    sheet = ManPage(context.command_path)
    sheet.version, sheet.date = __version__, DATE
    sheet.short_help = (command.get_short_help_str(300) or "").rstrip(".")
    sheet.synopsis = " ".join(command.collect_usage_pieces(context))
    sheet.description = ""
    sheet.options = []
    text = str(sheet).replace(".SH DESCRIPTION\n\n", "").rstrip()
    parts = [text, ".SH DESCRIPTION", paragraphs(command.help or "")]
    if isinstance(command, Command) and command.examples:
        parts += [".SH EXAMPLES", ".nf", *map(escaped, command.examples), ".fi"]
    headings: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        heading = getattr(parameter, "heading", "Running" if parent else "Options")
        entry = f".TP\n\\fB{escaped(record[0])}\\fP\n{escaped(' '.join(record[1].split()))}"
        headings.setdefault(heading, []).append(entry)
    for heading in ("Options", "Input and output", "Running"):
        if heading in headings:
            parts += [f".SH {heading.upper()}", *headings[heading]]
    if isinstance(command, click.Group):
        parts.append(".SH COMMANDS")
        for child, line in COMMANDS.items():
            parts.append(f".TP\n\\fB{escaped(child)}\\fP\n{escaped(line)} "
                         f"See \\fBcnntool\\-{escaped(child)}\\fP(1).")  # fmt: skip
        parts += [".SH NOTES", paragraphs(command.epilog or "")]
    else:
        parts += [".SH SEE ALSO", "\\fBcnntool\\fP(1)"]
    return "\n".join(parts) + "\n"


def pages() -> dict[Path, str]:
    """Every generated file with its text."""
    top = click.Context(group, info_name="cnntool", **group.context_settings)
    made = {ROOT / "man" / "cnntool.1": page("cnntool", group, None)}
    for name, stub in group.commands.items():
        command = stub.load() if isinstance(stub, LazyCommand) else stub
        made[ROOT / "man" / f"cnntool-{name}.1"] = page(name, command, top)
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = "\n".join(f"| `cnntool {name}` | {line} |" for name, line in COMMANDS.items())
    table = f"{BEGIN}\n| command | what it does |\n|---|---|\n{rows}\n{END}"
    made[ROOT / "README.md"] = re.sub(
        f"{BEGIN}.*?{END}", lambda _: table, readme, flags=re.DOTALL
    )
    return made


def main() -> int:
    """Write or check; the exit status."""
    os.environ.pop("COLUMNS", None)
    made = pages()
    check = "--check" in sys.argv[1:]
    stale = [
        path
        for path, text in made.items()
        if not path.exists() or path.read_text("utf-8") != text
    ]
    known = {path.name for path in made}
    stale += [p for p in (ROOT / "man").glob("*.1") if p.name not in known]
    for path in stale:
        print(("stale: " if check else "wrote: ") + str(path.relative_to(ROOT)))
        if not check and path in made:
            path.write_text(made[path], "utf-8")
    if check and stale:
        print("run: python tests/generate_pages.py")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
