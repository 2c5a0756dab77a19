"""Results of an experiment, read back from its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rlvrscope import config
from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.experiment.plan import Plan
from rlvrscope.lab.finished import read_run
from rlvrscope.lab.recipe import CompareConfig, Recipe
from rlvrscope.runs.files import read_json
from rlvrscope.runs.finished_run import HELD_OUT, TRAINING, PromptSet, Run
from rlvrscope.runs.folder import RunFolder


@dataclass(frozen=True)
class Failure:
    """A failed run and its reason, in one line."""

    run: str
    arm: str
    reason: str


@dataclass(frozen=True)
class Experiment:
    """Finished runs of a comparison, in the recipe's order of arms, scored on one set of prompts."""

    recipe: Recipe
    runs: list[Run]
    """Runs with scores on `prompts`."""
    environment: dict[str, Any]
    failed: list[Failure]
    tabular: list[Run]
    """Runs without scores on held-out prompts, while those are the set in use."""
    prompts: PromptSet = HELD_OUT

    @classmethod
    def read(cls, folder: Path) -> Experiment:
        """Read an experiment on held-out prompts, or on training prompts if all its arms are tabular.

        Raises InputError if the folder holds no comparison, a run neither done nor failed, or only failures.
        """
        recipe = config.load(folder / "recipe.toml", Recipe)
        folders = [RunFolder(path) for path in sorted((folder / "runs").glob("*")) if path.is_dir()]
        if recipe.compare is None or not folders:
            raise InputError(f"{folder} holds no runs to compare: create them with `rlvrscope lab compare`")
        arm_of = {run.name: run.recipe.train.label for run in Plan.of(recipe, folder).runs()}
        unknown = [run.path.name for run in folders if run.path.name not in arm_of]
        if unknown:
            raise InputError(
                f"{folder / 'runs'} holds {unknown[0]!r}, which is no run of its recipe: move it elsewhere"
            )
        reasons = {run.path.name: run.failure for run in folders if run.failure is not None}
        failed = [Failure(name, arm_of[name], reason) for name, reason in reasons.items()]
        runs = [read_run(run.path) for run in folders if run.path.name not in reasons]
        if not runs:
            raise InputError(f"{folder}: every run failed; {failed[0].run}: {failed[0].reason}")
        for run in runs:
            if run.arm != arm_of[run.name]:
                raise InputError(f"{run.path} holds a run of arm {run.arm!r:.60}: its name says {arm_of[run.name]!r}")
        order = recipe.compare.labels
        runs.sort(key=lambda run: (order.index(run.arm), run.base, run.seed))
        network, tabular = ([run for run in runs if run.tabular == kind] for kind in (False, True))
        experiment = cls(recipe, network, read_json(folder / "environment.json"), failed, tabular)
        return experiment if network else experiment._with_training_prompts(runs)

    @property
    def compare(self) -> CompareConfig:
        assert self.recipe.compare is not None  # checked by `read`
        return self.recipe.compare

    @property
    def arms(self) -> list[str]:
        return list(dict.fromkeys(run.arm for run in self.runs))

    @property
    def missing_arms(self) -> list[str]:
        """Arms without a run on these prompts."""
        return [arm for arm in self.compare.labels if arm not in self.arms]

    def of(self, arm: str) -> list[Run]:
        return [run for run in self.runs if run.arm == arm]

    def failures(self, arm: str) -> int:
        return sum(failure.arm == arm for failure in self.failed)

    def on_training(self) -> Experiment | None:
        """Return the experiment scored on training prompts; None if it already is, or they were not scored."""
        runs = [*self.runs, *self.tabular]
        if self.prompts == TRAINING or not all(run.scored_on_training for run in runs):
            return None
        order = self.compare.labels
        return self._with_training_prompts(sorted(runs, key=lambda run: order.index(run.arm)))

    def _with_training_prompts(self, runs: list[Run]) -> Experiment:
        return replace(self, runs=[run.on(TRAINING) for run in runs], tabular=[], prompts=TRAINING)

    @property
    def starts(self) -> list[Run]:
        """Runs that represent the models before training: one per base, or per base and seed on training prompts."""
        if self.prompts == HELD_OUT:  # all runs of a base have the same first evaluation
            return [next(run for run in self.runs if run.base == base) for base in _bases(self.runs)]
        return list({(run.base, run.seed): run for run in reversed(self.runs)}.values())[::-1]

    @property
    def graded(self) -> bool:
        return all(run.graded for run in self.runs)


def mean_over_bases(runs: Sequence[Run], values: Sequence[Any]) -> Floats:
    """Mean over bases of the mean over their runs; one value, or array, per run."""
    groups = [[value for run, value in zip(runs, values, strict=True) if run.base == base] for base in _bases(runs)]
    return np.mean([np.mean(group, axis=0) for group in groups], axis=0)


def _bases(runs: Sequence[Run]) -> list[int]:
    return list(dict.fromkeys(run.base for run in runs))
