"""A recipe as verl's settings: dotted keys of its configuration and their values. No verl here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rlvrscope.adapters.verl import reward
from rlvrscope.adapters.verl.names import TRAINER_MODE, base_loss, registered_name
from rlvrscope.adapters.verl.recipe import VerlRecipe
from rlvrscope.adapters.verl.run_paths import RunPaths
from rlvrscope.objectives import Objective

Setting = str | int | float | bool | None | list[str]
NO_DUAL_CLIP = 1e9
"""clip_ratio_c above every ratio: verl clips log-ratios at 20, and e^20 = 4.9e8."""
AGGREGATIONS = {
    "token_mean": "token-mean",
    "sequence_mean": "seq-mean-token-mean",
    "fixed_length": "seq-mean-token-sum-norm",
}
KL_ESTIMATORS = {"k3": "low_var_kl", "k2": "k2"}
"""verl clips k3 at 10 nats a token."""
_BACKSLASHES = re.compile(r"(\\*)('|$)")
_ACTOR = "actor_rollout_ref.actor"
_ROLLOUT = "actor_rollout_ref.rollout"


def objective_settings(objective: Objective, max_response_tokens: int) -> dict[str, Setting]:
    """Settings of an objective. Raises InputError for one that verl has no loss for."""
    base_loss(objective)
    return {
        "algorithm.adv_estimator": registered_name(objective),
        "algorithm.use_kl_in_reward": False,
        f"{_ACTOR}.policy_loss.loss_mode": registered_name(objective),
        f"{_ACTOR}.clip_ratio_low": objective.clip_low,
        f"{_ACTOR}.clip_ratio_high": objective.clip_high,
        f"{_ACTOR}.clip_ratio_c": NO_DUAL_CLIP if objective.dual_clip is None else objective.dual_clip,
        f"{_ACTOR}.loss_agg_mode": AGGREGATIONS[objective.aggregation],
        f"{_ACTOR}.loss_scale_factor": max_response_tokens if objective.aggregation == "fixed_length" else None,
        f"{_ACTOR}.use_kl_loss": objective.kl_coef > 0.0,
        f"{_ACTOR}.kl_loss_coef": objective.kl_coef,
        f"{_ACTOR}.kl_loss_type": KL_ESTIMATORS[objective.kl_estimator],
    }


def settings(recipe: VerlRecipe, paths: RunPaths) -> dict[str, Setting]:
    """All settings of a run, without the user's own overrides."""
    return {
        **objective_settings(recipe.objective, recipe.data.max_response_tokens),
        **_data(recipe, paths),
        **_actor(recipe),
        **_rollout(recipe),
        **_trainer(recipe, paths),
    }


def _data(recipe: VerlRecipe, paths: RunPaths) -> dict[str, Setting]:
    return {
        "data.train_files": str(paths.train_data),
        "data.val_files": str(paths.validation_data),
        "data.train_batch_size": recipe.train.prompts_per_step,
        "data.max_prompt_length": recipe.data.max_prompt_tokens,
        "data.max_response_length": recipe.data.max_response_tokens,
        "data.filter_overlong_prompts": True,
        "data.seed": recipe.train.seed,
        "reward.custom_reward_function.path": f"pkg://{reward.__name__}",
        "reward.custom_reward_function.name": reward.compute_score.__name__,
    }


def _actor(recipe: VerlRecipe) -> dict[str, Setting]:
    train, contents = recipe.train, ["model", "optimizer", "extra"]
    return {
        "actor_rollout_ref.model.path": recipe.model,
        f"{_ACTOR}.ppo_mini_batch_size": train.minibatch_prompts,
        f"{_ACTOR}.use_dynamic_bsz": True,
        f"{_ACTOR}.ppo_max_token_len_per_gpu": recipe.cluster.tokens_per_gpu,
        f"{_ACTOR}.grad_clip": train.gradient_clip,
        f"{_ACTOR}.optim.lr": train.learning_rate,
        f"{_ACTOR}.data_loader_seed": train.seed,
        f"{_ACTOR}.strategy": "fsdp2",
        f"{_ACTOR}.checkpoint.save_contents": [*contents, "hf_model"] if recipe.checkpoint.model else contents,
        f"{_ACTOR}.checkpoint.load_contents": contents,
    }


def _rollout(recipe: VerlRecipe) -> dict[str, Setting]:
    return {
        f"{_ROLLOUT}.name": recipe.cluster.rollout,
        f"{_ROLLOUT}.n": recipe.train.group_size,
        f"{_ROLLOUT}.temperature": recipe.train.temperature,
        f"{_ROLLOUT}.seed": recipe.train.seed,
        f"{_ROLLOUT}.tensor_model_parallel_size": recipe.cluster.tensor_parallel,
        f"{_ROLLOUT}.val_kwargs.n": recipe.evaluate.samples,
        f"{_ROLLOUT}.val_kwargs.do_sample": True,
        f"{_ROLLOUT}.val_kwargs.temperature": recipe.evaluate.temperature,
        f"{_ROLLOUT}.val_kwargs.top_p": recipe.evaluate.top_p,
    }


def _trainer(recipe: VerlRecipe, paths: RunPaths) -> dict[str, Setting]:
    callback = "rlvrscope.adapters.verl.probe_callback.ProbeCallback" if recipe.checkpoint.bank else None
    return {
        "trainer.project_name": "rlvrscope",
        "trainer.experiment_name": recipe.name,
        "trainer.logger": ["console", "file"],
        "trainer.nnodes": recipe.cluster.nodes,
        "trainer.n_gpus_per_node": recipe.cluster.gpus_per_node,
        "trainer.total_training_steps": recipe.train.steps,
        "trainer.total_epochs": recipe.train.steps,  # an epoch has a step at least, so the steps decide
        "trainer.test_freq": recipe.evaluate.every,
        "trainer.save_freq": recipe.checkpoint.every,
        "trainer.default_local_dir": str(paths.checkpoints),
        "trainer.rollout_data_dir": str(paths.rollouts),
        "trainer.validation_data_dir": str(paths.validation),
        "trainer.checkpoint_callback_class": callback,
        "trainer.v1.trainer_mode": TRAINER_MODE,
    }


def overrides(values: dict[str, Setting]) -> Iterator[str]:
    """Yield settings as hydra overrides."""
    for key, value in values.items():
        yield f"{key}={_literal(value)}"


def _literal(value: Any) -> str:
    """A value in hydra's grammar: in quotes, a quote and the backslashes before it or at the end are escaped."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + _BACKSLASHES.sub(lambda match: match[1] * 2 + match[2].replace("'", "\\'"), value) + "'"
    if isinstance(value, list):
        return f"[{','.join(map(_literal, value))}]"
    return repr(value)
