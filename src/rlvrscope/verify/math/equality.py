"""Equality with the gold answer, kind by kind; what rational arithmetic can't decide is left to computer algebra."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from rlvrscope.verify.decision import NeedsAlgebra, Refused, Unreadable
from rlvrscope.verify.math import values
from rlvrscope.verify.math.expression import Node, literal, number
from rlvrscope.verify.math.names import has_known_words, in_one_order, is_name, renamed, stands_alone
from rlvrscope.verify.math.reading import INFINITY
from rlvrscope.verify.math.units import SINGLE_LETTERS, asks_for_percent, asks_for_ratio, is_asked_for

MAX_ROUNDING = 0.05
"""Largest relative error of what follows an approximation sign."""
Algebra = Callable[[Node, Node, str, float], bool]
"""(gold, answer, key of the points, tolerance) -> whether they are equal; see `algebra.equal`."""
_ABOUT_RANGES = re.compile(r"interval|inequalit|domain|range|solve|values? of|for (?:which|what)", re.IGNORECASE)
_ABOUT_POINTS = re.compile(r"\bpoint|coordinate|ordered pair|vertex|intersection", re.IGNORECASE)
_ABOUT_TIME = re.compile(r"\btime\b|clock|\bwhen\b|\b[ap]\.?m\b", re.IGNORECASE)
_SERIES = re.compile(r"\+[^+]+\+\\ldots\+")
_ORDERED, _UNORDERED = ("tuple", "matrix", "row"), ("list", "set", "union")
_OTHER = ("relation", "ratio", "labelled", "text")


@dataclass(frozen=True)
class Comparison:
    """prompt: the question. key: seed of the points. tolerance: relative, 0 is exact. algebra: None in the caller."""

    prompt: str
    key: str
    tolerance: float = 0.0
    algebra: Algebra | None = None

    def same(self, gold: Node, answer: Node) -> bool:
        """Test for equality. Raises NeedsAlgebra if only a worker can tell, and Refused and Unreadable."""
        gold, answer = self.in_one_form(gold, answer)
        if gold.op == "word" or answer.op == "word":
            return word_of(gold) == word_of(answer) != ""
        kinds = ["set" if node.op == "list" else node.op for node in (gold, answer)]
        if not {gold.op, answer.op} & {*_ORDERED, *_UNORDERED, *_OTHER}:
            return self._quantities(gold, answer)
        if kinds[0] != kinds[1]:
            return False
        if gold.op == "text":
            return squeezed(str(gold.value)) == squeezed(str(answer.value))
        if gold.op in ("relation", "ratio"):
            return self._relations(gold, answer) if gold.op == "relation" else self._ratios(gold, answer)
        if len(gold.args) != len(answer.args) or gold.op == "labelled" or gold.value != answer.value:
            return False
        return all(map(self.same, gold.args, answer.args)) if gold.op in _ORDERED else self._any_order(gold, answer)

    def in_one_form(self, gold: Node, answer: Node) -> tuple[Node, Node]:
        """Return both without what only one of them has: labels, names, the steps of a calculation, set braces."""
        gold, answer = in_one_order(_unwrapped(gold, answer), _unwrapped(answer, gold), self.prompt)
        gold, answer = self._last_side(gold, answer, is_gold=True), self._last_side(answer, gold)
        gold, answer = _unwrapped(gold, answer), _unwrapped(answer, gold)
        if gold.op == answer.op == "relation":
            answer = renamed(gold, answer)
        elif gold.op == "ratio" != answer.op or (answer.op == "ratio" != gold.op and asks_for_ratio(self.prompt)):
            gold, answer = _quotient(gold), _quotient(answer)
        elif {gold.op, answer.op} & {"tuple", "union"} and _has_relation(gold) != _has_relation(answer):
            is_point = gold.value == "()" and not any(INFINITY in part.walk() for part in gold.args)
            if not is_point or _ABOUT_RANGES.search(self.prompt):
                gold, answer = _as_interval(gold), _as_interval(answer)
        return self._with_letter_as_unit(gold, answer), self._with_letter_as_unit(answer, gold)

    def _with_letter_as_unit(self, node: Node, other: Node) -> Node:
        """Read 9 s as nine seconds if the question asks for seconds and the other answer has no variable s."""
        ops = [part.op for part in node.args] if node.op == "multiply" else []
        letter = str(node.args[1].value) if ops == ["number", "symbol"] else ""
        is_unit = letter in SINGLE_LETTERS and letter not in other.symbols()
        is_named = is_unit and (other.op == "quantity" or is_asked_for(letter.lower(), self.prompt))
        return Node("quantity", node.args[:1], letter.lower()) if is_named else node

    def _last_side(self, node: Node, other: Node, is_gold: bool = False) -> Node:
        """Return the last side of a true chain of equations, or its first and last if the other one is an equation.

        Raises Unreadable if the chain is not true.
        """
        if node.op != "relation" or (node.value == "in" and other.value == "in"):
            return node
        sides, signs = list(node.args), str(node.value).split(" ")
        if signs == ["in"]:
            if sides[1].op not in (*_ORDERED, *_UNORDERED):
                raise Unreadable("a member of no set")
            return node if other.value == "()" and _ABOUT_POINTS.search(self.prompt) else sides[1]
        while signs and signs[-1] == "\\approx" and not (len(sides) == 2 and is_name(sides[0])):
            if not replace(self, tolerance=MAX_ROUNDING).same(sides[-1], sides[-2]):
                raise Unreadable("an approximation that is not true")
            sides, signs = sides[:-1], signs[:-1]
        if set(signs) - {"=", "\\approx"}:
            return node
        sides = sides[::-1] if len(sides) == 2 and is_name(sides[1]) and not is_name(sides[0]) else sides
        is_named = len(sides) > 1 and self._is_name(sides, is_gold)
        keeps_name = other.op == "relation" and "=" in str(other.value)
        if keeps_name and len(sides) == 2:
            return Node("relation", tuple(sides), "=")
        if not all(self.same(sides[-1], side) for side in sides[is_named:-1]):
            raise Unreadable("a chain of equations that is not true")
        return Node("relation", (sides[0], sides[-1]), "=") if keeps_name and is_named else sides[-1]

    def _is_name(self, sides: Sequence[Node], is_gold: bool) -> bool:
        """Test whether the first side is a name, an expression of the question, or a formula with its value."""
        first, last = sides[0], sides[-1]
        is_formula = len(sides) > 2 and _is_with_numbers(first, sides[1])
        is_unread = first.op in ("raw", "text") and (is_gold or bool(_SERIES.search(str(first.value))))
        is_value_free = not first.symbols() & last.symbols()  # x = x + 1 names nothing
        is_right_name = is_name(first) and is_value_free and has_known_words(first, self.prompt)
        return is_right_name or is_formula or is_unread or stands_alone(first, self.prompt)

    def _relations(self, gold: Node, answer: Node) -> bool:
        if gold.value != answer.value or (_is_solved(gold) and not _is_solved(answer)):
            return False
        if self._all_same(gold.args, answer.args):
            return True
        return len(gold.args) == 2 and self._are_multiples(gold, answer)

    def _all_same(self, gold: Sequence[Node], answer: Sequence[Node]) -> bool:
        try:
            return all(map(self.same, gold, answer))
        except Unreadable:
            return False

    def _are_multiples(self, gold: Node, answer: Node) -> bool:
        """Test whether left - right is a constant multiple of the gold one, of positive sign for inequalities."""
        ratios = []
        for trial in range(values.TRIALS):
            try:
                sides = [[values.value_of(side, self.key, trial) for side in node.args] for node in (gold, answer)]
                ratios.append((sides[0][0] - sides[0][1]) / (sides[1][0] - sides[1][1]))
            except (NeedsAlgebra, Unreadable, ZeroDivisionError):
                return False
        return ratios[0] == ratios[1] != 0 and (gold.value == "=" or ratios[0] > 0)

    def _any_order(self, gold: Node, answer: Node) -> bool:
        """Match the parts of the gold answer with those of the answer, one to one."""
        unmatched = list(answer.args)
        for part in gold.args:
            match = next((other for other in unmatched if self._all_same([part], [other])), None)
            if match is None:
                return False
            unmatched.remove(match)
        return True

    def _ratios(self, gold: Node, answer: Node) -> bool:
        if len(gold.args) != len(answer.args) or (_ABOUT_TIME.search(self.prompt) and not asks_for_ratio(self.prompt)):
            return gold == answer
        sides = ([Node("divide", (part, side.args[0])) for part in side.args] for side in (gold, answer))
        return all(map(self._nodes, *sides))

    def _quantities(self, gold: Node, answer: Node) -> bool:
        """Compare values with units; a percent may lack its sign where the gold answer or the question says percent."""
        (gold, gold_unit), (answer, unit) = _split_unit(gold), _split_unit(answer)
        if unit == gold_unit or (gold_unit and not unit):
            hundredth = Node("divide", (gold, number(Fraction(100))))
            return self._nodes(gold, answer) or (gold_unit == "%" != unit and self._nodes(hundredth, answer))
        if unit == "%" and not gold_unit and asks_for_percent(self.prompt):
            is_share = 0 < abs(literal(gold) or 0) < 1
            return self._nodes(gold, Node("divide", (answer, number(Fraction(100)))) if is_share else answer)
        return not gold_unit and unit != "%" and is_asked_for(unit, self.prompt) and self._nodes(gold, answer)

    def _nodes(self, gold: Node, answer: Node) -> bool:
        gold_value, value = literal(gold), literal(answer)
        if gold_value is not None and value is not None:
            return abs(gold_value - value) <= self.tolerance * abs(gold_value)
        try:
            if values.are_equal(gold, answer, self.key):
                return True
            if not self.tolerance:
                return False
        except NeedsAlgebra:
            pass
        if self.algebra is None:
            raise NeedsAlgebra
        return self.algebra(gold, answer, self.key, self.tolerance)


def refuse_candidates(gold: Node, answer: Node) -> None:
    """Raise Refused for a list of more answers than there are."""
    num_answers = len(answer.args) if answer.op in ("list", "set") else 1
    num_gold = max(1, len(gold.args)) if gold.op in (*_ORDERED, *_UNORDERED) else 1
    if num_answers > num_gold:
        raise Refused(f"{num_answers} answers where {'one is' if num_gold == 1 else f'{num_gold} are'} asked for")


def squeezed(text: str) -> str:
    """Return a string without spaces, full stops, text commands and capitals in words, to compare unread text."""
    words = re.sub("[A-Za-z]{2,}", lambda word: word[0].lower(), re.sub(r"\\text\{([^{}]*)\}", r"\1", text))
    return re.sub(r" |\.(?![0-9])", "", words)


def word_of(node: Node) -> str:
    """Return the words, or the letters of a product that may be a word; else ""."""
    if node.op in ("word", "text"):
        return str(node.value) if node.op == "word" else re.sub(r"\\text\{([^{}]*)\}", r"\1", str(node.value)).lower()
    letters = node.args if node.op == "multiply" else (node,)
    word = "".join(str(letter.value) if letter.op == "symbol" else " " for letter in letters)
    return "" if " " in word else word if len(word) == 1 else word.lower()


def _unwrapped(node: Node, other: Node) -> Node:
    r"""Drop what only one answer has: the label of \text{(C)} 24, or its value; braces of a single value; columns."""
    if node.op == "labelled" and (other.op != "labelled" or other.value == node.value):
        return Node("word", value=node.value) if len(word_of(other)) == 1 else node.args[0]
    if node.op in ("set", "list") and len(node.args) == 1 and other.op != "set":
        return node.args[0]
    if node.op == "matrix" and other.op == "tuple" and all(len(row.args) == 1 for row in node.args):
        return Node("tuple", tuple(row.args[0] for row in node.args), "()")
    return node


def _quotient(node: Node) -> Node:
    """Read a:b as a/b, which is a number if both are."""
    if node.op != "ratio" or len(node.args) != 2:
        return node
    quotient = Node("divide", node.args)
    value = literal(quotient)
    return quotient if value is None else number(value)


def _is_with_numbers(formula: Node, node: Node) -> bool:
    r"""Test for a formula with numbers for its variables: \pi r^2 and \pi \cdot 10^2."""
    if formula.variables() and formula.op == "symbol":
        return literal(node) is not None
    is_alike = formula[::2] == node[::2] and len(formula.args) == len(node.args)
    return is_alike and all(map(_is_with_numbers, formula.args, node.args))


def _split_unit(node: Node) -> tuple[Node, str]:
    return (node.args[0], str(node.value)) if node.op == "quantity" else (node, "")


def _is_solved(relation: Node) -> bool:
    """Test for a variable on one side and no variable on the other."""
    left, right = relation.args[0], relation.args[-1]
    return any(one.op == "symbol" and not other.variables() for one, other in ((left, right), (right, left)))


def _has_relation(node: Node) -> bool:
    return node.op == "relation" or (node.op == "union" and any(part.op == "relation" for part in node.args))


def _as_interval(node: Node) -> Node:
    """Read x > 2 as the interval from 2 to infinity."""
    if node.op == "union":
        return Node("union", tuple(map(_as_interval, node.args)))
    signs, sides = str(node.value).split(" "), node.args
    if node.op == "relation" and len(sides) == 2:
        is_above = bool(sides[0].variables())
        sides = (Node("negate", (INFINITY,)), *sides) if is_above else (*sides, INFINITY)
        signs = ["<", *signs] if is_above else [*signs, "<"]
    is_range = node.op == "relation" and len(sides) == 3 and not set(signs) - {"<", "\\le"}
    if not is_range or sides[1].op != "symbol" or sides[0].variables() | sides[2].variables():
        return node
    return Node("tuple", (sides[0], sides[2]), ("(" if signs[0] == "<" else "[") + (")" if signs[1] == "<" else "]"))
