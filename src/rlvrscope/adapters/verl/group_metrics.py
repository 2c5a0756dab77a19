"""Metrics of the rewards of a step's groups, which verl logs and `rlvrscope monitor` reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from rlvrscope.monitor import GroupLedger
from rlvrscope.monitor.group_ledger import numbered
from rlvrscope.objectives import Objective, sign_weighted
from rlvrscope.runs import ADAPTER_PREFIX


def group_metrics(
    ledger: GroupLedger,
    step: int,
    prompts: Mapping[str, str],
    rewards: Mapping[str, Sequence[float]],
    advantages: Sequence[float],
    objective: Objective | None,
) -> dict[str, float]:
    """Return one step's metrics under their canonical names, prefixed.

    prompts: of each group, so that a prompt is known again at its next visit. rewards: of each group's rollouts.
    advantages: of all rollouts, before the signs are weighted; objective: weights them, None for verl's own loss.
    Groups that lost a rollout, and are smaller than the step's largest, are left out of the ledger.
    """
    advantages_B = np.asarray(advantages, dtype=np.float64)
    weighted_B = advantages_B if objective is None else sign_weighted(advantages_B, objective)
    metrics = {"positive_share": float((weighted_B > 0.0).mean()), "negative_share": float((weighted_B < 0.0).mean())}
    size = max(map(len, rewards.values()))
    whole = {group: values for group, values in rewards.items() if len(values) == size}
    row = ledger.update(step, numbered([prompts[group] for group in whole]), list(whole.values()))
    values = row.model_dump(exclude={"step", "groups", "group_size", "levels"})
    metrics |= {name: value for name, value in values.items() if math.isfinite(value)}
    metrics |= {f"levels/{level:g}": share for level, share in row.levels.items()}
    equal = [len(set(values)) == 1 for values in rewards.values()]
    metrics["equal_reward_share"] = sum(equal) / len(equal)
    return {ADAPTER_PREFIX + name: value for name, value in metrics.items()}
