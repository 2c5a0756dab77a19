"""Statistics of a trajectory."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.dynamics import Trajectory
from rlvrscope.dynamics.trajectory import recorded_steps


def path(probs_STV: list, passage: list[float] | None = None) -> Trajectory:
    probs = np.array(probs_STV)
    made = Trajectory.of_probs(np.arange(len(probs)), np.arange(probs.shape[1]), probs)
    return Trajectory(made.seeds, made.steps_T, probs, made.entropy_ST, {}, {"set": np.array(passage or [])})


def test_entropy_mass_and_pass_at_k_by_hand():
    made = path([[[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]])
    np.testing.assert_allclose(made.entropy_ST, [[math.log(2), 0.0]], rtol=1e-15)
    np.testing.assert_allclose(made.mass([1, 2]), [[0.5, 0.0]])
    np.testing.assert_allclose(made.pass_at_k([0], [1, 3])[0, 0], [0.5, 1 - 0.5**3])


def test_pass_at_k_at_one_in_k_is_about_632():
    p, k = 1 / 256, 256
    made = path([[[p, 1 - p], [math.log(2) / k, 1 - math.log(2) / k]]])
    assert made.pass_at_k([0], [k])[0, 0, 0] == pytest.approx(1 - 1 / math.e, abs=1e-3)
    assert made.pass_at_k([0], [k])[0, 1, 0] == pytest.approx(0.5, abs=1e-3)  # ln 2 / k


def test_quantiles_count_seeds_that_never_pass():
    made = path([[[0.5, 0.5]]] * 5, [10.0, 30.0, math.nan, 20.0, math.nan])
    np.testing.assert_array_equal(made.passage_quantiles("set", [0.2, 0.4, 0.6, 0.8]), [10, 20, 30, math.nan])
    assert made.share_never("set") == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda made: made.share_never("sett"), "no set 'sett' was watched. Did you mean 'set'"),
        (lambda made: made.passage_quantiles("other"), "no set 'other' was watched"),
        (lambda made: made.passage_quantiles("set", [1.5]), "shares must be between 0 and 1"),
        (lambda made: made.passage_quantiles("set", "x"), "shares must be a list of numbers"),
        (lambda made: made.pass_at_k([0], [[1], [2, 3]]), "ks must be a list of whole numbers"),
        (lambda made: made.mass([[0], [1, 0]]), "list of actions"),
    ],
)
def test_bad_questions_are_one_line(ask, message: str):
    with pytest.raises(InputError, match=message) as caught:
        ask(path([[[0.5, 0.5]]], [1.0]))
    assert "\n" not in str(caught.value)


def test_recorded_steps():
    assert recorded_steps(10, 4).tolist() == [0, 4, 8, 10]
    assert recorded_steps(10, [3, 10]).tolist() == [0, 3, 10]
    assert recorded_steps(10, [3]).tolist() == [0, 3, 10], "the start and the last step always are"
    with pytest.raises(InputError, match="record_every"):
        recorded_steps(10, [])
    with pytest.raises(InputError, match="different actions between 0 and 1"):
        path([[[0.5, 0.5]]]).mass([2])
