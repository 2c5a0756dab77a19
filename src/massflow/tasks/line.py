"""Line: get from one number to another in a fixed number of steps, with the operations allowed.

    prompt      four allowed operations, start, target, SEP         +1 +7 x2 //2 | 3 -> 20 :
    completion  `steps` pairs of (operation, value it gives)        x2 6 +7 13 +7 20 ...

A completion is right if every operation is allowed, stays within 0..49 and is computed correctly, and the last
value is the target. Two of the eight operations are rare in demonstrations, and every prompt allows at least one
of them: the base model knows them, but seldom uses them.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from massflow.config import Section
from massflow.errors import InputError
from massflow.tasks.task import Split, Tokens

OPERATIONS = ("+1", "-1", "+3", "-4", "+7", "-9", "x2", "//2")
RARE = (6, 7)
ALLOWED = 4
"""Operations a prompt allows."""
VALUES = 50
FIRST_VALUE = len(OPERATIONS)
SEP = FIRST_VALUE + VALUES
ILLEGAL = -1
_TRIES = 64

_MENUS = np.array([menu for menu in itertools.combinations(range(len(OPERATIONS)), ALLOWED) if set(menu) & set(RARE)])


def _results() -> NDArray[np.int64]:
    """(operation, value) -> the value it gives, or ILLEGAL."""
    x = np.arange(VALUES)
    raw = np.stack([x + 1, x - 1, x + 3, x - 4, x + 7, x - 9, x * 2, x // 2])
    return np.where((raw >= 0) & (raw < VALUES), raw, ILLEGAL)


_RESULTS_OV = _results()


class Line(Section):
    """The task and its knobs; also its section of a recipe."""

    name: Literal["line"] = "line"
    steps: int = Field(default=5, ge=1, le=7)
    """Operations in a completion; there are 4^steps sequences of them to enumerate."""
    rare_weight: float = Field(default=0.1, gt=0.0, le=1.0)
    """Weight of a rare operation against 1 for a common one, in the random walks that are demonstrations."""
    problem_rare_weight: float = Field(default=0.4, gt=0.0, le=1.0)
    """The same in the walks that prompts for training and evaluation are made from: above rare_weight, more
    prompts need a rare operation than the base model expects."""
    held_out_share: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Share of all prompts, by hash, kept from pre-training and RL for evaluation."""

    @property
    def vocab_size(self) -> int:
        return SEP + 1

    @property
    def prompt_length(self) -> int:
        return ALLOWED + 3

    @property
    def completion_length(self) -> int:
        return 2 * self.steps

    def prompts(self, count: int, split: Split, rng: np.random.Generator) -> Tokens:
        found = np.zeros((0, self.prompt_length), dtype=np.int64)
        for _ in range(_TRIES):
            walks_BT = self._walks(2 * count + 256, split, self.problem_rare_weight, rng)
            found = np.concatenate([found, walks_BT[:, : self.prompt_length]])
            _, first = np.unique(found, axis=0, return_index=True)
            found = found[np.sort(first)]
            if len(found) >= count:
                return found[:count]
        raise InputError(f"only {len(found)} different {split} prompts were found, not {count}: ask for fewer")

    def demonstrations(self, count: int, rng: np.random.Generator) -> Tokens:
        found = np.zeros((0, self.prompt_length + self.completion_length), dtype=np.int64)
        for _ in range(_TRIES):
            found = np.concatenate([found, self._walks(count + count // 4 + 16, "train", self.rare_weight, rng)])
            if len(found) >= count:
                return found[:count]
        raise InputError(f"{count} demonstrations were not found in {_TRIES} tries: lower task.held_out_share")

    def rewards(self, prompts_BT: Tokens, completions_BT: Tokens) -> NDArray[np.float64]:
        menu_B4, value_B, target_B = _read_prompts(prompts_BT)
        operations_BT, claims_BT = completions_BT[:, 0::2], completions_BT[:, 1::2] - FIRST_VALUE
        right_B = np.ones(len(prompts_BT), dtype=bool)
        for operation_B, claim_B in zip(operations_BT.T, claims_BT.T, strict=True):
            right_B &= (menu_B4 == operation_B[:, None]).any(axis=1)
            result_B = _RESULTS_OV[np.where(right_B, operation_B, 0), np.where(right_B, value_B, 0)]
            right_B &= (result_B != ILLEGAL) & (result_B == claim_B)
            value_B = result_B
        return (right_B & (value_B == target_B)).astype(np.float64)

    def solutions(self, prompt_T: Tokens) -> Tokens:
        (menu_4,), (start,), (target,) = _read_prompts(prompt_T[None])
        operations_YT = menu_4[_sequences(self.steps)]
        values_YT = np.empty_like(operations_YT)
        value_Y = np.full(len(operations_YT), start)
        for step in range(self.steps):
            result_Y = _RESULTS_OV[operations_YT[:, step], np.maximum(value_Y, 0)]
            value_Y = values_YT[:, step] = np.where(value_Y == ILLEGAL, ILLEGAL, result_Y)
        right_Y = value_Y == target
        return _pairs(operations_YT[right_Y], values_YT[right_Y])

    def text(self, tokens_T: Tokens) -> str:
        names = [*OPERATIONS, *map(str, range(VALUES)), ":"]
        return " ".join(names[token] if 0 <= token < len(names) else "?" for token in tokens_T)

    def _walks(self, draws: int, split: Split, rare_weight: float, rng: np.random.Generator) -> Tokens:
        """Random walks of one split, prompt and completion; those that meet a dead end are dropped."""
        menu_B4 = _MENUS[rng.integers(len(_MENUS), size=draws)]
        start_B = value_B = rng.integers(VALUES, size=draws)
        weight_B4 = np.where(np.isin(menu_B4, RARE), rare_weight, 1.0)
        operations, values = [], []
        for _ in range(self.steps):
            result_B4 = _RESULTS_OV[menu_B4, np.maximum(value_B, 0)[:, None]]
            legal_B4 = np.where((result_B4 != ILLEGAL) & (value_B != ILLEGAL)[:, None], weight_B4, 0.0)
            edges_B4 = np.cumsum(legal_B4, axis=1)
            draw_B1 = rng.random(draws)[:, None] * edges_B4[:, -1:]
            choice_B1 = np.minimum((edges_B4 <= draw_B1).sum(axis=1, keepdims=True), ALLOWED - 1)
            stuck_B = edges_B4[:, -1] == 0.0
            value_B = np.where(stuck_B, ILLEGAL, np.take_along_axis(result_B4, choice_B1, axis=1)[:, 0])
            operations.append(np.take_along_axis(menu_B4, choice_B1, axis=1)[:, 0])
            values.append(value_B)
        separator_B = np.full(draws, SEP)
        prompt = np.column_stack([menu_B4, FIRST_VALUE + start_B, FIRST_VALUE + value_B, separator_B])
        walks_BT = np.concatenate([prompt, _pairs(np.stack(operations, 1), np.stack(values, 1))], axis=1)
        return walks_BT[(value_B != ILLEGAL) & (self._held_out(prompt) == (split == "held_out"))]

    def _held_out(self, prompts_BT: Tokens) -> NDArray[np.bool_]:
        """Whether a prompt is held out: a fixed hash (splitmix64) of its content, the same in every run."""
        x = np.zeros(len(prompts_BT), dtype=np.uint64)
        for column in prompts_BT.T:
            x = x * np.uint64(64) + column.astype(np.uint64)
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
        return x < np.uint64(int(self.held_out_share * 2**64))


@cache
def _sequences(steps: int) -> NDArray[np.int64]:
    """(4^steps, steps): every sequence of choices from a menu."""
    return np.array(list(itertools.product(range(ALLOWED), repeat=steps)))


def _pairs(operations_BT: Tokens, values_BT: Tokens) -> Tokens:
    return np.stack([operations_BT, values_BT + FIRST_VALUE], axis=2).reshape(len(operations_BT), -1)


def _read_prompts(prompts_BT: Tokens) -> tuple[Tokens, Tokens, Tokens]:
    """The allowed operations, the start and the target."""
    values_B2 = prompts_BT[:, ALLOWED : ALLOWED + 2] - FIRST_VALUE
    return prompts_BT[:, :ALLOWED], values_B2[:, 0], values_B2[:, 1]
