"""Plans: the noise and the spread they rest on, how they scale, and whether they keep their promise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta, betabinom, binom, t

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import Option, Plan, pass_at_k, plan
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.sample_size import fit_beta


def table(n: int, c_P) -> GroupCounts:
    return GroupCounts([f"p{i}" for i in range(len(c_P))], np.full(len(c_P), n), c_P)


def pilot(problems: int = 60, n: int = 32, a: float = 0.4, b: float = 0.9, key: str = "pilot") -> GroupCounts:
    rng = generator(0, key)
    return table(n, rng.binomial(n, rng.beta(a, b, problems)))


def reach(problems: int) -> float:
    """Student's quantiles of both error rates, 1.96 + .84 for many problems."""
    return float(t.isf(0.025, problems - 1) + t.isf(0.2, problems - 1))


def noise_of(found: Plan) -> np.ndarray:
    """Both sides' sampling noise at each of the options' samples, read off what the pilot's problems would settle.

    detectable = reach sqrt((spread^2 + noise) / P).
    """
    return found.pilot_problems * (np.array(found.detectable) / reach(found.pilot_problems)) ** 2 - found.spread**2


@pytest.mark.parametrize("k", [1, 2, 5])
def test_noise_is_the_variance_over_all_outcomes(k: int):
    # With p ~ Beta(a, b), c is beta-binomial, and the noise is E u(c)^2 - E (1 - (1 - p)^k)^2: the sum over all counts
    # less the integral. Both sides are the one pilot's.
    counts = pilot()
    a, b = fit_beta(counts)
    true = quad(lambda p: (1 - (1 - p) ** k) ** 2 * beta.pdf(p, a, b), 0, 1, limit=200)[0]
    expected = []
    for n in (k * 2**step for step in range(5)):
        outcomes = np.arange(n + 1)
        estimate = pass_at_k([n] * (n + 1), outcomes, [k])[:, 0]
        expected.append(2 * (betabinom.pmf(outcomes, n, a, b) @ estimate**2 - true))
    np.testing.assert_allclose(noise_of(plan(counts, 0.05, k)), expected, rtol=1e-6, atol=1e-9)


def test_noise_at_one_sample_by_hand():
    # k = 1: E p (1 - p) / n = a b / ((a + b) (a + b + 1)) / n on each side.
    a, b = fit_beta(pilot())
    expected = [2 * a * b / ((a + b) * (a + b + 1)) / n for n in (1, 2, 4, 8, 16)]
    np.testing.assert_allclose(noise_of(plan(pilot(), 0.05, 1)), expected, rtol=1e-9)


def test_two_pilots_add_their_noise():
    one, other = pilot(), pilot(a=1.2, b=0.7, key="other")
    alone = [noise_of(plan(side, 0.05, 4)) / 2 for side in (one, other)]
    np.testing.assert_allclose(noise_of(plan(one, 0.05, 4, other)), alone[0] + alone[1], rtol=1e-9)


def test_the_spread_of_one_pilot_by_hand():
    # k = 1: 2 (1 - correlation) times the variance of Beta(a, b), a b / ((a + b)^2 (a + b + 1)).
    a, b = fit_beta(pilot())
    variance = a * b / ((a + b) ** 2 * (a + b + 1))
    for correlation in (-1.0, 0.0, 0.9):
        found = plan(pilot(), 0.05, 1, correlation=correlation)
        assert found.spread == pytest.approx(math.sqrt(2 * (1 - correlation) * variance))
        assert (found.correlation, found.spread_k) == (correlation, None)
    assert plan(pilot(), 0.05, 1, correlation=1.0).spread == 0.0
    assert plan(pilot(), 0.05, 1).correlation == 0.9


def test_the_spread_of_two_pilots_by_hand():
    # k = 1: the square of a rate without bias is 2 pass@1 - pass@2 = c (c - 1) / (n (n - 1)).
    c, other, n = np.array([1, 4, 0, 8, 3, 5]), np.array([3, 4, 1, 8, 2, 7]), 8
    squared = (c * (c - 1) + other * (other - 1)) / (n * (n - 1)) - 2 * c * other / n**2
    error = squared.std(ddof=1) / math.sqrt(6)
    found = plan(table(n, c), 0.05, 1, table(n, other))
    expected = max(squared.mean() - ((other - c) / n).mean() ** 2, 0.0) + error
    assert found.spread == pytest.approx(math.sqrt(expected))
    assert (found.correlation, found.spread_k) == (None, 1)


def test_the_spread_is_measured_at_what_the_pilots_bear():
    one, other = pilot(n=32), pilot(n=20, key="other")
    assert plan(one, 0.05, 8, other).spread_k == 8
    assert plan(one, 0.05, 64, other).spread_k == 10


