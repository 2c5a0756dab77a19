"""Callback: pass@k with bands at TRL's evaluations."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from rlvrscope.adapters.trl.rollouts import Rollouts, watch_rollouts
from rlvrscope.errors import InputError
from rlvrscope.readers.evaluations import (
    FOLDER,
    evaluated_steps,
    keep_evaluations,
    read_evaluation,
    write_evaluation,
)
from rlvrscope.runs.rows import ADAPTER_PREFIX
from rlvrscope.seeding import generator
from rlvrscope.stats import GroupCounts, compare, pass_at_k_curve


class BoundaryCallback(TrainerCallback):
    """Unbiased pass@k of the validation set with its band, and the change since the first evaluation.

        GRPOConfig(..., eval_strategy="steps", eval_on_start=True, num_generations_eval=64)
        trainer.add_callback(BoundaryCallback(trainer))

    It counts the completions that TRL generates for its evaluation and generates none. Logged after each evaluation:
    eval_rlvrscope/pass@k, .../pass@k_low and _high (95 %, new problems, all k at once), and from the second on
    .../pass@k_change with its band. Counts go to counts/step-N.jsonl of the output folder, which `rlvrscope boundary`
    compares. threshold: a completion is right if its reward is at least this. Raises InputError for a trainer without a
    validation set.
    """

    def __init__(self, trainer: Any, threshold: float | None = None) -> None:
        if trainer.eval_dataset is None:
            raise InputError("BoundaryCallback counts the completions of TRL's evaluations: give eval_dataset")
        if isinstance(trainer.eval_dataset, dict):
            raise InputError(
                "BoundaryCallback counts one validation set, and eval_dataset has several: give one of them"
            )
        objective = getattr(trainer, "objective", None)
        self.trainer = trainer
        self.threshold = threshold if threshold is not None else getattr(objective, "threshold", 0.5)
        self.first: GroupCounts | None = None
        self._drawn: Counter[str] = Counter()
        self._right: Counter[str] = Counter()
        watch_rollouts(trainer, self._receive, training=False)

    def _receive(self, rollouts: Rollouts) -> None:
        for name, reward in zip(rollouts.ids, rollouts.rewards_B, strict=True):
            self._drawn[name] += 1
            self._right[name] += bool(reward >= self.threshold)  # a completion without a reward is not right

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder, steps = Path(args.output_dir), evaluated_steps(Path(args.output_dir))
        if state.global_step == 0 and steps and steps[-1] > 0:
            raise InputError(
                f"{folder / FOLDER} holds the counts of another run: resume it, or choose another output_dir"
            )
        self.trainer.accelerator.wait_for_everyone()
        if self.trainer.accelerator.is_main_process:
            keep_evaluations(folder, state.global_step)
        if steps and steps[0] < state.global_step:  # a resumed run
            self.first = read_evaluation(folder, steps[0])

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        problems = sorted(self._drawn)
        counts = GroupCounts(
            problems, [self._drawn[name] for name in problems], [self._right[name] for name in problems]
        )
        self._drawn.clear()
        self._right.clear()
        if self.trainer.accelerator.is_main_process:
            write_evaluation(Path(args.output_dir), state.global_step, counts)
        self.trainer.log(self._metrics(counts))
        self.first = counts if self.first is None else self.first

    def _metrics(self, counts: GroupCounts) -> dict[str, float]:
        ks = [1 << power for power in range(int(counts.n.min()).bit_length())]
        curve = pass_at_k_curve(counts, ks, rng=generator(0, "boundary"))
        columns = {"": curve.estimate, "_low": curve.low, "_high": curve.high}
        if self.first is not None and self.first.problem == counts.problem:
            change = compare(self.first, counts, ks, rng=generator(0, "boundary"))
            columns |= {
                "_change": change.difference.estimate,
                "_change_low": change.difference.low,
                "_change_high": change.difference.high,
            }
        return {
            f"eval_{ADAPTER_PREFIX}pass@{k}{suffix}": float(value)
            for suffix, values in columns.items()
            for k, value in zip(ks, values, strict=True)
            if np.isfinite(value)
        }
