"""Objectives with a shape: exact, as a flow, simulated; and what is refused of a user's own function."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.dynamics import effective_advantage, expected_update, flow, simulate, simulate_sequences
from rlvrscope.objectives import OBJECTIVES, Objective, advantages
from rlvrscope.seeding import generator

REWARDS, PROBS = np.array([0.8, 1.0, 0.0]), np.array([0.45, 0.1, 0.45])
OWN = """
def bonus(rewards_PG, advantages_PG):
    return advantages_PG + (rewards_PG > 0.9)

def batch_dependent(rewards_PG, advantages_PG):
    return advantages_PG - advantages_PG.max()

def first_only(rewards_PG, advantages_PG):
    advantages_PG[:, 1:] = 0.0
    return advantages_PG

CALLS = []

def counted(rewards_PG, advantages_PG):
    CALLS.append(0)
    return advantages_PG + len(CALLS)
"""


@pytest.fixture
def own(tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    return lambda name: OBJECTIVES["grpo"].replace(name=name, shape=f"{file}:{name}")


def named(name: str) -> Objective:
    shapes = {
        "pass_at_k": {"kind": "pass_at_k", "k": 2},
        "focal": {"kind": "focal", "gamma": 1.5},
        "rate_weights": {"kind": "rate_weights", "points": [[0, 1], [1, 0.2]]},
        "quantile": {"kind": "quantile", "level": 0.4},
    }
    return OBJECTIVES["grpo"].replace(name=name, shape=shapes[name])


def by_groups(objective: Objective, size: int) -> np.ndarray:
    """E[(1/n) sum_i w_i (1[a_i = v] - pi_v)], over every ordered group."""
    groups_NG = np.array(list(itertools.product(range(3), repeat=size)))
    weights_NG = PROBS[groups_NG].prod(axis=1)[:, None] * advantages(REWARDS[groups_NG], objective)
    drawn_V = np.array([weights_NG[groups_NG == v].sum() for v in range(3)])
    return (drawn_V - PROBS * weights_NG.sum()) / size


@pytest.mark.parametrize("name", ["pass_at_k", "focal", "rate_weights", "quantile", "own"])
@pytest.mark.parametrize("size", [3, 5])
def test_the_expected_update_is_that_of_every_group(name: str, size: int, own):
    objective = own("bonus") if name == "own" else named(name)
    update_V = expected_update(REWARDS, objective, size, probs_V=PROBS)
    np.testing.assert_allclose(update_V, by_groups(objective, size), rtol=0, atol=1e-12)
    flowed = flow(REWARDS, objective, size, probs_V=PROBS, steps=1, learning_rate=0.5).probs_STV
    assert flowed is not None
    expected = PROBS * np.exp(0.5 * update_V)
    np.testing.assert_allclose(flowed[0, 1], expected / expected.sum(), rtol=1e-12)


def test_by_hand(own):
    """n = 1, no baseline: At_v is the shaped reward itself, and the function adds 1 to the best one."""
    uncompared = own("bonus").replace(baseline="none", scale="none")
    np.testing.assert_allclose(effective_advantage(REWARDS, uncompared, 1, probs_V=PROBS), [0.8, 2.0, 0.0])


@pytest.mark.parametrize("name", ["pass_at_k", "quantile", "own"])
def test_samples_agree_within_four_standard_errors(name: str, own):
    objective, seeds = own("bonus") if name == "own" else named(name), 20_000
    path = simulate(
        REWARDS, objective, 5, probs_V=PROBS, learning_rate=0.1, steps=1, seeds=seeds, rng=generator(2, "shapes")
    )
    assert path.probs_STV is not None
    moved_SV = np.log(path.probs_STV[:, 1] / path.probs_STV[:, 0])
    moved_SV -= moved_SV.mean(axis=1, keepdims=True)
    error_V = moved_SV.std(axis=0) / math.sqrt(seeds)
    expected_V = expected_update(REWARDS, objective, 5, probs_V=PROBS, learning_rate=0.1)
    assert (np.abs(moved_SV.mean(axis=0) - expected_V) <= 4 * error_V).all()


def test_a_shape_that_changes_nothing_gives_the_kernels_path():
    """Focal with gamma 0 is GRPO: the NumPy path that it takes agrees with the kernel's."""
    shaped = OBJECTIVES["grpo"].replace(name="same", shape={"kind": "focal", "gamma": 0.0})
    slow, fast = (
        simulate(REWARDS, objective, 8, probs_V=PROBS, steps=50, seeds=5, rng=generator(0)).mass([1])
        for objective in (shaped, "grpo")
    )
    np.testing.assert_allclose(slow, fast, rtol=1e-10)


def test_the_kernel_refuses_a_shape():
    with pytest.raises(InputError, match="'focal' has a shape, which the kernel does not implement: leave backend out"):
        simulate(REWARDS, named("focal"), 8, probs_V=PROBS, backend="kernel", rng=generator(0))


@pytest.mark.parametrize("name", ["batch_dependent", "counted"])
def test_a_function_that_depends_on_other_groups_or_earlier_calls_is_refused(name: str, own):
    answers = {"tokens": 3, "probs_Y": PROBS}
    for call in (
        lambda: simulate(REWARDS, own(name), 8, probs_V=PROBS, rng=generator(0)),
        lambda: simulate_sequences(REWARDS, own(name), 8, rng=generator(0), **answers),
        lambda: expected_update(REWARDS, own(name), 8, probs_V=PROBS),
    ):
        with pytest.raises(InputError, match="must weigh each group independently") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_function_of_the_order_is_simulated_but_not_summed(own):
    simulate(REWARDS, own("first_only"), 8, probs_V=PROBS, steps=2, seeds=2, rng=generator(0))
    with pytest.raises(InputError, match="weighs rollouts of one group and one reward differently"):
        expected_update(REWARDS, own("first_only"), 8, probs_V=PROBS)
    with pytest.raises(InputError, match="give a finite group_size"):
        flow(REWARDS, own("bonus"), math.inf, probs_V=PROBS)
