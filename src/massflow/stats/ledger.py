"""The ledger: which problems training kept, gained and lost, and what the same model sampled twice would show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc

from massflow.errors import InputError
from massflow.stats.bands import check_confidence
from massflow.stats.bootstrap import Interval, percentile_interval
from massflow.stats.passk import Floats
from massflow.stats.training import over_runs
from massflow.stats.variation import Units, draw_means, values
from massflow.types import GroupCounts

PRESERVED, GAINED, LOST, OUT_OF_REACH, UNDECIDED = "preserved", "gained", "lost", "out of reach", "undecided"
STATUSES = (PRESERVED, GAINED, LOST, OUT_OF_REACH, UNDECIDED)
ZETA = 0.05
"""A problem is within reach of k samples if they hold a right one with probability 1 - ZETA."""


@dataclass(frozen=True)
class Rate:
    """A rate of the ledger; the same of the base sampled twice, as no change would look; and their difference."""

    observed: Interval
    null: Interval
    difference: Interval


@dataclass(frozen=True)
class Ledger:
    """Problem by problem, and in sum.

    k: the samples a model is given. eps: a problem is within reach if its success probability is above
    -ln(.05) / k. status_P: the one of preserved, gained, lost and out of reach whose posterior probability is above
    `certainty`, else undecided. probability_PS: those four probabilities. rates: SRR, NDR, SDS, NSCR.
    """

    k: int
    eps: float
    certainty: float
    problems: tuple[str, ...]
    status_P: tuple[str, ...]
    probability_PS: Floats
    rates: dict[str, Rate]

    def count(self, status: str) -> int:
        """How many problems have this status."""
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
    """Who gained and who lost at k samples (half of the fewest samples of any problem, unless given).

    A problem's status: p ~ Beta(c + 1, n - c + 1) for each model, runs put together; within reach where p > eps =
    -ln(.05) / k; the four probabilities are products, and a status is given where one is above `certainty`.

    The rates count a problem as solved by a model if k of its samples hold a right one. With the unbiased pass@k, a of
    the base and b of the trained model, and the sums over problems P = a b, E = (1 - a) b, S = a (1 - b):

        SRR = P / (P + S)   NDR = E / (P + E)   SDS = 2 SRR NDR / (SRR + NDR)   NSCR = (E - S) / (P + E + S)

    and of the base sampled twice, without bias since a^2 is estimated by 2 pass@k - pass@2k: P = 2 A_k - A_2k,
    E = S = A_2k - A_k. Intervals: percentile, over problems. Needs 2k samples of every problem of the base for the
    null (NaN otherwise). Raises InputError for k below 1 or above the fewest samples.
    Source: Invisible Leash (arXiv 2507.14843), with the null its own.
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
        raise InputError(f"the ledger's k must lie between 1 and the fewest samples of a problem, {fewest}; got {k}")
    eps = -math.log(ZETA) / k
    reach_P, still_P = (_within_reach(side, eps) for side in (base, trained))
    probability_PS = np.stack(
        [reach_P * still_P, (1 - reach_P) * still_P, reach_P * (1 - still_P), (1 - reach_P) * (1 - still_P)], axis=1
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
    """P(p > eps | counts) of each problem, all runs put together, with a uniform prior."""
    n_P, c_P = (side_UP.sum(axis=0) for side_UP in counts.grid)
    return 1.0 - betainc(c_P + 1.0, n_P - c_P + 1.0, min(eps, 1.0))


def _rates(
    base: GroupCounts, trained: GroupCounts, k: int, confidence: float, resamples: int, rng: np.random.Generator
) -> dict[str, Rate]:
    a_P, twice_P = _mean_pass(base, k), _mean_pass(base, 2 * k)
    b_P = _mean_pass(trained, k)
    sums_PC = np.stack([a_P * b_P, (1 - a_P) * b_P, a_P * (1 - b_P)], axis=1)
    null_PC = np.stack([2 * a_P - twice_P, twice_P - a_P, twice_P - a_P], axis=1)
    columns_PC = np.concatenate([sums_PC, null_PC], axis=1)
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


def _mean_pass(counts: GroupCounts, k: int) -> Floats:
    return over_runs(counts, values(counts, [k]))[:, 0]


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
