"""Binary rewards, ratio 1: GRPO, GRPO-N and GRPO-P push a real model in one direction, by p and 1 - p.

    E[GRPO-N] = p E[GRPO],   E[GRPO-P] = (1 - p) E[GRPO]      at every group size

Checked on a transformer's parameters by listing every group of completions: no sampling, no tolerance for noise.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from rlvrscope.lab.model import Transformer, token_logp
from rlvrscope.lab.recipe import ModelConfig
from rlvrscope.objectives import OBJECTIVES, Objective, advantages, policy_loss
from rlvrscope.seeding import generator

VOCAB, LENGTH = 3, 2
COMPLETIONS = torch.tensor(list(itertools.product(range(VOCAB), repeat=LENGTH)))
RIGHT = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0])


@pytest.fixture(scope="module")
def model() -> Transformer:
    made = Transformer(ModelConfig(width=8, layers=2, heads=2), VOCAB, context=1 + LENGTH)
    made.initialise(generator(0, "one direction")).double()
    with torch.no_grad():
        made.head.weight.mul_(30.0)  # far from uniform
    return made


def completion_logp(model: Transformer) -> Tensor:
    """log pi of each token of every completion, (9, 2)."""
    prompt = torch.zeros(1, 1, dtype=torch.int64)
    every = torch.zeros(len(COMPLETIONS), dtype=torch.int64)
    return token_logp(model.completion_logits(prompt, COMPLETIONS, every), COMPLETIONS)


def expected_gradient(model: Transformer, objective: Objective, group_size: int) -> Tensor:
    """E over all groups of the gradient of the loss, by enumeration of every ordered group."""
    groups_NG = np.array(list(itertools.product(range(len(COMPLETIONS)), repeat=group_size)))
    advantages_NG = torch.from_numpy(advantages(RIGHT[groups_NG], objective))
    logp_YT = completion_logp(model)
    chance_N = logp_YT.detach().sum(1)[groups_NG].sum(1).exp()
    assert chance_N.sum().item() == pytest.approx(1.0)
    logp_BT = logp_YT[groups_NG.ravel()]
    # The advantage weighted by the group's chance: the loss is linear in it, so this is the expectation.
    weighted_B = (advantages_NG * chance_N[:, None]).reshape(-1)
    loss = policy_loss(
        logp_BT, logp_BT.detach(), weighted_B, torch.ones_like(logp_BT), objective, normalizer=group_size
    ).loss
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(model.parameters()))])


@pytest.mark.parametrize("group_size", [2, 3, 4])
def test_negative_and_positive_halves_are_multiples_of_the_whole(model: Transformer, group_size: int):
    def gradient(name: str) -> Tensor:
        return expected_gradient(model, OBJECTIVES[name].replace(aggregation="fixed_length"), group_size)

    chance_right = float(completion_logp(model).sum(1).exp().detach().numpy() @ RIGHT)
    assert 0.1 < chance_right < 0.9
    whole = gradient("grpo")
    assert whole.norm() > 1e-3
    torch.testing.assert_close(gradient("grpo-n"), chance_right * whole, rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(gradient("grpo-p"), (1 - chance_right) * whole, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("group_size", [2, 3, 4])
def test_the_direction_is_that_of_the_success_probability(model: Transformer, group_size: int):
    """RLOO is exactly the policy gradient: minus grad p, divided by the fixed length."""
    objective = OBJECTIVES["rloo"]
    success = (completion_logp(model).sum(1).exp() * torch.from_numpy(RIGHT)).sum()
    slope = torch.cat([part.flatten() for part in torch.autograd.grad(success, list(model.parameters()))])
    got = expected_gradient(model, objective, group_size)
    torch.testing.assert_close(got, -slope / LENGTH, rtol=1e-9, atol=1e-13)
