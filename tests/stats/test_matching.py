"""One run at equal pass@1: values by hand, against brute force, and what must hold whatever the run."""

from __future__ import annotations

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import TrainingRun, at_gain
from rlvrscope.stats.matching import matched, rising
from training_runs import alike, level, path, weights


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


def test_bad_requests_are_refused():
    with pytest.raises(InputError, match="weights are for 39 prompts"):
        matched(level(0.2, 0.3), 2, np.array([0.05]), weights(39))
    with pytest.raises(InputError, match="at least 2 rows"):
        level(0.2)
    with pytest.raises(InputError, match="as many times"):
        level(0.2, 0.3, seconds=np.zeros(3))
