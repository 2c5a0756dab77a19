"""Multiple choice: one letter, the gold one. Labels 1 to 9 count as A to I where the gold answer is such a label."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.tables.values import shorten
from rlvrscope.verify.decision import Decision, Refused, no_unless
from rlvrscope.verify.math.equality import decide
from rlvrscope.verify.math.latex import canonical
from rlvrscope.verify.math.reading import read

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_CHARACTERS = 500
_OPTION = r"(?:(?:[Oo]ption|[Cc]hoice) ?)?[(\[]?([A-Za-z]|[1-9])"
_ONE = re.compile(rf"{_OPTION}[)\].:]*")
_LETTER_AND_TEXT = re.compile(rf"{_OPTION}(?: ?[)\].:]+| ?[-\u2013\u2014]| ?(?=\())\s*(.+)", re.DOTALL)
_SEVERAL = re.compile(
    r"[(\[]?[A-Za-z1-9][)\].]?(?:(?:\s*(?:,|/|;|&|\+|\||\band\b|\bor\b)\s*|\s+)[(\[]?[A-Za-z1-9][)\].]?)+"
)
_LETTER_SPACE_TEXT = re.compile(rf"{_OPTION} (.+)", re.DOTALL)
_LEAD = re.compile(r"^(?:the )?(?:(?:final|correct) )?answer(?: is)? ?:? ?", re.IGNORECASE)
_LABEL = re.compile(r"(?<![A-Za-z])[(\[]?([A-Z])(?![A-Za-z])")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_DENIALS = {"not", "no", "or", "nor", "neither", "never", "either", "but", "wrong", "false", "incorrect", "except"}
_PRODUCT = re.compile(r"\\(?:times|cdot)(?![a-z])|(?<=[0-9]) ?\* ?(?=[0-9])")
_SPELLING = re.compile(r"[\s$\\{}_]")
_RAISED = {
    ord(sign): f"^{digit}" for digit, sign in enumerate("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
}
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
    """metadata: choices - the options' texts, in order; then the letter may be followed by a text.

    Raises Refused for several letters, and for a letter with another option's text or value.
    """
    if len(answer) > MAX_CHARACTERS:
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
    return _LEAD.sub("", re.sub(r"\s+", " ", spelled).strip(" *"), count=1)


def gold_letter(problem: Problem) -> str:
    """Raises InputError, naming the problem, if its answer is no letter of an option."""
    letter = letter_of(problem.answer, numbered=True)
    choices = problem.metadata.get("choices", ())
    if letter is None or (choices and LETTERS.index(letter) >= len(choices)):
        options = f"one of {LETTERS[: len(choices)]}" if choices else "the letter of an option"
        raise InputError(f"problem {problem.id!r}: the gold answer must be {options}; got {shorten(problem.answer)}")
    return letter


def check(problem: Problem) -> None:
    gold_letter(problem)


def _letter_with_text(said: str, choices: Sequence[str], numbered: bool) -> str | None:
    if _SEVERAL.fullmatch(said) or re.fullmatch("[A-Z]{2,10}", said):
        raise Refused("several letters")
    match = _LETTER_AND_TEXT.fullmatch(said) or _LETTER_SPACE_TEXT.fullmatch(said)
    letter = letter_of(match[1], numbered) if match else None
    if match is None or letter is None or not LETTERS.index(letter) < len(choices):
        return None
    own, text = str(choices[LETTERS.index(letter)]), match[2]
    if _is_text(text, own):
        return letter
    if _LETTER_AND_TEXT.fullmatch(said) is None:  # a word may be one letter: "a book"
        return None
    if _says_another(text, own, [str(choice) for choice in choices]):
        raise Refused("a letter with a text that is not its option's")
    return letter


def _says_another(text: str, own: str, choices: Sequence[str]) -> bool:
    """Whether it holds another option's text or letter, a denial, or a number that its own option has not."""
    labels = {label for label in _LABEL.findall(text) if LETTERS.index(label) < len(choices)}
    if any(label not in own for label in labels):
        return True
    others = [choice for choice in choices if _same(choice) != _same(own)]
    if any(_is_text(text, other) or _holds(text, other, own) for other in others):
        return True
    own_words = set(_plain(own).split())
    if (_DENIALS & set(_plain(text).split())) - own_words:
        return True
    return not set(_NUMBER.findall(text.replace(",", ""))) <= set(_NUMBER.findall(_expanded(own)))


def _holds(text: str, other: str, own: str) -> bool:
    """Whether another option's words stand in it, which do not stand in its own option."""
    said, words = f" {_plain(text)} ", f" {_plain(other)} "
    return bool(words.strip()) and words in said and words not in f" {_plain(own)} "


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", _unwrapped_or_bare(text).lower()))


def _is_text(said: str, option: str) -> bool:
    """The option's text, or the same mathematics."""
    if _same(said) == _same(option):
        return True
    try:
        return decide(read(option), read(said)).equal is True
    except Refused:
        return False


def _unwrapped_or_bare(text: str) -> str:
    """An option may be longer than an answer may."""
    try:
        return _unwrapped(text)
    except Refused:
        return text


def _expanded(text: str) -> str:
    """Raised digits on the line, no thousands separators."""
    return text.translate(_RAISED).replace(",", "")


def _same(text: str) -> str:
    """Without what is only spelling in mathematics: spaces, braces, the sign of a product."""
    spelled = _unwrapped_or_bare(text.translate(_RAISED)).replace("\u00d7", "x")
    return _SPELLING.sub("", _PRODUCT.sub("x", spelled)).strip(".()").lower()
