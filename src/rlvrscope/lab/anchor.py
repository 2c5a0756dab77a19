"""Anchor: a supervised loss on correct answers sampled from the base."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlvrscope.errors import WorkError
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.sampler import sample
from rlvrscope.lab.tasks import MIN_CORRECT_REWARD, Task
from rlvrscope.lab.tasks.task import Tokens
from rlvrscope.lab.token_tree import PAD

SAMPLES = 8
"""Completions sampled from the base per training prompt."""
_PROMPTS = 512


@dataclass(frozen=True)
class Anchor:
    """A correct completions of the base, grouped by the M prompts that have one."""

    prompts_MT: Tensor
    completions_AT: Tensor
    first_M: NDArray[np.int64]
    """(M + 1,) index of the first completion of each prompt, then their total number."""

    @classmethod
    def of(cls, base: Policy, task: Task, prompts_PT: Tokens, rng: np.random.Generator) -> Anchor:
        """Sample SAMPLES completions per prompt and keep the correct ones. Raises WorkError if there are none."""
        drawn = []
        for part_PT in np.array_split(prompts_PT, -(-len(prompts_PT) // _PROMPTS)):
            rollouts = sample(base, torch.from_numpy(part_PT), task.completion_length, SAMPLES, rng, stops=task.stops)
            drawn.append(rollouts.completions_BT.cpu().numpy())
        completions_BT = np.concatenate(drawn)
        correct_B = task.rewards(np.repeat(prompts_PT, SAMPLES, axis=0), completions_BT) >= MIN_CORRECT_REWARD
        count_P = correct_B.reshape(-1, SAMPLES).sum(axis=1)
        if not correct_B.any():
            raise WorkError("train.anchor_coef needs correct answers of the base, and none was sampled. Set it to 0.")
        first_M = np.concatenate([[0], np.cumsum(count_P[count_P > 0])])
        prompts_MT = torch.from_numpy(prompts_PT[count_P > 0]).to(base.device)
        return cls(prompts_MT, torch.from_numpy(completions_BT[correct_B]).to(base.device), first_M)

    def loss(self, model: Policy, prompts: int, rng: np.random.Generator) -> Tensor:
        """Mean negative log-likelihood, nats per token, of one completion of each of `prompts` random prompts."""
        prompt_B = rng.integers(len(self.prompts_MT), size=prompts)
        answer_B = rng.integers(self.first_M[prompt_B], self.first_M[prompt_B + 1])
        index_B, chosen_B = (torch.from_numpy(rows).to(model.device) for rows in (prompt_B, answer_B))
        completions_BT = self.completions_AT[chosen_B]
        scores = model.score(self.prompts_MT[index_B], completions_BT, torch.arange(prompts, device=model.device))
        return -scores.logp_KBT[0][completions_BT != PAD].mean()
