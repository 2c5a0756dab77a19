"""All models of a boundary against each other."""

from __future__ import annotations

import numpy as np

from rlvrscope.experiment.boundary import Boundary, Question
from rlvrscope.experiment.ranking import Ranking
from rlvrscope.readers import ModelCounts
from rlvrscope.stats.counts import GroupCounts


def model(name: str, rate: float, seed: int) -> ModelCounts:
    rng = np.random.default_rng(seed)
    rates = np.clip(rng.beta(2, 2, 120) * 0.2 + rate, 0.0, 1.0)
    return ModelCounts(name, GroupCounts(range(120), np.full(120, 16), rng.binomial(16, rates)))


def test_ranks_are_what_the_comparisons_leave_open():
    boundary = Boundary.of(model("base", 0.1, 0), [model("a", 0.5, 1), model("b", 0.5, 2)], Question(resamples=1000))
    ranking = Ranking.of(boundary)
    assert len(ranking.comparisons) == 3
    assert ranking.ranks(0) == {"base": (3, 3), "a": (1, 2), "b": (1, 2)}
    assert ranking.values(0)["base"] == boundary.base_curve.estimate[0]
    assert {comparison.level for comparison in ranking.comparisons.values()} == {1 - 0.05 / 3}
