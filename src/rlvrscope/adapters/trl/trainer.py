"""TRL's GRPOTrainer with any objective of rlvrscope."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer as TrlTrainer

from rlvrscope.adapters.trl.loss_settings import configured, loss_settings, on_policy
from rlvrscope.adapters.trl.rollouts import weighted_sum
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, advantages_by_group, objective_from, policy_loss_unchecked

DIAGNOSTICS = {
    "clip_low_fraction": "clip_ratio/low_mean",
    "clip_high_fraction": "clip_ratio/high_mean",
    "reference_kl": "kl",
}
"""Diagnostics of `policy_loss` -> TRL's names."""


class GRPOTrainer(TrlTrainer):
    """TRL's trainer; advantages, sign weights, ratio, clipping, KL term and aggregation are those of an objective.

    objective: a name of the catalogue, an Objective, or its table. The other arguments are TRL's. Arguments of
    GRPOConfig that the objective determines are set from it. Advantages are computed by
    `rlvrscope.objectives.advantages_by_group`, so groups of equal rewards get exactly 0; a rollout that no reward
    function scored gets 0 and does not count in its group. The loss is TRL's own where it can express the objective,
    else `rlvrscope.objectives.policy_loss`.

    A rollout with weight 0 has advantage 0: it adds nothing to the policy gradient, but counts in the normaliser, and
    KL and entropy terms act on it.

    Raises InputError for an objective that can't be had with these arguments.
    """

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: GRPOConfig | None = None,
        *further: Any,
        objective: str | Objective | dict[str, Any] = "grpo",
        **options: Any,
    ) -> None:
        self._objective = objective_from(objective).load()
        self._own_loss = loss_settings(self._objective).own_loss
        name = model if isinstance(model, str) else model.config._name_or_path
        args = GRPOConfig(f"{name.rsplit('/', maxsplit=1)[-1]}-GRPO") if args is None else args
        args = configured(args, self._objective)
        super().__init__(model, reward_funcs, args, *further, **options)
        if self._tokenizer.pad_token_id is None:
            raise InputError("the tokenizer has neither a padding nor an end token: set tokenizer.pad_token")
        if self._own_loss is not None and (self.aux_loss_enabled or self._is_vlm):
            raise InputError(
                f"objective {self._objective.name!r} uses rlvrscope's loss ({self._own_loss}), which is for text "
                "models without a router's auxiliary loss"
            )
        if on_policy(args):
            warnings.warn(
                "every update is on-policy, so importance ratios are 1: clipping is inert, and a sequence ratio "
                "(GSPO-N) has the gradient of a token ratio (GRPO-N). For several updates per generation set "
                "steps_per_generation to a multiple of gradient_accumulation_steps, or num_iterations above 1.",
                stacklevel=2,
            )

    @property
    def objective(self) -> Objective:
        return self._objective

    def change_objective(self, value: str | Objective | dict[str, Any]) -> None:
        """Compute advantages by another objective from now on. Raises InputError for one with another loss."""
        objective = objective_from(value).load()
        self.check_change(objective)
        self._objective = objective

    def check_change(self, objective: Objective) -> None:
        """Raises InputError unless the objective's loss is that of the present one."""
        if (self.num_generations or 0) < objective.min_group_size:
            raise InputError(
                f"objective {objective.name!r} needs groups of at least {objective.min_group_size} rollouts; "
                f"got num_generations={self.num_generations}"
            )
        present, other = loss_settings(self._objective), loss_settings(objective)
        differing = [name for name, setting in other.fields.items() if setting != present.fields[name]]
        differing = [name for name in differing if name != "scale_rewards"]
        if differing or other.own_loss != present.own_loss:
            raise InputError(
                f"a run can change to an objective with the same loss; {objective.name!r} differs from "
                f"{self._objective.name!r} in {', '.join(differing) or 'its loss'}"
            )

    @property
    def _training(self) -> bool:
        model: Any = self.model
        return bool(model.training)

    @property
    def _mode_metrics(self) -> dict[str, list[float]]:
        return self._metrics["train" if self._training else "eval"]

    def _calculate_rewards(self, *inputs: Any) -> Tensor:
        rewards_BF = super()._calculate_rewards(*inputs)
        self._rewards_B = weighted_sum(self, rewards_BF)
        return rewards_BF

    def _transform_advantages(self, _: Tensor) -> Tensor:
        """Advantages of the rollouts of all processes, (B,), in place of TRL's.

        The name is that of the hook in huggingface/trl pull request 7298: where TRL has it, TRL calls it.
        Raises InputError where the objective reads rewards as right or wrong, and they have other than two values.
        """
        rewards_B, objective = self._rewards_B, self._objective
        size = int((self.num_generations if self._training else self.num_generations_eval) or 1)
        if not self._training and size < objective.min_group_size:
            return torch.zeros_like(rewards_B)  # an evaluation with small groups: its loss has no meaning
        scored_B = rewards_B.isfinite().reshape(-1, size)
        scored_B = (scored_B & (scored_B.sum(dim=1, keepdim=True) >= objective.min_group_size)).flatten()
        if objective.signal == "signed":
            _check_binary(rewards_B[scored_B], objective)
        group_B = torch.arange(len(rewards_B), device=rewards_B.device) // size
        advantages_B = torch.zeros_like(rewards_B)
        if scored_B.any():
            advantages_B[scored_B] = advantages_by_group(rewards_B[scored_B], group_B[scored_B], objective)
        self._mode_metrics["rlvrscope/positive_share"].append((advantages_B > 0.0).double().mean().item())
        self._mode_metrics["rlvrscope/negative_share"].append((advantages_B < 0.0).double().mean().item())
        return advantages_B

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        if hasattr(TrlTrainer, "_transform_advantages"):
            return output
        advantages_B = self._transform_advantages(output["advantages"])
        first = self.accelerator.process_index * len(inputs)
        output["advantages"] = advantages_B[first : first + len(inputs)]
        logged = self._logs["advantages"]  # TRL has appended its own
        earlier = list(itertools.islice(logged, max(0, len(logged) - len(advantages_B))))
        logged.clear()
        logged.extend([*earlier, *advantages_B.tolist()])
        return output

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any]) -> Tensor:
        return super()._compute_loss(model, inputs) if self._own_loss is None else self._policy_loss(model, inputs)

    def _policy_loss(self, model: Any, inputs: Mapping[str, Any]) -> Tensor:
        """`rlvrscope.objectives.policy_loss` of one micro-batch, scaled as TRL scales its own."""
        ids_BT = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
        attention_BT = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
        mask_BT = inputs["completion_mask"] * inputs.get("tool_mask", 1)
        logp_BT, entropy_BT, _ = self._get_per_token_logps_and_entropies(
            model, ids_BT, attention_BT, mask_BT.shape[1], compute_entropy=True
        )
        old_BT = inputs.get("old_per_token_logps")
        advantages = inputs["advantages"]
        if "importance_sampling_ratio" in inputs:  # vLLM: the policy term is linear in the advantage
            advantages = advantages[:, None] * inputs["importance_sampling_ratio"]
        result = policy_loss_unchecked(
            logp_BT,
            logp_BT.detach() if old_BT is None else old_BT,
            advantages,
            mask_BT,
            self._objective,
            ref_logp_BT=inputs.get("ref_per_token_logps"),
            normalizer=self._normalizer(inputs["num_items_in_batch"]),
            max_length=self.max_completion_length,
        )
        measured = {logged: result.diagnostics.get(name) for name, logged in DIAGNOSTICS.items()}
        assert entropy_BT is not None  # asked for
        measured["entropy"] = (entropy_BT * mask_BT).sum() / mask_BT.sum().clamp(min=1)
        for name, value in measured.items():
            if value is not None:
                self._mode_metrics[name].append(_mean(self.accelerator.gather(value.detach())))
        return result.loss / (self.current_gradient_accumulation_steps if self._training else 1)

    def _normalizer(self, num_tokens: Tensor) -> Any:
        """Divisor of a micro-batch's sum. TRL counts tokens over the generation batch of all processes."""
        if self._objective.aggregation != "token_mean":
            return None
        args: Any = self.args
        parts = self.accelerator.num_processes * (args.steps_per_generation if self._training else 1)
        return num_tokens.clamp(min=1.0) / parts


def _mean(values: Any) -> float:
    return values.mean().item()


def _check_binary(rewards_B: Tensor, objective: Objective) -> None:
    values = rewards_B.unique().tolist()
    straddle = len(values) < 2 or values[0] < objective.threshold <= values[-1]
    if len(values) > 2 or not straddle:
        listed = ", ".join(f"{value:g}" for value in values[:5]) + ", ..." * (len(values) > 5)
        raise InputError(
            f"objective {objective.name!r} reads a reward of at least {objective.threshold:g} as right and any other "
            f"as wrong, so rewards must have two values, one on each side; got {listed}. Use a binary reward function."
        )
