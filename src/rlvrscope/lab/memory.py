"""Memory that training a pretrained model takes, estimated before it starts."""

from __future__ import annotations

import math
from pathlib import Path

import safetensors
import torch

from rlvrscope.errors import InputError
from rlvrscope.lab.device import free_bytes
from rlvrscope.lab.pretrain import base_path
from rlvrscope.lab.recipe import PretrainedConfig, Recipe, TrainConfig
from rlvrscope.lab.tree_policy import MAX_KEPT_NODES
from rlvrscope.runs import read_json

BYTES_PER_PARAMETER = 20
"""In float32: the policy, the base, a gradient and two moments of AdamW."""
_NODES_PER_ROLLOUT = 3
"""Tokens of a rollout that no other shares, prompts included.

With 3 the estimate for SmolLM2-135M, 16 prompts x 16 rollouts, is 4.5 GB; the peak was 4.6.
"""


def check_memory(recipe: Recipe, workers: int, device: torch.device) -> None:
    """Raise InputError if `workers` runs of a pretrained model need more memory than is free."""
    if not isinstance(recipe.model, PretrainedConfig):
        return
    needed, free = training_bytes(base_path(recipe, device), recipe.train), free_bytes(device)
    if workers * needed > free:
        raise InputError(
            f"a run of {recipe.model.pretrained} needs about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free "
            f"for {workers}: use fewer --workers, a smaller model, or a smaller train.group_size"
        )


def training_bytes(folder: Path, config: TrainConfig) -> int:
    """Peak of one run: weights, optimizer, and the activations and logits of one update."""
    settings = read_json(folder / "config.json")
    hidden, layers = int(settings.get("hidden_size", 4096)), int(settings.get("num_hidden_layers", 32))
    inner, vocabulary = int(settings.get("intermediate_size", 4 * hidden)), int(settings.get("vocab_size", 50_000))
    rows = config.prompts_per_step // config.minibatches * config.group_size
    nodes = min(MAX_KEPT_NODES, rows * _NODES_PER_ROLLOUT)
    node_bytes = 4 * (layers * (14 * hidden + 4 * inner) + 3 * vocabulary)
    return BYTES_PER_PARAMETER * _parameters(folder) + nodes * node_bytes


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
