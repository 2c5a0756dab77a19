"""Base against trained: paired errors, verdicts, Holm's levels, training runs, and what must not be claimed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, t

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import Comparison, compare, compare_all, pass_at_k, shared_problems
from rlvrscope.stats.comparison import holm_levels
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.standard_errors import THIS_SET, values


def table(n: int, c_P, **labels) -> GroupCounts:
    return GroupCounts([f"p{i}" for i in range(len(c_P))], np.full(len(c_P), n), c_P, **labels)


def sampled(success_P: np.ndarray, n: int, rng: np.random.Generator) -> GroupCounts:
    return table(n, rng.binomial(n, success_P))


def runs(c_UP: np.ndarray, n: int, bases: list[str], seeds: list[int] | None = None) -> GroupCounts:
    """A row of c_UP for each run."""
    num_runs, problems = c_UP.shape
    return GroupCounts(
        [f"p{i}" for i in range(problems)] * num_runs,
        np.full(c_UP.size, n),
        c_UP.ravel(),
        base=np.repeat(bases, problems).tolist(),
        seed=None if seeds is None else np.repeat(seeds, problems).tolist(),
    )


def quick(base: GroupCounts, trained: GroupCounts, ks, **more) -> Comparison:
    return compare(base, trained, ks, **{"rng": generator(0, "compare"), "resamples": 300, **more})


# ---- the paired difference


def test_the_difference_is_the_textbooks_paired_t_interval():
    # Pointwise at k = 1: the mean of the differences d of the rates, sd(d) / sqrt(P), and Student's quantile.
    c, other = np.array([1, 4, 0, 8, 3, 5]), np.array([3, 4, 1, 8, 2, 7])
    found = quick(table(8, c), table(8, other), [1], simultaneous=False)
    d = (other - c) / 8
    se = d.std(ddof=1) / math.sqrt(6)
    half = t.isf(0.025, 5) * se
    assert found.difference.estimate[0] == pytest.approx(d.mean())
    assert found.se[0] == pytest.approx(se)
    np.testing.assert_allclose([found.difference.low[0], found.difference.high[0]], [d.mean() - half, d.mean() + half])
    assert found.p_values[0] == pytest.approx(2 * t.sf(d.mean() / se, 5))
    unpaired = math.sqrt(((c / 8).var(ddof=1) + (other / 8).var(ddof=1)) / 6)
    assert found.unpaired_se[0] == pytest.approx(unpaired)


def test_pairing_at_least_halves_the_standard_error():
    rng = generator(0, "paired")
    success_P = rng.beta(0.3, 0.7, 200)
    base, trained = sampled(success_P, 64, rng), sampled(0.9 * success_P + 0.05, 64, rng)
    ks = [1, 2, 4, 8]
    found = quick(base, trained, ks)
    d_PK = values(trained, ks)[0] - values(base, ks)[0]
    np.testing.assert_allclose(found.se, d_PK.std(axis=0, ddof=1) / math.sqrt(200))
    assert (found.se < 0.5 * found.unpaired_se).all()


def test_the_order_of_rows_changes_nothing():
    rng = generator(0, "rows")
    success_P = rng.beta(0.5, 0.5, 40)
    base, trained = sampled(success_P, 16, rng), sampled(success_P**0.7, 16, rng)
    shuffled = trained.select([trained.problems[i] for i in rng.permutation(40)])
    one, other = quick(base, trained, [1, 4, 16]), quick(base, shuffled, [1, 4, 16])
    assert one.difference.low.tobytes() == other.difference.low.tobytes()
    assert one.verdicts == other.verdicts
    assert one.ledger.status_P == other.ledger.status_P
    both = [side.select([base.problems[i] for i in rng.permutation(40)]) for side in (base, base)]
    assert both[0].problems != both[1].problems
    order = both[0].problems
    third = quick(base.select(order), trained.select(order), [1, 4, 16])
    np.testing.assert_allclose(third.difference.low, one.difference.low, rtol=0, atol=1e-12)
    np.testing.assert_allclose(third.difference.high, one.difference.high, rtol=0, atol=1e-12)


@pytest.mark.parametrize("target", ["new problems", "this set"])
def test_the_same_seed_gives_the_same_bytes_and_sides_swap_signs(target: str):
    rng = generator(0, "bytes")
    success_P = rng.beta(0.5, 0.5, 40)
    base, trained = sampled(success_P, 16, rng), sampled(success_P**0.7, 16, rng)
    one, again = (quick(base, trained, [1, 4, 8], target=target) for _ in range(2))
    for name in ("low", "high"):
        assert getattr(one.difference, name).tobytes() == getattr(again.difference, name).tobytes()
    assert one.p_values.tobytes() == again.p_values.tobytes()
    assert one.crossover.draws_R.tobytes() == again.crossover.draws_R.tobytes()
    pointwise = quick(base, trained, [1, 4, 8], target=target, simultaneous=False)
    assert (one.difference.low < pointwise.difference.low).all()
    assert (one.difference.high > pointwise.difference.high).all()
    swapped = quick(trained, base, [1, 4, 8], target=target, simultaneous=False)
    np.testing.assert_allclose(swapped.difference.low, -pointwise.difference.high, atol=1e-15)
    np.testing.assert_allclose(swapped.p_values, pointwise.p_values)


def test_a_problem_with_too_few_samples_leaves_that_k_undecided():
    base = GroupCounts("abc", [8, 8, 4], [1, 2, 0])
    found = quick(base, GroupCounts("abc", [8, 8, 8], [8, 7, 8]), [1, 4, 5])
    assert np.isnan(found.difference.estimate).tolist() == [False, False, True]
    assert np.isnan(found.p_values).tolist() == [False, False, True]
    assert found.verdicts[2] == "undecided"
    assert not found.reliable[2]
    assert found.base.num_defined.tolist() == [3, 3, 2]
    assert found.trained.num_defined.tolist() == [3, 3, 3]


def test_clusters_of_identical_problems_count_once():
    rng = generator(0, "clusters")
    c, other = rng.integers(0, 9, 12), rng.integers(0, 9, 12)
    few = quick(table(8, c), table(8, other), [1, 4])
    label = {"cluster": np.repeat(np.arange(12), 5)}
    many = quick(table(8, np.repeat(c, 5), **label), table(8, np.repeat(other, 5), **label), [1, 4])
    np.testing.assert_allclose(many.se, few.se)
    np.testing.assert_allclose(many.unpaired_se, few.unpaired_se)


def test_clusters_named_on_one_side_hold_for_both():
    rng = generator(0, "one side")
    c, other, label = rng.integers(0, 9, 40), rng.integers(0, 9, 40), {"cluster": np.arange(40) // 10}
    both = quick(table(8, c, **label), table(8, other, **label), [1, 4])
    for one in (
        quick(table(8, c, **label), table(8, other), [1, 4]),
        quick(table(8, c), table(8, other, **label), [1, 4]),
    ):
        np.testing.assert_array_equal(one.difference.low, both.difference.low)
        for side in ("base", "trained"):
            np.testing.assert_array_equal(getattr(one, side).low, getattr(both, side).low)
            np.testing.assert_array_equal(getattr(one, side).reliable, getattr(both, side).reliable)


# ---- verdicts


def test_verdicts_by_hand():
    # d = +-1/8 with a spread far below it; nothing at all; and differences of +-1/8 that cancel.
    base = np.full(40, 8)
    jitter = np.tile([0, 1], 20)
    assert quick(table(16, base), table(16, base + 2 + jitter), [1]).verdicts == ("expanded",)
    assert quick(table(16, base), table(16, base - 2 - jitter), [1]).verdicts == ("shrunk",)
    cancel = table(16, base + np.tile([2, -2], 20))
    assert quick(table(16, base), cancel, [1], margin=0.01).verdicts == ("undecided",)
    assert quick(table(16, base), cancel, [1], margin=0.2).verdicts == ("unchanged",)


def test_unchanged_needs_a_reliable_band():
    # Three of 400 problems differ: the band is narrow, but rests on three problems.
    base = np.full(400, 8)
    trained = base.copy()
    trained[:3] += [1, -1, 1]
    found = quick(table(16, base), table(16, trained), [1])
    assert -0.01 < found.difference.low[0] < found.difference.high[0] < 0.01
    assert (found.verdicts, found.reliable.tolist()) == (("undecided",), [False])


@pytest.mark.parametrize("carriers", [9, 10, 11])
@pytest.mark.parametrize("n", [1, 10, 16])
def test_ten_carriers_make_a_band_reliable(carriers: int, n: int):
    # Problems that differ by the same amount carry as many problems' worth as they are.
    change = np.where(np.arange(60) < carriers, np.where(np.arange(60) % 2, 1, -1), 0)
    base = np.where(change < 0, 1, 0)
    assert quick(table(n, base), table(n, base + change), [1]).reliable[0] == (carriers >= 10)


@pytest.mark.parametrize(("low", "high"), [(1, 2), (0, 4)])
def test_two_problems_that_agree_by_chance_decide_nothing(low: int, high: int):
    # Two problems that gain the same: the paired standard error is 0, which no one may take for certainty.
    found = quick(table(4, [low, low]), table(4, [high, high]), [1], simultaneous=False)
    assert found.verdicts == ("undecided",)


@pytest.mark.parametrize(("gained", "lost"), [(2, 0), (5, 3), (16, 14)])
def test_published_totals_of_aime_decide_nothing(gained: int, lost: int):
    """30 problems, 256 samples, 14 solved by the base and 16 after training: not enough to claim an expansion."""
    rng = generator(0, "aime", gained)
    kept = 14 - lost
    solved = rng.integers(1, 40, 30)
    order = np.arange(30)
    base = np.where(order < 14, solved, 0)
    trained = np.where((order < kept) | ((order >= 14) & (order < 14 + gained)), solved, 0)
    assert ((base > 0).sum(), (trained > 0).sum()) == (14, 16)
    ks = [2**power for power in range(9)]
    for simultaneous in (True, False):
        found = quick(table(256, base), table(256, trained), ks, simultaneous=simultaneous)
        assert found.difference.estimate[-1] == pytest.approx(2 / 30)
        assert found.verdicts[-1] == "undecided"


@pytest.mark.parametrize("target", ["new problems", "this set"])
@pytest.mark.parametrize(("a", "b"), [(0.3, 0.7), (0.1, 0.5)])
def test_the_same_model_sampled_twice_is_seldom_told_apart(target: str, a: float, b: float):
    """Any claim at any of the ks, at 95 %: no more often than 5 % of 150 replications, within the binomial's spread."""
    rng = generator(0, "null", target, str(a))
    claims = 0
    for _ in range(150):
        success_P = rng.beta(a, b, 60)
        base, again = sampled(success_P, 32, rng), sampled(success_P, 32, rng)
        found = compare(base, again, [1, 2, 4, 8], rng=rng, target=target, resamples=200)
        claims += bool({"expanded", "shrunk"} & set(found.verdicts))
    assert claims <= binom.ppf(0.999, 150, 0.05)


