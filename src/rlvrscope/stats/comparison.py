"""Base model against trained models: paired differences with bands, a verdict per k, and the crossover."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import InputError
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.curve import Curve, curve_with_band, noise_is_known
from rlvrscope.stats.intervals import (
    ROUNDING,
    Interval,
    check_confidence,
    check_resamples,
    critical_values,
    maxima,
    p_values,
)
from rlvrscope.stats.ledger import Ledger, support_ledger
from rlvrscope.stats.pairing import Pair, aligned, pair
from rlvrscope.stats.passk import check_ks
from rlvrscope.stats.standard_errors import NEW_PROBLEMS, THIS_SET, Spread, check_target
from rlvrscope.stats.training_runs import has_few_runs

Name = TypeVar("Name", bound=Hashable)
MAX_KS = 1024
"""Grid of the crossover: every k up to here; beyond, as many ks evenly spaced in log k."""


@dataclass(frozen=True)
class Crossover:
    """Smallest k at which the base's pass@k is at least the trained model's.

    k: in the data, within the `certified` range; None: without one. draws_R: in each bootstrap resample; inf: beyond
    `up_to`. certified: (last k called expanded, first later k called shrunk), read off the simultaneous band: the
    curves cross between them. None: the band certifies no crossing.
    """

    k: int | None
    up_to: int
    draws_R: Floats
    certified: tuple[int, int] | None = None

    @property
    def never(self) -> float:
        """Share of resamples in which the curves do not cross up to `up_to`."""
        return float(np.isinf(self.draws_R).mean())

    def certify(self, ks: Sequence[int], verdicts: Sequence[str]) -> Crossover:
        """The crossover with what the verdicts certify, and without a k that they do not."""
        gains = [k for k, verdict in zip(ks, verdicts, strict=True) if verdict == EXPANDED]
        losses = [k for k, verdict in zip(ks, verdicts, strict=True) if verdict == SHRUNK]
        before = [gain for gain in gains if losses and gain < losses[0]]
        if not before:
            return replace(self, k=None)
        within = self.k is not None and before[-1] < self.k <= losses[0]
        return replace(self, k=self.k if within else None, certified=(before[-1], losses[0]))

    def quantile(self, share: float) -> int | None:
        """Quantile of the resamples; None: beyond `up_to`."""
        k = float(np.quantile(self.draws_R, share, method="inverted_cdf"))
        return None if np.isinf(k) else int(k)

    def interval(self, confidence: float) -> tuple[int | None, int | None]:
        """Central `confidence` interval of the resamples; None: beyond `up_to`."""
        tail = (1.0 - confidence) / 2.0
        return self.quantile(tail), self.quantile(1.0 - tail)


def crossover_ks(max_k: int) -> Ints:
    """Grid of ks on which a crossover up to `max_k` is searched."""
    if max_k <= MAX_KS:
        return np.arange(1, max_k + 1)
    return np.unique(np.geomspace(1, max_k, MAX_KS).round().astype(np.int64))


def find_crossover(ks_K: Ints, difference_K: Floats, difference_RK: Floats) -> Crossover:
    """Crossover from trained - base at rising ks, and its draws; the first undefined (NaN) k ends the search."""
    known_K = ~np.isnan(difference_K)
    below_K = known_K & (difference_K <= ROUNDING)
    below_RK = known_K & (difference_RK <= ROUNDING)
    draws_R = np.where(below_RK.any(axis=1), ks_K[below_RK.argmax(axis=1)], np.inf)
    k = int(ks_K[below_K.argmax()]) if below_K.any() else None
    return Crossover(k, int(ks_K[known_K].max(initial=0)), draws_R)


EXPANDED, SHRUNK, UNCHANGED, UNDECIDED = "expanded", "shrunk", "unchanged", "undecided"
MIN_CARRIERS = 10.0
"""Effective number of problems behind a difference from which on its band covers: benchmarks/interval_coverage.py."""


@dataclass(frozen=True)
class Comparison:
    """Difference trained - base, paired on problems; (K,) arrays.

    base, trained: the two curves. difference: with its band at confidence `level`, which is `confidence` after the
    correction for the number of comparisons. se, unpaired_se: standard error of the difference, and what it would
    be with different problems for each model. p_values: of no difference; over all ks at once if simultaneous.
    reliable: whether the band has its nominal coverage. verdicts: "expanded", "shrunk", "unchanged" or "undecided" for
    each k. crossover, ledger: see `Crossover` and `support_ledger`. scope: what the verdicts apply to: "this
    checkpoint" for a model trained once; for several training runs "this objective", or "these checkpoints" with the
    target "this set".
    """

    ks: tuple[int, ...]
    base: Curve
    trained: Curve
    difference: Interval
    se: Floats
    unpaired_se: Floats
    p_values: Floats
    reliable: NDArray[np.bool_]
    verdicts: tuple[str, ...]
    crossover: Crossover
    ledger: Ledger
    margin: float
    confidence: float
    level: float
    scope: str


def compare(
    base: GroupCounts,
    trained: GroupCounts,
    ks: Sequence[int],
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    target: str = NEW_PROBLEMS,
    simultaneous: bool = True,
    margin: float = 0.01,
    ledger_k: int | None = None,
    resamples: int = 10_000,
) -> Comparison:
    """Compare one trained model with its base: `compare_all` for a single model, with the same arguments and errors.

    >>> base, trained = GroupCounts("abc", [8, 8, 8], [1, 2, 0]), GroupCounts("abc", [8, 8, 8], [4, 5, 0])
    >>> compare(base, trained, [1, 8], rng=np.random.default_rng(0)).verdicts
    ('undecided', 'undecided')
    """
    name = "the trained model"
    comparisons = compare_all(
        base,
        {name: trained},
        ks,
        rng=rng,
        confidence=confidence,
        target=target,
        simultaneous=simultaneous,
        margin=margin,
        ledger_k=ledger_k,
        resamples=resamples,
    )
    return comparisons[name]


def compare_all(
    base: GroupCounts,
    trained: Mapping[str, GroupCounts],
    ks: Sequence[int],
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    target: str = NEW_PROBLEMS,
    simultaneous: bool = True,
    margin: float = 0.01,
    ledger_k: int | None = None,
    resamples: int = 10_000,
) -> dict[str, Comparison]:
    """Compare each trained model with the base, paired on problems; the verdicts of all models and ks are one family.

        d_k = mean over problems of (pass@k of trained - pass@k of base),   band d_k -+ t se_k

    t: Student's quantile at the simultaneous (sup-t) level over all ks, or pointwise with simultaneous=False.
    Verdict at k: "expanded" if the band is above 0; "shrunk" if it is below 0; "unchanged" if it is within `margin` of
    0 and reliable, or, with a single training run, if so few problems differ that the mean can't exceed the margin
    (Poisson limit); else "undecided". Where all problems moved alike, the band has no standard error; it is then as
    wide as the problems unseen that may have moved otherwise (Poisson limit, `few_can_differ`).

    Family: M models start at alpha / M; once all ks of a model are decided, the others share alpha (`holm_levels`);
    "unchanged" is always tested at alpha / M. A change also needs enough problems for a sign test: m problems that
    moved give no p-value below 2^(1 - m), so at .05 at least 6 must move; at least MIN_RUNS training runs, or one; and
    with the target "this set" a reliable band. Training runs are resampled too: bases, then seeds.

    trained: counts by name. ks: K whole numbers >= 1. rng: its draws are the only randomness. target: see
    `pass_at_k_curve`. ledger_k: see `support_ledger`.
    Raises InputError where the models' problems differ (`shared_problems` keeps the common ones), for fewer than 2
    problems, and for settings out of range.
    """
    return compare_pairs(
        {name: (base, counts) for name, counts in trained.items()},
        ks,
        rng=rng,
        confidence=confidence,
        target=target,
        simultaneous=simultaneous,
        margin=margin,
        ledger_k=ledger_k,
        resamples=resamples,
    )


def compare_pairs(
    pairs: Mapping[Name, tuple[GroupCounts, GroupCounts]],
    ks: Sequence[int],
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    target: str = NEW_PROBLEMS,
    simultaneous: bool = True,
    margin: float = 0.01,
    ledger_k: int | None = None,
    resamples: int = 10_000,
) -> dict[Name, Comparison]:
    """Compare each pair of (base, trained): the verdicts of all pairs and ks are one family of claims.

    For several models of one base (`compare_all`) or for groups of problems. Arguments and errors are those of
    `compare_all`.
    """
    check_confidence(confidence)
    check_target(target)
    ks = tuple(int(k) for k in check_ks(ks))
    if not pairs or not margin >= 0.0:
        raise InputError(f"give at least one trained model and a margin of at least 0; got {len(pairs)} and {margin}")
    alpha = 1.0 - confidence
    check_resamples(resamples, alpha / len(pairs) if simultaneous else 1.0)
    bases = {name: base for name, (base, _) in pairs.items()}
    sides = {name: aligned(base, trained, str(name)) for name, (base, trained) in pairs.items()}
    draws = rng.spawn(1)[0]
    own = {name: copy.deepcopy(draws) for name in sides}  # the same for all: equal counts get equal bands
    tests = {
        name: _Test.of(bases[name], side, ks, target, simultaneous, resamples, own[name])
        for name, side in sides.items()
    }
    levels = holm_levels({name: test.p_K for name, test in tests.items()}, alpha)
    verdicts = {name: test.verdicts(levels[name], alpha / len(tests), margin) for name, test in tests.items()}
    return {
        name: Comparison(
            ks=ks,
            base=test.curve(bases[name], test.pair.base, test.pair.base_RK, alpha),
            trained=test.curve(sides[name], test.pair.trained, test.pair.trained_RK, alpha),
            difference=test.interval(levels[name]),
            se=test.pair.difference.se_C,
            unpaired_se=np.hypot(test.pair.base.se_C, test.pair.trained.se_C),
            p_values=test.p_K,
            reliable=test.reliable_K,
            verdicts=verdicts[name],
            crossover=test.crossover.certify(ks, verdicts[name]),
            ledger=support_ledger(
                bases[name], sides[name], ledger_k, rng=own[name], confidence=confidence, resamples=resamples
            ),
            margin=margin,
            confidence=confidence,
            level=1.0 - levels[name],
            scope=verdict_scope(sides[name], target),
        )
        for name, test in tests.items()
    }


def verdict_scope(trained: GroupCounts, target: str) -> str:
    """Scope of the verdicts: an objective only if training runs are resampled."""
    if len(trained.runs) == 1:
        return "this checkpoint"
    return "this objective" if target == NEW_PROBLEMS else "these checkpoints"


def holm_levels(p_values: Mapping[Name, Floats], alpha: float) -> dict[Name, float]:
    """The alpha at which each of M comparisons is tested, so that all their ks together keep alpha.

    alpha / M at first. Comparisons with a claim at every k leave, and the others share alpha, until none leaves. With
    simultaneous bands, whose p-values (K,) are for all ks at once, a false claim is made with probability alpha at
    most: until the first one, comparisons with a true null never leave, so each is tested at alpha over their number
    at most. Undefined ks (NaN) claim nothing. Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    largest = {name: float(np.nanmax(p_K)) if np.isfinite(p_K).any() else 1.0 for name, p_K in p_values.items()}
    levels: dict[Name, float] = {}
    while len(levels) < len(largest):
        level = alpha / (len(largest) - len(levels))
        leaving = [name for name, p in largest.items() if name not in levels and p <= level]
        levels |= dict.fromkeys(leaving or [name for name in largest if name not in levels], level)
    return levels


