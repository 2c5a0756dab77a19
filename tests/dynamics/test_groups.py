"""The list of groups: complete, of total chance 1, and refused where it is too long."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.dynamics import expected_update
from rlvrscope.dynamics.groups import Groups, count_vectors
from rlvrscope.objectives import OBJECTIVES


@pytest.mark.parametrize(("size", "classes"), [(1, 1), (5, 1), (1, 4), (4, 3), (7, 5)])
def test_every_count_vector_once(size: int, classes: int):
    expected = [row for row in itertools.product(range(size + 1), repeat=classes) if sum(row) == size]
    np.testing.assert_array_equal(count_vectors(size, classes), expected)


@pytest.mark.parametrize("size", [2, 8, 64])
def test_chances_of_the_others_sum_to_1(size: int):
    # With every weight 1, At_v is the total chance of the other rollouts.
    groups = Groups.enumerate(np.array([0.0, 1.0, 2.0]), OBJECTIVES["grpo"], size)
    ones = Groups(groups.class_V, groups.counts_NR, groups.log_ways_N, (groups.counts_NR > 0).astype(float))
    probs = np.array([0.98, 0.0199, 0.0001])
    np.testing.assert_allclose(ones.effective_advantage(np.log(probs)), 1.0, rtol=1e-12)


def test_actions_of_equal_reward_are_one_class():
    groups = Groups.enumerate(np.array([0.2, 0.9, 0.2, 0.7]), OBJECTIVES["grpo"], 6)
    assert len(groups.counts_NR) == math.comb(6 + 2, 2)
    assert len(Groups.enumerate(np.array([0.2, 0.9, 0.2, 0.7]), OBJECTIVES["nsr"], 6).counts_NR) == 2  # right or wrong


def test_too_many_groups_are_refused_with_their_number():
    with pytest.raises(InputError, match=r"64 rollouts over 10 distinct rewards make 9\.71e\+10 .* use simulate"):
        expected_update(np.arange(10.0), "grpo", 64, probs_V=np.full(10, 0.1))


@pytest.mark.parametrize(
    ("size", "classes", "message"),
    [
        (3000, 3, "3,000 rollouts over 3 distinct rewards make 1.35e+10 rewards in their count vectors"),
        (4, 100, "make 4.42e+08 counts in their count vectors, and at most 50,000,000"),
        (10_000, 10_000, "make about 10^6018 count vectors"),
    ],
)
def test_few_groups_of_much_work_are_refused_too(size: int, classes: int, message: str):
    with pytest.raises(InputError, match=re.escape(message)):
        expected_update(np.arange(float(classes)), "grpo", size, probs_V=np.full(classes, 1 / classes))
