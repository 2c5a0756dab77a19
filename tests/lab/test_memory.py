"""The memory of a run is estimated from a model's files, and too little is one line before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rlvrscope import InputError
from rlvrscope.lab import memory
from rlvrscope.lab.memory import BYTES_PER_PARAMETER, check_memory, training_bytes
from rlvrscope.lab.recipe import PretrainedConfig, Recipe, TrainConfig
from rlvrscope.lab.tasks import Mul
from rlvrscope.lab.tree_policy import TreePolicy

pytest.importorskip("transformers")
CPU = torch.device("cpu")


def test_it_counts_every_weight_and_grows_with_the_batch(text_model: Path):
    policy = TreePolicy.load(PretrainedConfig(pretrained=str(text_model)), CPU)
    weights = sum(weight.numel() for weight in policy.parameters())
    small, large = (training_bytes(text_model, TrainConfig(prompts_per_step=2, group_size=size)) for size in (2, 200))
    assert weights * BYTES_PER_PARAMETER < small < large


def test_too_little_is_refused(text_model: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = Recipe(task=Mul(), model=PretrainedConfig(pretrained=str(text_model)))
    needed = training_bytes(text_model, recipe.train)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1.5 * needed)
    check_memory(recipe, 1, CPU)
    with pytest.raises(InputError, match=r"needs about .* GB, and .* GB are free for 2: use fewer --workers"):
        check_memory(recipe, 2, CPU)
    check_memory(Recipe(), 100, CPU)
