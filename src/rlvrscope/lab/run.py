"""One training run: steps, evaluations, checkpoints. A killed run resumes at its last evaluation."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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
from rlvrscope.monitor.saturation import saturated_at
from rlvrscope.objectives import Objective
from rlvrscope.runs.folder import RunFolder
from rlvrscope.runs.rows import ROW_TYPES, EvaluationRow, InterpolationRow, TelemetryRow, TimingRow, at_temperature

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
    model, start, moments = _resume(folder, base)
    task = tokenised(recipe.task, base)
    trainer = Trainer(model, base, task, recipe.train, recipe.select)
    evaluator = Evaluator(task, recipe.evaluate, base, recipe.select, trainer.prompts_PT)
    if start > 0:
        checkpoint.restore_optimizer(model, trainer.optimizer, moments)
    else:
        folder.append(evaluator(model, 0))
    latest = folder.rows(EvaluationRow)[-1]
    entropies = [row.entropy for row in folder.rows(TelemetryRow)]
    for step in range(start + 1, recipe.train.steps + 1):
        trainer.objective = objective_at(step, recipe.train, entropies)
        with _naming(step):
            row = trainer.step(step)
        entropies.append(row.entropy)
        folder.append(row)
        started = time.perf_counter()
        if recipe.evaluate.at(step, recipe.train.steps):
            with _naming(step):
                latest = evaluator(model, step)
            folder.append(latest)
            if step < recipe.train.steps:
                folder.flush(TelemetryRow, EvaluationRow)
                moments = checkpoint.optimizer_tensors(model, trainer.optimizer)
                checkpoint.save(folder.resume_checkpoint, model, moments, kind="resume", step=step)
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


def objective_at(step: int, config: TrainConfig, entropies: Sequence[float]) -> Objective:
    """Objective of a step (from 1), given the token entropies of the steps before it.

    It depends on past steps only, so a resumed run switches objectives at the same step.
    """
    if config.then is None:
        return config.objective
    at = config.then.at
    switched = saturated_at(entropies[: step - 1]) is not None if at == "saturation" else step >= at
    return config.then.objective if switched else config.objective


@contextmanager
def _naming(step: int) -> Iterator[None]:
    """Put the step into the message of an error."""
    try:
        yield
    except RlvrscopeError as error:
        raise type(error)(f"step {step}: {error}") from error
    except Exception as error:
        raise WorkError(f"step {step}: {type(error).__name__}: {error}") from error


def _resume(folder: RunFolder, base: Policy) -> tuple[Policy, int, dict[str, Tensor]]:
    """Return the policy to continue, its step and its optimizer state; drop the folder's rows after that step."""
    step, tensors = 0, {}
    if folder.resume_checkpoint.exists():
        model, tensors, header = checkpoint.load(folder.resume_checkpoint, base.device, kind="resume")
        step = int(header["step"])
    else:
        model = copy.deepcopy(base)
    for kind in ROW_TYPES:
        folder.keep_until(kind, step if step else -1)
    if [row.step for row in folder.rows(TelemetryRow)] != list(range(1, step + 1)):
        path: Path = folder.file(TelemetryRow)
        raise InputError(f"{path} must have one row per step up to {step}. Remove {folder.path} and run again.")
    return model, step, tensors
