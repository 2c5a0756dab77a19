"""Training logs as trainers write them: shapes of TRL, verl, W&B, CSV, JSON Lines and the lab, and their traps."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rlvrscope import InputError
from rlvrscope.readers.training_logs import TrainingLog, read_log
from rlvrscope.runs.folder import RunFolder
from rlvrscope.runs.rows import EvaluationRow, LedgerRow, PromptScores, TelemetryRow

Object = dict[str, Any]


def trl(step: int, **changes: Any) -> Object:
    """An entry of log_history as TRL 1.16 writes it."""
    return {
        "loss": 0.01,
        "grad_norm": 0.2,
        "learning_rate": 1e-6,
        "num_tokens": 1000.0 * step,
        "completions/mean_length": 200.0,
        "completions/clipped_ratio": 0.0,
        "rewards/accuracy_reward/mean": 0.5,
        "rewards/accuracy_reward/std": 0.4,
        "reward": step / 100,
        "reward_std": 0.3,
        "frac_reward_zero_std": 0.25,
        "entropy": 1.0 / step,
        "clip_ratio/high_max": 0.0,
        "epoch": 0.01 * step,
        "step": step,
    } | changes


def evaluation(step: int) -> Object:
    return {"eval_loss": 0.1, "eval_reward": 0.9, "eval_entropy": 9.0, "eval_runtime": 12.0, "step": step, "epoch": 0.1}


def verl(step: int, **changes: Any) -> Object:
    """A line of verl's file logger."""
    data = {
        "training/global_step": step,
        "training/epoch": 0,
        "actor/entropy": 0.3,
        "actor/pg_loss": 0.01,
        "critic/score/mean": step / 100,
        "critic/score/max": 1.0,
        "critic/rewards/mean": step / 100 - 0.01,
        "rollout_corr/kl": 0.0003,
        "response_length/mean": 900.0,
    }
    return {"step": step, "data": data | changes}


def state(path: Path, entries: Sequence[Object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"best_metric": None, "global_step": len(entries), "log_history": entries}, indent=2))
    return path


def lines(path: Path, entries: Sequence[Object], end: str = "\n") -> Path:
    path.write_text("\n".join(map(json.dumps, entries)) + end)
    return path


def table(path: Path, rows: Sequence[Mapping[str, Any]], delimiter: str = ",") -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, quoting=csv.QUOTE_ALL, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def rewards(log: TrainingLog) -> dict[int, float]:
    return {row["step"]: row["reward"] for row in log.rows if "reward" in row}


def test_trl_state(tmp_path: Path):
    entries = [trl(step) for step in range(1, 21)]
    log = read_log(state(tmp_path / "trainer_state.json", entries))
    assert log.rows[4] == {"step": 5, "reward": 0.05, "entropy": 0.2, "equal_reward_share": 0.25}
    assert log.account == "20 steps 1 to 20 (TRL): reward, entropy, equal_reward_share; no ledger, no probe"
    assert log.notes == []


def test_evaluations_are_no_training(tmp_path: Path):
    """eval_reward is not reward, and the summary at the end is no step."""
    entries = [entry for step in range(1, 11) for entry in [trl(step), *([evaluation(step)] if step % 5 == 0 else [])]]
    entries.append({"train_loss": 0.1, "train_runtime": 100.0, "step": 10, "epoch": 1.0})
    log = read_log(state(tmp_path / "trainer_state.json", entries))
    assert rewards(log) == {step: step / 100 for step in range(1, 11)}
    assert all(row["entropy"] <= 1.0 for row in log.rows)
    assert log.notes == []


def test_missing_values_are_missing(tmp_path: Path):
    """NaN and null, as loggers pad metrics that a step does not have."""
    entries = [trl(1), trl(2, entropy=math.nan, reward=None), trl(3, entropy=None, frac_reward_zero_std=math.inf)]
    assert read_log(state(tmp_path / "trainer_state.json", entries)).rows == [
        {"step": 1, "reward": 0.01, "entropy": 1.0, "equal_reward_share": 0.25},
        {"step": 2, "equal_reward_share": 0.25},
        {"step": 3, "reward": 0.03},
    ]


