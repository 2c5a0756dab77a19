"""Numbers and outside text, formatted for people. Names, ids and a model's words may hold any character."""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len, set_cell_size

HIDDEN = ("Cc", "Cf", "Cn", "Cs", "Zl", "Zp")
"""Control, format (bidi among them), unassigned and surrogate characters, and line separators."""
MISSING = "–"


def number(value: float | None, form: str = ".3f") -> str:
    """A formatted number, without a sign where it rounds to zero; a dash for None and NaN."""
    if value is None or value != value:
        return MISSING
    text = format(value, form)
    return text if any(digit in "123456789" for digit in text) else text.lstrip("+-")


def interval(low: float, high: float, form: str = ".3f") -> str:
    """[low, high]. Ends keep their sign where they round to zero: it tells their side of zero."""
    return f"[{low:{form}}, {high:{form}}]"


def listed(parts: list[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def printable(text: str) -> str:
    """Text with every hidden character escaped: it can't move the cursor, colour the screen or reorder its line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in "\n\t" or unicodedata.category(character) not in HIDDEN else _escape(character)
        for character in text
    )


def one_line(text: str, max_characters: int | None = None) -> str:
    """Printable text with line breaks escaped; the middle of a text over `max_characters` is left out."""
    if max_characters is not None and len(text) > max_characters:
        half = max_characters // 2
        text = f"{text[:half]}…{text[len(text) - (max_characters - half - 1) :]}"
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def fitted(text: str, max_cells: int) -> str:
    """One line of at most `max_cells` terminal cells. Both ends stay: models often differ in the last characters."""
    text = one_line(text, 200)
    if cell_len(text) <= max_cells:
        return text
    start = (max_cells - 1) // 2
    return f"{set_cell_size(text, start)}…{set_cell_size(text[::-1], max_cells - 1 - start)[::-1]}"


def clipped(text: str, max_characters: int) -> str:
    """The first `max_characters`, printable, and the number of those left out."""
    start = printable(text[:max_characters])
    return start if len(text) <= max_characters else f"{start}\n[{len(text) - max_characters:,} more characters]"


def _escape(character: str) -> str:
    return ascii(character)[1:-1]
