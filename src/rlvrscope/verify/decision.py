"""The decision on one answer, and the exceptions that end the work on it early."""

from __future__ import annotations

from dataclasses import dataclass, field


class Refused(Exception):  # noqa: N818  not a program error: a verdict on a text
    """The answer breaks a rule (a limit, a character, a trick): the verdict is `rejected`, with this reason."""


class Unreadable(Exception):  # noqa: N818
    """Not mathematics with a single reading: compared as a string. token: the unknown LaTeX command, if that is why."""

    def __init__(self, reason: str, token: str = "") -> None:
        super().__init__(reason)
        self.token = token


class NeedsAlgebra(Exception):  # noqa: N818
    """Only computer algebra, in a worker, can decide."""


@dataclass(frozen=True)
class Decision:
    """Result of comparing an answer with its gold answer. path: the step that decided. reason: why, if not equal."""

    equal: bool
    path: str
    reason: str = field(default="", compare=False)
