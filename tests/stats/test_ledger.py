"""The ledger: rates and statuses by hand, the null of the base sampled twice, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln
from scipy.stats import binom, t

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import Ledger, support_ledger
from rlvrscope.stats.counts import GroupCounts


def table(n: int, c_P) -> GroupCounts:
    return GroupCounts([f"p{i}" for i in range(len(c_P))], np.full(len(c_P), n), c_P)


def ledger(base: GroupCounts, trained: GroupCounts, k: int | None = None, **more) -> Ledger:
    return support_ledger(base, trained, k, **more)


def estimates(found: Ledger, side: str) -> list[float]:
    return [float(getattr(rate, side).estimate) for rate in found.rates.values()]


def test_rates_by_hand():
    # n = 4, k = 2: pass@2 of c = 0, 1, 4 is 0, 1/2, 1. Base (1, 0, 1/2), trained (1, 1/2, 0): P = 1, E = 1/2, S = 1/2.
    # SRR = 1 / 1.5, NDR = .5 / 1.5, SDS = 2 (2/3) (1/3) / 1, NSCR = 0.
    # Null: pass@4 of the base is (1, 0, 1): P = 2 * 1.5 - 2 = 1, E = S = 2 - 1.5 = 1/2: the same numbers.
    found = ledger(table(4, [4, 0, 1]), table(4, [4, 1, 0]), 2)
    assert list(found.rates) == ["SRR", "NDR", "SDS", "NSCR"]
    np.testing.assert_allclose(estimates(found, "observed"), [2 / 3, 1 / 3, 4 / 9, 0.0], atol=1e-15)
    np.testing.assert_allclose(estimates(found, "null"), [2 / 3, 1 / 3, 4 / 9, 0.0], atol=1e-15)
    # Gained only: P = 1, E = 1, S = 0: SRR = 1, NDR = 1/2, SDS = 2/3, NSCR = 1/2.
    found = ledger(table(4, [4, 0]), table(4, [4, 4]), 2)
    np.testing.assert_allclose(estimates(found, "observed"), [1.0, 1 / 2, 2 / 3, 1 / 2], atol=1e-15)


def test_statuses_by_hand():
    # k = 30: eps = 1 - .05^(1/30) = .09503. P(p > eps | c, n) for p ~ Beta(c + 1, n - c + 1) is the chance of at most c
    # successes of n + 1 at rate eps. n = 60: c = 0 gives .05^(61/30) = .00226, c = 20 gives .999999.
    found = ledger(table(60, [20, 0, 20, 0, 20]), table(60, [20, 20, 0, 0, 6]), 30)
    assert (found.k, found.certainty) == (30, 0.95)
    assert found.eps == pytest.approx(1 - 0.05 ** (1 / 30))
    assert found.status_P == ("preserved", "gained", "lost", "out of reach", "undecided")
    assert [found.count(status) for status in ("preserved", "undecided", "unheard of")] == [1, 1, 0]
    assert found.problems == ("p0", "p1", "p2", "p3", "p4")
    reach = {c: binom.cdf(c, 61, found.eps) for c in (0, 6, 20)}
    assert reach[0] == pytest.approx(0.05 ** (61 / 30))
    for row, (b, a) in enumerate([(20, 20), (0, 20), (20, 0), (0, 0), (20, 6)]):
        one, two = reach[b], reach[a]
        expected = [one * two, (1 - one) * two, one * (1 - two), (1 - one) * (1 - two)]
        np.testing.assert_allclose(found.probability_PS[row], expected, rtol=1e-9, atol=1e-12)


def test_lucky_samples_are_no_gain():
    # None of 256 right before. At k = 128 a problem is within reach from eps = .0234 on, 6 right of 257: after a few
    # lucky ones it is not yet gained. With c right it is P(Binomial(257, eps) <= c): .916 at c = 9, .957 at c = 10.
    lucky = [1, 3, 6, 9, 10, 20]
    found = ledger(table(256, [0] * 6), table(256, lucky))
    assert [status == "gained" for status in found.status_P] == [False, False, False, False, True, True]
    assert found.status_P[2] == "undecided"


def test_certainty_is_a_threshold():
    base, trained = table(60, [20, 0]), table(60, [20, 8])
    gained = ledger(base, trained, 30).probability_PS[1, 1]
    assert ledger(base, trained, 30, certainty=gained - 1e-6).status_P[1] == "gained"
    assert ledger(base, trained, 30, certainty=gained + 1e-6).status_P[1] == "undecided"


def test_runs_are_put_together():
    # Three runs of 20 samples say what one of 60 says; the rates average the runs' pass@k.
    base = table(60, [20, 0])
    apart = GroupCounts(["p0", "p1"] * 3, [20] * 6, [20, 0, 0, 4, 0, 4], seed=[0, 0, 1, 1, 2, 2])
    found, whole = ledger(base, apart, 10), ledger(base, table(60, [20, 8]), 10)
    np.testing.assert_allclose(found.probability_PS, whole.probability_PS)
    # Problem 0: pass@10 is 1 in one run, 0 in two, so 1/3; the base's is a = 1 - C(40, 10) / C(60, 10).
    # Problem 1: b in the mean; 0 for the base. P = a / 3, S = 2 a / 3, E = (1 - a) / 3 + b.
    a = 1 - math.comb(40, 10) / math.comb(60, 10)
    b = (1 - math.comb(16, 10) / math.comb(20, 10)) * 2 / 3
    assert found.rates["SRR"].observed.estimate == pytest.approx(1 / 3)
    assert found.rates["NDR"].observed.estimate == pytest.approx(((1 - a) / 3 + b) / (1 / 3 + b))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 16), st.integers(0, 16)), min_size=2, max_size=12), st.integers(1, 8))
def test_probabilities_and_rates_stay_in_range(pairs: list[tuple[int, int]], k: int):
    base, trained = (table(16, [pair[side] for pair in pairs]) for side in (0, 1))
    found, swapped = ledger(base, trained, k), ledger(trained, base, k)
    np.testing.assert_allclose(found.probability_PS.sum(axis=1), 1.0)
    assert ((found.probability_PS >= 0.0) & (found.probability_PS <= 1.0)).all()
    for side in ("observed", "null"):
        for name, value in zip(found.rates, estimates(found, side), strict=True):
            rate = found.rates[name]
            np.testing.assert_array_equal(
                rate.difference.estimate, np.subtract(rate.observed.estimate, rate.null.estimate)
            )
            assert math.isnan(value) or -1e-12 - (name == "NSCR") <= value <= 1 + 1e-12
    # What one side gained the other lost.
    np.testing.assert_allclose(found.probability_PS[:, [0, 2, 1, 3]], swapped.probability_PS)
    net = [side.rates["NSCR"].observed.estimate for side in (found, swapped)]
    np.testing.assert_allclose(net[0], -net[1], atol=1e-12)
    # Of the base sampled twice, as much is gained as lost, and what is not retained is discovered.
    null = estimates(found, "null")
    if not math.isnan(null[0]):
        assert null[0] + null[1] == pytest.approx(1.0)
        assert null[3] == pytest.approx(0.0, abs=1e-12)


def test_rates_of_the_same_model_sampled_twice():
    """Beta(.1, .5) success rates, k = 1024: sampling noise alone shows SRR .95 and NDR .05.

    E (1 - p)^k = B(a, b + k) / B(a, b) gives pass@k and pass@2k; SRR = (2 A_k - A_2k) / A_k, NDR = 1 - SRR.
    """
    missed = [math.exp(betaln(0.1, 0.5 + k) - betaln(0.1, 0.5)) for k in (1024, 2048)]
    once, twice = 1 - np.array(missed)
    expected = (2 * once - twice) / once
    assert expected == pytest.approx(0.952, abs=0.001)
    rng = generator(0, "same")
    success_P = rng.beta(0.1, 0.5, 3000)
    base, again = (table(2048, rng.binomial(2048, success_P)) for _ in range(2))
    found = ledger(base, again, 1024)
    for side in ("observed", "null"):
        srr, ndr, _, nscr = estimates(found, side)
        assert srr == pytest.approx(expected, abs=0.01)
        assert ndr == pytest.approx(1 - expected, abs=0.01)
        assert 0.94 < srr < 0.97
        assert 0.04 < ndr < 0.06
        assert abs(nscr) < 0.01
    assert found.count("gained") + found.count("lost") <= 0.01 * 3000


def test_the_null_covers_the_same_model_and_not_a_changed_one():
    rng, overlaps, apart, zero = generator(0, "null"), 0, 0, 0
    for _ in range(60):
        success_P = rng.beta(0.1, 0.5, 500)
        base, again = (table(64, rng.binomial(64, success_P)) for _ in range(2))
        lost = table(64, rng.binomial(64, np.where(success_P < 0.3, 0.1 * success_P, success_P)))
        same, other = (ledger(base, side, 16).rates["SRR"] for side in (again, lost))
        overlaps += bool(same.null.low <= same.observed.estimate <= same.null.high)
        apart += bool(other.observed.estimate < other.null.low)
        zero += not (same.difference.low > 0.0 or same.difference.high < 0.0)
        assert not other.difference.low > 0.0
    assert overlaps >= binom.ppf(0.001, 60, 0.95)
    assert zero >= binom.ppf(0.001, 60, 0.95)
    assert apart >= 50


def test_intervals_hold_the_rates_of_many_problems():
    """The observed SRR's 95 % interval over problems: 150 studies of 150 problems against 200,000."""
    lossy = lambda p: np.where(p < 0.3, 0.3 * p, p)  # noqa: E731
    rng, k, held = generator(0, "interval"), 8, 0
    many_P = rng.beta(0.3, 0.7, 200_000)
    a, b = 1 - (1 - many_P) ** k, 1 - (1 - lossy(many_P)) ** k
    truth = (a * b).mean() / a.mean()
    for _ in range(150):
        success_P = rng.beta(0.3, 0.7, 150)
        base, trained = table(32, rng.binomial(32, success_P)), table(32, rng.binomial(32, lossy(success_P)))
        rate = support_ledger(base, trained, k).rates["SRR"].observed
        held += bool(rate.low <= truth <= rate.high)
    assert held >= binom.ppf(0.001, 150, 0.95)


