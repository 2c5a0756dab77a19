r"""Countdown: an arithmetic expression over given numbers that equals a target; parsed here, evaluated exactly.

sum = product (("+" | "-") product)*     factor = "-"* (number | "(" sum ")")
product = factor (("*" | "/") factor)*, with "*" or nothing before a bracket
"""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.tables.values import shorten
from rlvrscope.verify.decision import Decision, Refused, Unreadable, decided
from rlvrscope.verify.math.latex import plain

MAX_CHARACTERS = 300
MAX_DIGITS = 12
MAX_NESTING = 20
_TOKEN = re.compile(r"\s*(?:([0-9]+)|([-+*/()]))")
_SPELLED = {
    "\\times": "*", "\\cdot": "*", "\\div": "/", "\\left": "", "\\right": "", "\\,": "", "\\!": "", "\\;": "",
    "{": "(", "}": ")", "[": "(", "]": ")", "$": "",
}  # fmt: skip
_DELIMITERS = re.compile(r"\\[()\[\]]")
_SIGN_IN_BRACES = re.compile(r"\{\s*(\\(?:times|cdot|div)|[-+*/])\s*\}")
_CLAIM = re.compile(r"[\s$]*-?[0-9]{1,12}[\s$]*")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")


def evaluate(text: str) -> tuple[Fraction, list[int]]:
    """Return the value and the numbers used, in order. Raises Unreadable (also for 1/0), and Refused past the limits.

    >>> evaluate("(3 + 5) * 2")
    (Fraction(16, 1), [3, 5, 2])
    """
    if len(text) > MAX_CHARACTERS:
        raise Refused(f"an expression of {len(text)} characters; at most {MAX_CHARACTERS} are read")
    text = plain(text)
    while _FRACTION.search(text):
        text = _FRACTION.sub(r"((\1)/(\2))", text)  # inner fractions first
    for spelled, sign in _SPELLED.items():
        text = text.replace(spelled, sign)
    reader = _Reader(_tokens(text))
    value = reader.sum()
    if reader.tokens:
        raise Unreadable(f"unexpected {reader.tokens[-1]!r}")
    return value, reader.used


def judge(answer: str, problem: Problem) -> Decision:
    """Evaluate the expression. metadata: `numbers`, each usable once per occurrence; `use` = "all" requires all."""
    numbers = _numbers(problem)
    spelled = _SIGN_IN_BRACES.sub(r"\1 ", _DELIMITERS.sub("", answer)).strip().removesuffix(".")
    expression, equals, claim = spelled.partition("=")
    if equals and _CLAIM.fullmatch(expression):
        expression, claim = claim, expression  # 14 = 2(3+4)
    if equals and not _CLAIM.fullmatch(claim):
        raise Refused("a chain of equations")
    try:
        value, used = evaluate(expression)
        claimed = evaluate(claim)[0] if equals else value
    except Unreadable as error:
        return Decision(False, "exact", f"not read as arithmetic: {error}")
    if extra := Counter(used) - Counter(numbers):
        return Decision(False, "exact", f"{next(iter(extra))} is not one of the numbers, or is used too often")
    if problem.metadata.get("use") == "all" and len(used) < len(numbers):
        return Decision(False, "exact", "not every number is used")
    return decided(value == claimed == int(problem.answer), "exact", f"it equals {_shown(value)}")


def check(problem: Problem) -> None:
    """Raise InputError, naming the problem, unless the target is a whole number and metadata has numbers."""
    if not re.fullmatch(rf"-?[0-9]{{1,{MAX_DIGITS}}}", problem.answer.strip()):
        raise InputError(f"problem {problem.id!r}: the target must be a whole number; got {shorten(problem.answer)}")
    _numbers(problem)
    use = problem.metadata.get("use", "all")
    if use != "all":
        raise InputError(f'problem {problem.id!r}: use must be "all" or left out; got {shorten(use)}')


def _numbers(problem: Problem) -> list[int]:
    numbers = problem.metadata.get("numbers")
    if not isinstance(numbers, list | tuple) or not numbers or not all(type(n) is int and n >= 0 for n in numbers):
        raise InputError(
            f"problem {problem.id!r}: countdown needs metadata numbers, such as [3, 5, 2]; got {shorten(numbers)}"
        )
    return list(numbers)


def _shown(value: Fraction) -> str:
    text = str(value)
    return text if len(text) <= 40 else "another value"


def _tokens(text: str) -> list[str]:
    """Tokens in reverse order, so that the next one can be popped."""
    tokens, at, text = [], 0, text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Unreadable(f"unknown character {text[at]!r}")
        if match[1] and len(match[1]) > MAX_DIGITS:
            raise Refused(f"a number of more than {MAX_DIGITS} digits")
        tokens.append(match[1] or match[2])
        at = match.end()
    return tokens[::-1]


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.used, self.depth = tokens, [], 0

    def _take(self, *tokens: str) -> str:
        return self.tokens.pop() if self.tokens and self.tokens[-1] in tokens else ""

    def sum(self) -> Fraction:
        value = self._product()
        while sign := self._take("+", "-"):
            value = value + self._product() if sign == "+" else value - self._product()
        return value

    def _product(self) -> Fraction:
        value = self._factor()
        while sign := self._take("*", "/") or ("*" if self.tokens[-1:] == ["("] else ""):  # 2(3+4) is a product
            right = self._factor()
            if sign == "/" and not right:
                raise Unreadable("a division by zero")
            value = value * right if sign == "*" else value / right
        return value

    def _factor(self) -> Fraction:
        negative = False
        while self._take("-"):
            negative = not negative
        value = self._bracket() if self._take("(") else self._number()
        return -value if negative else value

    def _bracket(self) -> Fraction:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise Refused(f"brackets nested more than {MAX_NESTING} deep")
        value = self.sum()
        self.depth -= 1
        if not self._take(")"):
            raise Unreadable("a bracket that does not close")
        return value

    def _number(self) -> Fraction:
        if not self.tokens or not self.tokens[-1].isdigit():
            raise Unreadable("a number is missing")
        self.used.append(int(self.tokens.pop()))
        return Fraction(self.used[-1])
