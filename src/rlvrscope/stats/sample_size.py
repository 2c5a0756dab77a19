"""Sample sizes: problems and samples needed to detect a difference in pass@k, estimated from a pilot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln, ndtri, stdtrit

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.stats.intervals import check_confidence
from rlvrscope.stats.pairing import aligned
from rlvrscope.stats.passk import pass_at_k, squared_pass_at_k

MAX_K = 1_000_000
DEFAULT_CORRELATION = 0.9
"""Assumed between two models' pass@k over problems if the pilot has one model."""


@dataclass(frozen=True)
class Option:
    """One way to detect the difference: `samples` of each of `problems`, from each model."""

    samples: int
    problems: int

    @property
    def total(self) -> int:
        """Total samples of one model."""
        return self.samples * self.problems


@dataclass(frozen=True)
class Plan:
    """Sample sizes at which a comparison at a single k detects `difference` with probability `power`.

    options: by samples per problem. spread: standard deviation over problems of the true difference; measured at
    `spread_k` from a pilot of both models, else spread_k is None and `correlation` is assumed between their pass@k.
    detectable: the difference that the pilot's number of problems would detect, for each of options' samples.
    cluster_factor: see `cluster_factor`.
    """

    k: int
    difference: float
    confidence: float
    power: float
    correlation: float | None
    spread: float
    spread_k: int | None
    options: tuple[Option, ...]
    detectable: tuple[float, ...]
    pilot_problems: int
    cluster_factor: float


def plan(
    pilot: GroupCounts,
    difference: float,
    k: int,
    trained: GroupCounts | None = None,
    *,
    confidence: float = 0.95,
    power: float = 0.8,
    correlation: float = DEFAULT_CORRELATION,
) -> Plan:
    """Problems and samples needed to detect a difference in pass@k.

        P >= (t_{1 - alpha/2} + t_power)^2 (factor spread^2 + noise_base(n) + noise_trained(n)) / difference^2

    t: Student's quantiles with P - 1 degrees of freedom, or one less than the clusters. factor: what clusters of
    problems add (`cluster_factor`); P is then in whole clusters of the pilot's mean size. P is at least the number that
    a sign test needs to claim anything, 6 at 95 %.

    A Beta distribution fitted to the pilot's success rates (beta-binomial likelihood, as in arXiv 2510.05197) gives the
    sampling noise at any n, also for k beyond the pilot's n. spread^2: variance over problems of the true difference;
    from pilots of both models it is measured (plus a standard error) at k, or at half of their samples if that is
    smaller; from one it is 2 (1 - correlation) times the variance of that model's pass@k.

    Raises InputError for a difference outside (0, 1), k below 1, a pilot of fewer than 3 problems or without samples.
    """
    check_confidence(confidence)
    if not 1.0 - confidence < power < 1.0:
        raise InputError(f"power must be between 1 - confidence, the rate of false positives, and 1; got {power}")
    if not 0.0 < difference < 1.0 or not 1 <= k <= MAX_K or k != int(k) or not -1.0 <= correlation <= 1.0:
        raise InputError(
            f"a plan needs a difference between 0 and 1, a whole k from 1 to 1,000,000 and a correlation from -1 to 1; "
            f"got {difference}, {k} and {correlation}"
        )
    sides = [pilot, pilot if trained is None else aligned(pilot, trained, "the second pilot")]
    shapes = [fit_beta(side) for side in sides]
    if trained is None:
        spread_k, spread_squared = None, 2.0 * (1.0 - correlation) * _variance(*shapes[0], k)
    else:
        spread_k = _measurable_k(sides, k)
        spread_squared = _measured_spread(sides[0], sides[1], spread_k)
    samples = [k * 2**step for step in range(5)]
    factor = cluster_factor(sides, shapes[0])
    clusters = next((side.clusters for side in sides if side.clusters is not None), None)
    size = 1.0 if clusters is None else len(clusters) / (int(clusters.max()) + 1)
    per_problem = [factor * spread_squared + sum(_noise(*shape, n, k) for shape in shapes) for n in samples]
    options = tuple(
        Option(n, _problems_needed(variance / difference**2, confidence, power, size))
        for n, variance in zip(samples, per_problem, strict=True)
    )
    problems = len(pilot.problems)
    reach = _reach(max(2, round(problems / size)), confidence, power)
    return Plan(
        k=k,
        difference=difference,
        confidence=confidence,
        power=power,
        correlation=correlation if trained is None else None,
        spread=float(np.sqrt(spread_squared)),
        spread_k=spread_k,
        options=options,
        detectable=tuple(float(reach * np.sqrt(variance / problems)) for variance in per_problem),
        pilot_problems=problems,
        cluster_factor=factor,
    )


