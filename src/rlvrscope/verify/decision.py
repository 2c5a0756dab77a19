"""What is decided of an answer, and the two ways of not looking at it further."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlvrscope.verify.math.tree import Node


class Refused(Exception):  # noqa: N818  not an error of the program: a verdict on a text
    """The answer breaks a rule: a limit, a character, a trick. The verdict is `rejected`, with this reason."""


class Unreadable(Exception):  # noqa: N818
    """Not mathematics that we read in one way only. It is compared as a string."""


class Broken(Unreadable):
    """Not even that: it ends too early, or what it opens does not close. No gold answer may be so."""


@dataclass(frozen=True)
class Decision:
    """equal: yes, no, or None where computer algebra has to say it of every one of `pairs` (gold, answer).

    path: what decided. reason: why not.
    """

    equal: bool | None
    path: str
    reason: str = ""
    pairs: tuple[tuple[Node, Node], ...] = ()
    key: str = ""
    """What the points are drawn from at which the values of the pairs are compared."""


def no_unless(equal: bool, path: str, reason: str) -> Decision:
    return Decision(equal, path, "" if equal else reason)
