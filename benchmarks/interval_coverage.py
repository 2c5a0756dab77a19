"""Coverage of the intervals on simulated problems: how often they include the truth.

    python benchmarks/interval_coverage.py [--replications 2000] [--workers 2]

Success rates are drawn from Beta(.1, .5) and Beta(1, 1), 30, 100 or 500 problems, 256 samples each. Nominal: 95 %.
Prints the tables of docs/boundary.md; the last is the plain percentile bootstrap, for comparison. A cell counts the
replications in which the interval was called reliable; in brackets those where it mostly was not (in under half of
the replications), all of them counted.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Floats
from rlvrscope.seeding import generator
from rlvrscope.stats import (
    bootstrap_mean,
    compare,
    pass_at_k,
    pass_at_k_curve,
    pass_at_k_exact,
    resample_weights,
)
from rlvrscope.stats.counts import GroupCounts

SAMPLES, SHOWN = 256, (1, 4, 16, 64, 256)
KS = [2**power for power in range(9)]
RATES = {"Beta(.1, .5)": (0.1, 0.5), "Beta(1, 1)": (1.0, 1.0)}
PROBLEMS = (30, 100, 500)
PERCENTILE, SEEDS = "percentile bootstrap", "training runs"
RUNS = (2, 3, 5, 10)
RESAMPLES = 500
TRAINED: dict[str, Callable[[Floats], Floats]] = {
    "the same": lambda p: p,
    "sharpened": lambda p: p**1.5 / (p**1.5 + (0.6 * (1.0 - p)) ** 1.5),
    "flattened": lambda p: 0.85 * p + 0.02,
}


@dataclass(frozen=True)
class Case:
    rates: str
    problems: int
    """Or the number of training runs, of 200 problems."""
    what: str
    """A target of a curve, or what training did."""
    simultaneous: bool


@dataclass(frozen=True)
class Coverage:
    """N replications: (N, K) whether the interval covered the truth, and whether it was called reliable; (N,) false
    claims of a change, of the wrong sign or where nothing changed."""

    covered: NDArray[np.bool_]
    reliable: NDArray[np.bool_]
    false_claim: NDArray[np.bool_]


def draw(success_P: Floats, rng: np.random.Generator) -> GroupCounts:
    problems = len(success_P)
    return GroupCounts(range(problems), np.full(problems, SAMPLES), rng.binomial(SAMPLES, success_P))


def curve_case(case: Case, replications: int) -> Coverage:
    """Coverage of a pass@k curve."""
    covered, reliable = [], []
    truth_K = pass_at_k_exact(_many(case), KS).mean(axis=0)
    for replication in range(replications):
        rng = generator(replication, "coverage", case.rates, case.problems)
        success_P = rng.beta(*RATES[case.rates], case.problems)
        if case.what == "this set":
            truth_K = pass_at_k_exact(success_P, KS).mean(axis=0)
        settings = {"target": case.what, "simultaneous": case.simultaneous, "resamples": RESAMPLES}
        curve = pass_at_k_curve(draw(success_P, rng), KS, rng=rng, **settings)
        covered.append((curve.low <= truth_K + 1e-12) & (truth_K <= curve.high + 1e-12))
        reliable.append(curve.reliable)
    return Coverage(np.array(covered), np.array(reliable), np.zeros(replications, bool))


def seeds_case(case: Case, replications: int) -> Coverage:
    """Coverage of a difference that is 0 over training runs: each run moves the success rates by its own amount."""
    covered, reliable, false_claim = [], [], []
    for replication in range(replications):
        rng = generator(replication, "seeds", case.rates, case.problems)
        success_P = rng.beta(*RATES[case.rates], 200)
        moved_SP = success_P + rng.uniform(-0.5, 0.5, (case.problems, 1)) * success_P * (1.0 - success_P)
        labels = {"problem": [*range(200)] * case.problems, "seed": np.repeat(np.arange(case.problems), 200)}
        trained = GroupCounts(n=np.full(moved_SP.size, SAMPLES), c=rng.binomial(SAMPLES, moved_SP).ravel(), **labels)
        comparison = compare(draw(success_P, rng), trained, [1], rng=rng, simultaneous=False, resamples=RESAMPLES)
        covered.append((comparison.difference.low <= 0.0) & (comparison.difference.high >= 0.0))
        reliable.append(comparison.reliable)
        false_claim.append(comparison.verdicts[0] in ("expanded", "shrunk"))
    return Coverage(np.array(covered), np.array(reliable), np.array(false_claim))


def percentile_case(case: Case, replications: int) -> Coverage:
    """Coverage of the usual alternative: the percentile bootstrap over problems."""
    covered = []
    truth_K = pass_at_k_exact(_many(case), KS).mean(axis=0)
    for replication in range(replications):
        rng = generator(replication, "coverage", case.rates, case.problems)
        counts = draw(rng.beta(*RATES[case.rates], case.problems), rng)
        weights_RP = resample_weights(case.problems, RESAMPLES, rng)
        interval = bootstrap_mean(pass_at_k(counts.n, counts.c, KS), weights_RP)
        covered.append((interval.low <= truth_K + 1e-12) & (truth_K <= interval.high + 1e-12))
    return Coverage(np.array(covered), np.ones((replications, len(KS)), bool), np.zeros(replications, bool))


def comparison_case(case: Case, replications: int) -> Coverage:
    """Coverage of the paired difference, and false claims."""
    covered, reliable, false_claim = [], [], []
    many, train = _many(case), TRAINED[case.what]
    truth_K = (pass_at_k_exact(train(many), KS) - pass_at_k_exact(many, KS)).mean(axis=0)
    truth_K = np.where(np.abs(truth_K) < 2e-4, 0.0, truth_K)  # the error of the truth itself
    for replication in range(replications):
        rng = generator(replication, "coverage", case.rates, case.problems)
        success_P = rng.beta(*RATES[case.rates], case.problems)
        base, trained = draw(success_P, rng), draw(train(success_P), rng)
        comparison = compare(base, trained, KS, rng=rng, simultaneous=case.simultaneous, resamples=RESAMPLES)
        covered.append((comparison.difference.low <= truth_K) & (truth_K <= comparison.difference.high))
        reliable.append(comparison.reliable)
        claims = zip(comparison.verdicts, truth_K, strict=True)
        false_claim.append(any((v == "expanded" and d <= 0.0) or (v == "shrunk" and d >= 0.0) for v, d in claims))
    return Coverage(np.array(covered), np.array(reliable), np.array(false_claim))


def run(case: Case, replications: int) -> Coverage:
    if case.what == PERCENTILE:
        return percentile_case(case, replications)
    if case.what == SEEDS:
        return seeds_case(case, replications)
    return (comparison_case if case.what in TRAINED else curve_case)(case, replications)


def _many(case: Case) -> Floats:
    return generator(0, "truth", case.rates).beta(*RATES[case.rates], 1_000_000)


def cell(coverage: Coverage, k: int) -> str:
    covered_N, reliable_N = coverage.covered[:, KS.index(k)], coverage.reliable[:, KS.index(k)]
    if reliable_N.mean() < 0.5:
        return f"({covered_N.mean():.3f})"
    return f"{covered_N[reliable_N].mean():.3f}"


def all_reliable(coverage: Coverage) -> str:
    """Simultaneous coverage over all ks at which the interval is called reliable."""
    any_N, covered_N = coverage.reliable.any(axis=1), np.all(coverage.covered | ~coverage.reliable, axis=1)
    return f"{covered_N[any_N].mean():.3f}" if any_N.any() else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    every = ("new problems", "this set", *TRAINED, PERCENTILE, SEEDS)
    parser.add_argument("--only", choices=every, help="one table")
    args = parser.parse_args()
    started = time.monotonic()
    kinds = [kind for kind in every[:-1] if args.only in (None, kind)]
    cases = [Case(*parts) for parts in itertools.product(RATES, PROBLEMS, kinds, (False, True))]
    if args.only in (None, SEEDS):
        cases += [Case(rates, runs, SEEDS, False) for rates, runs in itertools.product(RATES, RUNS)]
    with ProcessPoolExecutor(args.workers) as pool:
        futures = {case: pool.submit(run, case, args.replications) for case in cases}
        coverage = {case: future.result() for case, future in futures.items()}
    heads = ["success rates", "problems", *(f"k = {k}" for k in SHOWN), "whole band"]
    for kind in kinds:
        extra = ["false claims"] if kind in TRAINED else []
        print(f"\n{kind}\n\n| {' | '.join(heads + extra)} |\n|{'---|' * len(heads + extra)}")
        for rates, problems in itertools.product(RATES, PROBLEMS):
            pointwise, joint = (coverage[Case(rates, problems, kind, flag)] for flag in (False, True))
            claims = [f"{joint.false_claim.mean():.3f}"] if extra else []
            cells = [rates, str(problems), *(cell(pointwise, k) for k in SHOWN), all_reliable(joint), *claims]
            print(f"| {' | '.join(cells)} |")
    if args.only in (None, SEEDS):
        print(f"\n{SEEDS}\n\n| success rates | runs | pass@1 | false claims | called reliable |\n|{'---|' * 5}")
        for rates, runs in itertools.product(RATES, RUNS):
            case = coverage[Case(rates, runs, SEEDS, False)]
            cells = [case.covered.mean(), case.false_claim.mean(), case.reliable.mean()]
            print(f"| {rates} | {runs} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")
    print(f"\n{args.replications} replications, {time.monotonic() - started:.0f} s with {args.workers} workers")


if __name__ == "__main__":
    main()
