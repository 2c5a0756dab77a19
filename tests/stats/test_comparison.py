"""Base against trained: paired errors, verdicts, families of claims, training runs, and what must not be claimed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, t

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import Comparison, compare, compare_all, compare_pairs, pass_at_k, shared_problems
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.standard_errors import values


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
    d_PK = values(trained.grid, ks)[0] - values(base.grid, ks)[0]
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
    assert [one.level for one in found.values()] == pytest.approx([1 - 0.05 / 3] * 3)
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
    # among three only within .024, whatever the others are.
    still, clear = table(100, base + 5 * sign), table(100, base + 30 + 5 * sign)
    assert quick(same, still, [1], simultaneous=False, margin=0.021).verdicts == ("unchanged",)
    for margin, verdict in ((0.0225, "undecided"), (0.025, "unchanged")):
        models = {"still": still, "clear": clear, "clear too": clear}
        three = compare_all(same, models, [1], rng=generator(0), resamples=100, simultaneous=False, margin=margin)
        assert three["clear"].verdicts == ("expanded",)
        assert three["still"].level == pytest.approx(1 - 0.05 / 3)
        assert three["still"].verdicts == (verdict,)


def test_compare_is_compare_all_of_one():
    rng = generator(0, "one")
    base, trained = sampled(rng.beta(1, 1, 20), 8, rng), sampled(rng.beta(1, 1, 20), 8, rng)
    one = quick(base, trained, [1, 4])
    other = compare_all(base, {"x": trained}, [1, 4], rng=generator(0, "compare"), resamples=300)["x"]
    assert one.difference.low.tobytes() == other.difference.low.tobytes()
    assert one.ledger.rates["SRR"].observed.estimate == other.ledger.rates["SRR"].observed.estimate


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
    half = math.sqrt(t.isf(0.025, 5) ** 2 * problems + t.isf(0.025, 1) ** 2 * seeds)
    assert found.se[0] == pytest.approx(math.sqrt(problems + seeds))
    assert found.difference.high[0] - found.difference.estimate[0] == pytest.approx(half)
    assert found.scope == "this objective"
    assert quick(table(10, base[0]), table(10, trained[0]), [1]).scope == "this checkpoint"


def base_effect(bases: int) -> tuple[np.ndarray, np.ndarray]:
    """Bases up to 10 % apart, each trained to gain some .05 more."""
    c_P = np.tile([200, 300, 400, 500, 600], 8)
    base_UP = c_P + np.linspace(-100, 100, bases).astype(int)[:, None]
    return base_UP, base_UP + 50 + np.tile([0, 10], 20)


def test_an_effect_of_shared_bases_cancels():
    names = list("abcdefg")
    base_UP, trained_UP = base_effect(7)
    base = runs(base_UP, 1000, names)
    of_problems = (trained_UP - base_UP).mean(axis=0).var(ddof=1) / 1000**2 / 40
    # The same bases in another order: the mean differences of the seven bases are all .055, so only problems vary.
    shared = quick(base, runs(trained_UP[::-1], 1000, names[::-1], [0] * 7), [1])
    assert shared.se[0] == pytest.approx(math.sqrt(of_problems))
    assert shared.verdicts == ("expanded",)
    # Seeds that are no bases are not paired: both sides vary between runs.
    apart = [runs(side_UP, 1000, ["x"] * 7, list(range(7))) for side_UP in (base_UP, trained_UP)]
    between = sum((side_UP.mean(axis=1) / 1000).var(ddof=1) / 7 for side_UP in (base_UP, trained_UP))
    unpaired = quick(apart[0], apart[1], [1])
    assert unpaired.se[0] == pytest.approx(math.sqrt(of_problems + between))
    assert unpaired.verdicts == ("undecided",)


@pytest.mark.parametrize(("bases", "verdict"), [(2, "undecided"), (5, "undecided"), (6, "expanded"), (8, "expanded")])
def test_a_claim_about_an_objective_needs_as_many_runs_as_a_sign_test_does(bases: int, verdict: str):
    # All runs gain the same: 2^(1 - 5) = .0625 is above .05, 2^(1 - 6) = .03125 below. Fewer are never unchanged.
    base_UP, trained_UP = base_effect(bases)
    names = list("abcdefgh")[:bases]
    for base, trained in (
        (runs(base_UP, 1000, names), runs(trained_UP, 1000, names, [0] * bases)),
        (table(1000, base_UP[0]), runs(trained_UP - base_UP + base_UP[0], 1000, ["a"] * bases, list(range(bases)))),
    ):
        found = quick(base, trained, [1])
        assert found.verdicts == (verdict,)
        assert found.p_values[0] >= 2.0 ** (1 - bases)
        assert quick(base, trained, [1], margin=0.5).verdicts[0] in (verdict, "unchanged" if bases >= 6 else verdict)


def test_bases_that_do_not_match_are_refused_or_paired_on_request():
    """Nothing changed, but the trained model lacks the weakest base: unpaired, pass@1 would seem to rise by .1."""
    base_UP = 300 + np.array([[-300], [0], [100], [200]]) + np.arange(40)
    base = runs(base_UP, 1000, ["b0", "b1", "b2", "b3"])
    trained = runs(base_UP[1:], 1000, ["b1", "b2", "b3"], [0, 0, 0])
    with pytest.raises(InputError, match=r"must have the same bases: 1 \(such as 'b0'\) only in the base, 0 only in"):
        quick(base, trained, [1])
    found = quick(*shared_problems(base, trained), [1])
    assert found.difference.estimate[0] == 0.0
    assert [label for label, _ in shared_problems(base, trained)[0].runs] == ["b1", "b2", "b3"]
    with pytest.raises(InputError, match="share no base"):
        shared_problems(base, runs(base_UP, 1000, ["x", "y", "z", "w"]))
    unnamed = table(1000, base_UP[0])
    assert len(shared_problems(unnamed, trained)[1].runs) == 3


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
    for runs, reliable in ((1, True), (2, False), (5, False), (6, True)):
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


def test_equal_counts_get_equal_bands():
    rng = generator(0, "equal files")
    base, one = (table(16, rng.integers(0, 17, 40)) for _ in range(2))
    found = compare_all(base, {"one": one, "two": one}, [1, 4, 16], rng=generator(1), resamples=300)
    for part in ("low", "high"):
        assert getattr(found["one"].difference, part).tobytes() == getattr(found["two"].difference, part).tobytes()
    assert found["one"].p_values.tobytes() == found["two"].p_values.tobytes()


# ---- one family of claims


def test_a_family_of_models_keeps_its_level_where_each_has_one_true_change():
    """Ten models that gain at k = 1 and change nothing at larger k: a false claim anywhere in under 5 % of families."""
    rng, false = generator(0, "family"), 0
    for _ in range(100):
        success_P = np.where(np.arange(60) < 40, 1.0, rng.uniform(0.02, 0.3, 60))
        base = table(64, rng.binomial(64, np.where(np.arange(60) < 40, 0.5, success_P)))
        models = {str(i): table(64, rng.binomial(64, success_P)) for i in range(10)}
        found = compare_all(base, models, [1, 16, 32], rng=rng, resamples=1000)
        assert {one.verdicts[0] for one in found.values()} == {"expanded"}
        false += any({"expanded", "shrunk"} & set(one.verdicts[1:]) for one in found.values())
    assert false <= binom.ppf(0.999, 100, 0.05)


def test_pairs_of_other_bases_are_one_family():
    rng = generator(0, "pairs")
    pairs = {(group, 1): (table(8, rng.integers(0, 9, 20)), table(8, rng.integers(0, 9, 20))) for group in "xyz"}
    found = compare_pairs(pairs, [1, 8], rng=generator(1), resamples=400)
    assert list(found) == list(pairs)
    for name, (base, trained) in pairs.items():
        alone = quick(base, trained, [1, 8], confidence=1 - 0.05 / 3, rng=generator(1), resamples=400)
        np.testing.assert_allclose(found[name].difference.low, alone.difference.low)
        assert found[name].verdicts == alone.verdicts


# ---- unchanged


def test_runs_that_moved_in_opposite_directions_are_not_unchanged():
    """Their mean is the base's at every problem, but the next run would move again."""
    up_P = np.where(np.arange(300) % 2, 4, -4)
    base = np.full(300, 8)
    for several in (2, 6):
        moved_UP = base + np.tile([[1], [-1]], (several // 2, 1)) * up_P
        found = quick(table(16, base), runs(moved_UP, 16, ["a"] * several, list(range(several))), [1])
        assert found.difference.estimate[0] == 0.0
        assert (found.reliable[0], found.verdicts) == (False, ("undecided",))


def test_clusters_of_unequal_size_are_not_unchanged_because_none_of_many_moved():
    """300 clusters, of which six hold half of the problems: if one of those in a hundred moves, pass@1 moves by .02."""
    cluster_P = np.concatenate([np.repeat(np.arange(6), 49), np.arange(6, 300)])
    same = table(4, np.arange(len(cluster_P)) % 5, cluster=cluster_P)
    found = quick(same, same, [1])
    assert found.verdicts == ("undecided",)
    assert found.difference.high[0] == pytest.approx(-math.log(0.05) * 49 / len(cluster_P))
    even = table(4, np.arange(600) % 5, cluster=np.arange(600) // 2)
    assert quick(even, even, [1]).verdicts == ("unchanged",)


def test_no_band_has_no_width():
    # None of P problems differs: fewer than 3.0 / P do. All of them gain all: as many may gain nothing, or lose all.
    none = quick(table(4, [1] * 30), table(4, [1] * 30), [1, 4])
    limit = -math.log(0.05) / 30
    np.testing.assert_allclose([none.difference.low, none.difference.high], [[-limit] * 2, [limit] * 2])
    every = quick(table(4, [0] * 30), table(4, [4] * 30), [1])
    assert (every.difference.low[0], every.difference.high[0]) == (pytest.approx(1 - 2 * limit), 1.0)
    assert every.verdicts == ("expanded",)
    for ends in (none.difference, every.difference):
        assert (ends.high > ends.low).all()
    fixed = quick(table(4, [0] * 30), table(4, [4] * 30), [1], target="this set")
    assert np.isnan([fixed.difference.low[0], fixed.difference.high[0]]).all()
    assert fixed.verdicts == ("undecided",)


# ---- new samples of these problems


def test_beyond_a_quarter_of_the_samples_this_set_has_no_claims():
    rng = generator(0, "beyond")
    success_P = rng.beta(0.5, 0.5, 200)
    base, trained = sampled(success_P, 32, rng), sampled(0.8 * success_P + 0.2, 32, rng)
    found = quick(base, trained, [1, 8, 9, 16], target="this set")
    assert found.verdicts == ("expanded", "expanded", "undecided", "undecided")
    assert found.difference.low[2] > 0.0
    assert found.reliable.tolist() == [True, True, False, False]


# ---- each k over the problems that have as many samples


def test_at_least_k_is_the_comparison_of_the_problems_that_have_k_samples():
    rng = generator(0, "at least k")
    n_P, other_P = np.full(60, 64), np.full(60, 64)
    n_P[:3], other_P[2:5] = 63, 40
    names = [f"p{i}" for i in range(60)]
    base = GroupCounts(names, n_P, rng.binomial(n_P, 0.4))
    trained = GroupCounts(names, other_P, rng.binomial(other_P, 0.6))
    ks = [1, 32, 63, 64]
    default, kept = (quick(base, trained, ks, at_least_k=flag) for flag in (False, True))
    assert np.isnan(default.difference.estimate).tolist() == [False, False, True, True]
    assert default.num_compared.tolist() == kept.num_compared.tolist() == [60, 60, 57, 55]
    for column, k, problems in ((1, 32, names), (2, 63, [*names[:2], *names[5:]]), (3, 64, names[5:])):
        alone = quick(base.select(problems), trained.select(problems), [k], simultaneous=False)
        pointwise = quick(base, trained, ks, at_least_k=True, simultaneous=False)
        for one, other in ((pointwise.difference, alone.difference), (pointwise.base, alone.base)):
            for part in ("estimate", "low", "high"):
                assert getattr(one, part)[column] == pytest.approx(getattr(other, part)[0])
        assert kept.difference.low[column] < pointwise.difference.low[column] + 1e-12
    assert kept.difference.low[0] == pytest.approx(default.difference.low[0], rel=0.05)


def test_at_least_k_for_this_set_and_without_any_problem():
    n_P = np.array([32] * 40 + [8] * 10)
    rng = generator(0, "kept")
    base, trained = (GroupCounts(range(50), n_P, rng.binomial(n_P, rate)) for rate in (0.3, 0.6))
    for target in ("new problems", "this set"):
        found = quick(base, trained, [1, 8, 16, 64], target=target, at_least_k=True)
        assert found.num_compared.tolist() == [50, 50, 40, 0]
        assert np.isfinite(found.difference.low[[0, 2]]).all()
        assert np.isnan(found.difference.estimate[3])
        assert found.verdicts[3] == "undecided"


def test_bands_over_differing_problems_hold():
    """Half of the problems have 16 samples, half 64: the band over all ks at once against the truth of all problems."""
    rng, held = generator(0, "ragged"), 0
    n_P = np.where(np.arange(80) % 2, 16, 64)
    ks = [1, 4, 16, 32]
    many_P = rng.beta(0.3, 0.7, 200_000)
    truth = np.array([((1 - many_P) ** k - (1 - many_P**0.7) ** k).mean() for k in ks])
    for _ in range(150):
        success_P = rng.beta(0.3, 0.7, 80)
        base, trained = (GroupCounts(range(80), n_P, rng.binomial(n_P, rate)) for rate in (success_P, success_P**0.7))
        found = compare(base, trained, ks, rng=rng, resamples=400, at_least_k=True)
        held += bool(((found.difference.low <= truth) & (truth <= found.difference.high)).all())
    assert held >= binom.ppf(0.001, 150, 0.95)


def test_a_k_above_n_is_never_unchanged():
    counts = table(8, [3] * 400)
    assert quick(counts, counts, [8, 16], margin=0.5).verdicts == ("unchanged", "undecided")


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
    verdicts = quick(base, trained, [1, 4, 8], target="this set").verdicts
    assert verdicts[:2] == ("expanded", "expanded")
    assert verdicts[2] == "undecided", "8 of 16 samples: one disjoint pair of draws"


def test_a_crossing_is_named_only_where_the_band_certifies_one():
    base = GroupCounts(range(40), [64] * 40, np.tile([20, 4], 20))
    assert quick(base, base, [1, 64]).crossover.k is None
    sharper = GroupCounts(range(40), [64] * 40, np.tile([60, 1], 20))
    crossing = quick(base, sharper, [1, 4, 16, 32]).crossover
    assert crossing.certified is not None
    gain, loss = crossing.certified
    assert crossing.k is not None
    assert gain < crossing.k <= loss


def test_a_few_large_clusters_are_no_ground_for_a_claim():
    """28 clusters of one problem and two of twenty, which move together by chance; no change on average."""
    rng, claims = np.random.default_rng(11), 0
    size_C = [1] * 28 + [20] * 2
    cluster = [f"c{index}" for index, size in enumerate(size_C) for _ in range(size)]
    for _ in range(150):
        common_C = rng.normal(0.0, 0.15, len(size_C))
        rate_P = rng.uniform(0.3, 0.7, len(cluster))
        moved_P = np.clip(rate_P + np.repeat(common_C, size_C), 0.0, 1.0)
        base, trained = (table(16, rng.binomial(16, rates), cluster=cluster) for rates in (rate_P, moved_P))
        claims += quick(base, trained, [1], rng=rng).verdicts[0] in ("expanded", "shrunk")
    assert claims <= binom.ppf(0.999, 150, 0.05)
