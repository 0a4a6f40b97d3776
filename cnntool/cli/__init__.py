"""The command ``cnntool``: words in, words out. No numeric code lives below this package.

``main`` is the one place where an error becomes a line on stderr and an exit status.
"""

from __future__ import annotations

from cnntool.cli.main import COMMANDS, group, main

__all__ = ["COMMANDS", "group", "main"]
