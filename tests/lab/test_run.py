"""The RL loop: one update against the plain formula, telemetry, and resuming to the same bytes."""

from __future__ import annotations

import copy
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rlvrscope import InputError, WorkError
from rlvrscope.lab.model import Transformer, token_logp
from rlvrscope.lab.pretrain import base_path, load_base
from rlvrscope.lab.recipe import Recipe, SwitchConfig, TrainConfig
from rlvrscope.lab.run import StageSteps, objective_at, train
from rlvrscope.lab.tasks import Line
from rlvrscope.lab.trainer import Batch, Trainer
from rlvrscope.monitor.saturation import saturated_at
from rlvrscope.objectives import OBJECTIVES
from rlvrscope.runs import EvaluationRow, RunFolder, TelemetryRow
from rlvrscope.runs.rows import LedgerRow

CPU = torch.device("cpu")
ONE_UPDATE = {"prompts": 64, "prompts_per_step": 16, "group_size": 4, "minibatches": 1, "warmup_steps": 0}


class HalfRight(Line):
    """Line's prompts with a reward that a random model meets often: an even first token."""

    def rewards(self, prompts_BT: np.ndarray, completions_BT: np.ndarray) -> np.ndarray:
        # Prompts that start with +1 are always right, so that some groups carry no contrast.
        return ((completions_BT[:, 0] % 2 == 0) | (prompts_BT[:, 0] == 0)).astype(float)


@pytest.fixture
def task() -> HalfRight:
    return HalfRight(steps=2)


def weights(model: Transformer) -> torch.Tensor:
    return torch.cat([part.detach().flatten() for part in model.parameters()])


@pytest.mark.parametrize(
    ("name", "temperature"),
    [
        *(
            (name, 1.0)
            for name in ("grpo", "grpo-n", "gspo", "w-reinforce", "cispo", "curverl", "unlikeliness", "a-grae")
        ),
        ("grpo", 1.3),
    ],
)
def test_one_update_equals_the_plain_formula(model: Transformer, task: HalfRight, name: str, temperature: float):
    """On-policy, the gradient is that of -mean(A logp): written out over every row, none skipped, SGD for Adam."""
    base = copy.deepcopy(model)
    config = TrainConfig(
        objective=OBJECTIVES[name],
        learning_rate=1.0,
        temperature=temperature,
        loss_temperature=temperature,
        **ONE_UPDATE,
    )
    trainer = Trainer(model, base, task, config)
    seen = {}

    def remember(batch: Batch, rows_B: np.ndarray, advantage_B: np.ndarray, normalizer: int) -> dict[str, float]:
        seen.update(rollouts=batch.rollouts, advantages=batch.advantages_PG.ravel(), rows=len(rows_B))
        return backward(batch, rows_B, advantage_B, normalizer)

    backward, trainer._backward = trainer._backward, remember
    trainer.optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    row = trainer.step(1)

    rollouts, advantage = seen["rollouts"], torch.from_numpy(seen["advantages"]).float()
    tokens = torch.cat([rollouts.prompts_PT[rollouts.prompt_B], rollouts.completions_BT], dim=1)
    logp = token_logp(base(tokens[:, :-1])[:, task.prompt_length - 1 :] / temperature, rollouts.completions_BT)
    (-(advantage[:, None] * logp).mean()).backward()
    slope = torch.cat([part.grad.flatten() for part in base.parameters() if part.grad is not None])
    norm = slope.norm().item()
    assert row.grad_norm == pytest.approx(norm, rel=1e-4)
    expected = weights(base) - slope * min(1.0, 1.0 / norm)
    torch.testing.assert_close(weights(model), expected, rtol=1e-4, atol=1e-6)
    assert seen["rows"] == (advantage != 0).sum()
    assert row.ratio_max == pytest.approx(1.0, abs=1e-4)
    assert np.isnan(row.kl) == (temperature != 1.0), "it needs samples of the policy at 1"
    if name in ("grpo", "grpo-n", "gspo"):
        assert seen["rows"] < len(tokens), "rows of zero advantage were not skipped"


