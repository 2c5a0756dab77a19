"""Equality with the gold answer: by string, exact value or structure; the rest is left to computer algebra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from rlvrscope.verify.decision import Decision, Refused, Unreadable, decided
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
from rlvrscope.verify.math.normalise import FLIPPED, is_solved, normalised_pair, same_letters, word_of
from rlvrscope.verify.math.question import asks_for_percent
from rlvrscope.verify.math.tree import Node, literal, skeleton
from rlvrscope.verify.math.units import asked_for, is_known

TOLERANCE = 1e-9
"""Largest difference of equal values in double precision, relative to the largest intermediate value."""


def compare(gold: Reading, answer: Reading, prompt: str = "") -> Decision:
    """Compare two readings. prompt: the question; a unit that only the answer has must be asked for in it.

    Raises Refused for an answer that lists candidates or is too large to evaluate.
    """
    if _without_list_spaces(gold.text) == _without_list_spaces(answer.text):  # 1,100 may also be the list 1, 100
        return Decision(True, "string")
    if isinstance(answer.content, Opaque) and not isinstance(gold.content, Opaque | Words):
        return Decision(False, "string", f"not read as mathematics: {answer.content.why}")
    letters = same_letters(gold, answer)
    if letters is not None:
        return decided(letters, "string", "different letters")
    _refuse_candidates(gold.content, answer.content)
    key = f"{gold.text}\x1f{answer.text}"
    try:
        return _Comparison(key, prompt).contents(gold.content, answer.content)
    except Unreadable as error:
        return Decision(False, "string", str(error))


def _without_list_spaces(text: str) -> str:
    return text.replace(", ", ",")


def _refuse_candidates(gold: Content, answer: Content) -> None:
    num_answers = len(answer.parts) if isinstance(answer, Items) and not answer.ordered else 1
    num_gold = max(1, len(gold.parts)) if isinstance(gold, Items) else 1
    if num_answers > num_gold:
        raise Refused(f"{num_answers} answers where {'one is' if num_gold == 1 else f'{num_gold} are'} asked for")


@dataclass(frozen=True)
class _Comparison:
    key: str
    prompt: str
    cache: dict[tuple[str, Node], Any] = field(default_factory=dict)
    """Cache of node values at the points, because a list compares all parts with all."""

    def contents(self, gold: Content, answer: Content) -> Decision:
        gold, answer = normalised_pair(gold, answer, self.prompt)
        if isinstance(gold, Words) or isinstance(answer, Words):
            return decided(word_of(gold) == word_of(answer) != "", "string", "different words")
        if type(gold) is not type(answer):
            return Decision(False, "structure", f"{_kind(answer)} where {_kind(gold)} is expected")
        return _BY_KIND[type(gold)](self, gold, answer)

    def opaque(self, gold: Opaque, answer: Opaque) -> Decision:
        return decided(gold.text == answer.text, "string", "a different string")

    def based(self, gold: Based, answer: Based) -> Decision:
        return decided(gold == answer, "exact", "different digits or base")

    def clocks(self, gold: Clock, answer: Clock) -> Decision:
        return decided(gold == answer, "exact", "a different time")

    def named(self, gold: Named, answer: Named) -> Decision:
        if gold.name != answer.name:
            return Decision(False, "structure", "a different name")
        return self.contents(gold.content, answer.content)

    def labelled(self, gold: Labelled, answer: Labelled) -> Decision:
        return Decision(False, "structure", f"{answer.letter} where {gold.letter} is expected")

    def values(self, gold: Value, answer: Value) -> Decision:
        if answer.unit != gold.unit and not self._unit_is_optional(gold, answer.unit):
            return Decision(False, "structure", f"in {answer.unit or 'no unit'!r}, which is not asked for")
        decision = self.nodes(gold.node, answer.node)
        if decision.equal is False and gold.unit == "%" and not answer.unit:
            return self.nodes(_hundredth(gold.node), answer.node)
        return decision

    def _unit_is_optional(self, gold: Value, unit: str) -> bool:
        """Test whether a unit may be missing: a known one of the gold answer, or one that the question asks for.

        A gold answer below 1 may be a share, so that it can't be taken for percent.
        """
        if gold.unit:
            return not unit and (is_known(gold.unit) or asked_for(gold.unit, self.prompt))
        if unit == "%":
            return asks_for_percent(self.prompt) and not 0 < abs(gold.literal or 0) < 1
        return asked_for(unit, self.prompt)

    def nodes(self, gold: Node, answer: Node) -> Decision:
        if gold == answer:
            return Decision(True, "exact")
        literals = literal(gold), literal(answer)
        if None not in literals:
            return decided(literals[0] == literals[1], "exact", "a different value")
        gold_values, values = self._exact(gold), self._exact(answer)
        if gold_values is not None and values is not None:
            return decided(gold_values == values, "identity" if gold.symbols() else "exact", "a different value")
        if self._cached("skeleton", gold, skeleton) == self._cached("skeleton", answer, skeleton):
            return Decision(True, "exact")
        return self._approximately(gold, answer)

    def points(self) -> list[Point]:
        return [point(self.key, trial) for trial in range(TRIALS)]

    def _cached(self, kind: str, node: Node, compute: Callable[[Node], Any]) -> Any:
        if (kind, node) not in self.cache:
            self.cache[kind, node] = compute(node)
        return self.cache[kind, node]

    def _exact(self, node: Node) -> list[Fraction] | None:
        def values(node: Node) -> list[Fraction] | None:
            try:
                return [exact(node, at) for at in self.points()]
            except Inexact:
                return None

        return self._cached("exact", node, values)

    def _doubles(self, node: Node) -> list[tuple[complex, float]]:
        """(value, largest intermediate value) at each point."""
        return self._cached(
            "doubles", node, lambda node: [(value(node), value.largest) for value in map(Approximate, self.points())]
        )

    def _approximately(self, gold: Node, answer: Node) -> Decision:
        for (gold_value, gold_size), (value, size) in zip(self._doubles(gold), self._doubles(answer), strict=True):
            if not abs(gold_value - value) <= TOLERANCE * max(gold_size, size):
                return Decision(False, "numeric", "a different value")
        return Decision(None, "symbolic", pairs=((gold, answer),), key=self.key)

    def relations(self, gold: Relation, answer: Relation) -> Decision:
        if gold.sign == FLIPPED.get(answer.sign) and gold.sign != answer.sign:
            answer = Relation(gold.sign, answer.right, answer.left)
        if gold.sign != answer.sign:
            return Decision(False, "structure", "a different relation")
        if is_solved(gold) and not is_solved(answer):
            return Decision(False, "structure", "an equation where its solution is expected")
        sides = self.nodes(gold.left, answer.left), self.nodes(gold.right, answer.right)
        if any(side.equal is False for side in sides):
            return self._multiples(gold, answer)
        return _all_of(sides)

    def _multiples(self, gold: Relation, answer: Relation) -> Decision:
        """Test whether left - right is a constant multiple of the gold one; a positive one for inequalities."""
        try:
            first, second = (_difference(gold, at) / _difference(answer, at) for at in self.points())
        except (Inexact, ZeroDivisionError):
            return Decision(False, "structure", "a different equation")
        same = first == second != 0 and (first > 0 or gold.sign in ("=", "\\ne"))
        return decided(same, "identity", "a different equation")

    def items(self, gold: Items, answer: Items) -> Decision:
        if _brackets(gold) != _brackets(answer):
            return Decision(False, "structure", "different brackets")
        if len(gold.parts) != len(answer.parts):
            return Decision(False, "structure", f"{len(answer.parts)} parts where {len(gold.parts)} are expected")
        if gold.variable and answer.variable and gold.variable != answer.variable:
            return Decision(False, "structure", "a different variable")
        if gold.ordered:
            return _all_of([self.contents(g, a) for g, a in zip(gold.parts, answer.parts, strict=True)])
        return self._any_order(gold, answer)

    def _any_order(self, gold: Items, answer: Items) -> Decision:
        """Match the parts of the gold answer with those of the answer, one to one."""
        unmatched, decisions = list(answer.parts), []
        for gold_part in gold.parts:
            tried = [(self.contents(gold_part, part), part) for part in unmatched]
            best = next((pair for equal in (True, None) for pair in tried if pair[0].equal is equal), None)
            if best is None:
                return Decision(False, "structure", "a part that matches no other")
            decisions.append(best[0])
            unmatched.remove(best[1])
        return _all_of(decisions)


_BY_KIND: dict[type, Callable[[_Comparison, object, object], Decision]] = {
    Value: _Comparison.values, Based: _Comparison.based, Opaque: _Comparison.opaque,
    Relation: _Comparison.relations, Items: _Comparison.items, Clock: _Comparison.clocks, Named: _Comparison.named,
    Labelled: _Comparison.labelled,
}  # fmt: skip  # pyright: ignore[reportAssignmentType]
_NAMES = {
    Value: "a value", Based: "digits in a base", Words: "words", Relation: "a relation", Opaque: "a string",
    Clock: "a time", Named: "an equation", Labelled: "an option",
}  # fmt: skip


def _all_of(decisions: list[Decision] | tuple[Decision, ...]) -> Decision:
    """Combine decisions that must all be positive."""
    for decision in decisions:
        if decision.equal is False:
            return decision
    undecided = [decision for decision in decisions if decision.equal is None]
    if not undecided:
        return Decision(True, "structure")
    pairs = tuple(pair for decision in undecided for pair in decision.pairs)
    return Decision(None, "symbolic", pairs=pairs, key=undecided[0].key)


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
