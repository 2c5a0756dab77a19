"""Arms at matched pass@1: values by hand, against brute force, and what must hold whatever the runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import (
    TrainingRun,
    at_target,
    common_reach,
    envelope,
    mean_change,
    mean_difference,
    pass_at_k_exact,
)
from rlvrscope.stats.frontier import Seconds, bounds_interval
from rlvrscope.stats.matching import matched
from training_runs import alike, level, path, weights

# ---- the mean difference


def test_mean_difference_by_hand():
    # Two prompts at .2. Ours raises both to .3, theirs the first to .4: the same gain of .1. pass@2 starts at .36 and
    # ends at .51 and at (.64 + .36) / 2 = .5, linear in between: the difference goes from 0 to .01, its mean is .005.
    ours = TrainingRun("0", np.array([[0.2, 0.2], [0.3, 0.3]]))
    theirs = TrainingRun("0", np.array([[0.2, 0.2], [0.4, 0.2]]))
    found = mean_difference([ours], [theirs], 2, weights(2))
    assert found is not None
    assert found.upto == pytest.approx(0.1)
    assert found.means.estimate == pytest.approx(0.005)
    # Theirs stops at (.3, .2), a gain of .05: pass@2 (.51 + .36) / 2 = .435 where ours has .435: no difference.
    half = TrainingRun("0", np.array([[0.2, 0.2], [0.3, 0.2]]))
    found = mean_difference([ours], [half], 2, weights(2))
    assert found is not None
    assert found.upto == pytest.approx(0.05)
    assert found.means.estimate == pytest.approx(0.0, abs=1e-12)


def test_an_arm_against_itself_and_the_other_way_round():
    one, other = [path(0.5, "a"), path(0.6, "b")], [path(0.4, "a", steps=5), path(0.7, "b", steps=9)]
    same = mean_difference(one, one, 16, weights(60))
    assert same is not None
    np.testing.assert_array_equal([same.means.interval().low, same.means.interval().high], [0.0, 0.0])
    there, back = mean_difference(one, other, 16, weights(60)), mean_difference(other, one, 16, weights(60))
    assert there is not None
    assert back is not None
    np.testing.assert_allclose(there.means.value_B, -back.means.value_B)


def test_a_slower_run_on_the_same_path_is_no_better():
    """At equal steps the slower run keeps more of pass@k; matched, it is the same."""
    fast, slow = path(1.0), path(0.5)
    finals = [pass_at_k_exact(run.success_SP[-1], [16]).mean() for run in (fast, slow)]
    assert finals[1] - finals[0] > 0.1
    found = mean_difference([fast], [slow], 16, weights(60))
    assert found is not None
    assert found.upto == pytest.approx(slow.reach)
    assert found.means.estimate == pytest.approx(0.0, abs=1e-4)


def test_runs_are_paired_by_base_whatever_their_order():
    ours = [path(0.5, "a"), path(0.6, "b"), path(0.4, "a")]
    theirs = [path(0.6, "a", 7), path(0.5, "b", 5)]
    found, turned = (mean_difference(ours[::s], theirs[::s], 16, weights(60)) for s in (1, -1))
    assert found is not None
    assert turned is not None
    np.testing.assert_allclose(
        [found.means.interval().low, found.means.interval().high],
        [turned.means.interval().low, turned.means.interval().high],
    )
    parts = []
    for base in "ab":
        means = [
            np.mean([matched(run, 16, np.linspace(0, found.upto, 2001), alike(60)).mean() for run in side])
            for side in ([run for run in arm if run.base == base] for arm in (ours, theirs))
        ]
        parts.append(means[0] - means[1])
    assert found.means.estimate == pytest.approx(np.mean(parts), abs=1e-5)
    lone = mean_difference([*ours, path(0.01, "c")], theirs, 16, weights(60))
    assert lone is not None
    assert (lone.upto, lone.means.estimate) == (found.upto, found.means.estimate), "base c has no partner"


def test_no_range_where_a_run_never_gains():
    assert mean_difference([level(0.2, 0.4), level(0.2, 0.1)], [level(0.2, 0.3)], 2, weights(40)) is None


def test_from_the_smallest_gain_on_by_hand():
    # As above: the difference rises in a straight line from 0 to .01 at a gain of .1. From .06 on its mean is .008.
    ours = TrainingRun("0", np.array([[0.2, 0.2], [0.3, 0.3]]))
    theirs = TrainingRun("0", np.array([[0.2, 0.2], [0.4, 0.2]]))
    found = mean_difference([ours], [theirs], 2, weights(2), since=0.06)
    assert found is not None
    assert (found.since, found.upto) == (0.06, pytest.approx(0.1))
    assert found.means.estimate == pytest.approx(0.008)
    assert mean_difference([ours], [theirs], 2, weights(2), since=0.1 + 1e-9) is None, "none gets there"
    point = mean_difference([ours], [theirs], 2, weights(2), since=0.1)
    assert point is not None
    assert point.means.estimate == pytest.approx(0.01), "a range of one gain: the difference there"


# ---- one range for all


def test_the_common_reach_by_hand():
    # Reaches .1 and .3; .05 and .3. From .02 on all four get there: .05. From .06 on only the first arm does: .1.
    arms = [[level(0.2, 0.3), level(0.2, 0.5)], [level(0.2, 0.25), level(0.2, 0.5)]]
    assert common_reach(arms, 0.02) == pytest.approx(0.05)
    assert common_reach(arms, 0.06) == pytest.approx(0.1)
    assert common_reach(arms, 0.2) is None
    assert common_reach([[level(0.2, 0.1)]], 0.0) is None


def test_mean_change_by_hand():
    # pass@2 is .36 at .2, .51 at .3, linear between: over gains .02 to .1 its mean is that at .06: .36 + .6 * .15.
    found = mean_change([level(0.2, 0.3)], 2, 0.02, 0.1, weights(40))
    assert (found.reached, found.runs) == (1, 1)
    assert found.low is found.high
    assert found.low.estimate == pytest.approx(0.09)
    # A run that stops at a gain of .06 (.26: pass@2 is 1 - .74^2 = .4524) is known on the first half: its line goes
    # from .36 to .4524, over gains .02 to .06 the mean is that at .04: .36 + 2/3 * .0924. On the second half it stays
    # at .4524 at most, and at the target's pass@1, on average .28, at least.
    bounded = mean_change([level(0.2, 0.26)], 2, 0.02, 0.1, weights(40), failed=1)
    assert (bounded.reached, bounded.runs) == (0, 2)
    half = 0.36 + 2 / 3 * 0.0924
    assert bounded.high.estimate == pytest.approx((half + 0.4524) / 2 - 0.36, abs=1e-3)
    assert bounded.low.estimate == pytest.approx((half + 0.28) / 2 - 0.36, abs=1e-3)


def test_the_change_of_one_minus_that_of_another_is_the_mean_difference():
    one, other = [path(0.5, "a"), path(0.6, "b")], [path(0.4, "a", steps=5), path(0.7, "b", steps=9)]
    upto = common_reach([one, other], 0.03)
    assert upto is not None
    pair = mean_difference(one, other, 16, weights(60), since=0.03)
    assert pair is not None
    assert pair.upto == upto
    low, high = (mean_change(runs, 16, 0.03, upto, weights(60)) for runs in (one, other))
    gap, _ = low.minus(high)
    np.testing.assert_allclose(gap.value_B, pair.means.value_B)
    np.testing.assert_allclose(gap.draws_RB, pair.means.draws_RB)


# ---- at a target


def test_runs_that_never_get_there_are_bounded():
    # Gain .05 from .2. The first run is at .25: pass@2 1 - .75^2 = .4375. The second ends at .21: at most
    # 1 - .79^2 = .3759, and at least the target's own pass@1, .25.
    found = at_target([level(0.2, 0.3), level(0.2, 0.21)], 2, 0.05, weights(40))
    assert (found.reached, found.runs) == (1, 2)
    linear = (0.36 + 0.51) / 2
    assert found.high.estimate == pytest.approx((linear + 0.3759) / 2)
    assert found.low.estimate == pytest.approx((linear + 0.25) / 2)
    interval = bounds_interval(found.low, found.high)
    assert math.isnan(interval.estimate)
    assert interval.low == pytest.approx(found.low.estimate)
    assert interval.high == pytest.approx(found.high.estimate)


def test_bounds_hold_what_the_whole_run_would_have_shown():
    for base in "abcdef":
        whole = path(0.9, base)
        gain = 0.7 * whole.reach
        short = TrainingRun(base, whole.success_SP[:80])
        true, bounded = at_target([whole], 64, gain, weights(60)), at_target([short], 64, gain, weights(60))
        assert true.reached == true.runs
        assert bounded.reached == 0
        assert bounded.low.estimate <= true.low.estimate <= bounded.high.estimate
        low, high = bounded.minus(true)
        assert low.estimate <= 0.0 <= high.estimate


def test_failed_runs_count_and_enter_no_mean():
    runs = [level(0.2, 0.3), level(0.2, 0.21)]
    whole, lost = at_target(runs, 2, 0.05, weights(40)), at_target(runs, 2, 0.05, weights(40), failed=2)
    assert (lost.reached, lost.runs) == (1, 4)
    assert (lost.low.estimate, lost.high.estimate) == (whole.low.estimate, whole.high.estimate)


@pytest.mark.parametrize(
    ("times", "never", "failed", "median"),
    [
        # A gain of .05 of .1: halfway through the first 10 s, or the first 30, or 50. Two: their mean.
        ((10.0, 30.0), (), 0, Seconds(10.0, known=True)),
        # 5, 15, infinity: the middle one is known.
        ((10.0, 30.0), (1.0,), 0, Seconds(15.0, known=True)),
        # 5, 15, infinity, infinity: their median is infinite. At least 15: the second of 5, 15, 20, 20.
        ((10.0, 30.0), (20.0, 20.0), 0, Seconds(15.0, known=False)),
        # 5 and infinity: at least the first of 5, 100.
        ((10.0,), (100.0,), 0, Seconds(5.0, known=False)),
        # 5 and twice infinity, of which one run trained for 7 s and another failed: the second of 5, 7, failed.
        ((10.0,), (7.0,), 1, Seconds(7.0, known=False)),
        # 25 and twice infinity, one of them after 1 s of training: the second of 1, 25, failed.
        ((50.0,), (1.0,), 1, Seconds(25.0, known=False)),
        # Most runs failed: above all that is known.
        ((10.0, 30.0), (), 5, Seconds(15.0, known=False)),
        ((), (1.0,), 0, None),
    ],
)
def test_median_seconds_by_hand(times, never, failed: int, median: Seconds | None):
    """Runs that never get there take infinitely long; nothing they do makes the median shorter."""
    there = [level(0.2, 0.3, 0.4, seconds=np.array([0.0, t, 2 * t])) for t in times]
    late = [level(0.2, 0.21, seconds=np.array([0.0, t])) for t in never]
    found = at_target([*there, *late], 2, 0.05, weights(40), failed).seconds
    assert _close(found, median)


def _close(found: Seconds | None, median: Seconds | None) -> bool:
    if found is None or median is None:
        return found is median
    return found.known == median.known and found.least == pytest.approx(median.least)


def test_no_seconds_where_one_run_has_none():
    timed = level(0.2, 0.3, seconds=np.array([0.0, 1.0]))
    assert at_target([timed, level(0.2, 0.3)], 2, 0.05, weights(40)).seconds is None


# ---- over temperatures


def test_envelope_by_hand_and_by_brute_force():
    first, kth = np.array([0.2, 0.5, 0.4]), np.array([0.9, 0.6, 0.7])
    np.testing.assert_array_equal(envelope(first, kth, np.array([0.1, 0.3, 0.45, 0.6])), [0.9, 0.7, 0.6, np.nan])
    rng = generator(0, "envelope")
    first, kth, at = rng.random(50), rng.random(50), np.linspace(0.0, 0.95, 20)
    brute = [max(k for f, k in zip(first, kth, strict=True) if f >= x) if first.max() >= x else math.nan for x in at]
    np.testing.assert_array_equal(envelope(first, kth, at), brute)


def test_bad_requests_are_refused():
    with pytest.raises(InputError, match="at least one run"):
        at_target([], 2, 0.05, weights(40))
    with pytest.raises(InputError, match="gain above 0"):
        at_target([level(0.2, 0.3)], 2, 0.0, weights(40))
    with pytest.raises(InputError, match="both arms were trained from"):
        mean_difference([level(0.2, 0.3)], [level(0.2, 0.3, base="1")], 2, weights(40))
    with pytest.raises(InputError, match="0 <= since <= upto"):
        mean_change([level(0.2, 0.3)], 2, 0.1, 0.05, weights(40))