def test_a_claim_has_the_true_sign_and_a_band_that_holds_the_truth():
    """A trained model that gains at k = 1 and loses at k = 8, over other problems each time."""
    rng, held, claimed = generator(0, "truth"), 0, np.zeros(2)
    many_P = rng.beta(0.3, 0.7, 200_000)
    sharper = lambda p: np.where(p > 0.15, 0.5 + 0.5 * p, 0.1 * p)  # noqa: E731
    gain = lambda k: np.mean((1 - many_P) ** k - (1 - sharper(many_P)) ** k)  # noqa: E731
    truth = np.array([gain(1), gain(8)])
    assert truth[0] > 0.09
    assert truth[1] < -0.05
    for _ in range(150):
        success_P = rng.beta(0.3, 0.7, 80)
        base, trained = sampled(success_P, 32, rng), sampled(sharper(success_P), 32, rng)
        found = compare(base, trained, [1, 8], rng=rng, resamples=200)
        held += bool(((found.difference.low <= truth) & (truth <= found.difference.high)).all())
        claimed += [found.verdicts[0] == "expanded", found.verdicts[1] == "shrunk"]
        assert found.verdicts[0] != "shrunk"
        assert found.verdicts[1] != "expanded"
    assert held >= binom.ppf(0.001, 150, 0.95)
    assert (claimed > 100).all()


