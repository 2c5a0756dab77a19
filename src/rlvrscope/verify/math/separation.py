r"""Number of digits that distinguishes two values, with certainty for algebraic ones.

The bound of Burnikel, Funke, Mehlhorn, Schirra and Schmitt (A separation bound for real algebraic expressions, ESA
2001): an expression of integers with + - * / and roots that is not zero is at least 1 / (u^(D-1) l) in size, where D is
the product of its roots' degrees, and u and l bound every conjugate of numerator and denominator:

    integer N   u = |N|               l = 1            a / b       u = u_a l_b          l = l_a u_b
    a + b       u = u_a l_b + l_a u_b l = l_a l_b      k-th root   u = (u l^(k-1))^(1/k), l = l   if u >= l, else
    a b         u = u_a u_b           l = l_a l_b                  u = u, l = (u^(k-1) l)^(1/k)

Logarithms, sines and irrational powers have no such bound. They are treated as integers of their size, and only a few
with little nesting are allowed: values that agree to that many digits and MARGIN more are then almost surely equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from rlvrscope.verify.decision import Refused
from rlvrscope.verify.math.expression_value import Inexact, Point, exact, point, sample
from rlvrscope.verify.math.tree import CONSTANTS, Node, flat, number, skeleton

MARGIN = 20
MAX_DIGITS = 4_000
MAX_DOUBLINGS = 12
"""log2 of the product of the roots' degrees."""
MAX_FUNCTIONS = 8
MAX_NESTED = 4
"""Nesting depth of functions."""
_ANY_POINT = point("", 0)
_KEEP_BOUND = ("negate", "abs")
Logs = tuple[float, float]


def digits(difference: Node, at: Point, size: Callable[[Node], float]) -> int:
    """Return the number of digits after the point within which a nonzero difference must show.

    size: returns the magnitude of a part that has no bound. Raises Refused for more than MAX_DIGITS digits, and for too
    many roots or functions.
    """
    functions = {node for node in difference.walk() if _is_function(node)}
    if len(functions) > MAX_FUNCTIONS or _nested(difference) > MAX_NESTED:
        raise Refused("too many functions to distinguish the values")
    bound = _Bound(at, size)
    upper, lower = bound(difference)
    if sum(map(math.log2, bound.degrees.values())) > MAX_DOUBLINGS:
        raise Refused("too many roots to distinguish the values")
    needed = (math.prod(bound.degrees.values()) - 1) * max(upper, 0.0) + max(lower, 0.0)
    if not needed <= MAX_DIGITS:
        raise Refused("too many roots, or too large ones, to distinguish the values")
    return math.ceil(needed) + MARGIN


def is_algebraic(node: Node) -> bool:
    """Test for an algebraic expression without functions, pi or e."""
    return not any(_is_function(part) or part.value in ("e", "\\pi", "\\infty") for part in node.walk())


def _is_function(node: Node) -> bool:
    if node.op == "power":
        return bool(node.args[1].symbols()) or _rational(node.args[1], _ANY_POINT) is None
    return bool(node.args) and node.op not in (
        "add",
        "multiply",
        "divide",
        "root",
        "factorial",
        "binomial",
        *_KEEP_BOUND,
    )


def _nested(node: Node) -> int:
    return max(map(_nested, node.args), default=0) + _is_function(node)


def _rational(node: Node, at: Point) -> Fraction | None:
    """Return the value at the point if it is rational and without constants, else None."""
    if node.symbols() & CONSTANTS:
        return None
    try:
        return exact(node, lambda symbol: sample(at, symbol))
    except Inexact:
        return None


@dataclass
class _Bound:
    """Bounds (log10 u, log10 l) of a node. degrees: the degrees of the distinct roots so far, by skeleton."""

    at: Point
    size: Callable[[Node], float]
    degrees: dict[str, int] = field(default_factory=dict)

    def __call__(self, node: Node) -> Logs:
        value = _rational(node, self.at)
        if value is not None:
            return _log(value.numerator), _log(value.denominator)
        if node.value == "i":
            self.degrees["i"] = 2
            return 0.0, 0.0
        if node.op == "symbol" or _is_function(node):
            return max(0.0, math.log10(self.size(node))), 0.0
        if node.op == "power":
            return self._power(node, self(node.args[0]), _rational(node.args[1], self.at))
        if node.op == "root":
            degree = _rational(node.args[0], self.at)
            return self._power(node, self(node.args[1]), 1 / degree if degree else None)
        parts = [self(arg) for arg in (_gathered(node, self.at) if node.op == "add" else node.args)]
        if node.op == "abs" and "i" in node.symbols():
            self.degrees[skeleton(node)] = 4  # |z| is the root of z times its conjugate, whose roots are separate
        return parts[0] if node.op in _KEEP_BOUND else _RULES[node.op](*parts)

    def _power(self, node: Node, inner: Logs, exponent: Fraction | None) -> Logs:
        if not exponent:
            raise Refused("a root that can't be bounded")
        power, degree = exponent.numerator, exponent.denominator
        self.degrees[skeleton(node)] = degree
        upper, lower = (power * part for part in (inner if power > 0 else inner[::-1]))
        upper, lower = abs(upper), abs(lower)
        if upper >= lower:
            return (upper + (degree - 1) * lower) / degree, lower
        return upper, ((degree - 1) * upper + lower) / degree


def _gathered(total: Node, at: Point) -> list[Node]:
    """Return the terms of a sum with the rational ones added up, so that their denominators count once."""
    values = [(term, _rational(term, at)) for term in flat(total, "add")]
    rational = [value for _, value in values if value is not None]
    return [
        *(term for term, value in values if value is None),
        *([number(sum(rational, Fraction()))] if rational else []),
    ]


def _log(value: int) -> float:
    """log10 of the magnitude; 0 for 0, which adds nothing."""
    return math.log10(abs(value)) if value else 0.0


def _sum(*parts: Logs) -> Logs:
    lower = sum(part[1] for part in parts)
    return max(upper - part_lower + lower for upper, part_lower in parts) + math.log10(len(parts)), lower


def _product(*parts: Logs) -> Logs:
    return sum(part[0] for part in parts), sum(part[1] for part in parts)


def _quotient(above: Logs, below: Logs) -> Logs:
    return above[0] + below[1], above[1] + below[0]


_RULES: dict[str, Callable[..., Logs]] = {"add": _sum, "multiply": _product, "divide": _quotient}
