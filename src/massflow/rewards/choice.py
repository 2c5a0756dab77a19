"""Multiple choice: one letter, the gold one. Labels 1 to 9 count as A to I where the gold answer is such a label."""

from __future__ import annotations

import re
from collections.abc import Sequence

from massflow.errors import InputError
from massflow.rewards.compare import decide
from massflow.rewards.decision import Decision, Refused, no_unless
from massflow.rewards.latex import canonical
from massflow.rewards.reading import read
from massflow.tables.values import shown
from massflow.types import Problem

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_CHARACTERS = 500
_OPTION = r"(?:(?:[Oo]ption|[Cc]hoice) ?)?[(\[]?([A-Za-z]|[1-9])"
_ONE = re.compile(rf"{_OPTION}[)\].:]*")
_LETTER_AND_TEXT = re.compile(rf"{_OPTION}(?: ?[)\].:]+| ?[-\u2013\u2014]| ?(?=\())\s*(.+)", re.DOTALL)
_SEVERAL = re.compile(
    r"[(\[]?[A-Za-z1-9][)\].]?(?:(?:\s*(?:,|/|;|&|\+|\||\band\b|\bor\b)\s*|\s+)[(\[]?[A-Za-z1-9][)\].]?)+"
)
_WRAPPED = re.compile(r"\\text ?\{([^{}]*)\}")


def letter_of(label: str, numbered: bool = False) -> str | None:
    """The letter that a label stands for; None if it is none.

    >>> letter_of("(b)"), letter_of("2", numbered=True), letter_of("2")
    ('B', 'B', None)
    """
    match = _ONE.fullmatch(label.strip())
    if match is None or (match[1].isdigit() and not numbered):
        return None
    return LETTERS[int(match[1]) - 1] if match[1].isdigit() else match[1].upper()


def judge(answer: str, problem: Problem) -> Decision:
    """metadata: choices - the options' texts, in order; then the letter may be followed by its own text.

    Raises Refused for several letters, and for a letter with another option's text.
    """
    if len(answer) > MOST_CHARACTERS:
        raise Refused(f"an answer of {len(answer)} characters where a letter is asked for")
    said = _unwrapped(answer)
    gold, choices = gold_letter(problem), problem.metadata.get("choices", ())
    numbered = problem.answer.strip().isdigit()
    letter = letter_of(said, numbered)
    if letter is None:
        letter = _letter_with_text(said, choices, numbered)
    if letter is None:
        return Decision(False, "choice", "no letter of an option")
    if choices and LETTERS.index(letter) >= len(choices):
        return Decision(False, "choice", f"there is no option {letter}")
    return no_unless(letter == gold, "choice", f"{letter} is not the right option")


def _unwrapped(text: str) -> str:
    r"""Without what is only spelling: \textbf{(B)}\ \text{London} is (B) London."""
    spelled = _WRAPPED.sub(r" \1 ", canonical(text)).replace("\\%", "%")
    return re.sub(r"\s+", " ", spelled).strip(" *")


def gold_letter(problem: Problem) -> str:
    """Raises InputError, naming the problem, if its answer is no letter of an option."""
    letter = letter_of(problem.answer, numbered=True)
    choices = problem.metadata.get("choices", ())
    if letter is None or (choices and LETTERS.index(letter) >= len(choices)):
        options = f"one of {LETTERS[: len(choices)]}" if choices else "the letter of an option"
        raise InputError(f"problem {problem.id!r}: the gold answer must be {options}; got {shown(problem.answer)}")
    return letter


def check(problem: Problem) -> None:
    gold_letter(problem)


def _letter_with_text(said: str, choices: Sequence[str], numbered: bool) -> str | None:
    if _SEVERAL.fullmatch(said) or re.fullmatch("[A-Z]{2,10}", said):
        raise Refused("several letters")
    match = _LETTER_AND_TEXT.fullmatch(said)
    letter = letter_of(match[1], numbered) if match else None
    if match is None or letter is None or not LETTERS.index(letter) < len(choices):
        return None
    if not _is_text(match[2], str(choices[LETTERS.index(letter)])):
        raise Refused("a letter with a text that is not its option's")
    return letter


def _is_text(said: str, option: str) -> bool:
    """The option's text, or the same mathematics."""
    if _same(said) == _same(_unwrapped(option)):
        return True
    return decide(read(option), read(said)).equal is True


def _same(text: str) -> str:
    return re.sub(r"\s+", "", text).strip(".()").lower()
