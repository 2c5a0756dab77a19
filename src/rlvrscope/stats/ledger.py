"""Support ledger: problems preserved, gained and lost by training, against a null of the base sampled twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc, ndtr, ndtri, stdtrit

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.intervals import Interval, check_confidence
from rlvrscope.stats.passk import squared_pass_at_k
from rlvrscope.stats.spread import carriers
from rlvrscope.stats.standard_errors import values
from rlvrscope.stats.training_runs import group_means, run_groups, share_bases
from rlvrscope.stats.units import Grid, Units

PRESERVED, GAINED, LOST, OUT_OF_REACH, UNDECIDED = "preserved", "gained", "lost", "out of reach", "undecided"
STATUSES = (PRESERVED, GAINED, LOST, OUT_OF_REACH, UNDECIDED)
ZETA = 0.05
"""A problem is within reach if k samples include a correct one with probability above 1 - ZETA."""
MIN_AT_STAKE = 10.0
"""Problems at stake from which on a rate's interval covers: benchmarks/interval_coverage.py."""
STEP = 1e-6
"""Relative step of the numerical gradient of a rate."""


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
    rates: by name, SRR, NDR, SDS, NSCR; NaN ends where fewer than MIN_AT_STAKE problems are at stake.
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
    certainty: float = 0.95,
    confidence: float = 0.95,
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
    Intervals: Student's, over problems, training runs fixed; none (NaN) where fewer than ten problems are at stake: of
    SRR, lost ones; of NDR, gained ones; of SDS, of each; of NSCR, of both.
    Raises InputError for k below 1 or above the fewest samples.
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
        rates=_rates(base, trained, k, confidence),
    )


def _within_reach(counts: GroupCounts, eps: float) -> Floats:
    """P(p > eps | counts) of each problem with a uniform prior, runs pooled."""
    n_P, c_P = counts.pooled
    return 1.0 - betainc(c_P + 1.0, n_P - c_P + 1.0, eps)


def _rates(base: GroupCounts, trained: GroupCounts, k: int, confidence: float) -> dict[str, Rate]:
    grids, units = Units.distinct([base, trained])
    sums = [_observed((base, trained), grids, k), _null((base, trained), grids[0], k)]
    observed, null = (_Rates.of(sums_QC, units) for sums_QC in sums)
    z = float(-ndtri((1.0 - confidence) / 2.0))
    rates = {}
    for name in RATES:
        (value, influence_Q, stake), (null_value, null_influence_Q, null_stake) = observed.rate(name), null.rate(name)
        rates[name] = Rate(
            observed=_interval(value, influence_Q, stake, units, z),
            null=_interval(null_value, null_influence_Q, null_stake, units, z),
            difference=_interval(value - null_value, influence_Q - null_influence_Q, min(stake, null_stake), units, z),
        )
    return rates


@dataclass(frozen=True, eq=False)
class _Rates:
    """Rates as functions of the sums over problems P, E and S. sums_QC: (Q, 3). total_C: their sums."""

    sums_QC: Floats
    total_C: Floats

    @classmethod
    def of(cls, sums_QC: Floats, units: Units) -> _Rates:
        return cls(sums_QC, units.number_D @ units.totals(sums_QC))

    def rate(self, name: str) -> tuple[float, Floats, float]:
        """A rate's value, the (Q,) influence of each problem on it, and how many problems are at stake.

        Influence: the rate's gradient times the problem's sums (linearisation).
        """
        value_of, stake_of = RATES[name]
        step_CC = np.eye(3) * STEP * self.total_C.sum()
        above, below = (value_of((self.total_C + sign * step_CC).T) for sign in (1.0, -1.0))
        with np.errstate(invalid="ignore", divide="ignore"):
            gradient_C = (above - below) / (2.0 * np.diag(step_CC))
        return float(value_of(self.total_C)), self.sums_QC @ gradient_C, float(stake_of(self.total_C))


def _interval(value: float, influence_Q: Floats, stake: float, units: Units, z: float) -> Interval:
    """Student's interval of a ratio of sums; none where fewer than MIN_AT_STAKE problems are at stake.

        value -+ t se,   df = min(D - 1, 2 C D / (D - C)) for D units, of which effectively C carry it

    df: Satterthwaite's 2 V^2 / var(V) of the variance V, with the fourth moment of the influences.
    """
    if not np.isfinite(value) or not np.isfinite(influence_Q).all() or stake < MIN_AT_STAKE:
        return Interval(np.asarray(value), np.asarray(np.nan), np.asarray(np.nan))
    totals_D1, count = units.totals(influence_Q[:, None]), units.count
    carry = float(carriers(totals_D1, units.number_D)[0])
    df = min(count - 1.0, 2.0 * carry * count / (count - carry) if carry < count else np.inf)
    se = np.sqrt(float(units.number_D @ totals_D1[:, 0] ** 2) * count / (count - 1.0))
    half = float(stdtrit(df, ndtr(z))) * se
    return Interval(np.asarray(value), np.asarray(max(value - half, -1.0)), np.asarray(min(value + half, 1.0)))


def _observed(sides: tuple[GroupCounts, GroupCounts], grids: Sequence[Grid], k: int) -> Floats:
    """(Q, 3): probabilities that k samples of each solve it for both, the trained model only, the base only."""
    of_runs = [values(grid, [k])[:, :, 0] for grid in grids]
    if share_bases(*sides):
        a_GQ, b_GQ = (group_means(values_UQ, run_groups(side)) for values_UQ, side in zip(of_runs, sides, strict=True))
    else:
        a_GQ, b_GQ = (side.run_share @ values_UQ for values_UQ, side in zip(of_runs, sides, strict=True))
    both_GQ = a_GQ * b_GQ
    return np.stack([np.atleast_2d(part).mean(axis=0) for part in (both_GQ, b_GQ - both_GQ, a_GQ - both_GQ)], axis=1)


def _null(sides: tuple[GroupCounts, GroupCounts], grid: Grid, k: int) -> Floats:
    """(Q, 3): the same for the base and itself sampled again, or another of its runs."""
    base = sides[0]
    a_UQ = values(grid, [k])[:, :, 0]
    a_GQ = group_means(a_UQ, run_groups(base))
    groups = len(a_GQ)
    if groups > 1 and not share_bases(*sides):
        both_Q = (a_GQ.sum(axis=0) ** 2 - (a_GQ**2).sum(axis=0)) / (groups * (groups - 1))
    else:
        n_UQ, c_UQ = grid
        both_Q = base.run_share @ squared_pass_at_k(n_UQ.ravel(), c_UQ.ravel(), [k]).reshape(n_UQ.shape)
    only_Q = base.run_share @ a_UQ - both_Q
    return np.stack([both_Q, only_Q, only_Q], axis=1)


def _retained(sums: Floats) -> Floats:
    both, _, lost = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return both / (both + lost)


def _discovered(sums: Floats) -> Floats:
    both, gained, _ = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return gained / (both + gained)


def _harmonic(sums: Floats) -> Floats:
    retained, discovered = _retained(sums), _discovered(sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 2.0 * retained * discovered / (retained + discovered)


def _net(sums: Floats) -> Floats:
    both, gained, lost = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return (gained - lost) / (both + gained + lost)


RATES: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "SRR": (_retained, lambda sums: min(sums[0], sums[2])),
    "NDR": (_discovered, lambda sums: min(sums[0], sums[1])),
    "SDS": (_harmonic, lambda sums: min(sums[1], sums[2])),
    "NSCR": (_net, lambda sums: sums[1] + sums[2]),
}
"""Each rate, and the number of problems at stake in it, as functions of the sums P, E and S."""