def test_a_measured_spread_is_near_the_true_one():
    # A true difference of .2 in half of the problems, 0 in the others: standard deviation .1 at k = 1.
    rng = generator(0, "spread")
    success_P = rng.beta(2, 2, 4000) * 0.8
    gain_P = np.where(np.arange(4000) % 2, 0.2, 0.0)
    one, other = (table(32, rng.binomial(32, rate_P)) for rate_P in (success_P, success_P + gain_P))
    assert plan(one, 0.05, 1, other).spread == pytest.approx(0.1, rel=0.05)


def test_the_number_of_problems_is_the_formula():
    found = plan(pilot(), 0.05, 4)
    per_problem = found.spread**2 + noise_of(found)
    for option, variance in zip(found.options, per_problem, strict=True):
        enough = [p >= reach(p) ** 2 * variance / 0.05**2 - 1e-9 for p in (option.problems - 1, option.problems)]
        assert enough == [False, True]
    assert [option.samples for option in found.options] == [4, 8, 16, 32, 64]
    assert found.pilot_problems == 60
    assert Option(8, 50).total == 400


@pytest.mark.parametrize("k", [1, 4, 16])
def test_twice_the_difference_needs_a_quarter_of_the_problems(k: int):
    # And one or two more, since Student's quantiles are larger for fewer problems.
    for small, large in zip(plan(pilot(), 0.02, k).options, plan(pilot(), 0.04, k).options, strict=True):
        assert 0 <= large.problems - math.ceil(small.problems / 4) <= 2


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("k", [1, 4, 64])
def test_more_samples_never_need_more_problems(k: int, both: bool):
    found = plan(pilot(), 0.03, k, pilot(key="other") if both else None)
    assert (np.diff([option.problems for option in found.options]) <= 0).all()
    assert (np.diff(found.detectable) <= 1e-15).all()
    # What the plan's own number of problems would settle is the difference asked for.
    for option, least in zip(found.options, found.detectable, strict=True):
        assert least * math.sqrt(found.pilot_problems / option.problems) == pytest.approx(0.03, rel=0.02)


def test_more_power_and_confidence_need_more_problems():
    needed = [
        plan(pilot(), 0.03, 4, **settings).options[0].problems
        for settings in ({"power": 0.5}, {}, {"power": 0.95}, {"power": 0.95, "confidence": 0.99})
    ]
    assert needed == sorted(set(needed))


def test_the_fit_finds_the_distribution():
    a, b = fit_beta(pilot(problems=4000, n=64))
    assert (a, b) == (pytest.approx(0.4, rel=0.08), pytest.approx(0.9, rel=0.08))


