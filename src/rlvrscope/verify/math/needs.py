"""Which problems computer algebra may have to decide: found before the work, where the library is not installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from rlvrscope.extras import needs_extra
from rlvrscope.problem import Problem
from rlvrscope.tables.values import shown
from rlvrscope.verify.decision import Refused, Unreadable
from rlvrscope.verify.math.evaluate import Inexact, exact, point
from rlvrscope.verify.math.gold import read_gold
from rlvrscope.verify.math.tree import Node

LIBRARY = "math_verify"


def check_algebra(problems: Sequence[Problem]) -> None:
    """Raises MissingExtraError, naming the problem, for the first gold answer with a root, a logarithm or the like.

    An answer of that sort to a rational gold answer is rare: it is met on the way, and its verdict is an error.
    """
    if importlib.util.find_spec(LIBRARY) is not None:
        return
    for problem in problems:
        if problem.verifier in ("math", "arithmetic") and any(map(_is_inexact, _nodes(read_gold(problem.answer)))):
            with needs_extra("math", f"problem {shown(problem.id)}: comparing answers with {shown(problem.answer)}"):
                raise ModuleNotFoundError(LIBRARY, name="math-verify")


def _nodes(content: Any) -> Iterator[Node]:
    """Every expression in what was read."""
    if isinstance(content, Node):
        yield content
    elif isinstance(content, tuple):
        for part in content:
            yield from _nodes(part)
    elif is_dataclass(content):
        for field in fields(content):
            yield from _nodes(getattr(content, field.name))


def _is_inexact(node: Node) -> bool:
    try:
        exact(node, point("gold", 0))
    except Inexact:
        return True
    except (Refused, Unreadable):
        return False
    return False
