"""Brings the gold answer and another into one form: x = 5 and 5, x > 2 and (2, oo), (3, 4) and x = 3, y = 4."""

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
_FORMS_OF_SEVERAL = ("()", "row", "matrix")


def alike(gold: Content, answer: Content, prompt: str) -> tuple[Content, Content]:
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
    """A variable on one side, and none on the other."""
    sides = (relation.left, relation.right), (relation.right, relation.left)
    return any(one.op == "symbol" and not other.variables() for one, other in sides)


def same_letters(gold: Reading, answer: Reading) -> bool | None:
    """Whether two runs of letters are one word or one product of variables; None if they are no such runs.

    Letters may change places where they can be variables: none twice, as in xy. Capitals are no small letters there.
    """
    texts = gold.text, answer.text
    if not all(text.isalpha() and text.isascii() and len(text) > 1 for text in texts):
        return None
    words = [isinstance(reading.content, Words) for reading in (gold, answer)]
    if any(words):
        return texts[0].lower() == texts[1].lower() if all(words) else texts[0] == texts[1]
    return sorted(texts[0]) == sorted(texts[1]) and len(set(texts[0])) == len(texts[0])


def said(content: Content) -> str:
    """Words, or letters that may be one."""
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
    r"""\text{(C)} 24 is C where a letter is the gold answer, and 24 elsewhere."""
    if isinstance(gold, Labelled) and isinstance(answer, Labelled):
        return (gold.content, answer.content) if gold.letter == answer.letter else (gold, answer)
    if isinstance(gold, Labelled):
        return (Words(gold.letter) if said(answer) == gold.letter else gold.content), answer
    if isinstance(answer, Labelled):
        return gold, Words(answer.letter) if len(said(gold)) == 1 else answer.content
    return gold, answer


def _without_braces(content: Content, other: Content) -> Content:
    r"""\{5\} as 5, where the other is no set."""
    if not isinstance(content, Items) or content.brackets != "{}" or len(content.parts) != 1:
        return content
    return content.parts[0] if isinstance(other, Value | Relation | Named) else content


def _unassigned(gold: Content, answer: Content, prompt: str) -> tuple[Content, Content]:
    """x = 5 is 5 where only one of them names the variable."""
    if isinstance(answer, Relation | Named) and not isinstance(gold, Relation | Named):
        return gold, _right_side(answer, prompt)
    if isinstance(gold, Relation | Named) and not isinstance(answer, Relation | Named):
        return _right_side(gold, prompt), answer
    return gold, answer


def _right_side(relation: Relation | Named, prompt: str) -> Content:
    """What an equation says its left side is, where that is a name or stands in the question."""
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
    """x > 2 as the interval from 2 on."""
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


_TUPLE = re.compile(r"\((.+,.+)\)")
_NAME = re.compile(r"\\?[A-Za-z]+(?:_[A-Za-z0-9]|_\{[A-Za-z0-9]{1,9}\})?'?")

Values = dict[str, Content]


def in_one_order(gold: Content, answer: Content, prompt: str) -> tuple[Content, Content]:
    """Both as points where one has names: in the order in which the question names them, else by the alphabet.

    Bare values in a list must come in the gold answer's own order.
    """
    wanted, given = _named(gold), _named(answer)
    if wanted and given:
        return (
            (_point(wanted, list(wanted)), _point(given, list(wanted))) if set(wanted) == set(given) else (gold, answer)
        )
    if wanted and isinstance(answer, Items):
        in_list = answer.brackets == ","
        own = list(wanted) if in_list or isinstance(gold, Named) else _sorted(wanted)
        order = own if in_list else _asked(wanted, prompt) or own
        bare = in_list and not any(isinstance(part, Relation | Named) for part in answer.parts)
        return _point(wanted, order), Items("()", answer.parts) if bare else answer
    if given and isinstance(gold, Items) and gold.brackets == "()":
        return gold, _point(given, _asked(given, prompt) or _sorted(given))
    return gold, answer


def _named(content: Content) -> Values | None:
    """The values by name; None where there are none, or a name comes twice."""
    if isinstance(content, Named) and isinstance(content.content, Items) and content.content.brackets == "()":
        found = _tuple_of(content.name)
        pairs = list(zip(found, content.content.parts, strict=True)) if len(found) == len(content.content.parts) else []
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
    """The names in (x, y); none if it is no such tuple."""
    match = _TUPLE.fullmatch(text)
    found = [name.strip() for name in match[1].split(",")] if match else []
    return found if all(map(_NAME.fullmatch, found)) else []


def _asked(values: Values, prompt: str) -> list[str] | None:
    """The order of the last tuple of these names in the question."""
    for inside in reversed(tuples(prompt)):
        order = inside.split(",")
        if len(order) == len(values) and set(order) == set(values):
            return order
    return None


def _sorted(values: Values) -> list[str]:
    return sorted(values, key=lambda name: (name.startswith("\\"), name))


def _point(values: Values, order: list[str]) -> Items:
    return Items("()", tuple(values[name] for name in order))
