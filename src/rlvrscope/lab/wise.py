"""WiSE-FT: weights interpolated between a base and a model trained from it, a baseline that needs no training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from rlvrscope import config
from rlvrscope.errors import InputError
from rlvrscope.lab import checkpoint
from rlvrscope.lab.evaluate import Evaluator
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.recipe import PretrainedConfig, Recipe
from rlvrscope.lab.tasks import TextTask
from rlvrscope.lab.tokenised_task import tokenised
from rlvrscope.runs.folder import RunFolder
from rlvrscope.runs.rows import EvaluationRow

AnyPolicy = TypeVar("AnyPolicy", bound=Policy)


@dataclass(frozen=True)
class Source:
    """A model read from a checkpoint or a run folder; only a run folder has a recipe."""

    path: Path
    model: Policy
    recipe: Recipe | None
    base: str | None
    """Digest of the base that the model is or was trained from; None if unknown."""


def interpolate(base: AnyPolicy, trained: AnyPolicy, alpha: float) -> AnyPolicy:
    """Return a new model with weights (1 - alpha) base + alpha trained; alpha 0 and 1 reproduce the two bit for bit.

    Raises InputError for alpha outside [0, 1] and for models of different shapes.
    Source: WiSE-FT, arXiv 2109.01903, eq. 1.
    """
    if not 0.0 <= alpha <= 1.0:
        raise InputError(f"alpha must be between 0 (the base) and 1 (the trained model); got {alpha:g}")
    if _shape(base) != _shape(trained):
        raise InputError(f"models must have the same shape; got {_shape(base)} and {_shape(trained)}")
    mixture = copy.deepcopy(base)
    with torch.no_grad():
        for weights, end in zip(mixture.module.parameters(), trained.module.parameters(), strict=True):
            weights.lerp_(end, alpha)
    return mixture


def read_source(path: Path, device: torch.device) -> Source:
    """Read a checkpoint, or the final model of a run folder. Raises InputError if it does not exist."""
    if not path.exists():
        raise InputError(f"cannot read {path}: there is no such checkpoint or run folder")
    if not path.is_dir() and path.suffix != ".safetensors":
        raise InputError(f"{path} is neither a checkpoint (.safetensors) nor a run folder")
    if not path.is_dir():
        model, _, header = checkpoint.load(path, device)
        _check_kind(path, header)
        return Source(path, model, None, header.get("sha256") or header.get("recipe"))
    if (path / "config.json").exists():
        from rlvrscope.lab.tree_policy import TreePolicy

        model = TreePolicy.load(PretrainedConfig(pretrained=str(path)), device)
        return Source(path, model, None, model.identity["sha256"])
    if not (path / "recipe.toml").exists():
        raise InputError(f"{path} is a folder without a run: name a run folder, or a checkpoint (.safetensors)")
    folder = RunFolder(path)
    if not folder.done:
        several = (path / "runs").is_dir()
        remedy = f"it holds several, name one in {path / 'runs'}" if several else "run its command again, it resumes"
        raise InputError(f"{path} holds no finished run: {remedy}")
    recipe = config.load(path / "recipe.toml", Recipe)
    model, _, header = checkpoint.load(folder.final_checkpoint, device)
    _check_kind(path, header)
    return Source(path, model, recipe, header.get("sha256") or recipe.base_digest())


def _check_kind(path: Path, header: Mapping[str, Any]) -> None:
    if header.get("kind") == "tabular":
        raise InputError(f"{path} holds a tabular policy, which has no weights to interpolate")


def check_pair(base: Source, trained: Source, recipe: Recipe) -> None:
    """Raise InputError unless the second model was trained from the first and both fit the recipe's task."""
    if base.base and trained.base and base.base != trained.base:
        raise InputError(
            f"{trained.path} was not trained from the base of {base.path}: a mixture of unrelated weights is "
            "meaningless. `rlvrscope lab pretrain` on the run's recipe.toml prints the path of its base."
        )
    task = recipe.task
    if isinstance(task, TextTask):
        if not all(isinstance(source.model.config, PretrainedConfig) for source in (base, trained)):
            raise InputError(f"the {task.name} task of the recipe needs pretrained models")
        return
    needed = (task.vocab_size, task.prompt_length + task.completion_length)
    if (base.model.vocab_size, base.model.context) != needed:
        raise InputError(
            f"the {task.name} task of the recipe has {needed[0]} tokens and {needed[1]} positions; {base.path} has "
            f"{base.model.vocab_size} and {base.model.context}. Give the recipe that produced it."
        )


def save_mixture(path: Path, model: Policy, alpha: float, sources: Sequence[Source]) -> None:
    """Write a checkpoint. Raises InputError if it would overwrite one of its sources."""
    for source in sources:
        files = (source.path, RunFolder(source.path).final_checkpoint)
        if any(file.exists() and path.exists() and file.samefile(path) for file in files):
            raise InputError(f"--out {path} is one of the two models: choose another file")
    checkpoint.save(path, model, kind="policy", alpha=alpha)


def score(
    recipe: Recipe,
    base: Policy,
    models: Mapping[float, Policy],
    on_alpha: Callable[[float], None] = lambda alpha: None,
) -> dict[float, EvaluationRow]:
    """Evaluate models on the recipe's held-out prompts at temperature 1, by alpha. on_alpha is called before each."""
    evaluate = recipe.evaluate.model_copy(update={"temperatures": (1.0,)})
    evaluator = Evaluator(tokenised(recipe.task, base), evaluate, base, recipe.select)
    rows = {}
    for alpha, model in models.items():
        on_alpha(alpha)
        rows[alpha] = evaluator(model, 0)
    return rows


def _shape(model: Policy) -> str:
    size = model.config
    if isinstance(size, PretrainedConfig):
        return f"{sum(weight.numel() for weight in model.module.parameters()):,} pretrained parameters"
    return (
        f"width {size.width}, {size.layers} layers, {size.heads} heads, {model.vocab_size} tokens, "
        f"{model.context} positions"
    )
