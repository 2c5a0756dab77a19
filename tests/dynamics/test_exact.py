"""Expected updates: against autograd over every ordered group, against theory, against samples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from rlvrscope import InputError
from rlvrscope.dynamics import effective_advantage, expected_update, simulate
from rlvrscope.objectives import OBJECTIVES, BatchBalance, Objective, advantages, policy_loss
from rlvrscope.seeding import generator

REWARDS, PROBS = np.array([0.8, 1.0, 0.0, 0.8]), np.array([0.4, 0.05, 0.3, 0.25])
WITHOUT_KL = [
    objective
    for objective in OBJECTIVES.values()
    if objective.kl_coef == 0.0 and objective.reads is None and not isinstance(objective.shape, BatchBalance)
]
POPULATION = [objective.replace(std_ddof=0) for objective in WITHOUT_KL]
VARIANTS = [*WITHOUT_KL, *POPULATION, OBJECTIVES["grpo"].replace(name="large-eps", std_eps=0.3)]
GRPO = OBJECTIVES["grpo"].replace(std_ddof=0)


def named(objective: Objective) -> str:
    return f"{objective.name}-{objective.std_ddof}"


def by_autograd(rewards_V: np.ndarray, probs_V: np.ndarray, objective: Objective, group_size: int) -> np.ndarray:
    """-grad of the expected loss in the logits: every ordered group, weighted by its chance."""
    groups_NG = np.array(list(itertools.product(range(len(rewards_V)), repeat=group_size)))
    advantages_NG = advantages(rewards_V[groups_NG], objective)
    chance_N = probs_V[groups_NG].prod(axis=1)
    logits = torch.tensor(np.log(probs_V), requires_grad=True)
    logp_B1 = torch.log_softmax(logits, 0)[torch.from_numpy(groups_NG.ravel())][:, None]
    weighted_B = torch.from_numpy((advantages_NG * chance_N[:, None]).ravel())
    mask_B1 = torch.ones_like(logp_B1)
    loss = policy_loss(logp_B1, logp_B1.detach(), weighted_B, mask_B1, objective, normalizer=group_size).loss
    (gradient,) = torch.autograd.grad(loss, logits)
    return -gradient.numpy()


@pytest.mark.parametrize("objective", VARIANTS, ids=named)
@pytest.mark.parametrize("group_size", [2, 3, 5])
def test_equals_autograd_over_every_group(objective: Objective, group_size: int):
    group_size = max(group_size, objective.min_group_size)
    expected = by_autograd(REWARDS, PROBS, objective, group_size)
    update_V = expected_update(REWARDS, objective, group_size, probs_V=PROBS)
    np.testing.assert_allclose(update_V, expected, rtol=0, atol=1e-12)
    assert abs(update_V.sum()) < 1e-15  # identity 1


def test_by_hand():
    # n = 2, no std: the group {1, 0} has A = (.5, -.5), chance 2 p q; dz_1 = (1/2)(.5 + .5) 2 p q = p q.
    np.testing.assert_allclose(expected_update([1, 0], "dr-grpo", 2, probs_V=[0.3, 0.7]), [0.21 / 2, -0.21 / 2])
    # At_1 = E[A | own reward 1] = .5 (1 - p).
    np.testing.assert_allclose(effective_advantage([1, 0], "dr-grpo", 2, probs_V=[0.3, 0.7]), [0.35, -0.15])


@pytest.mark.parametrize("group_size", [2, 3, 8, 40])
def test_rloo_is_the_policy_gradient_and_a_mean_without_std_a_share_of_it(group_size: int):
    gradient = PROBS * (REWARDS - PROBS @ REWARDS)
    update_V = expected_update(REWARDS, "rloo", group_size, probs_V=PROBS, learning_rate=0.5)
    np.testing.assert_allclose(update_V, 0.5 * gradient, rtol=1e-11)
    update_V = expected_update(REWARDS, "dr-grpo", group_size, probs_V=PROBS)
    np.testing.assert_allclose(update_V, (group_size - 1) / group_size * gradient, rtol=1e-11)


def test_a_fixed_advantage_is_theorem_1_of_the_paper():
    # PSR looks at no other rollout: A = (+1 where right, else 0) whatever the group.
    fixed = np.array([1.0, 1.0, 0.0, 1.0])
    update_V = expected_update(REWARDS, "psr", 7, probs_V=PROBS)
    np.testing.assert_allclose(update_V, PROBS * (fixed - PROBS @ fixed), rtol=1e-14)


def test_std_normalisation_nears_the_infinite_group_as_one_over_n():
    limit = effective_advantage(REWARDS, GRPO, math.inf, probs_V=PROBS)
    misses = [np.abs(effective_advantage(REWARDS, GRPO, n, probs_V=PROBS) - limit).max() for n in (80, 160)]
    assert misses[0] / misses[1] == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(("ddof", "size"), [(0, math.sqrt(7)), (1, 7 / math.sqrt(8))])
@pytest.mark.parametrize("gap", [1e-3, 5.0])
def test_a_lone_better_answer_weighs_the_same_whatever_the_gap(ddof: int, size: float, gap: float):
    objective = OBJECTIVES["grpo"].replace(std_ddof=ddof, std_eps=1e-12)
    advantage_V = effective_advantage([0.0, gap], objective, 8, probs_V=[1 - 1e-9, 1e-9])
    assert advantage_V[1] == pytest.approx(size, rel=1e-6)


@pytest.mark.parametrize(("token", "sequence"), [("grpo", "gspo"), ("grpo-n", "gspo-n")])
def test_on_policy_the_sequence_ratio_changes_nothing(token: str, sequence: str):
    first, second = (expected_update(REWARDS, name, 6, probs_V=PROBS) for name in (token, sequence))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("group_size", [2, 3, 8, 33])
@pytest.mark.parametrize("p", [0.03, 0.5, 0.97])
def test_binary_rewards_have_one_direction_with_known_scalars(group_size: int, p: float):
    rewards, probs = [1.0, 0.0, 0.0], np.array([p, 0.7 * (1 - p), 0.3 * (1 - p)])
    direction = probs * (np.array(rewards) - p)  # grad p
    chance = [math.comb(group_size, c) * p**c * (1 - p) ** (group_size - c) for c in range(group_size + 1)]
    s = sum(w * math.sqrt(c * (group_size - c)) for c, w in enumerate(chance)) / group_size
    scalars = {"grpo": s / (p * (1 - p)), "grpo-p": s / p, "grpo-n": s / (1 - p)}
    for name, scalar in scalars.items():
        objective = OBJECTIVES[name].replace(std_ddof=0, std_eps=1e-12)
        update_V = expected_update(rewards, objective, group_size, probs_V=probs)
        np.testing.assert_allclose(update_V, scalar * direction, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", ["grpo", "grpo-n", "grpo-p", "psr", "nsr", "rloo"])
def test_with_binary_rewards_the_success_probability_never_falls(name: str):
    rng = generator(0, "never falls")
    for _ in range(50):
        probs, rewards = rng.dirichlet(np.full(5, 0.4)), np.array([1.0, 1.0, 0.0, 0.0, 0.0])
        step = expected_update(rewards, name, 4, probs_V=probs)
        assert (rewards * probs) @ (step - probs @ step) >= -1e-15


@pytest.mark.parametrize("name", [objective.name for objective in WITHOUT_KL])
def test_agrees_with_samples_within_four_standard_errors(name: str):
    seeds, eta, size = 40_000, 0.1, max(4, OBJECTIVES[name].min_group_size)
    path = simulate(
        REWARDS,
        name,
        size,
        probs_V=PROBS,
        learning_rate=eta,
        steps=1,
        seeds=seeds,
        rng=generator(5, "samples", name),
    )
    assert path.probs_STV is not None
    moved_SV = np.log(path.probs_STV[:, 1] / path.probs_STV[:, 0])
    moved_SV -= moved_SV.mean(axis=1, keepdims=True)  # the logits' own change sums to 0
    error = moved_SV.std(axis=0) / math.sqrt(seeds)
    expected = expected_update(REWARDS, name, size, probs_V=PROBS, learning_rate=eta)
    assert (np.abs(moved_SV.mean(axis=0) - expected) <= 4 * error + 1e-15).all()


def test_an_impossible_action_stays_so_and_has_an_effective_advantage():
    probs = [0.6, 0.4, 0.0]
    step = expected_update([0.5, 0.0, 1.0], GRPO, 4, probs_V=probs)
    np.testing.assert_allclose(step[:2], expected_update([0.5, 0.0], GRPO, 4, probs_V=probs[:2]), rtol=1e-12)
    assert step[2] == 0.0
    nearly = effective_advantage([0.5, 0.0, 1.0], GRPO, 4, probs_V=[0.6, 0.4 - 1e-13, 1e-13])
    np.testing.assert_allclose(effective_advantage([0.5, 0.0, 1.0], GRPO, 4, probs_V=probs), nearly, rtol=1e-11)


def test_logits_and_many_actions_of_few_rewards():
    probs = generator(0, "many").dirichlet(np.ones(50_000))
    rewards = (np.arange(50_000) % 2).astype(float)
    step = expected_update(rewards, "grpo", 16, logits_V=np.log(probs) + 3.0)
    p = probs[1::2].sum()
    two = expected_update([0.0, 1.0], "grpo", 16, probs_V=[1 - p, p])
    assert step[1::2].sum() == pytest.approx(two[1], rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probs_V": [0.5, 0.6]}, "must sum to 1 within 1e-06; it sums to 1.1"),
        ({"probs_V": [-0.1, 1.1]}, "entry 0 is -0.1"),
        ({"probs_V": [math.nan, 1.0]}, "entry 0 is nan"),
        ({"probs_V": [0.5, 0.5], "logits_V": [0.0, 0.0]}, "either probs_V or logits_V; got both"),
        ({"probs_V": None}, "got none"),
        ({"probs_V": [0.2, 0.3, 0.5]}, "one length; got 2 and 3"),
        ({"probs_V": [[0.5, 0.5]]}, r"shape \(V,\)"),
        ({"probs_V": ["x", 1]}, "list of numbers"),
        ({"probs_V": None, "logits_V": [math.nan, 0.0]}, "finite, or -inf"),
        ({"probs_V": None, "logits_V": [-math.inf, -math.inf]}, "all are -inf"),
        ({"rewards_V": [1.0, math.inf]}, "entry 1 is inf"),
        ({"rewards_V": [1.0], "probs_V": [1.0]}, "at least 2 actions"),
        ({"group_size": 1}, "at least 2 where rollouts are compared, as 'grpo' does; got 1"),
        ({"group_size": 1e30}, "group_size must be at most 1,000,000,000,000"),
        ({"group_size": 2.5}, "whole number of at least 2"),
        ({"group_size": math.nan}, "whole number of at least 2"),
        ({"group_size": 0, "objective": "psr"}, "at least 1; got 0"),
        ({"objective": "grop"}, "Did you mean 'grpo'"),
        ({"objective": GRPO.replace(name="kl", kl_coef=0.1)}, "kl_coef 0.1"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0"),
        ({"learning_rate": math.nan}, "learning_rate"),
    ],
)
def test_bad_input_is_one_clear_line(changes: dict, message: str):
    arguments = {"rewards_V": [1.0, 0.0], "objective": "grpo", "group_size": 4, "probs_V": [0.5, 0.5], **changes}
    with pytest.raises(InputError, match=message) as caught:
        expected_update(**arguments)
    assert "\n" not in str(caught.value)
