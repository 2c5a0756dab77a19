r"""The answer in a text: the last complete \boxed{}, or another form where the task says so."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.tables.values import shorten
from rlvrscope.verify.decision import Refused

TAIL = 20_000
"""Characters at the end of a text in which an answer is looked for."""
MAX_ANSWERS = 5
"""Different ones in the tail; more is an enumeration."""

_BOX = re.compile(r"\\boxed\s*\{|\\[\s\S]|[{}]")
_MOST_BOXES = 3
"""Around one another, with nothing between."""
_MOST_PHRASES = 50
_PHRASE = re.compile(r"\bthe\s{1,3}(?:final\s{1,3})?answer\s{1,3}is\b[: \t]*", re.IGNORECASE)
_LEAD = re.compile(r"^(?:the )?(?:final )?answer(?: is)?(?: ?: ?| )", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def extract(text: str, forms: Sequence[str] = ("boxed",)) -> str | None:
    r"""The answer by the first of these forms that the text has; None if it has none.

    Raises InputError for a form that is none of FORMS; Refused for more than MAX_ANSWERS different answers, and for a
    box with a box in it.

    >>> extract(r"so \boxed{\frac{1}{2}}, that is \boxed{ .5 }")
    ' .5 '
    """
    tail = text[-TAIL:]
    for form in forms:
        if form not in FORMS:
            check_forms([form])
        found = FORMS[form](tail)
        if not found:
            continue
        if len({_SPACE.sub("", answer) for answer in set(found)}) > MAX_ANSWERS:
            raise Refused(f"more than {MAX_ANSWERS} different answers are given")
        return found[-1]
    return None


def check_forms(forms: Any) -> None:
    """Raises InputError unless these are some of FORMS: one name, or a list of them."""
    names = [forms] if isinstance(forms, str) else list(forms) if isinstance(forms, list | tuple) else []
    unknown = next((name for name in names if not isinstance(name, str) or name not in FORMS), None)
    if unknown is not None:
        raise InputError(f"unknown form of an answer {shorten(unknown)}. {did_you_mean(str(unknown), list(FORMS))}")
    if not names:
        raise InputError(f"forms must be a list of one or more of {', '.join(FORMS)}; got {shorten(forms)}")


def _boxed(tail: str) -> list[str]:
    r"""What every complete \boxed{} holds, in order of their ends; of a box around a box, the inner content."""
    first = tail.find("\\boxed")
    if first < 0:
        return []
    while first and tail[first - 1] == "\\":  # which of them pair up as line breaks is told from the first on
        first -= 1
    open_at: list[int | None] = []
    """Open braces: where the content starts for a box's, None for others."""
    found: list[tuple[int, int]] = []
    for match in _BOX.finditer(tail, first):
        token = match[0]
        if token == "}":
            start = open_at.pop() if open_at else None
            if start is not None:
                found.append((start, match.start()))
        elif token == "{":
            open_at.append(None)
        elif token[-1] == "{" and len(token) > 2:
            open_at.append(match.end())
    return _unwrapped([tail[start:end] for start, end in _without_nests(found)])


def _without_nests(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without the boxes deep in others: of a thousand in one another, the outer ones are looked at."""
    kept: list[tuple[int, int]] = []
    for start, end in reversed(found):
        around = sum(1 for left, right in kept[-_MOST_BOXES - 1 :] if left < start and end < right)
        if around <= _MOST_BOXES:
            kept.append((start, end))
    return kept[::-1]


def _unwrapped(found: list[str]) -> list[str]:
    """Without boxes at the end that hold nothing but the box before."""
    for _ in range(_MOST_BOXES):
        if not found or "\\boxed" not in found[-1]:
            return found
        *found, outer = found
        if not found or _SPACE.sub("", outer) != f"\\boxed{{{_SPACE.sub('', found[-1])}}}":
            break
    raise Refused("a box within the box")


def _hashes(tail: str) -> list[str]:
    parts = [part.partition("\n")[0].strip("* \t") for part in tail.split("####")[1:]]
    return [_LEAD.sub("", part, count=1).strip("* ") for part in parts]


def _phrase(tail: str) -> list[str]:
    found = list(_PHRASE.finditer(tail))[-_MOST_PHRASES:]
    answers = [tail[match.end() : match.end() + 1000].partition("\n")[0] for match in found]
    return [re.split(r"\.(?:\s|$)", answer, maxsplit=1)[0].strip("* ") for answer in answers]


def _tag(tail: str) -> list[str]:
    parts = (part.partition("</answer>") for part in tail.split("<answer>")[1:])
    return [content for content, closed, _ in parts if closed]


def _whole(tail: str) -> list[str]:
    return [tail] if tail.strip() else []


FORMS: dict[str, Callable[[str], list[str]]] = {
    "boxed": _boxed, "hashes": _hashes, "phrase": _phrase, "tag": _tag, "whole": _whole,
}  # fmt: skip
r"""\boxed{x}; #### x; "the answer is x"; <answer>x</answer>; all that was said."""
