"""Standard errors: over other problems and clusters, over training runs, over other samples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm, t

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import pass_at_k
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.spread import Level, Spread
from rlvrscope.stats.standard_errors import check_target, noise_factors, noise_spread, values
from rlvrscope.stats.training_runs import group_means, run_groups, with_runs
from rlvrscope.stats.units import Units


def table(n_P, c_P, **labels) -> GroupCounts:
    return GroupCounts(range(len(n_P)), n_P, c_P, **labels)


def spread_of(counts: GroupCounts, ks: list[int]) -> Spread:
    """Spread of pass@k over problems, of a single run."""
    (grid,), units = Units.distinct([counts])
    return units.spread(values(grid, ks)[0])


def noise_of(counts: GroupCounts, ks: list[int]) -> np.ndarray:
    return noise_factors(counts.grid, counts.run_share, ks)


# ---- problems and clusters


def test_the_standard_error_of_problems_is_the_textbooks():
    # Rates 0, 1/2, 1/2, 1: deviations from 1/2 have squares 1/4, 0, 0, 1/4; variance 1/2 / 3, of the mean 1/24.
    # Carriers: (1/4 + 1/4 + 1)^2 / (1/16 + 1/16 + 1) = 2.25 / 1.125 = 2.
    counts = table([2, 2, 2, 2], [0, 1, 1, 2])
    found = spread_of(counts, [1])
    assert found.estimate_C[0] == pytest.approx(0.5)
    assert found.se_C[0] == pytest.approx(math.sqrt(1 / 24))
    assert found.levels[0].df_C[0] == 3.0
    assert found.carriers_C[0] == pytest.approx(2.0)


def test_alike_problems_kept_once_change_nothing():
    rng = generator(0, "alike")
    n_P = rng.choice([4, 8], 50)
    counts, other = table(n_P, rng.integers(0, n_P + 1)), table(n_P, rng.integers(0, n_P + 1))
    grids, units = Units.distinct([counts, other])
    assert units.count == 50
    assert len(units.number_D) < 50
    one_QC, other_QC = (values(grid, [1, 2, 4])[0] for grid in grids)
    values_PC = (values(other.grid, [1, 2, 4]) - values(counts.grid, [1, 2, 4]))[0]
    found = units.spread(other_QC - one_QC)
    np.testing.assert_allclose(found.estimate_C, values_PC.mean(axis=0), atol=1e-15)
    np.testing.assert_allclose(found.se_C, values_PC.std(axis=0, ddof=1) / math.sqrt(50))
    np.testing.assert_allclose(found.carriers_C, (values_PC**2).sum(axis=0) ** 2 / (values_PC**4).sum(axis=0))
    np.testing.assert_array_equal(found.moved_C, (np.abs(values_PC) > 1e-12).sum(axis=0))


def test_a_lone_carrier_counts_as_one():
    assert spread_of(table([4] * 30, [4] + [0] * 29), [1]).carriers_C[0] == pytest.approx(1.0)


@pytest.mark.parametrize("clustered", [False, True])
def test_the_order_of_rows_changes_no_bit(clustered: bool):
    rng = generator(0, "order", int(clustered))
    n_P, cluster_P = rng.choice([8, 16], 60), rng.integers(0, 9, 60)
    c_P, order_P = rng.integers(0, n_P + 1), rng.permutation(60)
    labels = [{"cluster": cluster_P[order].tolist()} if clustered else {} for order in (np.arange(60), order_P)]
    one = spread_of(table(n_P, c_P, **labels[0]), [1, 2, 8])
    other = spread_of(table(n_P[order_P], c_P[order_P], **labels[1]), [1, 2, 8])
    for field in ("estimate_C", "se_C", "carriers_C"):
        assert getattr(one, field).tobytes() == getattr(other, field).tobytes()
    assert one.levels[0].factors_NC.tobytes() == other.levels[0].factors_NC.tobytes()


def test_a_mean_over_the_kept_problems_by_hand():
    # Values 0, 1, 1/2, 1/2; the first column keeps the first two, the second all, the third one, the last none.
    # Deviations of 1/2 from 1/2 in 2 of 2 kept: variance 1/2 / 1 / 2 = 1/4. One kept problem has no variance.
    kept = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 0, 0], [0, 1, 0, 0]], dtype=bool)
    units = Units.of_clusters(np.arange(4), np.arange(4))
    values_PC = np.array([0.0, 1.0, np.nan, 0.5])[:, None] * np.ones(4)
    values_PC[2, 1] = 0.5
    found = units.spread(values_PC, kept)
    np.testing.assert_allclose(found.estimate_C, [0.5, 0.5, 1.0, np.nan])
    np.testing.assert_allclose(found.se_C, [0.5, math.sqrt(0.5 / 3 / 4), np.nan, np.nan])
    np.testing.assert_array_equal(found.count_C, [2, 4, 1, 0])


def test_problems_alike_within_clusters_count_once_each():
    rng = generator(0, "clusters")
    c_P = rng.integers(0, 17, 12)
    few = table([16] * 12, c_P)
    many = table([16] * 60, np.repeat(c_P, 5), cluster=np.repeat(np.arange(12), 5))
    one, other = (spread_of(side, [1, 4]) for side in (few, many))
    for field in ("estimate_C", "se_C", "carriers_C", "moved_C", "count_C"):
        np.testing.assert_allclose(getattr(one, field), getattr(other, field))


def test_clusters_of_several_sizes_by_hand():
    # Clusters {0, 1} with values 1, 1 and {2} with 0: mean 2/3; residual totals 2 - 4/3 = 2/3 and 0 - 2/3 = -2/3.
    # Variance: (4/9 + 4/9) * 2 / 1 / 3^2 = 16/81, so the standard error is 4/9, with 1 degree of freedom.
    counts = table([2, 2, 2], [2, 2, 0], cluster=["a", "a", "b"])
    found = spread_of(counts, [1])
    assert found.estimate_C[0] == pytest.approx(2 / 3)
    assert found.se_C[0] == pytest.approx(4 / 9)
    assert found.levels[0].df_C[0] == 1.0


def test_one_problem_or_one_cluster_says_nothing_of_others():
    for counts in (table([4], [1]), table([4, 4], [1, 2], cluster=["a", "a"])):
        with pytest.raises(InputError, match="at least 2 problems"):
            spread_of(counts, [1])


# ---- training runs


def test_groups_of_runs():
    labels = {"seed": [0, 1, 0, 1, 0], "base": ["b", "b", "a", "a", "c"]}
    assert run_groups(GroupCounts("xxxxx", [4] * 5, [1] * 5, **labels)).tolist() == [1, 1, 0, 0, 2]
    assert run_groups(GroupCounts("xx", [4] * 2, [1] * 2, seed=[7, 3])).tolist() == [0, 1]
    assert run_groups(GroupCounts("xx", [4] * 2, [1] * 2, seed=[7, 3], base=["a", "a"])).tolist() == [0, 1]
    assert run_groups(GroupCounts("xy", [4] * 2, [1] * 2)).tolist() == [0]
    means = group_means(np.array([[1.0], [3.0], [5.0]]), np.array([1, 1, 0]))
    np.testing.assert_array_equal(means, [[5.0], [2.0]])


def test_variance_between_runs_by_hand():
    # Problems: se .03 with 9 degrees of freedom. Three seeds at .1, .2, .3: variance .01, of the mean .01 / 3, with 1.
    # Half-width: sqrt((t_9 .03)^2 + t_1^2 .01 / 3).
    one = np.ones(1)
    start = Spread(0.2 * one, (Level(np.array([[0.03]]), 9.0 * one),), 10 * one, 10 * one, 10 * one, 0.1 * one)
    found = with_runs(start, np.array([[0.1], [0.2], [0.3]]))
    assert found.se_C[0] == pytest.approx(math.sqrt(0.0009 + 0.01 / 3))
    z, t_9, t_1 = 1.959963985, t.isf(0.025, 9), t.isf(0.025, 1)
    assert found.half_width(z)[0] == pytest.approx(math.sqrt(t_9**2 * 0.0009 + t_1**2 * 0.01 / 3))
    # A second side with two seeds at 0 and .2: variance .02, of the mean .01, with 1. A side of one run adds nothing.
    both = with_runs(start, np.array([[0.1], [0.2], [0.3]]), np.array([[0.0], [0.2]]), np.array([[0.4]]))
    assert both.se_C[0] == pytest.approx(math.sqrt(0.0009 + 0.01 / 3 + 0.01))
    assert both.half_width(z)[0] == pytest.approx(math.sqrt(t_9**2 * 0.0009 + t_1**2 * 0.01 / 3 + t_1**2 * 0.01))
    alone = with_runs(start, np.array([[0.4]]))
    assert (alone.se_C[0], len(alone.levels)) == (pytest.approx(0.03), 1)


def test_uniform_effects_of_six_runs_are_seldom_a_claim():
    """Run effects are not normal: at G - 1 degrees of freedom 6.2 % of 20,000 means of six would exclude 0."""
    effect_UN = generator(0, "uniform").uniform(-1.0, 1.0, (6, 20_000))
    flat = np.zeros(20_000)
    start = Spread(effect_UN.mean(axis=0), (Level(flat[None], flat + 9.0),), flat, flat, flat, flat)
    excluded = np.abs(start.estimate_C) > with_runs(start, effect_UN).half_width(1.959963985)
    assert excluded.mean() < binom.ppf(0.9999, 20_000, 0.05) / 20_000


@given(st.floats(-0.5, 0.5), st.floats(1e-6, 0.1), st.floats(0.0, 0.1))
def test_z_is_where_the_half_width_meets_the_estimate(estimate: float, problems: float, runs: float):
    one = np.ones(1)
    levels = tuple(Level(np.array([[se]]), df * one) for se, df in ((problems, 29.0), (runs, 2.0)))
    spread = Spread(estimate * one, levels, one, one, one, one)
    z = spread.z_C[0]
    if 0.0 < z < 36.0:
        assert spread.half_width(z)[0] == pytest.approx(abs(estimate), rel=1e-6)
    single = Spread(estimate * one, levels[:1], one, one, one, one)
    assert single.z_C[0] >= z - 1e-9


def test_one_level_has_students_p_value():
    spread = Spread(np.array([0.2]), (Level(np.array([[0.1]]), np.array([7.0])),), *[np.ones(1)] * 4)
    assert norm.sf(spread.z_C[0]) == pytest.approx(t.sf(2.0, 7))


# ---- sampling noise


@pytest.mark.parametrize(("n", "c"), [(4, 1), (8, 3), (9, 9), (6, 0)])
def test_sampling_noise_is_the_jackknife_over_samples(n: int, c: int):
    right = np.arange(n) < c
    for k in range(1, n):
        left_out = [pass_at_k([n - 1], [c - int(right[i])], [k])[0, 0] for i in range(n)]
        expected = (n - 1) / n * np.sum((np.array(left_out) - np.mean(left_out)) ** 2)
        found = noise_of(table([n], [c]), [k])
        assert found[0, 0] ** 2 == pytest.approx(expected, rel=1e-10, abs=1e-16)


def test_at_one_sample_the_noise_is_the_textbooks():
    # k = 1: p (1 - p) / (n - 1), without bias; of the mean over two problems, the sum over 2^2.
    # (4, 1): 3/16 / 3 = 1/16. (10, 5): 1/4 / 9 = 1/36.
    found = noise_spread(np.zeros(1), noise_of(table([4, 10], [1, 5]), [1]), np.full(1, 2.0))
    assert found.se_C[0] == pytest.approx(math.sqrt((1 / 16 + 1 / 36) / 4))
    assert np.isinf(found.levels[0].df_C[0])


@pytest.mark.parametrize(("n", "k"), [(16, 1), (16, 4), (32, 8), (12, 11)])
def test_on_average_the_noise_is_the_variance_and_a_little_more(n: int, k: int):
    # All k of a subset are wrong: a product of k Bernoulli(q). Its Hoeffding terms of order j have the variance
    # q^2k (p/q)^j, and those of the estimate V_j = C(k, j)^2 / C(n, j) times that. Leaving one sample out, terms of
    # order j differ by j / (n - 1) of what C(n - 1, j) of them vary, so the jackknife expects sum_j j (n-1)/(n-j) V_j:
    # the variance itself at order 1, and more at those above (Efron and Stein).
    for p in (0.02, 0.1, 0.3, 0.7):
        q = 1 - p
        parts = [math.comb(k, j) ** 2 / math.comb(n, j) * q ** (2 * k) * (p / q) ** j for j in range(1, k + 1)]
        larger = [j * (n - 1) / (n - j) * part for j, part in enumerate(parts, 1)]
        chance = np.array([math.comb(n, c) * p**c * q ** (n - c) for c in range(n + 1)])
        estimate = pass_at_k([n] * (n + 1), range(n + 1), [k])[:, 0]
        jackknife = (noise_of(table([n] * (n + 1), range(n + 1)), [k])[:, 0] * (n + 1)) ** 2
        assert chance @ (estimate - chance @ estimate) ** 2 == pytest.approx(sum(parts), rel=1e-9)
        assert chance @ jackknife == pytest.approx(sum(larger), rel=1e-9)


def test_noise_matches_simulated_samples():
    rng = generator(0, "noise")
    success_P, n, ks, times = rng.beta(0.3, 0.7, 20), 32, [1, 4, 8], 4000
    c_RP = rng.binomial(n, success_P, (times, 20))
    means_RK = pass_at_k(np.full(c_RP.size, n), c_RP.ravel(), ks).reshape(times, 20, 3).mean(axis=1)
    claimed_K = np.mean([(noise_of(table([n] * 20, c_P), ks) ** 2).sum(axis=0) for c_P in c_RP[:400]], axis=0)
    # 4000 draws know a variance to sqrt(2 / 4000) = 2.2 %; the jackknife's mean here is up to 8 % above it.
    ratio_K = claimed_K / means_RK.var(axis=0, ddof=1)
    assert (ratio_K > 1 - 3 * 0.022).all()
    assert (ratio_K < 1.08 + 3 * 0.022).all()


def test_noise_is_undefined_where_a_sample_less_leaves_too_few():
    counts = table([8, 4], [1, 2])
    assert np.isnan(noise_of(counts, [3, 4, 8])).any(axis=0).tolist() == [False, True, True]


def test_targets():
    for target, other in itertools.product(["new problems", "this set"], ["", "This set", "new"]):
        check_target(target)
        with pytest.raises(InputError, match=f"'new problems' or 'this set'; got '{other}'"):
            check_target(other)
