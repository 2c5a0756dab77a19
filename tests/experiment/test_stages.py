"""Stages of an experiment's runs, from their files."""

from __future__ import annotations

from pathlib import Path

from rlvrscope.experiment.results import Experiment
from rlvrscope.experiment.stages import readings, stages
from rlvrscope.monitor import StageMonitor
from rlvrscope.runs import RunFolder, TelemetryRow
from rlvrscope.runs.rows import LedgerRow


def test_runs_are_read_from_their_rows(experiment: Path):
    runs = Experiment.read(experiment).runs
    arms = stages(runs)
    assert [arm.arm for arm in arms] == list(dict.fromkeys(run.arm for run in runs))
    assert all(sum(arm.last.values()) == arm.runs for arm in arms)
    course = readings(runs[0])
    assert [reading.step for reading in course] == [row.step for row in runs[0].telemetry]
    monitor, folder = StageMonitor(), RunFolder(runs[0].path)
    rows = zip(folder.rows(TelemetryRow), folder.rows(LedgerRow), strict=True)
    again = [monitor.update(row.model_dump() | ledger.model_dump()) for row, ledger in rows]
    assert again[-1].stage == course[-1].stage
