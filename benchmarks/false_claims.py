"""False verdicts of `compare_all` on simulated models: how often it says anything that is not true, at any k.

    python benchmarks/false_claims.py [--replications 2000] [--workers 2] [--only runs]

Nominal: at most 5 %, over all models and all of the default ks (1, 2, 4, ..., 256). A verdict is false if it is
*expanded* or *shrunk* where the true difference is 0 or has the other sign, or *unchanged* where it exceeds the margin.
Prints the tables of docs/boundary.md: training runs, several models, other designs, and the ledger's intervals.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from scipy.special import expit, logit
from scipy.stats import beta

from rlvrscope.arrays import Floats, Ints
from rlvrscope.seeding import generator
from rlvrscope.stats import Comparison, compare, compare_all, pass_at_k_exact, support_ledger
from rlvrscope.stats.counts import GroupCounts

SAMPLES, DRAWS, MARGIN = 256, 1000, 0.01
KS = [2**power for power in range(9)]
RATES = {"Beta(.1, .5)": (0.1, 0.5), "Beta(1, 1)": (1.0, 1.0)}
RUNS, MODELS = (1, 2, 3, 5, 6, 10), (1, 2, 5, 10)
EFFECTS = ("shift", "shape", "two-point")
GRID = np.linspace(0.0005, 0.9995, 1000)
SHARES = np.linspace(0.0, 1.0, 200_001)
QUANTILES = {rates: beta.ppf(SHARES, *shape) for rates, shape in RATES.items()}


def counts(
    success_UP: Floats, rng: np.random.Generator, n: int | Ints = SAMPLES, **labels: Sequence[int]
) -> GroupCounts:
    """Counts of n samples of each problem, a row of success rates for each training run."""
    success_UP = np.atleast_2d(success_UP)
    num_runs, problems = success_UP.shape
    n_UP = np.broadcast_to(n, success_UP.shape)
    several = {"seed": np.repeat(np.arange(num_runs), problems)} if num_runs > 1 else {}
    c_UP = rng.binomial(n_UP, success_UP)
    return GroupCounts([*range(problems)] * num_runs, n_UP.ravel(), c_UP.ravel(), **several, **labels)


def is_false(comparison: Comparison, truth_K: Floats) -> bool:
    """Any verdict that is not true. Differences below 2e-4 count as 0: the error of a simulated truth."""
    truth_K = np.where(np.abs(truth_K) < 2e-4, 0.0, truth_K)
    return any(
        (verdict == "expanded" and truth <= 0.0)
        or (verdict == "shrunk" and truth >= 0.0)
        or (verdict == "unchanged" and abs(truth) > comparison.margin)
        for verdict, truth in zip(comparison.verdicts, truth_K, strict=True)
    )


def quantiles(rates: str, share: Floats) -> Floats:
    return np.interp(share, SHARES, QUANTILES[rates])


def trained_runs(effect: str, rates: str, share_P: Floats, runs: int, rng: np.random.Generator) -> Floats:
    """(runs, P) success rates of runs that on average have the base's pass@k at every k ("shift": at k = 1).

    shift: p + u p (1 - p) with u uniform on [-.5, .5], the same for all problems of a run. shape: the density of rates
    is multiplied by 1 + sum of a_j cos(pi j F(p)), with four random a_j. two-point: by 1 -+ .6 cos(pi F(p)).
    """
    if effect == "shift":
        base_P = quantiles(rates, share_P)
        return base_P + rng.uniform(-0.5, 0.5, (runs, 1)) * base_P * (1.0 - base_P)
    rows = []
    for _ in range(runs):
        weights = rng.uniform(-0.25, 0.25, 4) if effect == "shape" else [rng.choice([-0.6, 0.6])]
        density = 1.0 + sum(weight * np.cos(np.pi * j * GRID) for j, weight in enumerate(weights, start=1))
        cumulative = np.cumsum(density) / np.sum(density)
        rows.append(quantiles(rates, np.interp(share_P, cumulative, GRID)))
    return np.array(rows)


def runs_case(rates: str, effect: str, runs: int, replications: int) -> tuple[float, float]:
    """(any false verdict at any k, a false verdict at k = 1) of 200 problems; a single run changes nothing."""
    false = np.zeros(2)
    for replication in range(replications):
        rng = generator(replication, "runs", rates, effect, runs)
        share_P = rng.random(200)
        base_P = quantiles(rates, share_P)
        trained_UP = base_P if runs == 1 else trained_runs(effect, rates, share_P, runs, rng)
        ks = [1] if effect == "shift" else KS
        comparison = compare(counts(base_P, rng), counts(trained_UP, rng), ks, rng=rng, resamples=DRAWS)
        claimed = [verdict in ("expanded", "shrunk") for verdict in comparison.verdicts]
        false += [any(claimed), claimed[0]]
    return tuple(false / replications)


def models_case(rates: str, models: int, replications: int) -> tuple[float, float]:
    """Any false verdict on any of the models: that change nothing; that all raise pass@1, and nothing else.

    Raised: 40 of 100 problems go from .5 to 1, which is 0 at k >= 32 to within 1e-9; ks 1 and 32 to 256.
    """
    false = np.zeros(2)
    ks = [1, 32, 64, 128, 256]
    for replication in range(replications):
        rng = generator(replication, "models", rates, models)
        success_P = rng.beta(*RATES[rates], 100)
        base = counts(success_P, rng)
        same = {str(index): counts(success_P, rng) for index in range(models)}
        compared = compare_all(base, same, KS, rng=rng, resamples=DRAWS)
        false[0] += any(is_false(one, np.zeros(len(KS))) for one in compared.values())
        base_P = np.where(np.arange(100) < 40, 0.5, success_P)
        better_P = np.where(np.arange(100) < 40, 1.0, success_P)
        better = {str(index): counts(better_P, rng) for index in range(models)}
        compared = compare_all(counts(base_P, rng), better, ks, rng=rng, resamples=DRAWS)
        false[1] += any(is_false(one, np.array([0.2, 0.0, 0.0, 0.0, 0.0])) for one in compared.values())
    return tuple(false / replications)


def this_set(rng: np.random.Generator) -> bool:
    """Claims about the same 100 problems sampled again, up to k = n / 2."""
    success_P = rng.beta(0.1, 0.5, 100)
    base, again = counts(success_P, rng, 64), counts(success_P, rng, 64)
    return is_false(compare(base, again, KS[:6], rng=rng, target="this set", resamples=DRAWS), np.zeros(6))


def unequal_clusters(rng: np.random.Generator) -> bool:
    """*Unchanged* where one cluster in a hundred, of 50 problems, gains everything: 300 clusters, six of them large."""
    large = rng.random(300) < 0.02
    size_D = np.where(large, 50, 1)
    moved_D = large & (rng.random(300) < 0.5)
    cluster_P, gained_P = np.repeat(np.arange(300), size_D), np.repeat(moved_D, size_D)
    success_P = np.repeat(rng.beta(1.0, 1.0, 300), size_D) * 0.5
    base_c = rng.binomial(16, success_P)
    base = GroupCounts(range(len(base_c)), np.full(len(base_c), 16), base_c, cluster=cluster_P.tolist())
    trained = GroupCounts(
        range(len(base_c)), np.full(len(base_c), 16), np.where(gained_P, 16, base_c), cluster=cluster_P.tolist()
    )
    return "unchanged" in compare(base, trained, [1], rng=rng, margin=0.02, resamples=DRAWS).verdicts


def clusters_that_change_by_chance(rng: np.random.Generator) -> bool:
    """Claims where each of 60 clusters moves by chance, 0 on average; one in twenty has 20 problems, not one."""
    cluster_P = np.repeat(np.arange(60), np.where(rng.random(60) < 0.05, 20, 1))
    problems, logit_P = len(cluster_P), logit(rng.random(len(cluster_P)))
    success = [expit(logit_P + rng.normal(size=60)[cluster_P]) for _ in range(2)]
    sides = [
        GroupCounts(range(problems), np.full(problems, 64), rng.binomial(64, success_P), cluster=cluster_P.tolist())
        for success_P in success
    ]
    return is_false(compare(sides[0], sides[1], KS[:7], rng=rng, resamples=DRAWS), np.zeros(7))


def opposite_runs(rng: np.random.Generator) -> bool:
    """Two runs, each of which moves half of 300 problems up and the others down, or the reverse."""
    base_P = np.full(300, 0.5)
    up_P = np.where(np.arange(300) < 150, 0.7, 0.3)
    trained_UP = np.array([up_P, up_P[::-1]])[rng.integers(0, 2, 2)]
    comparison = compare(counts(base_P, rng), counts(trained_UP, rng), KS[:1], rng=rng, resamples=DRAWS)
    return comparison.verdicts[0] != "undecided"


def at_the_margin(rng: np.random.Generator) -> bool:
    """*Unchanged* where pass@1 rises by just more than the margin, in 500 problems."""
    success_P = rng.uniform(0.2, 0.7, 500)
    gain_P = rng.uniform(0.0, 0.0202, 500)
    base, trained = counts(success_P, rng), counts(success_P + gain_P, rng)
    return is_false(compare(base, trained, [1], rng=rng, resamples=DRAWS), np.array([0.0101]))


def hardly_any_moves(rng: np.random.Generator) -> bool:
    """*Unchanged* where 1.1 % of 400 problems go from never to always solved."""
    success_P = np.where(rng.random(400) < 0.5, 1.0, 0.0)
    moved_P = np.where((success_P == 0.0) & (rng.random(400) < 0.022), 1.0, success_P)
    base, trained = counts(success_P, rng), counts(moved_P, rng)
    return is_false(compare(base, trained, KS, rng=rng, resamples=DRAWS), np.full(len(KS), 0.011))


def ragged(rng: np.random.Generator) -> bool:
    """The same model sampled again, at least k samples: a third of 100 problems have 8 samples, a third 64, 256."""
    n_P, success_P = np.array([8, 64, 256])[np.arange(100) % 3], rng.beta(0.1, 0.5, 100)
    base, again = counts(success_P, rng, n_P), counts(success_P, rng, n_P)
    return is_false(compare(base, again, KS, rng=rng, at_least_k=True, resamples=DRAWS), np.zeros(len(KS)))


OTHERS: tuple[Callable[[np.random.Generator], bool], ...] = (
    this_set,
    unequal_clusters,
    clusters_that_change_by_chance,
    opposite_runs,
    at_the_margin,
    hardly_any_moves,
    ragged,
)


def other_case(design: Callable[[np.random.Generator], bool], replications: int) -> float:
    return sum(design(generator(index, "other", design.__name__)) for index in range(replications)) / replications


def flattened(success: Floats) -> Floats:
    return 0.85 * success + 0.02


def ledger_case(rates: str, problems: int, k: int, replications: int) -> dict[str, tuple[float, float]]:
    """(share of ledgers with an interval, coverage of those) of each rate minus its null; the model is flattened."""
    many = generator(0, "truth", rates).beta(*RATES[rates], 1_000_000)
    a, b = (pass_at_k_exact(side, [k])[:, 0] for side in (many, flattened(many)))
    truth = {
        name: after - before
        for (name, after), before in zip(rates_of(a, b).items(), rates_of(a, a).values(), strict=True)
    }
    with_interval, covered = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for replication in range(replications):
        rng = generator(replication, "ledger", rates, problems)
        success_P = rng.beta(*RATES[rates], problems)
        ledger = support_ledger(counts(success_P, rng), counts(flattened(success_P), rng), k)
        for name, rate in ledger.rates.items():
            with_interval[name] += bool(np.isfinite(rate.difference.low))
            covered[name] += bool(rate.difference.low <= truth[name] <= rate.difference.high)
    return {name: (with_interval[name] / replications, covered[name] / max(1, with_interval[name])) for name in truth}


def rates_of(a: Floats, b: Floats) -> dict[str, float]:
    both, gained, lost = float((a * b).mean()), float(((1 - a) * b).mean()), float((a * (1 - b)).mean())
    retained, new = both / (both + lost), gained / (both + gained)
    net = (gained - lost) / (both + gained + lost)
    return {"SRR": retained, "NDR": new, "SDS": 2 * retained * new / (retained + new), "NSCR": net}


def row(*cells: object) -> None:
    print(f"| {' | '.join(f'{cell:.3f}' if isinstance(cell, float) else str(cell) for cell in cells)} |", flush=True)


def head(title: str, *cells: str) -> None:
    print(f"\n{title}\n\n| {' | '.join(cells)} |\n|{'---|' * len(cells)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=("runs", "models", "others", "ledger"), help="one table")
    args = parser.parse_args()
    started, number = time.monotonic(), args.replications
    with ProcessPoolExecutor(args.workers) as pool:
        if args.only in (None, "runs"):
            cases = list(itertools.product(RATES, EFFECTS, RUNS))
            done = {case: pool.submit(runs_case, *case, number) for case in cases}
            head("training runs", "success rates", "runs differ by", *(f"{n} runs" for n in RUNS))
            for rates, effect in itertools.product(RATES, EFFECTS):
                row(rates, effect, *(done[rates, effect, runs].result()[0] for runs in RUNS))
        if args.only in (None, "models"):
            results = {case: pool.submit(models_case, *case, number) for case in itertools.product(RATES, MODELS)}
            head("models", "success rates", "true change", *(f"{n} models" for n in MODELS))
            for index, change in enumerate(("none", "pass@1 of each")):
                for rates in RATES:
                    row(rates, change, *(results[rates, models].result()[index] for models in MODELS))
        if args.only in (None, "others"):
            rates_by = {design: pool.submit(other_case, design, number) for design in OTHERS}
            head("other designs", "design", "false verdicts")
            for design, result in rates_by.items():
                row((design.__doc__ or "").rstrip("."), result.result())
        if args.only in (None, "ledger"):
            ledgers = {
                case: pool.submit(ledger_case, *case, number)
                for case in itertools.product(RATES, (30, 100, 500), (8, 128))
            }
            head("rates of the ledger minus their null", "success rates", "problems", "k", "SRR", "NDR", "SDS", "NSCR")
            for (rates, problems, k), result in ledgers.items():
                cells = [
                    f"{covered:.3f} ({with_interval:.0%})" if with_interval else "none"
                    for with_interval, covered in result.result().values()
                ]
                row(rates, problems, k, *cells)
    print(f"\n{number} replications, {time.monotonic() - started:.0f} s with {args.workers} workers")


if __name__ == "__main__":
    main()
