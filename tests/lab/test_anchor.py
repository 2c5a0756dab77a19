"""The anchor: the base's own right answers, evenly over the prompts that have one, and a pull towards them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from rlvrscope import WorkError
from rlvrscope.lab.anchor import SAMPLES, Anchor
from rlvrscope.lab.model import Transformer, token_logp
from rlvrscope.lab.recipe import TrainConfig
from rlvrscope.lab.tasks import Line
from rlvrscope.lab.tasks.task import Tokens
from rlvrscope.lab.trainer import Trainer
from rlvrscope.objectives import OBJECTIVES
from rlvrscope.seeding import generator


class EvenFirst(Line):
    """Prompts that start with +1 are right for an even first token, all others never."""

    def rewards(self, prompts_BT: Tokens, completions_BT: Tokens) -> np.ndarray:
        return ((completions_BT[:, 0] % 2 == 0) & (prompts_BT[:, 0] == 0)).astype(float)


TASK = EvenFirst(steps=2)


@pytest.fixture
def prompts() -> Tokens:
    return TASK.prompts(600, "train", generator(0, "prompts"))


def test_it_holds_the_right_answers_of_prompts_that_have_one(model: Transformer, prompts: Tokens):
    anchor = Anchor.of(model, TASK, prompts, generator(0, "anchor"))
    count_M = np.diff(anchor.first_M)
    assert (anchor.prompts_MT[:, 0] == 0).all(), "only prompts that can be right"
    assert (anchor.completions_AT[:, 0] % 2 == 0).all(), "only answers that are"
    assert count_M.min() >= 1
    assert count_M.max() <= SAMPLES
    assert anchor.first_M[-1] == len(anchor.completions_AT)
    assert 0.5 < len(anchor.prompts_MT) / (prompts[:, 0] == 0).sum() <= 1.0


def test_the_loss_is_the_mean_over_tokens_of_drawn_answers(model: Transformer, prompts: Tokens):
    one = Anchor.of(model, TASK, prompts[prompts[:, 0] == 0][:1], generator(3, "anchor"))
    only = Anchor(one.prompts_MT, one.completions_AT[:1], np.array([0, 1]))  # then every draw is this answer
    whole = torch.cat([only.prompts_MT, only.completions_AT], dim=1)
    logp = token_logp(model(whole[:, :-1])[:, TASK.prompt_length - 1 :], only.completions_AT)
    assert only.loss(model, 5, generator(0)).item() == pytest.approx(-logp.mean().item(), rel=1e-5)


def test_a_base_without_a_right_answer_is_refused(model: Transformer, prompts: Tokens):
    with pytest.raises(WorkError, match=r"train\.anchor_coef needs correct answers of the base"):
        Anchor.of(model, TASK, prompts[prompts[:, 0] != 0], generator(0, "anchor"))


def test_it_pulls_a_policy_that_has_lost_them_back(model: Transformer):
    base = copy.deepcopy(model)
    with torch.no_grad():
        model.head.weight.mul_(-0.3)  # what was likely is not
    silent = OBJECTIVES["grpo"].replace(positive_weight=0.0, negative_weight=0.0)
    config = TrainConfig(objective=silent, prompts=64, prompts_per_step=16, group_size=4, anchor_coef=1.0)
    trainer = Trainer(model, base, TASK, config.model_copy(update={"learning_rate": 1e-3}))
    losses = [trainer.step(step).anchor_loss for step in range(1, 31)]
    assert np.mean(losses[-3:]) < 0.8 * losses[0]
