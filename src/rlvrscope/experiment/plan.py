"""The runs of a comparison, and of the tuning before it: name, recipe, folder. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvrscope.errors import InputError
from rlvrscope.lab.recipe import CompareConfig, Recipe, TrainConfig
from rlvrscope.runs import RunFolder


@dataclass(frozen=True)
class Cell:
    """One run: its name, its own recipe, its folder."""

    name: str
    recipe: Recipe
    folder: RunFolder


def compared(recipe: Recipe) -> CompareConfig:
    """The [compare] section. Raises InputError if there is none."""
    if recipe.compare is None:
        raise InputError(f"recipe {recipe.name!r} has no [compare] section: say which objectives, bases and seeds")
    return recipe.compare


def cells(recipe: Recipe, out: Path, rates: Mapping[str, float] | None = None) -> list[Cell]:
    """The runs of a comparison: bases x seeds x arms, so that the first runs done already compare arms.

    rates: learning rates of arms, where they have been tuned.
    """
    compare, arms = compared(recipe), recipe.arms()
    found = []
    for base in compare.bases:
        for seed in compare.seeds:
            for arm, settings in arms.items():
                changes = {"seed": seed, **({"learning_rate": rates[arm]} if rates and arm in rates else {})}
                name = f"{arm}-base{base}-seed{seed}"
                train = settings.model_copy(update=changes)
                found.append(Cell(name, _single(recipe, name, base, train), RunFolder(out / "runs" / name)))
    return found


def tuning_cells(recipe: Recipe, out: Path) -> dict[str, dict[float, Sequence[Cell]]]:
    """The runs that settle each arm's learning rate, by arm and rate, one a base; no arm that sets its own."""
    tune, compare = recipe.tune, compared(recipe)
    if tune is None:
        return {}
    evaluate = recipe.evaluate.model_copy(
        update={
            "prompts": tune.prompts,
            "avoid": recipe.evaluate.prompts,
            "temperatures": (1.0,),
            "wise": (),
            "train_prompts": 0,
        }
    )

    def cell(arm: str, settings: TrainConfig, rate: float, base: int) -> Cell:
        name = f"{arm}-rate{rate:g}-base{base}"
        train = settings.model_copy(update={"seed": tune.seed, "learning_rate": rate})
        single = _single(recipe, name, base, train).model_copy(update={"evaluate": evaluate})
        return Cell(name, single, RunFolder(out / "tuning" / name))

    found: dict[str, dict[float, Sequence[Cell]]] = {}
    for arm, settings in recipe.arms().items():
        if "learning_rate" in compare.arms.get(arm, {}):
            continue
        found[arm] = {rate: [cell(arm, settings, rate, base) for base in tune.bases] for rate in tune.rates}
    return found


def _single(recipe: Recipe, name: str, base: int, train: TrainConfig) -> Recipe:
    pretrain = recipe.pretrain.model_copy(update={"seed": base})
    train = train.model_copy(update={"base": base})
    changes = {"name": name, "pretrain": pretrain, "train": train, "compare": None, "tune": None}
    return recipe.model_copy(update=changes)