def test_several_reward_functions_are_named(tmp_path: Path):
    entries = [trl(step, **{"rewards/format/mean": 1.0, "rewards/format/std": 0.0}) for step in (1, 2)]
    path = state(tmp_path / "trainer_state.json", entries)
    assert read_log(path).notes == [
        "reward is the weighted sum of 2 functions (accuracy_reward, format): to read one of them, --column reward=NAME"
    ]
    one = read_log(path, {"reward": "rewards/accuracy_reward/mean"})
    assert rewards(one) == {1: 0.5, 2: 0.5}
    assert one.notes == []


def test_the_last_checkpoint_of_a_folder(tmp_path: Path):
    for step in (9, 100, 20):
        state(tmp_path / f"checkpoint-{step}" / "trainer_state.json", [trl(n) for n in range(1, step + 1)])
    log = read_log(tmp_path)
    assert len(log.rows) == 100
    state(tmp_path / "checkpoint-120" / "trainer_state.json", [trl(n) for n in range(1, 121)])
    assert log.poll()
    assert len(log.rows) == 120


def test_verl_lines(tmp_path: Path):
    validation = {"step": 0, "data": {"val-core/math/reward/mean@1": 0.2, "val-aux/reward/mean": 0.4}}
    log = read_log(lines(tmp_path / "metrics.jsonl", [validation, *map(verl, range(1, 13))]))
    assert log.rows[1] == {"step": 2, "reward": 0.02, "entropy": 0.3, "sampler_kl": 0.0003}
    assert log.account == "12 steps 1 to 12 (verl): reward, entropy, sampler_kl; no ledger, no probe"


def test_verl_console(tmp_path: Path):
    text = "[2026-01-01 12:00:00] {not json\n(TaskRunner pid=1) loading\n"
    text += "\x1b[36m(TaskRunner pid=1)\x1b[0m step:0 - val-core/math/acc/mean@1:0.25\n"
    text += "\x1b[36m(TaskRunner pid=1)\x1b[0m step:1 - actor/entropy:0.5 - critic/score/mean:-0.25 - mfu:nan\n"
    text += "Training Progress:  1%|1/100\r  2%|\n"
    text += "step:2 - actor/entropy:np.float64(0.25) - critic/score/mean:np.float64(1e-3) - timing_s/step:2.5\n"
    (tmp_path / "run.log").write_text(text)
    assert read_log(tmp_path / "run.log").rows == [
        {"step": 1, "reward": -0.25, "entropy": 0.5},
        {"step": 2, "reward": 0.001, "entropy": 0.25},
    ]


def test_older_names_of_verl(tmp_path: Path):
    entries = [{"step": 1, "data": {"critic/rewards/mean": 0.5, "actor/entropy_loss": 0.75}}]
    assert read_log(lines(tmp_path / "metrics.jsonl", entries)).rows == [{"step": 1, "reward": 0.5, "entropy": 0.75}]


def test_wandb_history(tmp_path: Path):
    """Columns with a section, evaluations between, empty cells, and a counter of calls next to the step."""
    rows: list[Object] = []
    for step in range(1, 6):
        rows.append({"_step": 2 * step, "train/global_step": step, "train/reward": step / 10, "train/entropy": 0.5})
        rows.append({"_step": 2 * step + 1, "train/global_step": step, "eval/reward": 0.9, "train/reward": "NaN"})
    log = read_log(table(tmp_path / "history.csv", rows))
    assert log.rows[1] == {"step": 2, "reward": 0.2, "entropy": 0.5}
    assert len(log.rows) == 5


