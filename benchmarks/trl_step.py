"""A step of our TRL trainer with callbacks against a step of TRL's own, on a tiny Llama.

    python benchmarks/trl_step.py

CPU seconds of one process and one thread, both sides alternating in one run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))

import torch
import transformers
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.grpo_trainer import GRPOTrainer as TrlTrainer

from rlvrscope.adapters.trl import GRPOTrainer, LedgerCallback, StageCallback
from rlvrscope.adapters.trl.run import quiet_libraries
from text_model import save_text_model
from trl_runs import arguments, thirds, trainer


class Clock(TrainerCallback):
    """CPU seconds of each step, from the end of the one before."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._before = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._before = time.process_time()

    def on_log(self, *_: Any, **__: Any) -> None:
        if self._before:
            self.seconds.append(time.process_time() - self._before)
            self._before = 0.0


def overhead(model: Path, out: Path, rounds: int, steps: int) -> tuple[float, float, float]:
    """Median CPU milliseconds of a step of TRL's trainer and of ours with ledger and stage, and the median ratio."""
    medians: dict[str, list[float]] = {"trl": [], "ours": []}
    for number in range(rounds):
        for name in ("trl", "ours") if number % 2 else ("ours", "trl"):
            args = arguments(
                out / f"{name}-{number}", max_steps=steps, per_device_train_batch_size=64, num_generations=8,
                max_completion_length=64,
            )  # fmt: skip
            with quiet_libraries():
                run = trainer(GRPOTrainer if name == "ours" else TrlTrainer, model, args, thirds)
                run.remove_callback(PrinterCallback)
                if name == "ours":
                    run.add_callback(LedgerCallback(run))
                    run.add_callback(StageCallback(run))
                clock = Clock()
                run.add_callback(clock)
                run.train()
            medians[name].append(statistics.median(clock.seconds[2:]))
    ratios = [ours / theirs for ours, theirs in zip(medians["ours"], medians["trl"], strict=True)]
    theirs, ours = (1e3 * statistics.median(medians[name]) for name in ("trl", "ours"))
    return theirs, ours, statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        model = save_text_model(Path(folder) / "model")
        theirs, ours, ratio = overhead(model, Path(folder), options.rounds, options.steps)
    print(f"TRL's GRPOTrainer           {theirs:8.1f} ms a step (CPU), 64 rollouts of 64 tokens, a tiny Llama")
    print(f"ours, with ledger and stage {ours:8.1f} ms")
    print(f"ratio, median of {options.rounds} pairs    {ratio:8.3f}")


if __name__ == "__main__":
    main()
