"""The stages that an experiment's runs were read to be in, by arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from rlvrscope.monitor import Reading, StageMonitor
from rlvrscope.runs.finished_run import Run
from rlvrscope.runs.folder import RunFolder
from rlvrscope.runs.rows import LedgerRow, monitored


@dataclass
class ArmStages:
    """Stages of the runs of one arm. turns: first step of exploration in the runs that reached it. last: the stage at
    the end, with its number of runs. alarms: with the number of runs in which they held for some time.
    """

    arm: str
    runs: int = 0
    turns: list[int] = field(default_factory=list)
    last: Counter[str] = field(default_factory=Counter)
    alarms: Counter[str] = field(default_factory=Counter)

    @property
    def turn(self) -> float | None:
        """Median of the turns."""
        return median(self.turns) if self.turns else None


def readings(run: Run) -> list[Reading]:
    """A finished run, read step by step."""
    ledger = {row.step: row for row in RunFolder(run.path).rows(LedgerRow)}
    evaluation = {row.step: row for row in run.evaluation}
    monitor = StageMonitor()
    return [monitor.update(monitored(row, ledger.get(row.step), evaluation.get(row.step))) for row in run.telemetry]


def stages(runs: Iterable[Run]) -> Sequence[ArmStages]:
    """Stages by arm, in order of first appearance; tabular runs, which have no rollouts, are left out."""
    arms: dict[str, ArmStages] = {}
    for run in runs:
        if run.tabular or not run.telemetry:
            continue
        arm, course = arms.setdefault(run.arm, ArmStages(run.arm)), readings(run)
        arm.runs += 1
        arm.turns += [reading.step for reading in course if reading.stage == "exploration"][:1]
        arm.last[course[-1].stage] += 1
        arm.alarms.update({alarm.name for reading in course for alarm in reading.alarms})
    return list(arms.values())
