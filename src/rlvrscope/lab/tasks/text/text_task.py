"""The interface of a task in text: questions after a few solved examples, with all right answers of each."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from functools import cached_property
from typing import Any, ClassVar

from rlvrscope.config import Section
from rlvrscope.lab.tasks.task import HeldOutShare, Split
from rlvrscope.problem import Problem


class TextTask(Section):
    """Questions that are all listed. An answer is the text between the question and the end of its line.

    A prompt is the examples and the question, one a line; it ends where the answer, with its leading space, begins.
    """

    EXAMPLES: ClassVar[tuple[tuple[str, str], ...]]
    """Questions with an answer of each, the head of every prompt; never asked."""

    name: Any
    held_out_share: HeldOutShare = 0.4
    """Share of all questions, chosen by hash, that is held out from RL."""

    @abstractmethod
    def candidates(self) -> list[str]:
        """All questions, the examples' among them."""

    @abstractmethod
    def answers(self, question: str) -> dict[str, float]:
        """Right answers to a question, none empty, and their rewards: at least MIN_CORRECT_REWARD, 1 for the best."""

    @abstractmethod
    def well_formed(self, answer: str) -> bool:
        """Whether an answer, right or wrong, has the form that the examples show."""

    def questions(self, split: Split) -> list[str]:
        """Questions of one split, by a hash of each (BLAKE2b)."""
        return [question for question in self._asked if self._held_out(question) == (split == "held_out")]

    def prompt(self, question: str) -> str:
        return "\n".join([*(f"{example}{answer}" for example, answer in self.EXAMPLES), question])

    def problem(self, question: str) -> Problem:
        """A question as a problem: an answer must be the whole text, letter by letter."""
        first, *others = self.answers(question)
        metadata = {"lab": self.model_dump(mode="json"), "also": others, "forms": ["whole"], "verbatim": True}
        return Problem(question, self.prompt(question), first, "exact", metadata=metadata)

    @cached_property
    def _asked(self) -> list[str]:
        examples = {question for question, _ in self.EXAMPLES}
        return [question for question in self.candidates() if question not in examples]

    def _held_out(self, question: str) -> bool:
        code = int.from_bytes(hashlib.blake2b(question.encode(), digest_size=8).digest(), "little")
        return code < int(self.held_out_share * 2**64)
