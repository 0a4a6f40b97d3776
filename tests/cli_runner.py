"""Run the command line inside a test, as the installed program would run it.

``invoke`` calls the program in this process, with standard streams of its own: a few milliseconds
instead of the third of a second that a new interpreter needs. What only a process shows (signals,
closed pipes, what is imported) needs :func:`process`.
"""

import contextlib
import dataclasses
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from unittest import mock

from cnntool.cli.main import _run


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run left behind.

    Attributes:
        status: The exit status; below zero, the signal that it would die by.
        stdout: Bytes on standard output.
        stderr: Text on standard error.
    """

    status: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are no text survive as surrogates."""
        return self.stdout.decode("utf-8", "surrogateescape")

    @property
    def lines(self) -> list[str]:
        """Lines of standard output."""
        return self.text.splitlines()

    @property
    def errors(self) -> list[str]:
        """Lines of standard error."""
        return self.stderr.splitlines()


class _Stream(io.TextIOWrapper):
    """A standard stream in memory that may claim to be a terminal."""

    def __init__(self, data: bytes = b"", *, terminal: bool = False) -> None:
        self.bytes = _Bytes(data)
        self.bytes.terminal = terminal
        super().__init__(self.bytes, "utf-8", "surrogateescape", write_through=True)

    def isatty(self) -> bool:
        return self.bytes.isatty()


class _Bytes(io.BytesIO):
    terminal = False

    def isatty(self) -> bool:
        return self.terminal


@contextlib.contextmanager
def _streams(*streams: _Stream) -> Iterator[None]:
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def invoke(
    *args: object,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    terminal: str = "",
) -> Result:
    """Run ``cnntool ARGS…`` in this process.

    Args:
        args: Arguments of the command line; paths and numbers become text.
        stdin: Bytes that the program reads from standard input.
        env: Variables of the environment, besides those that are there.
        terminal: Streams that claim to be terminals: ``"stdout"``, ``"stderr"``, ``"stdin"``, or
            several of these words.
    """
    words = terminal.split()
    streams = [
        _Stream(data, terminal=name in words)
        for name, data in (("stdin", stdin), ("stdout", b""), ("stderr", b""))
    ]
    variables = {name: v for name, v in os.environ.items() if not name.startswith("CNNTOOL_")}
    variables.update(env or {})
    with mock.patch.dict(os.environ, variables, clear=True), _streams(*streams):
        try:
            status = _run([os.fspath(a) if isinstance(a, os.PathLike) else str(a) for a in args])
        except SystemExit as request:  # completion ends so
            status = int(request.code or 0)
    out, err = (stream.bytes.getvalue() for stream in streams[1:])
    return Result(status, out, err.decode("utf-8", "surrogateescape"))


def done(*args: object, **options: object) -> Result:
    """:func:`invoke` of a run that must succeed."""
    result = invoke(*args, **options)
    assert result.status == 0, f"status {result.status}: {result.stderr}"
    return result


def refused(status: int, *args: object, **options: object) -> str:
    """The one line on standard error of a run that must fail with ``status`` and print nothing."""
    result = invoke(*args, **options)
    assert result.status == status, f"status {result.status}: {result.stderr or result.text}"
    assert result.stdout == b"", result.text
    assert len(result.errors) == 1, result.stderr
    assert result.errors[0].startswith("cnntool: "), result.stderr
    assert len(result.errors[0]) <= 300, result.stderr
    return result.errors[0]


def process(
    *args: object,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    timeout: float = 60,
) -> Result:
    """Run ``python -m cnntool ARGS…`` in a process of its own."""
    variables = {name: v for name, v in os.environ.items() if not name.startswith("CNNTOOL_")}
    variables.update(env or {})
    found = subprocess.run(
        [sys.executable, "-m", "cnntool", *map(str, args)],
        input=stdin,
        capture_output=True,
        env=variables,
        cwd=cwd,
        timeout=timeout,
        check=False,
    )
    return Result(found.returncode, found.stdout, found.stderr.decode("utf-8", "surrogateescape"))
