"""Kinds of answers: a value with its unit, words, a list, a relation, or an unread string."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from rlvrscope.verify.math.tree import Node, literal


@dataclass(frozen=True)
class Value:
    """A number or an expression. unit: "" for none; "%" is percent."""

    node: Node
    unit: str = ""

    @property
    def literal(self) -> Fraction | None:
        return literal(self.node)


@dataclass(frozen=True)
class Based:
    """Digits in a base: 2516_8."""

    digits: str
    base: str


@dataclass(frozen=True)
class Clock:
    """A time of day. half: "am", "pm" or ""."""

    time: str
    half: str


@dataclass(frozen=True)
class Words:
    """Text that is not mathematics: a name, a weekday."""

    text: str


@dataclass(frozen=True)
class Items:
    """Several parts. brackets: "," (a bare list), "{}" (a set), "()", "[)" and so on, "matrix", "row" or "union".

    variable: the variable that is an element, if the answer names one.
    """

    brackets: str
    parts: tuple[Content, ...]
    variable: str = ""

    @property
    def ordered(self) -> bool:
        return self.brackets not in (",", "{}", "union")


@dataclass(frozen=True)
class Relation:
    """left sign right. sign: =, <, >, \\le, \\ge or \\ne. name: the left side as written."""

    sign: str
    left: Node
    right: Node
    name: str = ""


@dataclass(frozen=True)
class Named:
    r"""name = content, where one side is not an expression: f^{-1}(x) = .., S = \{1, 2\}, x = 30^\circ."""

    name: str
    content: Content


@dataclass(frozen=True)
class Labelled:
    """An option with its letter: (C) 24."""

    letter: str
    content: Content


@dataclass(frozen=True)
class Opaque:
    """An unread string, equal only to itself. why: the part that could not be read."""

    text: str
    why: str
    broken: bool = False


Content = Value | Based | Clock | Words | Items | Relation | Named | Labelled | Opaque


@dataclass(frozen=True)
class Reading:
    """An answer in canonical LaTeX, with its content."""

    text: str
    content: Content


def nodes_of(content: Content) -> Iterator[Node]:
    """Yield every expression in the content, except the names of values."""
    if isinstance(content, Value):
        yield content.node
    elif isinstance(content, Items):
        for part in content.parts:
            yield from nodes_of(part)
    elif isinstance(content, Named | Labelled):
        yield from nodes_of(content.content)
    elif isinstance(content, Relation):
        yield from (side for side in (content.left, content.right) if side.op != "symbol")
