"""Names of values: x = 5, \\angle ABC = 30, (x, y) = (3, 4); and names and expressions in the question."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from rlvrscope.verify.decision import Refused, Unreadable
from rlvrscope.verify.math.expression import CONSTANTS, Node, literal, parse
from rlvrscope.verify.math.latex import GREEK, canonical
from rlvrscope.verify.math.units import MAX_PROMPT_CHARACTERS
from rlvrscope.verify.math.values import skeleton

_MAX_PIECES = 100
_FORMULA = re.compile(r"\$([^$]+)\$")
_DELIMITER = re.compile(r"\\[()\[\]]")
_PROSE = re.compile(r"(?:[-+*/^=().,0-9! ]|\\[a-z]+|(?<![A-Za-z])[a-z](?![A-Za-z])|[{}])+")
_SIGNS = re.compile(r"\\(?:le|ge|ne|lt|gt)(?![a-z])|[=<>,;]|\\text\{[^{}]*\}")
_NAME = re.compile(
    rf"(?:\\(?:{'|'.join(GREEK)})|[A-Za-z]+)(?:_[A-Za-z0-9]|_\{{[A-Za-z0-9]{{1,9}}\}})?'?"
    r"|m?\\(?:angle|overline|triangle|vec) ?[A-Za-z]+|\|[A-Z]{2}\|"
    r"|[A-Za-z](?:\^\{-1\})?(?:_[A-Za-z0-9])?\([^()=]{1,20}\)|\\text\{[A-Za-z ]{1,30}\}|[A-Za-z]\^\\circ|[A-Z]{2}"
)
_TUPLE = re.compile(r"\(([^()]{1,60},[^()]{1,60})\)")
_DECORATION = re.compile(r"\\left|\\right|\\displaystyle|\\[,;:! ]|[\s${}]|(?<=\\)[dt](?=frac)")

_USUAL_WORDS = re.compile(
    r"(?:the|answer|final|result|total|sum|difference|product|number|value|area|perimeter|circumference|volume|length"
    r"|width|height|distance|radius|diameter|slope|angle|side|time|speed|rate|cost|price|age|average|mean|median|mode"
    r"|range|ratio|percent(?:age)?|probability|min(?:imum)?|max(?:imum)?|gcd|lcm|remainder|of|and|for|with|in)\b"
)
Values = dict[str, Node]


def is_name(side: Node) -> bool:
    r"""Test whether the left side of an equation is a name for the right side: y, f(x), AB, \angle ABC."""
    side = side.args[0] if side.op == "quantity" else side  # x^\circ
    if side.op == "symbol":
        return str(side.value) not in CONSTANTS
    if side.op in ("text", "raw"):
        return bool(_NAME.fullmatch(str(side.value).replace("^\\circ ", "^\\circ")))
    letters = side.args if side.op == "multiply" else ()
    return len(letters) == 2 and all(part.op == "symbol" and str(part.value).isupper() for part in letters)


def has_known_words(name: Node, prompt: str) -> bool:
    """Test whether the words of a name are usual ones or the question's: "twice the area" names nothing."""
    words = re.findall("[a-z]{3,}", str(name.value).removeprefix("\\text").lower()) if name.op == "text" else []
    known = set(re.findall("[a-z]{3,}", prompt[-MAX_PROMPT_CHARACTERS:].lower())) - {"not", "but"}
    return all(word in known or _USUAL_WORDS.match(word) for word in words)


def in_one_order(gold: Node, answer: Node, prompt: str) -> tuple[Node, Node]:
    """Return both as points if one names its values: in the order of the names in the question, else alphabetical.

    A bare list, and a bare point where the gold answer is (y, x) = (4, 3), must be in the gold answer's order.
    """
    gold_values, values = _values_by_name(gold), _values_by_name(answer)
    if gold_values and values and set(gold_values) != set(values):
        return gold, answer
    is_bare_list = answer.op == "list" and not any(part.op == "relation" for part in answer.args)
    if gold_values and not values and (is_bare_list or gold.op == "relation"):
        return _point(gold_values, gold_values), Node("tuple", answer.args, "()") if is_bare_list else answer
    named = gold_values or values
    if named and (gold_values or gold.value == "()"):
        order = _order_of_names(named, prompt)
        gold = _point(gold_values, order) if gold_values else gold
        answer = _point(values, order) if values else answer
    return gold, answer


