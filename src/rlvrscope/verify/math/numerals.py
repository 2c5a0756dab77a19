"""Numbers as they are written: with thousands separators, a period that repeats, a power of ten."""

from __future__ import annotations

import re
from fractions import Fraction

from rlvrscope.verify.math.expression import MAX_DIGITS

_DECIMAL = re.compile(r"([+-]?)([0-9]*)\.?([0-9]*)")
_GROUPED = re.compile(r"([+-]?[0-9]{1,3})((?:,[0-9]{3})+|(?: [0-9]{3})+)(\.[0-9]+)?")
_REPEATING = re.compile(r"([+-]?)([0-9]*)\.([0-9]*)\\overline\{([0-9]+)\}")
_SCIENTIFIC = re.compile(
    r"([+-]?[0-9]+(?:\.[0-9]*)?)(?:(?:\\(?:times|cdot) ?|\*)10\^(?:\{(-?[0-9]{1,3})\}|([0-9]))|[eE]([+-]?[0-9]{1,3}))"
)


def plain_number(text: str) -> Fraction | None:
    r"""The value; None if it is not written as one number.

    >>> print(plain_number("1,200"), plain_number(r"0.\overline{27}"), plain_number(r"3\times 10^{-2}"))
    1200 3/11 3/100
    """
    if len(text) > MAX_DIGITS:
        return None
    if match := _GROUPED.fullmatch(text):
        return _fraction(match[1] + re.sub("[, ]", "", match[2]) + (match[3] or ""))
    if match := _SCIENTIFIC.fullmatch(text):
        return _fraction(match[1]) * Fraction(10) ** int(match[2] or match[3] or match[4])
    if match := _REPEATING.fullmatch(text):
        sign, whole, part, period = match.groups()
        nines = 10 ** len(part) * (10 ** len(period) - 1)
        value = Fraction(int(f"{whole}{part}{period}") - int(f"0{whole}{part}"), nines)
        return -value if sign == "-" else value
    match = _DECIMAL.fullmatch(text)
    return _fraction(text) if match and (match[2] or match[3]) else None


def _fraction(digits: str) -> Fraction:
    return Fraction(digits.removesuffix("."))
