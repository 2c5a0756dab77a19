"""Learning rates: each arm's best of one grid, from runs on separate bases, seed and prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from rlvrscope.arrays import Floats
from rlvrscope.config import Section, parse
from rlvrscope.errors import InputError
from rlvrscope.experiment.plan import PlannedRun
from rlvrscope.lab.finished import read_run
from rlvrscope.lab.recipe import BOUNDARY_K
from rlvrscope.runs.files import read_json, write_atomic
from rlvrscope.stats import TrainingRun, at_gain

FORMAT_VERSION = 3
_GRID = 21
"""Gains over which pass@BOUNDARY_K is averaged."""


class RateScore(Section):
    """Result of one learning rate: mean pass@k at equal gains, smallest gain over the bases, mean final pass@1."""

    learning_rate: float
    pass_at_boundary: float
    gain: float
    final_pass_at_1: float


class ArmRates(Section):
    """Chosen learning rate of an arm and how it was chosen. edge: the rate is at an end of the grid."""

    chosen: float
    edge: Literal["lowest", "highest"] | None = None
    failed: dict[str, str | None] = Field(default_factory=dict)
    scores: tuple[RateScore, ...] = ()


class Tuning(Section):
    """Content of tuning.json."""

    format_version: int = FORMAT_VERSION
    boundary_k: int = BOUNDARY_K
    gains: tuple[float, ...]
    arms: dict[str, ArmRates]

    @property
    def rates(self) -> dict[str, float]:
        return {arm: rates.chosen for arm, rates in self.arms.items()}

    @classmethod
    def read(cls, path: Path) -> Tuning:
        """Raises InputError for a damaged file or one of another version."""
        values = read_json(path)
        if values.get("format_version") != FORMAT_VERSION:
            raise InputError(f"{path} was written by another version of this program. Run the recipe in a new folder.")
        return parse(values, cls, f"{path} is damaged. Remove it: rates are chosen again from the tuning runs")


@dataclass(frozen=True, eq=False)
class _RateResult:
    """Runs of one learning rate, summarised."""

    rate: float
    reach: float
    """Largest gain in pass@1, on the base where it was smallest."""
    boundary_P: Floats
    """pass@k of each prompt, averaged over bases and gains up to the smaller of `reach` and the largest declared."""
    final: float
    """Mean pass@1 at the end."""

    @property
    def score(self) -> float:
        return float(self.boundary_P.mean())


def choose_rates(
    tuning: Mapping[str, Mapping[float, Sequence[PlannedRun]]], gains: tuple[float, ...], path: Path
) -> Tuning:
    """Choose the rate of each arm (by the rule in `TuneConfig`) and write the result to `path`.

    A rate with a failed run is not chosen; if every rate of an arm failed, the lowest is.
    """
    arms: dict[str, ArmRates] = {}
    for arm, by_rate in tuning.items():
        done = {rate: runs for rate, runs in by_rate.items() if all(run.folder.done for run in runs)}
        results = [_summarise(rate, runs, gains) for rate, runs in done.items()]
        chosen = _choose(results, gains[-1]).rate if results else min(by_rate)
        failed = [run for rate in by_rate.keys() - done.keys() for run in by_rate[rate] if not run.folder.done]
        arms[arm] = ArmRates(
            chosen=chosen,
            edge="lowest" if chosen == min(by_rate) else "highest" if chosen == max(by_rate) else None,
            failed={run.name: run.folder.failure for run in failed},
            scores=tuple(
                RateScore(
                    learning_rate=result.rate,
                    pass_at_boundary=result.score,
                    gain=result.reach,
                    final_pass_at_1=result.final,
                )
                for result in results
            ),
        )
    chosen_tuning = Tuning(gains=gains, arms=arms)
    write_atomic(path, chosen_tuning.model_dump_json(indent=2) + "\n")
    return chosen_tuning


def _choose(results: Sequence[_RateResult], target: float) -> _RateResult:
    """Among rates that reach the target, the largest gain within one standard error of the best score."""
    candidates = [result for result in results if result.reach >= target]
    if not candidates:
        return max(results, key=lambda result: result.reach)
    best = max(candidates, key=lambda result: result.score)
    return max(
        (one for one in candidates if best.score - one.score <= _standard_error(best.boundary_P - one.boundary_P)),
        key=lambda result: result.reach,
    )


def _standard_error(differences_P: Floats) -> float:
    """Standard error of a mean over prompts."""
    return float(differences_P.std(ddof=1) / np.sqrt(len(differences_P)))


def _summarise(rate: float, planned: Sequence[PlannedRun], gains: tuple[float, ...]) -> _RateResult:
    read = [read_run(run.folder.path) for run in planned]
    runs = [TrainingRun(str(run.base), run.success_SP()) for run in read]
    reach = min(run.reach for run in runs)
    upto = min(gains[-1], reach)
    grid_G = np.linspace(min(gains[0], upto), upto, _GRID)
    boundary_P = np.mean([at_gain(run, BOUNDARY_K, gain) for run in runs for gain in grid_G], axis=0)
    return _RateResult(rate, reach, boundary_P, float(np.mean([run.success_SP[-1].mean() for run in runs])))
