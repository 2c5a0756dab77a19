"""Plan of an experiment: the runs of its comparison, and of the tuning before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rlvrscope.errors import InputError
from rlvrscope.lab.recipe import CompareConfig, Recipe, TrainConfig
from rlvrscope.runs.folder import RunFolder


@dataclass(frozen=True)
class PlannedRun:
    """A run to train: its name, the recipe of this single run, its folder."""

    name: str
    recipe: Recipe
    folder: RunFolder


@dataclass(frozen=True)
class Plan:
    """All runs of an experiment. `tuning` holds the runs of each arm and learning rate, one per tuning base."""

    recipe: Recipe
    out: Path
    tuning: Mapping[str, Mapping[float, list[PlannedRun]]]

    @classmethod
    def of(cls, recipe: Recipe, out: Path) -> Plan:
        """Plan a recipe in a folder. Raises InputError if the recipe has no [compare] section."""
        if recipe.compare is None:
            raise InputError(f"recipe {recipe.name!r} has no [compare] section, with objectives, bases and seeds")
        tuning: dict[str, dict[float, list[PlannedRun]]] = {}
        if recipe.tune is not None:
            fixed = {arm for arm, changes in recipe.compare.arms.items() if "learning_rate" in changes}
            for arm, settings in recipe.arms().items():
                if arm not in fixed:
                    tuning[arm] = {rate: _tuning_runs(recipe, out, arm, settings, rate) for rate in recipe.tune.rates}
        return cls(recipe, out, tuning)

    @property
    def compare(self) -> CompareConfig:
        assert self.recipe.compare is not None  # checked by `of`
        return self.recipe.compare

    @property
    def tuning_runs(self) -> list[PlannedRun]:
        return [run for by_rate in self.tuning.values() for runs in by_rate.values() for run in runs]

    def runs(self, rates: Mapping[str, float] | None = None) -> list[PlannedRun]:
        """Runs of the comparison, base by base and seed by seed, so that the first finished runs compare all arms.

        rates: tuned learning rates by arm.
        """
        runs = []
        for base in self.compare.bases:
            for seed in self.compare.seeds:
                for arm, settings in self.recipe.arms().items():
                    changes = {"seed": seed, **({"learning_rate": rates[arm]} if rates and arm in rates else {})}
                    name = f"{arm}-base{base}-seed{seed}"
                    single = _single(self.recipe, name, base, settings.model_copy(update=changes))
                    runs.append(PlannedRun(name, single, RunFolder(self.out / "runs" / name)))
        return runs


def _tuning_runs(recipe: Recipe, out: Path, arm: str, settings: TrainConfig, rate: float) -> list[PlannedRun]:
    tune = recipe.tune
    assert tune is not None  # the caller checked
    changes = {"prompts": tune.prompts, "avoid": recipe.evaluate.prompts}
    changes |= {"temperatures": (1.0,), "wise": (), "train_prompts": 0}
    evaluate = recipe.evaluate.model_copy(update=changes)
    keeps = settings.keep_weights and recipe.pretrain is not None
    runs = []
    for base in tune.bases:
        name = f"{arm}-rate{rate:g}-base{base}"
        train = settings.model_copy(update={"seed": tune.seed, "learning_rate": rate, "keep_weights": keeps})
        single = _single(recipe, name, base, train).model_copy(update={"evaluate": evaluate})
        runs.append(PlannedRun(name, single, RunFolder(out / "tuning" / name)))
    return runs


def _single(recipe: Recipe, name: str, base: int, train: TrainConfig) -> Recipe:
    """Return the recipe of one run, on one base."""
    pretrain = None if recipe.pretrain is None else recipe.pretrain.model_copy(update={"seed": base})
    train = train.model_copy(update={"base": base})
    changes = {"name": name, "pretrain": pretrain, "train": train, "compare": None, "tune": None}
    return recipe.model_copy(update=changes)
