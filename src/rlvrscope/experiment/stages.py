"""The stages that an experiment's runs were read to be in, by arm."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from statistics import fmean, median
from typing import Any

from rlvrscope.monitor.alarms import ALARMS, AlarmName
from rlvrscope.monitor.stage import SIGNALS, STAGES
from rlvrscope.monitor.timeline import Span, Timeline
from rlvrscope.runs.finished_run import Run
from rlvrscope.runs.folder import RunFolder
from rlvrscope.runs.rows import LedgerRow, monitored


@dataclass
class ArmStages:
    """Timelines of the runs of one arm."""

    arm: str
    runs: list[Timeline] = field(default_factory=list)

    @property
    def turns(self) -> list[int]:
        """First step of exploration, in the runs that reached it."""
        first = [[span.first for span in run.stages if span.name == "exploration"][:1] for run in self.runs]
        return [step for steps in first for step in steps]

    @property
    def turn(self) -> float | None:
        """Median of the turns."""
        return median(self.turns) if self.turns else None

    @property
    def last(self) -> Counter[str]:
        """Stages at the end, with their numbers of runs."""
        return Counter(run.stages[-1].name for run in self.runs)

    @property
    def alarms(self) -> Counter[str]:
        """Alarms, with the number of runs in which each held for some time."""
        return Counter(name for run in self.runs for name in {span.name for span in run.alarms})

    @property
    def timeline(self) -> Timeline:
        """The arm as one run: mean signals, the stage of most runs at each step, alarms of at least half of them.

        Of two stages that equally many runs are in, the earlier one. A signal has a mean at the steps at which all runs
        have it.
        """
        steps = [row["step"] for row in self.runs[0].rows]
        stages_ST = [_names(run.stages, steps) for run in self.runs]
        common = [max(STAGES, key=names.count) for names in zip(*stages_ST, strict=True)]
        alarms = [span for name in ALARMS for span in self._common_alarms(name, steps)]
        rows: list[Mapping[str, Any]] = [_mean_row(rows) for rows in zip(*(run.rows for run in self.runs), strict=True)]
        return Timeline(rows, list(_spans(common, steps)), sorted(alarms, key=lambda span: span.first))

    def _common_alarms(self, name: AlarmName, steps: Sequence[int]) -> list[Span]:
        held_ST = [_names([span for span in run.alarms if span.name == name], steps) for run in self.runs]
        common = [name if 2 * names.count(name) >= len(names) else "" for names in zip(*held_ST, strict=True)]
        return [span for span in _spans(common, steps) if span.name]


def timeline(run: Run) -> Timeline:
    """Read a finished run step by step."""
    ledger = {row.step: row for row in RunFolder(run.path).rows(LedgerRow)}
    evaluation = {row.step: row for row in run.evaluation}
    readings = Timeline()
    for row in run.telemetry:
        readings.update(monitored(row, ledger.get(row.step), evaluation.get(row.step)))
    return readings


def stages(runs: Iterable[Run]) -> Sequence[ArmStages]:
    """Stages by arm, in order of first appearance; tabular runs, which have no rollouts, are left out."""
    arms: dict[str, ArmStages] = {}
    for run in runs:
        if not run.tabular and run.telemetry:
            arms.setdefault(run.arm, ArmStages(run.arm)).runs.append(timeline(run))
    return list(arms.values())


def _names(spans: Sequence[Span], steps: Sequence[int]) -> list[str]:
    """The name of the span at each step; empty where there is none."""
    names = {step: span.name for span in spans for step in range(span.first, span.last + 1)}
    return [names.get(step, "") for step in steps]


def _spans(names: Sequence[str], steps: Sequence[int]) -> Iterator[Span]:
    for name, pairs in groupby(zip(names, steps, strict=True), key=lambda pair: pair[0]):
        covered = [step for _, step in pairs]
        yield Span(name, covered[0], covered[-1], "")


def _mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means of the signals that are finite in every row."""
    values = {name: [row.get(name) for row in rows] for name in SIGNALS}
    finite = {
        name: [value for value in column if value is not None and math.isfinite(value)]
        for name, column in values.items()
    }
    means = {name: fmean(column) for name, column in finite.items() if len(column) == len(rows)}
    return {"step": rows[0]["step"]} | means
