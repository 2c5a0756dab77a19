"""The anchor: a supervised pull towards right answers that the base itself gave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlvrscope.errors import WorkError
from rlvrscope.lab.model import Transformer, token_logp
from rlvrscope.lab.sampler import sample
from rlvrscope.lab.tasks import RIGHT, Task
from rlvrscope.lab.tasks.task import Tokens

SAMPLES = 8
"""Answers drawn from the base for each training prompt."""
_PROMPTS = 512


@dataclass(frozen=True)
class Anchor:
    """Right answers of the base, A of them, by the M prompts that have one."""

    prompts_MT: Tensor
    completions_AT: Tensor
    first_M: NDArray[np.int64]
    """Where each prompt's answers begin, and at the end how many there are: (M + 1,)."""

    @classmethod
    def of(cls, base: Transformer, task: Task, prompts_PT: Tokens, rng: np.random.Generator) -> Anchor:
        """Draw SAMPLES answers a prompt and keep the right ones. Raises WorkError if the base gives none."""
        drawn = []
        for part_PT in np.array_split(prompts_PT, -(-len(prompts_PT) // _PROMPTS)):
            rollouts = sample(base, torch.from_numpy(part_PT), task.completion_length, SAMPLES, rng)
            drawn.append(rollouts.completions_BT.cpu().numpy())
        completions_BT = np.concatenate(drawn)
        right_B = task.rewards(np.repeat(prompts_PT, SAMPLES, axis=0), completions_BT) >= RIGHT
        count_P = right_B.reshape(-1, SAMPLES).sum(axis=1)
        if not right_B.any():
            raise WorkError("train.anchor_coef needs right answers of the base, and it gave none. Set it to 0.")
        first_M = np.concatenate([[0], np.cumsum(count_P[count_P > 0])])
        kept_MT = torch.from_numpy(prompts_PT[count_P > 0]).to(base.device)
        return cls(kept_MT, torch.from_numpy(completions_BT[right_B]).to(base.device), first_M)

    def loss(self, model: Transformer, prompts: int, rng: np.random.Generator) -> Tensor:
        """Mean negative log-likelihood, nats a token, of one answer each of so many prompts, drawn evenly."""
        prompt_B = rng.integers(len(self.prompts_MT), size=prompts)
        answer_B = rng.integers(self.first_M[prompt_B], self.first_M[prompt_B + 1])
        index_B, chosen_B = (torch.from_numpy(rows).to(model.device) for rows in (prompt_B, answer_B))
        completions_BT = self.completions_AT[chosen_B]
        logits_BTV = model.completion_logits(self.prompts_MT[index_B], completions_BT, torch.arange(prompts))
        return -token_logp(logits_BTV, completions_BT).mean()
