"""Recipes: what is wrong is said with file, key, what came and what is allowed."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from rlvrscope import InputError, config
from rlvrscope.lab.recipe import Recipe
from rlvrscope.lab.tasks import Countdown, Line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "train.grup_size=4",
            "unknown key 'train.grup_size'. Did you mean 'group_size'? Allowed: objective, arm, then, seed,",
        ),
        ("compare.gain=[0.1]", "unknown key 'compare.gain'. Did you mean 'gains'? Allowed: objectives, arms,"),
        ("train.then={at=3, objective='grpo', by=1}", "unknown key 'train.then.by'. Allowed: objective, at."),
        ("trian.steps=4", "unknown key 'trian'. Did you mean 'train'?"),
        ("train.group_size=1", "train.group_size: should be greater than or equal to 2; got 1"),
        ("train.steps=many", "train.steps: should be a valid integer"),
        ("train.objective=grop", "train.objective: no objective is called 'grop'. Did you mean 'grpo'?"),
        ('train.objective={base="grpo", name="x", ratio="word"}', "ratio must be one of token, sequence; got 'word'"),
        (
            "task.name=lines",
            "task: no task is called 'lines'. Did you mean 'line'? Allowed: line, count",
        ),
        ("task.name=[1]", "task: no task is called [1]. Allowed: line, countdown"),
        ("task=3", "task: should be a valid dictionary"),
        ("task.stepz=3", "unknown key 'task.stepz'. Did you mean 'steps'? Allowed: name, steps,"),
        ("task.name=countdown", "unknown key 'task.steps'. Allowed: name, numbers,"),
        ("task.steps=none", "task.steps: should be a valid integer"),
        (
            "task.common_reward=0.3",
            "task.common_reward: must be between 0.5 and 1, because a lower score counts as wrong",
        ),
        ("model.width=30", "model: width must be a multiple of heads; got width 30, heads 4"),
        ("train.minibatches=3", "train: prompts_per_step must be a multiple of minibatches; got 8, 3"),
        ("train.learning_rate=nan", "train.learning_rate: should be a finite number; got nan"),
        ("evaluate.temperatures=[0.5]", "evaluate: temperatures must hold 1.0 and not repeat; got [0.5]"),
        (
            'compare.objectives=["grpo", "grpo"]',
            "compare: the names of objectives and arms must not repeat; got ['grpo', 'grpo']",
        ),
        (
            'compare={objectives=["grpo", "psr"], pairs=[["psr", "nsr"]]}',
            "compare: pairs must hold two different arms each, of ['grpo', 'psr']; got ['psr', 'nsr']",
        ),
        ("compare.objectives=[]", "compare: objectives or arms must name what to compare; both are empty"),
        ("compare.seeds=[]", "compare.seeds: "),
        (
            "compare.arms={GRPO={}}",
            "compare: names of arms must differ by more than case, and 'base' is reserved",
        ),
        (
            "compare.arms={t={policy='tabular'}}",
            "arm 't' is tabular and has training prompts only",
        ),
        ("evaluate.train_prompts=65", "evaluate.train_prompts must not exceed train.prompts; got 65 and 64"),
        ("tune={rates=[0.1, 0.2], bases=[0]}", "[tune] needs bases and a seed that [compare] does not use"),
        ("select={success=[0.9, 0.1]}", "select: success must be [least, largest], from 0 to 1; got [0.9, 0.1]"),
        (
            "train={policy='tabular', objective={base='grpo', name='k', kl_coef=1.0}}",
            "objective.kl_coef must be 0 with",
        ),
        ("format_version=3", "format_version: must be 2; got 3: written by a newer version"),
        ("train.steps", "--set takes KEY=VALUE"),
        ("name.more=1", "'name' is a single value, not a table"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(recipe_file: Path, override: str, message: str):
    with pytest.raises(InputError) as caught:
        config.load(recipe_file, Recipe, ["model.heads=4", override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_recipes(tmp_path: Path):
    with pytest.raises(InputError, match=r"cannot read .*none.toml: No such file"):
        config.load(tmp_path / "none.toml", Recipe)
    (tmp_path / "bad.toml").write_text("[train\nsteps = 3")
    with pytest.raises(InputError, match=r"bad.toml: not valid TOML: .*line 1"):
        config.load(tmp_path / "bad.toml", Recipe)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary.toml: not valid TOML"):
        config.load(tmp_path / "binary.toml", Recipe)


@pytest.mark.parametrize("name", ["demo", "demo-quick"])
def test_resolved_recipes_read_back_as_themselves(name: str, tmp_path: Path):
    with (files("rlvrscope") / "recipes" / f"{name}.toml").open("rb") as file:
        recipe = config.parse(tomllib.load(file), Recipe, name)
    path = tmp_path / "resolved.toml"
    path.write_text(config.dumps(recipe))
    assert config.load(path, Recipe) == recipe


def test_a_task_is_told_by_its_name_and_is_line_without_one(tmp_path: Path):
    path = tmp_path / "recipe.toml"
    tasks = []
    for table in ("[task]\nsteps = 3", "[task]\nname = 'countdown'\noperations = ['+', 'x']", ""):
        path.write_text(table)
        recipe = config.load(path, Recipe)
        path.write_text(config.dumps(recipe))
        assert config.load(path, Recipe) == recipe
        tasks.append(recipe.task)
    assert tasks == [Line(steps=3), Countdown(operations=("+", "x")), Line()]


def test_set_takes_numbers_words_and_tables(recipe_file: Path):
    overrides = ["train.steps=9", "train.objective=gspo", "evaluate.temperatures=[1.0, 1.5]", "train.temperature=0.5"]
    recipe = config.load(recipe_file, Recipe, overrides)
    assert (recipe.train.steps, recipe.train.objective.name, recipe.train.temperature) == (9, "gspo", 0.5)
    assert recipe.evaluate.temperatures == (1.0, 1.5)


def test_the_digest_of_a_base_follows_its_settings_only(recipe_file: Path):
    plain = config.load(recipe_file, Recipe)
    for override in ("train.steps=9", "task.common_reward=0.5", "task.problem_rare_weight=0.2"):
        assert config.load(recipe_file, Recipe, [override]).base_digest() == plain.base_digest()
    for override in ("pretrain.seed=1", "task.rare_weight=0.2", "model.layers=2"):
        assert config.load(recipe_file, Recipe, [override]).base_digest() != plain.base_digest()
