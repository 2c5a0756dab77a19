r"""Extraction of answers from a text: the contents of \boxed{}, or another form where the task allows it."""

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
_MAX_MATCHES = 50
"""Lines and phrases read, from the end."""
_MAX_NESTED_BOXES = 3

_BOX = re.compile(
    r"(?<!\\)(?:\\\\)*\\(?:boxed|fbox)(?![A-Za-z])\s*"
    r"(?:(?P<brace>\{)|(?P<short>\\[A-Za-z]+|[0-9]+(?:\.[0-9]+)?|[^\s\\{}$.,;:)]))?"
)
_BRACE = re.compile(r"\\[\s\S]|[{}]")
_IN_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_PHRASE = re.compile(r"\bthe\s{1,3}(?:(?:final|correct)\s{1,3})?answer\s{1,3}is\b[: \t]*\n?", re.IGNORECASE)
_PHRASE_END = re.compile(
    r"[.!?](?:\s|$)|[,;:]?\s\(?(?:because|since|as|so|which|where|for|given|and so|hence|thus|therefore)\b"
    r"|(?:,\s|\s[-\u2013\u2014]{1,2}\s|\s\()(?=[a-z]{2,} [a-z]{2})"
    r"(?![^.!?]{0,100}\b(?:or|but|maybe|perhaps|possibly|not?|wait|actually)\b)"
)
"""End of a sentence, a reason, or a remark that does not hedge."""
_ANSWER = re.compile(
    r"^[ \t>#*_-]{0,20}(?:(?:the|my|your) )?(?:(?:final|correct) )?answer[*_ ]{0,5}[:\uff1a]",
    re.IGNORECASE | re.MULTILINE,
)
_LEAD = re.compile(r"^\s*+(\\text\{)?\s*+(?:the )?(?:final )?answer(?: is)?(?:\s*:\s*| )(?(1)(\}\s*)?)", re.IGNORECASE)
_DISPLAY = re.compile(r"^(?:\$\$|\\\[)\s*\n\s*")
"""Opening of a displayed formula, followed by a line break."""
_AROUND_A_BOX = " \t\n$*.()[]\\"
_SPACE = re.compile(r"\s+")
_OPEN = re.compile("<(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_CLOSE = re.compile("</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)


def extract(text: str, forms: Sequence[str] = ("boxed",)) -> list[str]:
    r"""Return the answers in the first of these forms that occurs in the text, in order; the last one counts.

    Reasoning between <think> (<thinking>, <reasoning>) and its end, also without one, is left out. Empty answers are
    left out if there are others. Raises InputError for a form not in FORMS; Refused for more than MAX_ANSWERS different
    answers and for a box inside a box.

    >>> extract(r"so \boxed{\frac{1}{2}}, that is \boxed{ .5 }")
    ['\\frac{1}{2}', ' .5 ']
    """
    tail = _OPEN.split(_CLOSE.split(text)[-1], maxsplit=1)[0][-TAIL:]
    for form in forms:
        if form not in FORMS:
            check_forms([form])
        answers = FORMS[form](tail)
        answers = [answer for answer in answers if answer.strip()] or answers[-1:]
        if len({_SPACE.sub("", answer) for answer in set(answers)}) > MAX_ANSWERS:
            raise Refused(f"more than {MAX_ANSWERS} different answers")
        if answers:
            return answers
    return []


def forms_with_answers(texts: Iterable[str]) -> dict[str, int]:
    """Number of texts in which each form finds an answer; `whole`, which every text has, is left out."""
    counts = dict.fromkeys((form for form in FORMS if form != "whole"), 0)
    for text in texts:
        for form in counts:
            with contextlib.suppress(Refused):
                counts[form] += any(answer.strip() for answer in extract(text, [form]))
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
    r"""Contents of every \boxed{}, in order; of a box around a box, the inner content.

    Without any if the last box is not finished, so that the text has no answer.
    """
    contents, end, finished = list[str](), 0, True
    for box in _BOX.finditer(tail):
        if box.start() < end:  # inside the box before
            continue
        end = _end_of_group(tail, box.end()) if box["brace"] else box.end()
        finished = bool(end and (box["brace"] or box["short"]))
        if not end:
            break
        contents += [box["short"] or tail[box.end() : end - 1]] if finished else []
    return [_without_lead(_unwrapped(content)) for content in contents] if finished else []


def _end_of_group(text: str, start: int) -> int:
    """Return the place after the brace that closes the one before `start`; 0 without one."""
    depth = 1
    for match in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if not depth:
            return match.end()
    return 0


def _unwrapped(content: str) -> str:
    """Return the content of a box; of one that holds nothing but a box, the content of that."""
    for _ in range(_MAX_NESTED_BOXES):
        if not _IN_BOX.search(content):
            return content
        inner = content.strip()
        content = _IN_BOX.sub("", inner, count=1)[:-1] if _IN_BOX.match(inner) and inner.endswith("}") else content
    raise Refused("a box within the box")


def _without_lead(answer: str) -> str:
    r"""Drop a leading "Answer:", also as \text{Answer:}."""
    return _LEAD.sub(lambda lead: "" if lead[2] or not lead[1] else lead[1], answer)


def _answer_lines(tail: str) -> list[str]:
    """The rest of each line that starts with "Answer:", or the next line if that is empty."""
    matches = list(_ANSWER.finditer(tail))[-_MAX_MATCHES:]
    followers = [_DISPLAY.sub("", tail[match.end() : match.end() + 1000].lstrip("*_ \t\r\n")) for match in matches]
    lines = [follower.partition("\n")[0] for follower in followers]
    return [(_phrase(line) or [_unboxed(line.strip("*_ \t\r").removesuffix(".").rstrip("*_ "))])[-1] for line in lines]


def _unboxed(answer: str) -> str:
    r"""The content of an answer that is nothing but a box: $\boxed{5}$."""
    box = answer.strip(_AROUND_A_BOX)
    contents = _boxed(f"\\{box}") if box.startswith("boxed{") else []
    return contents[0] if [box] == [f"boxed{{{content}}}" for content in contents] else answer


def _hashes(tail: str) -> list[str]:
    parts = [part.partition("\n")[0].strip("* \t") for part in tail.split("####")[1:]]
    return [_unboxed(_without_lead(part).strip("* ")) for part in parts]


def _phrase(tail: str) -> list[str]:
    """The text after each "the answer is", to the end of the sentence or a reason: "42 because ..." is 42."""
    matches = list(_PHRASE.finditer(tail))[-_MAX_MATCHES:]
    answers = [tail[match.end() : match.end() + 1000].partition("\n")[0] for match in matches]
    return [_unboxed(_PHRASE_END.split(answer.strip(), maxsplit=1)[0].strip("* ")) for answer in answers]


def _tag(tail: str) -> list[str]:
    parts = (part.partition("</answer>") for part in tail.split("<answer>")[1:])
    return [_unboxed(_without_lead(content)) for content, closed, _ in parts if closed]


def _whole(tail: str) -> list[str]:
    return [tail] if tail.strip() else []


FORMS: dict[str, Callable[[str], list[str]]] = {
    "boxed": _boxed, "answer": _answer_lines, "hashes": _hashes, "phrase": _phrase, "tag": _tag, "whole": _whole,
}  # fmt: skip
r"""\boxed{x}; a line "Answer: x"; #### x; "the answer is x"; <answer>x</answer>; the whole text."""
