"""Write what is generated from the commands: man/*.1 and three parts of README.md.

python tests/generate_pages.py            write
python tests/generate_pages.py --check    only say what is stale; status 1 if anything is
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import manual_pages

from cnntool.cli import COMMANDS
from cnntool.filters.kernel_families import FAMILIES
from cnntool.filters.kernels import KERNELS

ROOT = Path(__file__).resolve().parents[1]


def command_table() -> str:
    """The commands as a Markdown table."""
    rows = (f"| `cnntool {name}` | {line} |" for name, line in COMMANDS.items())
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


def exit_table() -> str:
    """The exit statuses as a Markdown table."""
    rows = (f"| {status} | {text} |" for status, text in manual_pages.EXITS.items())
    return "\n".join(["| status | meaning |", "|---|---|", *rows])


def kernel_list() -> str:
    """The kernels as a block of text: names, then families with their parameters."""
    names = textwrap.wrap(" ".join(KERNELS), 96, break_on_hyphens=False, break_long_words=False)
    forms = []
    for family in FAMILIES.values():
        lines = textwrap.wrap(family.summary, 96 - 36)
        form = manual_pages.family_form(family)
        if len(form) > 35:
            forms.append(form)
            form = ""
        forms += [f"{start:<36}{line}" for start, line in zip([form, ""], lines, strict=False)]
    return "\n".join(["```text", *names, "", *forms, "```"])


def readme(text: str) -> str:
    """README with its generated parts written anew.

    Raises:
        ValueError: The comments around a part are missing.
    """
    parts = {"commands": command_table, "exits": exit_table, "kernels": kernel_list}
    for name, make in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"README.md needs one '{begin}' and one '{end}'")
        before, _, rest = text.partition(begin)
        after = rest.partition(end)[2]
        text = f"{before}{begin}\n{make()}\n{end}{after}"
    return text


def generated() -> dict[Path, str]:
    """Every generated file with its text."""
    made = {ROOT / "man" / name: text for name, text in manual_pages.pages().items()}
    path = ROOT / "README.md"
    made[path] = readme(path.read_text("utf-8"))
    return made


def stale(made: dict[Path, str]) -> list[Path]:
    """Files that are missing, differ, or belong to no command any more."""
    found = [
        path for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text
    ]
    return found + sorted(set((ROOT / "man").glob("*.1")) - set(made))


def main(arguments: list[str]) -> int:
    """Write or check; the exit status."""
    made = generated()
    found = stale(made)
    if arguments == ["--check"]:
        for path in found:
            print(f"stale: {path.relative_to(ROOT)}")
        if found:
            print("run: python tests/generate_pages.py")
        return int(bool(found))
    for path in found:
        if path in made:
            path.parent.mkdir(exist_ok=True)
            path.write_text(made[path], "utf-8")
        else:
            path.unlink()
        print(f"{'wrote' if path in made else 'removed'}: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
