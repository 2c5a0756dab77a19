"""max@k against all subsets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvrscope.errors import InputError
from rlvrscope.stats import max_at_k, pass_at_k


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.25, 1.0, 7.5]), max_size=7), st.integers(1, 7))
def test_it_is_the_mean_over_all_subsets(scores: list[float], k: int):
    (value,) = max_at_k([scores], [k])[0]
    if k > len(scores):
        assert np.isnan(value)
    else:
        subsets = list(combinations(scores, k))
        assert value == pytest.approx(sum(map(max, subsets)) / len(subsets))


def test_scores_of_0_and_1_give_pass_at_k():
    scores = [[0.0] * 60 + [1.0] * 4, [1.0] * 64, [0.0] * 64]
    np.testing.assert_allclose(max_at_k(scores, [1, 8, 64]), pass_at_k([64, 64, 64], [4, 64, 0], [1, 8, 64]))


def test_a_score_that_is_not_finite():
    with pytest.raises(InputError, match="problem 1 has a score that is not finite: inf"):
        max_at_k([[0.0], [np.inf]], [1])