def test_half_of_the_fewest_samples_by_default():
    base = GroupCounts("ab", [9, 64], [1, 2])
    assert ledger(base, GroupCounts("ab", [64, 20], [1, 2])).k == 4
    assert ledger(GroupCounts("ab", [1, 1], [1, 0]), GroupCounts("ab", [1, 1], [1, 1])).k == 1


def test_without_twice_the_samples_there_is_no_null():
    found = ledger(table(8, [4, 0, 1] * 20), table(8, [4, 1, 0] * 20), 5)
    for rate in found.rates.values():
        assert np.isnan([rate.null.estimate, rate.null.low, rate.null.high]).all()
        assert np.isfinite([rate.observed.estimate, rate.observed.low, rate.observed.high]).all()


@pytest.mark.parametrize(("lost", "interval"), [(9, False), (10, True)])
def test_an_interval_needs_ten_problems_at_stake(lost: int, interval: bool):
    # At k = 1 of one sample each: sure problems, of which some are lost and ten gained.
    base, trained = [1] * 60 + [0] * 10, [0] * lost + [1] * (70 - lost)
    found = ledger(table(1, base), table(1, trained), 1)
    assert np.isfinite(found.rates["SRR"].observed.low) == interval
    assert np.isfinite(found.rates["SDS"].observed.low) == interval
    assert np.isfinite([found.rates["NDR"].observed.low, found.rates["NSCR"].observed.low]).all()


