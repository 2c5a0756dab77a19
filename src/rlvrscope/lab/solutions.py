"""All correct completions of some prompts: their exact probabilities under a model, and the exact gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlvrscope.arrays import Floats, Ints
from rlvrscope.dynamics import effective_advantage
from rlvrscope.lab.model import Transformer, token_logp
from rlvrscope.lab.tasks import Task
from rlvrscope.lab.tasks.task import Tokens
from rlvrscope.objectives import Objective

_ROWS = 2048
"""Completions scored at a time."""


@dataclass(frozen=True)
class SolutionSet:
    """The Y correct completions of P prompts; row y answers prompt `prompt_Y[y]`, sorted by prompt."""

    prompts_PT: Tensor
    completions_YT: Tensor
    prompt_Y: Ints
    reward_Y: Floats

    @classmethod
    def of(cls, task: Task, prompts_PT: Tokens, device: torch.device) -> SolutionSet:
        solutions = [task.solutions(prompt_T) for prompt_T in prompts_PT]
        prompt_Y = np.repeat(np.arange(len(prompts_PT)), [len(completions_YT) for completions_YT in solutions])
        completions_YT = np.concatenate(solutions)
        reward_Y = task.rewards(prompts_PT[prompt_Y], completions_YT)
        prompts, completions = (torch.from_numpy(tokens).to(device) for tokens in (prompts_PT, completions_YT))
        return cls(prompts, completions, prompt_Y, reward_Y)

    @property
    def problems(self) -> int:
        return len(self.prompts_PT)

    @property
    def optimal_Y(self) -> NDArray[np.bool_]:
        """(Y,) whether the completion has reward 1."""
        return self.reward_Y == 1.0

    @property
    def graded(self) -> bool:
        """Whether correct completions differ in reward."""
        return not self.optimal_Y.all()

    def sum_by_prompt(self, values_Y: Floats) -> Floats:
        return np.bincount(self.prompt_Y, weights=values_Y, minlength=self.problems).astype(np.float64)

    def of_prompts(self, prompts_M: Ints) -> SolutionSet:
        """Completions of some of the prompts, in the given order."""
        end_M = np.searchsorted(self.prompt_Y, prompts_M, side="right")
        count_M = end_M - np.searchsorted(self.prompt_Y, prompts_M)
        within_Y = np.arange(count_M.sum()) - np.repeat(np.cumsum(count_M) - count_M, count_M)
        rows_Y = np.repeat(end_M - count_M, count_M) + within_Y
        index_M, index_Y = (torch.from_numpy(index).to(self.prompts_PT.device) for index in (prompts_M, rows_Y))
        prompt_Y = np.repeat(np.arange(len(prompts_M)), count_M)
        return SolutionSet(self.prompts_PT[index_M], self.completions_YT[index_Y], prompt_Y, self.reward_Y[rows_Y])

    def logp(self, model: Transformer, temperatures: tuple[float, ...] = (1.0,)) -> Tensor:
        """(len(temperatures), Y) log-probability of every correct completion, by teacher forcing."""
        parts: list[list[Tensor]] = [[] for _ in temperatures]
        prompt_Y = torch.from_numpy(self.prompt_Y).to(model.device)
        for completions_BT, prompt_B in zip(self.completions_YT.split(_ROWS), prompt_Y.split(_ROWS), strict=True):
            prompts = slice(int(prompt_B[0]), int(prompt_B[-1]) + 1)
            logits_BTV = model.completion_logits(self.prompts_PT[prompts], completions_BT, prompt_B - prompts.start)
            for part, temperature in zip(parts, temperatures, strict=True):
                part.append(token_logp(logits_BTV, completions_BT, temperature).double().sum(dim=1))
        return torch.stack([torch.cat(part) for part in parts])


@torch.no_grad()
def solution_mass(model: Transformer, solutions: SolutionSet, temperatures: tuple[float, ...] = (1.0,)) -> Floats:
    """(len(temperatures), Y) probability of every correct completion at each temperature."""
    return np.exp(solutions.logp(model, temperatures).cpu().numpy())


def exact_loss(
    model: Transformer, solutions: SolutionSet, objective: Objective, group_size: int, length: int
) -> Tensor:
    """Scalar whose gradient is the expectation of the on-policy gradient over all groups of `group_size` rollouts.

        -1/(P T) sum_p sum_c At_c P_c,   At_c = E[A_i | rollout i is of class c], constant

    A class c is all completions of one reward (wrong: 0), P_c its mass and At_c its effective advantage at the current
    masses. T is `length`, the tokens per completion, by which every aggregation divides when lengths are equal.
    Source: E[(1/G) sum_i A_i grad log pi(y_i)] = sum_c At_c grad P_c.
    """
    mass_Y = solutions.logp(model)[0].exp()
    rewards = np.unique(solutions.reward_Y)
    class_Y = np.searchsorted(rewards, solutions.reward_Y)
    cell_Y = torch.from_numpy(solutions.prompt_Y * len(rewards) + class_Y).to(model.device)
    mass_PC = mass_Y.new_zeros(solutions.problems * len(rewards)).index_add(0, cell_Y, mass_Y)
    mass_PC = mass_PC.view(solutions.problems, len(rewards))
    current_PC = mass_PC.detach().cpu().numpy()
    advantage_PC = np.array([class_advantages(mass_C, rewards, objective, group_size) for mass_C in current_PC])
    # the mass of wrong completions is 1 - the sum of the others
    relative_PC = torch.from_numpy(advantage_PC[:, 1:] - advantage_PC[:, :1]).to(mass_PC)
    return -(relative_PC * mass_PC).sum() / (solutions.problems * length)


def class_advantages(mass_C: Floats, rewards: Floats, objective: Objective, group_size: int) -> Floats:
    """(1 + C,) effective advantage of wrong completions and of each class of correct ones, from their masses."""
    probs = np.concatenate([[max(0.0, 1.0 - mass_C.sum())], mass_C])
    probs_V, rewards_V = probs / probs.sum(), np.concatenate([[0.0], rewards])
    return effective_advantage(rewards_V, objective, group_size, probs_V=probs_V)
