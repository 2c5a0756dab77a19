"""Countdown: reach a target from given numbers, each used once, left to right, writing every intermediate result.

    prompt      the numbers in ascending order, target, SEP         2 3 5 14 | 11 :
    completion  a number, then (operation, number, result) each     5 x 3 15 - 2 13 ...

A completion is correct if it uses exactly the given numbers, every operation is allowed, stays within 0..63 and is
computed correctly, and the last result is the target. x is the rare operation: with a low weight in demonstrations the
base model seldom uses it. A correct completion scores 1 with x and `common_reward` without it: the task is graded if
`common_reward` is below 1.
"""

from __future__ import annotations

import itertools
import math
from functools import cache, partial
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from rlvrscope.arrays import Floats, Ints
from rlvrscope.lab.tasks.task import (
    CommonReward,
    HeldOutShare,
    Split,
    Tokens,
    TokenTask,
    Weight,
    read_out,
    with_defaults,
)
from rlvrscope.lab.tasks.walks import ILLEGAL, check_sequences, choose, distinct_prompts, sequences, worked_examples

Operation = Literal["+", "-", "x"]
OPERATIONS: tuple[Operation, ...] = ("+", "-", "x")
RARE: Operation = "x"
VALUES = 64
"""Values 0 to 63. Each is its own token, so the hash that splits prompts distinguishes all of them."""
FIRST_OPERATION = VALUES
SEP = FIRST_OPERATION + len(OPERATIONS)
NAMES = [*map(str, range(VALUES)), *OPERATIONS, ":"]


def _results() -> Ints:
    """Table (operation, value, number) -> result, or ILLEGAL."""
    x, y = np.arange(VALUES)[:, None], np.arange(VALUES)
    raw = np.stack([x + y, x - y, x * y])
    return np.where((raw >= 0) & (raw < VALUES), raw, ILLEGAL)


_RESULTS_OVV = _results()


