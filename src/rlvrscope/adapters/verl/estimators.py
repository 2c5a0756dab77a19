"""Advantage estimators: verl's batch of outputs -> advantages of `rlvrscope.objectives`, before the signs are weighted.

The signs are weighted in the loss (`losses`), so that verl's own metrics show all advantages. Groups of equal rewards
get exactly 0, which verl's GRPO does not give for rewards such as 0.1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlvrscope.arrays import Ints
from rlvrscope.objectives import Objective, advantages_by_group

VerlEstimator = Callable[..., tuple[Tensor, Tensor]]
"""(token_level_rewards, response_mask, index, config) -> (advantages, returns), each (B, T)"""
_output_keys: ContextVar[Sequence[str] | None] = ContextVar("output_keys", default=None)


@contextlib.contextmanager
def outputs(keys: Sequence[str]) -> Iterator[None]:
    """Say which output each row is, by verl's keys {uid}_{session}_{index}; without this, each row is a rollout."""
    token = _output_keys.set(keys)
    try:
        yield
    finally:
        _output_keys.reset(token)


def final_outputs(keys: Sequence[str]) -> tuple[Ints, Ints]:
    """Rows of the last output of each session (N,), and the place among them of each row's session (B,).

    One session of an agent may leave several outputs. As in verl's GRPO only the last one is compared with its group,
    and all of them share its advantage.

    >>> final_outputs(["a_0_0", "a_1_0", "a_1_1"])
    (array([0, 2]), array([0, 1, 1]))
    """
    last: dict[str, tuple[int, int]] = {}
    sessions = []
    for row, key in enumerate(keys):
        session, _, index = key.rpartition("_")
        sessions.append(session)
        last[session] = max(last.get(session, (-1, -1)), (int(index), row))
    places = {session: place for place, session in enumerate(last)}
    return np.array([row for _, row in last.values()]), np.array([places[session] for session in sessions])


def estimator(objective: Objective) -> VerlEstimator:
    """Return the estimator to register for an objective."""
    unsigned = objective.replace(positive_weight=1.0, negative_weight=1.0)

    def estimate(
        token_level_rewards: Tensor, response_mask: Tensor, index: Sequence[Hashable], **_: Any
    ) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            rewards_B = token_level_rewards.sum(dim=-1)
            labels_B = np.unique(np.asarray(index, dtype=str), return_inverse=True)[1]
            keys = _output_keys.get()
            rows_N, place_B = final_outputs(keys) if keys else (np.arange(len(labels_B)),) * 2
            advantages_N = advantages_by_group(rewards_B[torch.as_tensor(rows_N)], labels_B[rows_N], unsigned)
            advantages_BT = advantages_N[torch.as_tensor(place_B)].unsqueeze(-1) * response_mask
        return advantages_BT, advantages_BT

    return estimate
