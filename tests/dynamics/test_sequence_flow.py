"""The law of tokens: a bandit's for one token, state by state for several; where simulated answers follow it."""

from __future__ import annotations

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.dynamics import effective_advantage, flow, sequence_flow, simulate_sequences
from rlvrscope.objectives import OBJECTIVES
from rlvrscope.seeding import generator

GRPO = OBJECTIVES["grpo"].replace(std_ddof=0)
# The toy's action as the first of two tokens; the second has to be the first of three, 1/2 at the start.
REWARDS = np.outer([0.8, 1.0, 0.0], [1.0, 0.0, 0.0]).ravel()
PROBS = np.outer([0.49, 0.02, 0.49], [0.5, 0.25, 0.25]).ravel()
RARE = [3, 4, 5]


def test_one_token_is_the_flow_of_the_bandit():
    settings = {"learning_rate": 0.1, "steps": 30, "record_every": 10}
    bandit = flow([0.8, 1, 0], GRPO, 8, probs_V=[0.4, 0.2, 0.4], **settings)
    answers = sequence_flow([0.8, 1, 0], GRPO, 8, tokens=3, probs_Y=[0.4, 0.2, 0.4], **settings)
    assert answers.steps_T.tolist() == [0, 10, 20, 30]
    np.testing.assert_allclose(answers.mass([1]), bandit.mass([1]), rtol=1e-12)


def test_a_step_by_hand():
    """RLOO, so At_y - E At = r_y - E r. Two tokens of two, uniform, reward 1 for (0, 0) alone: E r = 1/4.

    Root: token 0 leads to rewards 1 and 0, mean 1/2, so dz = (eta / 2) 1/2 (1/2 - 1/4) = eta / 16, and - eta / 16.
    State 0, met half the time: dz = (eta / 2) 1/2 1/2 (1 - 1/2) = eta / 16, and - eta / 16. State 1: nothing to learn.
    """
    eta = 0.4
    path = sequence_flow([1, 0, 0, 0], "rloo", 4, tokens=2, probs_Y=[0.25] * 4, learning_rate=eta, steps=1)
    assert path.probs_STV is not None
    p = 1 / (1 + np.exp(-2 * eta / 16))
    np.testing.assert_allclose(path.probs_STV[0, 1], [p * p, p * (1 - p), (1 - p) / 2, (1 - p) / 2], rtol=1e-12)


@pytest.mark.parametrize("name", ["grpo", "grpo-n", "nsr"])
def test_the_best_token_moves_by_the_gradient_of_its_state(name: str):
    """Brute force over the table: dz = (eta / T) sum_y pi_y At_y d log pi_y / dz, by finite differences."""
    weights_Y = PROBS * effective_advantage(REWARDS, name, 4, probs_V=PROBS)
    logits = np.log(np.array([0.49, 0.02, 0.49]))

    def score(shift_V: np.ndarray) -> float:
        first_V = np.exp(logits + shift_V)
        return float(weights_Y.reshape(3, 3).sum(axis=1) @ np.log(first_V / first_V.sum()))

    small = 1e-6
    gradient_V = np.array([(score(small * e) - score(-small * e)) / (2 * small) for e in np.eye(3)])
    expected_V = np.exp(logits + 0.5 / 2 * gradient_V)
    path = sequence_flow(REWARDS, name, 4, tokens=3, probs_Y=PROBS, learning_rate=0.5, steps=1)
    found_V = [path.mass([3 * v, 3 * v + 1, 3 * v + 2])[0, 1] for v in range(3)]
    np.testing.assert_allclose(found_V, expected_V / expected_V.sum(), rtol=1e-8)


def test_the_two_stages_carry_over_to_tokens():
    path = sequence_flow(REWARDS, GRPO, 8, tokens=3, probs_Y=PROBS, learning_rate=0.8, steps=1500)
    mass_T = path.mass(RARE)[0]
    assert 0.002 < mass_T.min() < 0.0025
    assert 200 < mass_T.argmin() < 450
    assert mass_T[-1] > 0.9


@pytest.mark.parametrize(
    ("eta", "epochs", "holds"), [(0.2, 1, True), (0.1, 4, True), (0.8, 4, False)], ids=["on", "near", "far"]
)
def test_tokens_follow_the_law_over_many_steps_while_ratios_are_near_1(eta: float, epochs: int, holds: bool):
    """Up to eta x updates = 48, where the best token has fallen from .02 to .0043 and is still small.

    A group of 8 used 4 times at eta = .8 is clipped, and the token falls less. Of the law this has .98, 1.03 and 1.60;
    the median of 200 seeds has a standard error of 2 to 4 %.
    """
    steps = round(48 / eta / epochs)
    law = sequence_flow(REWARDS, GRPO, 8, tokens=3, probs_Y=PROBS, learning_rate=eta, steps=steps * epochs)
    settings = {"steps": steps, "seeds": 200, "inner_epochs": epochs, "learning_rate": eta, "record_every": steps}
    path = simulate_sequences(REWARDS, GRPO, 8, tokens=3, probs_Y=PROBS, rng=generator(0), **settings)
    share = float(np.median(path.mass(RARE)[:, -1]) / law.mass(RARE)[0, -1])
    assert abs(share - 1.0) < 0.07 if holds else share > 1.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": 1}, "tokens must be a whole number of at least 2"),
        ({"steps": 0}, "steps"),
        ({"learning_rate": "a"}, "learning_rate"),
        ({"group_size": 1}, "at least 2"),
        ({"probs_Y": [1.0] * 9}, "probs_Y must sum to 1"),
    ],
)
def test_bad_input(changes: dict, message: str):
    given = {"rewards_Y": REWARDS, "objective": "grpo", "group_size": 4, "tokens": 3, "probs_Y": PROBS, **changes}
    with pytest.raises(InputError, match=message):
        sequence_flow(**given)
