"""Multiple choice: the letter of the right option. Labels 1 to 9 count as A to I if the gold answer is such a label."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.tables.values import shorten
from rlvrscope.verify.decision import Decision, Refused, decided
from rlvrscope.verify.math.equality import compare
from rlvrscope.verify.math.latex import canonical
from rlvrscope.verify.math.reading import read

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_CHARACTERS = 500
_OPTION = r"(?:(?:[Oo]ption|[Cc]hoice) ?)?[(\[]?([A-Za-z]|[1-9])"
_LABEL_ONLY = re.compile(rf"{_OPTION}[)\].:]*")
_LETTER_AND_TEXT = re.compile(rf"{_OPTION}(?: ?[)\].:]+| ?[-\u2013\u2014]| ?(?=\())\s*(.+)", re.DOTALL)
_SEVERAL = re.compile(
    r"[(\[]?[A-Za-z1-9][)\].]?(?:(?:\s*(?:,|/|;|&|\+|\||\band\b|\bor\b)\s*|\s+)[(\[]?[A-Za-z1-9][)\].]?)+"
)
_LETTER_SPACE_TEXT = re.compile(rf"{_OPTION} (.+)", re.DOTALL)
_LEAD = re.compile(r"^(?:the )?(?:(?:final|correct) )?answer(?: is)? ?:? ?", re.IGNORECASE)
_CAPITAL_LABEL = re.compile(r"(?<![A-Za-z])[(\[]?([A-Z])(?![A-Za-z])")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_DENIALS = {"not", "no", "or", "nor", "neither", "never", "either", "but", "wrong", "false", "incorrect", "except"}
_PRODUCT = re.compile(r"\\(?:times|cdot)(?![a-z])|(?<=[0-9]) ?\* ?(?=[0-9])")
_SPELLING = re.compile(r"[\s$\\{}_]")
_SUPERSCRIPTS = {
    ord(sign): f"^{digit}" for digit, sign in enumerate("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
}
_WRAPPED = re.compile(r"\\text ?\{([^{}]*)\}")


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
    """Compare the letter. metadata: `choices`, the options' texts in order; the letter may then be followed by a text.

    Raises Refused for several letters, and for a letter with the text or value of another option.
    """
    if len(answer) > MAX_CHARACTERS:
        raise Refused(f"an answer of {len(answer)} characters where a letter is expected")
    text = _unwrapped(answer)
    gold, choices = gold_letter(problem), problem.metadata.get("choices", ())
    numbered = problem.answer.strip().isdigit()
    letter = letter_of(text, numbered)
    if letter is None:
        letter = _letter_with_text(text, choices, numbered)
    if letter is None:
        return Decision(False, "choice", "no letter of an option")
    if choices and LETTERS.index(letter) >= len(choices):
        return Decision(False, "choice", f"there is no option {letter}")
    return decided(letter == gold, "choice", f"{letter} is not the right option")


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
    if _SEVERAL.fullmatch(answer) or re.fullmatch("[A-Z]{2,10}", answer):
        raise Refused("several letters")
    match = _LETTER_AND_TEXT.fullmatch(answer) or _LETTER_SPACE_TEXT.fullmatch(answer)
    letter = letter_of(match[1], numbered) if match else None
    if match is None or letter is None or not LETTERS.index(letter) < len(choices):
        return None
    option, text = str(choices[LETTERS.index(letter)]), match[2]
    if _is_option(text, option):
        return letter
    if _LETTER_AND_TEXT.fullmatch(answer) is None:  # the first word may be a single letter: "a book"
        return None
    if _contradicts(text, option, [str(choice) for choice in choices]):
        raise Refused("a letter with a text that is not its option's")
    return letter


def _contradicts(text: str, option: str, choices: Sequence[str]) -> bool:
    """Test for another option's text or letter, a denial, or a number that the chosen option does not have."""
    labels = {label for label in _CAPITAL_LABEL.findall(text) if LETTERS.index(label) < len(choices)}
    if any(label not in option for label in labels):
        return True
    others = [choice for choice in choices if _squeezed(choice) != _squeezed(option)]
    if any(_is_option(text, other) or _contains(text, other, option) for other in others):
        return True
    if (_DENIALS & set(_lower_words(text).split())) - set(_lower_words(option).split()):
        return True
    return not set(_NUMBER.findall(text.replace(",", ""))) <= set(_NUMBER.findall(_plain_digits(option)))


def _contains(text: str, other: str, option: str) -> bool:
    """Test whether the text contains the words of another option that are not part of the chosen one."""
    spoken, words = f" {_lower_words(text)} ", f" {_lower_words(other)} "
    return bool(words.strip()) and words in spoken and words not in f" {_lower_words(option)} "


def _is_option(text: str, option: str) -> bool:
    """Test for the option's text or the same mathematics."""
    if _squeezed(text) == _squeezed(option):
        return True
    try:
        return compare(read(option), read(text)).equal is True
    except Refused:
        return False


def _unwrapped(text: str) -> str:
    r"""Remove markup: \textbf{(B)}\ \text{London} becomes (B) London."""
    spelled = _WRAPPED.sub(r" \1 ", canonical(text)).replace("\\%", "%")
    return _LEAD.sub("", re.sub(r"\s+", " ", spelled).strip(" *"), count=1)


def _unwrapped_or_bare(text: str) -> str:
    """`_unwrapped`, for options as well, which may be longer than an answer may be."""
    try:
        return _unwrapped(text)
    except Refused:
        return text


def _lower_words(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", _unwrapped_or_bare(text).lower()))


def _plain_digits(text: str) -> str:
    """Replace superscript digits and remove thousands separators."""
    return text.translate(_SUPERSCRIPTS).replace(",", "")


def _squeezed(text: str) -> str:
    """Remove spaces, braces and variants of the multiplication sign, so that equal formulas are equal strings."""
    spelled = _unwrapped_or_bare(text.translate(_SUPERSCRIPTS)).replace("\u00d7", "x")
    return _SPELLING.sub("", _PRODUCT.sub("x", spelled)).strip(".()").lower()
