"""Multiplication of a number of two digits by one of one digit: `23 * 4 =`, one right answer."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from rlvrscope.lab.tasks.text.numbers import is_number
from rlvrscope.lab.tasks.text.text_task import TextTask


class Mul(TextTask):
    """The task; also its [task] section of a recipe."""

    EXAMPLES: ClassVar = (("12 * 4 =", " 48"), ("35 * 7 =", " 245"), ("81 * 6 =", " 486"), ("23 * 3 =", " 69"))

    name: Literal["mul"] = "mul"
    largest: int = Field(default=99, ge=12, le=999)
    """Largest first factor; it is at least 11. The second is 3 to 9."""

    def candidates(self) -> list[str]:
        return [f"{first} * {second} =" for first in range(11, self.largest + 1) for second in range(3, 10)]

    def answers(self, question: str) -> dict[str, float]:
        first, second = question.removesuffix(" =").split(" * ")
        return {f" {int(first) * int(second)}": 1.0}

    def well_formed(self, answer: str) -> bool:
        return is_number(answer)
