"""The form of a number as an answer."""

from __future__ import annotations

import re

_NUMBER = re.compile(r" (0|[1-9][0-9]*)")


def is_number(answer: str) -> bool:
    """Whether an answer is a space and a decimal number without leading zeros."""
    return _NUMBER.fullmatch(answer) is not None