def _point(values: Values, order: Iterable[str]) -> Node:
    return Node("tuple", tuple(values[name] for name in order), "()")


def _values_by_name(node: Node) -> Values | None:
    """Return the values by name; None without names, or if a name, or a letter with two indices, occurs twice."""
    pairs: list[tuple[Node, Node]] = []
    if node.op == "relation" and node.value == "=" and node.args[0].op == node.args[1].op == "tuple":
        names, parts = (side.args for side in node.args)
        pairs = list(zip(names, parts, strict=True)) if len(names) == len(parts) else []
    elif node.op in ("list", "set") and all(part.op == "relation" and part.value == "=" for part in node.args):
        pairs = [(part.args[0], part.args[1]) for part in node.args]
        pairs = pairs if len({_text(name)[0] for name, _ in pairs}) > 1 else []
    values = {_text(name): part for name, part in pairs if is_name(name)}
    return values if 1 < len(values) == len(pairs) else None


def _text(name: Node) -> str:
    return str(name.value) or skeleton(name)


def _order_of_names(values: Values, prompt: str) -> list[str]:
    """Return the names in the order of the last tuple of them in the question, else in alphabetical order."""
    for inside in reversed(_TUPLE.findall(_DECORATION.sub("", prompt[-MAX_PROMPT_CHARACTERS:]))):
        if sorted(order := inside.split(",")) == sorted(values):
            return order
    return sorted(values, key=lambda name: (name.startswith("\\"), name))


def renamed(gold: Node, answer: Node) -> Node:
    """Rename the argument of a function: g(t) = 3t + 1 is g(x) = 3x + 1."""
    name, other = (re.fullmatch(r"([A-Za-z])\(([A-Za-z])\)", str(node.args[0].value)) for node in (gold, answer))
    if name is None or other is None or name[1] != other[1] or name[2] == other[2]:
        return answer

    def rename(node: Node) -> Node:
        value = {other[2]: name[2], name[2]: f"{name[2]}_0"}.get(str(node.value), node.value)
        return Node(node.op, tuple(map(rename, node.args)), value if node.op == "symbol" else node.value)

    return Node("relation", (gold.args[0], rename(answer.args[1])), answer.value)


def stands_alone(side: Node, prompt: str) -> bool:
    """Test whether the question has this expression, and not only as part of another one: m+n."""
    return bool(side.variables() or side.op in ("raw", "text")) and skeleton(side) in formulas(prompt).whole


class Formulas(NamedTuple):
    """Skeletons of whole formulas and sides of equations; also those of all their parts; the values of numbers."""

    whole: frozenset[str]
    parts: frozenset[str]
    numbers: frozenset[Fraction | None]


@lru_cache(maxsize=1024)
def formulas(prompt: str) -> Formulas:
    """Read formulas between dollar signs, and text outside that looks like one: as a whole, and side by side."""
    tail = _DELIMITER.sub("$", prompt[-MAX_PROMPT_CHARACTERS:])
    pieces = [*_FORMULA.findall(tail), *_PROSE.findall(_FORMULA.sub(" ; ", tail))]
    nodes = list[Node]()
    for piece in pieces[:_MAX_PIECES]:
        with contextlib.suppress(Refused):
            text = canonical(piece.strip(" .,"))
            nodes += [_formula(side.strip()) for side in (text, *_SIGNS.split(text))]
    parts = [part for node in nodes for part in node.walk() if part.op != "symbol"]
    return Formulas(frozenset(map(skeleton, nodes)), frozenset(map(skeleton, parts)), frozenset(map(literal, parts)))


def _formula(text: str) -> Node:
    try:
        return parse(text)
    except Unreadable:
        return Node("raw", value=text)
