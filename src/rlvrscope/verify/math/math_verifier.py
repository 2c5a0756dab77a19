"""Is a mathematical answer the gold one. Most is decided here; the rest is left to computer algebra in a worker."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.problem import Problem
from rlvrscope.tables.values import shorten
from rlvrscope.verify.decision import Broken, Decision, Refused, Unreadable
from rlvrscope.verify.math.content import Content, Opaque, Reading, Value, nodes_of
from rlvrscope.verify.math.equality import decide
from rlvrscope.verify.math.expression_value import Approximate, Inexact, exact, point
from rlvrscope.verify.math.latex import canonical
from rlvrscope.verify.math.normalise import alike
from rlvrscope.verify.math.reading import read
from rlvrscope.verify.math.simplified import check_no_equation_of_question, check_worked_out, is_number
from rlvrscope.verify.math.tree import Node


def judge(answer: str, problem: Problem) -> Decision:
    """Compare an extracted answer with the gold one.

    metadata: evaluated - the answer has to be a number, not an expression that comes to it. Raises Refused.
    """
    gold = read_gold(problem.answer)
    if isinstance(gold.content, Opaque) and canonical(answer) == gold.text:  # it may be past the limits of what is read
        return Decision(True, "string")
    given = read(answer)
    wanted, said = alike(gold.content, given.content, problem.prompt)
    if problem.metadata.get("evaluated") and not _is_evaluated(said):
        raise Refused("an expression, a list or text where a number is asked for")
    decision = decide(gold, given, problem.prompt)
    if decision.equal is not False and decision.path != "string":
        check_no_equation_of_question(gold.content, given, problem.prompt)
        check_worked_out(wanted, said, problem.prompt)
    return decision


def judge_number(answer: str, problem: Problem) -> Decision:
    """For arithmetic: the same, and the answer must be a number, worked out."""
    return judge(answer, _evaluated(problem))


def check(problem: Problem) -> None:
    """Raises InputError, naming the problem, for a gold answer that is broken, or that no answer can match."""
    try:
        content = read_gold(problem.answer).content
        if isinstance(content, Opaque) and content.broken:
            raise Broken(content.why)
        if problem.metadata.get("evaluated") and not _is_evaluated(content):
            raise Broken("it is no number, and one is asked for")
    except (Refused, Broken) as error:
        shown = problem.answer if len(problem.answer) <= 60 else f"{problem.answer[:57]}..."
        raise InputError(
            f"problem {problem.id!r}: the gold answer {shown!r} can't be read: {error}. Mend it or leave it out."
        ) from error


def check_number(problem: Problem) -> None:
    """The same, and the gold answer must be a number."""
    check(_evaluated(problem))


def _evaluated(problem: Problem) -> Problem:
    return replace(problem, metadata={**problem.metadata, "evaluated": True})


def _is_evaluated(content: Content) -> bool:
    return isinstance(content, Value) and is_number(content.node)


_TEXT = re.compile(r"\\text\{[^{}]*\}")
_BRACKET = re.compile(r"\\[{}]|[()\[\]]")
_EMPTY = re.compile(r"\\(?:sqrt|frac) ?\{ ?\}")


@lru_cache(maxsize=4096)
def read_gold(text: str) -> Reading:
    """As `read`, and once for all its answers. Past the limits, as 1000! is, it is equal to the same string only.

    Raises Refused for what no answer may be: refused characters, too long or too deep.
    """
    spelled = canonical(text)
    try:
        _check_whole(spelled)
        reading = read(text)
        _check_values(reading.content)
    except (Refused, Unreadable) as error:
        return Reading(spelled, Opaque(spelled, str(error), isinstance(error, Broken)))
    return reading


def _check_whole(text: str) -> None:
    """Raises Broken for odd brackets: half-open intervals have two, a system of equations may have only its first."""
    if len(_BRACKET.findall(_TEXT.sub("", text))) % 2 and "\\begin" not in text:
        raise Broken("brackets that do not close")
    if _EMPTY.search(text):
        raise Broken("something is missing")


def _check_values(content: Content) -> None:
    """Raises Broken for a division by zero, and Refused for numbers past the limits."""
    for node in nodes_of(content):
        if not node.symbols():
            _evaluate(node)


def _evaluate(node: Node) -> None:
    at = point("gold", 0)
    try:
        try:
            exact(node, at)
        except Inexact:
            Approximate(at)(node)
    except Broken:
        raise
    except Unreadable:
        pass  # the floor of x has no value that we know: it is compared as a string


LIBRARY = "math_verify"


def check_algebra(problems: Sequence[Problem]) -> None:
    """Raises MissingExtraError, naming the problem, for the first gold answer with a root, a logarithm or the like.

    An answer of that sort to a rational gold answer is rare: it is met on the way, and its verdict is an error.
    """
    if importlib.util.find_spec(LIBRARY) is not None:
        return
    for problem in problems:
        if problem.verifier in ("math", "arithmetic") and any(map(_is_inexact, _nodes(read_gold(problem.answer)))):
            with needs_extra(
                "math", f"problem {shorten(problem.id)}: comparing answers with {shorten(problem.answer)}"
            ):
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
