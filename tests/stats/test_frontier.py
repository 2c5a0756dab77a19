"""Arms at matched pass@1: values by hand, against brute force, and what must hold whatever the runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from massflow import InputError
from massflow.seeding import generator
from massflow.stats import TrainingRun, at_gain, at_target, envelope, mean_difference, pass_at_k_exact, resample_weights
from massflow.stats.frontier import bounds_interval, matched, rising


def level(*success: float, prompts: int = 40, base: str = "0", seconds=None) -> TrainingRun:
    """A run all of whose prompts have the same success probability."""
    return TrainingRun(base, np.repeat(np.array(success)[:, None], prompts, axis=1), seconds)


def path(reach: float, base: str = "0", steps: int = 201, prompts: int = 60) -> TrainingRun:
    """Sharpening, in a straight line: half of the prompts gain, half are lost."""
    start, end = generator(0, "path", base).beta(1, 3, prompts), np.tile([0.95, 0.001], prompts // 2)
    return TrainingRun(base, start + np.linspace(0.0, reach, steps)[:, None] * (end - start))


def alike(prompts: int) -> np.ndarray:
    return np.full((1, prompts), 1.0 / prompts)


def weights(prompts: int, resamples: int = 200) -> np.ndarray:
    return resample_weights(prompts, resamples, generator(0, "w"))


# ---- one run


def test_matched_by_hand():
    # pass@1 goes .2, .3, .4; a gain of .05 is halfway to the second evaluation, where pass@2 is the mean of
    # 1 - .8^2 = .36 and 1 - .7^2 = .51. Beyond .4 the last value stays: 1 - .6^2 = .64.
    got = matched(level(0.2, 0.3, 0.4), 2, np.array([0.05, 0.1, 0.7]), alike(40))
    np.testing.assert_allclose(got, [[(0.36 + 0.51) / 2, 0.51, 0.64]])


def test_one_lucky_evaluation_is_not_taken_for_the_moment():
    # pass@1 .2, .3, .2, .3, .4: made to rise .25 (.3 and .2 pooled, pass@2 the mean of .51 and .36), .3, .4.
    # .28 lies 3/5 of the way from .25 (.435) to .3 (.51).
    got = matched(level(0.2, 0.3, 0.2, 0.3, 0.4), 2, np.array([0.08]), alike(40))
    assert got[0, 0] == pytest.approx(0.435 + 0.6 * 0.075)


def test_a_run_that_collapses_later_did_get_there():
    rise = level(0.2, 0.3, 0.4)
    fall = level(0.2, 0.3, 0.4, 0.1, 0.01)
    gains = np.linspace(0.0, 0.3, 7)
    np.testing.assert_array_equal(*(matched(run, 2, gains, weights(40)) for run in (rise, fall)))
    assert fall.reach == pytest.approx(0.2)
    assert fall.reaches(0.2)
    assert not fall.reaches(0.2001)


def test_a_run_that_only_falls_has_no_reach():
    assert level(0.2, 0.1, 0.05).reach == 0.0


def test_prompt_by_prompt_the_mean_is_that_of_all():
    run = path(0.8, steps=7)
    for gain in (0.2 * run.reach, run.reach):
        found = at_gain(run, 16, gain)
        assert found.mean() == pytest.approx(matched(run, 16, np.array([gain]), alike(60))[0, 0])
        assert found.std() > 0.1
    assert np.isnan(at_gain(run, 16, 1.01 * run.reach)).all()


def test_weights_are_prompts_drawn_again():
    rng = generator(0, "drawn")
    run = TrainingRun("0", np.sort(rng.beta(0.5, 1.0, (6, 20)), axis=0))
    drawn, gains = weights(20, 30), np.linspace(0.0, 0.2, 5)
    counts = np.rint(drawn * 20).astype(int)
    direct = [
        matched(TrainingRun("0", np.repeat(run.success_SP, row, axis=1)), 8, gains, alike(20))[0] for row in counts
    ]
    np.testing.assert_allclose(matched(run, 8, gains, drawn), direct)


def test_isotonic_regression_by_hand_and_by_its_definition():
    # (1, 3, 2, 4): 3 and 2 pool to 2.5. (3, 2, 1): all pool to 2.
    np.testing.assert_allclose(rising(np.array([[1.0, 3.0, 2.0, 4.0]])), [[1.0, 2.5, 2.5, 4.0]])
    np.testing.assert_allclose(rising(np.array([[3.0, 2.0, 1.0]])), [[2.0, 2.0, 2.0]])
    values = generator(0, "isotonic").normal(size=(20, 6))
    best = rising(values)
    assert (np.diff(best, axis=1) >= -1e-12).all()
    # No other rising curve is closer: sums of sorted random steps as rivals.
    rivals = np.sort(generator(1, "rivals").normal(size=(5000, 6)), axis=1)
    closest = ((values[:, None] - rivals) ** 2).sum(axis=2).min(axis=1)
    assert (((values - best) ** 2).sum(axis=1) <= closest).all()
    np.testing.assert_allclose(rising(np.sort(values, axis=1)), np.sort(values, axis=1))


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


# ---- at a target


def test_runs_that_never_get_there_are_bounded():
    # Gain .05 from .2. The first run is at .25: pass@2 1 - .75^2 = .4375. The second ends at .21: at most
    # 1 - .79^2 = .3759, and at least the target's own pass@1, .25.
    found = at_target([level(0.2, 0.3), level(0.2, 0.21)], 2, 0.05, weights(40))
    assert (found.reached, found.runs, found.exact) == (1, 2, False)
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
        assert true.exact
        assert bounded.reached == 0
        assert bounded.low.estimate <= true.low.estimate <= bounded.high.estimate
        low, high = bounded.minus(true)
        assert low.estimate <= 0.0 <= high.estimate


def test_seconds_by_hand():
    # Gain .05 of .1, halfway through the first 10 s, or through the first 30: the median of two is their mean.
    runs = [level(0.2, 0.3, 0.4, seconds=np.array([0.0, t, 2 * t])) for t in (10.0, 30.0)]
    late = level(0.2, 0.21, seconds=np.array([0.0, 1.0]))
    assert at_target([*runs, late], 2, 0.05, weights(40)).seconds == pytest.approx(10.0)
    assert at_target([late], 2, 0.05, weights(40)).seconds is None
    assert at_target([*runs, level(0.2, 0.3)], 2, 0.05, weights(40)).seconds is None, "one run's times are not known"


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
    with pytest.raises(InputError, match="weights are for 39 prompts"):
        at_target([level(0.2, 0.3)], 2, 0.05, weights(39))
    with pytest.raises(InputError, match="both arms were trained from"):
        mean_difference([level(0.2, 0.3)], [level(0.2, 0.3, base="1")], 2, weights(40))
    with pytest.raises(InputError, match="at least 2 rows"):
        level(0.2)
    with pytest.raises(InputError, match="as many times"):
        level(0.2, 0.3, seconds=np.zeros(3))
