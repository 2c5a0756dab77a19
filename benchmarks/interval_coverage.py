"""Coverage of the intervals on simulated problems: how often they include the truth.

    python benchmarks/interval_coverage.py [--replications 2000] [--workers 2] [--only TABLE]

Success rates are drawn from Beta(.1, .5) and Beta(1, 1), 30, 100 or 500 problems, 256 samples each. Nominal: 95 %.
Prints the tables of docs/boundary.md. A cell counts the replications in which the interval was called reliable, with
their share in brackets; without one, all of them were. "Whole band": share of replications in which no interval that
was called reliable missed. The last tables are for comparison: the plain percentile bootstrap, and, where they are
installed (pip install passk-inference scorio), those packages on the same draws.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import time
from collections.abc import Callable, Sequence
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
PERCENTILE, PASSK, SCORIO = "percentile bootstrap", "passk-inference", "scorio"
RESAMPLES = 1000
TRAINED: dict[str, Callable[[Floats], Floats]] = {
    "the same": lambda p: p,
    "sharpened": lambda p: p**1.5 / (p**1.5 + (0.6 * (1.0 - p)) ** 1.5),
    "flattened": lambda p: 0.85 * p + 0.02,
}


@dataclass(frozen=True)
class Case:
    rates: str
    problems: int
    what: str
    """A target of a curve, or what training did."""
    simultaneous: bool


@dataclass(frozen=True)
class Coverage:
    """N replications: (N, K) whether the interval covered the truth, and whether it was called reliable; (N,) any false
    verdict: a change of the wrong sign or without a difference, or *unchanged* where the difference is above .01."""

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
        false_claim.append(any(map(is_false, comparison.verdicts, truth_K)))
    return Coverage(np.array(covered), np.array(reliable), np.array(false_claim))


def is_false(verdict: str, truth: float) -> bool:
    wrong_sign = (verdict == "expanded" and truth <= 0.0) or (verdict == "shrunk" and truth >= 0.0)
    return wrong_sign or (verdict == "unchanged" and abs(truth) > 0.01)


def passk_case(case: Case, replications: int) -> tuple[Floats, Floats]:
    """(whole band over all ks covers, any false claim), ours and passk-inference's, on the same draws.

    case.what: what training did. All ks count, whether called reliable or not.
    """
    from passk_inference.core import compare as passk_compare  # pyright: ignore[reportMissingImports]

    many, train = _many(case), TRAINED[case.what]
    truth_K = (pass_at_k_exact(train(many), KS) - pass_at_k_exact(many, KS)).mean(axis=0)
    truth_K = np.where(np.abs(truth_K) < 2e-4, 0.0, truth_K)
    covered, false = np.zeros(2), np.zeros(2)
    for replication in range(replications):
        rng = generator(replication, "coverage", case.rates, case.problems)
        success_P = rng.beta(*RATES[case.rates], case.problems)
        base, trained = draw(success_P, rng), draw(train(success_P), rng)
        one = compare(base, trained, KS, rng=rng, resamples=RESAMPLES)
        other = passk_compare(base.c, SAMPLES, trained.c, SAMPLES, ks=KS, bootstrap=RESAMPLES, seed=replication)
        low_K, high_K = np.array(other["lower"]), np.array(other["upper"])
        verdicts = np.select([low_K > 0.0, high_K < 0.0], ["expanded", "shrunk"], "undecided")
        ends = ((one.difference.low, one.difference.high), (low_K, high_K))
        covered += [((low <= truth_K) & (truth_K <= high)).all() for low, high in ends]
        false += [any(map(is_false, which, truth_K)) for which in (one.verdicts, verdicts.tolist())]
    return covered / replications, false / replications


def scorio_case(case: Case, replications: int) -> tuple[Floats, Floats]:
    """(K,) coverage of pass@k of these problems at each of SHOWN, ours (pointwise) and scorio's, on the same draws."""
    from scorio.eval import pass_at_k_ci  # pyright: ignore[reportMissingImports]

    covered = np.zeros((2, len(SHOWN)))
    for replication in range(replications):
        rng = generator(replication, "coverage", case.rates, case.problems)
        success_P = rng.beta(*RATES[case.rates], case.problems)
        truth_K = pass_at_k_exact(success_P, SHOWN).mean(axis=0)
        counts = draw(success_P, rng)
        curve = pass_at_k_curve(counts, SHOWN, target="this set", simultaneous=False, rng=rng)
        inside_K = (curve.low <= truth_K) & (truth_K <= curve.high)
        covered[0] += np.where(np.isnan(curve.low), np.nan, inside_K)
        answers_PG = (np.arange(SAMPLES) < counts.c[:, None]).astype(np.int64)
        ends = np.array([pass_at_k_ci(answers_PG, k)[2:] for k in SHOWN])
        covered[1] += (ends[:, 0] <= truth_K) & (truth_K <= ends[:, 1])
    return covered[0] / replications, covered[1] / replications


