"""One run on the page of runs: its log under the monitor, its probe, its evaluations."""

from __future__ import annotations

from collections.abc import Sequence
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
    """One run. k: that of the points; None where it was not evaluated."""

    name: str
    monitored: MonitoredLog
    probe: Sequence[ProbeRow]
    k: int | None
    points: Sequence[Point]

    @classmethod
    def read(cls, path: Path, name: str) -> RunView:
        """Read the folder of a run, of any trainer. Raises InputError for one without a training log or evaluations."""
        if not path.is_dir():
            raise InputError(f"{path} is no folder of a run")
        monitored = MonitoredLog(path)
        k, points = _points(path)
        if find_log(path) is not None or not points:
            monitored.poll(final=True)
        return cls(name, monitored, RunFolder(path).rows(ProbeRow), k, points)


def _points(path: Path) -> tuple[int | None, list[Point]]:
    """k and points: of sampled evaluations, k the largest power of two that all have; or of the lab's exact ones."""
    counts = {step: read_evaluation(path, step) for step in evaluated_steps(path)} or _validations(path / "validation")
    if counts:
        fewest = min(int(one.n.min()) for one in counts.values())
        k = 1 << (fewest.bit_length() - 1)
        return k, [_sampled(step, one, k) for step, one in counts.items()]
    scores = [(row.step, at_temperature(row.held_out)) for row in RunFolder(path).rows(EvaluationRow)]
    return (scores[0][1].k if scores else None), [Point(step, one.pass_at_1, one.pass_at_k) for step, one in scores]


def _validations(dumps: Path) -> dict[int, GroupCounts]:
    """Counts of verl's validations, by step."""
    steps = sorted(int(match[1]) for file in dumps.glob("*") if (match := STEP_FILE.fullmatch(file.name)))
    return {step: read_models(Source(dumps, step))[0].counts for step in steps}


def _sampled(step: int, counts: GroupCounts, k: int) -> Point:
    curve = pass_at_k_curve(counts, sorted({1, k}), rng=generator(0, "report"), simultaneous=False)
    ends = float(curve.low[-1]), float(curve.high[-1])
    return Point(step, float(curve.estimate[0]), float(curve.estimate[-1]), *ends)


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Name of each run's folder; its whole path where several have one name."""
    names = [path.resolve().name for path in paths]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]
