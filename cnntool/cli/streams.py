"""Standard output and standard error as this tool uses them: data there, words here."""

from __future__ import annotations

import contextlib
import sys

from cnntool.errors import OptionError
from cnntool.files import one_line, send, standard_output


def warn(sentence: str) -> None:
    """Print one line ``cnntool: …`` on stderr; a closed stderr is no reason to stop."""
    say(f"cnntool: {sentence}")


def say(line: str) -> None:
    """Print one safe line of words on stderr."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(one_line(line), file=sys.stderr, flush=True)


def emit(text: str, end: str = "\n") -> None:
    """Write text to standard output and flush; undecodable names pass through as they are."""
    send(standard_output(), (text + end).encode("utf-8", "surrogateescape"))


def emit_bytes(data: bytes) -> None:
    """Write bytes to standard output.

    Raises:
        OptionError: Standard output is a terminal.
    """
    stream = standard_output()
    if stream.isatty():
        raise OptionError("refusing to write binary data to a terminal; use -o FILE or a pipe")
    send(stream, data)