def test_a_difference_of_the_margin_is_seldom_unchanged():
    """A true gain of exactly the margin at k = 1 lies outside every band that says *unchanged*, but for 2.5 %."""
    rng, unchanged = generator(0, "margin"), 0
    for _ in range(150):
        success_P = rng.uniform(0.2, 0.7, 100)
        gain_P = rng.uniform(0.0, 0.2, 100)
        base, trained = sampled(success_P, 64, rng), sampled(success_P + gain_P, 64, rng)
        unchanged += compare(base, trained, [1], rng=rng, margin=0.1, resamples=200).verdicts == ("unchanged",)
    assert unchanged <= binom.ppf(0.999, 150, 0.025)


def test_noise_is_known_up_to_a_quarter_of_the_samples():
    rng = generator(0, "this set")
    success_P = rng.beta(0.5, 0.5, 30)
    base, trained = sampled(success_P, 16, rng), sampled(success_P**0.5, 32, rng)
    found = quick(base, trained, [1, 4, 5, 16], target="this set")
    assert found.reliable.tolist() == [True, True, False, False]
    assert found.verdicts[3] == "undecided"  # k = n: no jackknife
    # At k = 1 by hand: the binomial variances of both sides, over P^2.
    noise = sum((p * (1 - p) / (n - 1)).sum() for p, n in ((base.c / 16, 16), (trained.c / 32, 32)))
    assert found.se[0] == pytest.approx(math.sqrt(noise) / 30)


