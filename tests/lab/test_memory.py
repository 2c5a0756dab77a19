"""The memory of a run is estimated from a model's files, and too little is one line before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rlvrscope import InputError, config
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


@pytest.mark.parametrize(
    ("sections", "what"),
    [
        ({"model": {"width": 65536, "layers": 1024}}, "model.width and model.layers"),
        ({"train": {"group_size": 10**7}}, "train.prompts_per_step and train.group_size"),
        ({"pretrain": {"batch_size": 10**7}}, "pretrain.batch_size"),
        ({"evaluate": {"entropy_samples": 10**7}}, "evaluate.entropy_samples"),
        ({"evaluate": {"prompts": 10**6}}, "evaluate"),
    ],
)
def test_a_tiny_model_is_no_longer_tiny_with_absurd_numbers(
    sections: dict[str, Any], what: str, monkeypatch: pytest.MonkeyPatch
):
    """Refused by what makes it large, before anything is allocated."""
    monkeypatch.setattr(memory, "free_bytes", lambda device: 16 << 30)
    check_memory(Recipe(), 32, CPU)
    with pytest.raises(InputError, match=rf"GB are free for 1: use fewer --workers, smaller numbers of {what}"):
        check_memory(config.parse(sections, Recipe, "absurd"), 1, CPU)


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"model": {"width": 10**6}}, "model.width"), ({"train": {"group_size": 10**12}}, "train.group_size"),
        ({"train": {"prompts": 10**7}}, "train.prompts"), ({"evaluate": {"prompts": 10**30}}, "evaluate.prompts"),
        ({"train": {"seed": 2**63}}, "train.seed"), ({"train": {"steps": 10**30}}, "train.steps"),
        ({"evaluate": {"also": [1] * 20_000}}, "evaluate.also"), ({"train": {"steps": [[1]]}}, "train.steps"),
    ],
)  # fmt: skip
def test_numbers_beyond_the_schema_are_refused_by_name(sections: dict[str, Any], key: str):
    with pytest.raises(InputError, match=rf"^absurd: {key}: should|^absurd: {key}: Tuple should") as refused:
        config.parse(sections, Recipe, "absurd")
    assert len(str(refused.value)) < 500
