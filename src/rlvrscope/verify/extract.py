r"""Extraction of the answer from a text: the last complete \boxed{}, or another form where the task allows it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.tables.values import shorten
from rlvrscope.verify.decision import Refused

TAIL = 20_000
"""Characters at the end of a text that are searched for an answer."""
MAX_ANSWERS = 5
"""Different answers in the tail; more count as an enumeration."""

_BOX = re.compile(r"\\boxed\s*\{|\\[\s\S]|[{}]")
_MAX_NESTED_BOXES = 3
_MAX_PHRASES = 50
_PHRASE = re.compile(r"\bthe\s{1,3}(?:final\s{1,3})?answer\s{1,3}is\b[: \t]*", re.IGNORECASE)
_ANSWER = re.compile(
    r"^[ \t>#*_-]{0,20}(?:(?:the|my|your) )?(?:(?:final|correct) )?answer[*_ ]{0,5}[:\uff1a]",
    re.IGNORECASE | re.MULTILINE,
)
_BOX_LEAD = re.compile(r"^\s*(?:(\\text\{)\s*)?(?:final )?answer\s*:\s*(?(1)(\}\s*)?)", re.IGNORECASE)
_DISPLAY = re.compile(r"^(?:\$\$|\\\[)\s*\n\s*")
"""Opening of a displayed formula, followed by a line break."""
_AROUND_A_BOX = " \t\n$*.()[]\\"
_LEAD = re.compile(r"^(?:the )?(?:final )?answer(?: is)?(?: ?: ?| )", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def extract(text: str, forms: Sequence[str] = ("boxed",)) -> str | None:
    r"""Return the last answer in the first of these forms that occurs in the text; None without one.

    Raises InputError for a form not in FORMS; Refused for more than MAX_ANSWERS different answers and for a box inside
    a box.

    >>> extract(r"so \boxed{\frac{1}{2}}, that is \boxed{ .5 }")
    ' .5 '
    """
    tail = text[-TAIL:]
    for form in forms:
        if form not in FORMS:
            check_forms([form])
        answers = FORMS[form](tail)
        if not answers:
            continue
        if len({_SPACE.sub("", answer) for answer in set(answers)}) > MAX_ANSWERS:
            raise Refused(f"more than {MAX_ANSWERS} different answers")
        return answers[-1]
    return None


def forms_with_answers(texts: Iterable[str]) -> dict[str, int]:
    """Number of texts in which each form finds an answer; `whole`, which every text has, is left out."""
    counts = dict.fromkeys((form for form in FORMS if form != "whole"), 0)
    for text in texts:
        for form in counts:
            with contextlib.suppress(Refused):
                counts[form] += bool((extract(text, [form]) or "").strip())
    return counts


def check_forms(forms: Any) -> None:
    """Raise InputError unless `forms` is a name in FORMS, or a non-empty list of them."""
    names = [forms] if isinstance(forms, str) else list(forms) if isinstance(forms, list | tuple) else []
    unknown = next((name for name in names if not isinstance(name, str) or name not in FORMS), None)
    if unknown is not None:
        raise InputError(f"unknown answer form {shorten(unknown)}. {did_you_mean(str(unknown), list(FORMS))}")
    if not names:
        raise InputError(f"forms must be a list of one or more of {', '.join(FORMS)}; got {shorten(forms)}")


def _boxed(tail: str) -> list[str]:
    return [_BOX_LEAD.sub(lambda lead: "" if lead[2] else lead[1] or "", content) for content in _boxes(tail)]


def _boxes(tail: str) -> list[str]:
    r"""Contents of every complete \boxed{}, in order of their ends; of a box around a box, the inner content."""
    first = tail.find("\\boxed")
    if first < 0:
        return []
    while first and tail[first - 1] == "\\":  # start at the first backslash: pairs of them are line breaks
        first -= 1
    open_braces: list[int | None] = []
    """Start of the content for the brace of a box, None for other braces."""
    spans: list[tuple[int, int]] = []
    for match in _BOX.finditer(tail, first):
        token = match[0]
        if token == "}":
            start = open_braces.pop() if open_braces else None
            if start is not None:
                spans.append((start, match.start()))
        elif token == "{":
            open_braces.append(None)
        elif token[-1] == "{" and len(token) > 2:
            open_braces.append(match.end())
    return _unwrapped([tail[start:end] for start, end in _without_deep_boxes(spans)])


def _without_deep_boxes(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Drop boxes nested too deep: of a thousand boxes in one another, only the outer ones are read."""
    outer: list[tuple[int, int]] = []
    for start, end in reversed(spans):
        depth = sum(1 for left, right in outer[-_MAX_NESTED_BOXES - 1 :] if left < start and end < right)
        if depth <= _MAX_NESTED_BOXES:
            outer.append((start, end))
    return outer[::-1]


def _unwrapped(answers: list[str]) -> list[str]:
    """Drop final boxes that hold nothing but the box before them."""
    for _ in range(_MAX_NESTED_BOXES):
        if not answers or "\\boxed" not in answers[-1]:
            return answers
        *answers, outer = answers
        if not answers or _SPACE.sub("", outer) != f"\\boxed{{{_SPACE.sub('', answers[-1])}}}":
            break
    raise Refused("a box within the box")


def _answer_lines(tail: str) -> list[str]:
    """The rest of each line that starts with "Answer:", or the next line if that is empty."""
    matches = list(_ANSWER.finditer(tail))[-_MAX_PHRASES:]
    followers = [_DISPLAY.sub("", tail[match.end() : match.end() + 1000].lstrip("*_ \t\r\n")) for match in matches]
    lines = [follower.partition("\n")[0] for follower in followers]
    return [(_phrase(line) or [_unboxed(line.strip("*_ \t\r").removesuffix(".").rstrip("*_ "))])[-1] for line in lines]


def _unboxed(answer: str) -> str:
    r"""The content of an answer that is nothing but a box: $\boxed{5}$."""
    box = answer.strip(_AROUND_A_BOX)
    contents = _boxes(f"\\{box}") if box.startswith("boxed{") else []
    return contents[0] if [box] == [f"boxed{{{content}}}" for content in contents] else answer


def _hashes(tail: str) -> list[str]:
    parts = [part.partition("\n")[0].strip("* \t") for part in tail.split("####")[1:]]
    return [_unboxed(_LEAD.sub("", part, count=1).strip("* ")) for part in parts]


def _phrase(tail: str) -> list[str]:
    matches = list(_PHRASE.finditer(tail))[-_MAX_PHRASES:]
    answers = [tail[match.end() : match.end() + 1000].partition("\n")[0] for match in matches]
    return [_unboxed(re.split(r"\.(?:\s|$)", answer, maxsplit=1)[0].strip("* ")) for answer in answers]


def _tag(tail: str) -> list[str]:
    parts = (part.partition("</answer>") for part in tail.split("<answer>")[1:])
    return [_unboxed(content) for content, closed, _ in parts if closed]


def _whole(tail: str) -> list[str]:
    return [tail] if tail.strip() else []


FORMS: dict[str, Callable[[str], list[str]]] = {
    "boxed": _boxed, "answer": _answer_lines, "hashes": _hashes, "phrase": _phrase, "tag": _tag, "whole": _whole,
}  # fmt: skip
r"""\boxed{x}; a line "Answer: x"; #### x; "the answer is x"; <answer>x</answer>; the whole text."""
