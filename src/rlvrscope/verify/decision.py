"""The decision on one answer, and the exceptions that end the work on it early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlvrscope.verify.math.tree import Node


class Refused(Exception):  # noqa: N818  not a program error: a verdict on a text
    """The answer breaks a rule (a limit, a character, a trick): the verdict is `rejected`, with this reason."""


class Unreadable(Exception):  # noqa: N818
    """Not mathematics with a single reading: compared as a string."""


class Broken(Unreadable):
    """Malformed: it ends too early, or a bracket does not close. Gold answers must not be broken."""


@dataclass(frozen=True)
class Decision:
    """Result of comparing an answer with its gold answer.

    equal: None if computer algebra must still find every one of `pairs` (gold, answer) equal. path: the rule that
    decided. reason: why the answer is not right. key: seed of the points at which the values of `pairs` are compared.
    """

    equal: bool | None
    path: str
    reason: str = ""
    pairs: tuple[tuple[Node, Node], ...] = ()
    key: str = ""


def decided(equal: bool, path: str, reason: str) -> Decision:
    """A final decision; the reason is kept only if not equal."""
    return Decision(equal, path, "" if equal else reason)
