"""Coverage of intervals of the mean paired difference, on simulated bases, seeds and prompts.

Each base has its own success rates on the same prompts. Two arms raise pass@1 along a sharpening path: the first takes
more mass from hard prompts than the second. How much varies between bases and between seeds. With four or more bases an
interval generalises to new bases: the truth is the mean over 200 of them. With fewer it applies to these bases: the
truth is their mean over 40 seeds. Both truths use 2,000 other prompts.

    python benchmarks/frontier.py --replications 1000
"""

from __future__ import annotations

import argparse
import itertools
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import expit, stdtrit

from rlvrscope.arrays import Floats
from rlvrscope.seeding import generator
from rlvrscope.stats import resample_weights
from rlvrscope.stats.base_means import MIN_BASES, BaseMeans
from rlvrscope.stats.frontier import GRID, mean_difference
from rlvrscope.stats.matching import TrainingRun, matched

K, PROMPTS, SEEDS, EVALUATIONS, RESAMPLES = 256, 200, 2, 11, 400
VARIES = {"bases alike": (0.0, 0.15), "bases differ": (0.25, 0.15), "bases differ much": (0.8, 0.15)}
"""Standard deviations of an arm's effect on hard prompts, in final logits: (between bases, between seeds)."""
HARM = (-1.5, -0.7)
"""Mean effect of each arm on the logits of hard prompts."""
BASES = (2, 3, 4, 5)
SINCE = 0.02
"""The smallest declared gain: ranges start there."""
TRUE_PROMPTS, TRUE_SEEDS, TRUE_BASES = 2000, 40, 200


Arms = tuple[list[TrainingRun], list[TrainingRun]]


@dataclass(frozen=True)
class Base:
    """Shift of its prompts' logits, and the effect of each arm on those of hard prompts."""

    name: str
    shift: float
    harm_A: tuple[float, ...]


def drawn_bases(varies: str, number: int, rng: np.random.Generator) -> list[Base]:
    between, _ = VARIES[varies]
    return [
        Base(str(base), rng.normal(0.0, 0.3), tuple(harm + rng.normal(0.0, between) for harm in HARM))
        for base in range(number)
    ]


def study(varies: str, bases: list[Base], seeds: int, prompts: int, rng: np.random.Generator, longer: int = 1) -> Arms:
    """Two arms on each base, with seeds; pass@1 rises by about .1, more with longer training."""
    _, between_seeds = VARIES[varies]
    common_P = rng.normal(-0.5, 2.5, prompts)
    along_S = np.linspace(0.0, longer, (EVALUATIONS - 1) * longer + 1)
    arms: Arms = ([], [])
    for base in bases:
        start_P = common_P + base.shift + rng.normal(0.0, 0.7, prompts)
        for arm, harm in zip(arms, base.harm_A, strict=True):
            for _ in range(seeds):
                pull = harm + rng.normal(0.0, between_seeds)
                moved_P = 1.4 + pull * expit(-1.5 * (start_P + 3.0)) * 3.0 + rng.normal(0.0, 0.7, prompts)
                wobble_S1 = rng.normal(0.0, 0.03, (len(along_S), 1)) * (along_S[:, None] > 0.0)
                arm.append(TrainingRun(base.name, expit(start_P + along_S[:, None] * moved_P + wobble_S1)))
    return arms


