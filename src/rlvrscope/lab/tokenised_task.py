"""A text task in the tokens of a pretrained model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import InputError
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.tasks import AnyTask, Task, TextTask
from rlvrscope.lab.tasks.task import Split, Tokens
from rlvrscope.lab.token_tree import lengths, padded
from rlvrscope.lab.tree_policy import TreePolicy
from rlvrscope.lab.vocabulary import Vocabulary, other_spellings

MAX_ANSWERS = 1000
"""Right answers of a prompt, all of which are scored."""
MAX_SPELLINGS = 512
"""Spellings of a prompt's right answers that are scored; where there are more, only the tokenizer's own are."""


def tokenised(task: AnyTask, base: Policy) -> Task:
    """The task in the base's tokens. Raises InputError if it does not fit in the base's context."""
    if not isinstance(task, TextTask):
        return task
    assert isinstance(base, TreePolicy)  # a recipe pairs text tasks with pretrained models
    name = base.config.pretrained
    tokenised = TokenisedTask(task, Vocabulary.of(name, base.tokenizer, base.ends), base.vocab_size)
    longest = tokenised.prompt_length + tokenised.completion_length
    if longest > base.context:
        raise InputError(f"task {task.name!r} needs {longest} tokens a row, and {name} holds {base.context}")
    return tokenised


@dataclass(frozen=True, eq=False)
class TokenisedTask:
    """A `Task`: a right completion is a spelling of a right answer, then any stop."""

    task: TextTask
    vocabulary: Vocabulary
    vocab_size: int

    @property
    def stops(self) -> tuple[int, ...]:
        return self.vocabulary.stops

    @property
    def prompt_length(self) -> int:
        return self._longest[0]

    @property
    def completion_length(self) -> int:
        """Tokens of the longest right answer in the tokenizer's own spelling, and its stop."""
        return self._longest[1]

    def prompts(self, count: int, split: Split, rng: np.random.Generator) -> Tokens:
        questions = self.task.questions(split)
        if len(questions) < count:
            raise InputError(
                f"task {self.task.name!r} has {len(questions)} {split} prompts, and {count} are needed: ask for fewer, "
                "or set task.held_out_share"
            )
        drawn = [questions[place] for place in rng.permutation(len(questions))[:count]]
        return padded([self._prompt_ids(question) for question in drawn], self.prompt_length)

    def rewards(self, prompts_BT: Tokens, completions_BT: Tokens) -> Floats:
        rewards_B = np.zeros(len(prompts_BT))
        for row, (prompt_T, completion_T) in enumerate(zip(prompts_BT, completions_BT, strict=True)):
            answer = self._answer(completion_T)
            rewards_B[row] = 0.0 if answer is None else self._answers(prompt_T).get(answer, 0.0)
        return rewards_B

    def solutions(self, prompt_T: Tokens) -> Tokens:
        spelled = self._all_spelled(prompt_T)
        if spelled is None:
            spelled = [self.vocabulary.ids(answer) for answer in self._answers(prompt_T)]
        return padded([[*tokens, stop] for tokens in spelled for stop in self.stops], self.completion_length)

    def unlisted(self, prompt_T: Tokens) -> Tokens:
        if self._all_spelled(prompt_T) is not None:
            return padded([], self.completion_length)
        own = {answer.encode(): self.vocabulary.ids(answer) for answer in self._answers(prompt_T)}
        return padded(other_spellings(own, self.vocabulary), self.completion_length)

    def answer_numbers(self, completions_XT: Tokens) -> Ints:
        texts = [self._answer(completion_T) for completion_T in completions_XT]
        number_of = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        return np.array([number_of[text] for text in texts], dtype=np.int64)

    def well_formed(self, completions_BT: Tokens) -> float:
        """Share of completions that stop after an answer of the task's form."""
        answers = [self._answer(completion_T) for completion_T in completions_BT]
        return float(np.mean([answer is not None and self.task.well_formed(answer) for answer in answers]))

    def question(self, prompt_T: Tokens) -> str:
        """The question that a prompt asks."""
        return self._question_of[tuple(_real(prompt_T))]

    def text(self, tokens_T: Tokens) -> str:
        return self.vocabulary.text(_real(tokens_T)).decode(errors="replace")

    @cached_property
    def _question_of(self) -> dict[tuple[int, ...], str]:
        questions = [*self.task.questions("train"), *self.task.questions("held_out")]
        return {tuple(self._prompt_ids(question)): question for question in questions}

    @cached_property
    def _longest(self) -> tuple[int, int]:
        """Tokens of the longest prompt, and of the longest right answer with its stop."""
        answers = {answer for question in self._question_of.values() for answer in self.task.answers(question)}
        return max(map(len, self._question_of)), 1 + max(len(self.vocabulary.ids(answer)) for answer in answers)

    def _prompt_ids(self, question: str) -> list[int]:
        return self.vocabulary.prompt_ids(self.task.prompt(question))

    def _answers(self, prompt_T: Tokens) -> dict[str, float]:
        answers = self.task.answers(self.question(prompt_T))
        if len(answers) > MAX_ANSWERS:
            raise InputError(
                f"task {self.task.name!r}: {self.text(prompt_T)!r} has {len(answers):,} right answers; at most "
                f"{MAX_ANSWERS:,} are listed"
            )
        return answers

    def _answer(self, completion_T: Tokens) -> str | None:
        """Answer that a completion gives; None if it does not stop, or is no text."""
        answer = self.vocabulary.answer(_real(completion_T))
        try:
            return None if answer is None else answer.decode()
        except UnicodeDecodeError:
            return None

    def _all_spelled(self, prompt_T: Tokens) -> list[list[int]] | None:
        """Spellings of the right answers, answer by answer, that a completion has room for; None if too many."""
        answers, spelled = self._answers(prompt_T), []
        for answer in answers:
            spellings = self.vocabulary.spellings(answer.encode(), MAX_SPELLINGS - len(spelled))
            if spellings is None:
                return None
            spelled += [tokens for tokens in spellings if len(tokens) < self.completion_length]
        return spelled


def _real(tokens_T: Tokens) -> list[int]:
    """Tokens before the padding."""
    return tokens_T[: int(lengths(tokens_T[None])[0])].tolist()
