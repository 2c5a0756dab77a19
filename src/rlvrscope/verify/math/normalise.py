"""Normalisation of a gold answer and an answer to one form: x = 5 and 5, x > 2 and (2, oo), (3, 4) and x = 3, y = 4."""

from __future__ import annotations

import re
from dataclasses import replace

from rlvrscope.verify.math.content import (
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
from rlvrscope.verify.math.question import names, stands_alone, tuples
from rlvrscope.verify.math.tree import CONSTANTS, Node

FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "=": "=", "\\ne": "\\ne"}
_TUPLE = re.compile(r"\((.+,.+)\)")
_NAME = re.compile(r"\\?[A-Za-z]+(?:_[A-Za-z0-9]|_\{[A-Za-z0-9]{1,9}\})?'?")

Values = dict[str, Content]


def normalised_pair(gold: Content, answer: Content, prompt: str) -> tuple[Content, Content]:
    """Return both in one form where they only differ in labels, braces, names or notation."""
    gold, answer = _unlabelled(gold, answer)
    gold, answer = _without_braces(gold, answer), _without_braces(answer, gold)
    gold, answer = in_one_order(gold, answer, prompt)
    gold, answer = _unassigned(gold, answer, prompt)
    if isinstance(gold, Items) or isinstance(answer, Items):
        gold, answer = _as_interval(gold), _as_interval(answer)
    if isinstance(gold, Clock) and isinstance(answer, Clock) and not gold.half:
        answer = replace(answer, half="")
    return gold, answer


def is_solved(relation: Relation) -> bool:
    """Test for a variable on one side and no variable on the other."""
    sides = (relation.left, relation.right), (relation.right, relation.left)
    return any(one.op == "symbol" and not other.variables() for one, other in sides)


def same_letters(gold: Reading, answer: Reading) -> bool | None:
    """Test whether two strings of letters are one word or one product of variables; None for other strings.

    Letters may be reordered if they can be variables, which means none occurs twice, as in xy; case then matters.
    """
    texts = gold.text, answer.text
    if not all(text.isalpha() and text.isascii() and len(text) > 1 for text in texts):
        return None
    words = [isinstance(reading.content, Words) for reading in (gold, answer)]
    if any(words):
        return texts[0].lower() == texts[1].lower() if all(words) else texts[0] == texts[1]
    return sorted(texts[0]) == sorted(texts[1]) and len(set(texts[0])) == len(texts[0])


def word_of(content: Content) -> str:
    """Return the words, or the letters of a product that may be a word; else ""."""
    if isinstance(content, Words):
        return content.text
    if isinstance(content, Opaque):
        return content.text.lower()
    if not isinstance(content, Value) or content.unit:
        return ""
    letters = content.node.args if content.node.op == "multiply" else (content.node,)
    word = "".join(str(node.value) if node.op == "symbol" else " " for node in letters)
    return "" if " " in word else word if len(word) == 1 else word.lower()


def _unlabelled(gold: Content, answer: Content) -> tuple[Content, Content]:
    r"""Read \text{(C)} 24 as C if the gold answer is a letter, and as 24 otherwise."""
    if isinstance(gold, Labelled) and isinstance(answer, Labelled):
        return (gold.content, answer.content) if gold.letter == answer.letter else (gold, answer)
    if isinstance(gold, Labelled):
        return (Words(gold.letter) if word_of(answer) == gold.letter else gold.content), answer
    if isinstance(answer, Labelled):
        return gold, Words(answer.letter) if len(word_of(gold)) == 1 else answer.content
    return gold, answer


def _without_braces(content: Content, other: Content) -> Content:
    r"""Read \{5\} as 5 if the other answer is not a set."""
    if not isinstance(content, Items) or content.brackets != "{}" or len(content.parts) != 1:
        return content
    return content.parts[0] if isinstance(other, Value | Relation | Named) else content


def _unassigned(gold: Content, answer: Content, prompt: str) -> tuple[Content, Content]:
    """Read x = 5 as 5 if only one of the two names the variable."""
    if isinstance(answer, Relation | Named) and not isinstance(gold, Relation | Named):
        return gold, _right_side(answer, prompt)
    if isinstance(gold, Relation | Named) and not isinstance(answer, Relation | Named):
        return _right_side(gold, prompt), answer
    return gold, answer


