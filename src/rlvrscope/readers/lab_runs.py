"""Counts drawn from the exact success probabilities of the lab's runs.

The lab knows P(right) of every held-out prompt, so a model's c of n samples is a binomial draw: the very numbers that
sampling it would give, with a stream of its own for every run and step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvrscope import config
from rlvrscope.errors import InputError
from rlvrscope.lab.recipe import Recipe
from rlvrscope.runs import Row, RunFolder
from rlvrscope.seeding import generator
from rlvrscope.stats.counts import GroupCounts

BASE = "base"


@dataclass(frozen=True)
class _Run:
    """A finished run: where it lies, its recipe, its evaluations by step."""

    path: Path
    recipe: Recipe
    evaluations: dict[int, Row]

    @property
    def arm(self) -> str:
        return self.recipe.train.label

    @property
    def labels(self) -> tuple[int, int]:
        return self.recipe.pretrain.seed, self.recipe.train.seed

    def draw(self, step: int, samples: int) -> NDArray[np.int64]:
        """(P,) right ones of so many samples a prompt; at step 0 the same for every run of a base."""
        base, seed = self.labels
        keys = ("counts", BASE) if step == 0 else ("counts", self.arm, seed, step)
        return generator(base, *keys).binomial(samples, self._success(step))

    def _success(self, step: int) -> NDArray[np.float64]:
        if step not in self.evaluations:
            steps = ", ".join(map(str, self.evaluations))
            raise InputError(f"{self.path}: there is no evaluation at step {step}; there are {steps}")
        scores = self.evaluations[step].get("scores")
        found = [score for score in scores if _is_plain(score)] if isinstance(scores, list) else []
        success = found[0].get("success") if found else None
        if not isinstance(success, list) or not success or not all(map(_is_probability, success)):
            raise InputError(
                f"{self.path / 'evaluation.jsonl'} is damaged: step {step} needs `success` at temperature 1.0, "
                "a list of probabilities"
            )
        return np.array(success, dtype=np.float64)


def is_lab_folder(path: Path) -> bool:
    return (path / "recipe.toml").is_file()


def read_lab(path: Path, step: int | None, samples: int) -> list[tuple[str, GroupCounts]]:
    """Each model of a run's or an experiment's folder, by name.

    A run is one model, at its last step unless another is chosen (0: the base). An experiment holds `base` and every
    arm with all its runs. Raises InputError for a folder with runs that are not finished.
    """
    if samples < 1:
        raise InputError(f"samples to draw must be 1 or more; got {samples}")
    if (path / "evaluation.jsonl").exists() or not (path / "runs").is_dir():
        run = _read_run(path)
        chosen = max(run.evaluations) if step is None else step
        return [_model([run], chosen, samples, named=step is not None)]
    return _experiment(path, step, samples)


def _experiment(path: Path, step: int | None, samples: int) -> list[tuple[str, GroupCounts]]:
    recipe = config.load(path / "recipe.toml", Recipe)
    folders = [folder for folder in sorted((path / "runs").iterdir()) if folder.is_dir()]
    runs = [_read_run(folder) for folder in folders if RunFolder(folder).failure is None]
    if recipe.compare is None or not runs:
        raise InputError(f"{path} holds no runs to compare: make them with `rlvrscope demo --out {path}`")
    arms = recipe.compare.labels
    runs.sort(key=lambda run: [*arms, run.arm].index(run.arm))
    first_of = {run.labels[0]: run for run in reversed(runs)}
    bases = [first_of[base] for base in sorted(first_of)]
    models = [_model(bases, 0, samples, named=False)]
    for arm in dict.fromkeys(run.arm for run in runs) if step != 0 else ():
        mine = sorted((run for run in runs if run.arm == arm), key=lambda run: run.labels)
        chosen = mine[0].recipe.train.steps if step is None else step
        models.append(_model(mine, chosen, samples, named=step is not None))
    return models


def _model(runs: Sequence[_Run], step: int, samples: int, named: bool) -> tuple[str, GroupCounts]:
    drawn = [run.draw(step, samples) for run in runs]
    width = max(3, len(str(max(map(len, drawn)) - 1)))
    counts = GroupCounts(
        problem=[f"prompt-{index:0{width}}" for c_P in drawn for index in range(len(c_P))],
        n=np.full(sum(map(len, drawn)), samples),
        c=np.concatenate(drawn),
        base=[run.labels[0] for run, c_P in zip(runs, drawn, strict=True) for _ in c_P],
        seed=None if step == 0 else [run.labels[1] for run, c_P in zip(runs, drawn, strict=True) for _ in c_P],
    )
    name = BASE if step == 0 else runs[0].arm
    return f"{name}@{step}" if named and step else name, counts


def _read_run(path: Path) -> _Run:
    folder = RunFolder(path)
    if not folder.done:
        raise InputError(f"{path} is not finished: start the command that made it again, it goes on from there")
    recipe = config.load(path / "recipe.toml", Recipe)
    try:
        rows = folder.complete_rows("evaluation", recipe.train.steps)
    except UnicodeDecodeError as error:
        raise InputError(f"{path / 'evaluation.jsonl'} is damaged: not valid UTF-8 ({error.reason})") from error
    return _Run(path, recipe, {row["step"]: row for row in rows})


def _is_plain(score: Any) -> bool:
    return isinstance(score, dict) and score.get("temperature") == 1.0


def _is_probability(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and 0.0 <= value <= 1.0
