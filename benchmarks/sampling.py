"""Sampling: the store's rate, its memory, its overhead on the lab engine, and the engine against `generate`.

    python benchmarks/sampling.py [--rows 100000] [--many 1000000] [--repeats 5] [--threads 1]

The store: samples of 500 bytes, 256 a commit, each on the disk before the next (WAL, synchronous FULL), with and
without verdicts. Memory: peak of a separate process that adds `--many` rows. The overhead: the lab engine's samples
into a store with verdicts, against the same engine alone. The engine: tokens a second against `transformers.generate`
on the same weights, at one shape.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from rlvrscope.engines import Completion, Request, open_engine
from rlvrscope.engines.lab import PROMPTS, ROWS, problems_of
from rlvrscope.lab import checkpoint
from rlvrscope.lab.pretrain import base_path, ensure_base, load_base
from rlvrscope.lab.recipe import EvaluateConfig, Recipe
from rlvrscope.problem import Problem, Verdict
from rlvrscope.sampling import Sample, SampleStore, fill
from rlvrscope.sampling.fill import sample_seed
from rlvrscope.seeding import generator

WORDS = str.split(
    "the number of ways to choose is therefore we have that and so let us compute first note x y sum product equals "
    "modulo remainder prime since because then answer final times plus minus divided by total each side triangle angle "
    "square root of solve for substituting gives simplify expression factor"
)
BATCH = 256
PROBLEM = Problem("p", "?", "1")
RIGHT = Verdict("correct", 1.0, "1", "math", "1", "exact", "")


def texts() -> list[str]:
    """2,000 texts of 500 bytes: words and numbers in a random order."""
    rng = generator(0, "bench texts")
    made = []
    for _ in range(2_000):
        words = rng.choice(WORDS, 110)
        numbers = rng.integers(1000, size=110).astype(str)
        made.append(" ".join(np.where(rng.random(110) < 0.8, words, numbers))[:500].ljust(500, "."))
    return made


def batches(rows: int) -> Iterator[list[Sample]]:
    completions = [Completion(text, 120, "stop", -100.0) for text in texts()]
    for start in range(0, rows, BATCH):
        yield [Sample("p", at, at, completions[at % len(completions)]) for at in range(start, min(start + BATCH, rows))]


def time_store(rows: int, verdicts: bool) -> None:
    with tempfile.TemporaryDirectory(dir=".") as folder, SampleStore(folder) as store:
        store.begin("samples", {}, [PROBLEM])
        made = list(batches(rows))
        started, worked = time.perf_counter(), time.process_time()
        for batch in made:
            store.add("samples", batch, [RIGHT] * len(batch) if verdicts else ())
        seconds, worked = time.perf_counter() - started, time.process_time() - worked
        started = time.perf_counter()
        store.counts("samples")
        counting = time.perf_counter() - started
        store.close()
        size = store.path.stat().st_size
    what = "samples and verdicts" if verdicts else "samples"
    print(
        f"store, {what:<21} {rows / seconds:9,.0f} rows/s ({rows / worked:,.0f} a second of processor time; {rows:,} "
        f"of 500 bytes, {size / rows:.0f} bytes a row; counts in {counting * 1e3:.0f} ms)"
    )


def grow(rows: int) -> None:
    """Add rows, and print the peak memory a tenth of the way and at the end. Runs in a separate process."""
    with tempfile.TemporaryDirectory(dir=".") as folder, SampleStore(folder) as store:
        store.begin("samples", {}, [PROBLEM])
        for number, batch in enumerate(batches(rows)):
            store.add("samples", batch, [RIGHT] * len(batch))
            if number == rows // BATCH // 10:
                print(peak())
    print(peak())


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def time_overhead(recipe: Recipe, model: str, samples: int, repeats: int) -> None:
    """Alone and into a store, by turns; the least of each, as other work on the machine only adds."""
    problems = problems_of(recipe)
    engine = open_engine("lab", model)
    requests = [Request(p, index, p.prompt, sample_seed(0, p.id, index)) for p in problems for index in range(samples)]
    clocks = {"": time.perf_counter, " of processor time": time.process_time}
    alone, stored = {name: [] for name in clocks}, {name: [] for name in clocks}

    def timed(work: Callable[[], object], into: dict[str, list[float]]) -> None:
        started = {name: clock() for name, clock in clocks.items()}
        work()
        for name, clock in clocks.items():
            into[name].append(clock() - started[name])

    for _ in range(repeats):
        timed(lambda: list(engine.run(iter(requests))), alone)
        with tempfile.TemporaryDirectory(dir=".") as folder, SampleStore(folder) as store:
            timed(lambda: fill(store, problems, engine, samples), stored)
    for name in clocks:
        engine_seconds, fill_seconds = min(alone[name]), min(stored[name])
        print(
            f"lab engine              {len(requests) / engine_seconds:9,.0f} samples/s{name} alone, "
            f"{len(requests) / fill_seconds:,.0f} into a store with verdicts: "
            f"{fill_seconds / engine_seconds - 1:+.1%} (best of {repeats})"
        )


def time_engine(recipe: Recipe, model: str, repeats: int) -> None:
    lab = benchmark("lab")
    problems = problems_of(recipe)[:PROMPTS]
    engine = open_engine("lab", model)
    requests = [Request(p, index, p.prompt, sample_seed(0, p.id, index)) for p in problems for index in range(ROWS)]
    twin = lab.as_opt(engine.model)  # pyright: ignore[reportAttributeAccessIssue]
    prompts = torch.tensor([problem.metadata["tokens"] for problem in problems])
    length = recipe.token_task.completion_length

    def generate() -> object:
        return twin.generate(
            prompts, attention_mask=torch.ones_like(prompts), do_sample=True, num_return_sequences=ROWS,
            max_new_tokens=length, min_new_tokens=length, top_k=0,
        )  # fmt: skip

    seconds = lab.interleaved({"engine": lambda: list(engine.run(iter(requests))), "generate": generate}, repeats)
    tokens = len(requests) * length
    print(
        f"lab engine              {tokens / seconds['engine']:9,.0f} tokens/s; transformers.generate "
        f"{tokens / seconds['generate']:,.0f}: {seconds['generate'] / seconds['engine']:.2f} x"
    )


def benchmark(name: str):
    """Another benchmark of this folder, as a module."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for name, default in (("rows", 100_000), ("many", 1_000_000), ("repeats", 5), ("threads", 1), ("grow", 0)):
        parser.add_argument(f"--{name}", type=int, default=default, help=argparse.SUPPRESS if name == "grow" else None)
    options = parser.parse_args()
    if options.grow:
        grow(options.grow)
        return
    torch.set_num_threads(options.threads)
    print(f"{platform.machine()}, SQLite {sqlite3.sqlite_version}, torch {torch.__version__}")
    for verdicts in (False, True):
        time_store(options.rows, verdicts)
    if options.many:
        command = [sys.executable, __file__, "--grow", str(options.many)]
        early, late = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        print(f"peak memory             {early} MiB at {options.many // 10:,} rows, {late} MiB at {options.many:,}")
    recipe = Recipe(name="bench", evaluate=EvaluateConfig(prompts=100))
    cpu = torch.device("cpu")
    base = ensure_base(recipe, base_path(recipe, cpu), cpu)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        checkpoint.save(Path(folder) / "base.safetensors", load_base(recipe, base, cpu), kind="base")
        model = str(Path(folder) / "base.safetensors")
        time_overhead(recipe, model, 256, min(3, options.repeats))
        time_engine(recipe, model, options.repeats)


if __name__ == "__main__":
    main()
