"""The same text as the gold answer, or as one of others that are right too, but for white space."""

from __future__ import annotations

from functools import lru_cache

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.tables.values import shorten
from rlvrscope.verify.decision import Decision, Refused, no_unless
from rlvrscope.verify.math.latex import plain

MAX_CHARACTERS = 10_000


def judge(answer: str, problem: Problem) -> Decision:
    """metadata: also - further right texts. Raises Refused for a long answer, and for refused characters."""
    if len(answer) > MAX_CHARACTERS:
        raise Refused(f"an answer of {len(answer)} characters; at most {MAX_CHARACTERS} are compared")
    return no_unless(_words(answer) in _right(problem), "string", "another text")


def check(problem: Problem) -> None:
    try:
        _right(problem)
    except Refused as error:
        raise InputError(f"problem {problem.id!r}: the gold answer can't be compared: {error}") from error


@lru_cache(maxsize=4096)
def _right(problem: Problem) -> frozenset[tuple[str, ...]]:
    also = problem.metadata.get("also", ())
    if not isinstance(also, list | tuple) or not all(isinstance(text, str) for text in also):
        raise InputError(f"problem {problem.id!r}: metadata also must be a list of texts; got {shorten(also)}")
    return frozenset(map(_words, (problem.answer, *also)))


def _words(text: str) -> tuple[str, ...]:
    return tuple(plain(text).split())
