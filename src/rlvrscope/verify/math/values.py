r"""Comparison of rational expressions: their exact values at points drawn by a hash of both.

Two different rational functions agree at two points, drawn from 2^31 integers per symbol, with a probability below
(degree / 2^31)^2 (Schwartz-Zippel), and no answer can be crafted for points that depend on it. pi, e and infinity are
symbols like any other.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

from rlvrscope.verify.decision import NeedsAlgebra, Refused, Unreadable
from rlvrscope.verify.math.expression import Node, literal

MAX_BITS = 4_000
"""Size of an exact intermediate value; larger ones would block the calling process."""
TRIALS = 2
"""Points at which two expressions are compared."""


def coordinate(key: str, trial: int, symbol: str) -> int:
    """Return a whole number from 1 to 2^31 for a symbol, by a hash of the key."""
    digest = hashlib.blake2b(f"{key}\x1f{trial}\x1f{symbol}".encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 2**31 + 1


def are_equal(gold: Node, answer: Node, key: str) -> bool:
    """Test whether two rational expressions are equal. Raises NeedsAlgebra for others; Refused and Unreadable."""
    return skeleton(gold) == skeleton(answer) or all(
        value_of(gold, key, trial) == value_of(answer, key, trial) for trial in range(TRIALS)
    )


def value_of(node: Node, key: str = "", trial: int = 0) -> Fraction:
    """Return the exact value at a point.

    Raises NeedsAlgebra for roots, factorials and other powers; Refused for values past MAX_BITS; Unreadable for an
    undefined one (1/0, 0^0).
    """
    if node.op == "number":
        return Fraction(node.value)
    if node.op == "symbol" and node.value != "i":
        return Fraction(coordinate(key, trial, str(node.value)))
    if node.op == "power":
        exponent = literal(node.args[1])
        if exponent is None and not node.args[1].symbols():
            exponent = value_of(node.args[1])
        if exponent is None or exponent.denominator > 1:
            raise NeedsAlgebra
        return _power(value_of(node.args[0], key, trial), int(exponent))
    if node.op not in (*_OPERATIONS, "negate"):
        raise NeedsAlgebra
    values = [value_of(arg, key, trial) for arg in node.args]
    if node.op == "negate":
        return -values[0]
    return functools.reduce(lambda left, right: _bounded(_OPERATIONS[node.op](left, right)), values)


def _power(base: Fraction, exponent: int) -> Fraction:
    if not base and exponent <= 0:
        raise Unreadable("zero to a power of zero or less")
    if (max(abs(base.numerator), base.denominator).bit_length() - 1) * abs(exponent) > MAX_BITS:
        raise Refused("a power that is too large")
    return base**exponent if abs(base) != 1 else Fraction(base if exponent % 2 else 1)


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise Refused("a number that is too large")
    return value


def _divide(above: Fraction, below: Fraction) -> Fraction:
    if not below:
        raise Unreadable("a division by zero")
    return above / below


_OPERATIONS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "add": lambda left, right: left + right, "multiply": lambda left, right: left * right, "divide": _divide,
}  # fmt: skip


def skeleton(node: Node) -> str:
    r"""Return a text that ignores order and spelling: one for 17*23 and 23 \cdot 17, \sqrt{72} and 72^{1/2}."""
    if node.op in ("symbol", "raw"):
        return str(node.value) if node.op == "symbol" else re.sub(r"[\s{}]", "", str(node.value))
    if node.op == "add":
        terms = sorted(text for text in map(skeleton, node.args) if text != "0")
        return f"({'+'.join(terms)})" if len(terms) > 1 else (terms or ["0"])[0]
    if node.op not in ("number", "multiply", "divide", "negate", "power", "root"):
        return f"{node.op}{node.value}({','.join(map(skeleton, node.args))})"
    factors = _factors(node)
    sign = "-" if factors.pop("-1", 0) % 2 else ""
    texts = sorted(text if power > 0 else f"{text}^-1" for text, power in factors.items() for _ in range(abs(power)))
    return f"{sign}({'*'.join(texts)})" if len(texts) > 1 else sign + (texts or ["1"])[0]


def _factors(node: Node) -> Counter[str]:
    """Return how often each factor occurs, negative below the line; numbers are not multiplied out."""
    if node.op == "number":
        value = Fraction(node.value)
        return Counter({"-1": int(value < 0), str(abs(value)): int(abs(value) != 1)})
    if node.op in ("multiply", "negate"):
        total = Counter({"-1": int(node.op == "negate")})
        for arg in node.args:
            total.update(_factors(arg))
        return total
    if node.op == "divide":
        total = _factors(node.args[0])
        total.subtract(_factors(node.args[1]))
        return total
    if node.op not in ("power", "root"):
        return Counter([skeleton(node)])
    base, exponent = base_and_exponent(node)
    if exponent is not None and exponent in range(1, 10) and (literal(base) is None or exponent == 1):
        return Counter({text: power * int(exponent) for text, power in _factors(base).items()})
    return Counter([f"({skeleton(base)}^{skeleton(node.args[1]) if exponent is None else exponent})"])


def base_and_exponent(node: Node) -> tuple[Node, Fraction | None]:
    """Return the base of a power or root, with the exponent if it is a number."""
    if node.op == "power":
        return node.args[0], literal(node.args[1])
    degree = literal(node.args[0])
    return node.args[1], 1 / degree if degree else None
