r"""How many digits tell two values apart, for certain where they are algebraic.

The bound of Burnikel, Funke, Mehlhorn, Schirra and Schmitt (A separation bound for real algebraic expressions, ESA
2001): an expression of integers with + - * / and roots that is not zero is at least 1 / (u^(D-1) l) in size, where D is
the product of its roots' degrees, and u and l bound every conjugate of numerator and denominator:

    integer N   u = |N|               l = 1            a / b       u = u_a l_b          l = l_a u_b
    a + b       u = u_a l_b + l_a u_b l = l_a l_b      k-th root   u = (u l^(k-1))^(1/k), l = l   if u >= l, else
    a b         u = u_a u_b           l = l_a l_b                  u = u, l = (u^(k-1) l)^(1/k)

Logarithms, sines and irrational powers have no such bound. They count as integers of their size here, and may be few
and hardly nested: then values that agree to so many digits, and MARGIN more, are equal by any chance there is.
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
"""Functions in one another."""
_NOWHERE = point("", 0)
_SAME = ("negate", "abs")
Logs = tuple[float, float]


def digits(difference: Node, at: Point, size: Callable[[Node], float]) -> int:
    """Digits after the point, beyond which a difference that is not zero can't begin.

    size: of a part's value, for what has no bound. Raises Refused where they are more than MAX_DIGITS, or there are
    more functions than can be told apart.
    """
    functions = {node for node in difference.walk() if _is_function(node)}
    if len(functions) > MAX_FUNCTIONS or _nested(difference) > MAX_NESTED:
        raise Refused("more functions than can be told apart")
    bound = _Bound(at, size)
    upper, lower = bound(difference)
    if sum(map(math.log2, bound.degrees.values())) > MAX_DOUBLINGS:
        raise Refused("more roots than can be told apart")
    needed = (math.prod(bound.degrees.values()) - 1) * max(upper, 0.0) + max(lower, 0.0)
    if not needed <= MAX_DIGITS:
        raise Refused("more roots, or larger ones, than can be told apart")
    return math.ceil(needed) + MARGIN


def is_algebraic(node: Node) -> bool:
    """Whether its value is, and no function, pi or e is on the way to it."""
    return not any(_is_function(part) or part.value in ("e", "\\pi", "\\infty") for part in node.walk())


def _is_function(node: Node) -> bool:
    if node.op == "power":
        return bool(node.args[1].symbols()) or _rational(node.args[1], _NOWHERE) is None
    return bool(node.args) and node.op not in ("add", "multiply", "divide", "root", "factorial", "binomial", *_SAME)


def _nested(node: Node) -> int:
    return max(map(_nested, node.args), default=0) + _is_function(node)


def _rational(node: Node, at: Point) -> Fraction | None:
    """The value at the point, if there is a rational one and no constant is in it."""
    if node.symbols() & CONSTANTS:
        return None
    try:
        return exact(node, lambda symbol: sample(at, symbol))
    except Inexact:
        return None


@dataclass
class _Bound:
    """(log10 u, log10 l) of a node. degrees: of the different roots met so far."""

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
            self.degrees[skeleton(node)] = 4  # the root of its product with its conjugate, which has roots of its own
        return parts[0] if node.op in _SAME else _RULES[node.op](*parts)

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
    """The terms of a sum, the rational ones as one: their denominators count once."""
    values = [(term, _rational(term, at)) for term in flat(total, "add")]
    rational = [value for _, value in values if value is not None]
    return [
        *(term for term, value in values if value is None),
        *([number(sum(rational, Fraction()))] if rational else []),
    ]


def _log(value: int) -> float:
    """Of 0, as of 1: it adds nothing."""
    return math.log10(abs(value)) if value else 0.0


def _sum(*parts: Logs) -> Logs:
    lower = sum(part[1] for part in parts)
    return max(upper - own + lower for upper, own in parts) + math.log10(len(parts)), lower


def _product(*parts: Logs) -> Logs:
    return sum(part[0] for part in parts), sum(part[1] for part in parts)


def _quotient(above: Logs, below: Logs) -> Logs:
    return above[0] + below[1], above[1] + below[0]


_RULES: dict[str, Callable[..., Logs]] = {"add": _sum, "multiply": _product, "divide": _quotient}
