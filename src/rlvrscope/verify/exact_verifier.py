"""Exact match with the gold answer or an accepted alternative, up to white space unless the problem says `verbatim`."""

from __future__ import annotations

from functools import lru_cache

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.tables.values import shorten
from rlvrscope.verify.decision import Decision, Refused
from rlvrscope.verify.math.latex import plain

MAX_CHARACTERS = 10_000


def judge(answer: str, problem: Problem) -> Decision:
    """Compare word by word. Raises Refused for length or characters.

    metadata: `also`, further right texts; `verbatim`: compare every character instead.
    """
    if len(answer) > MAX_CHARACTERS:
        raise Refused(f"an answer of {len(answer)} characters; at most {MAX_CHARACTERS} are compared")
    if problem.metadata.get("verbatim"):
        return Decision(answer in (problem.answer, *problem.metadata.get("also", ())), "string", "another text")
    return Decision(" ".join(plain(answer).split()) in _gold_texts(problem), "string", "another text")


def check(problem: Problem) -> None:
    """Raise InputError, naming the problem, for a gold answer that can't be compared."""
    try:
        _gold_texts(problem)
    except Refused as error:
        raise InputError(f"problem {problem.id!r}: the gold answer can't be compared: {error}") from error


@lru_cache(maxsize=4096)
def _gold_texts(problem: Problem) -> frozenset[str]:
    also = problem.metadata.get("also", ())
    if not isinstance(also, list | tuple) or not all(isinstance(text, str) for text in also):
        raise InputError(f"problem {problem.id!r}: metadata also must be a list of texts; got {shorten(also)}")
    return frozenset(" ".join(plain(text).split()) for text in (problem.answer, *also))