class Countdown(TokenTask):
    """The task; also its [task] section of a recipe."""

    name: Literal["countdown"] = "countdown"
    numbers: int = Field(default=4, ge=2, le=7)
    """Numbers in a prompt; numbers! x operations^(numbers - 1) sequences are enumerated."""
    largest: int = Field(default=15, ge=1, lt=VALUES)
    """Largest number; numbers are drawn from 1 to this."""
    operations: tuple[Operation, ...] = Field(default=OPERATIONS, min_length=1)
    rare_weight: Weight = 1.0
    """Weight of x (1 for the others) in the random walks that are demonstrations."""
    problem_rare_weight: Weight = 1.0
    """The same weight in the walks that prompts for training and evaluation come from. Above rare_weight, more prompts
    need x than the base model expects."""
    common_reward: CommonReward = 1.0
    """Reward of a correct completion without x."""
    held_out_share: HeldOutShare = 0.1
    """Share of all prompts, chosen by hash, that is held out from pre-training and RL."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.operations)) < len(self.operations):
            raise ValueError(f"operations must not repeat; got {list(self.operations)}")
        if RARE not in self.operations and self.common_reward < 1.0:
            raise ValueError(f"common_reward below 1 needs {RARE!r} among the operations; got {list(self.operations)}")
        count = math.factorial(self.numbers) * len(self.operations) ** (self.numbers - 1)
        check_sequences(count, f"{self.numbers} numbers and {len(self.operations)} operations")
        return self

    @property
    def vocab_size(self) -> int:
        return SEP + 1

    @property
    def prompt_length(self) -> int:
        return self.numbers + 2

    @property
    def completion_length(self) -> int:
        return 3 * self.numbers - 2

    def pretraining(self) -> Countdown:
        return with_defaults(self, "problem_rare_weight", "common_reward")

    def prompts(self, count: int, split: Split, rng: np.random.Generator) -> Tokens:
        walk = partial(self._walks, self.problem_rare_weight, rng)
        return distinct_prompts(walk, self.prompt_length, count, split, self.held_out_share)

    def demonstrations(self, count: int, rng: np.random.Generator) -> Tokens:
        walk = partial(self._walks, self.rare_weight, rng)
        return worked_examples(walk, self.prompt_length, count, self.held_out_share)

    def rewards(self, prompts_BT: Tokens, completions_BT: Tokens) -> Floats:
        numbers_BN = np.column_stack([completions_BT[:, 0], completions_BT[:, 2::3]])
        correct_B = (np.sort(numbers_BN, axis=1) == prompts_BT[:, : self.numbers]).all(axis=1)
        operations_BM, claims_BM = completions_BT[:, 1::3] - FIRST_OPERATION, completions_BT[:, 3::3]
        correct_B &= np.isin(operations_BM, self._operations).all(axis=1)
        value_B = np.where(correct_B, numbers_BN[:, 0], 0)
        for operation_B, number_B, claim_B in zip(operations_BM.T, numbers_BN.T[1:], claims_BM.T, strict=True):
            result_B = _RESULTS_OVV[np.where(correct_B, operation_B, 0), value_B, np.where(correct_B, number_B, 0)]
            correct_B &= (result_B != ILLEGAL) & (result_B == claim_B)
            value_B = np.where(correct_B, result_B, 0)
        score_B = np.where((operations_BM == OPERATIONS.index(RARE)).any(axis=1), 1.0, self.common_reward)
        return np.where(correct_B & (value_B == prompts_BT[:, self.numbers]), score_B, 0.0)

    def solutions(self, prompt_T: Tokens) -> Tokens:
        orders_XN, choices_ZM = _orders(self.numbers), sequences(len(self.operations), self.numbers - 1)
        numbers_YN = prompt_T[np.repeat(orders_XN, len(choices_ZM), axis=0)]
        operations_YM = self._operations[np.tile(choices_ZM, (len(orders_XN), 1))]
        values_YM = np.empty_like(operations_YM)
        value_Y = numbers_YN[:, 0]
        for step, operation_Y in enumerate(operations_YM.T):
            result_Y = _RESULTS_OVV[operation_Y, np.maximum(value_Y, 0), numbers_YN[:, step + 1]]
            value_Y = values_YM[:, step] = np.where(value_Y == ILLEGAL, ILLEGAL, result_Y)
        correct_Y = value_Y == prompt_T[self.numbers]
        completions_YT = _completions(numbers_YN[correct_Y], operations_YM[correct_Y], values_YM[correct_Y])
        return np.unique(completions_YT, axis=0)  # equal numbers can be swapped

    def text(self, tokens_T: Tokens) -> str:
        return read_out(tokens_T, NAMES)

    @property
    def _operations(self) -> Ints:
        """Indices into OPERATIONS of the operations of this task."""
        return np.array([OPERATIONS.index(name) for name in self.operations])

    def _walks(self, rare_weight: float, rng: np.random.Generator, draws: int) -> Tokens:
        """Random numbers with a random legal operation between each two, without those that end early in a dead end."""
        numbers_BN = rng.integers(1, self.largest + 1, size=(draws, self.numbers))
        weight_O = np.array([rare_weight if name == RARE else 1.0 for name in self.operations])
        value_B = numbers_BN[:, 0]
        operations, values = [], []
        for number_B in numbers_BN.T[1:]:
            result_BO = _RESULTS_OVV[self._operations, np.maximum(value_B, 0)[:, None], number_B[:, None]]
            legal_BO = (result_BO != ILLEGAL) & (value_B != ILLEGAL)[:, None]
            choice_B = choose(np.where(legal_BO, weight_O, 0.0), rng)
            value_B = np.where(choice_B == ILLEGAL, ILLEGAL, result_BO[np.arange(draws), choice_B])
            operations.append(self._operations[choice_B])
            values.append(value_B)
        prompt = np.column_stack([np.sort(numbers_BN, axis=1), value_B, np.full(draws, SEP)])
        completion = _completions(numbers_BN, np.stack(operations, 1), np.stack(values, 1))
        return np.concatenate([prompt, completion], axis=1)[value_B != ILLEGAL]


@cache
def _orders(numbers: int) -> Ints:
    """(numbers!, numbers) all permutations."""
    return np.array(list(itertools.permutations(range(numbers))))


def _completions(numbers_BN: Tokens, operations_BM: Tokens, values_BM: Tokens) -> Tokens:
    triples_BM3 = np.stack([operations_BM + FIRST_OPERATION, numbers_BN[:, 1:], values_BM], axis=2)
    return np.concatenate([numbers_BN[:, :1], triples_BM3.reshape(len(numbers_BN), 3 * operations_BM.shape[1])], axis=1)
