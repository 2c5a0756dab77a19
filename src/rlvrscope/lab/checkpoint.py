"""Checkpoints: safetensors with one JSON header. Nothing is ever unpickled."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from rlvrscope.errors import InputError
from rlvrscope.files import open_ordinary, parse_json
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.recipe import ModelConfig, PretrainedConfig
from rlvrscope.runs import replacing

FORMAT_VERSION = 1
NO_WEIGHTS = "no weights"
"""Kind of the final checkpoint of a run whose weights were not to be kept."""


def save(path: Path, model: Policy, extra: dict[str, Tensor] | None = None, **facts: Any) -> None:
    """Write weights and `extra` tensors (optimizer state) atomically. Raises WorkError (space, permission)."""
    header = {
        "model": model.config.model_dump(),
        "vocab_size": model.vocab_size,
        "context": model.context,
        **model.identity,
        **facts,
    }
    tensors = {f"model.{name}": tensor for name, tensor in model.module.named_parameters()}
    tensors |= {f"extra.{name}": tensor for name, tensor in (extra or {}).items()}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _write(path, plain, {**header, "crc32": _crc32(plain)})


def save_header(path: Path, **facts: Any) -> None:
    """Write a checkpoint without tensors, which marks a run as done. Raises WorkError."""
    _write(path, {}, facts)


def _write(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    header = json.dumps({"format_version": FORMAT_VERSION, **facts}, sort_keys=True)
    # One metadata key: the order of several would change the file's bytes from run to run.
    with replacing(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, {"rlvrscope": header})


def load(path: Path, device: torch.device, kind: str | None = None) -> tuple[Policy, dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint: the model, the extra tensors and the header.

    kind: the kind it must be of, if given. Raises InputError for a damaged or foreign file, a newer format or another
    kind, and for weights that differ from their checksum (files of earlier versions have none); WorkError if it can't
    be read.
    """
    with open_ordinary(path):
        pass  # safetensors does not say why a file can't be opened
    try:
        with safetensors.safe_open(path, framework="pt", device=str(device)) as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except safetensors.SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}). Remove it and run again.") from error
    try:
        header = parse_json(metadata["rlvrscope"])
        version = int(header["format_version"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path} was not written by rlvrscope: it has no rlvrscope header") from error
    if version > FORMAT_VERSION:
        raise InputError(f"{path} has format {version}; this version reads up to {FORMAT_VERSION}. Upgrade rlvrscope.")
    if kind is not None and header.get("kind") != kind:
        raise InputError(f"{path} is a checkpoint of kind {header.get('kind')!r}, not {kind!r}")
    if header.get("kind") == NO_WEIGHTS:
        raise InputError(f"{path} holds no weights: its run has train.keep_weights = false")
    if header.get("crc32", checksum := _crc32(tensors)) != checksum:
        raise InputError(f"{path} is damaged: its weights differ from their checksum. Remove it and run again.")
    try:
        model = _model(header, _under("model.", tensors), device)
        _fill(model, _under("model.", tensors))
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: its weights do not fit the model in its header ({reason})") from error
    return model, _under("extra.", tensors), header


def _crc32(tensors: dict[str, Tensor]) -> int:
    """CRC-32 of names and values."""
    checksum = 0
    for name in sorted(tensors):
        checksum = zlib.crc32(name.encode(), checksum)
        checksum = zlib.crc32(tensors[name].cpu().reshape(-1).view(torch.uint8).numpy().data, checksum)
    return checksum


def _model(header: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> Policy:
    """Model of the header's shape, whose weights are to be filled in.

    Raises ValueError for a shape that is not that of the tensors, before memory is allocated for it.
    """
    if "pretrained" not in header["model"]:
        config = ModelConfig(**header["model"])
        if config.layers > len(tensors):
            raise ValueError(f"the header names {config.layers} layers, and there are {len(tensors)} tensors")
        with torch.device("meta"):
            model = Transformer(config, header["vocab_size"], header["context"])
        _check_shapes(model, tensors)
        return model.to_empty(device=device)
    from rlvrscope.lab.tree_policy import TreePolicy

    model = TreePolicy.load(PretrainedConfig(**header["model"]), device)
    if model.sha256 != header["sha256"]:
        raise InputError(f"{model.config.pretrained} holds other files than when the run began. Restore them.")
    return model


@torch.no_grad()
def _fill(model: Policy, tensors: dict[str, Tensor]) -> None:
    """Raises ValueError unless names and shapes are the model's."""
    _check_shapes(model, tensors)
    for name, weight in model.module.named_parameters():
        weight.copy_(tensors[name])


def _check_shapes(model: Policy, tensors: dict[str, Tensor]) -> None:
    weights = dict(model.module.named_parameters())
    wrong = weights.keys() ^ tensors.keys()
    wrong |= {name for name in weights.keys() & tensors.keys() if weights[name].shape != tensors[name].shape}
    if wrong:
        raise ValueError(f"{min(wrong)} is missing, not wanted or of another shape")


def optimizer_tensors(model: Policy, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Optimizer state as tensors named by parameter and moment."""
    named = model.module.named_parameters()
    return {f"{name}.{key}": value for name, weights in named for key, value in optimizer.state[weights].items()}


def restore_optimizer(model: Policy, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restore the state that `optimizer_tensors` returned. Raises InputError unless it fits every parameter."""
    for name, weights in model.module.named_parameters():
        state = _under(f"{name}.", tensors)
        shapes = {key: tuple(value.shape) for key, value in state.items()}
        if shapes != {"step": (), "exp_avg": tuple(weights.shape), "exp_avg_sq": tuple(weights.shape)}:
            raise InputError(f"the checkpoint to resume from lacks the optimizer state of {name}. Remove it.")
        optimizer.state[weights] = state


def step_of(path: Path, header: dict[str, Any], last: int) -> int:
    """Step of a checkpoint to resume from. Raises InputError unless it is one of a run of `last` steps."""
    step = header.get("step")
    if type(step) is not int or not 1 <= step <= last:
        raise InputError(
            f"{path} is damaged: its step must be from 1 to {last}; got {step!r:.40}. Remove it, run again."
        )
    return step


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
