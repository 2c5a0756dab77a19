"""Closed forms against the flow they are the leading order of."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.dynamics import flow, kappa, lowest_mass, transition_time
from rlvrscope.dynamics.closed_forms import TURNING_SHARE
from rlvrscope.objectives import OBJECTIVES
from rlvrscope.seeding import generator

GRPO = OBJECTIVES["grpo"].replace(std_ddof=0)
REWARDS = [0.8, 1.0, 0.0]


def start(rare: float) -> list[float]:
    return [0.5 - rare / 2, rare, 0.5 - rare / 2]


def test_by_hand():
    probs = start(0.02)  # kappa = .02 / .49; D = .2
    assert kappa(REWARDS, probs) == pytest.approx(0.02 / 0.49)
    k2 = (0.02 / 0.49) ** 2
    assert transition_time(REWARDS, "rloo", 8, probs_V=probs) == pytest.approx(0.8 / (6 * 0.04 * k2))
    assert transition_time(REWARDS, GRPO, 8, probs_V=probs) == pytest.approx(1 / (6 * math.sqrt(7) * k2))
    assert transition_time(REWARDS, "grpo", 8, probs_V=probs) == pytest.approx(math.sqrt(8) / (6 * 7 * k2))
    assert lowest_mass(REWARDS, "rloo", 8, probs_V=probs) == pytest.approx(27 * 0.2 * k2 / 3.2)
    assert lowest_mass(REWARDS, GRPO, 8, probs_V=probs) == pytest.approx(6.75 * k2)


@pytest.mark.parametrize("rewards", [REWARDS, [0.4, 1.0, 0.0], [-2.0, 1.0, -3.0]])
@pytest.mark.parametrize("objective", ["rloo", GRPO], ids=["rloo", "grpo"])
def test_leading_order_of_the_limit_flow(objective, rewards: list[float]):
    for rare, tolerance in [(1e-3, 0.03), (1e-4, 0.01)]:
        probs = start(rare)
        time = transition_time(rewards, objective, math.inf, probs_V=probs)
        path = flow(
            rewards,
            objective,
            math.inf,
            probs_V=probs,
            learning_rate=1.0,
            steps=int(1.3 * time),
            record_every=max(1, int(time / 2000)),
        )
        mass_T = path.mass([1])[0]
        assert path.steps_T[np.argmax(mass_T > 0.5)] / time == pytest.approx(1.0, abs=tolerance)
        lowest = lowest_mass(rewards, objective, math.inf, probs_V=probs)
        assert mass_T.min() / lowest == pytest.approx(1.0, abs=tolerance)
        if objective == "rloo":
            assert path.steps_T[mass_T.argmin()] / time == pytest.approx(TURNING_SHARE, abs=0.01)


def test_equal_gaps_are_the_limit_of_the_quotient():
    near, at = (transition_time([0.5 + d, 1.0, 0.0], GRPO, math.inf, probs_V=start(0.01)) for d in (1e-4, 0.0))
    assert at == pytest.approx(near, rel=1e-3)


def test_the_mean_without_std_is_slower_by_n_over_n_minus_1():
    slow, fast = (transition_time(REWARDS, name, 4, probs_V=start(0.01)) for name in ("dr-grpo", "rloo"))
    assert slow / fast == pytest.approx(4 / 3)


@pytest.mark.parametrize("objective", ["rloo", "grpo", "grpo-n", "nsr", "psr"])
def test_kappa_is_conserved_while_the_rare_action_is_rare(objective: str):
    """Whatever the objective. Checked where the worst action falls by e^-2, from pi_2 = 1e-6."""
    rewards = [0.8, 1.0, 0.0]
    path = flow(rewards, objective, 8, probs_V=start(1e-6), learning_rate=0.05, steps=2000)
    assert path.probs_STV is not None
    row = path.probs_STV[0]
    index = int(np.argmax(row[:, 2] < 0.5 * math.exp(-2)))
    assert index > 0
    assert kappa(rewards, row[index]) == pytest.approx(kappa(rewards, row[0]), rel=1e-4)


@pytest.mark.parametrize("objective", ["grpo-n", "psr", "w-reinforce", "wapo"])
def test_objectives_without_a_closed_form_are_refused(objective: str):
    with pytest.raises(InputError, match="use flow"):
        transition_time(REWARDS, objective, 8, probs_V=start(0.01))


@pytest.mark.parametrize("rewards", [[1.0, 0.0, 0.0], [1.0, 0.0]])
def test_other_problems_are_refused(rewards: list[float]):
    with pytest.raises(InputError, match="three actions of different reward"):
        kappa(rewards, np.full(len(rewards), 1 / len(rewards)))


def test_the_finite_form_is_refused_where_it_does_not_hold():
    with pytest.raises(InputError, match="well below 1 for the best action; got 20"):
        transition_time([0.8, 1.0, 0.0], "grpo", 1000, probs_V=[0.49, 0.02, 0.49])


@pytest.mark.parametrize("form", [lowest_mass, transition_time])
@pytest.mark.parametrize("probs", [[0.1, 0.8, 0.1], [0.3, 0.2, 0.5], [0.45, 0.5, 0.05]])
def test_a_best_action_that_is_not_rare_is_refused(form, probs: list[float]):
    """By hand: kappa^2 of (.3, .2, .5) is .04 / .15, so the least mass would be 27 x .2 / 3.2 x .267 = .45."""
    probs = [p / sum(probs) for p in probs]
    with pytest.raises(InputError, match="rare best action"):
        form(REWARDS, "rloo", 8, probs_V=probs)


def test_the_least_mass_is_below_the_start_or_refused():
    answered = 0
    for probs in generator(0, "closed").dirichlet([1.0, 0.2, 1.0], size=200):
        try:
            lowest = lowest_mass(REWARDS, "rloo", 8, probs_V=probs)
        except InputError:
            continue
        answered += 1
        assert lowest < probs[1] < 0.5
    assert 20 < answered < 200