def cluster_factor(sides: Sequence[GroupCounts], shape: tuple[float, float]) -> float:
    """Factor by which clusters of problems raise spread^2, the variance of a mean less its sampling noise.

        1 + (variance of one problem from cluster totals - from single problems) / spread^2 at k = 1

    measured on the pilot, on the difference where there are two; 1 without clusters, never less. Sampling noise is
    independent within a cluster, so it cancels in the numerator. shape: Beta distribution of the base's rates.
    """
    clusters_P = next((side.clusters for side in sides if side.clusters is not None), None)
    if clusters_P is None:
        return 1.0
    rates = [side.pooled[1] / side.pooled[0] for side in sides]
    both = sides[0] is not sides[1]
    residual_P = rates[1] - rates[0] if both else rates[0]
    residual_P = residual_P - residual_P.mean()
    total_D = np.bincount(clusters_P, weights=residual_P)
    if len(total_D) < 2:
        raise InputError("a pilot with clusters needs at least 2 of them")
    by_cluster = (total_D**2).sum() * len(total_D) / (len(total_D) - 1) / len(residual_P)
    spread_squared = _measured_spread(sides[0], sides[1], 1) if both else _variance(*shape, 1)
    return 1.0 + max(0.0, float(by_cluster - residual_P.var(ddof=1))) / max(spread_squared, 1e-12)


def _reach(units: int, confidence: float, power: float) -> float:
    """Difference that a t test detects, in standard errors of a mean of this many problems, or clusters of them."""
    return float(stdtrit(units - 1.0, 1.0 - (1.0 - confidence) / 2.0) + stdtrit(units - 1.0, power))


def _problems_needed(ratio: float, confidence: float, power: float, size: float) -> int:
    """Fewest P, in whole clusters, with P >= reach^2 ratio, and clusters enough for a sign test, or nothing is claimed.

    ratio: variance of one problem over the squared difference. size: problems in a cluster, 1 without.
    """
    normal = float(ndtri((1.0 + confidence) / 2.0) + ndtri(power))
    units = max(2, int(np.ceil(1.0 - np.log2(1.0 - confidence))), int(np.ceil(normal**2 * ratio / size)))
    while units * size < _reach(units, confidence, power) ** 2 * ratio:
        units += 1
    return int(np.ceil(units * size))


def fit_beta(counts: GroupCounts) -> tuple[float, float]:
    """(a, b) of a Beta distribution of success rates over problems, by beta-binomial likelihood; runs pooled.

    A weak prior (log a and log b normal around 0, standard deviation 3) keeps it finite. Raises InputError for fewer
    than 3 problems, one without samples, or samples that are all right or all wrong.
    """
    from scipy.optimize import minimize  # late: slow to import, and only plans need it

    n_P, c_P = counts.pooled
    if c_P.sum() in (0, n_P.sum()):
        raise InputError("a pilot needs some right and some wrong samples: with all alike nothing can be predicted")
    if len(n_P) < 3 or (n_P == 0).any():
        raise InputError(f"a pilot needs at least 3 problems with samples; got {int((n_P > 0).sum())} of {len(n_P)}")

    (n_D, c_D), times_D = np.unique([n_P, c_P], axis=1, return_counts=True)

    def loss(logs: Floats) -> float:
        a, b = np.exp(logs)
        return float(-(times_D * (betaln(a + c_D, b + n_D - c_D) - betaln(a, b))).sum() + (logs**2).sum() / 18.0)

    fit = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9, "maxiter": 2000})
    a, b = np.exp(fit.x)
    return float(a), float(b)


def _missed(a: float, b: float, k: ArrayLike) -> Floats:
    """E (1 - p)^k for p ~ Beta(a, b)."""
    return np.exp(betaln(a, b + np.asarray(k, dtype=np.float64)) - betaln(a, b))


def _variance(a: float, b: float, k: int) -> float:
    """Variance over problems of the true pass@k."""
    return float(max(_missed(a, b, 2 * k) - _missed(a, b, k) ** 2, 0.0))


def _noise(a: float, b: float, n: int, k: int) -> float:
    """Mean over problems of the variance of the unbiased pass@k from n samples.

    Two random subsets of k of n samples share j with hypergeometric probability; both are all wrong with probability
    (1 - p)^(2k - j). Its mean less that of (1 - p)^(2k) is the variance (Hoeffding 1948).
    """
    from scipy.stats import hypergeom

    shared = np.arange(max(0, 2 * k - n), k + 1)
    return float(hypergeom.pmf(shared, n, k, k) @ _missed(a, b, 2.0 * k - shared) - _missed(a, b, 2 * k))


def _measurable_k(sides: list[GroupCounts], k: int) -> int:
    fewest = min(int(side.pooled[0].min()) for side in sides)
    if fewest < 2:
        raise InputError("two pilots need at least 2 samples of every problem each; sample more")
    return min(k, fewest // 2)


def _measured_spread(base: GroupCounts, trained: GroupCounts, at: int) -> float:
    """Variance over problems of the true difference, plus one standard error, as a pilot may miss the variance.

    Unbiased: the models' samples are independent, so a b estimates the product of their pass@k.
    """
    (a_P, aa_P), (b_P, bb_P) = (_with_square(side, at) for side in (base, trained))
    squared_P = aa_P + bb_P - 2.0 * a_P * b_P
    error = squared_P.std(ddof=1) / np.sqrt(len(squared_P))
    return float(max(squared_P.mean() - (b_P - a_P).mean() ** 2, 0.0) + error)


def _with_square(counts: GroupCounts, k: int) -> tuple[Floats, Floats]:
    n_P, c_P = counts.pooled
    return pass_at_k(n_P, c_P, [k])[:, 0], squared_pass_at_k(n_P, c_P, [k])[:, 0]
