"""Different answers among k samples, against all subsets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvrscope.errors import InputError
from rlvrscope.stats.diversity import distinct_at_k


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=7), st.integers(1, 7))
def test_it_is_the_mean_over_all_subsets(answers: list[str | None], k: int):
    times = [answers.count(name) for name in set(answers) - {None}]
    (value,) = distinct_at_k([times], [len(answers)], [k])[0]
    if k > len(answers):
        assert np.isnan(value)
    else:
        subsets = list(combinations(answers, k))
        assert value == pytest.approx(sum(len(set(subset) - {None}) for subset in subsets) / len(subsets))


def test_more_answers_than_samples():
    with pytest.raises(InputError, match="more answers than samples"):
        distinct_at_k([[2, 3]], [4], [1])
