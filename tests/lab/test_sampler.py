"""Rollouts: the cache against a full read, log-probabilities against the trainer's, frequencies against the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlvrscope.lab.model import Transformer, token_entropy, token_logp
from rlvrscope.lab.recipe import Recipe
from rlvrscope.lab.sampler import greedy, sample
from rlvrscope.seeding import generator


def prompts_of(recipe: Recipe, count: int) -> torch.Tensor:
    return torch.from_numpy(recipe.token_task.prompts(count, "train", generator(0, "sampler test")))


@pytest.mark.parametrize("rollouts", [1, 5])
def test_sampler_and_trainer_agree(model: Transformer, recipe: Recipe, rollouts: int):
    """The sampler reads a token at a time from its cache; the trainer a chunk a prompt; both as a whole row."""
    task = recipe.token_task
    drawn = sample(model, prompts_of(recipe, 16), task.completion_length, rollouts, generator(0, "draws"))
    tokens = torch.cat([drawn.prompts_PT[drawn.prompt_B], drawn.completions_BT], dim=1)
    logits = model(tokens[:, :-1])[:, task.prompt_length - 1 :]
    expected = token_logp(logits, drawn.completions_BT)
    trainers = model.completion_logits(drawn.prompts_PT, drawn.completions_BT, drawn.prompt_B)
    assert (trainers - logits).abs().max() < 1e-5 * logits.abs().max()
    assert drawn.logp_BT.shape == (16 * rollouts, task.completion_length)
    assert (drawn.logp_BT - expected).abs().max() < 1e-5
    assert (drawn.entropy_BT - token_entropy(logits)).abs().max() < 1e-5
    torch.testing.assert_close(drawn.sampler_logp_BT, drawn.logp_BT)


def test_rows_stand_prompt_by_prompt(model: Transformer, recipe: Recipe):
    prompts = prompts_of(recipe, 3)
    drawn = sample(model, prompts, recipe.token_task.completion_length, 2, generator(0, "draws"))
    assert drawn.prompt_B.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(drawn.prompts_PT, prompts)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.5, 1.0), (1.0, 0.7), (0.8, 0.5)])
def test_tokens_come_as_often_as_they_should(model: Transformer, recipe: Recipe, temperature: float, top_p: float):
    """20,000 first tokens of one prompt against its distribution, written out by hand."""
    prompt = prompts_of(recipe, 1)
    draws = 20_000
    drawn = sample(model, prompt, 1, draws, generator(0, "often"), temperature=temperature, top_p=top_p)
    token = drawn.completions_BT[:, 0].numpy()
    chance = (model(prompt)[0, -1] / temperature).softmax(0).detach().double().numpy()
    order = np.argsort(-chance)
    kept = order[: int(np.searchsorted(np.cumsum(chance[order]), top_p) + 1)] if top_p < 1 else order
    expected = np.zeros_like(chance)
    expected[kept] = chance[kept] / chance[kept].sum()
    observed = np.bincount(token, minlength=len(chance)) / draws
    error = np.sqrt(expected * (1 - expected) / draws)
    assert (np.abs(observed - expected) <= 5 * error + 1e-9).all()
    np.testing.assert_allclose(drawn.sampler_logp_BT[:, 0].numpy(), np.log(expected[token]), atol=1e-5)
    policy = model(prompt)[0, -1].log_softmax(0).detach().numpy()
    np.testing.assert_allclose(drawn.logp_BT[:, 0].numpy(), policy[token], atol=1e-5)


def test_greedy_takes_the_most_likely_token(model: Transformer, recipe: Recipe):
    prompts, task = prompts_of(recipe, 12), recipe.token_task
    tokens = prompts
    for _ in range(task.completion_length):
        tokens = torch.cat([tokens, model(tokens)[:, -1].argmax(dim=1, keepdim=True)], dim=1)
    assert torch.equal(greedy(model, prompts, task.completion_length), tokens[:, task.prompt_length :])


def test_the_same_stream_gives_the_same_rollouts(model: Transformer, recipe: Recipe):
    prompts = prompts_of(recipe, 4)
    first, again, other = (
        sample(model, prompts, recipe.token_task.completion_length, 4, generator(seed, "same")).completions_BT
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_rollouts_can_be_differentiated_through_later(model: Transformer, recipe: Recipe):
    """What the sampler returns is ordinary tensors: a loss on them has a gradient."""
    drawn = sample(model, prompts_of(recipe, 2), recipe.token_task.completion_length, 2, generator(0, "later"))
    model.completion_logits(drawn.prompts_PT, drawn.completions_BT, drawn.prompt_B).mean().backward()
    assert model.head.weight.grad is not None
