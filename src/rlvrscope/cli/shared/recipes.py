"""Recipes that a command is about to run, with the functions of the user's own that they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from rlvrscope import config
from rlvrscope.config import AnySection
from rlvrscope.errors import InputError

if TYPE_CHECKING:
    from rlvrscope.objectives import Objective

RUN_FILES = ("telemetry.jsonl", "evaluation.jsonl", "environment.json", "checkpoints", "runs")
"""Files and folders beside the recipe.toml of a run or an experiment."""


def load_to_run(path: Path, model: type[AnySection], overrides: Sequence[str]) -> AnySection:
    """Read a recipe and load the functions that it names, before any work.

    Raises InputError as `config.load` does, for a function that can't be loaded, and for one that only the recipe of
    a run's folder names: data must not choose code to run.
    """
    from rlvrscope.objectives import FunctionShape

    recipe = config.load(path, model, overrides)
    arms: Any = getattr(recipe, "arms", dict)
    for objective in _objectives([recipe, arms()]):
        if isinstance(objective.shape, FunctionShape):
            function = objective.shape.function
            if _is_of_run(path) and not any(function in override for override in overrides):
                raise InputError(
                    f"{path} is the recipe of a run's folder, and names your own code, {function}: if you trust it, "
                    f"add --set train.objective.shape={function}, or the arm's key"
                )
            objective.load()
    return recipe


def _is_of_run(path: Path) -> bool:
    return path.name == "recipe.toml" and any((path.parent / name).exists() for name in RUN_FILES)


def _objectives(value: Any) -> Iterator[Objective]:
    from rlvrscope.objectives import Objective

    if isinstance(value, Objective):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _objectives(getattr(value, name))
    elif isinstance(value, dict):
        yield from _objectives(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _objectives(item)
