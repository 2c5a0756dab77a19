"""WiSE-FT: weights interpolated between a base and what was trained from it, a baseline that costs no training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlvrscope import config
from rlvrscope.errors import InputError
from rlvrscope.lab import checkpoint
from rlvrscope.lab.evaluate import Evaluator
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.recipe import BOUNDARY_K, Recipe
from rlvrscope.runs import RunFolder
from rlvrscope.stats import pass_at_k_exact

KS = (1, 8, BOUNDARY_K)


@dataclass(frozen=True)
class Source:
    """A model read from a checkpoint or a run folder; a run folder knows its recipe."""

    path: Path
    model: Transformer
    recipe: Recipe | None
    base: str | None
    """Digest that names the base that the model is, or was trained from, where it is known."""


def interpolate(base: Transformer, trained: Transformer, alpha: float) -> Transformer:
    """A new model with weights (1 - alpha) base + alpha trained: 0 is the base, 1 the trained model, bit for bit.

    Raises InputError for alpha outside [0, 1] and for models of different shapes.
    Source: WiSE-FT, arXiv 2109.01903, eq. 1.
    """
    if not 0.0 <= alpha <= 1.0:
        raise InputError(f"alpha is a share, from 0 (the base) to 1 (the trained model); got {alpha:g}")
    if _shape(base) != _shape(trained):
        raise InputError(f"models must have the same shape; got {_shape(base)} and {_shape(trained)}")
    between = copy.deepcopy(base)
    with torch.no_grad():
        for weights, goal in zip(between.parameters(), trained.parameters(), strict=True):
            weights.lerp_(goal, alpha)
    return between


def read_source(path: Path, device: torch.device) -> Source:
    """The model of a checkpoint, or the final one of a run folder. Raises InputError if there is none."""
    if not path.exists():
        raise InputError(f"cannot read {path}: there is no such checkpoint or run folder")
    if not path.is_dir() and path.suffix != ".safetensors":
        raise InputError(f"{path} is neither a checkpoint (.safetensors) nor a run folder")
    if not path.is_dir():
        model, _, header = checkpoint.load(path, device)
        _check_kind(path, header)
        return Source(path, model, None, header.get("recipe"))
    if not (path / "recipe.toml").exists():
        raise InputError(f"{path} is a folder without a run: name a run folder, or a checkpoint (.safetensors)")
    folder = RunFolder(path)
    if not folder.done:
        several = (path / "runs").is_dir()
        cure = f"it holds several, name one in {path / 'runs'}" if several else "start its command again, it goes on"
        raise InputError(f"{path} holds no finished run: {cure}")
    recipe = config.load(path / "recipe.toml", Recipe)
    model, _, header = checkpoint.load(folder.final_checkpoint, device)
    _check_kind(path, header)
    return Source(path, model, recipe, recipe.base_digest())


def _check_kind(path: Path, header: Mapping[str, Any]) -> None:
    if header.get("kind") == "tabular":
        raise InputError(f"{path} holds a tabular policy: it has no weights to interpolate")


def check_pair(base: Source, trained: Source, recipe: Recipe) -> None:
    """Raises InputError if the models are not one family, or can't do the recipe's task."""
    if base.base and trained.base and base.base != trained.base:
        raise InputError(
            f"{trained.path} was not trained from the base of {base.path}: between unrelated weights lies "
            "nothing of use. `rlvrscope lab pretrain` on the run's recipe.toml prints where its base is."
        )
    task = recipe.task
    needed = (task.vocab_size, task.prompt_length + task.completion_length)
    if (base.model.vocab_size, base.model.context) != needed:
        raise InputError(
            f"the {task.name} task of the recipe has {needed[0]} tokens and {needed[1]} positions; {base.path} has "
            f"{base.model.vocab_size} and {base.model.context}. Give the recipe that it was made with."
        )


def save_mixture(path: Path, model: Transformer, alpha: float, made_of: Sequence[Source]) -> None:
    """Write a checkpoint. Raises InputError if it would replace one of those it is made of."""
    for source in made_of:
        files = (source.path, RunFolder(source.path).final_checkpoint)
        if any(file.exists() and path.exists() and file.samefile(path) for file in files):
            raise InputError(f"--out {path} is what the mixture is made of: choose another file")
    checkpoint.save(path, model, kind="policy", alpha=alpha)


def score(
    recipe: Recipe,
    base: Transformer,
    models: Mapping[float, Transformer],
    on_alpha: Callable[[float], None] = lambda alpha: None,
) -> list[dict[str, Any]]:
    """One row an alpha, on the recipe's held-out prompts at temperature 1: exact pass@k and distinct right answers.

    token_entropy is in nats, from samples of states. on_alpha is called before each.
    """
    plain = recipe.evaluate.model_copy(update={"temperatures": (1.0,)})
    evaluator = Evaluator(recipe.task, plain, base, recipe.select)
    rows = []
    for alpha, model in models.items():
        on_alpha(alpha)
        found = evaluator(model, 0)
        (at_one,) = found["scores"]
        passes = pass_at_k_exact(np.array(at_one["success"]), KS).mean(axis=0)
        rows.append(
            {
                "alpha": alpha,
                **{f"pass_at_{k}": float(value) for k, value in zip(KS, passes, strict=True)},
                "distinct_correct": at_one["distinct_correct"],
                "token_entropy": found["token_entropy"],
            }
        )
    return rows


def _shape(model: Transformer) -> str:
    size = model.config
    return (
        f"width {size.width}, {size.layers} layers, {size.heads} heads, {model.vocab_size} tokens, "
        f"{model.context} positions"
    )
