"""What Ctrl-C is answered with, and the exit code."""

from __future__ import annotations

import sys

INTERRUPTED = 130
RESUMED = ("demo", "lab", "sample")
"""Commands that go on where they were stopped."""


def farewell() -> str:
    """The last line of an interrupted command."""
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    kept = ": what was done is kept; the same command goes on from there." if command in RESUMED else "."
    return f"interrupted{kept}"
