"""Mean field: iterated updates, the limit's flow, and what they say of binary rewards."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rlvrscope import InputError, WorkError
from rlvrscope.dynamics import expected_update, flow, sequence_flow
from rlvrscope.objectives import OBJECTIVES

GRPO = OBJECTIVES["grpo"].replace(std_ddof=0)
REWARDS, PROBS = [0.8, 1.0, 0.0], [0.49, 0.02, 0.49]


def test_a_step_is_the_expected_update():
    logits = np.log(PROBS)
    for _ in range(3):
        probs = np.exp(logits) / np.exp(logits).sum()
        logits = logits + expected_update(REWARDS, GRPO, 8, probs_V=probs, learning_rate=0.1)
    path = flow(REWARDS, GRPO, 8, probs_V=PROBS, learning_rate=0.1, steps=3)
    assert path.probs_STV is not None
    np.testing.assert_allclose(path.probs_STV[0, 3], np.exp(logits) / np.exp(logits).sum(), rtol=1e-13)
    np.testing.assert_allclose(path.probs_STV[0, 0], PROBS, rtol=1e-15)


def test_the_limit_is_a_flow_of_small_steps():
    fast = flow(REWARDS, GRPO, math.inf, probs_V=PROBS, learning_rate=0.1, steps=200, record_every=100)
    slow = flow(REWARDS, "rloo", 8, probs_V=PROBS, learning_rate=0.001, steps=20_000, record_every=10_000)
    limit = flow(REWARDS, "rloo", math.inf, probs_V=PROBS, learning_rate=0.1, steps=200, record_every=100)
    assert slow.probs_STV is not None
    assert limit.probs_STV is not None
    np.testing.assert_allclose(slow.probs_STV, limit.probs_STV, rtol=2e-4)
    assert fast.steps_T.tolist() == [0, 100, 200]


@pytest.mark.parametrize("name", ["grpo", "grpo-n"])
def test_binary_rewards_make_the_rich_richer_under_both(name: str):
    """From (.35, .15, .5) the rare right answer's share falls from .300 to .021, negative-only or not."""
    objective = OBJECTIVES[name].replace(std_ddof=0)
    path = flow([1, 1, 0], objective, 8, probs_V=[0.35, 0.15, 0.5], learning_rate=0.1, steps=3000, record_every=3000)
    share_T = path.mass([1])[0] / path.mass([0, 1])[0]
    assert share_T[0] == pytest.approx(0.3)
    assert share_T[-1] == pytest.approx(0.021, abs=0.001)


def test_an_impossible_action_stays_impossible():
    path = flow([0.8, 1.0, 0.0], GRPO, math.inf, probs_V=[0.5, 0.0, 0.5], steps=50)
    assert (path.mass([1]) == 0.0).all()


@pytest.mark.parametrize("size", [8, math.inf])
def test_the_last_step_is_always_there(size: float):
    path = flow(REWARDS, GRPO, size, probs_V=PROBS, steps=40, record_every=[0, 7])
    assert path.steps_T.tolist() == [0, 7, 40]
    assert path.probs_STV is not None
    assert path.probs_STV.shape == (1, 3, 3)


def test_an_integration_that_gets_nowhere_is_ended():
    with pytest.raises(WorkError, match="take a smaller learning_rate"):
        flow(REWARDS, "psr", math.inf, probs_V=PROBS, steps=10**9, learning_rate=1e9, record_every=10**9)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 0},
        {"steps": 2.0},
        {"steps": 10**30},
        {"learning_rate": -1},
        {"record_every": 0},
        {"record_every": [[1], [2, 3]]},
    ],
)
def test_bad_input(changes: dict):
    with pytest.raises(InputError, match=next(iter(changes))):
        flow(REWARDS, GRPO, 8, probs_V=PROBS, **changes)


@pytest.mark.parametrize("size", [8, math.inf])
def test_a_path_that_does_not_fit_is_refused(size: float):
    """By hand: 4 x 8 bytes x 20,001 x 50,000 are 29.8 GiB."""
    even = np.full(50_000, 1 / 50_000)
    with pytest.raises(InputError, match=r"29\.8 GiB, and at most 8 are taken: raise record_every"):
        flow(np.arange(50_000) / 50_000, GRPO, size, probs_V=even, steps=20_000)
    answers = {"rewards_Y": np.arange(4096) / 4096, "probs_Y": np.full(4096, 1 / 4096)}
    with pytest.raises(InputError, match="raise record_every"):
        sequence_flow(objective=GRPO, group_size=size, tokens=2, steps=100_000, **answers)
