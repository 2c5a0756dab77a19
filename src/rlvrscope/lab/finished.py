"""Finished runs of the lab, read back. No torch here."""

from __future__ import annotations

from pathlib import Path

from rlvrscope import config
from rlvrscope.lab.recipe import Recipe
from rlvrscope.runs.finished_run import Run
from rlvrscope.runs.folder import RunFolder


def read_run(path: Path) -> Run:
    """Read a finished run of the lab. Raises InputError if it is not finished, damaged or of another format."""
    recipe = config.load(path / "recipe.toml", Recipe)
    return Run.read(
        RunFolder(path),
        arm=recipe.train.label,
        base=recipe.base_number,
        seed=recipe.train.seed,
        steps=recipe.train.steps,
        tabular=recipe.train.policy == "tabular",
    )