def run(case: Case, replications: int) -> Coverage:
    if case.what == PERCENTILE:
        return percentile_case(case, replications)
    return (comparison_case if case.what in TRAINED else curve_case)(case, replications)


def _many(case: Case) -> Floats:
    return generator(0, "truth", case.rates).beta(*RATES[case.rates], 1_000_000)


def cell(coverage: Coverage, k: int) -> str:
    covered_N, reliable_N = coverage.covered[:, KS.index(k)], coverage.reliable[:, KS.index(k)]
    if reliable_N.mean() < 0.01:
        return "not reliable"
    share = "" if reliable_N.mean() > 0.99 else f" ({reliable_N.mean():.0%})"
    return f"{covered_N[reliable_N].mean():.3f}{share}"


def whole_band(coverage: Coverage) -> str:
    """Share of replications in which no interval that is called reliable missed."""
    return f"{np.all(coverage.covered | ~coverage.reliable, axis=1).mean():.3f}"


def own_tables(kinds: Sequence[str], pool: ProcessPoolExecutor, replications: int) -> None:
    cases = [Case(*parts) for parts in itertools.product(RATES, PROBLEMS, kinds, (False, True))]
    futures = {case: pool.submit(run, case, replications) for case in cases}
    for kind in kinds:
        extra = ["false verdicts"] if kind in TRAINED else []
        head(kind, "success rates", "problems", *(f"k = {k}" for k in SHOWN), "whole band", *extra)
        for rates, problems in itertools.product(RATES, PROBLEMS):
            pointwise, joint = (futures[Case(rates, problems, kind, flag)].result() for flag in (False, True))
            claims = [f"{joint.false_claim.mean():.3f}"] if extra else []
            row(rates, str(problems), *(cell(pointwise, k) for k in SHOWN), whole_band(joint), *claims)


def passk_table(pool: ProcessPoolExecutor, replications: int) -> None:
    cases = [Case(*parts, True) for parts in itertools.product(RATES, PROBLEMS, TRAINED)]
    futures = {case: pool.submit(passk_case, case, replications) for case in cases}
    head(PASSK, "success rates", "problems", "training", "whole band", PASSK, "false verdicts", PASSK)
    for case, future in futures.items():
        covered, false = future.result()
        numbers = [f"{number:.3f}" for number in (*covered, *false)]
        row(case.rates, str(case.problems), case.what, *numbers)


def scorio_table(pool: ProcessPoolExecutor, replications: int) -> None:
    cases = [Case(*parts, "this set", False) for parts in itertools.product(RATES, PROBLEMS)]
    futures = {case: pool.submit(scorio_case, case, replications) for case in cases}
    head(SCORIO, "success rates", "problems", "interval", *(f"k = {k}" for k in SHOWN))
    for case, future in futures.items():
        for name, covered_K in zip(("rlvrscope", SCORIO), future.result(), strict=True):
            row(case.rates, str(case.problems), name, *("none" if np.isnan(x) else f"{x:.3f}" for x in covered_K))


def head(title: str, *cells: str) -> None:
    print(f"\n{title}\n\n| {' | '.join(cells)} |\n|{'---|' * len(cells)}")


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    every = ("new problems", "this set", *TRAINED, PERCENTILE, PASSK, SCORIO)
    parser.add_argument("--only", choices=every, help="one table")
    args = parser.parse_args()
    started = time.monotonic()
    kinds = [kind for kind in every if args.only in (None, kind)]
    peers = {PASSK: ("passk_inference", passk_table), SCORIO: ("scorio", scorio_table)}
    with ProcessPoolExecutor(args.workers) as pool:
        own_tables([kind for kind in kinds if kind not in peers], pool, args.replications)
        for kind, (package, table) in peers.items():
            if kind in kinds and importlib.util.find_spec(package):
                table(pool, args.replications)
    print(f"\n{args.replications} replications, {time.monotonic() - started:.0f} s with {args.workers} workers")


if __name__ == "__main__":
    main()
