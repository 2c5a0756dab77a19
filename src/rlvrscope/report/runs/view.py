"""One run on the page of runs: its log under the monitor, its probe, its evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvrscope.errors import InputError
from rlvrscope.readers import read_models
from rlvrscope.readers.evaluations import evaluated_steps, read_evaluation
from rlvrscope.readers.layouts import STEP_FILE
from rlvrscope.readers.monitored_log import MonitoredLog
from rlvrscope.readers.source import Source
from rlvrscope.readers.training_logs import find_log
from rlvrscope.runs import RunFolder
from rlvrscope.runs.rows import EvaluationRow, ProbeRow, at_temperature
from rlvrscope.seeding import generator
from rlvrscope.stats import GroupCounts, pass_at_k_curve


@dataclass(frozen=True)
class Point:
    """pass@1 and pass@k after a step. low, high: of pass@k, 95 % for new problems; None where both are exact."""

    step: int
    pass_at_1: float
    pass_at_k: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class RunView:
    """One run. k: that of its points, of which there are none where it was not evaluated."""

    name: str
    monitored: MonitoredLog
    probe: Sequence[ProbeRow]
    k: int
    points: Sequence[Point]


def read_runs(paths: Sequence[Path]) -> list[RunView]:
    """Read the folders of runs, of any trainer; k is the largest power of two that all sampled evaluations have.

    Raises InputError for a folder without a training log or evaluations.
    """
    missing = next((path for path in paths if not path.is_dir()), None)
    if missing is not None:
        raise InputError(f"{missing} is no folder of a run")
    counts = [_counts(path) for path in paths]
    fewest = [int(one.n.min()) for run in counts for one in run.values()]
    k = 1 << (min(fewest).bit_length() - 1) if fewest else 1
    names = [path.resolve().name for path in paths]
    names = [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]
    return [_run(path, name, sampled, k) for path, name, sampled in zip(paths, names, counts, strict=True)]


def _run(path: Path, name: str, sampled: Mapping[int, GroupCounts], k: int) -> RunView:
    exact = [] if sampled else [(row.step, at_temperature(row.held_out)) for row in RunFolder(path).rows(EvaluationRow)]
    points = [_point(step, counts, k) for step, counts in sampled.items()]
    points += [Point(step, one.pass_at_1, one.pass_at_k) for step, one in exact]
    monitored = MonitoredLog(path)
    if find_log(path) is not None or not points:
        monitored.poll(final=True)
    return RunView(name, monitored, RunFolder(path).rows(ProbeRow), exact[0][1].k if exact else k, points)


def _counts(path: Path) -> dict[int, GroupCounts]:
    """Counts of a run's sampled evaluations, by step: those of a TRL run, or verl's validations."""
    counts = {step: read_evaluation(path, step) for step in evaluated_steps(path)}
    return counts or _validations(path / "validation")


def _validations(dumps: Path) -> dict[int, GroupCounts]:
    """Counts of verl's validations, by step."""
    steps = sorted(int(match[1]) for file in dumps.glob("*") if (match := STEP_FILE.fullmatch(file.name)))
    return {step: read_models(Source(dumps, step))[0].counts for step in steps}


def _point(step: int, counts: GroupCounts, k: int) -> Point:
    curve = pass_at_k_curve(counts, sorted({1, k}), rng=generator(0, "report"), simultaneous=False)
    ends = float(curve.low[-1]), float(curve.high[-1])
    return Point(step, float(curve.estimate[0]), float(curve.estimate[-1]), *ends)
