"""Line: get from one number to another in a fixed number of steps, with the allowed operations.

    prompt      allowed operations, start, target, SEP              +1 +7 x2 //2 | 3 -> 20 :
    completion  `steps` pairs of (operation, resulting value)        x2 6 +7 13 +7 20 ...

A completion is correct if every operation is allowed, stays within 0..49 and is computed correctly, and the last
value is the target. Two of the eight operations are rare in demonstrations, so the base model seldom uses them; every
prompt allows at least one of them. A correct completion scores 1 with a rare operation and `common_reward` without
one: the task is graded if `common_reward` is below 1.
"""

from __future__ import annotations

import itertools
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

OPERATIONS = ("+1", "-1", "+3", "-4", "+7", "-9", "x2", "//2")
RARE = (6, 7)
VALUES = 50
FIRST_VALUE = len(OPERATIONS)
SEP = FIRST_VALUE + VALUES
NAMES = [*OPERATIONS, *map(str, range(VALUES)), ":"]


def _results() -> Ints:
    """Table (operation, value) -> result, or ILLEGAL."""
    x = np.arange(VALUES)
    raw = np.stack([x + 1, x - 1, x + 3, x - 4, x + 7, x - 9, x * 2, x // 2])
    return np.where((raw >= 0) & (raw < VALUES), raw, ILLEGAL)


_RESULTS_OV = _results()


class Line(TokenTask):
    """The task; also its [task] section of a recipe."""

    name: Literal["line"] = "line"
    steps: int = Field(default=5, ge=1, le=14)
    """Operations in a completion; allowed^steps sequences are enumerated."""
    allowed: int = Field(default=4, ge=2, le=len(OPERATIONS))
    """Number of operations that a prompt allows."""
    rare_weight: Weight = 0.1
    """Weight of a rare operation (1 for a common one) in the random walks that are demonstrations."""
    problem_rare_weight: Weight = 0.4
    """The same weight in the walks that prompts for training and evaluation come from. Above rare_weight, more prompts
    need a rare operation than the base model expects."""
    common_reward: CommonReward = 1.0
    """Reward of a correct completion without a rare operation."""
    held_out_share: HeldOutShare = 0.1
    """Share of all prompts, chosen by hash, that is held out from pre-training and RL."""

    @model_validator(mode="after")
    def _can_be_listed(self) -> Self:
        check_sequences(self.allowed**self.steps, f"{self.steps} steps of {self.allowed} allowed operations")
        return self

    @property
    def vocab_size(self) -> int:
        return SEP + 1

    @property
    def prompt_length(self) -> int:
        return self.allowed + 3

    @property
    def completion_length(self) -> int:
        return 2 * self.steps

    def pretraining(self) -> Line:
        return with_defaults(self, "problem_rare_weight", "common_reward")

    def prompts(self, count: int, split: Split, rng: np.random.Generator) -> Tokens:
        walk = partial(self._walks, self.problem_rare_weight, rng)
        return distinct_prompts(walk, self.prompt_length, count, split, self.held_out_share)

    def demonstrations(self, count: int, rng: np.random.Generator) -> Tokens:
        walk = partial(self._walks, self.rare_weight, rng)
        return worked_examples(walk, self.prompt_length, count, self.held_out_share)

    def rewards(self, prompts_BT: Tokens, completions_BT: Tokens) -> Floats:
        menu_BA, value_B, target_B = self._read_prompts(prompts_BT)
        operations_BT, claims_BT = completions_BT[:, 0::2], completions_BT[:, 1::2] - FIRST_VALUE
        correct_B = np.ones(len(prompts_BT), dtype=bool)
        for operation_B, claim_B in zip(operations_BT.T, claims_BT.T, strict=True):
            correct_B &= (menu_BA == operation_B[:, None]).any(axis=1)
            result_B = _RESULTS_OV[np.where(correct_B, operation_B, 0), np.where(correct_B, value_B, 0)]
            correct_B &= (result_B != ILLEGAL) & (result_B == claim_B)
            value_B = result_B
        score_B = np.where(np.isin(operations_BT, RARE).any(axis=1), 1.0, self.common_reward)
        return np.where(correct_B & (value_B == target_B), score_B, 0.0)

    def solutions(self, prompt_T: Tokens) -> Tokens:
        (menu_A,), (start,), (target,) = self._read_prompts(prompt_T[None])
        operations_YT = menu_A[sequences(self.allowed, self.steps)]
        values_YT = np.empty_like(operations_YT)
        value_Y = np.full(len(operations_YT), start)
        for step in range(self.steps):
            result_Y = _RESULTS_OV[operations_YT[:, step], np.maximum(value_Y, 0)]
            value_Y = values_YT[:, step] = np.where(value_Y == ILLEGAL, ILLEGAL, result_Y)
        correct_Y = value_Y == target
        return _pairs(operations_YT[correct_Y], values_YT[correct_Y])

    def text(self, tokens_T: Tokens) -> str:
        return read_out(tokens_T, NAMES)

    def _walks(self, rare_weight: float, rng: np.random.Generator, draws: int) -> Tokens:
        """Random walks as prompt and completion, without those that end early in a dead end."""
        menus = _menus(self.allowed)
        menu_BA = menus[rng.integers(len(menus), size=draws)]
        start_B = value_B = rng.integers(VALUES, size=draws)
        weight_BA = np.where(np.isin(menu_BA, RARE), rare_weight, 1.0)
        operations, values = [], []
        for _ in range(self.steps):
            result_BA = _RESULTS_OV[menu_BA, np.maximum(value_B, 0)[:, None]]
            legal_BA = (result_BA != ILLEGAL) & (value_B != ILLEGAL)[:, None]
            choice_B = choose(np.where(legal_BA, weight_BA, 0.0), rng)
            value_B = np.where(choice_B == ILLEGAL, ILLEGAL, result_BA[np.arange(draws), choice_B])
            operations.append(menu_BA[np.arange(draws), choice_B])
            values.append(value_B)
        prompt = np.column_stack([menu_BA, FIRST_VALUE + start_B, FIRST_VALUE + value_B, np.full(draws, SEP)])
        walks_BT = np.concatenate([prompt, _pairs(np.stack(operations, 1), np.stack(values, 1))], axis=1)
        return walks_BT[value_B != ILLEGAL]

    def _read_prompts(self, prompts_BT: Tokens) -> tuple[Tokens, Tokens, Tokens]:
        """Return allowed operations, start and target."""
        values_B2 = prompts_BT[:, self.allowed : self.allowed + 2] - FIRST_VALUE
        return prompts_BT[:, : self.allowed], values_B2[:, 0], values_B2[:, 1]


@cache
def _menus(allowed: int) -> Ints:
    """All sets of `allowed` operations that contain a rare one."""
    menus = itertools.combinations(range(len(OPERATIONS)), allowed)
    return np.array([menu for menu in menus if set(menu) & set(RARE)])


def _pairs(operations_BT: Tokens, values_BT: Tokens) -> Tokens:
    rows, steps = operations_BT.shape  # reshape with explicit sizes: there may be no rows
    return np.stack([operations_BT, values_BT + FIRST_VALUE], axis=2).reshape(rows, 2 * steps)
