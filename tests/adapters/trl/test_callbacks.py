"""The callbacks on TRL's own trainer and on ours: rows against what was generated, logs, and actions."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, TrainerCallback
from trl.trainer.grpo_trainer import GRPOTrainer as TrlTrainer

from rlvrscope.adapters.trl import BoundaryCallback, GRPOTrainer, LedgerCallback, ProbeCallback, StageCallback
from rlvrscope.adapters.trl.rollouts import watch_rollouts
from rlvrscope.engines import Settings
from rlvrscope.engines.transformers import open_scorer
from rlvrscope.errors import InputError
from rlvrscope.monitor import Bank, StageMonitor
from rlvrscope.readers.monitored_log import MonitoredLog
from rlvrscope.runs import RunFolder
from rlvrscope.runs.rows import LedgerRow, ProbeRow, TelemetryRow, monitored
from rlvrscope.stats import pass_at_k
from trl_runs import PROMPTS, arguments, thirds, trainer

pytestmark = pytest.mark.filterwarnings("ignore:every update is on-policy")


def seen_by(run, training=True):
    """Rollouts of a run as it makes them."""
    rollouts = []
    watch_rollouts(run, rollouts.append, training=training)
    return rollouts


@pytest.mark.parametrize("kind", [TrlTrainer, GRPOTrainer])
def test_ledger_rows_are_those_of_the_rollouts(model, tmp_path, kind):
    run = trainer(kind, model, arguments(tmp_path, max_steps=6), thirds)
    rollouts = seen_by(run)
    run.add_callback(LedgerCallback(run))
    run.train()
    rows = RunFolder(tmp_path).rows(LedgerRow)
    assert [row.step for row in rows] == [1, 2, 3, 4, 5, 6]
    for row, drawn in zip(rows, rollouts, strict=True):
        rewards_PG = drawn.rewards_B.reshape(2, 4)
        assert row.pass_at_1 == np.mean(rewards_PG >= 0.5)
        assert row.pass_at_group == np.mean((rewards_PG >= 0.5).any(axis=1))
        assert row.group_size == 4
        assert len(set(drawn.ids)) == 2
    assert sum(row.returned for row in rows) == 4  # 12 visits to 8 prompts
    logged = [entry for entry in run.state.log_history if "rlvrscope/pass_at_1" in entry]
    assert [entry["rlvrscope/pass_at_group"] for entry in logged] == [row.pass_at_group for row in rows]


def test_rollouts_of_one_update_are_one_step_however_generated(model, tmp_path):
    """Two generations of an update make one row; two updates of a generation make one row too."""
    twice = arguments(tmp_path / "a", max_steps=2, steps_per_generation=1, gradient_accumulation_steps=2)
    once = arguments(tmp_path / "b", max_steps=4, per_device_train_batch_size=4, steps_per_generation=2)
    for args, groups, steps in ((twice, 4, [1, 2]), (once, 2, [1, 3])):
        run = trainer(TrlTrainer, model, args)
        run.add_callback(LedgerCallback(run))
        run.train()
        rows = RunFolder(Path(args.output_dir)).rows(LedgerRow)
        assert [row.step for row in rows] == steps
        assert {row.groups for row in rows} == {groups}


def test_groups_that_nobody_scored_are_left_out(model, tmp_path):
    def partly(completions, **_):
        return [None if place < 4 else float(place % 2) for place in range(len(completions))]

    run = trainer(TrlTrainer, model, arguments(tmp_path, max_steps=1), partly)
    run.add_callback(LedgerCallback(run))
    run.train()
    (row,) = RunFolder(tmp_path).rows(LedgerRow)
    assert (row.groups, row.pass_at_1) == (1, 0.5)
    assert run.state.log_history[0]["rlvrscope/groups_left_out"] == 1.0


def test_stage_rows_give_the_reading_of_the_log(model, tmp_path, bank):
    run = trainer(GRPOTrainer, model, arguments(tmp_path, max_steps=12), thirds, objective="grpo-n")
    run.add_callback(ProbeCallback(run, bank, every=3))
    stage = StageCallback(run)
    run.add_callback(stage)
    run.train()
    folder = RunFolder(tmp_path)
    telemetry, ledger, probe = folder.rows(TelemetryRow), folder.rows(LedgerRow), folder.rows(ProbeRow)
    assert [row.step for row in probe] == [0, 3, 6, 9, 12]
    monitor, probes = StageMonitor(), {row.step: row for row in probe}
    reading = monitor.update(probes[0])
    for row, groups in zip(telemetry, ledger, strict=True):
        reading = monitor.update(monitored(row, groups, probes.get(row.step)))
    assert stage.reading == reading
    assert [row.reward for row in telemetry] == [
        entry["reward"] for entry in run.state.log_history if "reward" in entry
    ]
    assert all(row.negative_share > 0.0 or row.equal_reward_share == 1.0 for row in telemetry)
    assert {row.positive_share for row in telemetry} == {0.0}
    log = MonitoredLog(tmp_path)
    log.poll(final=True)
    assert [row["step"] for row in log.timeline.rows][-1] == 12


def test_probe_rows_are_those_of_the_saved_model(model, tmp_path, bank):
    run = trainer(TrlTrainer, model, arguments(tmp_path, max_steps=2, learning_rate=1e-2))
    run.add_callback(ProbeCallback(run, bank, every=2))
    run.train()
    run.save_model(str(tmp_path / "final"))
    before, after = RunFolder(tmp_path).rows(ProbeRow)
    stored = Bank.load(bank)
    for row, folder in ((before, model), (after, tmp_path / "final")):
        scorer = open_scorer(str(folder), Settings())
        scores = scorer.score([one.request for one in stored.completions])
        right = [score.logp for score, one in zip(scores, stored.completions, strict=True) if one.kind == "dominant"]
        assert row.classes["dominant"].log_mass == pytest.approx(np.mean(right), abs=1e-4)
    assert before.classes["dominant"].left == pytest.approx(1.0, abs=1e-4)
    assert after.classes["dominant"].left != pytest.approx(1.0, abs=1e-2)


def test_boundary_counts_the_evaluation_s_completions(model, tmp_path):
    args = arguments(
        tmp_path, max_steps=2, eval_strategy="steps", eval_steps=2, eval_on_start=True, num_generations_eval=8,
        per_device_eval_batch_size=16,
    )  # fmt: skip
    run = trainer(TrlTrainer, model, args, thirds, eval_dataset=Dataset.from_dict({"prompt": PROMPTS, "id": range(8)}))
    evaluations = seen_by(run, training=False)
    run.add_callback(BoundaryCallback(run, threshold=1.0))
    run.train()
    logged = [entry for entry in run.state.log_history if "eval_rlvrscope/pass@1" in entry]
    assert [entry["step"] for entry in logged] == [0, 2]
    for entry, drawn in zip(logged, (evaluations[:4], evaluations[4:]), strict=True):
        right_PG = np.concatenate([part.rewards_B for part in drawn]).reshape(8, 8) >= 1.0
        expected_K = pass_at_k([8] * 8, right_PG.sum(axis=1), [1, 4, 8]).mean(axis=0)
        assert [entry[f"eval_rlvrscope/pass@{k}"] for k in (1, 4, 8)] == pytest.approx(expected_K)
        assert entry["eval_rlvrscope/pass@4_low"] <= expected_K[1] <= entry["eval_rlvrscope/pass@4_high"]
    assert "eval_rlvrscope/pass@4_change_low" in logged[1]
    counts = [json.loads(line) for line in (tmp_path / "counts" / "step-2.jsonl").read_text().splitlines()]
    assert [row["problem"] for row in counts] == [str(number) for number in range(8)]
    assert {row["n"] for row in counts} == {8}


def test_a_stage_or_an_alarm_stops_the_run(model, tmp_path, capsys):
    """Equal rewards in every group: the alarm `no contrast` rises, and training stops there."""
    run = trainer(
        TrlTrainer, model, arguments(tmp_path, max_steps=60), lambda completions, **_: [1.0] * len(completions)
    )
    run.add_callback(StageCallback(run, stop_on=["no contrast"]))
    run.train()
    assert 5 < run.state.global_step < 60
    assert "no contrast: 1 of the groups have equal rewards" in capsys.readouterr().out


def test_a_stage_changes_the_objective(model, tmp_path):
    run = trainer(GRPOTrainer, model, arguments(tmp_path, max_steps=3), objective="grpo-n")
    run.add_callback(StageCallback(run, then={"not enough yet": "grpo"}))
    run.train()
    assert [row.objective for row in RunFolder(tmp_path).rows(TelemetryRow)] == ["grpo-n", "grpo", "grpo"]


def test_bad_use_is_refused_in_a_line(model, tmp_path, bank):
    plain = trainer(TrlTrainer, model, arguments(tmp_path))
    ours = trainer(GRPOTrainer, model, arguments(tmp_path), objective="grpo")
    with pytest.raises(InputError, match=r"no stage or alarm is called 'explotation'. Did you mean 'exploitation'"):
        StageCallback(plain, stop_on=["explotation"])
    with pytest.raises(InputError, match=r"needs rlvrscope\.adapters\.trl\.GRPOTrainer"):
        StageCallback(plain, then={"exploration": "grpo"})
    with pytest.raises(InputError, match="'gspo' differs from 'grpo' in"):
        StageCallback(ours, then={"exploration": "gspo"})
    with pytest.raises(InputError, match="give eval_dataset"):
        BoundaryCallback(plain)
    with pytest.raises(InputError, match="every must be at least 1 step; got 0"):
        ProbeCallback(plain, bank, every=0)
    plain.add_callback(StageCallback(plain))
    plain.add_callback(ProbeCallback(plain, bank))
    with pytest.raises(InputError, match="add the ProbeCallback before the StageCallback"):
        plain.train()


def test_another_run_s_rows_are_not_written_into(model, tmp_path):
    first = trainer(TrlTrainer, model, arguments(tmp_path, max_steps=1))
    first.add_callback(LedgerCallback(first))
    first.train()
    kept = (tmp_path / "ledger.jsonl").read_bytes()
    again = trainer(TrlTrainer, model, arguments(tmp_path, max_steps=1))
    again.add_callback(LedgerCallback(again))
    with pytest.raises(InputError, match="holds the rows of another run"):
        again.train()
    assert (tmp_path / "ledger.jsonl").read_bytes() == kept


def test_a_resumed_run_continues_its_ledger_and_its_stage(model, tmp_path, bank):
    """Stopped after step 5 of 8, resumed from 3: the rows, the ledger and the reading of a run without a stop.

    Not from step 4, the end of an epoch: from there transformers itself resumes with other random numbers.
    """

    def run_to(out, steps, resume=False):
        args = arguments(out, max_steps=8, save_strategy="steps", save_steps=3)
        run = trainer(GRPOTrainer, model, args, thirds, objective="grpo-n")
        run.add_callback(LedgerCallback(run))
        run.add_callback(ProbeCallback(run, bank, every=2))
        stage = StageCallback(run)
        run.add_callback(stage)
        if steps < 8:
            run.add_callback(_Stop(steps))
        run.train(resume_from_checkpoint=resume or None)
        return stage

    whole = run_to(tmp_path / "whole", 8)
    run_to(tmp_path / "parts", 5)
    resumed = run_to(tmp_path / "parts", 8, resume=True)
    for kind in (TelemetryRow, LedgerRow, ProbeRow):
        rows = [RunFolder(tmp_path / name).rows(kind) for name in ("whole", "parts")]
        assert [row.model_dump(mode="json") for row in rows[0]] == [row.model_dump(mode="json") for row in rows[1]]
    assert resumed.reading == whole.reading
    assert resumed._ledger.ledger == whole._ledger.ledger


class _Stop(TrainerCallback):
    """Stops training after a step, without a checkpoint there, as a kill would."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **_):  # noqa: ARG002
        if state.global_step == self.step:
            control.should_training_stop, control.should_save = True, False


