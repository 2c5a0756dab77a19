"""The same text as the gold answer, but for white space around and between words."""

from __future__ import annotations

from massflow.errors import InputError
from massflow.rewards.characters import plain
from massflow.rewards.decision import Decision, Refused, no_unless
from massflow.types import Problem

MOST_CHARACTERS = 10_000


def judge(answer: str, problem: Problem) -> Decision:
    """Raises Refused for an answer that is too long or holds refused characters."""
    if len(answer) > MOST_CHARACTERS:
        raise Refused(f"an answer of {len(answer)} characters; at most {MOST_CHARACTERS} are compared")
    return no_unless(_words(answer) == _words(problem.answer), "string", "another text")


def check(problem: Problem) -> None:
    try:
        _words(problem.answer)
    except Refused as error:
        raise InputError(f"problem {problem.id!r}: the gold answer can't be compared: {error}") from error


def _words(text: str) -> list[str]:
    return plain(text).split()