def test_the_interval_of_a_share_is_the_textbooks():
    # SRR of binary outcomes: kept / solved, a share of 80 solved problems, whose linearised variance over all 100
    # problems is p (1 - p) / 80 * 100 / 99.
    base, trained = [1] * 80 + [0] * 20, [1] * 60 + [0] * 40
    rate = ledger(table(1, base), table(1, trained), 1).rates["SRR"].observed
    assert rate.estimate == 0.75
    se = math.sqrt(0.75 * 0.25 / 80 * 100 / 99)
    assert rate.high - rate.estimate == pytest.approx(float(t.isf(0.025, 99)) * se, rel=1e-3)


def test_intervals_of_a_rate_minus_its_null_hold():
    """Of 150 studies of 400 problems at the default k: where there is an interval, it holds the truth."""
    rng, k = generator(0, "minus null"), 16
    many_P = rng.beta(0.1, 0.5, 400_000)
    train = lambda p: 0.85 * p + 0.02  # noqa: E731
    a, b = 1 - (1 - many_P) ** k, 1 - (1 - train(many_P)) ** k
    truth = (a * b).mean() / b.mean() - (a * a).mean() / a.mean()
    held, shown = 0, 0
    for _ in range(150):
        success_P = rng.beta(0.1, 0.5, 400)
        base, trained = table(32, rng.binomial(32, success_P)), table(32, rng.binomial(32, train(success_P)))
        rate = support_ledger(base, trained).rates["NDR"].difference
        shown += bool(np.isfinite(rate.low))
        held += bool(rate.low <= -truth <= rate.high)
    assert shown > 50
    assert held >= binom.ppf(0.001, shown, 0.95)