def _right_side(relation: Relation | Named, prompt: str) -> Content:
    """Return the right side of an equation whose left side is a name or an expression of the question."""
    if isinstance(relation, Named):
        return relation.content if names(relation.name) or stands_alone(relation.name, prompt) else relation
    name = relation.left
    if relation.sign == "=" and "(" in relation.name and names(relation.name):  # f(x)
        return Value(relation.right)
    if relation.sign != "=" or (name.symbols() and name.symbols() & relation.right.symbols() - CONSTANTS):
        return relation
    variable = name.op == "symbol" and str(name.value) not in CONSTANTS
    if variable or (name.symbols() - {"\\pi", "\\infty"} and stands_alone(relation.name, prompt)):
        return Value(relation.right)
    return relation


def _as_interval(content: Content) -> Content:
    """Read x > 2 as the interval from 2 to infinity."""
    if not isinstance(content, Relation) or content.sign not in ("<", ">", "\\le", "\\ge"):
        return content
    sign, variable, bound = content.sign, content.left, content.right
    if variable.op != "symbol":
        sign, variable, bound = FLIPPED[sign], content.right, content.left
    if variable.op != "symbol" or bound.variables():
        return content
    infinity, name = Node("symbol", value="\\infty"), str(variable.value)
    if sign in ("<", "\\le"):
        return Items("()" if sign == "<" else "(]", (Value(Node("negate", (infinity,))), Value(bound)), name)
    return Items("()" if sign == ">" else "[)", (Value(bound), Value(infinity)), name)


def in_one_order(gold: Content, answer: Content, prompt: str) -> tuple[Content, Content]:
    """Return both as points if one names its values: in the order of the names in the question, else alphabetical.

    A bare list of values must be in the gold answer's order.
    """
    gold_values, values = _values_by_name(gold), _values_by_name(answer)
    if gold_values and values:
        if set(gold_values) != set(values):
            return gold, answer
        return _point(gold_values, list(gold_values)), _point(values, list(gold_values))
    if gold_values and isinstance(answer, Items):
        in_list = answer.brackets == ","
        default = list(gold_values) if in_list or isinstance(gold, Named) else _alphabetical(gold_values)
        order = default if in_list else _order_in_question(gold_values, prompt) or default
        bare = in_list and not any(isinstance(part, Relation | Named) for part in answer.parts)
        return _point(gold_values, order), Items("()", answer.parts) if bare else answer
    if values and isinstance(gold, Items) and gold.brackets == "()":
        return gold, _point(values, _order_in_question(values, prompt) or _alphabetical(values))
    return gold, answer


def _values_by_name(content: Content) -> Values | None:
    """Return the values by name; None without names, or if a name occurs twice."""
    if isinstance(content, Named) and isinstance(content.content, Items) and content.content.brackets == "()":
        order, parts = _tuple_of(content.name), content.content.parts
        pairs = list(zip(order, parts, strict=True)) if len(order) == len(parts) else []
    elif isinstance(content, Items) and content.brackets in (",", "{}"):
        pairs = [pair for part in content.parts if (pair := _assigned(part))]
        pairs = pairs if len(pairs) == len(content.parts) else []
    else:
        return None
    values = dict(pairs)
    return values if 1 < len(values) == len(pairs) else None


def _assigned(part: Content) -> tuple[str, Content] | None:
    if isinstance(part, Named):
        return (part.name, part.content) if names(part.name) else None
    if not isinstance(part, Relation) or part.sign != "=" or part.left.op != "symbol":
        return None
    name = str(part.left.value)
    return (name, Value(part.right)) if name not in CONSTANTS else None


def _tuple_of(text: str) -> list[str]:
    """Return the names in a tuple such as (x, y); an empty list for anything else."""
    match = _TUPLE.fullmatch(text)
    order = [name.strip() for name in match[1].split(",")] if match else []
    return order if all(map(_NAME.fullmatch, order)) else []


def _order_in_question(values: Values, prompt: str) -> list[str] | None:
    """Return the order of the last tuple of these names in the question; None without one."""
    for inside in reversed(tuples(prompt)):
        order = inside.split(",")
        if len(order) == len(values) and set(order) == set(values):
            return order
    return None


def _alphabetical(values: Values) -> list[str]:
    return sorted(values, key=lambda name: (name.startswith("\\"), name))


def _point(values: Values, order: list[str]) -> Items:
    return Items("()", tuple(values[name] for name in order))