def truth(varies: str, bases: list[Base], seeds: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """(ends of ranges, the mean difference over each): of these bases, with many prompts, trained beyond the ranges."""
    gain_G, equal_1P = np.linspace(SINCE, 0.16, 141), np.full((1, TRUE_PROMPTS), 1.0 / TRUE_PROMPTS)
    gap_G = np.zeros(len(gain_G))
    for base in bases:
        arms = study(varies, [base], seeds, TRUE_PROMPTS, rng, longer=3)
        assert min(run.reach for arm in arms for run in arm) > gain_G[-1]
        first_G, second_G = (sum(matched(run, K, gain_G, equal_1P)[0] for run in arm) / seeds for arm in arms)
        gap_G += (second_G - first_G) / len(bases)
    areas_G = np.cumsum((gap_G[1:] + gap_G[:-1]) / 2.0)
    return gain_G[1:], areas_G / np.arange(1, len(gain_G))


@cache
def truth_of_all(varies: str) -> tuple[Floats, Floats]:
    rng = generator(0, "truth", varies)
    return truth(varies, drawn_bases(varies, TRUE_BASES, rng), 1, rng)


def mean_until(run: TrainingRun, upto: float, weights_RP: Floats) -> Floats:
    """(R,) pass@k averaged over gains from SINCE to `upto`."""
    kth_RG = matched(run, K, np.linspace(SINCE, upto, GRID), weights_RP)
    return (kth_RG[:, 1:] + kth_RG[:, :-1]).mean(axis=1) / 2.0


def welch(means: BaseMeans) -> tuple[float, float]:
    """Standard errors over prompts and over bases added, degrees of freedom by Welch and Satterthwaite."""
    bases, prompts = len(means.bases), PROMPTS - 1
    squares = np.array([means.draws_RB.mean(axis=1).var(), means.value_B.var(ddof=1) / bases])
    df = squares.sum() ** 2 / (squares**2 / [prompts, bases - 1]).sum()
    half = float(stdtrit(df, 0.975) * np.sqrt(squares.sum()))
    return float(means.estimate) - half, float(means.estimate) + half


def percentile(draws_ABSR: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """The hierarchical percentile bootstrap: bases, seeds within each arm and base, prompts."""
    bases = draws_ABSR.shape[1]
    picked_RB = rng.integers(0, bases, (RESAMPLES, bases))
    rows, sides = np.arange(RESAMPLES)[:, None], []
    for draws_BSR in draws_ABSR:
        seeds_RBS = rng.integers(0, SEEDS, (RESAMPLES, bases, SEEDS))
        draws_RBS = np.moveaxis(draws_BSR, 2, 0)[rows, picked_RB]
        sides.append(np.take_along_axis(draws_RBS, seeds_RBS, axis=2).mean(axis=(1, 2)))
    low, high = np.quantile(sides[1] - sides[0], [0.025, 0.975])
    return float(low), float(high)


def one_replication(varies: str, bases: int, number: int) -> list[tuple[bool, float]]:
    """(covered, width) of each method."""
    rng = generator(1, varies, bases, number)
    drawn = drawn_bases(varies, bases, rng)
    arms, weights_RP = study(varies, drawn, SEEDS, PROMPTS, rng), resample_weights(PROMPTS, RESAMPLES, rng)
    difference = mean_difference(arms[1], arms[0], K, weights_RP, SINCE)
    assert difference is not None
    draws_ABSR = np.array([[mean_until(run, difference.upto, weights_RP) for run in arm] for arm in arms])
    upto_G, true_G = truth_of_all(varies) if bases >= MIN_BASES else truth(varies, drawn, TRUE_SEEDS, rng)
    assert difference.upto <= upto_G[-1]
    true = np.interp(difference.upto, upto_G, true_G)
    interval = difference.means.interval()
    ends = [
        (float(interval.low), float(interval.high)),
        welch(difference.means),
        percentile(draws_ABSR.reshape(2, bases, SEEDS, RESAMPLES), rng),
    ]
    return [(bool(low <= true <= high), high - low) for low, high in ends]


def cell(varies: str, bases: int, replications: int) -> Floats:
    """(replications, methods, 2): covered, and width."""
    return np.array([one_replication(varies, bases, number) for number in range(replications)], dtype=np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    started = time.monotonic()
    heads = (
        "",
        "bases",
        "as reported",
        "Welch",
        "percentile",
        "median width: as reported",
        "Welch",
        "percentile",
    )
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    with ProcessPoolExecutor(args.workers) as pool:
        cases = list(itertools.product(VARIES, BASES))
        futures = [pool.submit(cell, varies, bases, args.replications) for varies, bases in cases]
        for (varies, bases), future in zip(cases, futures, strict=True):
            result_NMC = future.result()
            coverage, widths = result_NMC[:, :, 0].mean(axis=0), np.median(result_NMC[:, :, 1], axis=0)
            cells = [*(f"{share:.3f}" for share in coverage), *(f"{width:.3f}" for width in widths)]
            print(f"| {varies} | {bases} | {' | '.join(cells)} |", flush=True)
    print(f"\n{args.replications} replications, {time.monotonic() - started:.0f} s with {args.workers} workers")


if __name__ == "__main__":
    main()
