"""Is an answer the gold one: by string, by exact value, by structure; what is left is for computer algebra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from massflow.rewards.decision import Decision, Refused, Unreadable, no_unless
from massflow.rewards.evaluate import TRIALS, Approximate, Inexact, Point, exact, point
from massflow.rewards.expression import Node, literal, number
from massflow.rewards.reading import Based, Content, Items, Opaque, Reading, Relation, Value, Words
from massflow.rewards.units import asked_for

TOLERANCE = 1e-9
"""Of a difference in double precision, against the largest number on the way; past it two values differ."""


def decide(gold: Reading, answer: Reading, prompt: str = "") -> Decision:
    """Compare two readings. prompt: the question; a unit that only the answer has must be asked for there.

    Raises Refused for an answer that lists candidates or is too large to evaluate.
    """
    if gold.text == answer.text:
        return Decision(True, "string")
    if isinstance(answer.content, Opaque) and not isinstance(gold.content, Opaque | Words):
        return Decision(False, "string", f"not read as mathematics: {answer.content.why}")
    wanted = _as_list(gold) if isinstance(answer.content, Items) else gold.content
    _refuse_candidates(wanted, answer.content)
    key = f"{gold.text}\x1f{answer.text}"
    try:
        return _Comparison(key, prompt).contents(wanted, answer.content)
    except Unreadable as error:
        return Decision(False, "string", str(error))


def _as_list(gold: Reading) -> Content:
    """100,200 is a number to us, and two in the gold answer of a task that asks for two."""
    parts = gold.text.split(",")
    if not isinstance(gold.content, Value) or len(parts) == 1 or any(part[:1] not in "123456789" for part in parts):
        return gold.content
    return Items(",", tuple(Value(number(int(part))) for part in parts if part.isdigit()))


def _closed_up(text: str) -> str:
    return text.replace(", ", ",")


def _refuse_candidates(gold: Content, answer: Content) -> None:
    offered = len(answer.parts) if isinstance(answer, Items) and not answer.ordered else 1
    asked = len(gold.parts) if isinstance(gold, Items) else 1
    if offered > asked:
        raise Refused(f"{offered} answers where {'one is' if asked == 1 else f'{asked} are'} asked for")


@dataclass(frozen=True)
class _Comparison:
    key: str
    prompt: str

    def contents(self, gold: Content, answer: Content) -> Decision:
        gold, answer = _unassigned(gold, answer)
        if isinstance(gold, Items) or isinstance(answer, Items):
            gold, answer = _as_interval(gold), _as_interval(answer)
        if isinstance(gold, Words) or isinstance(answer, Words):
            return no_unless(_said(gold) == _said(answer) != "", "string", "other words")
        if type(gold) is not type(answer):
            return Decision(False, "structure", f"{_kind(answer)} where {_kind(gold)} is asked for")
        return _BY_KIND[type(gold)](self, gold, answer)

    def opaque(self, gold: Opaque, answer: Opaque) -> Decision:
        return no_unless(_closed_up(gold.text) == _closed_up(answer.text), "string", "not the same string")

    def based(self, gold: Based, answer: Based) -> Decision:
        return no_unless(gold == answer, "exact", "other digits, or another base")

    def values(self, gold: Value, answer: Value) -> Decision:
        if answer.unit != gold.unit and answer.unit and (gold.unit or not self._asked(answer.unit)):
            return Decision(False, "structure", f"in {answer.unit!r}, which is not asked for")
        decision = self.nodes(gold.node, answer.node)
        if decision.equal is False and gold.unit == "%" and not answer.unit:
            return self.nodes(_hundredth(gold.node), answer.node)
        return decision

    def _asked(self, unit: str) -> bool:
        return unit != "%" and asked_for(unit, self.prompt)

    def nodes(self, gold: Node, answer: Node) -> Decision:
        if gold == answer:
            return Decision(True, "exact")
        values = literal(gold), literal(answer)
        if None not in values:
            return no_unless(values[0] == values[1], "exact", "another value")
        try:
            equal = all(exact(gold, at) == exact(answer, at) for at in self.points())
            return no_unless(equal, "identity" if gold.symbols() else "exact", "another value")
        except Inexact:
            return self._approximately(gold, answer)

    def points(self) -> list[Point]:
        return [point(self.key, trial) for trial in range(TRIALS)]

    def _approximately(self, gold: Node, answer: Node) -> Decision:
        for at in self.points():
            value = Approximate(at)
            difference = abs(value(gold) - value(answer))
            if not difference <= TOLERANCE * value.largest:
                return Decision(False, "numeric", "another value")
        return Decision(None, "symbolic", pairs=((gold, answer),), key=self.key)

    def relations(self, gold: Relation, answer: Relation) -> Decision:
        if gold.sign == _FLIPPED.get(answer.sign) and gold.sign != answer.sign:
            answer = Relation(gold.sign, answer.right, answer.left)
        if gold.sign != answer.sign:
            return Decision(False, "structure", "another relation")
        if _solved(gold) and not _solved(answer):
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
    Relation: _Comparison.relations, Items: _Comparison.items,
}  # fmt: skip  # pyright: ignore[reportAssignmentType]
_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "=": "=", "\\ne": "\\ne"}
_NAMES = {Value: "a value", Based: "digits in a base", Words: "words", Relation: "a relation", Opaque: "a string"}


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


def _said(content: Content) -> str:
    if isinstance(content, Words):
        return content.text
    if isinstance(content, Value) and content.node.op == "symbol":
        return str(content.node.value)
    return content.text if isinstance(content, Opaque) else ""


def _unassigned(gold: Content, answer: Content) -> tuple[Content, Content]:
    """x = 5 is 5 where only one of them names the variable."""
    if isinstance(answer, Relation) and not isinstance(gold, Relation):
        return gold, _right_side(answer)
    if isinstance(gold, Relation) and isinstance(answer, Value):
        return _right_side(gold), answer
    return gold, answer


def _solved(relation: Relation) -> bool:
    """A variable on one side, and none on the other."""
    sides = (relation.left, relation.right), (relation.right, relation.left)
    return any(one.op == "symbol" and not other.symbols() - {"\\pi", "e"} for one, other in sides)


def _right_side(relation: Relation) -> Content:
    name = relation.left
    if relation.sign == "=" and name.op == "symbol" and str(name.value) not in relation.right.symbols():
        return Value(relation.right)
    return relation


def _as_interval(content: Content) -> Content:
    """x > 2 as the interval from 2 on."""
    if not isinstance(content, Relation) or content.sign not in ("<", ">", "\\le", "\\ge"):
        return content
    sign, bound = content.sign, content.right
    if content.left.op != "symbol":
        sign, bound = _FLIPPED[sign], content.left
    variable = content.left if content.left.op == "symbol" else content.right
    if variable.op != "symbol" or bound.symbols() - {"\\pi", "e"}:
        return content
    infinity = Node("symbol", value="\\infty")
    if sign in ("<", "\\le"):
        return Items("()" if sign == "<" else "(]", (Value(Node("negate", (infinity,))), Value(bound)))
    return Items("()" if sign == ">" else "[)", (Value(bound), Value(infinity)))


def _hundredth(node: Node) -> Node:
    return Node("divide", (node, Node("number", value=Fraction(100))))


def _difference(relation: Relation, at: Point) -> Fraction:
    return exact(relation.left, at) - exact(relation.right, at)
