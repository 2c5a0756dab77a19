"""Policy losses: verl's own, on advantages whose signs are weighted as the objective says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from rlvrscope.adapters.verl.names import base_loss
from rlvrscope.objectives import Objective, sign_weighted

VerlLoss = Callable[..., tuple[Tensor, dict[str, Any]]]
"""(old_log_prob, log_prob, advantages, response_mask, loss_agg_mode, config, rollout_is_weights) -> (loss, metrics)"""


def signed_loss(objective: Objective, policy_loss_of: Callable[[str], VerlLoss]) -> VerlLoss:
    """Return the loss to register for an objective: a filter of signs before verl's loss of the same ratio.

    Clipping, dual clip, aggregation and the weights of rollout correction stay verl's, set by its configuration.
    policy_loss_of: verl's `get_policy_loss_fn`; the base is looked up at each call, so that a replaced one is used.
    """
    base = base_loss(objective)

    def policy_loss(
        old_log_prob: Tensor, log_prob: Tensor, advantages: Tensor, response_mask: Tensor, *options: Any, **named: Any
    ) -> tuple[Tensor, dict[str, Any]]:
        weighted_BT = sign_weighted(advantages, objective)
        return policy_loss_of(base)(old_log_prob, log_prob, weighted_BT, response_mask, *options, **named)

    return policy_loss
