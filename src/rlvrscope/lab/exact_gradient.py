"""Exact gradient: the expected update over all groups, from the enumerated correct completions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rlvrscope.dynamics import effective_advantage
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.solutions import SolutionSet
from rlvrscope.objectives import Objective


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


def class_advantages(mass_C: np.ndarray, rewards: np.ndarray, objective: Objective, group_size: int) -> np.ndarray:
    """(1 + C,) effective advantage of wrong completions and of each class of correct ones, from their masses."""
    probs = np.concatenate([[max(0.0, 1.0 - mass_C.sum())], mass_C])
    probs_V, rewards_V = probs / probs.sum(), np.concatenate([[0.0], rewards])
    return effective_advantage(rewards_V, objective, group_size, probs_V=probs_V)
