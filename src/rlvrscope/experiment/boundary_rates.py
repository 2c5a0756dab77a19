"""What stands beside pass@k: how often all or most samples are right, how much is mastered, what guessing gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rlvrscope.readers import ModelCounts
from rlvrscope.stats import (
    all_at_k,
    cover_at,
    g_pass_at_k,
    guessing_pass_at_k,
    majority_at_k,
    pass_at_k,
)
from rlvrscope.stats.counts import GroupCounts

FEW = 8
"""The k of pass^k, G-Pass and the smaller majority."""
TAUS = (0.25, 0.5, 0.75)
MAX_MAJORITY = 64


@dataclass(frozen=True)
class Metric:
    """A metric's name and its value for every model, the base first; NaN where it can't be had."""

    name: str
    values: tuple[float, ...]


def metrics(models: Sequence[ModelCounts], fewest: int, options: int | None) -> list[Metric]:
    """Means over problems and runs. options: the number of answers to choose from, for the guessing baseline."""
    few, most = min(FEW, fewest), 2 ** (fewest.bit_length() - 1)
    counts = [model.counts for model in models]
    found = [
        Metric(f"pass^{few}", tuple(_mean(side, lambda n, c: all_at_k(n, c, [few])) for side in counts)),
        Metric(
            f"G-Pass@{few}, tau = .5", tuple(_mean(side, lambda n, c: g_pass_at_k(n, c, [few], 0.5)) for side in counts)
        ),
    ]
    covers = [cover_at(side, TAUS) for side in counts]
    found += [Metric(f"Cover@{tau:g}", tuple(float(c[i]) for c in covers)) for i, tau in enumerate(TAUS)]
    if any(model.has_answers for model in models):
        ks = sorted({few, min(most, MAX_MAJORITY)})
        majorities = [_majority(model, ks) for model in models]
        found += [Metric(f"maj@{k}", tuple(float(m[index]) for m in majorities)) for index, k in enumerate(ks)]
    if options is not None:
        found += [_guessing(options, k, counts) for k in sorted({1, most})]
    return found


def _guessing(options: int, k: int, counts: Sequence[GroupCounts]) -> Metric:
    """pass@k above what blind guessing would give."""
    guess = float(guessing_pass_at_k([options], [k])[0, 0])
    above = tuple(_mean(side, lambda n, c: pass_at_k(n, c, [k])) - guess for side in counts)
    return Metric(f"pass@{k} above guessing ({guess:.3f})", above)


def _mean(counts: GroupCounts, formula: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> float:
    """Of a formula of (n, c) over problems and runs, as pass@k is averaged."""
    n_UP, c_UP = counts.grid
    values_UP = formula(n_UP.ravel(), c_UP.ravel()).reshape(n_UP.shape)
    return float((counts.run_share @ values_UP).mean())


def _majority(model: ModelCounts, ks: Sequence[int]) -> np.ndarray:
    """maj@k, the mean over problems; runs are put together."""
    samples = model.answers()
    if samples is None:
        return np.full(len(ks), np.nan)
    rows: dict[str, tuple[list[str | None], list[bool]]] = {problem: ([], []) for problem in model.counts.problems}
    for problem, answer, correct in zip(*samples, strict=True):
        if problem in rows:
            rows[problem][0].append("" if answer is None and correct else answer)
            rows[problem][1].append(correct)
    answers, marks = zip(*rows.values(), strict=True)
    return majority_at_k(answers, marks, ks).mean(axis=0)
