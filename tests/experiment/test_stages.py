"""Stages of an experiment's runs, from their files, and the stage that most runs of an arm are in."""

from __future__ import annotations

from pathlib import Path

from rlvrscope.experiment.results import Experiment
from rlvrscope.experiment.stages import ArmStages, stages, timeline
from rlvrscope.monitor import StageMonitor
from rlvrscope.monitor.timeline import Span, Timeline
from rlvrscope.runs import RunFolder, TelemetryRow
from rlvrscope.runs.rows import LedgerRow


def test_runs_are_read_from_their_rows(experiment: Path):
    runs = Experiment.read(experiment).runs
    arms = stages(runs)
    assert [arm.arm for arm in arms] == list(dict.fromkeys(run.arm for run in runs))
    assert all(sum(arm.last.values()) == len(arm.runs) for arm in arms)
    read = timeline(runs[0])
    assert [row["step"] for row in read.rows] == [row.step for row in runs[0].telemetry]
    monitor, folder = StageMonitor(), RunFolder(runs[0].path)
    rows = zip(folder.rows(TelemetryRow), folder.rows(LedgerRow), strict=True)
    again = [monitor.update(row.model_dump() | ledger.model_dump()) for row, ledger in rows]
    assert read.reading is not None
    assert again[-1].stage == read.reading.stage == read.stages[-1].name


def of_four_steps(stages: str, rewards: list[float | None], alarm: tuple[int, int] | None = None) -> Timeline:
    """A run in a stage (its first letters) at each step: e exploitation, s saturated, x exploration."""
    names = {"e": "exploitation", "s": "saturated", "x": "exploration"}
    spans = [Span(names[letter], step, step, "") for step, letter in enumerate(stages, start=1)]
    rows = [{"step": step, "reward": reward, "grad_norm": 1.0} for step, reward in enumerate(rewards, start=1)]
    return Timeline(rows, spans, [Span("no contrast", *alarm, "")] if alarm else [])


def test_an_arm_is_where_most_of_its_runs_are():
    arm = ArmStages(
        "grpo",
        [
            of_four_steps("eexx", [0.1, 0.2, 0.3, None], alarm=(2, 4)),
            of_four_steps("esxx", [0.3, 0.4, 0.5, 0.6], alarm=(3, 3)),
            of_four_steps("eses", [0.2, 0.3, 0.4, 0.5]),
            of_four_steps("exes", [0.2, 0.3, 0.4, 0.5]),
        ],
    )
    common = arm.timeline
    assert common.stages == [  # step 2: two of four; step 3: two against two, the earlier one; step 4 likewise
        Span("exploitation", 1, 1, ""), Span("saturated", 2, 2, ""), Span("exploitation", 3, 3, ""),
        Span("saturated", 4, 4, ""),
    ]  # fmt: skip
    assert common.alarms == [Span("no contrast", 3, 3, "")], "at step 3 alone in half of the runs"
    assert [row.get("reward") for row in common.rows] == [0.2, 0.3, 0.4, None]
    assert "grad_norm" not in common.rows[0], "no signal of the monitor"
    assert (sorted(arm.turns), arm.turn) == ([2, 3, 3], 3)
    assert arm.alarms == {"no contrast": 2}
