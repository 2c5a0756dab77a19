"""Standard errors and draws: over other problems and clusters, over training runs, over other samples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import pass_at_k
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.standard_errors import (
    Spread,
    Units,
    check_target,
    draw_means,
    noise_draws,
    noise_factors,
    noise_spread,
    values,
)
from rlvrscope.stats.training_runs import group_means, group_weights, run_groups, run_weights, with_runs


def table(n_P, c_P, **labels) -> GroupCounts:
    return GroupCounts(range(len(n_P)), n_P, c_P, **labels)


# ---- problems and clusters


def test_the_standard_error_of_problems_is_the_textbooks():
    # Rates 0, 1/2, 1/2, 1: deviations from 1/2 have squares 1/4, 0, 0, 1/4; variance 1/2 / 3, of the mean 1/24.
    # Carriers: (1/4 + 1/4 + 1)^2 / (1/16 + 1/16 + 1) = 2.25 / 1.125 = 2.
    counts = table([2, 2, 2, 2], [0, 1, 1, 2])
    found = Units.of([counts]).spread(values(counts, [1])[0])
    assert found.estimate_C[0] == pytest.approx(0.5)
    assert found.se_C[0] == pytest.approx(math.sqrt(1 / 24))
    assert found.df_C[0] == 3.0
    assert found.carriers_C[0] == pytest.approx(2.0)


def test_alike_problems_kept_once_change_nothing():
    rng = generator(0, "alike")
    n_P = rng.choice([4, 8], 50)
    counts, other = table(n_P, rng.integers(0, n_P + 1)), table(n_P, rng.integers(0, n_P + 1))
    units = Units.of([counts, other])
    assert units.count == 50
    assert len(units.size_D) < 50
    values_PC = values(other, [1, 2, 4])[0] - values(counts, [1, 2, 4])[0]
    found = units.spread(values_PC)
    np.testing.assert_allclose(found.estimate_C, values_PC.mean(axis=0), atol=1e-15)
    np.testing.assert_allclose(found.se_C, values_PC.std(axis=0, ddof=1) / math.sqrt(50))
    np.testing.assert_allclose(found.carriers_C, (values_PC**2).sum(axis=0) ** 2 / (values_PC**4).sum(axis=0))


def test_a_lone_carrier_counts_as_one():
    assert Units.of([table([4] * 30, [4] + [0] * 29)]).spread(np.eye(30)[:, :1]).carriers_C[0] == pytest.approx(1.0)


def test_problems_alike_within_clusters_count_once_each():
    rng = generator(0, "clusters")
    c_P = rng.integers(0, 17, 12)
    few = table([16] * 12, c_P)
    many = table([16] * 60, np.repeat(c_P, 5), cluster=np.repeat(np.arange(12), 5))
    spreads = [Units.of([side]).spread(values(side, [1, 4])[0]) for side in (few, many)]
    for one, other in zip(*(vars(spread).values() for spread in spreads), strict=True):
        np.testing.assert_allclose(one, other)


def test_clusters_of_several_sizes_by_hand():
    # Clusters {0, 1} with values 1, 1 and {2} with 0: mean 2/3; residual totals 2 - 4/3 = 2/3 and 0 - 2/3 = -2/3.
    # Variance: (4/9 + 4/9) * 2 / 1 / 3^2 = 16/81, so the standard error is 4/9, with 1 degree of freedom.
    counts = table([2, 2, 2], [2, 2, 0], cluster=["a", "a", "b"])
    found = Units.of([counts]).spread(values(counts, [1])[0])
    assert found.estimate_C[0] == pytest.approx(2 / 3)
    assert found.se_C[0] == pytest.approx(4 / 9)
    assert found.df_C[0] == 1.0


def test_one_problem_or_one_cluster_says_nothing_of_others():
    for counts in (table([4], [1]), table([4, 4], [1, 2], cluster=["a", "a"])):
        with pytest.raises(InputError, match="at least 2 problems"):
            Units.of([counts]).spread(values(counts, [1])[0])


@pytest.mark.parametrize("clustered", [False, True])
def test_draws_vary_as_the_standard_error_says(clustered: bool):
    # The bootstrap's variance lacks the factor P / (P - 1) of the unbiased one.
    rng = generator(0, "draws", int(clustered))
    labels = {"cluster": np.arange(40) // 2} if clustered else {}
    counts = table([32] * 40, rng.integers(0, 33, 40), **labels)
    units = Units.of([counts])
    spread, resamples = units.spread(values(counts, [1, 8])[0]), 8000
    (draws,) = draw_means([(values(counts, [1, 8]), np.ones((resamples, 1)))], units, resamples, rng)
    np.testing.assert_allclose(draws.mean(axis=0), spread.estimate_C, atol=4 * spread.se_C.max() / math.sqrt(resamples))
    expected = spread.se_C * math.sqrt((units.count - 1) / units.count)
    np.testing.assert_allclose(draws.std(axis=0), expected, rtol=4 / math.sqrt(2 * resamples))


def test_sides_drawn_at_once_have_the_same_problems():
    counts = table([8] * 20, generator(0, "sides").integers(0, 9, 20))
    sides = [(values(counts, [1, 2]), np.ones((500, 1)))] * 2
    one, other = draw_means(sides, Units.of([counts]), 500, generator(1, "sides"))
    np.testing.assert_array_equal(one, other)


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
    # Problems: se .03 with 9 degrees of freedom. Three seeds at .1, .2, .3: variance .01, of the mean .01 / 3, with 2.
    # se^2 = .0009 + .01 / 3;  df = se^4 / (.0009^2 / 9 + (.01 / 3)^2 / 2).
    start = Spread(np.array([0.2]), np.array([0.03]), np.array([9.0]), np.array([10.0]), np.array([10.0]))
    found = with_runs(start, np.array([[0.1], [0.2], [0.3]]))
    total = 0.0009 + 0.01 / 3
    assert found.se_C[0] == pytest.approx(math.sqrt(total))
    assert found.df_C[0] == pytest.approx(total**2 / (0.0009**2 / 9 + (0.01 / 3) ** 2 / 2))
    # A second side with two seeds at 0 and .2: variance .02, of the mean .01, with 1. A side of one run adds nothing.
    both = with_runs(start, np.array([[0.1], [0.2], [0.3]]), np.array([[0.0], [0.2]]), np.array([[0.4]]))
    assert both.se_C[0] == pytest.approx(math.sqrt(total + 0.01))
    assert both.df_C[0] == pytest.approx((total + 0.01) ** 2 / (0.0009**2 / 9 + (0.01 / 3) ** 2 / 2 + 0.01**2))
    alone = with_runs(start, np.array([[0.4]]))
    assert (alone.se_C[0], alone.df_C[0]) == (pytest.approx(0.03), pytest.approx(9.0))


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_drawn_groups_vary_without_bias(groups: int):
    # groups - 1 draws with replacement: (1 - 1/G) s^2 / (G - 1) = s^2 / G, with s^2 the unbiased variance.
    x, resamples = generator(0, "groups").normal(size=groups), 40_000
    weights = group_weights(groups, resamples, generator(1, "groups"))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert (weights @ x).var() == pytest.approx(x.var(ddof=1) / groups, rel=0.04)
    np.testing.assert_array_equal(group_weights(1, 3, generator(0)), np.ones((3, 1)))


def test_weights_of_runs_keep_those_of_their_groups():
    group_U, rng = np.array([0, 1, 1, 1, 2]), generator(0, "runs")
    weight_RG = group_weights(3, 4000, rng)
    weight_RU = run_weights(group_U, weight_RG, rng)
    np.testing.assert_array_equal(weight_RU[:, 0], weight_RG[:, 0])
    np.testing.assert_allclose(weight_RU[:, 1:4].sum(axis=1), weight_RG[:, 1])
    np.testing.assert_allclose(weight_RU.mean(axis=0), [1 / 3, 1 / 9, 1 / 9, 1 / 9, 1 / 3], atol=0.02)


# ---- sampling noise


@pytest.mark.parametrize(("n", "c"), [(4, 1), (8, 3), (9, 9), (6, 0)])
def test_sampling_noise_is_the_jackknife_over_samples(n: int, c: int):
    right = np.arange(n) < c
    for k in range(1, n):
        left_out = [pass_at_k([n - 1], [c - int(right[i])], [k])[0, 0] for i in range(n)]
        expected = (n - 1) / n * np.sum((np.array(left_out) - np.mean(left_out)) ** 2)
        found = noise_factors(table([n], [c]), [k])
        assert found[0, 0] ** 2 == pytest.approx(expected, rel=1e-10, abs=1e-16)


def test_at_one_sample_the_noise_is_the_textbooks():
    # k = 1: p (1 - p) / (n - 1), without bias; of the mean over two problems, the sum over 2^2.
    # (4, 1): 3/16 / 3 = 1/16. (10, 5): 1/4 / 9 = 1/36.
    found = noise_spread(np.zeros(1), noise_factors(table([4, 10], [1, 5]), [1]))
    assert found.se_C[0] == pytest.approx(math.sqrt((1 / 16 + 1 / 36) / 4))
    assert np.isinf(found.df_C[0])


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
        jackknife = (noise_factors(table([n] * (n + 1), range(n + 1)), [k])[:, 0] * (n + 1)) ** 2
        assert chance @ (estimate - chance @ estimate) ** 2 == pytest.approx(sum(parts), rel=1e-9)
        assert chance @ jackknife == pytest.approx(sum(larger), rel=1e-9)


def test_noise_matches_simulated_samples():
    rng = generator(0, "noise")
    success_P, n, ks, times = rng.beta(0.3, 0.7, 20), 32, [1, 4, 8], 4000
    c_RP = rng.binomial(n, success_P, (times, 20))
    means_RK = pass_at_k(np.full(c_RP.size, n), c_RP.ravel(), ks).reshape(times, 20, 3).mean(axis=1)
    claimed_K = np.mean([(noise_factors(table([n] * 20, c_P), ks) ** 2).sum(axis=0) for c_P in c_RP[:400]], axis=0)
    # 4000 draws know a variance to sqrt(2 / 4000) = 2.2 %; the jackknife's mean here is up to 8 % above it.
    ratio_K = claimed_K / means_RK.var(axis=0, ddof=1)
    assert (ratio_K > 1 - 3 * 0.022).all()
    assert (ratio_K < 1.08 + 3 * 0.022).all()


def test_joint_draws_of_the_noise_have_its_covariance():
    factors = noise_factors(table([32] * 6, [1, 4, 9, 16, 25, 31]), [1, 4, 32])
    draws = noise_draws(factors, 20_000, generator(0, "joint"))
    assert np.isnan(draws[:, 2]).all()  # k = n has no jackknife
    covariance = factors[:, :2].T @ factors[:, :2]
    np.testing.assert_allclose(np.cov(draws[:, :2].T), covariance, atol=0.04 * covariance.max())


def test_noise_is_undefined_where_a_sample_less_leaves_too_few():
    counts = table([8, 4], [1, 2])
    assert np.isnan(noise_factors(counts, [3, 4, 8])).any(axis=0).tolist() == [False, True, True]


def test_targets():
    for target, other in itertools.product(["new problems", "this set"], ["", "This set", "new"]):
        check_target(target)
        with pytest.raises(InputError, match=f"'new problems' or 'this set'; got '{other}'"):
            check_target(other)
