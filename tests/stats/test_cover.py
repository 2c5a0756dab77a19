"""Cover@tau: by hand, its identity with pass@k, and its order."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvrscope import InputError
from rlvrscope.stats import cover_at, guessing_pass_at_k, pass_at_k_exact
from rlvrscope.stats.counts import GroupCounts

tables = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), min_size=1, max_size=15).map(
    lambda rows: [(max(row), min(row)) for row in rows]
)


def table(rows: list[tuple[int, int]]) -> GroupCounts:
    return GroupCounts(range(len(rows)), [n for n, _ in rows], [c for _, c in rows])


def test_by_hand():
    # Rates 0, 1/2, 1/2, 1: all reach 0, three reach up to 1/2, one reaches more.
    counts = GroupCounts("abcd", [4, 4, 10, 2], [0, 2, 5, 2])
    np.testing.assert_array_equal(cover_at(counts, [0.0, 0.01, 0.5, 0.51, 1.0]), [1.0, 0.75, 0.75, 0.25, 0.25])


def test_a_rate_of_exactly_tau_reaches_it():
    # 3/10 is not .1 * 3 in floats, but 3 right of 10 do reach .3 however it is written.
    assert cover_at(GroupCounts(["x"], [10], [3]), [0.1 * 3]).tolist() == [1.0]


def test_runs_are_averaged_before_they_are_compared():
    # The one problem is solved always in one run, never in the other: a rate of 1/2.
    counts = GroupCounts(["x", "x"], [4, 8], [4, 0], seed=[0, 1])
    np.testing.assert_array_equal(cover_at(counts, [0.5, 0.6]), [1.0, 0.0])


@given(tables, st.integers(1, 64))
def test_pass_at_k_is_its_integral(rows: list[tuple[int, int]], k: int):
    # Cover@tau is a staircase that falls at the success rates r. The weight k (1 - tau)^(k-1) has the antiderivative
    # -(1 - tau)^k, so a step from a to b gives cover(b) ((1 - a)^k - (1 - b)^k).
    edges = sorted({0.0, *(c / n for n, c in rows)})
    heights = cover_at(table(rows), edges[1:]) if len(edges) > 1 else []
    integral = sum(
        height * ((1 - a) ** k - (1 - b) ** k) for a, b, height in zip(edges, edges[1:], heights, strict=False)
    )
    assert pass_at_k_exact([c / n for n, c in rows], [k]).mean() == pytest.approx(integral, rel=1e-12, abs=1e-15)


@given(tables, st.lists(st.floats(0.0, 1.0), min_size=2, max_size=8), st.randoms())
def test_falls_with_tau_and_does_not_know_the_order_of_problems(
    rows: list[tuple[int, int]], taus: list[float], random: random.Random
):
    found = cover_at(table(rows), sorted(taus))
    assert (np.diff(found) <= 0.0).all()
    assert ((found >= 0.0) & (found <= 1.0)).all()
    np.testing.assert_array_equal(cover_at(table(random.sample(rows, len(rows))), sorted(taus)), found)


def test_guessing_does_not_cover():
    # Ten options, guessed: pass@64 is .999, but hardly any problem is solved in half of its samples.
    c = np.random.default_rng(0).binomial(256, 0.1, 200)
    counts = GroupCounts(range(200), np.full(200, 256), c)
    assert guessing_pass_at_k([10], [64])[0, 0] > 0.998
    assert cover_at(counts, [0.5])[0] == 0.0


def test_a_problem_without_samples_leaves_it_undefined():
    assert np.isnan(cover_at(GroupCounts("ab", [0, 4], [0, 4]), [0.1, 0.9])).all()


@pytest.mark.parametrize("taus", [[-0.1], [0.5, 1.1], [math.nan], [[0.5]], 0.5])
def test_shares_outside_their_range_are_refused(taus: list[float]):
    with pytest.raises(InputError, match="taus must be a list of shares from 0 to 1; got"):
        cover_at(GroupCounts("ab", [4, 4], [0, 4]), taus)
