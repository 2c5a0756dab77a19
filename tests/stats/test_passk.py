"""pass@k: exact integers, brute force over subsets, properties, and the rules for what is undefined."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from rlvrscope import InputError
from rlvrscope.stats import (
    all_at_k,
    g_pass_at_k,
    guessing_pass_at_k,
    pass_at_k,
    pass_at_k_exact,
    pass_at_k_posterior,
    squared_pass_at_k,
)

Formula = Callable[[Any, Any, Any], np.ndarray]


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


def test_the_square_is_unbiased_and_undefined_below_twice_k():
    # Over all counts c ~ Binomial(n, p) its mean is (1 - (1 - p)^k)^2, which the estimate's own square exceeds.
    n, p, k = 12, 0.2, 3
    chance = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    values = squared_pass_at_k([n] * (n + 1), list(range(n + 1)), [k, 7])
    assert chance @ values[:, 0] == pytest.approx((1 - (1 - p) ** k) ** 2, rel=1e-12)
    assert np.isnan(values[:, 1]).all()


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
        ([4, 4], [1], [1], "one count per problem"),
        ([math.inf], [1], [1], "problem 0 has 1 of inf"),
        ([4], [1], [math.inf], "ks must be whole numbers"),
    ],
)
def test_impossible_counts_are_refused(n: list[int], c: list[int], ks: list[int], message: str):
    with pytest.raises(InputError, match=message):
        pass_at_k(n, c, ks)


def wrong_draws(n: int, c: int, k: int) -> tuple[int, int]:
    """C(n - c, k) / C(n, k) as two whole numbers: its min(c, k) factors, exactly."""
    few, many = min(c, k), max(c, k)
    return math.prod(range(n - many - few + 1, n - many + 1)), math.prod(range(n - few + 1, n + 1))


def as_float(numerator: int, denominator: int) -> float:
    """The quotient of two whole numbers of any length to 100 bits, as a float."""
    shift = max(0, denominator.bit_length() - numerator.bit_length() + 100)
    return math.ldexp(float((numerator << shift) // denominator), -shift)


def grid(n: int) -> list[tuple[int, int]]:
    """(c, k): c = 1, c near n, k near n and between, where the exact quotient has at most a few thousand factors."""
    cs = {1, 2, 3, 7, n // 100, n // 10, n // 2, n - 2, n - 1, n}
    ks = {1, 2, 8, 100, n // 100, n // 10, n // 2, n - 3, n - 2, n - 1, n}
    return [(c, k) for c in sorted(cs) for k in sorted(ks) if 1 <= c <= n and 1 <= k <= n and min(c, k) <= 3000]


@pytest.mark.parametrize("n", [10, 257, 1024, 5000, 100_000, 1_000_000])
def test_pass_at_k_keeps_twelve_digits(n: int):
    for c, k in grid(n):
        wrong, every = wrong_draws(n, c, k) if n - c >= k else (0, 1)
        exact = as_float(every - wrong, every)
        assert pass_at_k([n], [c], [k])[0, 0] == pytest.approx(exact, rel=1e-12, abs=0.0), (c, k)


@pytest.mark.parametrize("n", [10, 257, 1024, 5000, 100_000, 1_000_000])
def test_all_at_k_keeps_twelve_digits(n: int):
    for wrong, k in grid(n):
        c = n - wrong
        exact = as_float(*wrong_draws(n, wrong, k)) if c >= k else 0.0
        if exact > 1e-290 or exact == 0.0:
            assert all_at_k([n], [c], [k])[0, 0] == pytest.approx(exact, rel=1e-12, abs=0.0), (c, k)


@pytest.mark.parametrize(
    ("n", "c", "k", "tau"),
    [(256, 3, 128, 0.02), (256, 100, 64, 0.5), (1024, 512, 256, 0.7), (1000, 5, 900, 0.003), (5000, 100, 1000, 0.03)],
)
def test_g_pass_agrees_with_exact_integers(n: int, c: int, k: int, tau: float):
    least = max(1, math.ceil(tau * k - 1e-9))
    ways = sum(math.comb(c, j) * math.comb(n - c, k - j) for j in range(least, min(c, k) + 1))
    exact = float(Fraction(ways, math.comb(n, k)))
    assert g_pass_at_k([n], [c], [k], tau)[0, 0] == pytest.approx(exact, rel=1e-12, abs=0.0)


def test_all_and_g_pass_by_hand():
    # n = 4, c = 3: of the 6 pairs 3 are all right, of the 4 triples 1.
    np.testing.assert_allclose(all_at_k([4], [3], [1, 2, 3, 4]), [[3 / 4, 1 / 2, 1 / 4, 0.0]], rtol=1e-14)
    # n = 5, c = 3, k = 4 leaves one sample out: a right one (3 ways) and 2 right stay, a wrong one (2 ways) and 3 stay.
    found = [g_pass_at_k([5], [3], [4], tau)[0, 0] for tau in (0.5, 0.51, 0.75, 0.76)]
    np.testing.assert_allclose(found, [1.0, 2 / 5, 2 / 5, 0.0], rtol=1e-14)


def test_a_share_that_floats_miss_by_a_hair_counts_as_reached():
    # .28 * 25 is 7.000000000000001 in floats, but 7 right of 25 are a share of .28.
    assert g_pass_at_k([25], [7], [25], 0.28)[0, 0] == 1.0
    assert g_pass_at_k([25], [6], [25], 0.28)[0, 0] == 0.0


@pytest.mark.parametrize(("n", "c"), [(n, c) for n in range(1, 8) for c in range(n + 1)])
def test_all_and_g_pass_equal_brute_force_over_subsets(n: int, c: int):
    right = [i < c for i in range(n)]
    for k in range(1, n + 1):
        sums = [sum(subset) for subset in itertools.combinations(right, k)]
        expected = sum(total == k for total in sums) / len(sums)
        assert all_at_k([n], [c], [k])[0, 0] == pytest.approx(expected, rel=1e-13, abs=1e-15)
        for tau in (0.0, 0.25, 0.5, 0.8, 1.0):
            expected = sum(total >= max(1, math.ceil(Fraction(str(tau)) * k)) for total in sums) / len(sums)
            assert g_pass_at_k([n], [c], [k], tau)[0, 0] == pytest.approx(expected, rel=1e-13, abs=1e-15)


@given(st.integers(1, 200), st.data())
def test_g_pass_lies_between_all_and_any(n: int, data: st.DataObject):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    taus = sorted(data.draw(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6)))
    falling = [g_pass_at_k([n], [c], [k], tau)[0, 0] for tau in (0.0, *taus, 1.0)]
    assert (np.diff(falling) <= 1e-12).all()
    assert falling[0] == pytest.approx(pass_at_k([n], [c], [k])[0, 0], rel=1e-10, abs=1e-14)
    assert falling[-1] == pytest.approx(all_at_k([n], [c], [k])[0, 0], rel=1e-10, abs=1e-14)


@given(st.integers(1, 200), st.data())
def test_all_at_k_falls_with_k_and_grows_with_c(n: int, data: st.DataObject):
    c = data.draw(st.integers(0, n - 1))
    values = all_at_k([n, n], [c, c + 1], range(1, n + 1))
    assert (np.diff(values, axis=1) <= 1e-12).all()
    assert (values[1] >= values[0] - 1e-12).all()
    assert (values <= pass_at_k([n, n], [c, c + 1], range(1, n + 1)) + 1e-12).all()


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=20), st.randoms())
def test_every_problem_is_worked_out_by_itself(pairs: list[tuple[int, int]], random: random.Random):
    rows = [(max(pair), min(pair)) for pair in pairs]
    shuffled = random.sample(rows, len(rows))
    for formula in (pass_at_k, all_at_k):
        alone = {row: formula([row[0]], [row[1]], [1, 5, 30])[0] for row in rows}
        together = formula([n for n, _ in shuffled], [c for _, c in shuffled], [1, 5, 30])
        for row, values in zip(shuffled, together, strict=True):
            np.testing.assert_array_equal(values, alone[row])
            np.testing.assert_array_equal(np.isnan(values), np.array([1, 5, 30]) > row[0])


@pytest.mark.parametrize(("n", "k"), [(9, 1), (9, 3), (9, 4), (12, 6)])
def test_the_square_is_estimated_without_bias(n: int, k: int):
    # (1 - q^k)^2 = 1 - 2 q^k + q^2k = 2 (1 - q^k) - (1 - q^2k), and each part has its unbiased estimate.
    for p in (0.0, 0.05, 0.4, 0.9):
        chance = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
        once, twice = pass_at_k([n] * (n + 1), range(n + 1), [k, 2 * k]).T
        assert np.dot(chance, 2 * once - twice) == pytest.approx((1 - (1 - p) ** k) ** 2, rel=1e-12, abs=1e-15)


def test_posterior_by_hand():
    # No sample: p ~ Beta(1, 1), and E (1 - p)^k = 1 / (k + 1). One wrong sample: Beta(1, 2), E (1 - p)^k = 2 / (k + 2).
    ks = [1, 2, 5, 50]
    np.testing.assert_allclose(pass_at_k_posterior([0], [0], ks), [[k / (k + 1) for k in ks]], rtol=1e-13)
    np.testing.assert_allclose(pass_at_k_posterior([1], [0], ks), [[k / (k + 2) for k in ks]], rtol=1e-13)


@pytest.mark.parametrize(("n", "c"), [(4, 4), (16, 3), (256, 0), (256, 200)])
def test_posterior_is_the_integral_over_the_beta(n: int, c: int):
    ks = [1, 7, 256, 1000]
    expected = [
        quad(lambda p, k=k: -math.expm1(k * math.log1p(-p)) * beta.pdf(p, c + 1, n - c + 1), 0, 1, points=[c / n])[0]
        for k in ks
    ]
    np.testing.assert_allclose(pass_at_k_posterior([n], [c], ks)[0], expected, rtol=1e-6)


@given(st.integers(0, 300), st.data())
def test_posterior_grows_with_k_and_with_c_within_its_bounds(n: int, data: st.DataObject):
    c = data.draw(st.integers(0, n))
    values = pass_at_k_posterior([n + 1, n + 1], [c, c + 1], [1, 2, 10, 500])
    assert (np.diff(values, axis=1) > 0.0).all() or values.max() == 1.0
    assert (values[1] >= values[0]).all()
    assert ((values > 0.0) & (values <= 1.0)).all()


def test_guessing_by_hand():
    # Four options, two guesses: 1 - (3/4)^2 = 7/16. Ten options, 64 guesses: 1 - .9^64 = .99882. One option: certain.
    np.testing.assert_allclose(guessing_pass_at_k([4, 10, 1], [2, 64])[0, 0], 7 / 16, rtol=1e-14)
    assert guessing_pass_at_k([10], [64])[0, 0] == pytest.approx(0.99882, abs=1e-5)
    np.testing.assert_array_equal(guessing_pass_at_k([1], [1, 9]), [[1.0, 1.0]])


@pytest.mark.parametrize("options", [[4, 0], [-2], [math.nan], [2.5]])
def test_impossible_numbers_of_options_are_refused(options: list[float]):
    with pytest.raises(InputError, match="option"):
        guessing_pass_at_k(options, [1])


@pytest.mark.parametrize("tau", [-0.1, 1.1, math.nan])
def test_a_share_outside_its_range_is_refused(tau: float):
    with pytest.raises(InputError, match=f"tau must be between 0 and 1; got {tau}"):
        g_pass_at_k([4], [2], [1], tau)


@pytest.mark.parametrize("success", [[-0.1], [1.1], [math.nan]])
def test_impossible_probabilities_are_refused(success: list[float]):
    with pytest.raises(InputError, match=r"must be in \[0, 1\]"):
        pass_at_k_exact(success, [1])


@pytest.mark.parametrize(
    "formula", [pass_at_k, all_at_k, pass_at_k_posterior, lambda n, c, ks: g_pass_at_k(n, c, ks, 0.5)]
)
@pytest.mark.parametrize(
    ("n", "c", "ks", "message"),
    [
        ([4], [1.5], [1], "problem 0 has 1.5 of 4"),
        ([4], [math.nan], [1], "problem 0 has nan of 4"),
        ([4], [5], [1], "problem 0 has 5 of 4"),
        (["4"], ["1"], [1], "counts must be numbers"),
        ([4], [1], [1.5], "ks must be whole numbers from 1 up"),
        ([4], [1], [-1], "ks must be whole numbers from 1 up"),
        ([4], [1], [], "ks must be whole numbers from 1 up"),
        ([4], [1], ["two"], "ks must be whole numbers from 1 up"),
        ([4], [1], [math.nan], "ks must be whole numbers from 1 up"),
    ],
)
def test_every_formula_refuses_the_impossible(formula: Formula, n: list, c: list, ks: list, message: str):
    with pytest.raises(InputError, match=message) as caught:
        formula(n, c, ks)
    assert "\n" not in str(caught.value)
