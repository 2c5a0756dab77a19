# pyright: reportMissingImports=false
"""The `verl.plugins` entry point: verl imports it in every process and swallows its errors (`checks` does not)."""

from __future__ import annotations

from verl.trainer.ppo import core_algos

from rlvrscope.adapters.verl.estimators import estimator
from rlvrscope.adapters.verl.losses import signed_loss
from rlvrscope.adapters.verl.names import base_loss, registered_name, registered_objectives
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective


def register(objective: Objective) -> None:
    """Register the loss and the estimator of an objective with verl.

    Raises InputError for an objective that verl has no loss for, and for a name that another plug-in has taken: verl
    itself would replace that one's loss silently.
    """
    name = registered_name(objective)
    base_loss(objective)
    for registry in (core_algos.POLICY_LOSS_REGISTRY, core_algos.ADV_ESTIMATOR_REGISTRY):
        if name in registry:
            raise InputError(f"verl has another {name!r} already: rename the objective")
    core_algos.register_policy_loss(name)(signed_loss(objective, core_algos.get_policy_loss_fn))
    core_algos.register_adv_est(name)(estimator(objective))


for _objective in registered_objectives():
    register(_objective)
