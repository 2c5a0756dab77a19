"""Is an answer the gold one: by string, by exact value, by structure; what is left is for computer algebra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from rlvrscope.verify.decision import Decision, Refused, Unreadable, no_unless
from rlvrscope.verify.math.content import (
    Based,
    Clock,
    Content,
    Items,
    Labelled,
    Named,
    Opaque,
    Reading,
    Relation,
    Value,
    Words,
)
from rlvrscope.verify.math.expression_value import TRIALS, Approximate, Inexact, Point, exact, point
from rlvrscope.verify.math.normalise import FLIPPED, alike, is_solved, said, same_letters
from rlvrscope.verify.math.tree import Node, literal, skeleton
from rlvrscope.verify.math.units import asked_for, is_known

TOLERANCE = 1e-9
"""Of a difference in double precision, against the largest number on the way; past it two values differ."""


def decide(gold: Reading, answer: Reading, prompt: str = "") -> Decision:
    """Compare two readings. prompt: the question; a unit that only the answer has must be asked for there.

    Raises Refused for an answer that lists candidates or is too large to evaluate.
    """
    if _closed_up(gold.text) == _closed_up(answer.text):  # 1,100 may be 1, 100: of numbers in another order it is not
        return Decision(True, "string")
    if isinstance(answer.content, Opaque) and not isinstance(gold.content, Opaque | Words):
        return Decision(False, "string", f"not read as mathematics: {answer.content.why}")
    letters = same_letters(gold, answer)
    if letters is not None:
        return no_unless(letters, "string", "other letters")
    _refuse_candidates(gold.content, answer.content)
    key = f"{gold.text}\x1f{answer.text}"
    try:
        return _Comparison(key, prompt).contents(gold.content, answer.content)
    except Unreadable as error:
        return Decision(False, "string", str(error))


def _closed_up(text: str) -> str:
    return text.replace(", ", ",")


def _refuse_candidates(gold: Content, answer: Content) -> None:
    offered = len(answer.parts) if isinstance(answer, Items) and not answer.ordered else 1
    asked = max(1, len(gold.parts)) if isinstance(gold, Items) else 1
    if offered > asked:
        raise Refused(f"{offered} answers where {'one is' if asked == 1 else f'{asked} are'} asked for")


@dataclass(frozen=True)
class _Comparison:
    key: str
    prompt: str
    known: dict[tuple[str, Node], Any] = field(default_factory=dict)
    """Values of nodes at the points: each is worked out once, though a list compares all parts with all."""

    def contents(self, gold: Content, answer: Content) -> Decision:
        gold, answer = alike(gold, answer, self.prompt)
        if isinstance(gold, Words) or isinstance(answer, Words):
            return no_unless(said(gold) == said(answer) != "", "string", "other words")
        if type(gold) is not type(answer):
            return Decision(False, "structure", f"{_kind(answer)} where {_kind(gold)} is asked for")
        return _BY_KIND[type(gold)](self, gold, answer)

    def opaque(self, gold: Opaque, answer: Opaque) -> Decision:
        return no_unless(gold.text == answer.text, "string", "not the same string")

    def based(self, gold: Based, answer: Based) -> Decision:
        return no_unless(gold == answer, "exact", "other digits, or another base")

    def clocks(self, gold: Clock, answer: Clock) -> Decision:
        return no_unless(gold == answer, "exact", "another time")

    def named(self, gold: Named, answer: Named) -> Decision:
        if gold.name != answer.name:
            return Decision(False, "structure", "another name")
        return self.contents(gold.content, answer.content)

    def labelled(self, gold: Labelled, answer: Labelled) -> Decision:
        return Decision(False, "structure", f"{answer.letter} where {gold.letter} is asked for")

    def values(self, gold: Value, answer: Value) -> Decision:
        if answer.unit != gold.unit and not self._may_differ(gold.unit, answer.unit):
            return Decision(False, "structure", f"in {answer.unit or 'no unit'!r}, which is not asked for")
        decision = self.nodes(gold.node, answer.node)
        if decision.equal is False and gold.unit == "%" and not answer.unit:
            return self.nodes(_hundredth(gold.node), answer.node)
        return decision

    def _may_differ(self, gold: str, answer: str) -> bool:
        """Where one of them has no unit: what the gold answer has can be left out, if it is one and no other word."""
        if gold:
            return not answer and (is_known(gold) or asked_for(gold, self.prompt))
        return answer != "%" and asked_for(answer, self.prompt)

    def nodes(self, gold: Node, answer: Node) -> Decision:
        if gold == answer:
            return Decision(True, "exact")
        values = literal(gold), literal(answer)
        if None not in values:
            return no_unless(values[0] == values[1], "exact", "another value")
        wanted, given = self._exact(gold), self._exact(answer)
        if wanted is not None and given is not None:
            return no_unless(wanted == given, "identity" if gold.symbols() else "exact", "another value")
        if self._known("skeleton", gold, skeleton) == self._known("skeleton", answer, skeleton):
            return Decision(True, "exact")
        return self._approximately(gold, answer)

    def points(self) -> list[Point]:
        return [point(self.key, trial) for trial in range(TRIALS)]

    def _known(self, what: str, node: Node, work_out: Callable[[Node], Any]) -> Any:
        if (what, node) not in self.known:
            self.known[what, node] = work_out(node)
        return self.known[what, node]

    def _exact(self, node: Node) -> list[Fraction] | None:
        def values(node: Node) -> list[Fraction] | None:
            try:
                return [exact(node, at) for at in self.points()]
            except Inexact:
                return None

        return self._known("exact", node, values)

    def _doubles(self, node: Node) -> list[tuple[complex, float]]:
        """(value, the largest on the way) at each point."""
        return self._known(
            "doubles", node, lambda node: [(value(node), value.largest) for value in map(Approximate, self.points())]
        )

    def _approximately(self, gold: Node, answer: Node) -> Decision:
        for (wanted, size), (given, other) in zip(self._doubles(gold), self._doubles(answer), strict=True):
            if not abs(wanted - given) <= TOLERANCE * max(size, other):
                return Decision(False, "numeric", "another value")
        return Decision(None, "symbolic", pairs=((gold, answer),), key=self.key)

    def relations(self, gold: Relation, answer: Relation) -> Decision:
        if gold.sign == FLIPPED.get(answer.sign) and gold.sign != answer.sign:
            answer = Relation(gold.sign, answer.right, answer.left)
        if gold.sign != answer.sign:
            return Decision(False, "structure", "another relation")
        if is_solved(gold) and not is_solved(answer):
            return Decision(False, "structure", "an equation where its solution is asked for")
        sides = self.nodes(gold.left, answer.left), self.nodes(gold.right, answer.right)
        if any(side.equal is False for side in sides):
            return self._multiples(gold, answer)
        return _together(sides)

    def _multiples(self, gold: Relation, answer: Relation) -> Decision:
        """Whether left - right of one is a constant multiple of the other's; a positive one for inequalities."""
        try:
            first, second = (_difference(gold, at) / _difference(answer, at) for at in self.points())
        except (Inexact, ZeroDivisionError):
            return Decision(False, "structure", "another equation")
        same = first == second != 0 and (first > 0 or gold.sign in ("=", "\\ne"))
        return no_unless(same, "identity", "another equation")

    def items(self, gold: Items, answer: Items) -> Decision:
        if _brackets(gold) != _brackets(answer):
            return Decision(False, "structure", "other brackets")
        if len(gold.parts) != len(answer.parts):
            return Decision(False, "structure", f"{len(answer.parts)} parts where {len(gold.parts)} are asked for")
        if gold.variable and answer.variable and gold.variable != answer.variable:
            return Decision(False, "structure", "another variable")
        if gold.ordered:
            return _together([self.contents(g, a) for g, a in zip(gold.parts, answer.parts, strict=True)])
        return self._any_order(gold, answer)

    def _any_order(self, gold: Items, answer: Items) -> Decision:
        """Each part of the gold answer with a part of the other, one to one."""
        left, found = list(answer.parts), []
        for wanted in gold.parts:
            tried = [(self.contents(wanted, part), part) for part in left]
            best = next((pair for equal in (True, None) for pair in tried if pair[0].equal is equal), None)
            if best is None:
                return Decision(False, "structure", "a part that matches none")
            found.append(best[0])
            left.remove(best[1])
        return _together(found)


