# pyright: reportMissingImports=false
"""verl's configuration of a recipe, composed and validated by verl itself."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlvrscope.adapters.verl.names import OBJECTIVE_VARIABLE, to_environment
from rlvrscope.adapters.verl.recipe import VerlRecipe
from rlvrscope.adapters.verl.run_paths import RunPaths
from rlvrscope.adapters.verl.settings import overrides, settings
from rlvrscope.errors import InputError

VerlConfig = Any
"""omegaconf.DictConfig"""


def compose(recipe: VerlRecipe, paths: RunPaths, metrics: Path) -> VerlConfig:
    """Compose verl's configuration: its defaults, the recipe's settings, then the recipe's own overrides.

    metrics: file that verl's logger writes. Raises InputError for an override that verl's configuration has no key for.
    """
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException
    from omegaconf import OmegaConf, open_dict
    from omegaconf.errors import OmegaConfBaseException

    own = list(overrides(settings(recipe, paths)))
    try:
        with initialize_config_module("verl.trainer.config", version_base=None):
            before = compose("ppo_trainer", overrides=own)
            config = compose("ppo_trainer", overrides=[*own, *recipe.cluster.overrides])
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(f"verl's configuration refuses {_blamed(error, recipe.cluster.overrides)}") from error
    for override in recipe.cluster.overrides:
        key = override.partition("=")[0].strip()
        value = None if key.startswith(("+", "~")) else OmegaConf.select(config, key)
        if isinstance(OmegaConf.select(before, key), int | float) and isinstance(value, str):
            raise InputError(f"{key} must be a number; got {value!r}")  # verl finds out once its workers have started
    variables = {"VERL_FILE_LOGGER_PATH": str(metrics), OBJECTIVE_VARIABLE: to_environment(recipe.objective)}
    with open_dict(config):
        runtime = config.ray_kwargs.ray_init.runtime_env
        runtime.env_vars = {**(runtime.get("env_vars") or {}), **variables}
        config.rlvrscope = {"bank": recipe.checkpoint.bank, "folder": str(paths.path)}
    return config


def validate(config: VerlConfig) -> None:
    """Validate a configuration by verl's own checks and dataclasses, and the sizes that overrides may have changed.

    Raises InputError with verl's reason.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
            for section in (config.algorithm, config.actor_rollout_ref.rollout):
                omega_conf_to_dataclass(section)
        except (AssertionError, ValueError, TypeError, KeyError, HydraException, OmegaConfBaseException) as error:
            cause = error.__cause__ or error
            reason = " ".join(str(cause).split()) or type(cause).__name__
            raise InputError(f"verl refuses this configuration: {reason}") from error
    prompts, minibatch = config.data.train_batch_size, config.actor_rollout_ref.actor.ppo_mini_batch_size
    if prompts % minibatch:
        raise InputError(
            f"data.train_batch_size must be a multiple of actor.ppo_mini_batch_size, or verl fills the last update "
            f"with empty rows; got {prompts} and {minibatch}"
        )


def _blamed(error: Exception, given: Sequence[str]) -> str:
    """The override at fault, as far as it can be told, and the first line of the reason."""
    reason = " ".join(str(error).split("\n")[0].split())
    key = next((one for one in given if one.partition("=")[0].lstrip("+~").rpartition(".")[2] in reason), None)
    return f"{key!r}: {reason}" if key else f"an override: {reason}"


def as_yaml(config: VerlConfig) -> str:
    """Return a configuration as verl's command line prints it."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(config, resolve=True)
