"""Is a mathematical answer the gold one. Most is decided here; the rest is left to computer algebra in a worker."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from massflow.errors import InputError
from massflow.rewards.compare import decide
from massflow.rewards.decision import Broken, Decision, Refused, Unreadable
from massflow.rewards.evaluate import Approximate, Inexact, exact, point
from massflow.rewards.expression import Node
from massflow.rewards.reading import Opaque, Reading, Relation, Value, read, read_gold
from massflow.types import Problem

_DECORATION = re.compile(r"\\left|\\right|\\displaystyle|\\[,;:! ]|[\s${}]|(?<=\\)[dt](?=frac)")
_MOST_PROMPT = 20_000


def judge(answer: str, problem: Problem) -> Decision:
    """Compare an extracted answer with the gold one.

    metadata: evaluated - the answer has to be a number, not an expression that comes to it. Raises Refused.
    """
    gold, given = read_gold(problem.answer), read(answer)
    if problem.metadata.get("evaluated") and not _is_evaluated(given):
        raise Refused("an expression, a list or text where a number is asked for")
    decision = decide(gold, given, problem.prompt)
    if decision.equal is not False and decision.path != "string" and _repeats(given, problem.prompt):
        raise Refused("the answer repeats the question")
    return decision


def judge_number(answer: str, problem: Problem) -> Decision:
    """For arithmetic: the same, and the answer must be a number, worked out."""
    if not _is_evaluated(read(answer)):
        raise Refused("an expression, a list or text where a number is asked for")
    return judge(answer, problem)


def check(problem: Problem) -> None:
    """Raises InputError, naming the problem, for a gold answer that is broken or past the limits."""
    try:
        content = read_gold(problem.answer).content
        if isinstance(content, Opaque) and content.broken:
            raise Broken(content.why)
        if isinstance(content, Value) and not content.node.symbols():
            _evaluate(content.node)
        if problem.metadata.get("evaluated") and not _is_evaluated(read_gold(problem.answer)):
            raise Broken("it is no number, and one is asked for")
    except (Refused, Broken) as error:
        shown = problem.answer if len(problem.answer) <= 60 else f"{problem.answer[:57]}..."
        raise InputError(
            f"problem {problem.id!r}: the gold answer {shown!r} can't be read: {error}. Mend it or leave it out."
        ) from error


def check_number(problem: Problem) -> None:
    """The same, and the gold answer must be a number."""
    check(replace(problem, metadata={**problem.metadata, "evaluated": True}))


def _is_evaluated(reading: Reading) -> bool:
    return isinstance(reading.content, Value) and reading.content.literal is not None


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


def _repeats(given: Reading, prompt: str) -> bool:
    """Whether an expression, as it stands, is a part of the question: 17 x 23 is no answer to "what is 17 x 23"."""
    if not isinstance(given.content, Value | Relation) or _is_evaluated(given):
        return False
    text = _squashed(given.text)
    return len(text) > 2 and not text.isalnum() and text in _squashed_prompt(prompt)


def _squashed(text: str) -> str:
    return _DECORATION.sub("", text)


@lru_cache(maxsize=1024)
def _squashed_prompt(prompt: str) -> str:
    return _squashed(prompt[-_MOST_PROMPT:])
