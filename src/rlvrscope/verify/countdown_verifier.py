r"""Countdown: an expression over given numbers that equals a target, read by our parser, evaluated exactly."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.tables.values import shorten
from rlvrscope.verify.decision import Decision, Refused, Unreadable
from rlvrscope.verify.math.expression import parse
from rlvrscope.verify.math.latex import canonical
from rlvrscope.verify.math.values import value_of

MAX_CHARACTERS = 300
MAX_DIGITS = 12
_ALLOWED = ("number", "add", "multiply", "divide", "negate")
_NOT_ARITHMETIC = re.compile(rf"[0-9],[0-9]|[0-9]\s+[0-9]|\)\s*[0-9]|\*\s*\*|\.|[0-9]{{{MAX_DIGITS + 1}}}")
_CLAIM = re.compile(r"\s*-?[0-9]{1,12}\s*")


def evaluate(text: str) -> tuple[Fraction, list[int]]:
    """Return the value and the numbers used, in order. Raises Unreadable (also for 1/0), and Refused past the limits.

    >>> evaluate("(3 + 5) * 2")
    (Fraction(16, 1), [3, 5, 2])
    """
    if len(text) > MAX_CHARACTERS:
        raise Refused(f"an expression of {len(text)} characters; at most {MAX_CHARACTERS} are read")
    if _NOT_ARITHMETIC.search(text):
        raise Unreadable("a number that is no whole number of at most 12 digits, or two in a row")
    node = parse(canonical(text))
    used: list[int] = []
    for part in node.walk():
        if part.op not in _ALLOWED or (part.op == "number" and Fraction(part.value).denominator > 1):
            raise Unreadable("only + - * / and brackets are used")
        used += [abs(int(Fraction(part.value)))] if part.op == "number" else []
    return value_of(node), used


def judge(answer: str, problem: Problem) -> Decision:
    """Evaluate the expression. metadata: `numbers`, each usable once per occurrence; `use` = "all" requires all."""
    numbers = _numbers(problem)
    spelled = re.sub(r"\\[()\[\]]|\$", "", answer).strip().removesuffix(".")
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
    return Decision(value == claimed == int(problem.answer), "exact", f"it equals {shorten(str(value))}")


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
