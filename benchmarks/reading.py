"""Reading rows with lists of verdicts and texts: rlvrscope beside a loop over json.loads, in one run.

    python benchmarks/reading.py [--rows 1000000]

The loop counts right verdicts a problem and checks nothing; ours checks every value, finds copies among the texts and
names the row of an error. Memory: the largest of the process so far, ours first.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
from collections import Counter
from pathlib import Path
from time import perf_counter

from rlvrscope.readers import read_models

SAMPLES = 8


def write_rows(path: Path, rows: int, texts: bool) -> None:
    """Rows as Qwen2.5-Math writes them: lists of verdicts, of answers and of completions."""
    draws = random.Random(0)
    with path.open("w") as file:
        for index in range(rows):
            row = {
                "idx": index // 4,
                "gt": "7",
                "score": [draws.random() < 0.3 for _ in range(SAMPLES)],
                "pred": [str(draws.randrange(10)) for _ in range(SAMPLES)],
                "code": [f"So we add {draws.randrange(10**6)} to {k}." if texts else "" for k in range(SAMPLES)],
            }
            file.write(json.dumps(row) + "\n")


def by_hand(path: Path) -> dict[int, tuple[int, int]]:
    n: Counter[int] = Counter()
    c: Counter[int] = Counter()
    with path.open() as file:
        for line in file:
            row = json.loads(line)
            n[row["idx"]] += len(row["score"])
            c[row["idx"]] += sum(row["score"])
    return {problem: (n[problem], c[problem]) for problem in n}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    for texts in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "test_s0_e-1.jsonl"
            write_rows(path, rows, texts)
            started = perf_counter()
            (model,) = read_models(str(path))
            ours = perf_counter() - started
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            started = perf_counter()
            counts = by_hand(path)
            loop = perf_counter() - started
            assert {
                int(p): (int(n), int(c))
                for p, n, c in zip(model.counts.problem, model.counts.n, model.counts.c, strict=True)
            } == counts
        kind = "with texts" if texts else "without texts"
        beside = f"{ours / loop:.1f} times the loop's {loop:.1f} s"
        print(f"{rows:,} rows of {SAMPLES} samples {kind}: {ours:.1f} s, {beside}; {memory:.0f} MiB")


if __name__ == "__main__":
    main()
