"""The math verifier: read the gold answer, compare, require an evaluated answer; computer algebra does the rest."""

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
from rlvrscope.verify.math.equality import compare
from rlvrscope.verify.math.expression_value import Approximate, Inexact, exact, point
from rlvrscope.verify.math.latex import canonical
from rlvrscope.verify.math.normalise import normalised_pair
from rlvrscope.verify.math.reading import read
from rlvrscope.verify.math.simplified import check_evaluated, check_no_equation_of_question, is_number
from rlvrscope.verify.math.tree import Node

LIBRARY = "math_verify"
_TEXT = re.compile(r"\\text\{[^{}]*\}")
_BRACKET = re.compile(r"\\[{}]|[()\[\]]")
_EMPTY = re.compile(r"\\(?:sqrt|frac) ?\{ ?\}")


def judge(answer: str, problem: Problem) -> Decision:
    """Compare an extracted answer with the gold answer.

    metadata: `evaluated`, the answer must be a number, not an expression with that value. Raises Refused.
    """
    gold = read_gold(problem.answer)
    if isinstance(gold.content, Opaque) and canonical(answer) == gold.text:  # it may exceed the limits of the parser
        return Decision(True, "string")
    reading = read(answer)
    gold_content, content = normalised_pair(gold.content, reading.content, problem.prompt)
    if problem.metadata.get("evaluated") and not _is_evaluated(content):
        raise Refused("an expression, a list or text where a number is asked for")
    decision = compare(gold, reading, problem.prompt)
    if decision.equal is not False and decision.path != "string":
        check_no_equation_of_question(gold.content, reading, problem.prompt)
        check_evaluated(gold_content, content, problem.prompt)
    return decision


def judge_number(answer: str, problem: Problem) -> Decision:
    """Compare for arithmetic problems: like `judge`, and the answer must be an evaluated number."""
    return judge(answer, _requiring_number(problem))


def check(problem: Problem) -> None:
    """Raise InputError, naming the problem, for a gold answer that is broken or that no answer can match."""
    try:
        content = read_gold(problem.answer).content
        if isinstance(content, Opaque) and content.broken:
            raise Broken(content.why)
        if problem.metadata.get("evaluated") and not _is_evaluated(content):
            raise Broken("it is not a number, but `evaluated` asks for one")
    except (Refused, Broken) as error:
        gold = problem.answer if len(problem.answer) <= 60 else f"{problem.answer[:57]}..."
        raise InputError(
            f"problem {problem.id!r}: the gold answer {gold!r} can't be read: {error}. Correct it or drop the problem."
        ) from error


def check_number(problem: Problem) -> None:
    """Check like `check`; the gold answer must also be a number."""
    check(_requiring_number(problem))


def _requiring_number(problem: Problem) -> Problem:
    return replace(problem, metadata={**problem.metadata, "evaluated": True})


def _is_evaluated(content: Content) -> bool:
    return isinstance(content, Value) and is_number(content.node)


@lru_cache(maxsize=4096)
def read_gold(text: str) -> Reading:
    """Read a gold answer, cached. One past the limits, such as 1000!, is equal to the same string only.

    Raises Refused for a text that no answer may be: forbidden characters, too long or nested too deep.
    """
    spelled = canonical(text)
    try:
        _check_complete(spelled)
        reading = read(text)
        _check_values(reading.content)
    except (Refused, Unreadable) as error:
        return Reading(spelled, Opaque(spelled, str(error), isinstance(error, Broken)))
    return reading


def _check_complete(text: str) -> None:
    """Raise Broken for an odd number of brackets; a system of equations may open one that it does not close."""
    if len(_BRACKET.findall(_TEXT.sub("", text))) % 2 and "\\begin" not in text:
        raise Broken("brackets that do not close")
    if _EMPTY.search(text):
        raise Broken("something is missing")


def _check_values(content: Content) -> None:
    """Raise Broken for a division by zero, and Refused for numbers past the limits."""
    for node in nodes_of(content):
        if not node.symbols():
            _check_value(node)


def _check_value(node: Node) -> None:
    at = point("gold", 0)
    try:
        try:
            exact(node, at)
        except Inexact:
            Approximate(at)(node)
    except Broken:
        raise
    except Unreadable:
        pass  # no value that can be computed: compared as a string


def check_algebra(problems: Sequence[Problem]) -> None:
    """Raise MissingExtraError, naming the problem, for the first gold answer that needs the missing math-verify.

    These are gold answers with a root, a logarithm or the like. An irrational answer to a rational gold answer is rare:
    without the library its verdict is an error.
    """
    if importlib.util.find_spec(LIBRARY) is not None:
        return
    for problem in problems:
        if problem.verifier in ("math", "arithmetic") and any(map(_is_inexact, _all_nodes(read_gold(problem.answer)))):
            with needs_extra(
                "math", f"problem {shorten(problem.id)}: comparing answers with {shorten(problem.answer)}"
            ):
                raise ModuleNotFoundError(LIBRARY, name="math-verify")


def _all_nodes(content: Any) -> Iterator[Node]:
    """Yield every expression in a reading, names included."""
    if isinstance(content, Node):
        yield content
    elif isinstance(content, tuple):
        for part in content:
            yield from _all_nodes(part)
    elif is_dataclass(content):
        for field in fields(content):
            yield from _all_nodes(getattr(content, field.name))


def _is_inexact(node: Node) -> bool:
    try:
        exact(node, point("gold", 0))
    except Inexact:
        return True
    except (Refused, Unreadable):
        return False
    return False
