"""An objective as settings of TRL's GRPOConfig, where TRL's own loss can express it."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any

from trl.trainer.grpo_config import GRPOConfig

from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective

LOSS_TYPES = {"sequence_mean": "grpo", "token_mean": "dapo", "fixed_length": "dr_grpo"}
"""Aggregation -> TRL's loss_type with the clipped surrogate."""


@dataclass(frozen=True)
class LossSettings:
    """fields: of GRPOConfig, as the objective sets them. own_loss: why TRL's loss can't express it; None if it can."""

    fields: dict[str, Any]
    own_loss: str | None


def loss_settings(objective: Objective) -> LossSettings:
    """Settings of TRL's loss for an objective.

        ratio -> importance_sampling_level     aggregation -> loss_type      kl_coef -> beta
        clip_low, clip_high -> epsilon, epsilon_high                         dual_clip -> delta

    cispo: TRL's loss_type "cispo" has no lower bound, averages over tokens, and its epsilon_high is the bound itself,
    1 + clip_high. By default TRL multiplies its KL term by the importance ratio (use_bias_correction_kl); ours has
    none. Advantages are not TRL's: scale_rewards only records what the objective does.
    """
    fields: dict[str, Any] = {
        "importance_sampling_level": objective.ratio,
        "loss_type": LOSS_TYPES[objective.aggregation],
        "epsilon": objective.clip_low,
        "epsilon_high": objective.clip_high,
        "delta": objective.dual_clip,
        "beta": objective.kl_coef,
        "use_bias_correction_kl": False,
        "scale_rewards": "group" if objective.scale == "group_std" else "none",
    }
    reasons = []
    if objective.kl_coef > 0.0 and objective.kl_estimator != "k3":
        reasons.append(f"its KL term uses {objective.kl_estimator}, TRL's k3")
    if objective.surrogate == "cispo":
        fields |= {"loss_type": "cispo", "epsilon_high": 1.0 + objective.clip_high}
        if objective.clip_low < 1.0 or objective.aggregation != "token_mean":
            reasons.append("TRL's cispo has no lower bound and averages over tokens")
    return LossSettings(fields, "; ".join(reasons) or None)


def configured(args: GRPOConfig, objective: Objective) -> GRPOConfig:
    """Copy of the arguments with the objective's settings.

    Raises InputError for an argument that is set to something else than the objective says, for groups that are too
    small, and for options that can't go with it.
    """
    if objective.reads is not None:
        raise InputError(f"objective {objective.name!r} reads {objective.reads}, which the TRL adapter does not keep")
    settings = loss_settings(objective)
    defaults = {field.name: field.default for field in dataclasses.fields(GRPOConfig)}
    for name, value in settings.fields.items():
        if getattr(args, name) not in (value, defaults[name]):
            raise InputError(
                f"GRPOConfig has {name}={getattr(args, name)!r}, and objective {objective.name!r} means {value!r}: "
                "leave the argument out, or change the objective (Objective.replace)"
            )
    if args.multi_objective_aggregation != "sum_then_normalize":
        raise InputError(
            "objectives read the weighted sum of rewards, so multi_objective_aggregation must be 'sum_then_normalize'; "
            f"got {args.multi_objective_aggregation!r}"
        )
    if args.num_generations is not None and args.num_generations < objective.min_group_size:
        raise InputError(
            f"objective {objective.name!r} needs groups of at least {objective.min_group_size} rollouts; "
            f"got num_generations={args.num_generations}"
        )
    if settings.own_loss is not None:
        _check_own_loss(args, objective, settings.own_loss)
    args = copy.copy(args)
    for name, value in settings.fields.items():
        setattr(args, name, value)
    return args


def _check_own_loss(args: GRPOConfig, objective: Objective, reason: str) -> None:
    """Raises InputError for options of TRL's loss that rlvrscope's does not have."""
    plain = {
        "entropy_coef": 0.0, "use_adaptive_entropy": False, "top_entropy_quantile": 1.0,
        "off_policy_mask_threshold": None,
    }  # fmt: skip
    for name, value in plain.items():
        if getattr(args, name) != value:
            raise InputError(
                f"objective {objective.name!r} uses rlvrscope's loss ({reason}), which has no {name}: leave it out"
            )


def on_policy(args: GRPOConfig) -> bool:
    """Return whether every update uses rollouts of the current weights, so that importance ratios are 1."""
    generation = (args.steps_per_generation or 1) * args.num_iterations
    return args.gradient_accumulation_steps % generation == 0