def test_wandb_chart(tmp_path: Path):
    """The export of a chart: a column for each run, with its smallest and largest values."""
    rows = [
        {"Step": step, "run - 1 - train/reward": step / 10, "run - 1 - train/reward__MIN": 0, "x__MAX": 1}
        for step in (1, 2, 3)
    ]
    assert rewards(read_log(table(tmp_path / "chart.csv", rows))) == {1: 0.1, 2: 0.2, 3: 0.3}
    both = [row | {"other - train/reward": 0.0} for row in rows]
    path = table(tmp_path / "both.csv", both)
    with pytest.raises(InputError, match=r"'run - 1 - train/reward' and 'other - train/reward' are both reward"):
        read_log(path)
    assert rewards(read_log(path, {"reward": "other - train/reward"})) == {1: 0.0, 2: 0.0, 3: 0.0}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_with_the_newest_row_first_and_the_last_line_cut(tmp_path: Path, delimiter: str):
    rows = [{"step": step, "reward": step / 10, "kl": ""} for step in (30, 20, 10)]
    path = table(tmp_path / "export.csv", rows, delimiter)
    assert rewards(read_log(path)) == {10: 1.0, 20: 2.0, 30: 3.0}
    path.write_text(path.read_text() + '"5"')
    log = read_log(path)
    assert rewards(log) == {10: 1.0, 20: 2.0, 30: 3.0}
    assert log.notes == ["the last line is cut short and left out"]


def test_own_lines_with_canonical_names(tmp_path: Path):
    entries = [
        {"step": step, "reward": 0.5, "pass_at_group": 0.75, "top_level": 1.0, "levels": {"0.0": 0.5, "1.0": 0.5}}
        for step in (1, 2)
    ]
    log = read_log(lines(tmp_path / "own.jsonl", entries))
    assert log.rows[0] == entries[0] | {"levels": {0.0: 0.5, 1.0: 0.5}}
    assert log.account == "2 steps 1 to 2 (canonical names): reward, pass_at_group; no probe"


def test_common_names_of_own_trainers(tmp_path: Path):
    """The mean reward under another name; reward itself takes precedence."""
    entries = [{"global_step": 1, "reward_mean": 0.5}, {"global_step": 2, "mean_reward": 0.25, "reward_mean": 0.75}]
    assert rewards(read_log(lines(tmp_path / "own.jsonl", entries))) == {1: 0.5, 2: 0.25}
    both = [{"step": 1, "reward_mean": 0.5, "reward": 0.75}]
    assert rewards(read_log(lines(tmp_path / "both.jsonl", both))) == {1: 0.75}


def test_names_of_our_adapters(tmp_path: Path):
    more = {"rlvrscope/pass_at_group": 0.5, "rlvrscope/levels/0.0": 0.25, "rlvrscope/levels/1.0": 0.75}
    (row,) = read_log(lines(tmp_path / "log.jsonl", [trl(3, **more)])).rows
    assert (row["pass_at_group"], row["levels"]) == (0.5, {0.0: 0.25, 1.0: 0.75})
    (row,) = read_log(lines(tmp_path / "metrics.jsonl", [verl(3, **more)])).rows
    assert row["pass_at_group"] == 0.5


def test_steps_of_swift(tmp_path: Path):
    entries = [{"reward": 0.5, "reward_std": 0.1, "global_step/max_steps": f"{step}/50"} for step in (5, 10)]
    assert rewards(read_log(lines(tmp_path / "logging.jsonl", entries))) == {5: 0.5, 10: 0.5}


def test_a_resumed_run(tmp_path: Path):
    """Rows of the earlier attempt after the step where the later one starts do not count."""
    attempts = [trl(step) for step in range(1, 11)] + [trl(step, reward=0.9) for step in range(6, 9)]
    log = read_log(lines(tmp_path / "log.jsonl", attempts))
    assert rewards(log) == {step: step / 100 for step in range(1, 6)} | dict.fromkeys(range(6, 9), 0.9)
    assert log.notes == [
        "steps from 6 on were logged again, as by a resumed run: the later rows count, 5 earlier ones are left out"
    ]


