"""Multiple choice: the letter of the right option. Labels 1 to 9 count as A to I if the gold answer is such a label."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.tables.values import shorten
from rlvrscope.verify.decision import Decision, Refused
from rlvrscope.verify.math.latex import canonical

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_CHARACTERS = 500
_LABEL = r"(?:(?:[Oo]ption|[Cc]hoice) ?)?[(\[]?([A-Za-z]|[1-9])"
_LABEL_ONLY = re.compile(rf"{_LABEL}[)\].:]*")
_WITH_TEXT = re.compile(rf"{_LABEL}(?P<mark> ?[)\].:]+| ?[-\u2013\u2014]| ?(?=\()| )\s*(?P<text>.+)", re.DOTALL)


def letter_of(label: str, numbered: bool = False) -> str | None:
    """Return the letter of an option's label; None if it is not a label.

    >>> letter_of("(b)"), letter_of("2", numbered=True), letter_of("2")
    ('B', 'B', None)
    """
    match = _LABEL_ONLY.fullmatch(label.strip())
    if match is None or (match[1].isdigit() and not numbered):
        return None
    return LETTERS[int(match[1]) - 1] if match[1].isdigit() else match[1].upper()


def judge(answer: str, problem: Problem) -> Decision:
    """Compare the letter. metadata: `choices`, the options' texts; the letter may be followed by that of its option.

    Raises Refused for a letter with another text than its option's.
    """
    if len(answer) > MAX_CHARACTERS:
        raise Refused(f"an answer of {len(answer)} characters where a letter is expected")
    text = _unwrapped(answer)
    gold, choices = gold_letter(problem), problem.metadata.get("choices", ())
    numbered = problem.answer.strip().isdigit()
    letter = letter_of(text, numbered) or _letter_with_text(text, choices, numbered)
    if letter is None:
        return Decision(False, "choice", "no letter of an option")
    if choices and LETTERS.index(letter) >= len(choices):
        return Decision(False, "choice", f"there is no option {letter}")
    return Decision(letter == gold, "choice", f"{letter} is not the right option")


def check(problem: Problem) -> None:
    """Raise InputError, naming the problem, if the gold answer is not the letter of an option."""
    gold_letter(problem)


def gold_letter(problem: Problem) -> str:
    """Return the letter of the right option. Raises InputError, naming the problem, if there is no such option."""
    letter = letter_of(problem.answer, numbered=True)
    choices = problem.metadata.get("choices", ())
    if letter is None or (choices and LETTERS.index(letter) >= len(choices)):
        options = f"one of {LETTERS[: len(choices)]}" if choices else "the letter of an option"
        raise InputError(f"problem {problem.id!r}: the gold answer must be {options}; got {shorten(problem.answer)}")
    return letter


def _letter_with_text(answer: str, choices: Sequence[str], numbered: bool) -> str | None:
    match = _WITH_TEXT.fullmatch(answer)
    letter = letter_of(match[1], numbered) if match else None
    if match is None or letter is None or LETTERS.index(letter) >= len(choices):
        return None
    if _squeezed(str(choices[LETTERS.index(letter)])) == _squeezed(match["text"]):
        return letter
    if match["mark"] == " ":  # the first word may be a single letter: "a book"
        return None
    raise Refused("a letter with a text that is not its option's")


def _unwrapped(text: str) -> str:
    r"""Remove markup: \textbf{(B)}\ \text{London} becomes (B) London."""
    spelled = re.sub(r"\\text ?\{([^{}]*)\}", r" \1 ", canonical(text)).replace("\\%", "%")
    return " ".join(spelled.split()).strip(" *{}")


def _squeezed(text: str) -> str:
    """Remove spaces, braces and variants of the multiplication sign, so that equal formulas are equal strings."""
    with contextlib.suppress(Refused):  # an option may be longer than an answer
        text = _unwrapped(text)
    text = re.sub(r"\\(?:times|cdot)(?![a-z])|\u00d7|(?<=[0-9]) ?\* ?(?=[0-9])", "x", text)
    return re.sub(r"[\s$\\{}_,]|dollars$", "", text).strip(".()").lower()
