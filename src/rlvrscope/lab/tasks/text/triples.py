"""Three numbers and a target: `3, 6, 8 -> 26 =` and an expression that uses each number once, with + - *.

Multiplication binds first.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from functools import cache
from typing import ClassVar, Literal

from rlvrscope.lab.tasks.text.text_task import TextTask

NUMBERS = range(1, 13)
TARGETS = range(10, 51)
_EXPRESSION = re.compile(r" [0-9]+ [-+*] [0-9]+ [-+*] [0-9]+")


class Triples(TextTask):
    """The task; also its [task] section of a recipe."""

    EXAMPLES: ClassVar = (
        ("2, 5, 7 -> 17 =", " 2 * 5 + 7"), ("1, 4, 9 -> 12 =", " 9 + 4 - 1"), ("3, 6, 8 -> 26 =", " 3 * 6 + 8"),
    )  # fmt: skip

    name: Literal["triples"] = "triples"

    def candidates(self) -> list[str]:
        return sorted(_expressions())

    def answers(self, question: str) -> dict[str, float]:
        return dict.fromkeys(_expressions()[question], 1.0)

    def well_formed(self, answer: str) -> bool:
        return _EXPRESSION.fullmatch(answer) is not None


@cache
def _expressions() -> dict[str, list[str]]:
    """Right answers by question."""
    expressions: defaultdict[str, list[str]] = defaultdict(list)
    for numbers in itertools.combinations(NUMBERS, 3):
        for (a, b, c), (first, second) in itertools.product(
            itertools.permutations(numbers), itertools.product("+-*", repeat=2)
        ):
            value = _value(a, first, b, second, c)
            if value in TARGETS:
                question = f"{', '.join(map(str, numbers))} -> {value} ="
                expressions[question].append(f" {a} {first} {b} {second} {c}")
    return dict(expressions)


def _value(a: int, first: str, b: int, second: str, c: int) -> int:
    """Value of `a first b second c`."""
    if second == "*" and first != "*":
        return _apply(a, first, b * c)
    return _apply(_apply(a, first, b), second, c)


def _apply(x: int, operation: str, y: int) -> int:
    return x + y if operation == "+" else x - y if operation == "-" else x * y
