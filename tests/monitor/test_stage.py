"""The stage monitor on series of a known course."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from rlvrscope.errors import InputError
from rlvrscope.monitor import Reading, StageMonitor
from rlvrscope.monitor.alarms import ADVICE
from rlvrscope.runs.rows import LedgerRow, TelemetryRow
from rlvrscope.seeding import generator

T = 200
TIME = np.arange(T) / T
TURNING = (2 * TIME - 0.8) ** 2
"""Falls until step 80, then rises above its start."""


def noisy(values: np.ndarray, scale: float = 0.02, seed: int = 0) -> np.ndarray:
    return values + scale * generator(seed).normal(size=len(values))


def readings(**columns: Any) -> list[Reading]:
    monitor = StageMonitor()
    return [
        monitor.update({"step": step + 1} | {name: values[step] for name, values in columns.items()})
        for step in range(T)
    ]


def graded(top: np.ndarray) -> dict[str, Any]:
    return {"top_at_group": top, "top_level": np.ones(T), "levels": [{0.0: 0.5, 0.5: 0.4, 1.0: 0.1}] * T}


def stages(readings: list[Reading]) -> list[tuple[str, int]]:
    """(stage, the step it began at), in order."""
    return list(dict.fromkeys((reading.stage, reading.since) for reading in readings))


@pytest.mark.parametrize("basis", ["probe", "ledger"])
def test_a_turn_is_exploration(basis: str):
    series = noisy(TURNING)
    columns = {"rare_log_mass": series - 3.0} if basis == "probe" else graded(0.3 + 0.5 * series)
    result = readings(reward=noisy(TIME), **columns)
    (_, _), (exploitation, since), (exploration, turned) = stages(result)
    assert (exploitation, exploration) == ("exploitation", "exploration")
    assert 8 < since < 30
    assert 80 < turned <= 116
    assert {reading.basis for reading in result[8:]} == {basis}
    assert "over its last" in result[-1].evidence


def test_without_a_turn_there_is_no_exploration():
    falling = noisy(-2 * TIME)
    assert stages(readings(rare_log_mass=falling - 3.0, **graded(0.5 + 0.2 * falling)))[-1][0] == "exploitation"
    binary = {"pass_at_group": noisy(0.2 + 0.5 * TIME), "levels": [{0.0: 0.5, 1.0: 0.5}] * T, "top_level": np.ones(T)}
    assert stages(readings(reward=noisy(TIME), **binary))[-1][0] == "exploitation"


def test_a_boundary_that_grows_again_is_exploration():
    binary = {
        "pass_at_group": noisy(0.3 + 0.5 * TURNING),
        "levels": [{0.0: 0.5, 1.0: 0.5}] * T,
        "top_level": np.ones(T),
    }
    assert stages(readings(**binary))[-1][0] == "exploration"


def test_exploration_ends_where_the_signal_falls_again():
    course = np.concatenate([TURNING[:140], TURNING[140] - 3 * TIME[:60]])
    assert [stage for stage, _ in stages(readings(rare_log_mass=noisy(course)))][-2:] == ["exploration", "exploitation"]


def test_telemetry_alone():
    entropy = noisy(1.0 + TURNING, 0.005)
    result = readings(entropy=entropy, reward=noisy(TIME))
    assert (result[-1].stage, result[-1].basis) == ("exploration", "telemetry")
    assert result[-1].missing == (
        "the rewards of each group (GroupLedger)", "log-masses of rare right answers (MassProbe)"
    )  # fmt: skip
    flat = readings(entropy=noisy(np.exp(-8 * TIME), 0.002), reward=noisy(TIME))
    assert stages(flat)[-1][0] == "saturated"
    assert stages(readings(entropy=noisy(1.0 + TIME, 0.005)))[-1][0] == "not enough yet"


def test_a_run_that_does_not_move_has_no_stage():
    """Noise around constants, as in the logs of short runs: nothing shows that common answers gain mass."""
    result = readings(reward=noisy(0.5 + 0 * TIME, 0.1), entropy=noisy(1.0 + 0 * TIME, 0.1))
    assert stages(result) == [("not enough yet", 0)]
    assert result[-1].evidence == "in 200 rows nothing has risen or fallen clearly"
    assert result[-1].basis == "telemetry"


def test_row_by_row_is_all_at_once():
    """A reading depends on past rows only."""
    columns = {"rare_log_mass": noisy(TURNING), "entropy": noisy(1.0 - TIME), "reward": noisy(TIME)}
    whole = readings(**columns)
    changed = {name: np.concatenate([values[:120], -values[120:]]) for name, values in columns.items()}
    assert readings(**changed)[:120] == whole[:120]


def test_rows_between_two_probes_repeat_none():
    """A probe every fifth row gives the stages of the same probes without the rows between, at their steps."""
    series = noisy(TURNING)
    every, sparse = StageMonitor(), StageMonitor()
    for step, value in enumerate(series):
        expected = every.update({"step": 5 * step, "rare_log_mass": value})
        assert sparse.update({"step": 5 * step, "reward": 0.5, "rare_log_mass": value}).stage == expected.stage
        for between in range(1, 5):
            assert sparse.update({"step": 5 * step + between, "reward": 0.5}).stage == expected.stage


def test_gaps_are_tolerated():
    series = [value if step % 3 else math.nan for step, value in enumerate(noisy(TURNING))]
    monitor = StageMonitor()
    result = [
        monitor.update({"step": 5 * n, "rare_log_mass": value, "other": "text"}) for n, value in enumerate(series)
    ]
    assert result[-1].stage == "exploration"


def test_rows_of_a_run_are_read():
    monitor = StageMonitor()
    shares = {"pass_at_1": 0.0, "pass_at_group": 0.0, "pass_hat_group": 0.0}
    for step in range(1, 10):
        monitor.update(TelemetryRow(step=2 * step, reward=0.5, entropy=1.0))
        monitor.update(LedgerRow(step=2 * step + 1, groups=1, group_size=2, **shares))
    assert monitor.update({"step": 30}).basis == "ledger"


def test_too_short_a_history():
    assert readings(reward=TIME)[4].stage == "not enough yet"
    assert readings(entropy=TIME)[4].evidence == "8 rows are needed, 5 so far"


def test_a_reward_alone_tells_no_stage():
    last = readings(reward=TIME)[-1]
    assert (last.stage, last.basis, last.evidence) == ("not enough yet", None, "reward alone tells no stage")
    assert last.missing[0] == "the token entropy"


@pytest.mark.parametrize("row", [{}, {"step": None}, {"step": 2.5}, {"step": 1}, {"step": 0}])
def test_steps_must_rise(row: dict[str, Any]):
    monitor = StageMonitor()
    monitor.update({"step": 1})
    with pytest.raises(InputError, match="a row needs a step, and steps must rise"):
        monitor.update(row)


ALARMS: dict[str, dict[str, Any]] = {
    "entropy collapse": {"entropy": noisy(np.exp(-6 * TIME), 0.001)},
    "entropy explosion": {"entropy": noisy(0.5 + 2 * TIME, 0.01)},
    "reward collapse": {"reward": noisy(np.minimum(2 * TIME, 2 - 2 * TIME))},
    "no contrast": {"equal_reward_share": np.minimum(1.3 * TIME, 0.97)},
    "sampler mismatch": {"sampler_kl": 0.2 * TIME},
    "boundary shrinking": {"reward": noisy(0.3 + 0.3 * TIME), "pass_at_group": noisy(0.8 - 0.4 * TIME)},
    "rare answers dying": {"rare_log_mass": noisy(-3 - 3 * TIME)},
}


def test_every_alarm_has_a_case_and_advice():
    assert ALARMS.keys() == ADVICE.keys()
    assert all(advice.action and advice.reference for advice in ADVICE.values())


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_and_no_other(name: str):
    result = readings(**ALARMS[name])
    assert {alarm.name for reading in result for alarm in reading.alarms} == {name}
    first = next(reading for reading in result if reading.alarms)
    assert 8 < first.step < T
    assert first.alarms[0].evidence[0].isdigit() or first.alarms[0].evidence.startswith(("pass_at", "their"))
    assert first.alarms[0].since == first.step


def test_noise_sets_off_few_alarms():
    """One prompt a step: groups are equal or not, and entropies differ by a factor between prompts."""
    alarming = 0
    for seed in range(20):
        rng = generator(seed, "one prompt")
        columns = {
            "reward": rng.random(T), "entropy": 0.3 * np.exp(0.5 * rng.normal(size=T)),
            "equal_reward_share": (rng.random(T) < 0.8).astype(float),
        }  # fmt: skip
        alarming += any(reading.alarms for reading in readings(**columns))
    assert alarming <= 1


def test_a_steady_run_has_no_alarms():
    columns = {
        "reward": noisy(0.3 + 0.1 * TIME), "entropy": noisy(1 - 0.2 * TIME), "pass_at_group": noisy(0.8 + 0 * TIME),
        "equal_reward_share": noisy(0.4 + 0 * TIME), "rare_log_mass": noisy(-3 - 0.2 * TIME),
        "sampler_kl": 0.01 + 0 * TIME,
    }  # fmt: skip
    assert not any(reading.alarms for reading in readings(**columns))


def test_exploitation_names_what_moved():
    """A rising reward and an entropy that rises from the start, and so has not turned."""
    last = readings(reward=TIME, entropy=noisy(1.0 + TIME))[-1]
    assert last.stage == "exploitation"
    assert re.fullmatch(r"entropy \+.*; at step \d+ reward moved: \+.* over its last \d+ values .*", last.evidence)
