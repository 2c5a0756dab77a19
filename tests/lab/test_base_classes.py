"""Prompts trained by the base's success: the anchor, the KL term and the policy gradient, where each belongs."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pydantic
import pytest
import torch

from rlvrscope import WorkError
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.pretrain import base_path, load_base
from rlvrscope.lab.recipe import BaseClasses, Recipe, TrainConfig
from rlvrscope.lab.tasks import Task
from rlvrscope.lab.trainer import Batch, Trainer
from rlvrscope.objectives import OBJECTIVES

SETTINGS = {"prompts": 32, "prompts_per_step": 16, "group_size": 8, "minibatches": 1, "warmup_steps": 0}


def one_step(
    base: Policy, task: Task, classes: BaseClasses | None, objective: str, anchor: float = 1e-9
) -> tuple[Trainer, Batch]:
    """A trainer after a step, and the batch of that step."""
    config = TrainConfig(objective=OBJECTIVES[objective], anchor_coef=anchor, base_classes=classes, **SETTINGS)
    trainer, batches = Trainer(copy.deepcopy(base), base, task, config), []

    def remember(batch: Batch, step: int) -> dict[str, float]:
        batches.append(batch)
        return update(batch, step)

    update, trainer._update = trainer._update, remember
    trainer.step(1)
    return trainer, batches[0]


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([part.detach().flatten() for part in trainer.model.module.parameters()])


@pytest.fixture
def base(experiment: Path, recipe: Recipe) -> Policy:  # noqa: ARG001  its base is in the cache
    return load_base(recipe, base_path(recipe, torch.device("cpu")), torch.device("cpu"))


@pytest.fixture
def task(recipe: Recipe) -> Task:
    return recipe.token_task


@pytest.fixture
def middle(base: Policy, task: Task) -> float:
    """A success that the base reaches on half of the prompts."""
    trainer, _ = one_step(base, task, None, "grpo")
    return float(np.median(trainer._base_success_P))


def test_mastered_prompts_have_the_anchor_and_no_policy_gradient(base: Policy, task: Task, middle: float):
    _, plain = one_step(base, task, None, "grpo")
    trainer, batch = one_step(base, task, BaseClasses(mastered=middle), "grpo")
    mastered_P = trainer._base_success_P >= middle
    assert mastered_P.sum() == 16
    in_batch_P = mastered_P[batch.prompts_P]
    assert (plain.advantages_PG[in_batch_P] != 0.0).any(), "the same rollouts count without classes"
    assert (batch.advantages_PG[in_batch_P] == 0.0).all()
    np.testing.assert_array_equal(batch.advantages_PG[~in_batch_P], plain.advantages_PG[~in_batch_P])
    anchored = {tuple(prompt) for prompt in trainer._anchor.prompts_MT.tolist()}
    assert anchored <= {tuple(prompt) for prompt in trainer.prompts_PT[mastered_P].tolist()}


def test_the_kl_term_counts_within_the_boundary_only(base: Policy, task: Task, middle: float):
    trainer, batch = one_step(base, task, BaseClasses(mastered=0.5, boundary=(0.0, middle)), "grpo-kl-forward")
    assert batch.has_kl_B is not None
    expected_B = np.repeat(trainer._base_success_P[batch.prompts_P] <= middle, 8)
    assert batch.has_kl_B.tolist() == expected_B.tolist()
    assert 0 < expected_B.sum() < len(expected_B)


def test_a_boundary_without_prompts_leaves_no_kl_term(base: Policy, task: Task):
    # off-policy from the base, so that a KL term would be felt
    moved = copy.deepcopy(base)
    with torch.no_grad():
        moved.module.get_parameter("head.weight").mul_(0.5)

    def last(classes: BaseClasses | None, objective: str) -> torch.Tensor:
        config = TrainConfig(
            objective=OBJECTIVES[objective], anchor_coef=1e-9, base_classes=classes, learning_rate=1e-2, **SETTINGS
        )
        trainer = Trainer(copy.deepcopy(moved), base, task, config)
        for group in trainer.optimizer.param_groups:
            group["betas"] = (0.0, 0.0)
        trainer.step(1)
        return weights(trainer)

    nowhere = last(BaseClasses(mastered=0.54, boundary=(1.0, 1.0)), "grpo-kl-forward")
    without, everywhere = last(None, "grpo"), last(None, "grpo-kl-forward")
    close = (nowhere - without).abs().max() < 0.05 * (everywhere - without).abs().max()
    assert close, "rows outside the boundary must not be pulled to the base"


def test_a_base_that_masters_nothing_is_refused(base: Policy, task: Task):
    with pytest.raises(WorkError, match=r"masters none of the training prompts. Lower train.base_classes.mastered"):
        one_step(base, task, BaseClasses(mastered=1.0), "grpo")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_classes": {"mastered": 0.6}}, "base_classes needs anchor_coef above 0"),
        ({"base_classes": {"mastered": 0.6, "boundary": [0.2, 0.1]}, "anchor_coef": 1.0}, "boundary must be"),
        ({"base_classes": {"mastered": 0.0}, "anchor_coef": 1.0}, "greater than 0"),
        ({"objective": "curverl", "gradient": "exact"}, "reads the pass rates of the batches before"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict, message: str):
    with pytest.raises(pydantic.ValidationError, match=message):
        TrainConfig.model_validate(settings)