def test_the_fit_pools_runs():
    counts = pilot()
    twice = GroupCounts(
        counts.problems * 2,
        np.full(120, 16),
        np.concatenate([counts.c // 2, counts.c - counts.c // 2]),
        seed=[0] * 60 + [1] * 60,
    )
    np.testing.assert_allclose(fit_beta(twice), fit_beta(counts), rtol=1e-4)


@pytest.mark.parametrize("c", [0, 16])
def test_a_pilot_that_agrees_everywhere_foretells_nothing(c: int):
    with pytest.raises(InputError, match="some right and some wrong samples"):
        plan(table(16, [c] * 20), 0.05, 4)


def test_a_plan_keeps_its_promise():
    """Power .8: with the planned problems and samples, the paired t-test tells base from trained 8 times in 10."""
    rng, k = generator(0, "power"), 4
    trained = lambda p: 0.93 * p + 0.05  # noqa: E731
    many_P = rng.beta(0.4, 0.9, 400_000)
    difference = float(np.mean((1 - many_P) ** k - (1 - trained(many_P)) ** k))
    success_P = many_P[:2000]
    pilots = [table(64, rng.binomial(64, rate_P)) for rate_P in (success_P, trained(success_P))]
    found = plan(pilots[0], difference, k, pilots[1])
    for option in found.options[:3]:
        tested = 0
        for _ in range(500):
            success_P = rng.beta(0.4, 0.9, option.problems)
            one, other = (
                pass_at_k(np.full(option.problems, option.samples), rng.binomial(option.samples, rate_P), [k])[:, 0]
                for rate_P in (success_P, trained(success_P))
            )
            d_P = other - one
            score = d_P.mean() / (d_P.std(ddof=1) / math.sqrt(option.problems))
            tested += abs(score) > t.isf(0.025, option.problems - 1)
        # .06 for the plan's approximations; 500 draws know the power to .018.
        assert tested / 500 == pytest.approx(0.8, abs=0.06)


def test_a_plan_of_few_problems_keeps_its_promise():
    """A difference so large that some twenty problems tell: Student's quantiles matter there."""
    rng = generator(0, "few problems")
    success_P = rng.beta(2, 4, 2000)
    pilots = [table(64, rng.binomial(64, rate_P)) for rate_P in (success_P, np.minimum(success_P + 0.15, 1.0))]
    option = plan(pilots[0], 0.15, 1, pilots[1]).options[2]
    assert 10 <= option.problems <= 60
    tested = 0
    for _ in range(2000):
        success_P = rng.beta(2, 4, option.problems)
        rates = (success_P, np.minimum(success_P + 0.15, 1.0))
        one, other = (rng.binomial(option.samples, rate_P) / option.samples for rate_P in rates)
        d_P = other - one
        score = d_P.mean() / (d_P.std(ddof=1) / math.sqrt(option.problems))
        tested += abs(score) > t.isf(0.025, option.problems - 1)
    assert tested / 2000 == pytest.approx(0.8, abs=0.04)


def test_a_plan_has_the_problems_that_a_claim_needs():
    """Were the difference .9, two problems would show it: a sign test at 5 % needs six, at 1 % eight."""
    assert min(option.problems for option in plan(pilot(), 0.9, 1).options) == 6
    assert min(option.problems for option in plan(pilot(), 0.9, 1, confidence=0.99).options) == 8


def test_clusters_need_more_problems():
    """Clusters of five problems with one success rate each: the variance of a mean is five times as large."""
    rng = generator(0, "clusters")
    c_P = np.repeat(rng.binomial(512, rng.beta(0.5, 0.5, 400)), 5)
    cluster = [f"c{index // 5}" for index in range(2000)]
    labelled = GroupCounts([f"p{index}" for index in range(2000)], np.full(2000, 512), c_P, cluster=cluster)
    found, alone = plan(labelled, 0.05, 1), plan(table(512, c_P), 0.05, 1)
    assert found.cluster_factor == pytest.approx(5.0, rel=0.08), "of the spread, not of the noise"
    assert alone.cluster_factor == 1.0
    assert all(option.problems % 5 == 0 for option in found.options), "whole clusters"
    for mine, other in zip(found.options, alone.options, strict=True):
        assert 1.0 < mine.problems / other.problems < 5.5
    assert (
        found.options[0].problems / alone.options[0].problems < found.options[-1].problems / alone.options[-1].problems
    )


def test_what_a_plan_keeps_it_keeps_with_a_small_pilot_too():
    # A pilot of one model of 30 problems: noise within a factor 1.5 of that of the true distribution, 9 times in 10.
    rng, near = generator(0, "small"), 0
    true = noise_of(plan(pilot(problems=20_000, n=64), 0.05, 4))[1]
    for _ in range(40):
        counts = table(32, rng.binomial(32, rng.beta(0.4, 0.9, 30)))
        near += bool(1 / 1.5 < noise_of(plan(counts, 0.05, 4))[1] / true < 1.5)
    assert near >= binom.ppf(0.001, 40, 0.9)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"difference": 0.0}, "difference between 0 and 1, .* got 0.0, 4 and 0.9"),
        ({"difference": 1.0}, "got 1.0, 4 and 0.9"),
        ({"difference": -0.1}, "got -0.1, 4 and 0.9"),
        ({"difference": math.nan}, "got nan, 4 and 0.9"),
        ({"k": 0}, "got 0.05, 0 and 0.9"),
        ({"k": 2.5}, "2.5"),
        ({"correlation": 1.5}, "got 0.05, 4 and 1.5"),
        ({"correlation": math.nan}, "got 0.05, 4 and nan"),
        ({"confidence": 1.0}, "between 0 and 1; got 1.0"),
        ({"power": 0.0}, "power must be between .*; got 0.0"),
        ({"pilot": table(4, [1, 2])}, "at least 3 problems with samples; got 2 of 2"),
        ({"pilot": GroupCounts("abc", [4, 0, 4], [1, 0, 1])}, "at least 3 problems with samples; got 2 of 3"),
        ({"trained": table(4, [1, 2, 3])}, "1 .such as 'p3'. only in the base, 0 only in the second pilot, 3 in both"),
        ({"trained": table(1, [1, 0, 1, 0])}, "at least 2 samples of every problem"),
    ],
)
def test_what_is_out_of_range_is_refused(changed: dict[str, Any], message: str):
    settings = {"pilot": table(8, [1, 2, 3, 4]), "difference": 0.05, "k": 4, **changed}
    with pytest.raises(InputError, match=message) as caught:
        plan(**settings)
    assert "\n" not in str(caught.value)
