r"""Values of expressions, exact where possible and else approximate, at points that an answer can't anticipate.

Two different rational functions agree at TRIALS points, drawn from 2^31 integers per symbol, with a probability below
(degree / 2^31)^TRIALS (Schwartz-Zippel). A point is a hash of both answers, so no answer can be crafted for it.
"""

from __future__ import annotations

import cmath
import functools
import hashlib
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from rlvrscope.verify.decision import Broken, Refused, Unreadable
from rlvrscope.verify.math.tree import Node

MAX_BITS = 4_000
"""Size of an exact intermediate value; larger ones would block the calling process."""
MAX_FACTORIAL = 400
TRIALS = 2
"""Points at which two expressions are compared."""
_MIN_MAGNITUDE, _MAX_MAGNITUDE = 1e-150, 1e300
"""Limits of intermediate values: the product of any two must be distinguishable from zero in double precision."""
_MAX_TANH_ARGUMENT = 100
_NONZERO_OPERATIONS = ("number", "multiply", "divide", "power", "root")
"""Operations that are not zero for nonzero arguments: a zero result is an underflow."""
Point = Callable[[str], int | Fraction]


class Inexact(Exception):  # noqa: N818
    """No exact rational value exists: a root, a logarithm, a fractional power."""


def point(key: str, trial: int) -> Point:
    """Return a function from symbols to whole numbers from 1 to 2^31, by a hash of the key."""

    def value(symbol: str) -> int:
        digest = hashlib.blake2b(f"{key}\x1f{trial}\x1f{symbol}".encode("utf-8", "replace"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % 2**31 + 1

    return value


def sample(at: Point, symbol: str) -> Fraction:
    """Return the coordinate scaled to 0.25 to 2.25, a typical size of quantities; representable as a double."""
    return Fraction(at(symbol) + 2**28, 2**30)


def exact(node: Node, at: Point) -> Fraction:
    """Return the rational value; pi, e and infinity are symbols like any other.

    Raises Inexact, Refused past MAX_BITS, and Unreadable for an undefined value (1/0, 0^0).
    """
    if node.op == "number":
        return Fraction(node.value)
    if node.op == "symbol":
        if node.value == "i":
            raise Inexact
        return Fraction(at(str(node.value)))
    if node.op in _CONSTANT and node.symbols():
        raise Inexact  # |x| is x at a positive point, so agreement would prove nothing
    if node.op == "power" and node.args[1].symbols():
        raise Inexact
    return _apply(node.op, [exact(arg, at) for arg in node.args])


def _apply(op: str, args: list[Fraction]) -> Fraction:
    if op not in _EXACT:
        raise Inexact
    return _bounded(_EXACT[op](*args))


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise Refused("a number that is too large")
    return value


def _sum(*terms: Fraction) -> Fraction:
    return functools.reduce(lambda total, term: _bounded(total + term), terms)


def _multiply(*factors: Fraction) -> Fraction:
    return functools.reduce(lambda product, factor: _bounded(product * factor), factors)


def _divide(above: Fraction, below: Fraction) -> Fraction:
    if not below:
        raise Broken("a division by zero")
    return above / below


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise Inexact
    if not base and exponent <= 0:
        raise Unreadable("zero to a power of zero or less")
    bits = max(abs(base.numerator), base.denominator).bit_length() - 1
    if bits * abs(exponent) > MAX_BITS:
        raise Refused("a power that is too large")
    return base ** int(exponent) if abs(base) != 1 else Fraction(1 if base > 0 or not exponent % 2 else -1)


def _root(degree: Fraction, value: Fraction) -> Fraction:
    if degree.denominator != 1 or not 2 <= degree <= 64 or (value < 0 and not degree % 2):
        raise Inexact
    above, below = _whole_root(abs(value.numerator), int(degree)), _whole_root(value.denominator, int(degree))
    return Fraction(above, below) * (1 if value >= 0 else -1)


def _whole_root(value: int, degree: int) -> int:
    """Return the whole-number root. Raises Inexact unless it is one."""
    low = math.isqrt(value) if degree == 2 else _newton(value, degree)
    if low**degree != value:
        raise Inexact
    return low


def _newton(value: int, degree: int) -> int:
    """Return the largest whole number whose power is at most `value`; Newton steps from above."""
    root = 1 << -(-value.bit_length() // degree)
    while (below := ((degree - 1) * root + value // root ** (degree - 1)) // degree) < root:
        root = below
    return root


def _whole(value: Fraction, limit: int) -> int:
    if value.denominator != 1 or value < 0:
        raise Unreadable("a factorial or binomial of something other than a natural number")
    if value > limit:
        raise Refused("a factorial or binomial that is too large")
    return int(value)


def _factorial(value: Fraction) -> Fraction:
    return Fraction(math.factorial(_whole(value, MAX_FACTORIAL)))


def _binomial(n: Fraction, k: Fraction) -> Fraction:
    return Fraction(math.comb(_whole(n, MAX_FACTORIAL), _whole(k, MAX_FACTORIAL)))


_EXACT: dict[str, Callable[..., Fraction]] = {
    "add": _sum, "multiply": _multiply, "divide": _divide, "negate": lambda x: -x, "power": _power, "root": _root,
    "abs": lambda x: abs(x), "floor": lambda x: Fraction(math.floor(x)), "ceil": lambda x: Fraction(math.ceil(x)),
    "factorial": _factorial, "binomial": _binomial,
}  # fmt: skip
_CONSTANT = ("root", "abs", "floor", "ceil", "factorial", "binomial")


class Approximate:
    """Evaluator in complex numbers that records the magnitudes of intermediate values.

    largest: the largest magnitude, to which errors are relative. smallest: the smallest nonzero one, at most 1.
    m: cmath, or mpmath's context for more digits. Raises Unreadable for an undefined value, Refused for overflow.
    """

    def __init__(self, at: Point, m: Any = cmath) -> None:
        self.at, self.m, self.largest, self.smallest = at, m, 0.0, 1.0

    def __call__(self, node: Node) -> Any:
        try:
            return self._number(self._sized(node))
        except OverflowError as error:
            raise Refused("a number that is too large") from error
        except (ValueError, ZeroDivisionError) as error:
            raise Unreadable("an undefined value") from error

    def _sized(self, node: Node) -> Any:
        """Return the value, a Fraction where everything below is rational, else a number of m; record its magnitude."""
        args = [self._sized(arg) for arg in node.args]
        value = self._value(node, args)
        size = abs(self._number(value))
        if not size < _MAX_MAGNITUDE:
            raise Refused("a number that is too large")
        if 0.0 < size < _MIN_MAGNITUDE or (not size and node.op in _NONZERO_OPERATIONS and all(args)):
            raise Refused("a number that is too small")  # indistinguishable from no term at all
        self.largest = max(self.largest, size)
        self.smallest = min(self.smallest, size or 1.0)
        return value

    def _value(self, node: Node, args: list[Any]) -> Any:
        if node.op == "number":
            return Fraction(node.value)
        if node.op == "symbol":
            return self._symbol(str(node.value))
        if all(isinstance(arg, Fraction) for arg in args):
            try:
                return _apply(node.op, args)
            except Inexact:
                pass
        return self._apply(node.op, [self._number(arg) for arg in args])

    def _number(self, value: Any) -> Any:
        if not isinstance(value, Fraction):
            return value
        return complex(value) if self.m is cmath else self.m.mpf(value.numerator) / value.denominator

    def _symbol(self, name: str) -> Any:
        if name in ("\\pi", "e"):
            return self.m.pi * 1 if name == "\\pi" else self.m.exp(1)
        if name == "i":
            return self.m.sqrt(-1)
        return self._number(sample(self.at, name))

    def _apply(self, op: str, args: list[Any]) -> Any:
        m = self.m
        if op == "add":
            return sum(args[1:], args[0])
        if op == "multiply":
            return math.prod(args[1:], start=args[0])
        if op == "divide":
            return args[0] / args[1]
        if op == "power":
            return args[0] ** args[1] if args[0] != 1 else args[0]
        if op == "root":
            return _principal(*args)
        if op == "log":
            return m.log(args[1]) / m.log(args[0])
        if op == "tanh" and abs(args[0]) > _MAX_TANH_ARGUMENT:
            raise Refused("a number that can't be distinguished from 1")
        if op in _APPROXIMATE:
            return _APPROXIMATE[op](m, args[0])
        raise Unreadable(f"{op} of an expression with symbols")


def _principal(degree: Any, x: Any) -> Any:
    """Return the principal root; for odd roots of negative numbers, the real one."""
    real_odd = x.real < 0 and abs(x.imag) < 1e-12 * abs(x.real) and degree == int(degree.real) and degree.real % 2
    return -((-x) ** (1 / degree)) if real_odd else x ** (1 / degree)


_APPROXIMATE: dict[str, Callable[[Any, Any], Any]] = {
    "negate": lambda m, x: -x,
    "abs": lambda m, x: abs(x),
    "cot": lambda m, x: 1 / m.tan(x),
    "sec": lambda m, x: 1 / m.cos(x),
    "csc": lambda m, x: 1 / m.sin(x),
    "ln": lambda m, x: m.log(x),
    "arcsin": lambda m, x: m.asin(x),
    "arccos": lambda m, x: m.acos(x),
    "arctan": lambda m, x: m.atan(x),
    **{name: (lambda m, x, name=name: getattr(m, name)(x)) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
}
