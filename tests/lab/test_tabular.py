"""The control without shared parameters: its masses, its steps against the theory, its run folder."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from rlvrscope import WorkError
from rlvrscope.dynamics import expected_update
from rlvrscope.lab.pretrain import base_path, load_base
from rlvrscope.lab.recipe import Recipe, TrainConfig
from rlvrscope.lab.run import train
from rlvrscope.lab.solutions import SolutionSet
from rlvrscope.lab.tabular import TabularPolicy
from rlvrscope.runs import EvaluationRow, RunFolder
from rlvrscope.seeding import generator

CPU = torch.device("cpu")
MASSES = np.array([0.3, 0.2, 0.1, 0.05])
NONE = torch.zeros((0, 0), dtype=torch.int64)


@pytest.fixture
def table() -> TabularPolicy:
    """Prompt 0: answers of .3 (reward 1) and .2 (.5). Prompt 1: .1 and .05, both 1."""
    prompts = torch.zeros((2, 1), dtype=torch.int64)
    return TabularPolicy(
        SolutionSet(prompts, NONE, np.arange(4), np.array([0, 0, 1, 1]), np.array([1.0, 0.5, 1.0, 1.0])), MASSES
    )


def test_it_starts_at_the_base(table: TabularPolicy):
    np.testing.assert_allclose(table.mass(), MASSES, rtol=1e-12)
    np.testing.assert_allclose(table.probs()[:, 0], [0.5, 0.85], rtol=1e-12)
    # At T = .5 masses are squared: .09 / (.25 + .09 + .04).
    assert table.mass(0.5)[0] == pytest.approx(0.09 / 0.38)


@pytest.mark.parametrize("name", ["grpo", "grpo-n", "rloo"])
def test_the_exact_step_is_the_expected_update(table: TabularPolicy, name: str):
    config = TrainConfig(
        objective=name, gradient="exact", policy="tabular", optimizer="sgd", learning_rate=0.1, group_size=4
    )
    before = table.logits_PA.copy()
    table.step(np.array([0, 1]), config, generator(0))
    for prompt, (probs, rewards) in enumerate([([0.5, 0.3, 0.2], [0, 1, 0.5]), ([0.85, 0.1, 0.05], [0, 1, 1])]):
        expected = expected_update(np.array(rewards, float), name, 4, probs_V=np.array(probs), learning_rate=0.1)
        np.testing.assert_allclose((table.logits_PA - before)[prompt], expected, rtol=1e-9, atol=1e-12)


def test_the_sampled_step_is_it_on_average(table: TabularPolicy):
    config = TrainConfig(objective="grpo", policy="tabular", optimizer="sgd", learning_rate=1.0, group_size=4)
    start, moves = table.logits_PA.copy(), []
    for seed in range(4000):
        table.logits_PA = start.copy()
        table.step(np.array([0]), config, generator(seed))
        moves.append((table.logits_PA - start)[0])
    expected = expected_update(np.array([0, 1, 0.5]), "grpo", 4, probs_V=np.array([0.5, 0.3, 0.2]))
    error = np.std(moves, axis=0) / np.sqrt(len(moves))
    assert (np.abs(np.mean(moves, axis=0) - expected) < 4 * error).all()


def test_adam_on_the_table_is_torchs(table: TabularPolicy):
    """Prompt 1 is drawn every other time: its moments wait for it, as those of a parameter without gradient do."""
    given = {"objective": "grpo", "gradient": "exact", "policy": "tabular", "learning_rate": 0.1, "group_size": 4}
    config, plain = TrainConfig(**given), TrainConfig(**given, optimizer="sgd")
    rows = [torch.tensor(logits_A, requires_grad=True) for logits_A in table.logits_PA]
    reference = [torch.optim.AdamW([row], lr=0.1, betas=(0.9, 0.95), weight_decay=0.0) for row in rows]
    for step in range(6):
        drawn_M = np.array([0, 1] if step % 2 == 0 else [0])
        twin = copy.deepcopy(table)
        twin.step(drawn_M, plain, generator(0))
        for prompt in drawn_M:
            rows[prompt].grad = torch.from_numpy((table.logits_PA - twin.logits_PA)[prompt] / 0.1)
            reference[prompt].step()
        table.step(drawn_M, config, generator(0))
    for prompt in (0, 1):
        np.testing.assert_allclose(table.logits_PA[prompt], rows[prompt].detach().numpy(), rtol=1e-6)


def test_a_run_scores_its_training_prompts_and_is_the_same_when_begun_anew(
    experiment: Path,  # noqa: ARG001  its base is in the cache
    recipe: Recipe,
    tmp_path: Path,
):
    base = load_base(recipe, base_path(recipe, CPU), CPU)
    tabular = recipe.train.model_copy(update={"policy": "tabular", "learning_rate": 0.5})
    scored = recipe.evaluate.model_copy(update={"train_prompts": 16})
    mine = recipe.model_copy(update={"train": tabular, "evaluate": scored})
    folders = [RunFolder(tmp_path / name) for name in ("one", "two")]
    for folder in folders:
        train(mine, base, folder)
        if folder is folders[1]:
            folder.final_checkpoint.unlink()  # as if it had been killed before the last write
            train(mine, base, folder)
    rows = folders[0].rows(EvaluationRow)
    assert [len(score.success_P) for score in rows[-1].training] == [16, 16]
    assert rows[-1].training[1].pass_at_1 > rows[0].training[1].pass_at_1
    held_out = [row.model_dump_json(include={"held_out"}) for row in rows]
    assert set(held_out) == {held_out[0]}, "a tabular policy has no held-out prompts"
    texts = [folder.file(EvaluationRow).read_bytes() for folder in folders]
    assert texts[0] == texts[1]
    with pytest.raises(WorkError, match=r"set evaluate\.train_prompts above 0"):
        train(mine.model_copy(update={"evaluate": recipe.evaluate}), base, RunFolder(tmp_path / "three"))
