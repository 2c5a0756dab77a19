"""Computer algebra, in a worker process: math-verify's parser reads what ours does not, values decide.

Two expressions are equal if their values agree at points that no answer can be made for, to more digits than two texts
of their length can be made to agree without being equal. What has no value, such as a set, math-verify compares.
"""

from __future__ import annotations

import functools
import logging
import math
import re
from fractions import Fraction
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import latex2sympy
from math_verify import verify
from math_verify.grader import should_treat_as_complex
from mpmath import mp
from sympy.core.function import AppliedUndef

from rlvrscope.verify.decision import Refused, Unreadable
from rlvrscope.verify.math.expression import Node
from rlvrscope.verify.math.latex import FUNCTIONS, GREEK
from rlvrscope.verify.math.values import coordinate

MIN_DIGITS, DIGITS_PER_DIGIT, MAX_DIGITS = 500, 2, 10_000
"""Digits compared: at least MIN_DIGITS, and DIGITS_PER_DIGIT more for each digit that the two expressions have."""
MIN_MAGNITUDE, MAX_MAGNITUDE = 1e-50, 1e50
"""Limits of intermediate values."""
MAX_ARGUMENT = 100
"""Largest argument of a function that may grow or vanish: e^{-1000} can't be distinguished from nothing."""
_ANY_ARGUMENT = ("log", "Abs", "floor", "ceiling", "sin", "cos", "tan", "cot", "sec", "csc")
NUM_POINTS, _LAST_SMALL, _NEGATIVE = 8, 3, (2, 5, 7)
_MARGIN = 20
_KNOWN = (
    "frac", "binom", "sqrt", "cdot", "times", "div", "sum", "prod", "int", "lim", "to", "circ", "lfloor", "rfloor",
    "lceil", "rceil", "gcd", "lcm", "max", "min", "mod", "sech", "csch", "coth", "arccot", "arcsec", "arccsc",
)  # fmt: skip
_GUESSED = re.compile(
    r"(?<![_0-9])[0-9]+ [0-9]|\)\([0-9]|\)[0-9]|[0-9]_|\\text|/[^/]*[A-Za-z0-9)}]\\[a-z]"
    r"|\.[0-9]{12}|[^-A-Za-z0-9\s\\{}()\[\]_^+*/=.,|!<>]|\.\.|[+-].*\\mod|"
    rf"\\(?!(?:{'|'.join((*FUNCTIONS, *GREEK, *_KNOWN))})(?![A-Za-z]))[A-Za-z]"
)
"""Input that latex2sympy guesses: 2 3 and (2)(3) as sums, 1011_2 as 1011, 1/2\\sin x; decimals that it rounds; signs
and commands that it drops (dots, primes) or reads as products (\\angle ABC)."""
_BOUND = (sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit, sympy.Derivative)
_NAMES = {"Abs": "fabs", "ceiling": "ceil"}
"""Functions that mpmath calls otherwise than sympy."""


def equal(gold: Node, answer: Node, key: str, tolerance: float = 0.0) -> bool:
    """Test whether two expressions are equal. Raises Refused, and Unreadable for what math-verify can't read either."""
    gold_tree, tree = _sympy(gold), _sympy(answer)
    if all(isinstance(side, sympy.Expr) for side in (gold_tree, tree)):
        try:
            return _values_agree(gold_tree, tree, key, tolerance)
        except _NoValueError:
            pass
    logging.getLogger("math_verify.grader").setLevel(logging.ERROR)  # its warning about no time limit: the pool has one
    return verify(gold_tree, tree, float_rounding=50, numeric_precision=200, strict=True, timeout_seconds=None)


class _NoValueError(Exception):
    """A sum or an integral with symbols, an unknown function."""


def _values_agree(gold: sympy.Expr, answer: sympy.Expr, key: str, tolerance: float) -> bool:
    """Compare at small and large points of both signs.

    Left out are points where just one value is real, negative ones where none is, and large ones past the limits.
    """
    num_digits = sum(len(str(part)) for side in (gold, answer) for part in side.atoms(sympy.Rational))
    places = MIN_DIGITS + DIGITS_PER_DIGIT * num_digits
    if places > MAX_DIGITS:
        raise Refused("numbers that are too long to be distinguished")
    agreements = 0
    for trial in range(NUM_POINTS):
        with mp.workdps(places + _MARGIN + 2 * math.ceil(math.log10(MAX_MAGNITUDE))):
            try:
                gold_value, value = (_value(side, key, trial) for side in (gold, answer))
            except (ZeroDivisionError, ValueError):
                continue
            except Refused:
                if trial > _LAST_SMALL:
                    continue
                raise
            are_real = {_is_real(gold_value), _is_real(value)}
            if len(are_real) > 1 or (trial in _NEGATIVE and are_real == {False} and not gold.has(sympy.I)):
                continue
            scale = min(abs(gold_value), mp.mpf(1)) or mp.mpf(1)
            allowed = tolerance * abs(gold_value) if tolerance else mp.mpf(10) ** (_MARGIN - places) * scale
            if abs(gold_value - value) > allowed:
                return False
            agreements += 1
    return agreements > 1


