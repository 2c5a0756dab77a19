"""Curves of pass@k: their bands by hand, what they cover, and what is undefined."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, t

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import Curve, pass_at_k, pass_at_k_curve
from rlvrscope.stats.counts import GroupCounts

KS = [1, 2, 4, 8, 16]
tables = st.lists(st.tuples(st.integers(1, 24), st.integers(0, 24)), min_size=2, max_size=20).map(
    lambda rows: [(max(row), min(row)) for row in rows]
)


def table(rows, **labels) -> GroupCounts:
    return GroupCounts(range(len(rows)), [n for n, _ in rows], [c for _, c in rows], **labels)


def beta_table(problems: int, n: int, rng: np.random.Generator, a: float = 0.3, b: float = 0.7) -> GroupCounts:
    return GroupCounts(range(problems), [n] * problems, rng.binomial(n, rng.beta(a, b, problems)))


def curve(counts: GroupCounts, ks=KS, target: str = "new problems", simultaneous: bool = False, **more) -> Curve:
    settings = {"rng": generator(0, "curve"), "resamples": 400, **more}
    return pass_at_k_curve(counts, ks, target=target, simultaneous=simultaneous, **settings)


def same(one: Curve, other: Curve, atol: float = 0.0) -> None:
    for name in ("estimate", "low", "high", "num_defined", "reliable"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0, atol=atol, err_msg=name)


def test_binary_data_by_hand():
    # One sample each, 6 of 30 right. se^2 = m (1 - m) / 29, so the effective number is 29, and the band is Wilson's
    # interval for 29 with Student's quantile of 29 degrees of freedom.
    found = curve(table([(1, 1)] * 6 + [(1, 0)] * 24), [1])
    m, share = 0.2, float(t.isf(0.025, 29)) ** 2 / 29
    centre, half = (m + share / 2) / (1 + share), math.sqrt(share * m * (1 - m) + share**2 / 4) / (1 + share)
    np.testing.assert_allclose([found.estimate[0], found.low[0], found.high[0]], [m, centre - half, centre + half])


@pytest.mark.parametrize("problems", [5, 10, 30])
def test_problems_that_all_agree_count_as_many_as_they_are(problems: int):
    # The same rate everywhere: no spread to measure, so the interval is Wilson's for as many problems. Rounding must
    # not be taken for a spread, which would leave an interval of no width.
    for n in range(2, 14):
        for c in range(1, n):
            found = curve(table([(n, c)] * problems), [1])
            m, share = c / n, float(t.isf(0.025, problems - 1)) ** 2 / problems
            half = math.sqrt(share * m * (1 - m) + share**2 / 4) / (1 + share)
            assert found.high[0] - found.low[0] == pytest.approx(2 * half, rel=1e-6), (n, c)


def test_the_estimate_is_the_mean_over_problems_and_runs():
    # Two runs of two problems at k = 2: (4, 1) 1/2, (4, 2) 5/6, (2, 0) 0, (2, 1) 1. Their mean: 7/12.
    counts = GroupCounts("xyxy", [4, 4, 2, 2], [1, 2, 0, 1], seed=[0, 0, 1, 1])
    assert curve(counts, [2]).estimate[0] == pytest.approx(7 / 12)


def test_bases_weigh_alike_whatever_their_numbers_of_seeds():
    # Base a: rates 1/4 and 3/4 in two seeds, so 1/2; base b: 0 in its one. The mean over bases is 1/4.
    counts = GroupCounts("xyxyxy", [4] * 6, [1, 1, 3, 3, 0, 0], seed=[0, 0, 1, 1, 0, 0], base=["a"] * 4 + ["b"] * 2)
    for target in ("new problems", "this set"):
        assert curve(counts, [1], target).estimate[0] == pytest.approx(0.25)


def test_seeds_widen_the_band_by_hand():
    # Pointwise at k = 1. Problems' means over runs p_P, seeds' means over problems m_U: the half-width is
    # sqrt(t_4^2 var(p) / P + t_1^2 var(m) / U), and Wilson's interval has (half / sqrt(m (1 - m)))^2 for z^2 / N.
    c_UP = np.array([[1, 5, 9, 4, 2], [3, 8, 9, 6, 7], [0, 4, 7, 1, 2]])
    counts = GroupCounts(list("abcde") * 3, [10] * 15, c_UP.ravel(), seed=np.repeat([0, 1, 2], 5))
    rate_UP = c_UP / 10
    problems, seeds = rate_UP.mean(axis=0).var(ddof=1) / 5, rate_UP.mean(axis=1).var(ddof=1) / 3
    mean = rate_UP.mean()
    share = float(t.isf(0.025, 4) ** 2 * problems + t.isf(0.025, 1) ** 2 * seeds) / (mean * (1 - mean))
    centre = (mean + share / 2) / (1 + share)
    half = math.sqrt(share * mean * (1 - mean) + share**2 / 4) / (1 + share)
    found = curve(counts, [1])
    np.testing.assert_allclose([found.estimate[0], found.low[0], found.high[0]], [mean, centre - half, centre + half])
    # Other samples of the same runs know nothing of that: the noise alone is far smaller here.
    noise = curve(counts, [1], "this set")
    assert noise.high[0] - noise.low[0] < found.high[0] - found.low[0]


def test_fewer_samples_than_k_is_undefined_and_counted():
    found = curve(table([(4, 2), (8, 8), (16, 0)]), [1, 4, 5, 8, 9, 16, 17])
    assert found.num_defined.tolist() == [3, 3, 2, 2, 1, 1, 0]
    assert found.num_problems == 3
    assert np.isnan(found.estimate).tolist() == [False, False, True, True, True, True, True]
    np.testing.assert_array_equal(np.isnan(found.low), np.isnan(found.estimate))
    assert not found.reliable[2:].any()


@pytest.mark.parametrize("simultaneous", [False, True])
def test_all_of_the_samples_leave_no_noise_to_measure(simultaneous: bool):
    # k = n: one subset, nothing to leave out. The estimate stands, its band for this set is unknown.
    found = curve(table([(8, 2), (8, 0)]), [8], "this set", simultaneous)
    assert found.estimate[0] == pytest.approx(0.5)
    assert np.isnan([found.low[0], found.high[0]]).all()
    assert found.num_defined.tolist() == [2]
    assert not found.reliable[0]


def test_a_problem_is_defined_only_where_every_run_has_enough_samples():
    counts = GroupCounts("xyxy", [8, 8, 4, 8], [1, 2, 0, 1], seed=[0, 0, 1, 1])
    assert curve(counts, [4, 5]).num_defined.tolist() == [2, 1]


@settings(max_examples=60)
@given(tables, st.sampled_from(["new problems", "this set"]), st.booleans(), st.floats(0.5, 0.99))
def test_the_band_holds_the_estimate_and_stays_in_range(
    rows: list[tuple[int, int]], target: str, simultaneous: bool, confidence: float
):
    found = curve(table(rows), KS, target, simultaneous, confidence=confidence, resamples=500)
    n_P, c_P = np.array(rows).T
    np.testing.assert_allclose(found.estimate, pass_at_k(n_P, c_P, KS).mean(axis=0), atol=1e-12)
    np.testing.assert_array_equal(np.isnan(found.estimate), np.array(KS) > n_P.min())
    np.testing.assert_array_equal(np.isnan(found.low), np.isnan(found.high))
    known = ~np.isnan(found.low)
    assert (known <= ~np.isnan(found.estimate)).all()
    assert (found.low[known] >= 0.0).all()
    assert (found.high[known] <= 1.0).all()
    assert (found.low[known] <= found.estimate[known]).all()
    assert (found.estimate[known] <= found.high[known]).all()
    assert (np.diff(found.estimate[~np.isnan(found.estimate)]) >= -1e-12).all()


@settings(max_examples=40)
@given(tables, st.booleans(), st.randoms())
def test_the_order_of_problems_changes_nothing(rows: list[tuple[int, int]], simultaneous: bool, random: random.Random):
    shuffled = random.sample(rows, len(rows))
    same(curve(table(rows), simultaneous=simultaneous), curve(table(shuffled), simultaneous=simultaneous), atol=1e-12)
    same(curve(table(rows), target="this set"), curve(table(shuffled), target="this set"), atol=1e-12)


@pytest.mark.parametrize("target", ["new problems", "this set"])
def test_one_more_right_sample_never_lowers_the_curve(target: str):
    rows = [(16, 3), (16, 0), (16, 9), (16, 15)]
    for i in range(4):
        more = [(n, c + (row == i)) for row, (n, c) in enumerate(rows)]
        assert (curve(table(more), target=target).estimate >= curve(table(rows), target=target).estimate - 1e-12).all()


@pytest.mark.parametrize("target", ["new problems", "this set"])
def test_the_same_seed_gives_the_same_bytes_and_the_simultaneous_band_is_the_wider(target: str):
    counts = beta_table(50, 32, generator(0, "bytes"))
    first, second = (curve(counts, target=target, simultaneous=True, resamples=2000) for _ in range(2))
    for name in ("estimate", "low", "high"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    pointwise = curve(counts, target=target)
    assert (first.low < pointwise.low).all()
    assert (first.high > pointwise.high).all()
    assert first.simultaneous
    assert not pointwise.simultaneous
    wide = curve(counts, target=target, confidence=0.99)
    assert (wide.low < pointwise.low).all()
    assert (wide.high > pointwise.high).all()


def test_one_k_at_once_is_pointwise():
    # With one column there is no choice to pay for, apart from the spread of the draws.
    counts = beta_table(200, 16, generator(0, "one"))
    joint, alone = curve(counts, [4], simultaneous=True, resamples=20_000), curve(counts, [4])
    assert joint.high[0] - joint.low[0] == pytest.approx(alone.high[0] - alone.low[0], rel=0.03)


def test_identical_problems_in_clusters_count_once():
    rng = generator(0, "clusters")
    c_P = rng.integers(0, 17, 20)
    few = curve(table([(16, c) for c in c_P]), [1, 4])
    many = curve(table([(16, c) for c in np.repeat(c_P, 5)], cluster=np.repeat(np.arange(20), 5)), [1, 4])
    np.testing.assert_allclose([many.low, many.high], [few.low, few.high])
    assert many.num_problems == 100
    unaware = curve(table([(16, c) for c in np.repeat(c_P, 5)]), [1, 4])
    assert (unaware.high - unaware.low < 0.5 * (many.high - many.low)).all()


def test_reliable_for_new_problems_needs_three_of_success_and_of_failure_at_both_ends_of_the_band():
    # The textbook's Wilson interval of 29 with t = 2.045: 6 of 30 reach down to 2.73 problems, 7 to 3.40.
    rows = {right: [(1, 1)] * right + [(1, 0)] * (30 - right) for right in (6, 7, 8, 22, 23, 24)}
    curves = {right: curve(table(row), [1]) for right, row in rows.items()}
    assert 30 * curves[6].low[0] == pytest.approx(2.73, abs=0.01)
    assert 30 * curves[7].low[0] == pytest.approx(3.40, abs=0.01)
    found = {right: bool(one.reliable[0]) for right, one in curves.items()}
    assert found == {6: False, 7: True, 8: True, 22: True, 23: True, 24: False}


def test_a_lucky_draw_is_not_called_reliable():
    """pass@64 of 30 problems with uniform success rates: .46 fail on average; where many do, the estimate is off."""
    rng, called = generator(0, "lucky"), 0
    for _ in range(300):
        called += bool(curve(beta_table(30, 64, rng, 1.0, 1.0), [64]).reliable[0])
    assert called <= binom.ppf(0.999, 300, 0.01)


def test_reliable_counts_clusters_not_problems():
    # 30 problems, half of them solved, in 20 clusters are worth more than 3 of each at both ends; in 8 they are not.
    for clusters, reliable in ((20, True), (8, False)):
        counts = table([(1, 1), (1, 0)] * 15, cluster=np.arange(30) % clusters)
        assert bool(curve(counts, [1]).reliable[0]) == reliable


def test_reliable_for_this_set_is_up_to_a_quarter_of_the_fewest_samples():
    rows = [(16, 5), (40, 20), (16, 3)] * 8
    assert curve(table(rows), [1, 4, 5, 8], "this set").reliable.tolist() == [True, True, False, False]
    # Noise that comes from 2 problems is not known; from 3 and more, it is.
    found = [bool(curve(table([(16, 5)] * m + [(16, 16)] * 20), [1], "this set").reliable[0]) for m in (2, 3, 4)]
    assert found == [False, True, True]


def test_coverage_for_new_problems():
    """Nominal 95 %, pointwise: 300 studies of 100 problems with Beta(.3, .7) success and 16 samples each."""
    ks, rng = [1, 4, 16], generator(0, "coverage")
    # E (1 - p)^k for Beta(a, b) is prod_{j < k} (b + j) / (a + b + j), and a + b = 1 here.
    truth = np.array([1 - math.prod((0.7 + j) / (1 + j) for j in range(k)) for k in ks])
    held = np.zeros(3)
    for _ in range(300):
        found = curve(beta_table(100, 16, rng), ks)
        held += (found.low <= truth) & (truth <= found.high)
    # 1 of 1000 binomial studies of a true 95 % falls below this.
    assert (held >= binom.ppf(0.001, 300, 0.95)).all()
    assert (held <= 298).all()


def test_simultaneous_coverage_for_new_problems():
    ks, rng = [1, 2, 4, 8, 16], generator(0, "joint coverage")
    truth = np.array([1 - math.prod((0.7 + j) / (1 + j) for j in range(k)) for k in ks])
    held = 0
    for _ in range(200):
        found = curve(beta_table(100, 16, rng), ks, simultaneous=True, resamples=300, rng=rng)
        held += bool(((found.low <= truth) & (truth <= found.high)).all())
    assert held >= binom.ppf(0.001, 200, 0.95)


def test_coverage_for_this_set():
    """The problems stay; their samples are drawn anew, and the truth is the mean of 1 - (1 - p)^k over them."""
    rng, ks = generator(0, "this set"), [1, 2, 4]
    success_P = rng.beta(0.3, 0.7, 40)
    truth = np.array([1 - ((1 - success_P) ** k).mean() for k in ks])
    held = np.zeros(3)
    for _ in range(300):
        counts = GroupCounts(range(40), [32] * 40, rng.binomial(32, success_P))
        found = curve(counts, ks, "this set")
        held += (found.low <= truth) & (truth <= found.high)
    assert (held >= binom.ppf(0.001, 300, 0.95)).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ks": [0]}, "ks must be whole numbers from 1 up, at least one; got \\[0\\]"),
        ({"ks": [1.5]}, "ks must be whole numbers from 1 up"),
        ({"ks": []}, "ks must be whole numbers from 1 up"),
        ({"confidence": 1.0}, "confidence must be between 0 and 1; got 1.0"),
        ({"confidence": 0.0}, "confidence must be between 0 and 1; got 0.0"),
        ({"confidence": math.nan}, "confidence must be between 0 and 1; got nan"),
        ({"target": "these problems"}, "'new problems' or 'this set'; got 'these problems'"),
    ],
)
def test_settings_out_of_range_are_refused(changed: dict, message: str):
    with pytest.raises(InputError, match=message) as caught:
        pass_at_k_curve(**{"counts": table([(4, 1), (4, 2)]), "ks": [1], "rng": generator(0), **changed})
    assert "\n" not in str(caught.value)


def test_one_problem_says_nothing_of_others_but_something_of_itself():
    with pytest.raises(InputError, match="at least 2 problems"):
        curve(table([(4, 1)]), [1])
    found = curve(table([(40, 10)]), [1], "this set")
    assert found.low[0] < 0.25 < found.high[0]