def test_a_kl_term_reads_every_row(model: Transformer, task: HalfRight):
    """With kl_coef the rows of zero advantage are pulled to the base too, and the pull is felt."""
    base = copy.deepcopy(model)
    with torch.no_grad():
        model.head.weight.mul_(0.5)  # away from the base
    silent = OBJECTIVES["grpo"].replace(positive_weight=0.0, negative_weight=0.0)
    trainer = Trainer(model, base, task, TrainConfig(objective=silent.replace(kl_coef=1.0), **ONE_UPDATE))
    first = trainer.step(1)
    last = [trainer.step(step) for step in range(2, 30)][-1]
    assert first.reference_kl > 0.05
    assert last.kl < 0.8 * first.kl
    assert last.grad_norm > 0.0


def test_a_pull_moves_weights_to_the_base(model: Transformer, task: HalfRight):
    """Without a gradient the distance to the base shrinks by rate x pull a step."""
    base = copy.deepcopy(model)
    with torch.no_grad():
        for part in model.parameters():
            part.add_(1.0)
    silent = OBJECTIVES["grpo"].replace(positive_weight=0.0, negative_weight=0.0)
    config = TrainConfig(objective=silent, learning_rate=0.1, pull=2.0, **ONE_UPDATE)
    trainer = Trainer(model, base, task, config)
    for step in (1, 2):
        trainer.step(step)
    torch.testing.assert_close(weights(model), weights(base) + 0.8**2)


def test_without_contrast_nothing_moves(model: Transformer):
    class Hopeless(Line):
        def rewards(self, prompts_BT: np.ndarray, completions_BT: np.ndarray) -> np.ndarray:  # noqa: ARG002
            return np.zeros(len(prompts_BT))

    before = weights(model).clone()
    trainer = Trainer(model, copy.deepcopy(model), Hopeless(steps=2), TrainConfig(**ONE_UPDATE))
    row = trainer.step(1)
    assert torch.equal(weights(model), before)
    assert (row.all_wrong_share, row.all_correct_share, row.grad_norm) == (1.0, 0.0, 0.0)


def test_training_raises_the_reward(model: Transformer, task: HalfRight):
    config = TrainConfig(**{**ONE_UPDATE, "minibatches": 2, "learning_rate": 3e-3})
    trainer = Trainer(model, copy.deepcopy(model), task, config)
    rows = [trainer.step(step) for step in range(1, 31)]
    assert np.mean([row.reward for row in rows[-5:]]) > rows[0].reward + 0.1
    assert rows[-1].kl > 0.0


def test_telemetry_has_the_facts_of_a_step(model: Transformer, task: HalfRight):
    config = TrainConfig(**ONE_UPDATE, temperature=0.7, epochs=3)
    row = Trainer(model, copy.deepcopy(model), task, config).step(1)
    logged = {"reward", "entropy", "actor_entropy", "loss", "ratio_max", "grad_norm", "sampler_kl"}
    logged |= {"equal_reward_share", "clip_low_fraction", "clip_high_fraction"}
    logged |= {f"all_{outcome}_share" for outcome in ("correct", "wrong")}
    logged |= {f"{sign}_{what}" for sign in ("positive", "negative") for what in ("share", "norm")}
    values = row.model_dump()
    assert {name for name, value in values.items() if isinstance(value, float) and value == value} == logged
    assert row.sampler_kl > 0.01, "rollouts at temperature .7 come from another policy: the mismatch is reported"
    assert row.ratio_max > 1.0, "the second epoch is off-policy"
    assert 0.0 <= row.positive_share + row.negative_share <= 1.0


