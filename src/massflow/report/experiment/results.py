"""An experiment's folder, read back into arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from massflow import config
from massflow.errors import InputError
from massflow.lab.recipe import Recipe
from massflow.runs import Row, RunFolder, read_json
from massflow.stats.bootstrap import Floats


@dataclass(frozen=True)
class Run:
    """One finished run: its recipe and its rows."""

    name: str
    recipe: Recipe
    evaluation: list[Row]
    telemetry: list[Row]
    timing: list[Row]

    @property
    def objective(self) -> str:
        return self.recipe.train.objective.name

    def scores(self, temperature: float = 1.0) -> list[Row]:
        """The scores of every evaluation at one temperature, in order of steps."""
        return [
            next(score for score in row["scores"] if score["temperature"] == temperature) for row in self.evaluation
        ]

    def success_SP(self, temperature: float = 1.0) -> Floats:
        """P(right), one row an evaluation (row 0 is the base), one column a held-out prompt."""
        return np.array([score["success"] for score in self.scores(temperature)])

    def distinct_SP(self) -> Floats:
        """The expected number of different right answers in 256 samples."""
        return np.array([score["distinct"] for score in self.scores()])

    def mass_SP(self, kind: str) -> Floats:
        """The mass of right answers that were `kind` under the base."""
        return np.array([score["mass"][kind] for score in self.scores()])

    @property
    def steps(self) -> list[int]:
        return [row["step"] for row in self.evaluation]


@dataclass(frozen=True)
class Experiment:
    """A comparison, read from its folder: every run, by objective in the recipe's order."""

    recipe: Recipe
    runs: list[Run]
    environment: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Experiment:
        """Raises InputError if the folder holds no comparison, or runs that are not done."""
        recipe = config.load(folder / "recipe.toml", Recipe)
        runs = [_read_run(path) for path in sorted((folder / "runs").glob("*")) if path.is_dir()]
        if recipe.compare is None or not runs:
            raise InputError(f"{folder} holds no runs to compare: make them with `massflow demo --out {folder}`")
        order = [objective.name for objective in recipe.compare.objectives]
        runs.sort(key=lambda run: (order.index(run.objective), run.recipe.pretrain.seed, run.recipe.train.seed))
        return cls(recipe, runs, read_json(folder / "environment.json"))

    @property
    def objectives(self) -> list[str]:
        return list(dict.fromkeys(run.objective for run in self.runs))

    def of(self, objective: str) -> list[Run]:
        return [run for run in self.runs if run.objective == objective]


def _read_run(path: Path) -> Run:
    folder = RunFolder(path)
    if not folder.done:
        raise InputError(f"{path} is not finished: start the command that made it again, it goes on from there")
    recipe = config.load(path / "recipe.toml", Recipe)
    steps = recipe.train.steps
    return Run(
        path.name,
        recipe,
        folder.complete_rows("evaluation", steps),
        folder.complete_rows("telemetry", steps),
        folder.rows("timing"),
    )
