"""Supervised pre-training of a base model on demonstrations, and the cache of base models."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock

from rlvrscope import __version__
from rlvrscope.errors import InputError, file_errors
from rlvrscope.extras import needs_extra
from rlvrscope.lab import checkpoint
from rlvrscope.lab.model import Transformer, token_logp
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.recipe import ModelConfig, PretrainConfig, PretrainedConfig, Recipe
from rlvrscope.seeding import generator

SAVE_EVERY = 250
OnStep = Callable[[int, float], None]
"""Called after each step with its number and loss."""


def pretrain(
    recipe: Recipe,
    device: torch.device,
    on_step: OnStep = lambda step, loss: None,
    resume: Path | None = None,
) -> Transformer:
    """Train a base from scratch on the mean negative log-likelihood of the completions' tokens.

    resume: a checkpoint written every 250 steps; training resumes from it if it exists.
    """
    task, config, size = recipe.token_task, recipe.pretrain, recipe.model
    assert config is not None
    assert isinstance(size, ModelConfig)
    start, moments = 0, {}
    if resume is not None and resume.exists():
        loaded, moments, header = checkpoint.load(resume, device, kind="resume")
        if not isinstance(loaded, Transformer) or loaded.config != size:
            raise InputError(f"{resume} is the checkpoint of another model. Remove it and run again.")
        model, start = loaded, checkpoint.step_of(resume, header, config.steps)
    else:
        model = Transformer(size, task.vocab_size, task.prompt_length + task.completion_length)
        model.initialise(generator(config.seed, "weights")).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        config.learning_rate,
        (0.9, config.beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )
    if start > 0:
        checkpoint.restore_optimizer(model, optimizer, moments)
    for step in range(start + 1, config.steps + 1):
        examples = task.demonstrations(config.batch_size, generator(config.seed, "demonstrations", step))
        tokens_BT = torch.from_numpy(examples).to(device)
        logits_BTV = model(tokens_BT[:, :-1])[:, task.prompt_length - 1 :]
        loss = -token_logp(logits_BTV, tokens_BT[:, task.prompt_length :]).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = config.learning_rate * _rate(step, config)
        optimizer.step()
        if resume is not None and step % SAVE_EVERY == 0:
            checkpoint.save(resume, model, checkpoint.optimizer_tensors(model, optimizer), kind="resume", step=step)
        on_step(step, loss.item())
    return model


def base_path(recipe: Recipe, device: torch.device) -> Path:
    """Path of this recipe's base in the cache, whether it exists yet or not, or of the folder of a pretrained model.

    The cache is $RLVRSCOPE_CACHE, or rlvrscope under $XDG_CACHE_HOME (~/.cache). The name contains a digest of the
    task, model and pre-training settings, the device type and the versions of rlvrscope and torch.
    """
    if isinstance(recipe.model, PretrainedConfig):
        with needs_extra("hf", "a pretrained model"):
            from rlvrscope.lab.pretrained import find_folder
        return find_folder(recipe.model.pretrained)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Path(os.environ.get("RLVRSCOPE_CACHE") or home / "rlvrscope")
    versions = f"rlvrscope{__version__}-torch{torch.__version__}"
    name = f"{recipe.task.name}-{recipe.base_digest()}-{device.type}-{versions}.safetensors"
    return cache / "bases" / name


def ensure_base(recipe: Recipe, path: Path, device: torch.device, on_step: OnStep = lambda step, loss: None) -> Path:
    """Pre-train the base unless `path` exists. Returns `path`.

    Of two processes that need the same base, the second waits for the first.
    """
    with file_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        resume = path.with_suffix(".resume.safetensors")
        if not path.exists():
            model = pretrain(recipe, device, on_step, resume)
            checkpoint.save(path, model, kind="base", recipe=recipe.base_digest())
        resume.unlink(missing_ok=True)
    return path


def load_base(recipe: Recipe, path: Path, device: torch.device) -> Policy:
    """Read this recipe's base. Raises InputError if the file holds the base of another recipe."""
    if isinstance(recipe.model, PretrainedConfig):
        from rlvrscope.lab.tree_policy import TreePolicy

        return TreePolicy.load(recipe.model, device)
    model, _, header = checkpoint.load(path, device, kind="base")
    if header.get("recipe") != recipe.base_digest():
        raise InputError(f"{path} holds the base of another recipe. Remove it and run again.")
    return model


def _rate(step: int, config: PretrainConfig) -> float:
    """Fraction of the learning rate: linear warm-up, then linear decay to `final_rate` at the last step."""
    if step <= config.warmup_steps:
        return step / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return 1.0 - (1.0 - config.final_rate) * done