# ---- several models


def test_holm_by_hand():
    # alpha .06, three models: .02, .03, .06 as long as the smaller p-values are rejected.
    assert holm_levels({"a": 0.001, "b": 0.2, "c": 0.6}, 0.06) == pytest.approx({"a": 0.02, "b": 0.03, "c": 0.03})
    assert holm_levels({"a": 0.059, "b": 0.001, "c": 0.025}, 0.06) == pytest.approx({"b": 0.02, "c": 0.03, "a": 0.06})
    # The smallest stands: nothing after it is judged at more, however small.
    assert holm_levels({"a": 0.021, "b": 0.021, "c": 0.03}, 0.06) == pytest.approx(dict.fromkeys("abc", 0.02))
    # The second stands, so the third does too.
    assert holm_levels({"a": 0.02, "b": 0.031, "c": 0.04}, 0.06) == pytest.approx({"a": 0.02, "b": 0.03, "c": 0.03})
    assert holm_levels({"only": 0.9}, 0.05) == {"only": 0.05}


def test_three_models_of_which_one_differs():
    rng = generator(0, "three")
    success_P = rng.beta(0.5, 0.5, 100)
    base = sampled(success_P, 16, rng)
    models = {
        "one": sampled(success_P, 16, rng),
        "better": sampled(0.7 * success_P + 0.3, 16, rng),
        "other": sampled(success_P, 16, rng),
    }
    found = compare_all(base, models, [1, 4], rng=generator(1, "three"), resamples=2000)
    assert list(found) == ["one", "better", "other"]
    assert found["better"].verdicts == ("expanded", "expanded")
    # The clear one is judged at alpha / 3 and rejected, so the others are judged at alpha / 2.
    assert found["better"].level == pytest.approx(1 - 0.05 / 3)
    assert found["one"].level == found["other"].level == pytest.approx(1 - 0.05 / 2)
    assert not {"expanded", "shrunk"} & {*found["one"].verdicts, *found["other"].verdicts}
    assert all(one.confidence == 0.95 for one in found.values())
    # A stricter level is a wider band than the same model's alone; its estimate is the same.
    alone = compare(base, models["better"], [1, 4], rng=generator(1, "three"), resamples=2000)
    assert alone.level == pytest.approx(0.95)
    assert (found["better"].difference.low < alone.difference.low).all()
    np.testing.assert_array_equal(found["better"].difference.estimate, alone.difference.estimate)


@pytest.mark.parametrize(("moved", "verdict"), [(5, "undecided"), (6, "expanded")])
def test_a_claim_needs_as_many_problems_as_a_sign_test_does(moved: int, verdict: str):
    # All one way: 2^(1 - 5) = .0625 is above .05, 2^(1 - 6) = .03125 below, though both bands lie above 0.
    base, trained = np.zeros(12, int), np.where(np.arange(12) < moved, 1, 0)
    found = quick(table(1, base), table(1, trained), [1], simultaneous=False)
    assert found.difference.low[0] > 0.0
    assert found.verdicts == (verdict,)
    assert found.p_values[0] >= 2.0 ** (1 - moved)


@pytest.mark.parametrize(("problems", "verdict"), [(300, "unchanged"), (290, "undecided")])
def test_no_difference_at_all_is_unchanged_where_there_are_problems_enough(problems: int, verdict: str):
    # None of P problems differs: at 95 % fewer than -log(.05) / P of such problems do, .00999 for P = 300.
    same = table(4, np.arange(problems) % 5)
    assert quick(same, same, [1, 4]).verdicts == (verdict, verdict)


def test_clusters_must_agree():
    one, two = table(4, [1, 2, 3], cluster=[0, 0, 1]), table(4, [1, 2, 3], cluster=[0, 1, 1])
    with pytest.raises(InputError, match="same clusters"):
        quick(one, two, [1])


