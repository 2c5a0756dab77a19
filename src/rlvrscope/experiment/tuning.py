"""Each arm's learning rate, from an equal grid, by runs on bases, a seed and prompts of their own. No torch here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.experiment.plan import Cell
from rlvrscope.lab.recipe import BOUNDARY_K
from rlvrscope.runs import read_json, write_atomic
from rlvrscope.stats import TrainingRun, at_gain

FORMAT_VERSION = 2
_GRID = 21
"""Gains over which pass@256 is averaged."""


@dataclass(frozen=True, eq=False)
class Tried:
    """What the runs of one learning rate came to."""

    rate: float
    reach: float
    """The largest rise of pass@1, on the base where it was least."""
    kth_P: Floats
    """pass@256 of each prompt, averaged over the gains up to the least of `reach` and the largest, and over bases."""
    final: float
    """Mean pass@1 at the end."""

    @property
    def score(self) -> float:
        return float(self.kth_P.mean())


def chosen_rates(
    found: Mapping[str, Mapping[float, Sequence[Cell]]], gains: tuple[float, ...], path: Path
) -> dict[str, float]:
    """The rate of each arm (`TuneConfig` says how), written to `path` with every score.

    A rate of which a run failed is not chosen, unless all of the arm's did: then the lowest.
    """
    rates: dict[str, float] = {}
    table: dict[str, Any] = {}
    for arm, by_rate in found.items():
        done = {rate: cells for rate, cells in by_rate.items() if all(cell.folder.done for cell in cells)}
        tried = [_tried(rate, cells, gains) for rate, cells in done.items()]
        rates[arm] = _choice(tried, gains[-1]).rate if tried else min(by_rate)
        failed = [cell for rate in by_rate.keys() - done.keys() for cell in by_rate[rate]]
        table[arm] = {
            "chosen": rates[arm],
            "edge": {min(by_rate): "lowest", max(by_rate): "highest"}.get(rates[arm]),
            "failed": {cell.name: cell.folder.failure for cell in failed if not cell.folder.done},
            "scores": [
                {"learning_rate": one.rate, "pass_at_256": one.score, "gain": one.reach, "final_pass_at_1": one.final}
                for one in tried
            ],
        }
    write_atomic(path, json.dumps({"format_version": FORMAT_VERSION, "gains": gains, "arms": table}, indent=2) + "\n")
    return rates


def _choice(tried: Sequence[Tried], target: float) -> Tried:
    """Of the rates that reach the target: the one that gains most among those within one standard error of the best."""
    there = [one for one in tried if one.reach >= target]
    if not there:
        return max(tried, key=lambda one: one.reach)
    best = max(there, key=lambda one: one.score)
    return max(
        (one for one in there if best.score - one.score <= _standard_error(best.kth_P - one.kth_P)),
        key=lambda one: one.reach,
    )


def _standard_error(paired_P: Floats) -> float:
    """Of a mean over prompts."""
    return float(paired_P.std(ddof=1) / np.sqrt(len(paired_P)))


def _tried(rate: float, cells: Sequence[Cell], gains: tuple[float, ...]) -> Tried:
    runs = [TrainingRun(str(cell.recipe.pretrain.seed), _success(cell)) for cell in cells]
    reach = min(run.reach for run in runs)
    upto = min(gains[-1], reach)
    grid_G = np.linspace(min(gains[0], upto), upto, _GRID)
    kth_P = np.mean([at_gain(run, BOUNDARY_K, gain) for run in runs for gain in grid_G], axis=0)
    return Tried(rate, reach, kth_P, float(np.mean([run.success_SP[-1].mean() for run in runs])))


def _success(cell: Cell) -> Floats:
    """(S, P): P(right), an evaluation a row."""
    rows = cell.folder.complete_rows("evaluation", cell.recipe.train.steps)
    return np.array([row["scores"][0]["success"] for row in rows])  # the one temperature of a run that tunes


def read_rates(path: Path) -> dict[str, float]:
    """What was chosen. Raises InputError for a damaged or newer file."""
    return {arm: row["chosen"] for arm, row in _read(path).items()}


def edges(path: Path) -> dict[str, str]:
    """The arms whose rate is the lowest or highest of the grid: a better one may lie beyond. Empty without a file."""
    held = _read(path) if path.exists() else {}
    return {arm: row["edge"] for arm, row in held.items() if row["edge"]}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    held = read_json(path)
    if held.get("format_version", 0) > FORMAT_VERSION:
        raise InputError(f"{path} has a newer format than this version reads. Upgrade rlvrscope.")
    try:
        return {arm: {"chosen": float(row["chosen"]), "edge": row["edge"]} for arm, row in held["arms"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged. Remove it: rates are chosen anew from the runs beside it.") from error
