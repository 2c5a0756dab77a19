"""A real finished run of the lab in a second or two: a base that was never pre-trained, two steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlvrscope import config
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.recipe import ModelConfig, Recipe
from rlvrscope.lab.run import train
from rlvrscope.runs import RunFolder
from rlvrscope.seeding import generator

QUICK: dict[str, Any] = {
    "name": "quick",
    "task": {"name": "line", "steps": 2},
    "model": {"width": 16, "layers": 1, "heads": 2},
    "train": {"steps": 2, "prompts": 16, "prompts_per_step": 4, "group_size": 4},
    "evaluate": {"prompts": 8, "every": 1, "wise": [0.5], "train_prompts": 4},
}


def quick_recipe(**sections: Any) -> Recipe:
    """The recipe of such a run, with keys of its sections changed: train={"steps": 3}."""
    return config.parse({**QUICK, **{name: QUICK[name] | keys for name, keys in sections.items()}}, Recipe, "quick")


def quick_base(recipe: Recipe) -> Transformer:
    task, size = recipe.token_task, recipe.model
    assert isinstance(size, ModelConfig)
    return Transformer(size, task.vocab_size, task.prompt_length + task.completion_length).initialise(generator(0, "q"))


def quick_run(folder: Path, recipe: Recipe | None = None) -> RunFolder:
    """Train it into a folder."""
    recipe = recipe or quick_recipe()
    run = RunFolder(folder)
    run.claim(config.dumps(recipe))
    train(recipe, quick_base(recipe), run)
    return run
