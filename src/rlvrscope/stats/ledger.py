"""Support ledger: problems preserved, gained and lost by training, against a null of the base sampled twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.intervals import Interval, check_confidence, percentile_interval
from rlvrscope.stats.passk import squared_pass_at_k
from rlvrscope.stats.standard_errors import Units, draw_means, values
from rlvrscope.stats.training_runs import group_means, run_groups, share_bases

PRESERVED, GAINED, LOST, OUT_OF_REACH, UNDECIDED = "preserved", "gained", "lost", "out of reach", "undecided"
STATUSES = (PRESERVED, GAINED, LOST, OUT_OF_REACH, UNDECIDED)
ZETA = 0.05
"""A problem is within reach if k samples include a correct one with probability above 1 - ZETA."""


@dataclass(frozen=True)
class Rate:
    """A rate of the ledger; its null value, from the base sampled twice; and their difference."""

    observed: Interval
    null: Interval
    difference: Interval


@dataclass(frozen=True)
class Ledger:
    """Status of each problem, and rates over all.

    k: samples per model. eps: success probability from which on a problem is within reach, 1 - .05^(1/k): k samples
    then include a correct one 95 % of the time. status_P: preserved, gained, lost or out of reach if its posterior
    probability is above `certainty`, else undecided. probability_PS: those four probabilities.
    rates: by name, SRR, NDR, SDS, NSCR.
    """

    k: int
    eps: float
    certainty: float
    problems: tuple[str, ...]
    status_P: tuple[str, ...]
    probability_PS: Floats
    rates: dict[str, Rate]

    def count(self, status: str) -> int:
        """Number of problems of this status."""
        return self.status_P.count(status)


def support_ledger(
    base: GroupCounts,
    trained: GroupCounts,
    k: int | None = None,
    *,
    rng: np.random.Generator,
    certainty: float = 0.95,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Ledger:
    """Problems preserved, gained and lost at k samples (by default half of the fewest samples of any problem).

    Status: p ~ Beta(c + 1, n - c + 1) for each model, runs pooled; within reach where p > eps = 1 - .05^(1/k) (about
    3 / k). The four probabilities are products; a status needs one above `certainty`.

    Rates: a model solves a problem if k samples include a correct one. With the unbiased pass@k, a of the base and b of
    the trained model, and the sums over problems P = a b, E = (1 - a) b, S = a (1 - b):

        SRR = P / (P + S)   NDR = E / (P + E)   SDS = 2 SRR NDR / (SRR + NDR)   NSCR = (E - S) / (P + E + S)

    Null, the base sampled twice: a^2 is estimated without bias by 2 pass@k - pass@2k, so P = 2 A_k - A_2k and
    E = S = A_2k - A_k; it needs 2k samples of each problem of the base (else NaN). Several bases are each paired with
    the models trained from them; without shared bases, a base with several runs has pairs of runs as its null.
    Percentile intervals over problems. Raises InputError for k below 1 or above the fewest samples.
    Source: Invisible Leash (arXiv 2507.14843), the null is ours.
    """
    check_confidence(confidence)
    check_confidence(certainty)
    if base.problems != trained.problems:
        raise InputError("base and trained must have the same problems in the same order: see shared_problems")
    fewest = int(min(side.grid[0].min() for side in (base, trained)))
    if fewest < 1:
        empty = next(p for side in (base, trained) for p, n in zip(side.problem, side.n, strict=True) if n < 1)
        raise InputError(f"a ledger needs samples of every problem; {empty!r} has none (n = 0): leave it out")
    k = max(1, fewest // 2) if k is None else k
    if not 1 <= k <= fewest:
        raise InputError(f"the ledger's k must be between 1 and the fewest samples of a problem, {fewest}; got {k}")
    eps = 1.0 - ZETA ** (1.0 / k)
    before_P, after_P = (_within_reach(side, eps) for side in (base, trained))
    probability_PS = np.stack(
        [before_P * after_P, (1 - before_P) * after_P, before_P * (1 - after_P), (1 - before_P) * (1 - after_P)], axis=1
    )
    best_P = np.where(probability_PS.max(axis=1) > certainty, probability_PS.argmax(axis=1), len(STATUSES) - 1)
    return Ledger(
        k=k,
        eps=eps,
        certainty=certainty,
        problems=tuple(base.problems),
        status_P=tuple(STATUSES[index] for index in best_P),
        probability_PS=probability_PS,
        rates=_rates(base, trained, k, confidence, resamples, rng),
    )


def _within_reach(counts: GroupCounts, eps: float) -> Floats:
    """P(p > eps | counts) of each problem with a uniform prior, runs pooled."""
    n_P, c_P = counts.pooled
    return 1.0 - betainc(c_P + 1.0, n_P - c_P + 1.0, eps)


def _rates(
    base: GroupCounts, trained: GroupCounts, k: int, confidence: float, resamples: int, rng: np.random.Generator
) -> dict[str, Rate]:
    columns_PC = np.concatenate([_observed(base, trained, k), _null(base, trained, k)], axis=1)
    units = Units.of([base, trained])
    (draws_RC,) = draw_means([(columns_PC[None], np.ones((resamples, 1)))], units, resamples, rng)
    estimate_C = columns_PC.mean(axis=0)
    observed, null = _ratios(estimate_C[:3]), _ratios(estimate_C[3:])
    observed_R, null_R = _ratios(draws_RC[:, :3]), _ratios(draws_RC[:, 3:])
    return {
        name: Rate(
            observed=_interval(observed[name], observed_R[name], confidence),
            null=_interval(null[name], null_R[name], confidence),
            difference=_interval(observed[name] - null[name], observed_R[name] - null_R[name], confidence),
        )
        for name in observed
    }


def _observed(base: GroupCounts, trained: GroupCounts, k: int) -> Floats:
    """(P, 3): probabilities that k samples of each solve it for both, the trained model only, the base only."""
    sides = [values(side, [k])[:, :, 0] for side in (base, trained)]
    if share_bases(base, trained):
        a_GP, b_GP = (group_means(s, run_groups(c)) for s, c in zip(sides, (base, trained), strict=True))
    else:
        a_GP, b_GP = (side.run_share @ s for side, s in zip((base, trained), sides, strict=True))
    both_GP = a_GP * b_GP
    return np.stack([np.atleast_2d(part).mean(axis=0) for part in (both_GP, b_GP - both_GP, a_GP - both_GP)], axis=1)


def _null(base: GroupCounts, trained: GroupCounts, k: int) -> Floats:
    """(P, 3): the same for the base and itself sampled again, or another of its runs."""
    a_UP = values(base, [k])[:, :, 0]
    a_GP = group_means(a_UP, run_groups(base))
    groups = len(a_GP)
    if groups > 1 and not share_bases(base, trained):
        both_P = (a_GP.sum(axis=0) ** 2 - (a_GP**2).sum(axis=0)) / (groups * (groups - 1))
    else:
        n_UP, c_UP = base.grid
        both_P = base.run_share @ squared_pass_at_k(n_UP.ravel(), c_UP.ravel(), [k]).reshape(n_UP.shape)
    only_P = base.run_share @ a_UP - both_P
    return np.stack([both_P, only_P, only_P], axis=1)


def _interval(estimate: Floats, draws_R: Floats, confidence: float) -> Interval:
    if np.isfinite(draws_R).any() and np.isfinite(estimate):
        return percentile_interval(estimate, draws_R, confidence)
    return Interval(estimate, np.asarray(np.nan), np.asarray(np.nan))


def _ratios(sums_C: Floats) -> dict[str, Floats]:
    both, gained, lost = np.moveaxis(sums_C, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        retained, discovered = both / (both + lost), gained / (both + gained)
        harmonic = 2.0 * retained * discovered / (retained + discovered)
        net = (gained - lost) / (both + gained + lost)
    return {"SRR": retained, "NDR": discovered, "SDS": harmonic, "NSCR": net}