@pytest.mark.parametrize("change", [{"temperature": 0.7}, {"objective": OBJECTIVES["grpo"].replace(dual_clip=3.0)}])
def test_minibatches_without_contrast_are_left_out_of_the_diagnostics(model: Transformer, change: dict):
    """Only the first of four minibatches has a group to learn from; and then none has."""

    class Once(Line):
        def rewards(self, prompts_BT: np.ndarray, completions_BT: np.ndarray) -> np.ndarray:
            scores = np.zeros(len(prompts_BT))
            scores[:2] = self_on["on"]
            return scores + 0.0 * completions_BT[:, 0]

    self_on = {"on": 1.0}
    config = TrainConfig(**{**ONE_UPDATE, "minibatches": 4, **change})
    trainer = Trainer(model, copy.deepcopy(model), Once(steps=2), config)
    one = trainer.step(1)
    assert np.isfinite([one.actor_entropy, one.loss, one.ratio_max]).all()
    self_on["on"] = 0.0
    none = trainer.step(2)
    assert np.isnan([none.actor_entropy, none.loss, none.ratio_max]).all()
    assert none.grad_norm == 0.0


def test_a_model_that_has_diverged_is_an_error_not_a_reward(model: Transformer, task: HalfRight):
    trainer = Trainer(model, copy.deepcopy(model), task, TrainConfig(**ONE_UPDATE))
    with torch.no_grad():
        model.head.weight.fill_(torch.nan)
    with pytest.raises(WorkError, match="not finite: it has diverged"):
        trainer.step(1)


