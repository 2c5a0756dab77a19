"""Reads a gold answer: what is broken is found; what is not read, or past our limits, is a string to be matched."""

from __future__ import annotations

import re
from functools import lru_cache

from rlvrscope.verify.decision import Broken, Refused, Unreadable
from rlvrscope.verify.math.content import Content, Opaque, Reading, nodes_of
from rlvrscope.verify.math.evaluate import Approximate, Inexact, exact, point
from rlvrscope.verify.math.latex import canonical
from rlvrscope.verify.math.reading import read
from rlvrscope.verify.math.tree import Node

_TEXT = re.compile(r"\\text\{[^{}]*\}")
_BRACKET = re.compile(r"\\[{}]|[()\[\]]")
_EMPTY = re.compile(r"\\(?:sqrt|frac) ?\{ ?\}")


@lru_cache(maxsize=4096)
def read_gold(text: str) -> Reading:
    """As `read`, and once for all its answers. Past the limits, as 1000! is, it is equal to the same string only.

    Raises Refused for what no answer may be: refused characters, too long or too deep.
    """
    spelled = canonical(text)
    try:
        _check_whole(spelled)
        reading = read(text)
        _check_values(reading.content)
    except (Refused, Unreadable) as error:
        return Reading(spelled, Opaque(spelled, str(error), isinstance(error, Broken)))
    return reading


def _check_whole(text: str) -> None:
    """Raises Broken for odd brackets: half-open intervals have two, a system of equations may have only its first."""
    if len(_BRACKET.findall(_TEXT.sub("", text))) % 2 and "\\begin" not in text:
        raise Broken("brackets that do not close")
    if _EMPTY.search(text):
        raise Broken("something is missing")


def _check_values(content: Content) -> None:
    """Raises Broken for a division by zero, and Refused for numbers past the limits."""
    for node in nodes_of(content):
        if not node.symbols():
            _evaluate(node)


def _evaluate(node: Node) -> None:
    at = point("gold", 0)
    try:
        try:
            exact(node, at)
        except Inexact:
            Approximate(at)(node)
    except Broken:
        raise
    except Unreadable:
        pass  # the floor of x has no value that we know: it is compared as a string
