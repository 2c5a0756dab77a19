"""Base model against trained models: paired differences with bands, a verdict per k, and the crossover."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.special import gammaincinv, ndtr

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import InputError
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.crossover import Crossover, crossover_ks, draw_differences, find_crossover
from rlvrscope.stats.curve import Curve, curve_with_band, noise_is_known
from rlvrscope.stats.intervals import ROUNDING, Interval, check_confidence, check_resamples, critical_z, p_values
from rlvrscope.stats.ledger import Ledger, support_ledger
from rlvrscope.stats.pairing import aligned, pair
from rlvrscope.stats.passk import check_ks
from rlvrscope.stats.spread import Spread
from rlvrscope.stats.standard_errors import NEW_PROBLEMS, THIS_SET, check_target
from rlvrscope.stats.training_runs import has_few_runs
from rlvrscope.stats.units import Mask

Name = TypeVar("Name", bound=Hashable)
EXPANDED, SHRUNK, UNCHANGED, UNDECIDED = "expanded", "shrunk", "unchanged", "undecided"
MIN_CARRIERS = 10.0
"""Effective number of problems behind a difference from which on its band covers: benchmarks/interval_coverage.py."""


@dataclass(frozen=True)
class Comparison:
    """Difference trained - base, paired on problems; (K,) arrays.

    base, trained: the two curves. difference: with its band at confidence `level`: with M comparisons, 1 - alpha / M.
    se, unpaired_se: standard error of the difference, and what it would be with different problems for each model.
    p_values: of no difference; over all ks at once if simultaneous. reliable: whether the band has nominal coverage.
    num_compared: problems with at least k samples in every run of both models. verdicts: "expanded", "shrunk",
    "unchanged" or "undecided" for each k. crossover, ledger: see `Crossover` and `support_ledger`. scope: what the
    verdicts apply to: "this checkpoint" for a model trained once; for several training runs "this objective", or "these
    checkpoints" with the target "this set".
    """

    ks: tuple[int, ...]
    base: Curve
    trained: Curve
    difference: Interval
    se: Floats
    unpaired_se: Floats
    p_values: Floats
    reliable: Mask
    num_compared: Ints
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
    at_least_k: bool = False,
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
        at_least_k=at_least_k,
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
    at_least_k: bool = False,
) -> dict[str, Comparison]:
    """Compare each trained model with the base, paired on problems; the verdicts of all models and ks are one family.

        d_k = mean over problems of (pass@k of trained - pass@k of base),   band d_k -+ half-width (`Spread.half_width`)

    simultaneous: the band holds at all ks at once (sup-t); else at each k alone.
    Verdict at k: "expanded" if the band is above 0; "shrunk" if it is below 0; "unchanged" if it is within `margin` of
    0 and reliable; else "undecided".

    Family: each of M models has a band at 1 - alpha / M, so that all bands hold together, and with them all verdicts
    (Bonferroni). Equal counts get equal bands. No change is claimed
    - where fewer problems moved, or with fewer training runs, than a two-sided sign test needs: m of them give no
      p-value below 2^(1 - m), so at .05 at least 6;
    - with the target "this set", where the band is not reliable.
    Where all problems moved alike there is no standard error: the band is then as wide as the problems unseen that may
    have moved otherwise (Poisson limit, `few_can_differ`); so it is where so few moved that this limit is within the
    margin. Neither holds for several training runs, of which the next may move other problems.

    trained: counts by name. ks: K whole numbers >= 1. rng: its draws are the only randomness. target: see
    `pass_at_k_curve`. ledger_k: see `support_ledger`. at_least_k: compare, at each k, the problems that have k samples
    in every run of both models; by default a k that some problem lacks is undefined.
    Raises InputError where the models' problems or bases differ (`shared_problems` keeps the common ones), for fewer
    than 2 problems, and for settings out of range.
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
        at_least_k=at_least_k,
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
    at_least_k: bool = False,
) -> dict[Name, Comparison]:
    """Compare each pair of (base, trained): the verdicts of all pairs and ks are one family of claims.

    For several models of one base (`compare_all`) or for groups of problems. Arguments and errors are those of
    `compare_all`; each of M pairs is judged at alpha / M.
    """
    check_confidence(confidence)
    check_target(target)
    ks = tuple(int(k) for k in check_ks(ks))
    if not pairs or not margin >= 0.0:
        raise InputError(f"give at least one trained model and a margin of at least 0; got {len(pairs)} and {margin}")
    alpha = 1.0 - confidence
    check_resamples(resamples, alpha / len(pairs) if simultaneous else 1.0)
    sides = {name: (base, aligned(base, trained, str(name))) for name, (base, trained) in pairs.items()}
    for_bands, for_crossings = rng.spawn(2)
    draws = _Draws(
        for_bands.standard_normal((resamples, len(ks))) if simultaneous else None,
        resamples,
        for_crossings.bit_generator.seed_seq,  # type: ignore[attr-defined]
    )
    settings = _Settings(ks, target, at_least_k, margin, confidence, alpha / len(pairs))
    return {name: _compared(*both, settings, draws, ledger_k) for name, both in sides.items()}


