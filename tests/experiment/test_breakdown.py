"""A boundary broken down by groups of problems."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.experiment.boundary import Boundary, Question
from rlvrscope.experiment.breakdown import Breakdown
from rlvrscope.readers import ModelCounts
from rlvrscope.stats.counts import GroupCounts

LEVELS = ["Level 10", "Level 2", "Level 1"]
PROBLEMS = [f"p{index}" for index in range(90)]
GROUPS = {problem: LEVELS[index % 3] for index, problem in enumerate(PROBLEMS)}


def model(name: str, gain: float = 0.0, groups: dict[str, str] | None = None) -> ModelCounts:
    """8 samples a problem; the gain goes to Level 1 alone."""
    rng = np.random.default_rng(1)
    rates = rng.beta(1, 2, len(PROBLEMS)) + gain * np.array([GROUPS[problem] == "Level 1" for problem in PROBLEMS])
    c = rng.binomial(8, np.minimum(rates, 1.0))
    return ModelCounts(name, GroupCounts(PROBLEMS, np.full(len(c), 8), c), groups=groups or {})


@pytest.fixture
def boundary() -> Boundary:
    return Boundary.of(model("base", groups=GROUPS), [model("rl", 0.4), model("other", 0.1)], Question(resamples=1000))


def test_each_group_is_compared_within_itself(boundary: Boundary):
    breakdown = Breakdown.of(boundary, "level")
    assert breakdown.groups == ["Level 1", "Level 2", "Level 10"]
    assert breakdown.problems == dict.fromkeys(breakdown.groups, 30)
    first = breakdown.comparisons["Level 1", "rl"]
    mine = [problem for problem in PROBLEMS if GROUPS[problem] == "Level 1"]
    base, trained = (side.counts.select(mine).pooled for side in (boundary.base, boundary.trained["rl"]))
    assert first.difference.estimate[0] == pytest.approx((trained[1] / 8 - base[1] / 8).mean())
    assert first.verdicts[0] == "expanded"
    assert breakdown.comparisons["Level 2", "rl"].verdicts == ("undecided",) * 4


def test_all_groups_and_models_are_one_family(boundary: Boundary):
    breakdown = Breakdown.of(boundary, "level")
    assert len(breakdown.comparisons) == 6
    assert min(comparison.level for comparison in breakdown.comparisons.values()) >= 0.95
    strictest = max(comparison.level for comparison in breakdown.comparisons.values())
    assert strictest == pytest.approx(1 - 0.05 / 6)
    alone = Boundary.of(boundary.base, [boundary.trained["rl"]], boundary.question)
    band = breakdown.comparisons["Level 2", "rl"].difference
    narrower = Breakdown.of(alone, "level").comparisons["Level 2", "rl"].difference
    assert (band.high - band.low >= narrower.high - narrower.low - 1e-9).all()


def test_groups_of_one_problem_are_left_out_with_a_word(boundary: Boundary):
    groups = {**GROUPS, "p0": "alone"}
    breakdown = Breakdown.of(replace(boundary, base=replace(boundary.base, groups=groups)), "level")
    assert breakdown.left_out == ("alone",)
    assert "alone" not in breakdown.groups


@pytest.mark.parametrize(
    ("base", "trained", "message"),
    [
        ({}, {}, "--by level: no source has a column 'level'"),
        (GROUPS, {"p0": "Level 2"}, "problem 'p0' is in 'Level 10' in one source, in 'Level 2' in another"),
        ({"p0": "a"}, {}, "--by level: 89 problems have none: p1, p2"),
        ({problem: problem for problem in PROBLEMS}, {}, "every group has a single problem"),
    ],
)
def test_groups_that_can_not_be_compared(base: dict[str, str], trained: dict[str, str], message: str):
    compared = Boundary.of(model("base", groups=base), [model("rl", groups=trained)], Question(resamples=1000))
    with pytest.raises(InputError, match=message):
        Breakdown.of(compared, "level")