def test_a_problem_without_samples_is_named():
    base = GroupCounts(["x", "y"], [4, 0], [1, 0])
    with pytest.raises(InputError, match="'y' has none"):
        quick(base, base, [1])


def test_verdicts_are_of_the_level_left_to_each_model():
    # Pointwise at k = 1, 30 problems. d = (.1 + .24 x) with x = +-1: t = .1 sqrt(29) / .24 = 2.24, p = .033. Enough
    # alone; not as the smallest of three, which is judged at .05 / 3.
    base, sign = np.full(30, 50), np.tile([1, -1], 15)
    gain, same = table(100, base + 10 + 24 * sign), table(100, base)
    assert quick(same, gain, [1], simultaneous=False).verdicts == ("expanded",)
    models = {"gain": gain, "one": same, "two": same}
    three = compare_all(same, models, [1], rng=generator(0), resamples=100, simultaneous=False)
    assert three["gain"].p_values[0] == pytest.approx(2 * t.sf(0.1 * math.sqrt(29) / 0.24, 29))
    assert three["gain"].verdicts == ("undecided",)
    # d = .05 x: the band reaches 2.05 se = .019 at 95 %, 2.54 se = .024 at 1 - .05 / 3. *Unchanged* within .021 alone;
    # among three only within .024, however many of the others are told apart.
    still, clear = table(100, base + 5 * sign), table(100, base + 30 + 5 * sign)
    assert quick(same, still, [1], simultaneous=False, margin=0.021).verdicts == ("unchanged",)
    for margin, verdict in ((0.0225, "undecided"), (0.025, "unchanged")):
        models = {"still": still, "clear": clear, "clear too": clear}
        three = compare_all(same, models, [1], rng=generator(0), resamples=100, simultaneous=False, margin=margin)
        assert three["clear"].verdicts == ("expanded",)
        assert three["still"].level == pytest.approx(0.95)
        assert three["still"].verdicts == (verdict,)


def test_compare_is_compare_all_of_one():
    rng = generator(0, "one")
    base, trained = sampled(rng.beta(1, 1, 20), 8, rng), sampled(rng.beta(1, 1, 20), 8, rng)
    one = quick(base, trained, [1, 4])
    other = compare_all(base, {"x": trained}, [1, 4], rng=generator(0, "compare"), resamples=300)["x"]
    assert one.difference.low.tobytes() == other.difference.low.tobytes()
    assert one.ledger.rates["SRR"].observed.low == other.ledger.rates["SRR"].observed.low


def test_a_claim_and_its_p_value_agree():
    rng = generator(0, "agree")
    success_P = rng.beta(0.5, 0.5, 40)
    base = sampled(success_P, 16, rng)
    for shift in np.linspace(0.0, 0.2, 30):
        found = quick(base, sampled((1 - shift) * success_P + shift, 16, rng), [1, 2, 4])
        for verdict, p in zip(found.verdicts, found.p_values, strict=True):
            if abs(p - 0.05) > 2 / 300:  # between two draws of the bootstrap the band's quantile is interpolated
                assert (verdict in ("expanded", "shrunk")) == (p < 0.05)


# ---- training runs


def test_seeds_widen_the_difference_by_hand():
    # k = 1. Over problems: var(d_P) / P. Over three seeds of one base: var of their mean differences / 3.
    base = np.array([[2, 5, 8, 3, 0, 7]])
    trained = base + np.array([[1, 2, 0, 1, 0, 1], [3, 2, 1, 4, 2, 2], [0, 1, 1, 0, 0, -1]])
    found = quick(table(10, base[0]), runs(trained, 10, ["a"] * 3, [0, 1, 2]), [1], simultaneous=False)
    d_UP = (trained - base) / 10
    problems, seeds = d_UP.mean(axis=0).var(ddof=1) / 6, d_UP.mean(axis=1).var(ddof=1) / 3
    df = (problems + seeds) ** 2 / (problems**2 / 5 + seeds**2 / 2)
    half = t.isf(0.025, df) * math.sqrt(problems + seeds)
    assert found.se[0] == pytest.approx(math.sqrt(problems + seeds))
    assert found.difference.high[0] - found.difference.estimate[0] == pytest.approx(half)
    assert found.scope == "this objective"
    assert quick(table(10, base[0]), table(10, trained[0]), [1]).scope == "this checkpoint"