def test_several_rows_of_one_step(tmp_path: Path):
    """A loop that logs each part of a batch: the mean over the parts."""
    parts = [{"step": step, "mean_reward": value} for step in (0, 1) for value in (0.0, 0.25, 0.5, 1.0)]
    log = read_log(lines(tmp_path / "log.jsonl", parts))
    assert rewards(log) == {0: 0.4375, 1: 0.4375}
    assert log.notes == ["6 rows have the step of the row before: the mean of a step's rows is read"]


def test_a_killed_writer(tmp_path: Path):
    """The last line is cut; a resumed writer appended to such a line."""
    path = lines(tmp_path / "log.jsonl", [trl(step) for step in range(1, 31)], end='\n{"step": 31, "rew')
    log = read_log(path)
    assert len(log.rows) == 30
    assert log.notes == ["the last line is cut short and left out"]
    path.write_text(path.read_text() + json.dumps(trl(29)) + "\n" + json.dumps(trl(30)) + "\n")
    assert read_log(path).notes[0] == "damaged lines are left out: 31"
    assert read_log(lines(tmp_path / "whole.jsonl", [trl(1), trl(2)], end="")).notes == []


def test_a_run_of_the_lab(tmp_path: Path):
    folder = RunFolder(tmp_path)
    shares = {"pass_at_1": 0.5, "pass_at_group": 0.75, "pass_hat_group": 0.25, "levels": {0.0: 0.5, 1.0: 0.5}}
    for step in (1, 2, 3):
        folder.append(TelemetryRow(step=step, reward=0.5, entropy=1.0))
    assert read_log(tmp_path).account == "3 steps 1 to 3 (a run folder): reward, entropy; no ledger, no probe"
    for step in (1, 2):
        folder.append(LedgerRow(step=step, groups=4, group_size=2, top_level=1.0, top_at_group=0.75, **shares))
    log = read_log(tmp_path)
    assert log.rows[0] == {
        "step": 1, "reward": 0.5, "entropy": 1.0, "pass_at_group": 0.75, "top_at_group": 0.75, "top_level": 1.0,
        "levels": {0.0: 0.5, 1.0: 0.5},
    }  # fmt: skip
    assert log.rows[2] == {"step": 3, "reward": 0.5, "entropy": 1.0}
    for step, optimal in ((0, 0.5), (2, math.exp(-3.0))):
        shares = {"success_P": [0.5, 0.5], "distinct_P": [1.0, 1.0], "mass": {}, "optimal_P": [optimal, optimal]}
        means = {"temperature": 1.0, "k": 256, "pass_at_1": 0.5, "pass_at_k": 1.0, "distinct_correct": 1.0}
        scores = PromptScores.model_validate(means | shares)
        folder.append(EvaluationRow(step=step, held_out=(scores,), training=(scores,)))
    exact = read_log(tmp_path)
    assert exact.account == "3 steps 1 to 3 (a run folder): reward, entropy, pass_at_group, top_at_group, rare_log_mass"
    assert exact.rows[1]["rare_log_mass"] == pytest.approx(-3.0)