_BY_KIND: dict[type, Callable[[_Comparison, object, object], Decision]] = {
    Value: _Comparison.values, Based: _Comparison.based, Opaque: _Comparison.opaque,
    Relation: _Comparison.relations, Items: _Comparison.items, Clock: _Comparison.clocks, Named: _Comparison.named,
    Labelled: _Comparison.labelled,
}  # fmt: skip  # pyright: ignore[reportAssignmentType]
_NAMES = {
    Value: "a value", Based: "digits in a base", Words: "words", Relation: "a relation", Opaque: "a string",
    Clock: "a time", Named: "an equation", Labelled: "an option",
}  # fmt: skip


def _together(decisions: list[Decision] | tuple[Decision, ...]) -> Decision:
    """All must hold."""
    for decision in decisions:
        if decision.equal is False:
            return decision
    open_ones = [decision for decision in decisions if decision.equal is None]
    if not open_ones:
        return Decision(True, "structure")
    pairs = tuple(pair for decision in open_ones for pair in decision.pairs)
    return Decision(None, "symbolic", pairs=pairs, key=open_ones[0].key)


def _kind(content: Content) -> str:
    if isinstance(content, Items):
        return {",": "a list", "{}": "a set"}.get(content.brackets, "a tuple, interval or matrix")
    return _NAMES[type(content)]


def _brackets(items: Items) -> str:
    return "{}" if items.brackets == "," else items.brackets


def _hundredth(node: Node) -> Node:
    return Node("divide", (node, Node("number", value=Fraction(100))))


def _difference(relation: Relation, at: Point) -> Fraction:
    return exact(relation.left, at) - exact(relation.right, at)