def digest(folder: Path) -> dict[str, str]:
    """Every file but the times."""
    files = [path for path in sorted(folder.rglob("[!.]*")) if path.is_file() and path.name != "timing.jsonl"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class Stop(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize(
    ("stops", "objective"),
    [*(([*stops], "grpo") for stops in ([1], [2], [3], [3, 5], [1, 2, 3, 4, 5])), ([3, 5], "curverl")],
)
def test_a_run_cut_off_and_started_again_gives_the_same_bytes(
    experiment: Path,  # noqa: ARG001  its base is in the cache
    recipe: Recipe,
    tmp_path: Path,
    stops: list[int],
    objective: str,
):
    base = load_base(recipe, base_path(recipe, CPU), CPU)
    train_config = recipe.train.model_copy(update={"objective": OBJECTIVES[objective]})
    recipe = recipe.model_copy(update={"train": train_config})
    whole = RunFolder(tmp_path / "whole")
    train(recipe, base, whole)
    assert whole.done
    assert max(row.grad_norm for row in whole.rows(TelemetryRow)) > 0.0
    cut = RunFolder(tmp_path / "cut")
    for stop in stops:

        def on_progress(step: int, metrics: dict, stop: int = stop) -> None:  # noqa: ARG001
            if step == stop:
                raise Stop

        with pytest.raises(Stop):
            train(recipe, base, cut, on_progress)
        with (cut.path / "telemetry.jsonl").open("a") as file:
            file.write('{"step": 99, "rew')  # a row cut short by the kill
    train(recipe, base, cut)
    assert digest(cut.path) == digest(whole.path)
    assert [row.step for row in cut.rows(TelemetryRow)] == list(range(1, 7))
    assert [row.step for row in cut.rows(EvaluationRow)] == [0, 2, 4, 6]


KILLS = """
import os, pathlib, sys
from rlvrscope import config
from rlvrscope.lab.pretrain import base_path, load_base
from rlvrscope.lab.recipe import Recipe
from rlvrscope.lab.run import StageSteps, objective_at, train
from rlvrscope.runs import EvaluationRow, RunFolder, TelemetryRow
import torch
torch.set_num_threads(1)
recipe = config.load(pathlib.Path(sys.argv[1]), Recipe, ["train.steps=3"])
base = load_base(recipe, base_path(recipe, torch.device("cpu")), torch.device("cpu"))
root, points = pathlib.Path(sys.argv[2]), 0

def counted(function, when):
    def call(*args, **keywords):
        global points
        points += when == "before"
        if when == "before" and points == kill_at: os._exit(9)
        result = function(*args, **keywords)
        points += when == "after"
        if when == "after" and points == kill_at: os._exit(9)
        return result
    return call

for when in ("before", "after"):  # kills just before and just after every write, rename and removal
    RunFolder.append = counted(RunFolder.append, when)
    os.replace = counted(os.replace, when)
    pathlib.Path.unlink = counted(pathlib.Path.unlink, when)
kill_at = 1
while True:
    folder = RunFolder(root / str(kill_at))
    child = os.fork()
    if child == 0:
        points = 0
        folder.claim("x = 1\\n")
        train(recipe, base, folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == 0: break
    at, kill_at = kill_at, -1
    folder.claim("x = 1\\n")
    if not folder.done: train(recipe, base, folder)
    kill_at = at + 1
print(kill_at - 1)
"""


def test_a_kill_around_any_write_changes_nothing(experiment: Path, recipe_file: Path, tmp_path: Path):  # noqa: ARG001
    done = subprocess.run([sys.executable, "-c", KILLS, recipe_file, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kills = int(done.stdout)
    assert kills > 20
    whole = digest(tmp_path / str(kills + 1))
    assert len(whole) == 5
    for kill in range(1, kills + 1):
        assert digest(tmp_path / str(kill)) == whole, f"killed at point {kill}"


def test_telemetry_that_lacks_a_row_is_refused(experiment: Path, recipe: Recipe, tmp_path: Path):  # noqa: ARG001
    base = load_base(recipe, base_path(recipe, CPU), CPU)
    folder = RunFolder(tmp_path)

    def stop(step: int, facts: dict) -> None:  # noqa: ARG001
        if step == 5:
            raise Stop

    with pytest.raises(Stop):
        train(recipe, base, folder, stop)
    rows = (tmp_path / "telemetry.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "telemetry.jsonl").write_text("".join(rows[:2] + rows[3:]))
    with pytest.raises(InputError, match="must have one row per step up to 4"):
        train(recipe, base, folder)


@pytest.mark.parametrize("change", [{"objective": "pass-at-k"}, {"then": {"objective": "pass-at-k", "at": 3}}])
def test_a_group_too_small_for_an_objective_is_refused_before_training(change: dict):
    with pytest.raises(ValueError, match="group_size must be at least 5 for objective 'pass-at-k'; got 4"):
        TrainConfig(group_size=4, **change)
    assert TrainConfig(group_size=5, **change).group_size == 5


def test_the_objective_of_a_step():
    second = OBJECTIVES["grpo-n"]
    plain, at_5 = TrainConfig(), TrainConfig(then=SwitchConfig(objective=second, at=5))
    assert objective_at(100, plain, StageSteps()).name == "grpo"
    assert [objective_at(step, at_5, StageSteps()).name for step in (4, 5)] == ["grpo", "grpo-n"]
    series = [1.0 - 0.01 * step for step in range(50)] + [0.51] * 80
    when = saturated_at(series)
    assert when is not None
    stages = StageSteps()
    for step, entropy in enumerate(series, start=1):
        stages.add(TelemetryRow(step=step, reward=0.5, entropy=entropy), None, None)
    on_saturation = TrainConfig(then=SwitchConfig(objective=second, at="saturation"))
    assert [objective_at(step, on_saturation, stages).name for step in (when, when + 1)] == ["grpo", "grpo-n"]


def test_the_objective_follows_the_stage():
    config = TrainConfig(then=SwitchConfig(objective=OBJECTIVES["grpo-p"], at="exploration"))
    stages, names = StageSteps(), list[str]()
    for step in range(1, 121):
        names.append(objective_at(step, config, stages).name)
        top = 0.3 + 0.4 * (step / 60 - 1) ** 2 + 0.01 * (step % 3)
        levels = {0.0: 0.5, 0.5: 0.4, 1.0: 0.1}
        shares = {"pass_at_1": 0.5, "pass_at_group": 0.9, "pass_hat_group": 0.1, "top_at_group": top}
        ledger = LedgerRow(step=step, groups=8, group_size=4, levels=levels, top_level=1.0, **shares)
        stages.add(TelemetryRow(step=step, reward=0.5, entropy=1.0), ledger, None)
    switched = names.index("grpo-p") + 1
    assert 60 < switched < 100
    assert stages.first["exploration"] == switched - 1
    assert set(names[switched - 1 :]) == {"grpo-p"}
