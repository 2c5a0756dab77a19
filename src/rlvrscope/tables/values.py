"""Cells of a table: conversion to text, labels and numbers; values in error messages; ids of prompts."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from typing import Any

_WORDS = {"true": 1.0, "false": 0.0}


def to_text(value: Any) -> str:
    """Any value as text that UTF-8 can hold. Half a surrogate pair becomes its escape, so no two texts merge."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # many tools read whole numbers with gaps as floats
    text = value if isinstance(value, str) else to_json(value) if isinstance(value, list | dict) else str(value)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def to_label(value: Any) -> str | None:
    """A label as text; None if missing or blank."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return to_text(value) if not isinstance(value, str) or value.strip() else None


def is_value(cell: Any, text: str) -> bool:
    """Test whether a cell is the value that the user wrote.

    >>> is_value(True, "true"), is_value(1.0, "1.0"), is_value("C", "c")
    (True, True, False)
    """
    if to_label(cell) == text:
        return True
    number = to_number(cell) if isinstance(cell, bool | int | float) else math.nan
    return abs(number) < 2.0**53 and number == to_number(text)


def to_number(value: Any) -> float:
    """A number, also from text; true and false are 1 and 0; NaN for anything else."""
    try:
        if isinstance(value, str):
            if value.strip().isalpha() or "_" in value:
                return _WORDS.get(value.strip().lower(), math.nan)
            return float(value)
        return float(value)
    except OverflowError:  # an integer above 1e308
        return math.inf if int(value) > 0 else -math.inf
    except (TypeError, ValueError):
        return math.nan


def shorten(value: Any) -> str:
    """A value for an error message: its repr, at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def join_names(names: Iterable[str]) -> str:
    """Names for an error message, at most the first twenty."""
    names = list(names)
    first = ", ".join(shorten(name)[1:-1] for name in names[:20]) or "none"
    return f"{first} and {len(names) - 20} more" if len(names) > 20 else first


def to_json(value: Any) -> str:
    """Canonical JSON: equal values give equal text."""
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    except RecursionError:
        return "(nested too deep)"


def message_text(value: Any) -> str:
    """Text of a prompt or completion: a string, or the contents of chat messages joined by newlines."""
    return "\n".join(_contents(value)) if isinstance(value, list) else to_text(value)


def prompt_id(prompt: Any, *more: Any) -> str:
    """Short id of a problem from its prompt (and `more`, such as its gold answer), the same in every file.

    The start of the prompt, or of a chat's last message, and twelve hexadecimal digits of SHA-256 over all of it.
    """
    content = _turns(prompt) if isinstance(prompt, list) else to_text(prompt)
    hashed = to_json([content, *more]) if more or isinstance(content, list) else content
    digest = hashlib.sha256(hashed.encode("utf-8", "replace")).hexdigest()[:12]
    contents = _contents(prompt) if isinstance(prompt, list) else [to_text(prompt)]
    start = re.sub(r"\s+", " ", (contents or [""])[-1][:400])
    start = "".join(character for character in start if character.isprintable()).strip()[:40].rstrip()
    return f"{start} {digest}".strip()


def _contents(messages: list[Any]) -> list[str]:
    return [_content(message.get("content")) if isinstance(message, dict) else to_text(message) for message in messages]


def _turns(messages: list[Any]) -> list[Any]:
    """(role, content) of each message; Parquet adds the keys of all other messages, empty."""
    roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
    return list(zip(roles, _contents(messages), strict=True))


def _content(content: Any) -> str:
    if not isinstance(content, list):
        return to_text(content)
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "".join(to_text(part) for part in parts)
