"""Callback: the ledger of rollout groups, on TRL's own GRPOTrainer or ours."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from rlvrscope.adapters.trl.rollouts import Rollouts, watch_rollouts
from rlvrscope.adapters.trl.run_rows import RunRows, log_means, log_sums
from rlvrscope.errors import InputError
from rlvrscope.monitor import GroupLedger
from rlvrscope.monitor.group_ledger import numbered
from rlvrscope.runs import read_json, write_atomic
from rlvrscope.runs.rows import LedgerRow

STATE = "rlvrscope_ledger.json"
"""File in each checkpoint with the ledger's state."""


class LedgerCallback(TrainerCallback):
    """pass@1, pass@G, pass^G, and prompts gained and lost since their last visit, from the rollouts of each step.

        trainer.add_callback(LedgerCallback(trainer))

    They are logged as rlvrscope/pass_at_1, ... and kept in ledger.jsonl of the output folder. threshold: a rollout is
    right if its reward is at least this; by default that of the trainer's objective, or .5. Prompts are identified by
    the data set's column `id`, or by their text. Groups with a rollout that no reward function scored are left out, and
    counted in rlvrscope/groups_left_out.
    """

    def __init__(self, trainer: Any, threshold: float | None = None) -> None:
        objective = getattr(trainer, "objective", None)
        self.trainer = trainer
        self.ledger = GroupLedger(threshold if threshold is not None else getattr(objective, "threshold", 0.5))
        self.row: LedgerRow | None = None
        """That of the last step with new rollouts."""
        self.kept = RunRows(trainer, LedgerRow)
        self._new: list[Rollouts] = []
        watch_rollouts(trainer, lambda rollouts: self._new.append(rollouts), training=True)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        ledgers = [one for one in self.trainer.callback_handler.callbacks if isinstance(one, LedgerCallback)]
        if len(ledgers) > 1:
            raise InputError("a trainer has one LedgerCallback: add it before the StageCallback, or leave it out")
        self.kept.begin()
        if state.global_step > 0:
            self._restore(Path(args.output_dir) / f"checkpoint-{state.global_step}" / STATE)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        new, self._new = self._new, []
        groups = [rollouts.groups() for rollouts in new]
        ids = numbered([name for names, _ in groups for name in names])
        self.row = None
        if not ids:  # an update with the rollouts of an earlier step, or with nothing scored
            return
        rewards_PG = np.concatenate([rewards for _, rewards in groups])
        self.row = self.ledger.update(state.global_step, ids, rewards_PG)
        self.kept.append(self.row)
        shares = ("pass_at_1", "pass_at_group", "pass_hat_group", "top_at_group")
        log_means(self.trainer, {name: float(getattr(self.row, name)) for name in shares})
        generated = sum(rollouts.num_groups for rollouts in new)
        counts = {name: float(getattr(self.row, name)) for name in ("returned", "gained", "lost")}
        log_sums(self.trainer, counts | {"groups_left_out": float(generated - len(ids))})

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            levels = None if self.ledger.levels is None else sorted(self.ledger.levels)
            saved = {"format_version": 1, "step": self.ledger.step, "levels": levels, "solved": self.ledger.solved}
            write_atomic(Path(args.output_dir) / f"checkpoint-{state.global_step}" / STATE, json.dumps(saved))

    def _restore(self, path: Path) -> None:
        if not path.exists():
            warnings.warn(
                f"{path} does not exist: the ledger begins anew, and counts no prompt of the steps before as returned",
                stacklevel=2,
            )
            return
        saved = read_json(path)
        step, solved, levels = (saved.get(name) for name in ("step", "solved", "levels"))
        if type(step) is not int or not isinstance(solved, dict) or not isinstance(levels, list | None):
            raise InputError(
                f"{path} is damaged: it must hold step, solved and levels. Resume from another checkpoint."
            )
        self.ledger.step, self.ledger.solved = step, solved
        self.ledger.levels = None if levels is None else set(levels)
