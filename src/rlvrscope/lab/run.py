"""One training run: steps, evaluations, checkpoints. A killed run resumes at its last evaluation."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rlvrscope.errors import InputError, RlvrscopeError, WorkError
from rlvrscope.lab import checkpoint
from rlvrscope.lab.evaluate import Evaluator
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.recipe import Recipe, TrainConfig
from rlvrscope.lab.tabular import train_tabular
from rlvrscope.lab.tokenised_task import tokenised
from rlvrscope.lab.trainer import Trainer
from rlvrscope.lab.wise import interpolate
from rlvrscope.monitor.group_ledger import GroupLedger
from rlvrscope.monitor.stage import StageMonitor
from rlvrscope.objectives import Objective, PassRates
from rlvrscope.runs.folder import RunFolder
from rlvrscope.runs.rows import (
    ROW_TYPES,
    EvaluationRow,
    InterpolationRow,
    LedgerRow,
    TelemetryRow,
    TimingRow,
    at_temperature,
    monitored,
)

OnProgress = Callable[[int, dict[str, float]], None]
"""Called after each step with its number and the metrics to display."""


def train(
    recipe: Recipe, base: Policy, folder: RunFolder, on_progress: OnProgress = lambda step, metrics: None
) -> None:
    """Train one run into its folder, or resume it from its last evaluation.

    On a CPU the result is the same, byte for byte, however often the run was interrupted. Raises WorkError if the
    folder can't be written or the model diverges, InputError if the files to resume from are damaged.
    """
    if recipe.train.policy == "tabular":
        train_tabular(recipe, base, folder, on_progress)
        return
    model, start, tensors = _resume(folder, base, recipe)
    task = tokenised(recipe.task, base)
    trainer = Trainer(model, base, task, recipe.train, recipe.select)
    evaluator = Evaluator(task, recipe.evaluate, base, recipe.select, trainer.prompts_PT)
    if start > 0:
        checkpoint.restore_optimizer(model, trainer.optimizer, tensors)
        trainer.ledger = _ledger(trainer.ledger, tensors, folder.rows(LedgerRow))
        trainer.pass_rates = PassRates.of_rows(tensors.get("pass_rates", torch.zeros(0, 0)).tolist())
    else:
        folder.append(evaluator(model, 0))
    latest = folder.rows(EvaluationRow)[-1]
    stages = StageSteps.of(folder)
    for step in range(start + 1, recipe.train.steps + 1):
        trainer.objective = objective_at(step, recipe.train, stages)
        with _naming(step):
            row = trainer.step(step)
        folder.append(row)
        folder.append(trainer.ledger_row)
        started = time.perf_counter()
        if recipe.evaluate.at(step, recipe.train.steps):
            with _naming(step):
                latest = evaluator(model, step)
            folder.append(latest)
            if step < recipe.train.steps:
                folder.flush(TelemetryRow, LedgerRow, EvaluationRow)
                tensors = checkpoint.optimizer_tensors(model, trainer.optimizer) | _ledger_tensors(trainer.ledger)
                if trainer.pass_rates.histograms:
                    tensors["pass_rates"] = torch.from_numpy(np.array(trainer.pass_rates.histograms))
                checkpoint.save(folder.resume_checkpoint, model, tensors, kind="resume", step=step)
        stages.add(row, trainer.ledger_row, latest if latest.step == step else None)
        folder.append(TimingRow(step=step, **trainer.seconds, evaluate=time.perf_counter() - started))
        pass_at_1 = at_temperature(latest.held_out).pass_at_1
        on_progress(step, {"pass_at_1": pass_at_1, "entropy": row.entropy, "reward": row.reward})
    for alpha in recipe.evaluate.wise:
        held_out, training = evaluator.scores(interpolate(base, model, alpha))
        folder.append(InterpolationRow(step=recipe.train.steps, alpha=alpha, held_out=held_out, training=training))
    if recipe.train.keep_weights:
        checkpoint.save(folder.final_checkpoint, model, kind="policy", step=recipe.train.steps)
    else:
        checkpoint.save_header(folder.final_checkpoint, kind=checkpoint.NO_WEIGHTS, step=recipe.train.steps)
    folder.resume_checkpoint.unlink(missing_ok=True)


@dataclass
class StageSteps:
    """First step at which a run was read to be in each stage, from the rows of the steps so far."""

    first: dict[str, int] = field(default_factory=dict)
    monitor: StageMonitor = field(default_factory=StageMonitor)

    @classmethod
    def of(cls, folder: RunFolder) -> StageSteps:
        """The steps of a run to be resumed, from its files."""
        stages = cls()
        ledger = {row.step: row for row in folder.rows(LedgerRow)}
        evaluation = {row.step: row for row in folder.rows(EvaluationRow)}
        for row in folder.rows(TelemetryRow):
            stages.add(row, ledger.get(row.step), evaluation.get(row.step))
        return stages

    def add(self, row: TelemetryRow, ledger: LedgerRow | None, evaluation: EvaluationRow | None) -> None:
        """Add the rows of a step."""
        reading = self.monitor.update(monitored(row, ledger, evaluation))
        self.first.setdefault(reading.stage, reading.step)
        if self.monitor.saturated_at is not None:
            self.first.setdefault("saturation", self.monitor.saturated_at)


def objective_at(step: int, config: TrainConfig, stages: StageSteps) -> Objective:
    """Objective of a step (from 1), given the stages of the steps before it.

    It depends on past steps only, so a resumed run switches objectives at the same step.
    """
    if config.then is None:
        return config.objective
    at = config.then.at
    switched = step >= at if isinstance(at, int) else stages.first.get(at, step) < step
    return config.then.objective if switched else config.objective


def _ledger_tensors(ledger: GroupLedger) -> dict[str, Tensor]:
    """What the ledger remembers of each prompt: (prompts, 2), index and whether it was solved."""
    pairs = [[int(str(prompt)), int(solved)] for prompt, solved in ledger.solved.items()]
    return {"ledger": torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)}


def _ledger(ledger: GroupLedger, tensors: dict[str, Tensor], rows: Sequence[LedgerRow]) -> GroupLedger:
    """The ledger at the step to resume from."""
    solved = {prompt: bool(value) for prompt, value in tensors["ledger"].tolist()}
    return GroupLedger(ledger.threshold, solved, set(rows[-1].levels) or None, rows[-1].step)


@contextmanager
def _naming(step: int) -> Iterator[None]:
    """Put the step into the message of an error."""
    try:
        yield
    except RlvrscopeError as error:
        raise type(error)(f"step {step}: {error}") from error
    except Exception as error:
        raise WorkError(f"step {step}: {type(error).__name__}: {error}") from error


def _resume(folder: RunFolder, base: Policy, recipe: Recipe) -> tuple[Policy, int, dict[str, Tensor]]:
    """Return the policy to continue, its step and its optimizer state; drop the folder's rows after that step."""
    step, tensors = 0, {}
    if folder.resume_checkpoint.exists():
        model, tensors, header = checkpoint.load(folder.resume_checkpoint, base.device, kind="resume")
        step = checkpoint.step_of(folder.resume_checkpoint, header, recipe.train.steps)
        if "ledger" not in tensors:
            raise InputError(f"{folder.resume_checkpoint} lacks the ledger of its prompts. Remove it and run again.")
    else:
        model = copy.deepcopy(base)
    for kind in ROW_TYPES:
        folder.keep_until(kind, step if step else -1)
    every = list(range(1, step + 1))
    evaluated = [0, *(number for number in every if recipe.evaluate.at(number, recipe.train.steps))] if step else []
    for kind, steps in ((TelemetryRow, every), (LedgerRow, every), (EvaluationRow, evaluated)):
        if [row.step for row in folder.rows(kind)] != steps:
            path: Path = folder.file(kind)
            what = "evaluation" if kind is EvaluationRow else "step"
            raise InputError(f"{path} must have one row per {what} up to {step}. Remove {folder.path} and run again.")
    return model, step, tensors
