"""Each arm's learning rate, from an equal grid, by runs on a base, a seed and prompts of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from massflow.errors import InputError
from massflow.lab.cells import Cell
from massflow.lab.recipe import BOUNDARY_K
from massflow.runs import read_json, write_atomic
from massflow.stats import TrainingRun, at_gain

FORMAT_VERSION = 1


def chosen_rates(found: Mapping[str, Mapping[float, Cell]], gains: tuple[float, ...], path: Path) -> dict[str, float]:
    """The best rate of each arm, written to `path` with every score; the lowest for an arm whose every run failed.

    Score: pass@256 where pass@1 has risen by each gain, averaged over gains, 0 for a gain never reached; between equal
    scores the higher final pass@1 decides, then the lower rate.
    """
    scores = {
        arm: {rate: _score(cell, gains) for rate, cell in runs.items() if cell.folder.done}
        for arm, runs in found.items()
    }
    rates = {
        arm: max(by_rate, key=lambda rate: (by_rate[rate], -rate), default=min(found[arm]))
        for arm, by_rate in scores.items()
    }
    failed = {
        arm: {f"{rate:g}": cell.folder.failure for rate, cell in runs.items() if not cell.folder.done}
        for arm, runs in found.items()
    }
    table: dict[str, Any] = {
        arm: {
            "chosen": rates[arm],
            "failed": failed[arm],
            "scores": [
                {"learning_rate": rate, "pass_at_256": score, "final_pass_at_1": last}
                for rate, (score, last) in by_rate.items()
            ],
        }
        for arm, by_rate in scores.items()
    }
    write_atomic(path, json.dumps({"format_version": FORMAT_VERSION, "gains": gains, "arms": table}, indent=2) + "\n")
    return rates


def _score(cell: Cell, gains: tuple[float, ...]) -> tuple[float, float]:
    rows = cell.folder.complete_rows("evaluation", cell.recipe.train.steps)
    success_SP = np.array([row["scores"][0]["success"] for row in rows])
    run = TrainingRun("tuning", success_SP)
    reached = [at_gain(run, BOUNDARY_K, gain).mean() for gain in gains]
    return float(np.mean(np.nan_to_num(reached, nan=0.0))), float(success_SP[-1].mean())


def read_rates(path: Path) -> dict[str, float]:
    """What was chosen. Raises InputError for a damaged or newer file."""
    held = read_json(path)
    if held.get("format_version", 0) > FORMAT_VERSION:
        raise InputError(f"{path} has a newer format than this massflow reads. Upgrade massflow.")
    try:
        return {arm: float(row["chosen"]) for arm, row in held["arms"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged. Remove it: rates are chosen anew from the runs beside it.") from error