def base_effect() -> tuple[np.ndarray, np.ndarray]:
    """Three bases 10 % apart, each trained to gain some .05 more."""
    c_P = np.tile([200, 300, 400, 500, 600], 8)
    base_UP = c_P + np.array([[-100], [0], [100]])
    return base_UP, base_UP + 50 + np.tile([0, 10], 20)


def test_an_effect_of_shared_bases_cancels():
    base_UP, trained_UP = base_effect()
    base = runs(base_UP, 1000, ["a", "b", "c"])
    d_P = (trained_UP - base_UP).mean(axis=0) / 1000
    of_problems = d_P.var(ddof=1) / 40
    # The same bases in another order: the mean differences of the three bases are all .055, so only problems vary.
    shared = quick(base, runs(trained_UP[::-1], 1000, ["c", "b", "a"], [0, 0, 0]), [1])
    assert shared.se[0] == pytest.approx(math.sqrt(of_problems))
    assert shared.verdicts == ("undecided",), "no change is called from fewer than 5 training runs"
    assert shared.crossover.never == 1.0, "shared bases are drawn together"


def test_several_seeds_of_a_base_are_one_group():
    # Two bases, two seeds each: the difference varies between the bases' mean differences, .1 and .2, with 1 degree of
    # freedom; the seeds within a base (.05 .15, .2 .2) are in it already. Problems all differ alike.
    base = runs(np.full((2, 10), 40), 100, ["a", "b"])
    trained = 40 + np.array([5, 15, 20, 20])[:, None] + np.zeros((1, 10), dtype=int)
    found = quick(base, runs(trained, 100, ["a", "a", "b", "b"], [0, 1, 0, 1]), [1], simultaneous=False)
    se = math.sqrt(0.005 / 2)
    assert found.difference.estimate[0] == pytest.approx(0.15)
    assert found.se[0] == pytest.approx(se)
    assert found.difference.low[0] == pytest.approx(max(-1.0, 0.15 - t.isf(0.025, 1) * se))


def test_an_effect_of_shared_bases_cancels_whatever_their_numbers_of_seeds():
    # Training does nothing: bases at .2 and .8, three seeds from the first, one from the second. A mean over runs on
    # the trained side (.35) against a mean over bases on the other (.5) would claim a loss that nobody suffered.
    c_P = np.tile([-2, -1, 0, 1, 2], 8)
    base = runs(np.stack([200 + c_P, 800 + c_P]), 1000, ["a", "b"])
    trained = runs(np.stack([200 + c_P] * 3 + [800 + c_P]), 1000, ["a", "a", "a", "b"], [0, 1, 2, 0])
    found = quick(base, trained, [1])
    assert found.difference.estimate[0] == pytest.approx(0.0, abs=1e-12)
    assert found.verdicts[0] not in ("expanded", "shrunk")


def test_the_draws_are_of_what_is_estimated_whatever_the_numbers_of_seeds():
    # A base trained with three seeds (gain 0) and one with a single seed (gain .4). A draw takes one of the two bases,
    # for both sides, so half of the draws cross at k = 1: their mean is .2, and so must be the estimate.
    base = runs(np.full((2, 10), 40), 100, ["a", "b"])
    gains = np.array([0, 0, 0, 40])[:, None] + np.zeros((1, 10), dtype=int)
    found = quick(base, runs(40 + gains, 100, ["a", "a", "a", "b"], [0, 1, 2, 0]), [1], resamples=4000)
    assert 1 - found.crossover.never == pytest.approx(0.5, abs=0.04)
    assert found.difference.estimate[0] == pytest.approx(0.2)


@pytest.mark.parametrize("by", ["seed", "base"])
def test_training_runs_that_differ_by_chance_are_seldom_a_claim(by: str):
    """An objective that changes nothing on average, though every run of it goes up or down by .05 or so."""
    rng, claims = generator(0, "objective", by), 0
    for _ in range(150):
        success_P = rng.uniform(0.3, 0.7, 40)
        moved = rng.binomial(32, success_P + rng.normal(0, 0.05, (3, 1)))
        if by == "seed":
            base, trained = sampled(success_P, 32, rng), runs(moved, 32, ["a"] * 3, [0, 1, 2])
        else:
            base = runs(rng.binomial(32, success_P, (3, 40)), 32, ["a", "b", "c"])
            trained = runs(moved, 32, ["a", "b", "c"], [0, 0, 0])
        found = compare(base, trained, [1, 4], rng=rng, resamples=200)
        claims += bool({"expanded", "shrunk"} & set(found.verdicts))
    assert claims <= binom.ppf(0.999, 150, 0.05)


