"""Computer algebra, in a worker process: two answers are equal if their values agree and math-verify agrees.

math-verify compares expressions built from our own parse tree: its parser, which reads (2)(3) as 5 and drops unknown
input, never sees an answer. Its result alone is not trusted: values must also agree to as many digits as `separation`
requires. Where that is a proof, as for radicals, math-verify is not asked.
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

from rlvrscope.verify.decision import Refused
from rlvrscope.verify.math.expression_value import TRIALS, Approximate, Point, point
from rlvrscope.verify.math.separation import MARGIN, digits, is_algebraic
from rlvrscope.verify.math.tree import Node, unpacked

MIN_DIGITS = 500
"""Digits to compare where no bound makes an agreement certain."""
MIN_MAGNITUDE, MAX_MAGNITUDE = 1e-50, 1e50
"""Limits of intermediate values there."""


def all_equal(pairs: list[list[Any]], key: str) -> tuple[bool, str]:
    """Compare each packed (gold, answer); return whether all are equal, with the reason if not."""
    for gold, answer in ((unpacked(gold), unpacked(answer)) for gold, answer in pairs):
        if not all(_values_agree(gold, answer, point(key, trial)) for trial in range(TRIALS)):
            return False, "the values differ after the sixteenth digit"
        proved = all(is_algebraic(node) and not node.variables() for node in (gold, answer))
        if not proved and not _algebra_agrees(gold, answer):
            return False, "the values agree, but math-verify does not find them equal"
    return True, ""


def _values_agree(gold: Node, answer: Node, at: Point) -> bool:
    """Compare values at one point: a proof for algebraic ones, otherwise agreement to at least MIN_DIGITS digits."""
    rough, difference = Approximate(at), Node("add", (gold, Node("negate", (answer,))))
    size = abs(rough(gold))
    rough(answer)
    places = digits(difference, at, lambda node: max(abs(Approximate(at)(node)), 1.0))
    if not is_algebraic(difference):
        if rough.smallest < MIN_MAGNITUDE or rough.largest > MAX_MAGNITUDE:
            raise Refused("values too large or too small to be distinguished")
        places = max(places, MIN_DIGITS)
    spare = math.ceil(math.log10(max(rough.largest, 1.0)) - math.log10(rough.smallest))
    with mp.workdps(places + spare + MARGIN):  # spare digits may cancel
        value = Approximate(at, mp)
        return bool(abs(value(gold) - value(answer)) <= mp.mpf(10) ** (MARGIN // 2 - places) * min(size, 1.0))


def _algebra_agrees(gold: Node, answer: Node) -> bool:
    logging.getLogger("math_verify.grader").setLevel(logging.ERROR)  # its warning about no time limit: the pool has one
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
    same = ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh")
    return own | {name: getattr(sympy, name) for name in same}