@dataclass(frozen=True)
class _Settings:
    """Settings of a family of comparisons. alpha: error rate of each one's claims."""

    ks: tuple[int, ...]
    target: str
    at_least_k: bool
    margin: float
    confidence: float
    alpha: float


@dataclass(frozen=True)
class _Draws:
    """Randomness of a family: the same numbers for each comparison, so that equal counts get equal bands.

    normal_RK: None for pointwise bands.
    """

    normal_RK: Floats | None
    resamples: int
    seed: np.random.SeedSequence


def _compared(
    base: GroupCounts, trained: GroupCounts, settings: _Settings, draws: _Draws, ledger_k: int | None
) -> Comparison:
    ks, target, alpha = settings.ks, settings.target, 1.0 - settings.confidence
    both = pair(base, trained, ks, target, settings.at_least_k)
    band = _band(base, trained, both.difference, settings, draws.normal_RK)
    curves = [
        curve_with_band(side, ks, spread, draws.normal_RK, alpha, target)
        for side, spread in ((base, both.base), (trained, both.trained))
    ]
    verdicts = _verdicts(band, settings)
    return Comparison(
        ks=ks,
        base=curves[0],
        trained=curves[1],
        difference=band.interval,
        se=both.difference.se_C,
        unpaired_se=np.hypot(both.base.se_C, both.trained.se_C),
        p_values=band.p_K,
        reliable=band.reliable_K,
        num_compared=_num_compared(base, trained, ks),
        verdicts=verdicts,
        crossover=_crossover(base, trained, verdicts, settings, draws),
        ledger=support_ledger(base, trained, ledger_k, confidence=settings.confidence),
        margin=settings.margin,
        confidence=settings.confidence,
        level=1.0 - settings.alpha,
        scope=verdict_scope(trained, target),
    )


def _num_compared(base: GroupCounts, trained: GroupCounts, ks: tuple[int, ...]) -> Ints:
    """(K,) problems with at least k samples in every run of both models."""
    fewest_P = np.minimum(base.grid[0].min(axis=0), trained.grid[0].min(axis=0))
    return (fewest_P[:, None] >= np.array(ks)).sum(axis=0)


def verdict_scope(trained: GroupCounts, target: str) -> str:
    """Scope of the verdicts: an objective only if training runs are resampled."""
    if len(trained.runs) == 1:
        return "this checkpoint"
    return "this objective" if target == NEW_PROBLEMS else "these checkpoints"


def sign_test_floor(moved: Floats | int) -> Floats:
    """Smallest p-value of a two-sided sign test on m problems, or training runs, that moved: 2^(1 - m)."""
    return np.minimum(np.exp2(1.0 - np.asarray(moved, dtype=np.float64)), 1.0)


def few_can_differ(moved_C: Floats, largest_share_C: Floats, alpha: float) -> Floats:
    """Upper Poisson limit, at confidence 1 - alpha, of the share of problems that differ, when m units did.

    m units of at most `largest_share` of the problems each: -log(alpha) largest_share for m = 0. No mean difference can
    exceed it.
    """
    return np.minimum(gammaincinv(moved_C + 1.0, 1.0 - alpha) * largest_share_C, 1.0)


@dataclass(frozen=True)
class _Band:
    """The difference's band at a comparison's own level. claimable_K: where it may be a claim if it excludes 0."""

    interval: Interval
    p_K: Floats
    reliable_K: Mask
    claimable_K: Mask


