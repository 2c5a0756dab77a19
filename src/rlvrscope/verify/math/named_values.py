"""Values with names: (x,y)=(3,4), and x = 3, y = 4. They are compared by name, or in the order of the names."""

from __future__ import annotations

import re

from rlvrscope.verify.math.content import Content, Items, Named, Relation, Value
from rlvrscope.verify.math.question import names, tuples
from rlvrscope.verify.math.tree import CONSTANTS

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