def _is_real(value: Any) -> bool:
    return abs(mp.im(value)) <= mp.mpf(10) ** -MIN_DIGITS * max(abs(value), 1)


def _value(node: Any, key: str, trial: int) -> Any:
    """Return the value in mpmath. Raises Refused past the limits, _NoValueError for a part without a value."""
    value = _unbounded(node, key, trial)
    if not abs(value) <= MAX_MAGNITUDE or 0 < abs(value) < MIN_MAGNITUDE:
        raise Refused("values too large or too small to be distinguished")
    return value


def _unbounded(node: Any, key: str, trial: int) -> Any:
    if node.is_Float:
        node = sympy.Rational(str(node))
    if node.is_Rational:
        return mp.mpf(int(node.p)) / int(node.q)
    if node.is_Symbol:
        return _point(coordinate(key, trial, re.sub(r"[\\{}]", "", node.name)), trial)
    if node is sympy.I:
        return mp.mpc(0, 1)
    if node.is_NumberSymbol:
        return mp.make_mpf(node._as_mpf_val(mp.prec))
    if isinstance(node, (*_BOUND, AppliedUndef)) or not isinstance(node, sympy.Expr):
        raise _NoValueError
    args = [_value(arg, key, trial) for arg in node.args]
    if node.is_Add or node.is_Mul:
        return mp.fsum(args) if node.is_Add else mp.fprod(args)
    if node.is_Pow:
        return _power(args[0], args[1], node.args[1])
    name = type(node).__name__
    if name == "UnevaluatedExpr":
        return args[0]
    is_function = type(node).__module__.startswith("sympy.functions")  # never a name that the answer chose
    function = getattr(mp, _NAMES.get(name, name), None) if is_function else None
    if function is None or not args:
        raise _NoValueError
    if name not in _ANY_ARGUMENT and max(map(abs, args)) > MAX_ARGUMENT:
        raise Refused("an argument that is too large")
    return function(*args)


def _point(number: int, trial: int) -> Any:
    """Return 0.25 to 2.25, the negative of that, a whole number from 3 to 9, or a larger one of either sign."""
    if trial > 2:
        return mp.mpf((3 + number % 7, 20 + number % 64, -20 - number % 64, number, -number)[trial - 3])
    return mp.mpf((number + 2**28) * (-1 if trial == 2 else 1)) / 2**30


def _power(base: Any, exponent: Any, written: Any) -> Any:
    """Return the principal power; for a negative base and a fraction with an odd denominator, the real one."""
    if written.is_Rational and written.q % 2 and written.q > 1 and mp.im(base) == 0 and mp.re(base) < 0:
        return (-1) ** (int(written.p) % 2) * mp.power(-base, exponent)
    return mp.power(base, exponent)


def _sympy(node: Node) -> Any:
    """Return the tree as sympy's; a raw text is read by math-verify's parser and evaluated."""
    if node.op == "raw":
        return _parsed(str(node.value))
    if node.op == "number":
        return sympy.Rational(Fraction(node.value).numerator, Fraction(node.value).denominator)
    if node.op == "symbol":
        known = {"\\pi": sympy.pi, "e": sympy.E, "i": sympy.I, "\\infty": sympy.oo}
        return known.get(str(node.value)) or sympy.Symbol(str(node.value).lstrip("\\"), real=True)
    args = list(map(_sympy, node.args))
    operations = {
        "add": sympy.Add, "multiply": sympy.Mul, "divide": lambda above, below: above / below, "negate": lambda x: -x,
        "power": sympy.Pow, "root": lambda degree, x: sympy.Pow(x, 1 / degree), "factorial": sympy.factorial,
        "binomial": sympy.binomial,
    }  # fmt: skip
    return operations[node.op](*args)


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    """Return what math-verify's parser reads. Raises Unreadable for what it guesses, and for a letter it drops."""
    try:
        if _GUESSED.search(text):
            raise Unreadable("not read as mathematics")
        tree: Any = latex2sympy(text, is_real=not should_treat_as_complex(text), convert_degrees=True)
    except Exception as error:  # its parser raises bare exceptions
        raise Unreadable("not read as mathematics") from error
    letters = set(re.findall(r"(?<![A-Za-z\\])[a-zA-Z](?![A-Za-z])", text)) - {"d", "e", "i"}
    if not letters <= set("".join(symbol.name for symbol in tree.atoms(sympy.Symbol, AppliedUndef) if symbol.name)):
        raise Unreadable("not read as mathematics to its end")
    return tree.doit() if tree.has(*_BOUND) else tree
