"""Expression trees."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

CONSTANTS = {"\\pi", "e", "i", "\\infty"}
"""Symbols that are not variables."""


class Node(NamedTuple):
    """One operation with its arguments.

    op: number, symbol, add, multiply, divide, negate, power, root (n, x), abs, floor, ceil, factorial, binomial,
    log (base, x), or the name of a function. value: the value of a number, the name of a symbol.
    """

    op: str
    args: tuple[Node, ...] = ()
    value: Fraction | str = ""

    def symbols(self) -> set[str]:
        return {str(node.value) for node in self.walk() if node.op == "symbol"}

    def variables(self) -> set[str]:
        return self.symbols() - CONSTANTS

    def walk(self) -> Iterator[Node]:
        """Yield this node and all nodes below it."""
        yield self
        for arg in self.args:
            yield from arg.walk()


def number(value: Fraction | int) -> Node:
    return Node("number", value=Fraction(value))


def literal(node: Node) -> Fraction | None:
    """Return the value of a plain number (an integer, a decimal, a fraction of those, signed); else None."""
    if node.op == "number":
        return Fraction(node.value)
    if node.op == "negate" and node.args[0].op != "negate":
        inner = literal(node.args[0])
        return None if inner is None else -inner
    if node.op == "divide" and all(part.op in ("number", "negate") for part in node.args):
        above, below = map(literal, node.args)
        return None if above is None or not below else above / below
    return None


def flat(node: Node, op: str) -> Iterator[Node]:
    """Yield the terms of nested sums, or the factors of nested products."""
    for arg in node.args:
        yield from flat(arg, op) if arg.op == op else (arg,)


def skeleton(node: Node) -> str:
    r"""Return a text that ignores order and spelling: one for 17*23 and 23 \cdot 17, \sqrt{72} and 72^{1/2}."""
    if node.op == "symbol":
        return str(node.value)
    if node.op == "add":
        terms = sorted(text for text in map(skeleton, flat(node, "add")) if text != "0")
        return f"({'+'.join(terms)})" if len(terms) > 1 else (terms or ["0"])[0]
    if node.op == "root":
        degree, inner = node.args
        if inner.op == "power" and _is_odd(degree) and _is_whole(inner.args[1]):
            return skeleton(Node("power", (inner.args[0], Node("divide", (inner.args[1], degree)))))
        return skeleton(Node("power", (inner, Node("divide", (number(1), degree)))))
    if node.op == "power":
        if literal(node.args[1]) == 1:
            return skeleton(node.args[0])
        return f"({'^'.join(map(skeleton, node.args))})"
    if node.op in ("number", "multiply", "divide", "negate"):
        factors = list(factors_of(node))
        minus = ["-1"] if factors.count("-1") % 2 else []
        factors = minus + sorted(factor for factor in factors if factor not in ("1", "-1"))
        return f"({'*'.join(factors)})" if len(factors) > 1 else (factors or ["1"])[0]
    return f"{node.op}({','.join(map(skeleton, node.args))})"


def _is_whole(node: Node) -> bool:
    value = literal(node)
    return value is not None and value.denominator == 1


def _is_odd(node: Node) -> bool:
    r"""Test for an odd degree: of even ones, \sqrt{x^2} is |x|, not a power of x."""
    return _is_whole(node) and bool((literal(node) or 0) % 2)


def factors_of(node: Node, inverse: bool = False) -> Iterator[str]:
    """Yield the skeletons of the factors, and "-1" for each minus."""
    if node.op == "number" and Fraction(node.value) < 0:
        yield "-1"
        node = number(-Fraction(node.value))
    if node.op == "negate":
        yield "-1"
        yield from factors_of(node.args[0], inverse)
    elif node.op == "multiply":
        for arg in node.args:
            yield from factors_of(arg, inverse)
    elif node.op == "divide":
        yield from factors_of(node.args[0], inverse)
        yield from factors_of(node.args[1], not inverse)
    else:
        text = str(node.value) if node.op == "number" else skeleton(node)
        yield f"({text}^-1)" if inverse and text != "1" else text


def packed(node: Node) -> list[Any]:
    """Return the tree as lists and strings, for JSON."""
    return [node.op, [packed(arg) for arg in node.args], str(node.value)]


def unpacked(lists: list[Any]) -> Node:
    op, args, value = lists
    return Node(op, tuple(map(unpacked, args)), Fraction(value) if op == "number" else value)
