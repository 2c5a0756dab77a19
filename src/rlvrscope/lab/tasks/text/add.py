"""Addition of two numbers of two digits: `23 + 48 =`, one right answer."""

from __future__ import annotations

from typing import ClassVar, Literal

from rlvrscope.lab.tasks.text.numbers import is_number
from rlvrscope.lab.tasks.text.text_task import TextTask


class Add(TextTask):
    """The task; also its [task] section of a recipe."""

    EXAMPLES: ClassVar = (
        ("12 + 35 =", " 47"), ("58 + 27 =", " 85"), ("71 + 64 =", " 135"), ("46 + 38 =", " 84"), ("90 + 17 =", " 107"),
    )  # fmt: skip

    name: Literal["add"] = "add"

    def candidates(self) -> list[str]:
        return [f"{first} + {second} =" for first in range(11, 100) for second in range(11, 100)]

    def answers(self, question: str) -> dict[str, float]:
        first, second = question.removesuffix(" =").split(" + ")
        return {f" {int(first) + int(second)}": 1.0}

    def well_formed(self, answer: str) -> bool:
        return is_number(answer)
