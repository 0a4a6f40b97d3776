"""Command lines run as a user's shell runs them, with ``cnntool`` on the PATH."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def environment(folder: pathlib.Path) -> dict[str, str]:
    """Variables with which a shell finds this ``cnntool``, and which make all machines alike.

    Args:
        folder: Where a small program may be put that starts the tool, so that it need not be
            installed.
    """
    starter = folder / "bin" / "cnntool"
    starter.parent.mkdir(parents=True, exist_ok=True)
    starter.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m cnntool \"$@\"\n", "utf-8")
    starter.chmod(0o755)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CNNTOOL_", "LC_")) and name not in ("COLUMNS", "FORCE_COLOR")
    }
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return kept | {
        "PATH": f"{starter.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": path,
        "LC_ALL": "C.UTF-8",
    }


def run(
    command: str, cwd: pathlib.Path, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """The command line's status and all that it printed, standard error among it.

    Args:
        command: Text for bash.
        cwd: Folder that it runs in.
        variables: All environment variables.
    """
    return subprocess.run(
        ["bash", "-c", command],
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
