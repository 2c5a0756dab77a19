"""Text from outside, made fit to be shown: names, ids and a model's words may hold anything."""

from __future__ import annotations

import unicodedata

HIDDEN = ("Cc", "Cf", "Cn", "Cs", "Zl", "Zp")
"""Control, format (bidi among them), unassigned and surrogate characters, and separators of lines."""


def printable(text: str) -> str:
    """Text that can't move the cursor, colour the screen or turn its neighbours around: such characters as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in "\n\t" or unicodedata.category(character) not in HIDDEN else _escape(character)
        for character in text
    )


def one_line(text: str, most: int | None = None) -> str:
    """The same without line breaks; the middle left out where it is longer than `most` characters."""
    if most is not None and len(text) > most:
        text = f"{text[: most // 2]}…{text[len(text) - (most - most // 2 - 1) :]}"
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def clipped(text: str, most: int) -> str:
    """The first `most` characters, printable, and how many more there are."""
    shown = printable(text[:most])
    return shown if len(text) <= most else f"{shown}\n[{len(text) - most:,} more characters]"


def _escape(character: str) -> str:
    return ascii(character)[1:-1]
