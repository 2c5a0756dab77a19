"""One cell of a table, as read from a file: a label, a number, a verdict."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from typing import Any

_WORDS = {"true": 1.0, "false": 0.0}


def to_text(value: Any) -> str:
    """Any value as text that can be printed and encoded: half a surrogate pair becomes a question mark."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of whole numbers with gaps is read as floats by many tools
    text = value if isinstance(value, str) else to_json(value) if isinstance(value, list | dict) else str(value)
    return text.encode("utf-8", "replace").decode("utf-8")


def to_label(value: Any) -> str | None:
    """A label as text; None for a missing or blank one."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return to_text(value) if not isinstance(value, str) or value.strip() else None


def to_number(value: Any) -> float:
    """A number, also from text, with true and false as 1 and 0; NaN for what is none."""
    try:
        if isinstance(value, str):
            return _WORDS.get(value.strip().lower(), math.nan) if value.strip().isalpha() else float(value)
        return float(value)
    except OverflowError:  # a whole number past 1e308
        return math.inf if int(value) > 0 else -math.inf
    except (TypeError, ValueError):
        return math.nan


def shorten(value: Any) -> str:
    """A value for an error message: short, and with no character that moves the cursor."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def join_names(names: Iterable[str]) -> str:
    """Names for an error message, the first twenty of them."""
    every = list(names)
    some = ", ".join(shorten(name)[1:-1] for name in every[:20]) or "none"
    return f"{some} and {len(every) - 20} more" if len(every) > 20 else some


def to_json(value: Any) -> str:
    """The same text for equal values."""
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    except RecursionError:
        return "(nested too deep)"


def message_text(value: Any) -> str:
    """What a prompt or completion says: a text, or chat messages ({role, content}) one after the other."""
    return "\n".join(_contents(value)) if isinstance(value, list) else to_text(value)


def prompt_id(prompt: Any, *more: Any) -> str:
    """A short id of a problem known by its prompt (and `more`, such as its gold answer), the same in every file.

    The start of the prompt, or of the last message of a chat, and twelve hexadecimal digits of SHA-256 over all of it.
    """
    said = _turns(prompt) if isinstance(prompt, list) else to_text(prompt)
    whole = to_json([said, *more]) if more or isinstance(said, list) else said
    digest = hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:12]
    contents = _contents(prompt) if isinstance(prompt, list) else [to_text(prompt)]
    start = re.sub(r"\s+", " ", (contents or [""])[-1][:400])
    start = "".join(character for character in start if character.isprintable()).strip()[:40].rstrip()
    return f"{start} {digest}".strip()


def _contents(messages: list[Any]) -> list[str]:
    return [_content(message.get("content")) if isinstance(message, dict) else to_text(message) for message in messages]


def _turns(messages: list[Any]) -> list[Any]:
    """Role and content alone: Parquet gives every message the keys of all others, empty."""
    roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
    return list(zip(roles, _contents(messages), strict=True))


def _content(content: Any) -> str:
    if not isinstance(content, list):
        return to_text(content)
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "".join(to_text(part) for part in parts)