def _band(
    base: GroupCounts, trained: GroupCounts, difference: Spread, settings: _Settings, normal_RK: Floats | None
) -> _Band:
    """Band of the difference; from the Poisson limit where problems don't vary, or hardly any moved."""
    estimate_K, alpha = difference.estimate_C, settings.alpha
    maxima_R = None if normal_RK is None else difference.maxima(normal_RK)
    z = critical_z(maxima_R, alpha)
    half_K = difference.half_width(z)
    low_K, high_K = np.maximum(estimate_K - half_K, -1.0), np.minimum(estimate_K + half_K, 1.0)
    known_K = np.isfinite(low_K)
    if settings.target == THIS_SET:
        known_K &= difference.se_C > ROUNDING  # no noise seen is not certainty
        low_K, high_K = (np.where(known_K, end_K, np.nan) for end_K in (low_K, high_K))
        reliable_K = noise_is_known(base, settings.ks, difference) & noise_is_known(trained, settings.ks, difference)
        reliable_K &= known_K
        claimable_K, floor_K = reliable_K, np.zeros_like(estimate_K)
    else:
        few_runs = has_few_runs(base) or has_few_runs(trained)
        at_each_k = 2.0 * float(ndtr(-z))
        unseen_K = few_can_differ(np.zeros_like(estimate_K), difference.largest_share_C, at_each_k)
        alike_K = known_K & (difference.se_C <= ROUNDING)
        if len(difference.levels) > 1:  # several training runs: the next may move what these did not
            known_K &= ~alike_K
            alike_K &= False
        low_K = np.where(alike_K, estimate_K - unseen_K * (1.0 + estimate_K), np.where(known_K, low_K, np.nan))
        high_K = np.where(alike_K, estimate_K + unseen_K * (1.0 - estimate_K), np.where(known_K, high_K, np.nan))
        reliable_K = known_K & (alike_K | (difference.carriers_C >= MIN_CARRIERS)) & (not few_runs)
        at_most_K = few_can_differ(difference.moved_C, difference.largest_share_C, at_each_k)
        idle_K = known_K & ~reliable_K & (at_most_K <= settings.margin) & (len(difference.levels) == 1)
        low_K, high_K = np.where(idle_K, -at_most_K, low_K), np.where(idle_K, at_most_K, high_K)
        reliable_K |= idle_K
        floor_K = sign_test_floor(difference.moved_C)
        for level in difference.levels[1:]:
            floor_K = np.maximum(floor_K, sign_test_floor(len(level.factors_NC)))
        alike_size_K = difference.largest_share_C * difference.count_C <= 1.0 + ROUNDING
        claimable_K = known_K & (floor_K <= alpha) & (reliable_K | alike_size_K)  # one large cluster is no sign test
    p_K = np.maximum(p_values(difference.z_C, maxima_R), floor_K)
    return _Band(Interval(estimate_K, low_K, high_K), np.where(known_K, p_K, np.nan), reliable_K, claimable_K)


def _verdicts(band: _Band, settings: _Settings) -> tuple[str, ...]:
    low_K, high_K = band.interval.low, band.interval.high
    within_K = band.reliable_K & (low_K >= -settings.margin) & (high_K <= settings.margin)
    cases = [band.claimable_K & (low_K > 0.0), band.claimable_K & (high_K < 0.0), within_K]
    return tuple(map(str, np.select(cases, [EXPANDED, SHRUNK, UNCHANGED], default=UNDECIDED)))


def _crossover(
    base: GroupCounts, trained: GroupCounts, verdicts: Sequence[str], settings: _Settings, draws: _Draws
) -> Crossover:
    """Crossover after the last *expanded* k before the first *shrunk* one that follows."""
    certified = certified_range(settings.ks, verdicts)
    if certified is None:
        return Crossover(None, max(settings.ks), np.empty(0), None)
    last = min(max(settings.ks), int(min(base.n.max(), trained.n.max())))  # larger ks are undefined
    ks_A = np.union1d(settings.ks, crossover_ks(last))
    ks_A = ks_A[(ks_A > certified[0]) & (ks_A <= last)]
    difference = pair(base, trained, ks_A.tolist(), settings.target, settings.at_least_k).difference
    draws_RA = draw_differences(difference, draws.resamples, np.random.default_rng(draws.seed))
    return find_crossover(ks_A, difference.estimate_C, draws_RA, certified)


def certified_range(ks: Sequence[int], verdicts: Sequence[str]) -> tuple[int, int] | None:
    """(last expanded k before the first shrunk one that follows an expanded one, and that one), or None."""
    gain = None
    for k, verdict in sorted(zip(ks, verdicts, strict=True)):
        if verdict == EXPANDED:
            gain = k
        elif verdict == SHRUNK and gain is not None:
            return gain, k
    return None