# ---- what is refused


BASE = GroupCounts(["x", "y", "z"], [8, 8, 8], [1, 2, 3])


def test_models_on_other_problems_are_refused_with_counts_of_both_sides():
    other = GroupCounts(["y", "z", "v", "w"], [8] * 4, [1] * 4)
    expected = r"1 \(such as 'x'\) only in the base, 2 \(such as 'v'\) only in sharp, 2 in both"
    with pytest.raises(InputError, match=expected) as caught:
        compare_all(BASE, {"sharp": other}, [1], rng=generator(0))
    assert "\n" not in str(caught.value)
    one, two = shared_problems(BASE, other)
    assert one.problems == two.problems == ["y", "z"]
    assert quick(one, two, [1]).base.num_problems == 2
    with pytest.raises(InputError, match="share no problem"):
        shared_problems(BASE, GroupCounts(["q"], [4], [1]))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ks": [0, 4]}, "ks must be whole numbers from 1 up"),
        ({"ks": [2.5]}, "ks must be whole numbers from 1 up"),
        ({"ks": []}, "ks must be whole numbers from 1 up"),
        ({"confidence": 1.5}, "confidence must be between 0 and 1; got 1.5"),
        ({"confidence": math.nan}, "confidence must be between 0 and 1; got nan"),
        ({"target": "other problems"}, "got 'other problems'"),
        ({"margin": -0.01}, "margin of at least 0; got 1 and -0.01"),
        ({"margin": math.nan}, "margin of at least 0; got 1 and nan"),
        ({"trained": {}}, "at least one trained model"),
        ({"resamples": 99}, "resamples must be at least 100 .*; got 99"),
        ({"ledger_k": 0}, "between 1 and the fewest samples of a problem, 8; got 0"),
        ({"ledger_k": 9}, "between 1 and the fewest samples of a problem, 8; got 9"),
    ],
)
def test_settings_out_of_range_are_refused(changed: dict[str, Any], message: str):
    settings = {"base": BASE, "trained": {"m": BASE}, "ks": [1], "rng": generator(0), "resamples": 200, **changed}
    with pytest.raises(InputError, match=message) as caught:
        compare_all(**settings)
    assert "\n" not in str(caught.value)


def test_one_problem_is_too_few_for_new_problems():
    alone = GroupCounts(["x"], [8], [1])
    with pytest.raises(InputError, match="at least 2 problems"):
        quick(alone, alone, [1])


