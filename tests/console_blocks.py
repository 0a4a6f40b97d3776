"""Examples in Markdown: what stands behind ``$ `` is run, the lines below it are what it prints.

    python tests/console_blocks.py FILE.md    write the outputs that have changed anew

``…`` in a line stands for anything, a line that is ``…`` for any number of lines.
"""

import dataclasses
import pathlib
import re
import shutil
import sys
import tempfile

import shell


@dataclasses.dataclass(frozen=True)
class Example:
    """One command with the lines that it is said to print."""

    command: str
    expected: tuple[str, ...]
    line: int

    def fits(self, printed: str) -> bool:
        """Whether this is what was expected, standard error included."""
        pattern = ""
        for line in self.expected:
            if line.strip() == "…":
                pattern += r"(?:.*\n)*?"
            else:
                pattern += ".*".join(map(re.escape, line.split("…"))) + r"\n"
        return re.fullmatch(pattern, printed) is not None


def examples(text: str) -> list[Example]:
    """The examples in blocks that are marked as ``console``."""
    found: list[Example] = []
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            inside = line == "```console"
        elif inside and line.startswith("$ "):
            found.append(Example(line[2:], (), number))
        elif inside and found:
            last = found[-1]
            found[-1] = dataclasses.replace(last, expected=(*last.expected, line))
    return found


def surroundings(folder: pathlib.Path) -> dict[str, str]:
    """A folder with the samples, as after cloning; the variables for running in it."""
    shutil.copytree(shell.ROOT / "samples", folder / "samples")
    return shell.environment(folder / ".programs")


def renewed(text: str, folder: pathlib.Path) -> str:
    """The text with what its examples print now, where that does not fit."""
    variables = surroundings(folder)
    lines = text.splitlines()
    printed = [shell.run(e.command, folder, variables).stdout for e in examples(text)]
    for example, output in reversed(list(zip(examples(text), printed, strict=True))):
        if not example.fits(output):
            print(f"line {example.line}: {example.command}")
            lines[example.line : example.line + len(example.expected)] = output.splitlines()
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    page = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as place:
        page.write_text(renewed(page.read_text("utf-8"), pathlib.Path(place)), "utf-8")