def test_nothing_solved_has_no_rates():
    found = ledger(table(8, [0, 0]), table(8, [0, 0]), 2)
    assert np.isnan(estimates(found, "observed")).all()
    assert np.isnan(estimates(found, "null")).all()
    assert np.isnan([found.rates["SRR"].observed.low, found.rates["NDR"].null.high]).all()


def test_the_same_seed_gives_the_same_bytes():
    base, trained = table(8, [4, 0, 1, 7]), table(8, [4, 1, 0, 8])
    one, other = ledger(base, trained), ledger(base, trained)
    for name in one.rates:
        assert one.rates[name].observed.low.tobytes() == other.rates[name].observed.low.tobytes()
        assert one.rates[name].null.high.tobytes() == other.rates[name].null.high.tobytes()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"k": 0}, "between 1 and the fewest samples of a problem, 8; got 0"),
        ({"k": 9}, "between 1 and the fewest samples of a problem, 8; got 9"),
        ({"k": -1}, "got -1"),
        ({"k": math.nan}, "got nan"),
        ({"k": 2.5}, "whole"),
        ({"confidence": 1.0}, "between 0 and 1; got 1.0"),
        ({"certainty": 1.0}, "between 0 and 1; got 1.0"),
        ({"certainty": math.nan}, "between 0 and 1; got nan"),
        (
            {"trained": GroupCounts(["p1", "p0"], [8, 8], [1, 2])},
            "same problems in the same order: see shared_problems",
        ),
        ({"trained": GroupCounts(["p0"], [8], [1])}, "same problems in the same order: see shared_problems"),
    ],
)
def test_what_is_out_of_range_is_refused(changed: dict[str, Any], message: str):
    settings = {"base": table(8, [1, 2]), "trained": table(8, [2, 3]), **changed}
    with pytest.raises(InputError, match=message) as caught:
        support_ledger(**settings)
    assert "\n" not in str(caught.value)


def test_several_bases_that_did_not_change_show_no_change():
    """Two bases good at different problems, sampled again: each is paired with its own, not with the other."""
    rng = generator(0, "two bases")
    rates = np.concatenate([rng.beta(0.3, 0.6, 600), rng.beta(0.3, 0.6, 600)])
    labels = {"base": [0] * 600 + [1] * 600}
    base, again = (GroupCounts([*range(600)] * 2, [64] * 1200, rng.binomial(64, rates), **labels) for _ in range(2))
    found = support_ledger(base, again)
    for rate in found.rates.values():
        assert rate.difference.low <= 0.0 <= rate.difference.high


def test_other_runs_of_one_objective_are_its_null():
    # Against two runs of which one solves only x and the other only y, both always: two different runs share nothing.
    one = GroupCounts(["x", "y"] * 2, [4] * 4, [4, 0, 0, 4], seed=[0, 0, 1, 1])
    found = support_ledger(one, one, 1)
    assert found.rates["SRR"].null.estimate == 0.0


@pytest.mark.parametrize("n", range(1, 8))
def test_few_samples_do_not_put_the_solved_out_of_reach(n: int):
    solved = table(n, [n] * 40)
    assert ledger(solved, solved).count("out of reach") == 0