def test_lora_probe(model, tmp_path, bank):
    from peft import LoraConfig

    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    run = trainer(TrlTrainer, model, arguments(tmp_path, max_steps=2, learning_rate=0.1), peft_config=config)
    run.add_callback(ProbeCallback(run, bank, every=2))
    run.train()
    before, after = RunFolder(tmp_path).rows(ProbeRow)
    merged = run.model.merge_and_unload()
    scores = _logp(merged, bank)
    assert after.classes["wrong"].log_mass == pytest.approx(scores, abs=1e-4)
    assert after.classes["wrong"].log_mass != pytest.approx(before.classes["wrong"].log_mass, abs=1e-3)


@torch.no_grad()
def _logp(model, bank):
    """Mean log-probability of the wrong completions, one token each."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model.config._name_or_path)
    logps = []
    for one in Bank.load(bank).completions:
        if one.kind == "wrong":
            prompt = tokenizer(one.request.prompt)["input_ids"]
            (token,) = tokenizer(one.request.completion)["input_ids"]
            logps.append(model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)[token].item())
    return float(np.mean(logps))


def test_the_model_is_not_changed_by_a_probe(model, tmp_path, bank):
    run = trainer(TrlTrainer, model, arguments(tmp_path))
    run.model.train()
    ProbeCallback(run, bank)._probe.score()
    assert run.model.training
    loaded = AutoModelForCausalLM.from_pretrained(model)
    for mine, other in zip(run.model.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_what_is_logged_between_two_logs(model, tmp_path, bank):
    """With a log at every third step: means of shares, sums of counts, the last stage and log-mass."""
    run = trainer(TrlTrainer, model, arguments(tmp_path, max_steps=6, logging_steps=3), thirds)
    run.add_callback(LedgerCallback(run))
    run.add_callback(ProbeCallback(run, bank, every=1))
    run.add_callback(StageCallback(run))
    run.train()
    folder = RunFolder(tmp_path)
    ledger, probe = folder.rows(LedgerRow), folder.rows(ProbeRow)
    logged = [entry for entry in run.state.log_history if "rlvrscope/stage" in entry]
    assert [entry["step"] for entry in logged] == [3, 6]
    for entry, rows, last in zip(logged, (ledger[:3], ledger[3:]), (probe[3], probe[6]), strict=True):
        assert entry["rlvrscope/pass_at_1"] == pytest.approx(np.mean([row.pass_at_1 for row in rows]))
        assert entry["rlvrscope/returned"] == sum(row.returned for row in rows)
        assert entry["rlvrscope/dominant_log_mass"] == pytest.approx(last.classes["dominant"].log_mass)


def test_updates_without_new_rollouts_have_rows_that_can_be_read(model, tmp_path):
    run = trainer(TrlTrainer, model, arguments(tmp_path, max_steps=4, num_iterations=2), thirds)
    run.add_callback(StageCallback(run))
    run.train()
    rows = RunFolder(tmp_path).rows(TelemetryRow)
    assert [np.isfinite(row.reward) for row in rows] == [True, False, True, False]
    log = MonitoredLog(tmp_path)
    log.poll(final=True)
    assert log.timeline.rows[-1]["step"] == 4


def test_a_prompt_may_come_in_each_generation_of_an_update(model, tmp_path):
    args = arguments(tmp_path, max_steps=1, steps_per_generation=1, gradient_accumulation_steps=2)
    run = trainer(TrlTrainer, model, args, thirds)
    run.train_dataset = Dataset.from_dict({"prompt": PROMPTS[:1] * 8})
    run.add_callback(LedgerCallback(run))
    run.train()
    (row,) = RunFolder(tmp_path).rows(LedgerRow)
    assert row.groups == 4


def test_a_validation_set_of_several_and_two_ledgers_are_refused(model, tmp_path):
    data = Dataset.from_dict({"prompt": PROMPTS})
    args = arguments(tmp_path, eval_strategy="steps", eval_steps=1, num_generations_eval=4)
    several = trainer(TrlTrainer, model, args, eval_dataset={"a": data, "b": data})
    with pytest.raises(InputError, match="counts one validation set"):
        BoundaryCallback(several)
    run = trainer(TrlTrainer, model, arguments(tmp_path))
    run.add_callback(StageCallback(run))
    run.add_callback(LedgerCallback(run))
    with pytest.raises(InputError, match="a trainer has one LedgerCallback"):
        run.train()


def test_a_checkpoint_without_a_ledger_is_named(model, tmp_path):
    first = trainer(TrlTrainer, model, arguments(tmp_path / "a", save_strategy="steps", save_steps=1))
    first.train()
    again = trainer(TrlTrainer, model, arguments(tmp_path / "b", max_steps=3))
    again.add_callback(LedgerCallback(again))
    with pytest.warns(UserWarning, match="the ledger begins anew"):
        again.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-2"))
