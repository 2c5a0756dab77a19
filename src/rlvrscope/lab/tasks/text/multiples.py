"""A multiple of a number, other than itself and of at most three digits: five to hundreds of right answers."""

from __future__ import annotations

from typing import ClassVar, Literal

from rlvrscope.lab.tasks.text.numbers import is_number
from rlvrscope.lab.tasks.text.text_task import TextTask


class Multiples(TextTask):
    """The task; also its [task] section of a recipe."""

    EXAMPLES: ClassVar = (
        ("A multiple of 3:", " 27"), ("A multiple of 10:", " 70"), ("A multiple of 4:", " 16"),
        ("A multiple of 25:", " 75"), ("A multiple of 6:", " 66"),
    )  # fmt: skip

    name: Literal["multiples"] = "multiples"

    def candidates(self) -> list[str]:
        return [f"A multiple of {number}:" for number in range(3, 167)]

    def answers(self, question: str) -> dict[str, float]:
        number = int(question.removesuffix(":").split()[-1])
        return {f" {multiple}": 1.0 for multiple in range(2 * number, 1000, number)}

    def well_formed(self, answer: str) -> bool:
        return is_number(answer)
