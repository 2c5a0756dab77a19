"""Computer algebra, in a worker process: two answers are equal if math-verify says so and their values say so too.

It gets expressions built from what we read, and compares them: its own parser, which takes (2)(3) for 5 and drops what
it does not know, never sees an answer. And it alone is not believed: values of 500 digits must agree as well.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import sympy
from math_verify import verify
from mpmath import mp

from massflow.rewards.evaluate import TRIALS, Approximate, point
from massflow.rewards.expression import Node, unpacked

DIGITS = 500
RELATIVE = "1e-480"


def all_equal(pairs: list[list[Any]], key: str) -> tuple[bool, str]:
    """Whether each (gold, answer), as `packed` gives them, is one value; and why not."""
    for gold, answer in ((unpacked(gold), unpacked(answer)) for gold, answer in pairs):
        if not _values_agree(gold, answer, key):
            return False, "another value past the sixteenth digit"
        if not _found_equal(gold, answer):
            return False, "the values agree, but math-verify does not find them equal"
    return True, ""


def _values_agree(gold: Node, answer: Node, key: str) -> bool:
    for trial in range(TRIALS):
        rough = Approximate(point(key, trial))
        sizes = abs(rough(gold)), abs(rough(answer))
        spare = max(0, math.ceil(math.log10(max(rough.largest, 1.0))))  # digits that may cancel
        with mp.workdps(DIGITS + spare):
            value = Approximate(point(key, trial), mp)
            difference = abs(value(gold) - value(answer))
            if not difference <= mp.mpf(RELATIVE) * max(*sizes, 1e-150):
                return False
    return True


def _found_equal(gold: Node, answer: Node) -> bool:
    logging.getLogger("math_verify.grader").setLevel(logging.ERROR)  # it warns that it has no time limit: the pool has
    return verify(_sympy(gold), _sympy(answer), numeric_precision=60, strict=True, timeout_seconds=None)


def _sympy(node: Node) -> Any:
    if node.op == "number":
        value = Fraction(node.value)
        return sympy.Rational(value.numerator, value.denominator)
    if node.op == "symbol":
        known = {"\\pi": sympy.pi, "e": sympy.E, "i": sympy.I, "\\infty": sympy.oo}
        return known.get(str(node.value)) or sympy.Symbol(str(node.value).lstrip("\\"), real=True)
    return _operations()[node.op](*map(_sympy, node.args))


@functools.cache
def _operations() -> dict[str, Callable[..., Any]]:
    own: dict[str, Callable[..., Any]] = {
        "add": sympy.Add,
        "multiply": sympy.Mul,
        "divide": lambda above, below: above / below,
        "negate": lambda x: -x,
        "power": sympy.Pow,
        "root": lambda degree, x: sympy.Pow(x, 1 / degree),
        "abs": sympy.Abs,
        "floor": sympy.floor,
        "ceil": sympy.ceiling,
        "factorial": sympy.factorial,
        "binomial": sympy.binomial,
        "log": lambda base, x: sympy.log(x) / sympy.log(base),
        "ln": sympy.log,
        "arcsin": sympy.asin,
        "arccos": sympy.acos,
        "arctan": sympy.atan,
    }
    same = ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "exp")
    return own | {name: getattr(sympy, name) for name in same}
