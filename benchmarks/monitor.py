"""Speed of the stage monitor, the group ledger and the readers of training logs.

    python benchmarks/monitor.py [--repeats 5]

One update of the monitor with every signal, at the end of runs of 100 to 10,000 rows, in microseconds: it grows with
the number of windows, about 2.5 ln t. One update of the ledger for 64 prompts x 8 rollouts. A log of 10,000 lines of
verl, read. Shares of a run of the lab (default recipe, 32 prompts x 8 rollouts a step): the ledger, and a probe of 64
prompts x 3 completions at every PROBE_EVERY-th step; steps and probes in turn. Processor time, the fastest of the
repeats; shares: medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from rlvrscope.engines.lab import LabScorer, problems_of
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.pretrain import base_path, ensure_base, load_base
from rlvrscope.lab.recipe import EvaluateConfig, Recipe
from rlvrscope.lab.trainer import Trainer
from rlvrscope.monitor import Bank, GroupLedger, MassProbe, StageMonitor
from rlvrscope.monitor.mass_probe import PROBE_EVERY
from rlvrscope.monitor.stage import SIGNALS
from rlvrscope.readers.training_logs import read_log
from rlvrscope.scoring import ScoreRequest
from rlvrscope.seeding import generator

MAX_MICROSECONDS = 100.0
"""Goal for an update of the monitor in a run of 1,000 rows."""
MAX_LEDGER_SHARE, MAX_PROBE_SHARE = 0.01, 0.05
"""Goals for the ledger and the probe, as shares of a run of the lab."""
PROBED_PROMPTS, PROBED_ANSWERS = 64, 3
TIMED = 50
"""Updates of which the time is the mean."""
VERL_METRICS = 80
"""Metrics of a line that verl writes."""


def fastest(call: Callable[[], float], repeats: int) -> float:
    return min(call() for _ in range(repeats))


def monitor_update(rows: int, trend: float) -> float:
    """Microseconds of an update after `rows` others. trend: rise of each signal over the run, by its noise."""
    noise_TS = generator(rows, "benchmark").normal(size=(rows + TIMED, len(SIGNALS)))
    values_TS = (noise_TS + np.linspace(0.0, trend, rows + TIMED)[:, None]).tolist()
    table = [{"step": step, **dict(zip(SIGNALS, values, strict=True))} for step, values in enumerate(values_TS)]
    monitor = StageMonitor()
    for row in table[:rows]:
        monitor.update(row)
    started = time.process_time()
    for row in table[rows:]:
        monitor.update(row)
    return 1e6 * (time.process_time() - started) / TIMED


def ledger_update(prompts: int, group: int) -> float:
    """Microseconds of an update."""
    rng = generator(prompts, "benchmark")
    rewards_TPG = rng.integers(2, size=(2 * TIMED, prompts, group)).astype(float)
    ids_TP = rng.integers(10 * prompts, size=(2 * TIMED, prompts)) * prompts + range(prompts)
    ledger = GroupLedger()
    for step in range(TIMED):
        ledger.update(step, ids_TP[step].tolist(), rewards_TPG[step])
    started = time.process_time()
    for step in range(TIMED, 2 * TIMED):
        ledger.update(step, ids_TP[step].tolist(), rewards_TPG[step])
    return 1e6 * (time.process_time() - started) / TIMED


def reading(path: Path) -> float:
    """Seconds to read a log."""
    started = time.process_time()
    read_log(path)
    return time.process_time() - started


def verl_log(path: Path, steps: int) -> Path:
    more = {f"timing_s/part_{number}": 0.123456789 for number in range(VERL_METRICS)}
    with path.open("w") as file:
        for step in range(1, steps + 1):
            data = {"critic/score/mean": 0.5, "actor/entropy": 0.25, "rollout_corr/kl": 0.001, **more}
            file.write(json.dumps({"step": step, "data": data}) + "\n")
    return path


def lab_shares(repeats: int) -> tuple[float, float]:
    """Time of a ledger update and of a probe, as shares of the time of a training step."""
    torch.set_num_threads(1)
    recipe = Recipe(name="bench", evaluate=EvaluateConfig(prompts=PROBED_PROMPTS))
    task = recipe.token_task
    device = torch.device("cpu")
    base, model = (load_base(recipe, ensure_base(recipe, base_path(recipe, device), device), device) for _ in range(2))
    assert isinstance(model, Transformer)
    trainer = Trainer(model, base, task, recipe.train)
    scorer = LabScorer(model, {"engine": "lab", "model": "bench", "model_hash": ""})
    answers = {
        ScoreRequest(problem, problem.prompt, text): 1
        for problem in problems_of(recipe)
        for text in [problem.answer, *problem.metadata["also"]][:PROBED_ANSWERS]
    }
    probe, seconds = MassProbe(Bank.of(scorer, answers, {}), scorer), {"step": [], "ledger": [], "probe": []}
    for step in range(1, 20 * repeats):
        rewards_PG = generator(step, "rewards").integers(2, size=(32, 8)).astype(float)
        calls: dict[str, Callable[[], object]] = {
            "step": lambda step=step: trainer.step(step),
            "ledger": lambda step=step, rewards_PG=rewards_PG: trainer.ledger.update(
                step + 1_000_000, range(32), rewards_PG
            ),
            "probe": lambda step=step: probe.score(step),
        }
        for name, call in calls.items():
            trainer.ledger.step = -1
            started = time.process_time()
            call()
            seconds[name].append(time.process_time() - started)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return median["ledger"] / median["step"], median["probe"] / median["step"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(f"one update of the monitor, {len(SIGNALS)} signals:")
    for rows in (100, 1_000, 10_000):
        noise, trend = (
            fastest(lambda rows=rows, trend=trend: monitor_update(rows, trend), repeats) for trend in (0.0, 50.0)
        )
        goal = f"   goal {MAX_MICROSECONDS:g}: {trend / MAX_MICROSECONDS:.2f} of it" if rows == 1_000 else ""
        print(f"  after {rows:>6,} rows of noise {noise:5.0f} us, of trends {trend:5.0f} us{goal}")
    for prompts, group in ((64, 8), (512, 16)):
        taken = fastest(lambda shape=(prompts, group): ledger_update(*shape), repeats)
        print(f"one update of the ledger, {prompts} prompts x {group} rollouts: {taken:.0f} us")
    ledger, probe = lab_shares(repeats)
    print(f"shares of a run of the lab: the ledger {ledger:.2%} (goal {MAX_LEDGER_SHARE:.0%})")
    print(
        f"  a probe of {PROBED_PROMPTS} prompts x {PROBED_ANSWERS} completions takes {probe:.2f} steps: every "
        f"{PROBE_EVERY} steps {probe / PROBE_EVERY:.1%} (goal {MAX_PROBE_SHARE:.0%})"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = verl_log(Path(folder) / "metrics.jsonl", 10_000)
        seconds = fastest(lambda: reading(path), repeats)
        size = path.stat().st_size / 2**20
        print(f"a log of 10,000 lines of verl ({size:.0f} MiB): {seconds:.2f} s, {size / seconds:.0f} MiB/s")


if __name__ == "__main__":
    main()
