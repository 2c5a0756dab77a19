"""Objectives of 2026: the identity that defines each, by hand and by enumeration, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rlvrscope import InputError
from rlvrscope.dynamics import simulate
from rlvrscope.objectives import OBJECTIVES, BetaGate, Likelihood, Objective, PassRates, advantages, advantages_by_group
from rlvrscope.seeding import generator

READING = [objective for objective in OBJECTIVES.values() if objective.reads is not None]


def weight(objective: Objective, size: int, p: float) -> float:
    """w(p): the expected update E[(1/G) sum_i A_i grad log pi(y_i)] in units of grad p, over groups of binary rewards.

    grad log pi averages grad p / p over right rollouts and -grad p / (1 - p) over wrong ones.
    """
    total = 0.0
    for right in range(size + 1):
        chance = math.comb(size, right) * p**right * (1 - p) ** (size - right)
        advantage_G = advantages((np.arange(size) < right).astype(float)[None], objective)[0]
        total += chance / size * (advantage_G[:right].sum() / p - advantage_G[right:].sum() / (1 - p))
    return total


@pytest.mark.parametrize("size", [2, 5, 16])
@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
def test_maxrl_sums_the_gradients_of_all_pass_at_k_over_k(size: int, p: float):
    # grad pass@k / k = (1 - p)^(k-1) grad p
    series = sum((1 - p) ** (k - 1) for k in range(1, size))
    assert weight(OBJECTIVES["maxrl"], size, p) == pytest.approx(series, rel=1e-12)
    assert series == pytest.approx((1 - (1 - p) ** (size - 1)) / p, rel=1e-12)


def test_maxrl_of_graded_rewards_divides_by_their_mean():
    # mean .5: (1 - .5) / .5 = 1, (.5 - .5) / .5 = 0, (0 - .5) / .5 = -1
    assert advantages(np.array([[1.0, 0.5, 0.0]]), OBJECTIVES["maxrl"]).tolist() == [[1.0, 0.0, -1.0]]
    assert (advantages(np.zeros((2, 4)), OBJECTIVES["maxrl"]) == 0.0).all()


def test_the_gate_is_the_posterior_mean_of_the_weight_of_pass_at_k():
    # the integral of k (1-p)^(k-1) over Beta(c+1, n-c+1), by the midpoint rule
    size, k = 8, 16
    p = (np.arange(100_000) + 0.5) / 100_000
    for right in range(1, 4):
        density = p**right * (1 - p) ** (size - right)
        expected = (k * (1 - p) ** (k - 1) * density).sum() / density.sum()
        rewards = (np.arange(size) < right).astype(float)[None]
        assert advantages(rewards, OBJECTIVES["bbg"])[0, 0] == pytest.approx(expected, rel=1e-8)
    # u(4) = .041 < .01 x 9: closed
    assert (advantages((np.arange(8.0) < 4)[None].astype(float), OBJECTIVES["bbg"]) == 0.0).all()


def test_the_gate_at_large_groups_is_twice_the_gradient_of_pass_at_k():
    # signed rewards have slope 2 in p, and the posterior of p narrows: 2 k (1-p)^(k-1)
    wide = OBJECTIVES["bbg"].replace(shape=BetaGate(4, 0.0))
    for p in (0.1, 0.5):
        assert weight(wide, 800, p) == pytest.approx(2 * 4 * (1 - p) ** 3, rel=0.02)


def test_a_grae_by_hand():
    # means 1/4 and 3/4, batch mean w = 1/2: weights .5 x .5/root + .5 x .5/(1 - root), roots 1/2 and sqrt(3)/2.
    # GRPO (std over G - 1 = 1/2, eps 1e-6): +-(1.5, .5). Positives times min(1, w) = 1/2.
    rewards_PG = np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]])
    first, second = 0.25 / 0.5 + 0.25 / 0.5, 0.25 / math.sqrt(0.75) + 0.25 / (1 - math.sqrt(0.75))
    expected = [[0.75 * first, *[-0.5 * first] * 3], [*[0.25 * second] * 3, -1.5 * second]]
    np.testing.assert_allclose(advantages(rewards_PG, OBJECTIVES["a-grae"]), expected, rtol=1e-5)
    assert (advantages(np.eye(4)[:1] * 0.0, OBJECTIVES["a-grae"]) == 0.0).all()


def test_curverl_weighs_by_the_batches_before():
    objective, rates = OBJECTIVES["curverl"], PassRates()

    def batch(*right: int) -> np.ndarray:
        return (np.arange(4) < np.array(right)[:, None]).astype(float)

    def weights(rewards_PG: np.ndarray) -> list[float]:
        """w of each group, read off its correct rollouts: A = w (1 - p)."""
        advantages_PG = advantages(rewards_PG, rates.weighted(rewards_PG, objective))
        return [row[0] / (1 - rewards.mean()) for row, rewards in zip(advantages_PG, rewards_PG, strict=True)]

    # the first batch is its own history: rates 1/4, 1/2, 1/2, 3/4; all wrong and all right are left out
    first = batch(1, 2, 2, 3)
    np.testing.assert_allclose(weights(first), [1.0, 2 / 3, 2 / 3, 1 / 4])
    # the second is weighed by the first: 1/4 -> 1/1, 3/4 -> 1/4
    np.testing.assert_allclose(weights(batch(1, 3)), [1.0, 1 / 4])
    # now rates 1/4 twice, 1/2 twice, 3/4 twice: 2/2, 2/4, 2/6
    np.testing.assert_allclose(weights(batch(1, 2, 3)), [1.0, 1 / 2, 1 / 3])


def test_a_rate_that_no_batch_before_had_weighs_nothing():
    rates, objective = PassRates.of_rows([[5, 0, 3, 0, 0]]), OBJECTIVES["curverl"]
    rewards_PG = np.array([[1.0, 0, 0, 0], [1, 1, 0, 0]])
    advantages_PG = advantages(rewards_PG, rates.weighted(rewards_PG, objective))
    assert advantages_PG.tolist() == [[0.0] * 4, [0.5, 0.5, -0.5, -0.5]]


def test_only_the_latest_batches_are_remembered():
    rates = PassRates()
    for right in range(12):
        rates.weighted(np.array([[1.0, 0.0]] * right + [[0.0, 0.0]]), OBJECTIVES["curverl"])
    assert [int(histogram_C[1]) for histogram_C in rates.histograms] == list(range(2, 12))
    again = PassRates.of_rows([histogram_C.tolist() for histogram_C in rates.histograms])
    rewards_PG = np.array([[1.0, 0.0]])
    assert again.weighted(rewards_PG, OBJECTIVES["curverl"]) == rates.weighted(rewards_PG, OBJECTIVES["curverl"])


def test_unlikely_right_answers_are_worth_more():
    # per token -1, -2, -3, -4: ranks 3, 2, 1, 0; right ones at places 0 and 2: 1 - .25 x 3/4 and 1 - .25 x 1/4
    likelihood = Likelihood(np.array([[-2.0, -2.0, -9.0, -4.0]]), np.array([[2, 1, 3, 1]]))
    signal = np.array([0.8125, 0.0, 0.9375, 0.0])
    expected = (signal - signal.mean()) / (signal.std(ddof=1) + 1e-6)
    got = advantages(np.array([[1.0, 0.0, 1.0, 0.0]]), OBJECTIVES["unlikeliness"], likelihood)
    np.testing.assert_allclose(got, [expected], rtol=1e-12)
    assert (advantages(np.zeros((1, 4)), OBJECTIVES["unlikeliness"], likelihood) == 0.0).all()
    right = advantages(np.ones((1, 4)), OBJECTIVES["unlikeliness"], likelihood)[0]
    assert (np.argsort(right) == [0, 1, 2, 3]).all(), "the likelier, the less"


def test_smoothing_adds_the_log_likelihood_by_sign():
    # no contrast in the second group: only the smoothing is left
    likelihood = Likelihood(np.array([[-1.0, -2.0], [-3.0, -4.0]]), np.ones((2, 2)))
    objective = OBJECTIVES["ds-grpo"].replace(scale="none")
    got = advantages(np.array([[1.0, 0.0], [1.0, 1.0]]), objective, likelihood)
    np.testing.assert_allclose(got, [[0.5 + 0.01, -0.5 - 0.02], [0.03, 0.04]], rtol=1e-12)


@pytest.mark.parametrize("objective", READING, ids=lambda objective: objective.name)
def test_what_an_objective_reads_besides_rewards_must_be_given(objective: Objective):
    with pytest.raises(InputError, match=r"log-probabilities of completions|pass rates of the batches before"):
        advantages(np.array([[1.0, 0.0]]), objective)
    with pytest.raises(InputError, match=r"log-probabilities of completions|pass rates of the batches before"):
        simulate([1.0, 0.0], objective, 4, rng=generator(0), probs_V=[0.5, 0.5])


@pytest.mark.parametrize("name", ["unlikeliness", "ds-grpo"])
def test_ragged_groups_take_their_own_likelihoods_on_both_libraries(name: str):
    rng = np.random.default_rng(3)
    group_B = rng.permutation(np.repeat([4, 7, 9], [2, 3, 3]))
    rewards_B, likelihood = rng.integers(0, 2, 8).astype(float), Likelihood(-rng.random(8) * 9, rng.integers(1, 9, 8))
    got = advantages_by_group(rewards_B, group_B, OBJECTIVES[name], likelihood)
    for group in (4, 7, 9):
        rows = group_B == group
        alone = Likelihood(*(values_B[rows][None] for values_B in likelihood))
        np.testing.assert_array_equal(got[rows], advantages(rewards_B[rows][None], OBJECTIVES[name], alone)[0])
    tensors = Likelihood(*(torch.from_numpy(values_B) for values_B in likelihood))
    tensor_B = advantages_by_group(torch.from_numpy(rewards_B), torch.from_numpy(group_B), OBJECTIVES[name], tensors)
    np.testing.assert_allclose(tensor_B.numpy(), got, rtol=1e-12)


@pytest.mark.parametrize("name", ["maxrl", "bbg", "a-grae"])
def test_torch_gives_the_same_numbers(name: str):
    rewards_PG = np.array([[1.0, 0.0, 0.0, 0.5], [1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    tensor_PG = advantages(torch.from_numpy(rewards_PG), OBJECTIVES[name])
    np.testing.assert_allclose(tensor_PG.numpy(), advantages(rewards_PG, OBJECTIVES[name]), rtol=1e-12)


LIKELIHOOD = Likelihood(np.full((1, 2), -1.0), np.ones((1, 2)))


@pytest.mark.parametrize(
    ("name", "rewards", "likelihood", "message"),
    [
        ("maxrl", [[1.0, -1.0]], None, "inverse_mean needs rewards of at least 0"),
        ("a-grae", [[2.0, 0.0]], None, "batch_balance needs rewards from 0 to 1"),
        ("ds-grpo", [[1.0, 0.0]], LIKELIHOOD._replace(logp=np.ones((1, 2))), "log-probabilities of at most 0"),
        ("ds-grpo", [[1.0, 0.0]], LIKELIHOOD._replace(logp=np.full((1, 2), -np.inf)), "finite log-probabilities"),
        ("ds-grpo", [[1.0, 0.0]], LIKELIHOOD._replace(length=np.zeros((1, 2))), "lengths of at least 1"),
        ("ds-grpo", [[1.0, 0.0, 1.0]], LIKELIHOOD, r"must have the shape of the rewards, \(1, 3\); got \(1, 2\)"),
    ],
)
def test_bad_input_is_refused(name: str, rewards: list, likelihood: Likelihood | None, message: str):
    with pytest.raises(InputError, match=message):
        advantages(np.array(rewards), OBJECTIVES[name], likelihood)


def test_groups_that_depend_on_each_other_must_have_one_size():
    with pytest.raises(InputError, match=r"must have one size; got 1 to 2 rollouts"):
        advantages_by_group(np.array([1.0, 0.0, 1.0]), np.array([0, 0, 1]), OBJECTIVES["a-grae"])
    with pytest.raises(InputError, match="must weigh each group independently"):
        simulate([1.0, 0.0], "a-grae", 4, rng=generator(0), probs_V=[0.5, 0.5])


def test_pass_rates_of_another_task_are_refused():
    with pytest.raises(InputError, match="groups of 2 rollouts, and this batch has groups of 3"):
        PassRates.of_rows([[0, 1, 0]]).weighted(np.array([[1.0, 0.0, 0.0]]), OBJECTIVES["curverl"])
    for rows in ([[0, 1], [0, 1, 0]], [[0, -1, 0]], [[]]):
        with pytest.raises(InputError, match="histograms of one length"):
            PassRates.of_rows(rows)
