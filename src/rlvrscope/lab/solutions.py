"""All right answers to some prompts: their exact probabilities under a model, and the exact gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlvrscope.arrays import Floats, Ints
from rlvrscope.dynamics import effective_advantage
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.tasks import Task
from rlvrscope.lab.tasks.task import Tokens
from rlvrscope.objectives import Objective

_ROWS = 2048
"""Completions scored at a time."""


@dataclass(frozen=True)
class SolutionSet:
    """The Y right answers to P prompts; answer y is to prompt `prompt_Y[y]`, sorted by prompt.

    An answer is spelled by one or more of the X completions: a text can be cut into tokens, and end, in several ways.
    """

    prompts_PT: Tensor
    completions_XT: Tensor
    """Correct completions, prompt by prompt."""
    answer_X: Ints
    """Answer that each completion spells, sorted."""
    prompt_Y: Ints
    reward_Y: Floats

    @classmethod
    def of(cls, task: Task, prompts_PT: Tokens, device: torch.device) -> SolutionSet:
        solutions = [task.solutions(prompt_T) for prompt_T in prompts_PT]
        numbers = [task.answer_numbers(completions_XT) for completions_XT in solutions]
        count_P = np.array([number_X.max(initial=-1) + 1 for number_X in numbers])
        answer_X = np.concatenate(numbers) + np.repeat(np.cumsum(count_P) - count_P, [len(each) for each in numbers])
        completions_XT, prompt_Y = np.concatenate(solutions), np.repeat(np.arange(len(prompts_PT)), count_P)
        _, first_Y = np.unique(answer_X, return_index=True)
        reward_Y = task.rewards(prompts_PT[prompt_Y], completions_XT[first_Y])
        prompts, completions = (torch.from_numpy(tokens).to(device) for tokens in (prompts_PT, completions_XT))
        return cls(prompts, completions, answer_X, prompt_Y, reward_Y)

    @classmethod
    def unlisted(cls, task: Task, prompts_PT: Tokens, device: torch.device) -> SolutionSet:
        """The prefixes of correct completions that `of` misses, each as if it were an answer of reward 0."""
        prefixes = [task.unlisted(prompt_T) for prompt_T in prompts_PT]
        prompt_Y = np.repeat(np.arange(len(prompts_PT)), [len(prefixes_XT) for prefixes_XT in prefixes])
        prompts, completions = (
            torch.from_numpy(tokens).to(device) for tokens in (prompts_PT, np.concatenate(prefixes))
        )
        return cls(prompts, completions, np.arange(len(prompt_Y)), prompt_Y, np.zeros(len(prompt_Y)))

    def joined(self, other: SolutionSet) -> tuple[SolutionSet, NDArray[np.bool_]]:
        """Answers of both sets, which have the same prompts, and which of them are of this set.

        A prompt's completions are then read together.
        """
        prompt_Y = np.concatenate([self.prompt_Y, other.prompt_Y])
        order_Y = np.argsort(prompt_Y, kind="stable")
        answer_X = np.argsort(order_Y)[np.concatenate([self.answer_X, len(self.prompt_Y) + other.answer_X])]
        order_X = np.argsort(answer_X, kind="stable")
        completions_XT = torch.cat([self.completions_XT, other.completions_XT])[torch.from_numpy(order_X)]
        reward_Y = np.concatenate([self.reward_Y, other.reward_Y])[order_Y]
        both = SolutionSet(self.prompts_PT, completions_XT, answer_X[order_X], prompt_Y[order_Y], reward_Y)
        return both, order_Y < len(self.prompt_Y)

    @property
    def problems(self) -> int:
        return len(self.prompts_PT)

    @property
    def prompt_X(self) -> Ints:
        """Prompt that each completion belongs to."""
        return self.prompt_Y[self.answer_X]

    @property
    def optimal_Y(self) -> NDArray[np.bool_]:
        """(Y,) whether the answer has reward 1."""
        return self.reward_Y == 1.0

    @property
    def graded(self) -> bool:
        """Whether right answers differ in reward."""
        return not self.optimal_Y.all()

    def sum_by_prompt(self, values_Y: Floats) -> Floats:
        return np.bincount(self.prompt_Y, weights=values_Y, minlength=self.problems).astype(np.float64)

    def of_prompts(self, prompts_M: Ints) -> SolutionSet:
        """Answers to some of the prompts, in the given order."""
        rows_Y, prompt_Y = _rows_of(self.prompt_Y, prompts_M)
        rows_X, answer_X = _rows_of(self.answer_X, rows_Y)
        index_M, index_X = (torch.from_numpy(index).to(self.prompts_PT.device) for index in (prompts_M, rows_X))
        completions_XT = self.completions_XT[index_X]
        return SolutionSet(self.prompts_PT[index_M], completions_XT, answer_X, prompt_Y, self.reward_Y[rows_Y])

    def logp(self, model: Policy, temperatures: tuple[float, ...] = (1.0,)) -> Tensor:
        """(len(temperatures), X) log-probability of every correct completion, by teacher forcing."""
        parts: list[Tensor] = []
        prompt_X = torch.from_numpy(self.prompt_X).to(model.device)
        for completions_BT, prompt_B in zip(self.completions_XT.split(_ROWS), prompt_X.split(_ROWS), strict=True):
            prompts = slice(int(prompt_B[0]), int(prompt_B[-1]) + 1)
            scores = model.score(self.prompts_PT[prompts], completions_BT, prompt_B - prompts.start, temperatures)
            parts.append(scores.logp_KBT.double().sum(dim=2))
        return torch.cat(parts, dim=1)


def _rows_of(group_R: Ints, groups_M: Ints) -> tuple[Ints, Ints]:
    """Rows of some groups, in the given order, and the place in `groups_M` of each; group_R is sorted."""
    end_M = np.searchsorted(group_R, groups_M, side="right")
    count_M = end_M - np.searchsorted(group_R, groups_M)
    within = np.arange(count_M.sum()) - np.repeat(np.cumsum(count_M) - count_M, count_M)
    return np.repeat(end_M - count_M, count_M) + within, np.repeat(np.arange(len(groups_M)), count_M)


@torch.no_grad()
def solution_mass(model: Policy, solutions: SolutionSet, temperatures: tuple[float, ...] = (1.0,)) -> Floats:
    """(len(temperatures), Y) probability of every right answer at each temperature."""
    masses = np.exp(solutions.logp(model, temperatures).cpu().numpy())
    by_answer = [np.bincount(solutions.answer_X, mass_X, len(solutions.prompt_Y)) for mass_X in masses]
    return np.array(by_answer, dtype=np.float64)


def exact_loss(model: Policy, solutions: SolutionSet, objective: Objective, group_size: int, length: int) -> Tensor:
    """Scalar whose gradient is the expectation of the on-policy gradient over all groups of `group_size` rollouts.

        -1/(P T) sum_p sum_c At_c P_c,   At_c = E[A_i | rollout i is of class c], constant

    A class c is all completions of one reward (wrong: 0), P_c its mass and At_c its effective advantage at the current
    masses. T is `length`, the tokens per completion, by which every aggregation divides when lengths are equal, and
    "fixed_length" in any case.
    Source: E[(1/G) sum_i A_i grad log pi(y_i)] = sum_c At_c grad P_c.
    """
    mass_X = solutions.logp(model)[0].exp()
    rewards = np.unique(solutions.reward_Y)
    class_Y = np.searchsorted(rewards, solutions.reward_Y)
    cell_X = torch.from_numpy((solutions.prompt_Y * len(rewards) + class_Y)[solutions.answer_X]).to(model.device)
    mass_PC = mass_X.new_zeros(solutions.problems * len(rewards)).index_add(0, cell_X, mass_X)
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
