"""Counts of the lab's runs, drawn from their exact success probabilities.

The lab knows P(correct) of every held-out prompt, so the number of correct answers in n samples is a binomial draw: the
distribution that sampling the model would give. Every run and step has its own random stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rlvrscope import config
from rlvrscope.arrays import Ints
from rlvrscope.errors import InputError
from rlvrscope.lab.finished import read_run
from rlvrscope.lab.recipe import Recipe
from rlvrscope.runs.finished_run import Run
from rlvrscope.runs.folder import RunFolder
from rlvrscope.seeding import generator
from rlvrscope.stats.counts import GroupCounts

BASE = "base"


def is_lab_folder(path: Path) -> bool:
    return (path / "recipe.toml").is_file()


def read_lab(path: Path, step: int | None, samples: int) -> list[tuple[str, GroupCounts]]:
    """Return name and counts of each model in the folder of a run or an experiment.

    A run is one model, at its last step or at `step` (0: the base). An experiment holds `base`, and every arm with all
    its runs. samples: samples to draw per prompt. Raises InputError for a folder with unfinished or damaged runs.
    """
    if samples < 1:
        raise InputError(f"samples to draw must be 1 or more; got {samples}")
    if (path / "evaluation.jsonl").exists() or not (path / "runs").is_dir():
        run = read_run(path)
        return [_model([run], run.steps if step is None else step, samples, named=step is not None)]
    return _experiment(path, step, samples)


def _experiment(path: Path, step: int | None, samples: int) -> list[tuple[str, GroupCounts]]:
    recipe = config.load(path / "recipe.toml", Recipe)
    folders = [folder for folder in sorted((path / "runs").iterdir()) if folder.is_dir()]
    runs = [read_run(folder) for folder in folders if RunFolder(folder).failure is None]
    if recipe.compare is None or not runs:
        raise InputError(f"{path} holds no runs to compare: create them with `rlvrscope demo --out {path}`")
    arms = recipe.compare.labels
    runs.sort(key=lambda run: [*arms, run.arm].index(run.arm))
    first_of = {run.base: run for run in reversed(runs)}
    models = [_model([first_of[base] for base in sorted(first_of)], 0, samples, named=False)]
    for arm in dict.fromkeys(run.arm for run in runs) if step != 0 else ():
        arm_runs = sorted((run for run in runs if run.arm == arm), key=lambda run: (run.base, run.seed))
        models.append(_model(arm_runs, arm_runs[0].steps if step is None else step, samples, named=step is not None))
    return models


def _model(runs: Sequence[Run], step: int, samples: int, named: bool) -> tuple[str, GroupCounts]:
    correct = [_draw(run, step, samples) for run in runs]
    width = max(3, len(str(max(map(len, correct)) - 1)))
    counts = GroupCounts(
        problem=[f"prompt-{index:0{width}}" for c_P in correct for index in range(len(c_P))],
        n=np.full(sum(map(len, correct)), samples),
        c=np.concatenate(correct),
        base=[run.base for run, c_P in zip(runs, correct, strict=True) for _ in c_P],
        seed=None if step == 0 else [run.seed for run, c_P in zip(runs, correct, strict=True) for _ in c_P],
    )
    name = BASE if step == 0 else runs[0].arm
    return f"{name}@{step}" if named and step else name, counts


def _draw(run: Run, step: int, samples: int) -> Ints:
    """(P,) number of correct answers in `samples` per prompt; at step 0 the same for every run of a base."""
    if step not in run.evaluation_steps:
        steps = ", ".join(map(str, run.evaluation_steps))
        raise InputError(f"{run.path}: there is no evaluation at step {step}; there are {steps}")
    keys = ("counts", BASE) if step == 0 else ("counts", run.arm, run.seed, step)
    success_P = run.success_SP()[run.evaluation_steps.index(step)]
    return generator(run.base, *keys).binomial(samples, success_P)
