"""The crossover: by hand, in draws, and as part of a comparison."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvrscope.seeding import generator
from rlvrscope.stats import compare, pass_at_k
from rlvrscope.stats.comparison import certified_range
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.crossover import MAX_KS, Crossover, crossover_ks, draw_differences, find_crossover
from rlvrscope.stats.units import Units

NAN = np.nan


def found(difference: list[float], draws: list[list[float]] | None = None, ks: list[int] | None = None) -> Crossover:
    ks_K = np.array(ks or range(1, len(difference) + 1))
    return find_crossover(ks_K, np.array(difference), np.array(draws or [difference]), (0, 1))


def test_by_hand():
    # trained - base at k = 1 .. 4; the smallest k at which the base is no worse.
    assert found([0.2, 0.1, -0.1, -0.2]).k == 3
    assert found([0.2, 0.1, 0.0, 0.1]).k == 3  # as good is enough
    assert found([-0.1, 0.2, 0.3, -0.1]).k == 1  # the first of several
    assert found([0.2, 0.1, 0.1, 0.1]).k is None
    assert found([0.2, -0.1], ks=[8, 64]).k == 64


def test_rounding_does_not_hide_a_tie():
    assert found([0.1, 1e-16]).k == 2


def test_the_search_ends_where_a_problem_has_too_few_samples():
    crossing = found([0.2, 0.1, NAN, NAN], [[0.2, 0.1, NAN, NAN], [0.2, -0.1, NAN, NAN]])
    assert (crossing.k, crossing.up_to) == (None, 2)
    assert crossing.draws_R.tolist() == [np.inf, 2.0]
    nowhere = found([NAN, NAN])
    assert (nowhere.k, nowhere.up_to, nowhere.never) == (None, 0, 1.0)


def test_draws_and_their_quantiles_by_hand():
    # Crossings at 1, 2, 2 and none: a quarter never crosses; the lower half crosses by 2, the 80 % quantile is beyond.
    crossing = found([0.1, 0.0, -0.1], [[0, 0, 0], [1, 0, 0], [1, -1, 1], [1, 1, 1]])
    np.testing.assert_array_equal(crossing.draws_R, [1.0, 2.0, 2.0, np.inf])
    assert crossing.never == 0.25
    assert [crossing.quantile(share) for share in (0.0, 0.25, 0.5, 0.75, 0.8, 1.0)] == [1, 1, 2, 2, None, None]


@given(st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=20))
def test_everything_before_the_crossover_is_a_gain(difference: list[float]):
    crossing = found(difference)
    before = difference if crossing.k is None else difference[: crossing.k - 1]
    assert all(value > 0.0 for value in before)
    assert crossing.k is None or difference[crossing.k - 1] <= 1e-12
    assert crossing.draws_R[0] == (np.inf if crossing.k is None else crossing.k)


@pytest.mark.parametrize("most", [1, 7, 1024, 1025, 10_000, 1_000_000])
def test_where_it_is_looked_for(most: int):
    ks = crossover_ks(most)
    assert (ks[0], ks[-1]) == (1, most)
    assert (np.diff(ks) > 0).all()
    assert len(ks) <= MAX_KS
    if most <= MAX_KS:
        assert len(ks) == most
    else:  # spread over log k: no step larger than it needs
        assert (np.diff(ks) <= np.maximum(1.0, 1.0 + ks[1:] * np.log(most) / (MAX_KS - 1))).all()


def test_the_curves_of_a_comparison_cross_where_they_do():
    # Sharpening: half of the problems become sure, half are given up. Searched at every k, not only those asked for.
    base = GroupCounts(range(40), [64] * 40, np.tile([20, 4], 20))
    trained = GroupCounts(range(40), [64] * 40, np.tile([60, 0], 20))
    difference = (pass_at_k(trained.n, trained.c, range(1, 65)) - pass_at_k(base.n, base.c, range(1, 65))).mean(axis=0)
    expected = 1 + int(np.argmax(difference <= 0.0))
    assert 2 < expected < 32
    comparison = compare(base, trained, [1, 2, 32, 64], rng=generator(0, "crossover"), resamples=400)
    assert comparison.verdicts == ("expanded", "expanded", "shrunk", "shrunk")
    crossing = comparison.crossover
    assert crossing.certified == (2, 32)
    assert (crossing.k, crossing.up_to) == (expected, 64)
    low, middle, high = (crossing.quantile(share) for share in (0.025, 0.5, 0.975))
    assert low is not None
    assert middle is not None
    assert low <= middle
    assert abs(middle - expected) <= 2
    assert high is None or high > middle


@pytest.mark.parametrize("simultaneous", [True, False])
def test_curves_that_only_touch_do_not_cross(simultaneous: bool):
    # Better at k = 1, and both solve every problem from some k on: no loss, so no crossover.
    rng = generator(0, "touch")
    c_P = rng.integers(20, 30, 40)
    base, trained = (GroupCounts(range(40), [64] * 40, c_P + more) for more in (0, 20))
    for one, other in ((base, trained), (trained, base)):
        comparison = compare(one, other, [1, 8, 64], rng=rng, resamples=200, simultaneous=simultaneous)
        assert comparison.difference.estimate[-1] == 0.0
        crossing = comparison.crossover
        assert (crossing.k, crossing.certified, crossing.interval(0.95)) == (None, None, (None, None))
        assert np.isnan(crossing.never)


def test_the_certified_set_by_hand():
    ks = [1, 2, 4, 8, 16]
    assert certified_range(ks, ["expanded", "expanded", "undecided", "shrunk", "shrunk"]) == (2, 8)
    assert certified_range(ks, ["shrunk", "expanded", "undecided", "shrunk", "expanded"]) == (2, 8)
    assert certified_range(ks, ["shrunk", "undecided", "expanded", "expanded", "unchanged"]) is None
    assert certified_range(ks[::-1], ["shrunk", "shrunk", "undecided", "expanded", "undecided"]) == (2, 8)


def test_draws_have_the_covariance_of_the_means():
    counts = GroupCounts(range(30), [16] * 30, generator(0, "covariance").integers(0, 17, 30))
    grids, units = Units.distinct([counts])
    values_PK = pass_at_k(counts.n, counts.c, [1, 4, 16])
    ((n_1Q, c_1Q),) = grids
    spread = units.spread(pass_at_k(n_1Q[0], c_1Q[0], [1, 4, 16]))
    draws_RK = draw_differences(spread, 40_000, generator(1, "covariance"))
    np.testing.assert_allclose(draws_RK.mean(axis=0), values_PK.mean(axis=0), atol=0.002)
    np.testing.assert_allclose(np.cov(draws_RK.T), np.cov(values_PK.T) / 30, rtol=0.04, atol=1e-5)
