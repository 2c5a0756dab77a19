"""Exact evaluation: list every right completion of every held-out prompt and read off its probability.

P(right) is a sum of probabilities, pass@k = 1 - (1 - P)^k, and the mass on each solution is measured, not
estimated. Only the token entropy is taken from samples (of states; each state's entropy is exact).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from massflow.lab.model import Transformer, token_logp
from massflow.lab.recipe import BOUNDARY_K, EvaluateConfig
from massflow.lab.sampler import greedy, sample
from massflow.seeding import generator
from massflow.stats import pass_at_k_exact
from massflow.tasks import Task

MASS_CLASSES = ("dominant", "other", "rare")
_ROWS = 2048


@dataclass(frozen=True)
class SolutionSet:
    """Every right completion of P prompts, flat: row y answers prompt `prompt_Y[y]`, in order of prompts."""

    prompts_PT: Tensor
    completions_YT: Tensor
    prompt_Y: NDArray[np.int64]

    @classmethod
    def of(cls, task: Task, prompts_PT: NDArray[np.int64], device: torch.device) -> SolutionSet:
        solutions = [task.solutions(prompt_T) for prompt_T in prompts_PT]
        prompt_Y = np.repeat(np.arange(len(prompts_PT)), [len(found) for found in solutions])
        completions_YT = torch.from_numpy(np.concatenate(solutions)).to(device)
        return cls(torch.from_numpy(prompts_PT).to(device), completions_YT, prompt_Y)

    @property
    def problems(self) -> int:
        return len(self.prompts_PT)

    def sum_by_prompt(self, values_Y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(self.prompt_Y, weights=values_Y, minlength=self.problems).astype(np.float64)


@torch.no_grad()
def solution_mass(
    model: Transformer, solutions: SolutionSet, temperatures: tuple[float, ...] = (1.0,)
) -> NDArray[np.float64]:
    """pi(y) of every right completion at each temperature, (len(temperatures), Y), by teacher forcing."""
    parts: list[list[Tensor]] = [[] for _ in temperatures]
    prompt_Y = torch.from_numpy(solutions.prompt_Y).to(model.device)
    for completions_BT, prompt_B in zip(solutions.completions_YT.split(_ROWS), prompt_Y.split(_ROWS), strict=True):
        few = slice(int(prompt_B[0]), int(prompt_B[-1]) + 1)
        logits_BTV = model.completion_logits(solutions.prompts_PT[few], completions_BT, prompt_B - few.start)
        for part, temperature in zip(parts, temperatures, strict=True):
            part.append(token_logp(logits_BTV, completions_BT, temperature).double().sum(dim=1))
    return np.exp(np.stack([torch.cat(part).cpu().numpy() for part in parts]))


class Evaluator:
    """Scores models on the same held-out prompts, and follows the mass of the base's solutions."""

    def __init__(self, task: Task, config: EvaluateConfig, base: Transformer) -> None:
        self.task, self.config = task, config
        prompts_PT = task.prompts(config.prompts, "held_out", generator(0, "evaluation prompts"))
        self.solutions = SolutionSet.of(task, prompts_PT, base.device)
        self._base = base

    @cached_property
    def class_Y(self) -> NDArray[np.int64]:
        """Each right completion's class, an index into MASS_CLASSES, by its mass under the base.

        dominant: the base's most likely one of its prompt. rare: below 1/256 (and not dominant). other: the rest.
        """
        (mass_Y,) = solution_mass(self._base, self.solutions)
        best_P = np.zeros(self.solutions.problems)
        np.maximum.at(best_P, self.solutions.prompt_Y, mass_Y)
        dominant_Y = mass_Y == best_P[self.solutions.prompt_Y]
        return np.where(dominant_Y, 0, np.where(mass_Y < 1.0 / BOUNDARY_K, 2, 1))

    def __call__(self, model: Transformer, step: int) -> dict[str, Any]:
        """One row of evaluation.jsonl: scores at every temperature, greedy accuracy, token entropy (nats).

        Each score holds its means over prompts and, prompt by prompt, `success` (P(right)), `distinct` (the expected
        number of different right answers in 256 samples) and the `mass` of each of MASS_CLASSES.
        """
        prompts_PT, length = self.solutions.prompts_PT, self.task.completion_length
        drawn = sample(model, prompts_PT, length, self.config.entropy_samples, generator(0, "entropy"))
        masses = solution_mass(model, self.solutions, self.config.temperatures)
        answers_PT = greedy(model, prompts_PT, length)
        greedy_P = self.task.rewards(prompts_PT.cpu().numpy(), answers_PT.cpu().numpy())
        return {
            "step": step,
            "greedy_accuracy": float((greedy_P == 1.0).mean()),
            "token_entropy": float(drawn.entropy_BT.double().mean()),
            "scores": [
                {"temperature": temperature, **self._score(np.minimum(mass_Y, 1.0))}
                for temperature, mass_Y in zip(self.config.temperatures, masses, strict=True)
            ],
        }

    def _score(self, mass_Y: NDArray[np.float64]) -> dict[str, Any]:
        by_prompt = self.solutions.sum_by_prompt
        success_P = np.minimum(by_prompt(mass_Y), 1.0)  # float32 sums may pass 1 by 1e-6
        distinct_P = by_prompt(pass_at_k_exact(mass_Y, [BOUNDARY_K])[:, 0])
        return {
            "pass_at_1": float(success_P.mean()),
            "pass_at_256": float(pass_at_k_exact(success_P, [BOUNDARY_K]).mean()),
            "distinct_correct": float(distinct_P.mean()),
            "success": success_P.tolist(),
            "distinct": distinct_P.tolist(),
            "mass": {
                name: by_prompt(np.where(self.class_Y == index, mass_Y, 0.0)).tolist()
                for index, name in enumerate(MASS_CLASSES)
            },
        }
