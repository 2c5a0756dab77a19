"""An experiment's folder, read back into arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rlvrscope import config
from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.experiment.plan import cells
from rlvrscope.lab.recipe import Recipe
from rlvrscope.runs import Row, RunFolder, at_temperature, read_json

HELD_OUT, TRAINING = "held out", "training prompts"
SCORES = {HELD_OUT: "scores", TRAINING: "train"}
"""Where a row of evaluation.jsonl has them."""


@dataclass(frozen=True)
class Run:
    """One finished run: its recipe and its rows."""

    name: str
    recipe: Recipe
    evaluation: list[Row]
    telemetry: list[Row]
    timing: list[Row]
    wise: list[Row]
    """The final model's weights interpolated with the base's, a row an alpha, in order of alpha."""
    prompts: str = HELD_OUT
    """Which are looked at: the held-out ones, or those training prompts that were scored."""

    @property
    def arm(self) -> str:
        return self.recipe.train.label

    @property
    def base(self) -> int:
        return self.recipe.pretrain.seed

    @property
    def seed(self) -> int:
        return self.recipe.train.seed

    def scores(self, temperature: float = 1.0) -> list[Row]:
        """The scores of every evaluation at one temperature, in order of steps."""
        key = SCORES[self.prompts]
        return [at_temperature(row[key], temperature) for row in self.evaluation]

    def success_SP(self, temperature: float = 1.0) -> Floats:
        """P(right), one row an evaluation (row 0 is the base), one column a held-out prompt."""
        return np.array([score["success"] for score in self.scores(temperature)])

    def mixed_SP(self) -> Floats:
        """P(right) of the weights between base and final model, one row an alpha; (0, P) where none were scored."""
        key = SCORES[self.prompts]
        rows = [at_temperature(row[key])["success"] for row in self.wise if key in row]
        return np.array(rows).reshape(-1, len(self.scores()[0]["success"]))

    def distinct_SP(self) -> Floats:
        """The expected number of different right answers in 256 samples."""
        return np.array([score["distinct"] for score in self.scores()])

    def optimal_SP(self) -> Floats:
        """The mass of answers with reward 1, where rewards are graded."""
        return np.array([score["optimal"] for score in self.scores()])

    def mass_SP(self, kind: str) -> Floats:
        """The mass of right answers that were `kind` under the base."""
        return np.array([score["mass"][kind] for score in self.scores()])

    @property
    def tabular(self) -> bool:
        """Whether it knows its training prompts only."""
        return self.recipe.train.policy == "tabular"

    @property
    def steps(self) -> list[int]:
        return [row["step"] for row in self.evaluation]

    @property
    def cpu_seconds_S(self) -> Floats | None:
        """CPU seconds of training until each evaluation; None where they were not kept for every step."""
        seconds = {row["step"]: row["cpu"] for row in self.timing if "cpu" in row}
        if seconds.keys() != set(range(1, self.steps[-1] + 1)):
            return None
        return np.array([sum(seconds[step] for step in range(1, until + 1)) for until in self.steps], dtype=np.float64)

    @property
    def graded(self) -> bool:
        """Whether right answers differ in reward, so that the mass of the best ones was kept too."""
        return all("optimal" in score for score in self.scores())


@dataclass(frozen=True)
class Failure:
    """A run that failed, and why, in a line."""

    run: str
    arm: str
    reason: str


@dataclass(frozen=True)
class Experiment:
    """A comparison, read from its folder: every run, by arm in the recipe's order."""

    recipe: Recipe
    runs: list[Run]
    """Those that can be looked at on `prompts`."""
    environment: dict[str, Any]
    failed: list[Failure]
    tabular: list[Run]
    """Those that know their training prompts only, while it is held-out ones that are looked at."""
    prompts: str = HELD_OUT

    @classmethod
    def read(cls, folder: Path) -> Experiment:
        """Looked at on held-out prompts; if all arms are tabular, on training prompts.

        Raises InputError if the folder holds no comparison, a run neither done nor failed, or only failures.
        """
        recipe = config.load(folder / "recipe.toml", Recipe)
        found = [RunFolder(path) for path in sorted((folder / "runs").glob("*")) if path.is_dir()]
        if recipe.compare is None or not found:
            raise InputError(f"{folder} holds no runs to compare: make them with `rlvrscope lab compare`")
        arm_of = {cell.name: cell.recipe.train.label for cell in cells(recipe, folder)}
        reasons = {run.path.name: run.failure for run in found if run.failure is not None}
        failed = [Failure(name, arm_of[name], reason) for name, reason in reasons.items()]
        runs = [_read_run(run) for run in found if run.path.name not in reasons]
        if not runs:
            raise InputError(f"{folder}: every run failed; {failed[0].run}: {failed[0].reason}")
        order = recipe.compare.labels
        runs.sort(key=lambda run: (order.index(run.arm), run.base, run.seed))
        network, tabular = ([run for run in runs if run.tabular == kind] for kind in (False, True))
        made = cls(recipe, network, read_json(folder / "environment.json"), failed, tabular)
        return made if network else made._trained(runs)

    @property
    def arms(self) -> list[str]:
        return list(dict.fromkeys(run.arm for run in self.runs))

    def of(self, arm: str) -> list[Run]:
        return [run for run in self.runs if run.arm == arm]

    def on_training(self) -> Experiment | None:
        """The same, looked at on training prompts; None if they were not scored, or are looked at already."""
        compare = self.recipe.compare
        assert compare is not None  # `read` saw to it
        order, every = compare.labels, [*self.runs, *self.tabular]
        scored = all(SCORES[TRAINING] in row for run in every for row in run.evaluation)
        if self.prompts == TRAINING or not scored:
            return None
        return self._trained(sorted(every, key=lambda run: order.index(run.arm)))

    def _trained(self, runs: list[Run]) -> Experiment:
        looked_at = [replace(run, prompts=TRAINING) for run in runs]
        return replace(self, runs=looked_at, tabular=[], prompts=TRAINING)

    @property
    def prompts_words(self) -> str:
        return "held-out prompts" if self.prompts == HELD_OUT else TRAINING

    @property
    def untold(self) -> list[str]:
        """Arms of which nothing is known on these prompts: tabular ones on held-out ones, and those without a run."""
        compare = self.recipe.compare
        assert compare is not None  # `read` saw to it
        return [arm for arm in compare.labels if arm not in self.arms]

    def failures(self, arm: str) -> int:
        return sum(failure.arm == arm for failure in self.failed)

    @property
    def starts(self) -> list[Run]:
        """Runs that show what there was before training: one a base or, on training prompts, one a base and seed."""
        return one_a_base(self.runs) if self.prompts == HELD_OUT else one_a_seed(self.runs)

    @property
    def graded(self) -> bool:
        return all(run.graded for run in self.runs)


def mean_over_bases(runs: Sequence[Run], values: Sequence[Any]) -> Floats:
    """The mean over bases of the mean over their runs: one value, or array, a run."""
    groups = [[value for run, value in zip(runs, values, strict=True) if run.base == base] for base in _bases(runs)]
    return np.mean([np.mean(group, axis=0) for group in groups], axis=0)


def one_a_base(runs: Sequence[Run]) -> list[Run]:
    """A run from each base: before training they are all the same on held-out prompts."""
    return [next(run for run in runs if run.base == base) for base in _bases(runs)]


def one_a_seed(runs: Sequence[Run]) -> list[Run]:
    """A run of each base and seed: before training all arms are the same, on training prompts too."""
    return list({(run.base, run.seed): run for run in reversed(runs)}.values())[::-1]


def _bases(runs: Sequence[Run]) -> list[int]:
    return list(dict.fromkeys(run.base for run in runs))


def _read_run(folder: RunFolder) -> Run:
    path = folder.path
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
        sorted(folder.rows("wise"), key=lambda row: row["alpha"]),
    )
