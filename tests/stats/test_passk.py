"""pass@k: exact integers, brute force over subsets, properties, and the rules for what is undefined."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from massflow import InputError
from massflow.stats import pass_at_k, pass_at_k_exact


def test_by_hand():
    # n = 4, c = 2, k = 2: of the 6 pairs one holds only wrong samples, so 5/6.
    np.testing.assert_allclose(pass_at_k([4], [2], [1, 2, 3, 4]), [[0.5, 5 / 6, 1.0, 1.0]], rtol=1e-15)


@pytest.mark.parametrize(("n", "c"), [(n, c) for n in range(1, 8) for c in range(n + 1)])
def test_equals_brute_force_over_subsets(n: int, c: int):
    right = [i < c for i in range(n)]
    for k in range(1, n + 1):
        subsets = list(itertools.combinations(right, k))
        expected = sum(any(subset) for subset in subsets) / len(subsets)
        assert pass_at_k([n], [c], [k])[0, 0] == pytest.approx(expected, rel=1e-13, abs=1e-15)


@pytest.mark.parametrize(("n", "c", "k"), [(1024, 3, 512), (10_000, 1, 256), (1_000_000, 5, 100_000), (2000, 1500, 7)])
def test_agrees_with_exact_integers(n: int, c: int, k: int):
    exact = float(1 - Fraction(math.comb(n - c, k), math.comb(n, k)))
    assert pass_at_k([n], [c], [k])[0, 0] == pytest.approx(exact, rel=1e-12)


@given(st.integers(1, 300), st.data())
def test_grows_with_k_and_with_c(n: int, data: st.DataObject):
    c = data.draw(st.integers(0, n - 1))
    values = pass_at_k([n, n], [c, c + 1], range(1, n + 1))
    assert (np.diff(values, axis=1) >= -1e-12).all()
    assert (values[1] >= values[0] - 1e-12).all()
    assert values[0, 0] == pytest.approx(c / n)


def test_fewer_samples_than_k_is_undefined():
    values = pass_at_k([4, 8], [0, 8], [4, 5, 8])
    np.testing.assert_array_equal(np.isnan(values), [[False, True, True], [False, False, False]])


def test_a_huge_k_costs_nothing():
    np.testing.assert_allclose(pass_at_k([4, 9], [1, 0], [2, 10**9]), [[0.5, np.nan], [0.0, np.nan]], rtol=1e-15)


def test_exact_matches_the_definition_and_the_estimate_is_unbiased():
    assert pass_at_k_exact([0.0, 0.3, 1.0], [1, 7]).tolist() == [
        [0, 0],
        [pytest.approx(0.3), pytest.approx(1 - 0.7**7)],
        [1, 1],
    ]
    # E over c ~ Binomial(n, p) of the estimate is 1 - (1 - p)^k.
    n, p, k = 12, 0.3, 5
    chance = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    mean = np.dot(chance, pass_at_k([n] * (n + 1), range(n + 1), [k])[:, 0])
    assert mean == pytest.approx(float(pass_at_k_exact([p], [k])[0, 0]), rel=1e-12)


@pytest.mark.parametrize(
    ("n", "c", "ks", "message"),
    [
        ([4, 4], [1, 5], [1], "problem 1 has 5 of 4"),
        ([4], [-1], [1], "problem 0 has -1 of 4"),
        ([4], [1], [0], "ks must be whole numbers from 1 up"),
        ([4], [1], [], "ks must be whole numbers"),
        ([4, 4], [1], [1], "one count a problem"),
        ([math.inf], [1], [1], "problem 0 has 1 of inf"),
        ([4], [1], [math.inf], "ks must be whole numbers"),
    ],
)
def test_impossible_counts_are_refused(n: list[int], c: list[int], ks: list[int], message: str):
    with pytest.raises(InputError, match=message):
        pass_at_k(n, c, ks)
