"""What an answer can be: a value with its unit, words, several of them, a relation, or only a string."""

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
    """Text that is no mathematics: a name, a weekday."""

    text: str


@dataclass(frozen=True)
class Items:
    """Several: brackets is "," (a bare list), "{}" (a set), "()", "[)" and so on, "matrix", "row" or "union".

    variable: what lies in it, where the answer says so.
    """

    brackets: str
    parts: tuple[Content, ...]
    variable: str = ""

    @property
    def ordered(self) -> bool:
        return self.brackets not in (",", "{}", "union")


@dataclass(frozen=True)
class Relation:
    """left sign right: sign is =, <, >, \\le, \\ge or \\ne. name: the left side as it is written."""

    sign: str
    left: Node
    right: Node
    name: str = ""


@dataclass(frozen=True)
class Named:
    r"""name = content, where one of them is no expression: f^{-1}(x) = .., S = \{1, 2\}, x = 30^\circ."""

    name: str
    content: Content


@dataclass(frozen=True)
class Labelled:
    """The letter of an option, and what it says: (C) 24."""

    letter: str
    content: Content


@dataclass(frozen=True)
class Opaque:
    """Nothing that we read: equal to the same string only. why: what could not be read."""

    text: str
    why: str
    broken: bool = False


Content = Value | Based | Clock | Words | Items | Relation | Named | Labelled | Opaque


@dataclass(frozen=True)
class Reading:
    """An answer in its one spelling, and what it is."""

    text: str
    content: Content


def nodes_of(content: Content) -> Iterator[Node]:
    """Every expression in it, but not the names of values."""
    if isinstance(content, Value):
        yield content.node
    elif isinstance(content, Items):
        for part in content.parts:
            yield from nodes_of(part)
    elif isinstance(content, Named | Labelled):
        yield from nodes_of(content.content)
    elif isinstance(content, Relation):
        yield from (side for side in (content.left, content.right) if side.op != "symbol")
