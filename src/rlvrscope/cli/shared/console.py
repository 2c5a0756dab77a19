"""The two output streams. Text is printed verbatim: no markup, no emoji codes, no highlighting."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console, ConsoleDimensions

MAX_LINE = 1_000_000
"""Characters of a line where the output is no terminal."""


class PlainConsole(Console):
    """A console that wraps at the width of a terminal. In pipes and files nothing is wrapped or shortened."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    @property
    def size(self) -> ConsoleDimensions:  # type: ignore[reportIncompatibleMethodOverride]  # never set here
        color_only = "FORCE_COLOR" in os.environ and os.environ.get("TTY_COMPATIBLE") != "1" and not self.file.isatty()
        return super().size if self.is_terminal and not color_only else ConsoleDimensions(MAX_LINE, 25)


OUTPUT = PlainConsole()
"""Results: standard output."""
MESSAGES = PlainConsole(stderr=True)
"""Progress and errors: standard error."""


def say(line: str) -> None:
    """Print a line of the result."""
    OUTPUT.print(line)


def print_json(value: Any) -> None:
    """Print the result as JSON, in ASCII."""
    OUTPUT.print_json(data=value, ensure_ascii=True)