def test_a_log_that_grows(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    log = TrainingLog(path)
    assert not log.poll()
    lines(path, [trl(1)], end='\n{"step": 2, ')
    assert log.poll()
    assert rewards(log) == {1: 0.01}
    assert not log.poll()
    with path.open("a") as file:
        file.write('"reward": 0.5}\n')
    assert log.poll()
    assert rewards(log) == {1: 0.01, 2: 0.5}
    lines(tmp_path / "other", [trl(7)]).replace(path)
    assert log.poll()
    assert rewards(log) == {7: 0.07}


def test_a_state_that_grows(tmp_path: Path):
    path = state(tmp_path / "trainer_state.json", [trl(1)])
    log = TrainingLog(path)
    assert log.poll()
    state(tmp_path / "next.json", [trl(1), trl(2)]).replace(path)
    assert log.poll()
    assert rewards(log) == {1: 0.01, 2: 0.02}
    assert not log.poll()


REFUSED: dict[str, tuple[str, str, str]] = {
    "empty": ("log.jsonl", "", "is empty: no step has been logged yet"),
    "no entries": ("trainer_state.json", '{"log_history": []}', "holds no step. Looked for a trainer_state.json, JSON"),
    "supervised": (
        "trainer_state.json",
        json.dumps({"log_history": [{"loss": 1.0, "entropy": 0.5, "mean_token_accuracy": 0.5, "step": 1}]}),
        r"has no steps with a reward. Looked for reward \(critic/score/mean, .*, reward/mean\), pass_at_group, "
        r"rare_log_mass. It logs entropy, loss, mean_token_accuracy, step. Say which is which: --column reward=NAME",
    ),
    "no steps": (
        "log.jsonl",
        '{"reward": 0.5}\n',
        "and steps as train/global_step.*, step, Step, _step. It logs reward",
    ),
    "a program": ("train.py", "import torch, trl\nprint('step')\n", "holds no step. Looked for a trainer_state.json"),
    "damaged document": ("state.json", '{"log_history": [{"step": 1,\n', "damaged JSON: "),
    "no list": (
        "state.json",
        '{\n"log_history": {"a": 1}}',
        "a JSON log is an object with a log_history, or a list of",
    ),
    "nested": ("state.json", "[" * 100_000, "damaged JSON"),
    "damaged lines": ("log.jsonl", '{"step": 1, "reward": 1}\n' + "garbage\n" * 5, "5 of 6 lines are damaged"),
    "half a step": ("log.jsonl", '{"step": 1.5, "reward": 1}\n', "step must be a whole number from 0 up; got 1.5"),
    "negative step": ("log.jsonl", '{"step": -1, "reward": 1}\n', "step must be a whole number from 0 up; got -1"),
    "ragged table": ("log.csv", "step,reward\n1,2,3\n2,4\n", "row 1 of the table has 3 cells, its header 2 names"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_log_is_refused(tmp_path: Path, case: str):
    name, text, message = REFUSED[case]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_log(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_folders_without_a_log_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"holds no training log. Looked for telemetry.jsonl .*checkpoint-N/trainer_"):
        read_log(tmp_path)
    with pytest.raises(InputError, match=r"no such file or folder: .*missing"):
        read_log(tmp_path / "missing")


def test_columns_that_are_not_there_are_refused(tmp_path: Path):
    path = lines(tmp_path / "log.jsonl", [trl(1)])
    with pytest.raises(InputError, match=r"has no 'mean_reward', named by --column reward=mean_reward. It logs clip"):
        read_log(path, {"reward": "mean_reward"})


def test_the_attempts_of_a_verl_run_are_one_log_that_grows(tmp_path: Path):
    def write(attempt: int, steps: Sequence[int], score: float) -> None:
        lines = [json.dumps(verl(step, **{"critic/score/mean": score})) for step in steps]
        (tmp_path / "metrics").mkdir(exist_ok=True)
        (tmp_path / "metrics" / f"attempt-{attempt}.jsonl").write_text("\n".join(lines) + "\n")

    log = TrainingLog(tmp_path)
    assert not log.poll()
    write(9, range(1, 6), 0.1)
    assert log.poll()
    write(10, range(4, 9), 0.2)  # resumed from the checkpoint of step 3
    assert log.poll(final=True)
    assert [row["step"] for row in log.rows] == list(range(1, 9))
    assert [row["reward"] for row in log.rows] == [0.1] * 3 + [0.2] * 5
    assert any("logged again" in note for note in log.notes)
    assert read_log(tmp_path / "metrics").rows == log.rows
