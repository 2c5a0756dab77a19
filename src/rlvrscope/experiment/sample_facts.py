"""Samples beside pass@k: different answers, completions that were cut off, lengths; for each model and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from rlvrscope.arrays import Floats
from rlvrscope.experiment.outcomes import Estimate
from rlvrscope.readers import ModelCounts
from rlvrscope.readers.sample_texts import ProblemSamples
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.diversity import distinct_at_k
from rlvrscope.stats.graded import max_at_k
from rlvrscope.stats.intervals import ROUNDING
from rlvrscope.stats.units import Units, shared_clusters

MAX_K = 64
"""Largest k at which different answers are counted."""
Summaries = Mapping[str, ProblemSamples]


@dataclass(frozen=True)
class SampleFact:
    """A mean over problems for every model, the base first, and each trained model's difference to the base.

    NaN where a model's samples do not say. The intervals are pointwise, for new problems; training runs are pooled.
    """

    name: str
    values: tuple[float, ...]
    differences: tuple[Estimate, ...]


def sample_facts(models: Sequence[ModelCounts], min_samples: int, confidence: float) -> list[SampleFact]:
    """Facts that at least one model's samples tell. models: the base first, all with the same problems.

    min_samples: the fewest of any problem, which bounds the k of different answers.
    """
    k = min(MAX_K, 2 ** (min_samples.bit_length() - 1))
    summaries = [model.samples_by_problem() if model.source is not None else {} for model in models]
    units = [model.source.length_unit for model in models if model.source is not None]
    problems = models[0].counts.problems
    facts = {
        f"answers among {k}": lambda side: _distinct(side, problems, k, right=False),
        f"right answers among {k}": lambda side: _distinct(side, problems, k, right=True),
        "cut off (share)": lambda side: _means(side, problems, lambda one: (one.cut_off, one.finished)),
    }
    if any(set(one.scores) - {0.0, 1.0} for side in summaries for one in side.values()):
        facts[f"best score of {k}"] = lambda side: _best(side, problems, k)
    if len(set(units)) == 1 and units[0] is not None:
        facts[f"length ({units[0]})"] = lambda side: _means(side, problems, lambda one: (one.length, one.measured))
    measured = {name: [of(side) for side in summaries] for name, of in facts.items()}
    counts = [model.counts for model in models]
    return [
        _fact(name, values, counts, confidence)
        for name, values in measured.items()
        if any(np.isfinite(values_P).any() for values_P in values)
    ]


def _fact(name: str, values: Sequence[Floats], counts: Sequence[GroupCounts], confidence: float) -> SampleFact:
    base_P, *trained = values
    means = tuple(float(values_P.mean()) if np.isfinite(values_P).all() else np.nan for values_P in values)
    pairs = zip(trained, counts[1:], strict=True)
    return SampleFact(
        name, means, tuple(_difference(values_P - base_P, [counts[0], side], confidence) for values_P, side in pairs)
    )


def _difference(change_P: Floats, sides: Sequence[GroupCounts], confidence: float) -> Estimate:
    """Mean paired difference with Student's t over problems, or clusters of them."""
    cluster_P, problems_P = shared_clusters(sides), np.arange(len(change_P))
    units = Units.of_clusters(problems_P if cluster_P is None else cluster_P, problems_P)
    if not np.isfinite(change_P).all() or units.count < 2:
        return Estimate(float(change_P.mean()), np.nan, np.nan)
    spread = units.spread(change_P[:, None])
    value, se = float(spread.estimate_C[0]), float(spread.se_C[0])
    half = se * float(stdtrit(units.count - 1.0, (1.0 + confidence) / 2.0)) if se > ROUNDING else np.nan
    return Estimate(value, value - half, value + half)


def _distinct(side: Summaries, problems: Sequence[str], k: int, right: bool) -> Floats:
    """(P,) answers among k; NaN where a model has no answers at all."""
    samples = [side.get(problem, ProblemSamples()) for problem in problems]
    if not any(one.answers for one in samples):
        return np.full(len(problems), np.nan)
    times = [[n for n in (one.right if right else one.answers).values() if n] for one in samples]
    return distinct_at_k(times, [one.samples for one in samples], [k])[:, 0]


def _best(side: Summaries, problems: Sequence[str], k: int) -> Floats:
    """(P,) expected best score of k samples; NaN where a model has no scores."""
    scores = [side.get(problem, ProblemSamples()).scores for problem in problems]
    return max_at_k([list(times.elements()) for times in scores], [k])[:, 0]


def _means(side: Summaries, problems: Sequence[str], of: Callable[[ProblemSamples], tuple[float, int]]) -> Floats:
    """(P,) mean over a problem's samples; NaN where they do not say."""
    pairs = [of(side.get(problem, ProblemSamples())) for problem in problems]
    return np.array([total / number if number else np.nan for total, number in pairs])
