"""A run: steps, evaluations, checkpoints; resumable after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from rlvrscope.errors import InputError, RlvrscopeError, WorkError
from rlvrscope.lab import checkpoint
from rlvrscope.lab.evaluate import Evaluator
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.recipe import Recipe
from rlvrscope.lab.schedule import objective_at
from rlvrscope.lab.tabular import train_tabular
from rlvrscope.lab.trainer import Trainer
from rlvrscope.lab.wise import interpolate
from rlvrscope.runs import RunFolder, at_temperature

OnProgress = Callable[[int, dict[str, Any]], None]
"""Called with the step just done, its telemetry and the latest pass@1."""
ROWS = ("telemetry", "evaluation", "timing", "wise")


def train(
    recipe: Recipe, base: Transformer, folder: RunFolder, on_progress: OnProgress = lambda step, facts: None
) -> None:
    """Train one run into its folder; started again after a kill, it goes on from the last evaluation.

    On a CPU the result is the same, byte for byte, however often it was interrupted. Raises WorkError if it can't be
    written or the model diverges, InputError if what is there to go on from is damaged.
    """
    if recipe.train.policy == "tabular":
        train_tabular(recipe, base, folder, on_progress)
        return
    model, start, moments = _resume(folder, base)
    trainer = Trainer(model, base, recipe.task, recipe.train, recipe.select)
    evaluator = Evaluator(recipe.task, recipe.evaluate, base, recipe.select, trainer.prompts_PT)
    if start > 0:
        checkpoint.restore_optimizer(model, trainer.optimizer, moments)
    else:
        folder.append("evaluation", evaluator(model, 0))
    latest: dict[str, Any] = folder.rows("evaluation")[-1]
    entropies = [row["token_entropy"] for row in folder.rows("telemetry")]
    for step in range(start + 1, recipe.train.steps + 1):
        trainer.objective = objective_at(step, recipe.train, entropies)
        with _named(step):
            row = trainer.step(step)
        entropies.append(row["token_entropy"])
        folder.append("telemetry", row)
        evaluated = time.perf_counter()
        if recipe.evaluate.at(step, recipe.train.steps):
            with _named(step):
                latest = evaluator(model, step)
            folder.append("evaluation", latest)
            if step < recipe.train.steps:
                folder.flush("telemetry", "evaluation")
                moments = checkpoint.optimizer_tensors(model, trainer.optimizer)
                checkpoint.save(folder.resume_checkpoint, model, moments, kind="resume", step=step)
        folder.append("timing", {"step": step, **trainer.seconds, "evaluate": time.perf_counter() - evaluated})
        on_progress(step, {**row, "pass_at_1": at_temperature(latest["scores"])["pass_at_1"]})
    for alpha in recipe.evaluate.wise:
        scores = evaluator.scores(interpolate(base, model, alpha))
        folder.append("wise", {"step": recipe.train.steps, "alpha": alpha, **scores})
    checkpoint.save(folder.final_checkpoint, model, kind="policy", step=recipe.train.steps)
    folder.resume_checkpoint.unlink(missing_ok=True)


@contextmanager
def _named(step: int) -> Iterator[None]:
    """An error says at which step it came up."""
    try:
        yield
    except RlvrscopeError as error:
        raise type(error)(f"step {step}: {error}") from error
    except Exception as error:
        raise WorkError(f"step {step}: {type(error).__name__}: {error}") from error


def _resume(folder: RunFolder, base: Transformer) -> tuple[Transformer, int, dict[str, Tensor]]:
    """The policy to go on from, its step and its optimizer; the folder's rows past that step are dropped."""
    step, tensors = 0, {}
    if folder.resume_checkpoint.exists():
        model, tensors, header = checkpoint.load(folder.resume_checkpoint, base.device, kind="resume")
        step = int(header["step"])
    else:
        model = Transformer(base.config, base.vocab_size, base.context).to(base.device)
        model.load_state_dict(base.state_dict())
    for name in ROWS:
        folder.keep_until(name, step if step else -1)
    if [row["step"] for row in folder.rows("telemetry")] != list(range(1, step + 1)):
        raise InputError(
            f"{folder.path}: telemetry.jsonl has not one row a step up to {step}. Remove it and run again."
        )
    return model, step, tensors
