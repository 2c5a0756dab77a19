"""The exact gradient: by brute force over every group, and what the sampled one is on average."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch

from rlvrscope.lab.model import Transformer
from rlvrscope.lab.prompts import drawn_at
from rlvrscope.lab.recipe import TrainConfig
from rlvrscope.lab.solutions import SolutionSet, class_advantages, exact_loss
from rlvrscope.lab.tasks import Line
from rlvrscope.lab.tasks.task import Tokens
from rlvrscope.lab.trainer import Trainer
from rlvrscope.objectives import OBJECTIVES, advantages
from rlvrscope.seeding import generator

GRADED = Line(steps=2, common_reward=0.5)


@pytest.mark.parametrize("name", ["grpo", "grpo-n", "rloo", "w-reinforce"])
def test_class_advantages_are_means_over_every_group(name: str):
    mass_C, rewards, size = np.array([0.3, 0.1]), np.array([0.5, 1.0]), 3
    probs, values = [0.6, 0.3, 0.1], [0.0, 0.5, 1.0]
    total, chance = np.zeros(3), np.zeros(3)
    for group in itertools.product(range(3), repeat=size):
        weight = math.prod(probs[c] for c in group)
        mine = advantages(np.array([[values[c] for c in group]]), OBJECTIVES[name])[0]
        for c, advantage in zip(group, mine, strict=True):
            total[c] += weight * advantage
            chance[c] += weight
    np.testing.assert_allclose(class_advantages(mass_C, rewards, OBJECTIVES[name], size), total / chance, rtol=1e-9)


class Common(Line):
    """Right answers a random model meets often: every answer is listed, and one is right if its first tokens say so."""

    def rewards(self, prompts_BT: Tokens, completions_BT: Tokens) -> np.ndarray:
        found = np.where(completions_BT[:, 0] % 2 == 0, 0.5, 0.0)
        return np.where(completions_BT[:, 0] % 4 == 0, 1.0, found) + 0.0 * prompts_BT[:, 0]

    def solutions(self, prompt_T: Tokens) -> Tokens:
        every = np.array(list(itertools.product(range(self.vocab_size), repeat=2)))
        return every[self.rewards(np.repeat(prompt_T[None], len(every), axis=0), every) > 0.0]

    @property
    def completion_length(self) -> int:
        return 2


@pytest.mark.parametrize("name", ["grpo", "grpo-n", "grpo-p"])
def test_the_sampled_gradient_is_it_on_average(model: Transformer, name: str):
    """Projected on a fixed direction, the mean of many sampled gradients lies within 4 standard errors."""
    task, objective = Common(steps=1), OBJECTIVES[name]
    still = {"learning_rate": 1e-12, "gradient_clip": 1e9}  # the policy stays: only gradients are looked at
    config = TrainConfig(objective=objective, prompts=4, prompts_per_step=4, group_size=4, minibatches=1, **still)
    trainer = Trainer(model, copy.deepcopy(model), task, config)
    solutions = SolutionSet.of(task, trainer.prompts_PT, model.device)
    exact_loss(model, solutions, objective, config.group_size, task.completion_length).backward()
    exact = gradient(model)
    direction = exact / exact.norm()
    trainer.optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    found = []
    for step in range(1, 301):
        trainer.step(step)
        found.append(float(gradient(model) @ direction))
    error = np.std(found, ddof=1) / math.sqrt(len(found))
    assert error < 0.2 * float(exact.norm()), "too noisy to tell"
    assert abs(np.mean(found) - float(exact @ direction)) < 4 * error


def gradient(model: Transformer) -> torch.Tensor:
    return torch.cat([part.grad.flatten().clone() for part in model.parameters() if part.grad is not None])


def test_exact_training_raises_the_reward_and_samples_nothing_for_its_gradient(model: Transformer):
    config = TrainConfig(prompts=16, prompts_per_step=16, group_size=4, gradient="exact", learning_rate=3e-3)
    trainer = Trainer(model, copy.deepcopy(model), Common(steps=1), config)
    rows = [trainer.step(step) for step in range(1, 9)]
    assert np.mean([row.reward for row in rows[-3:]]) > rows[0].reward + 0.05
    assert np.isnan(rows[0].ratio_max)


def test_of_prompts_takes_the_solutions_of_some_in_order(model: Transformer):
    prompts = GRADED.prompts(6, "train", generator(0, "prompts"))
    whole = SolutionSet.of(GRADED, prompts, model.device)
    some = whole.of_prompts(np.array([4, 1]))
    plain = SolutionSet.of(GRADED, prompts[[4, 1]], model.device)
    assert torch.equal(some.completions_XT, plain.completions_XT)
    assert torch.equal(some.prompts_PT, plain.prompts_PT)
    np.testing.assert_array_equal(some.prompt_Y, plain.prompt_Y)
    np.testing.assert_array_equal(some.reward_Y, plain.reward_Y)


def test_prompts_are_used_once_an_epoch():
    config = TrainConfig(prompts=64, prompts_per_step=16)
    seen = np.concatenate([drawn_at(step, config) for step in range(1, 5)])
    assert sorted(seen) == list(range(64))
    assert not np.array_equal(drawn_at(1, config), drawn_at(5, config))
