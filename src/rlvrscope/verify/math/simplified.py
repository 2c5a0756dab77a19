r"""The shape of an expression: like terms, powers of one base, products of sums."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import gcd

from rlvrscope.verify.math.tree import Node, factors_of, flat, literal, skeleton

_NUMERIC = re.compile(r"-1|[0-9/]+|\([0-9/]+\^-1\)")
_EXPAND = re.compile(r"\b(?:expand|multipl(?:y|ied))")
_FACTOR = re.compile(r"\bfactor")
_SIMPLIFY = re.compile(r"simplif|simplest|\breduce\b|reduced (?:form|fraction)|lowest terms|rationaliz")
_DECIMAL = re.compile(r"\b(?:as|to) an? (?:\w+ )?decimal\b|\bin decimal (?:form|notation)")
MAX_PROMPT = 4_000
MAX_FACTOR = 1_000
"""Up to which factors of a radicand are looked for."""


def has_like_parts(node: Node) -> bool:
    r"""Whether terms or factors of it could be put together: 2x+x, \sqrt{2}\sqrt{2}, \frac{x}{x^2}."""
    if node.op == "add":
        found = [_without_numbers(term) for term in flat(node, "add")]
    elif node.op in ("multiply", "divide"):
        found = list(_bases(node))
    else:
        return False
    return any(count > 1 for part, count in Counter(found).items() if part)


def is_in_another_form(gold: Node, answer: Node, prompt: str) -> bool:
    """Whether the question says to expand, and only the gold answer is; or to factor, and it has more factors.

    Or to simplify, and a fraction is not in lowest terms or a radical holds a power; or to write a decimal.
    """
    asked = prompt[-MAX_PROMPT:].lower()
    if _SIMPLIFY.search(asked) and _any_part(_is_reducible, answer) and not _any_part(_is_reducible, gold):
        return True
    if _DECIMAL.search(asked) and _any_part(_is_fraction, answer) and not _any_part(_is_fraction, gold):
        return True
    if _EXPAND.search(asked) and _has_product_of_sums(answer) and not _has_product_of_sums(gold):
        return True
    return bool(_FACTOR.search(asked)) and _sums_in_product(answer) < _sums_in_product(gold)


def _any_part(condition: Callable[[Node], bool], node: Node) -> bool:
    return any(map(condition, node.walk()))


def _is_fraction(node: Node) -> bool:
    return node.op == "divide" and literal(node) is not None


def _is_reducible(node: Node) -> bool:
    r"""\frac{6}{8}, \sqrt{8}, 72^{1/2}."""
    if node.op == "divide":
        parts = [literal(part) for part in node.args]
        whole = [int(part) for part in parts if part is not None and part.denominator == 1]
        return len(whole) == 2 and gcd(*whole) > 1
    if node.op == "root":
        return _holds_a_power(literal(node.args[1]), literal(node.args[0]))
    exponent = literal(node.args[1]) if node.op == "power" else None
    return exponent is not None and _holds_a_power(literal(node.args[0]), Fraction(exponent.denominator))


def _holds_a_power(radicand: Fraction | None, degree: Fraction | None) -> bool:
    """Of an integer from 2 on; degree: 2 for squares."""
    if radicand is None or degree is None or radicand.denominator > 1 or degree.denominator > 1:
        return False
    value, n = abs(int(radicand)), int(degree)
    if not 2 <= n <= value.bit_length():
        return False
    return any(value % factor**n == 0 for factor in range(2, MAX_FACTOR) if factor**n <= value)


def _without_numbers(term: Node) -> str:
    return "*".join(sorted(factor for factor in factors_of(term) if not _NUMERIC.fullmatch(factor)))


def _bases(node: Node) -> Iterator[str]:
    """Of its factors, above and below; numbers have none."""
    if node.op in ("multiply", "divide", "negate"):
        for arg in node.args:
            yield from _bases(arg)
    elif literal(node) is None:
        powered = node.op == "power" and literal(node.args[1]) is not None
        yield skeleton(node.args[0] if powered else node)


def _has_product_of_sums(node: Node) -> bool:
    return any(_sums_in_product(part) for part in node.walk())


def _sums_in_product(node: Node) -> int:
    """Factors that are sums with variables, each as often as its power says; 0 for what is no product."""
    if node.op in ("multiply", "negate"):
        return sum(_sums_in_product(arg) + _is_sum(arg) for arg in node.args)
    power = literal(node.args[1]) if node.op == "power" else None
    if power is not None and power >= 1 and power.denominator == 1 and _is_sum(node.args[0]):
        return int(power)
    return 0


def _is_sum(node: Node) -> bool:
    return node.op == "add" and bool(node.variables())
