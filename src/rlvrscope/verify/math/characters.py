"""Which characters an answer may hold, and the few that are another spelling of ASCII."""

from __future__ import annotations

import re
import unicodedata

from rlvrscope.verify.decision import Refused

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Control, format (zero-width and bidirectional among them), surrogates, private, unassigned, separators of lines."""
_FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}
_SIGNS = {
    "−": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div ", "π": r"\pi ", "∞": r"\infty ",
    "°": r"^\circ ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "∈": r"\in ", "±": r"\pm ",
    "≈": r"\approx ", "\u00a0": " ", "\u2009": " ", "\u202f": " ",
}  # fmt: skip
_SPELLINGS = _FULL_WIDTH | {ord(sign): latex for sign, latex in _SIGNS.items()}


def plain(text: str) -> str:
    r"""Full-width forms and a few mathematical signs as ASCII and LaTeX; every other character as it is.

    Other compatibility forms stay (5² is not 52), and so do digits of other scripts, which then match nothing.
    Raises Refused for control characters, and for those that are not seen or turn the text around.

    >>> plain("\uff11\uff12−π")
    '12-\\pi '
    """
    if _CONTROL.search(text):
        raise Refused("control character in the answer")
    if text.isascii():
        return text
    text = text.translate(_SPELLINGS)
    for character in text:
        if character > "\x7f" and unicodedata.category(character) in _HIDDEN:
            raise Refused(f"hidden character U+{ord(character):04X} in the answer")
    return text
