"""Memory that training takes, estimated before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch

from rlvrscope.errors import InputError
from rlvrscope.lab.device import free_bytes
from rlvrscope.lab.pretrain import base_path
from rlvrscope.lab.recipe import ModelConfig, PretrainedConfig, Recipe, TrainConfig
from rlvrscope.lab.tree_policy import MAX_KEPT_NODES
from rlvrscope.runs import read_json
from rlvrscope.seeding import generator

BYTES_PER_PARAMETER = 20
"""In float32: the policy, the base, a gradient and two moments of AdamW."""
_NODES_PER_ROLLOUT = 3
"""Tokens of a rollout that no other shares, prompts included.

With 3 the estimate for SmolLM2-135M, 16 prompts x 16 rollouts, is 4.5 GB; the peak was 4.6.
"""


def check_memory(recipe: Recipe, workers: int, device: torch.device) -> None:
    """Raise InputError if `workers` runs of a recipe need more memory than is free."""
    size, free = recipe.model, free_bytes(device)
    if isinstance(size, PretrainedConfig):
        needed, what = training_bytes(base_path(recipe, device), recipe.train), f"a run of {size.pretrained}"
        smaller = "a smaller model, or a smaller train.group_size"
    else:
        parts = tiny_bytes(recipe, size)
        largest = max(parts, key=lambda name: parts[name])
        needed, what, smaller = sum(parts.values()), f"a run of {recipe.name}", f"smaller numbers of {largest}"
    if workers * needed > free:
        raise InputError(
            f"{what} needs about {needed / 1e9:,.1f} GB, and {free / 1e9:.1f} GB are free for {workers}: use fewer "
            f"--workers, {smaller}"
        )


def tiny_bytes(recipe: Recipe, size: ModelConfig) -> dict[str, int]:
    """Peak of a run of the lab's transformer in bytes, by what can be made smaller."""
    task, train, evaluate = recipe.token_task, recipe.train, recipe.evaluate
    length = task.prompt_length + task.completion_length
    weights = size.layers * 12 * size.width**2 + (2 * task.vocab_size + length) * size.width
    token = 4 * (size.layers * (14 * size.width + 4 * 4 * size.width) + 3 * task.vocab_size)  # activations, logits
    cache = 4 * 2 * size.layers * size.width * length
    rollouts, updated = train.prompts_per_step * train.group_size, train.prompts_per_step // train.minibatches
    scored = evaluate.prompts + evaluate.avoid + evaluate.train_prompts
    prompts_PT = task.prompts(4, "held_out", generator(0, "memory"))
    answers = max(len(task.solutions(prompt_T)) for prompt_T in prompts_PT)
    return {
        "model.width and model.layers": BYTES_PER_PARAMETER * weights,
        "pretrain.batch_size": 0 if recipe.pretrain is None else recipe.pretrain.batch_size * length * token,
        "train.prompts_per_step and train.group_size": rollouts * cache + updated * train.group_size * length * token,
        "prompts": 8 * (8 * train.prompts + scored * (8 + 3 * answers)) * length,  # copies, as they are made distinct
        "evaluate.entropy_samples": evaluate.prompts * evaluate.entropy_samples * cache,
    }


def training_bytes(folder: Path, config: TrainConfig) -> int:
    """Peak of one run: weights, optimizer, and the activations and logits of one update."""
    settings = read_json(folder / "config.json")
    hidden, layers = _size(folder, settings, "hidden_size", 4096), _size(folder, settings, "num_hidden_layers", 32)
    inner = _size(folder, settings, "intermediate_size", 4 * hidden)
    vocabulary = _size(folder, settings, "vocab_size", 50_000)
    rows = config.prompts_per_step // config.minibatches * config.group_size
    nodes = min(MAX_KEPT_NODES, rows * _NODES_PER_ROLLOUT)
    node_bytes = 4 * (layers * (14 * hidden + 4 * inner) + 3 * vocabulary)
    return BYTES_PER_PARAMETER * _parameters(folder) + nodes * node_bytes


def _size(folder: Path, settings: Mapping[str, Any], name: str, default: int) -> int:
    size = settings.get(name, default)
    if type(size) is not int or size < 1:
        raise InputError(f"{folder / 'config.json'}: {name} must be a whole number above 0; got {size!r:.40}")
    return size


def _parameters(folder: Path) -> int:
    """Number of weights in a folder's safetensors files, whose headers alone are read."""
    total = 0
    for path in folder.glob("model*.safetensors"):
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
        except safetensors.SafetensorError as error:
            raise InputError(f"{path} is not a whole safetensors file ({error})") from error
    return total
