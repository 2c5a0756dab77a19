# pyright: reportMissingImports=false
"""The process that drives a run, started by verl on one node of the cluster: verl's own, with our trainer."""

from __future__ import annotations

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from verl.trainer.main_ppo import TaskRunnerV1

from rlvrscope.adapters.verl.checks import check_verl, missing_registration
from rlvrscope.adapters.verl.names import objective_of
from rlvrscope.errors import InputError


@ray.remote
class GroupTaskRunner(TaskRunnerV1.__ray_actor_class__):
    """verl's task runner after a check of every node."""

    def run(self, config: Any) -> None:
        import rlvrscope.adapters.verl.trainer  # noqa: F401  registers it in this process

        check_nodes(config.actor_rollout_ref.actor.policy_loss.loss_mode)
        super().run(config)


def check_nodes(loss: str) -> None:
    """Raise InputError with the first node of the cluster on which verl has not registered a loss."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    task: Any = ray.remote(num_cpus=0)(_reason)
    reasons = [
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(loss)
        for node in nodes
    ]
    for node, reason in zip(nodes, ray.get(reasons), strict=True):
        if reason is not None:
            raise InputError(f"node {node['NodeManagerHostname']} can't run {loss!r}: {reason}")


def _reason(loss: str) -> str | None:
    """Why this node can't run a loss of ours; None if it can, and for verl's own losses."""
    try:
        check_verl()
    except Exception as error:  # noqa: BLE001  whatever it is, it is the reason
        return str(error)
    objective = objective_of(loss)
    return None if objective is None else missing_registration(objective)