def sign_test_floor(moved_C: Floats) -> Floats:
    """Smallest p-value of a two-sided sign test on m problems that moved: 2^(1 - m)."""
    return np.minimum(np.exp2(1.0 - moved_C), 1.0)


def few_can_differ(moved_C: Floats, largest_share: float, alpha: float) -> Floats:
    """Upper Poisson limit, at confidence 1 - alpha, of the share of problems that differ, when m units did.

    largest_share: the share of problems in the largest unit (1 / P without clusters): -log(alpha) / P for m = 0. No
    mean difference can exceed it. NaN where m is unknown.
    """
    known_C = np.where(np.isfinite(moved_C), moved_C, np.nan)
    return np.minimum(gammaincinv(known_C + 1.0, 1.0 - alpha) * largest_share, 1.0)


@dataclass(frozen=True)
class _Test:
    """Test of one trained model against the base, before Holm's correction sets its level."""

    ks: tuple[int, ...]
    target: str
    pair: Pair
    maxima_R: Floats | None
    p_K: Floats
    reliable_K: NDArray[np.bool_]
    few_runs: bool
    single_run: bool
    crossover: Crossover

    @classmethod
    def of(
        cls,
        base: GroupCounts,
        trained: GroupCounts,
        ks: tuple[int, ...],
        target: str,
        simultaneous: bool,
        resamples: int,
        rng: np.random.Generator,
    ) -> _Test:
        all_ks = np.union1d(ks, crossover_ks(max(ks)))
        pair_A = pair(base, trained, all_ks.tolist(), target, resamples, rng)
        draws_RA = pair_A.trained_RK - pair_A.base_RK
        index_K = np.searchsorted(all_ks, ks)
        pair_K = pair_A.at(index_K.tolist())
        difference = pair_K.difference.without_chance_agreement(MIN_CARRIERS)
        pair_K = replace(pair_K, difference=difference)
        maxima_R = maxima(draws_RA[:, index_K], difference.estimate_C) if simultaneous else None
        with np.errstate(divide="ignore", invalid="ignore"):
            score_K = np.where(difference.estimate_C == 0.0, 0.0, difference.estimate_C / difference.se_C)
        few_runs = target != THIS_SET and (has_few_runs(base) or has_few_runs(trained))
        if target == THIS_SET:
            reliable_K = noise_is_known(base, ks, difference) & noise_is_known(trained, ks, difference)
        else:
            reliable_K = (difference.se_C > ROUNDING) & (difference.carriers_C >= MIN_CARRIERS)
            reliable_K &= not few_runs
        p_K = np.maximum(p_values(score_K, maxima_R, difference.df_C), sign_test_floor(difference.moved_C))
        crossover = find_crossover(all_ks, pair_A.difference.estimate_C, draws_RA)
        single_run = len(base.runs) == len(trained.runs) == 1
        if few_runs:
            p_K = np.where(np.isnan(p_K), np.nan, 1.0)
        return cls(ks, target, pair_K, maxima_R, p_K, reliable_K, few_runs, single_run, crossover)

    def interval(self, alpha: float) -> Interval:
        difference = self.pair.difference
        estimate_K = difference.estimate_C
        half_K = critical_values(self.maxima_R, difference.df_C, alpha) * difference.se_C
        low_K, high_K = estimate_K - half_K, estimate_K + half_K
        alike_K = difference.se_C <= ROUNDING
        unseen_K = few_can_differ(np.where(alike_K, 0.0, np.nan), self.pair.largest_share, alpha)
        low_K = np.where(alike_K, estimate_K - unseen_K * (1.0 + estimate_K), low_K)
        high_K = np.where(alike_K, estimate_K + unseen_K * (1.0 - estimate_K), high_K)
        return Interval(estimate_K, np.maximum(low_K, -1.0), np.minimum(high_K, 1.0))

    def verdicts(self, alpha: float, alpha_unchanged: float, margin: float) -> tuple[str, ...]:
        difference = self.pair.difference
        band, strict = self.interval(alpha), self.interval(alpha_unchanged)
        claimable_K = (sign_test_floor(difference.moved_C) <= alpha) & (not self.few_runs)
        if self.target == THIS_SET:
            claimable_K &= self.reliable_K
        idle_K = few_can_differ(difference.moved_C, self.pair.largest_share, alpha_unchanged) <= margin
        idle_K &= np.isfinite(difference.estimate_C) & self.single_run
        within_K = idle_K | (self.reliable_K & (strict.low >= -margin) & (strict.high <= margin))
        cases = [claimable_K & (band.low > 0.0), claimable_K & (band.high < 0.0), within_K]
        return tuple(map(str, np.select(cases, [EXPANDED, SHRUNK, UNCHANGED], default=UNDECIDED)))

    def curve(self, counts: GroupCounts, spread: Spread, draws_RK: Floats, alpha: float) -> Curve:
        maxima_R = None if self.maxima_R is None else maxima(draws_RK, spread.estimate_C)
        return curve_with_band(counts, self.ks, spread, maxima_R, alpha, self.target, self.pair.units)