def test_pass_at_k_of_both_sides_is_in_the_comparison():
    found = quick(BASE, BASE.select(["z", "y", "x"]), [1, 2, 8])
    expected = pass_at_k([8, 8, 8], [1, 2, 3], [1, 2, 8]).mean(axis=0)
    np.testing.assert_allclose(found.base.estimate, expected)
    np.testing.assert_allclose(found.trained.estimate, expected)
    np.testing.assert_array_equal(found.difference.estimate, [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(found.p_values, [1.0, 1.0, 1.0])
    assert not {"expanded", "shrunk"} & set(found.verdicts)


def test_few_training_runs_are_no_reliable_witness():
    rng = generator(0, "few runs")
    for runs, reliable in ((1, True), (2, False), (4, False), (5, True)):
        labels = {"problem": [*range(60)] * runs, "seed": np.repeat(np.arange(runs), 60)}
        trained = GroupCounts(n=[32] * 60 * runs, c=rng.integers(0, 33, 60 * runs), **labels)
        base = GroupCounts(range(60), [32] * 60, rng.integers(0, 33, 60))
        assert bool(quick(base, trained, [1]).reliable[0]) == reliable
        assert bool(quick(base, trained, [1]).trained.reliable[0]) == reliable


def test_a_model_is_judged_the_same_whoever_else_is():
    rng = generator(0, "others")
    base, one, two = (table(16, rng.integers(0, 17, 40)) for _ in range(3))
    alone = compare_all(base, {"one": one}, [1, 4], rng=generator(1), resamples=300)["one"]
    beside = compare_all(base, {"one": one, "two": two}, [1, 4], rng=generator(1), resamples=300)["one"]
    np.testing.assert_array_equal(alone.p_values, beside.p_values)
    np.testing.assert_array_equal(alone.crossover.draws_R, beside.crossover.draws_R)


def test_bases_that_do_not_match_are_refused_or_cut_to_the_shared():
    c_P = np.arange(40) % 7
    base = runs(np.stack([c_P, c_P + 1, c_P + 2, c_P + 9]), 20, ["b0", "b1", "b2", "b3"])
    trained = runs(np.stack([c_P, c_P + 1, c_P + 2]), 20, ["b0", "b1", "b2"], [0, 0, 0])
    with pytest.raises(InputError, match=r"must have the same bases: 1 \(such as 'b3'\) only in the base, 0 only in"):
        quick(base, trained, [1])
    shared = quick(*shared_problems(base, trained), [1])
    assert shared.difference.estimate[0] == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(InputError, match="share no base"):
        shared_problems(base, runs(c_P[None], 20, ["other"], [0]))


def test_a_k_above_n_is_never_unchanged():
    counts = table(8, [3] * 400)
    assert quick(counts, counts, [8, 16], margin=0.5).verdicts == ("unchanged", "undecided")


def test_runs_that_moved_in_opposite_directions_are_not_unchanged():
    up, down = np.full(300, 2), np.full(300, 2)
    up[:150], up[150:] = 4, 0
    down[:150], down[150:] = 0, 4
    base = table(8, [2] * 300)
    both = runs(np.stack([up, down]), 8, ["b", "b"], [0, 1])
    assert quick(base, both, [1]).verdicts == ("undecided",)


def test_clusters_of_unequal_size_are_not_unchanged_where_a_large_one_may_have_moved():
    """299 clusters of one problem and one of 100: a twentieth of all problems may move unseen in another draw."""
    cluster = [f"c{i}" for i in range(299)] + ["big"] * 100
    counts = GroupCounts(range(399), [8] * 399, [3] * 399, cluster=cluster)
    assert quick(counts, counts, [1]).verdicts == ("undecided",)
    alone = GroupCounts(range(399), [8] * 399, [3] * 399)
    assert quick(alone, alone, [1]).verdicts == ("unchanged",)


def test_a_difference_that_all_problems_share_has_a_band_of_the_poisson_limit():
    base, trained = table(8, [2] * 50), table(8, [4] * 50)
    same = quick(base, base, [1]).difference
    unseen = -math.log(0.05) / 50
    assert (same.low[0], same.high[0]) == pytest.approx((-unseen, unseen))
    moved = quick(base, trained, [1]).difference
    assert (moved.low[0], moved.high[0]) == pytest.approx((0.25 - unseen * 1.25, 0.25 + unseen * 0.75))


def test_this_set_claims_nothing_where_its_band_is_unreliable():
    rng = np.random.default_rng(3)
    base, trained = (table(16, rng.binomial(16, rate, 60)) for rate in (0.2, 0.6))
    verdicts = quick(base, trained, [1, 4, 8], target=THIS_SET).verdicts
    assert verdicts[:2] == ("expanded", "expanded")
    assert verdicts[2] == "undecided", "8 of 16 samples: one disjoint pair of draws"


def test_a_model_leaves_the_family_only_with_a_claim_at_every_k():
    levels = holm_levels(
        {"all": np.array([1e-6, 1e-6]), "one": np.array([1e-6, 0.9]), "none": np.array([0.5, 0.9])}, 0.06
    )
    assert levels == pytest.approx({"all": 0.02, "one": 0.03, "none": 0.03})
    assert holm_levels({"undefined": np.array([np.nan]), "a": np.array([0.9, np.nan])}, 0.06)["a"] == pytest.approx(
        0.03
    )


def test_equal_models_get_equal_bands():
    rng = np.random.default_rng(0)
    base, trained = (table(16, rng.binomial(16, rate, 60)) for rate in (0.2, 0.4))
    found = compare_all(base, {"a": trained, "b": trained}, [1, 4], rng=generator(0, "equal"), resamples=1000)
    np.testing.assert_array_equal(found["a"].difference.low, found["b"].difference.low)


def test_a_crossing_is_named_only_where_the_band_certifies_one():
    base = GroupCounts(range(40), [64] * 40, np.tile([20, 4], 20))
    assert quick(base, base, [1, 64]).crossover.k is None
    sharper = GroupCounts(range(40), [64] * 40, np.tile([60, 1], 20))
    crossing = quick(base, sharper, [1, 4, 16, 32]).crossover
    assert crossing.certified is not None
    gain, loss = crossing.certified
    assert crossing.k is not None
    assert gain < crossing.k <= loss
