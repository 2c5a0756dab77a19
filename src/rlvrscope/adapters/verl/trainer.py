# pyright: reportMissingImports=false
"""verl's synchronous trainer, with two additions where it computes advantages: which rows are outputs of one session,
and what the rewards of the step's groups say. Importing this registers it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import transfer_queue
from verl.trainer.ppo.v1 import PPOTrainerSync, register_trainer

from rlvrscope.adapters.verl.estimators import final_outputs, outputs
from rlvrscope.adapters.verl.group_metrics import group_metrics
from rlvrscope.adapters.verl.names import TRAINER_MODE, objective_of
from rlvrscope.monitor import GroupLedger

Batch = Any
"""transfer_queue.KVBatchMeta: keys and tags of the rows; their values are in the queue."""
_FIELDS = ["uid", "prompts", "rm_scores", "advantages"]


@register_trainer(TRAINER_MODE)
class GroupTrainer(PPOTrainerSync):
    """The trainer "sync" under another name, as verl registers each name once."""

    trainer_mode = property(lambda self: "sync", lambda self, mode: None)
    """verl decides by this name between its synchronous and its asynchronous buffer, refill and resume."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._ledger = GroupLedger()
        loss = config.actor_rollout_ref.actor.policy_loss.loss_mode
        self._objective = objective_of(loss)

    def _compute_advantage(self, batch: Batch, metrics: dict[str, Any]) -> Batch:
        with outputs(batch.keys):
            batch = super()._compute_advantage(batch, metrics)
        metrics.update(self._group_metrics(batch))
        return batch

    def _group_metrics(self, batch: Batch) -> dict[str, float]:
        """Metrics of the step's real rollouts: the last output of each session, without verl's padding rows."""
        rows = [row for row in final_outputs(batch.keys)[0] if not batch.tags[row].get("is_padding", False)]
        data = transfer_queue.kv_batch_get(
            keys=[batch.keys[row] for row in rows], partition_id=batch.partition_id, select_fields=_FIELDS
        )
        prompts: dict[str, str] = {}
        rewards: dict[str, list[float]] = defaultdict(list)
        advantages: list[float] = []
        for uid, prompt, scores, tokens in zip(*(data[field] for field in _FIELDS), strict=True):
            prompts[uid] = str(hash(tuple(prompt.tolist())))
            rewards[uid].append(float(scores.sum()))
            advantages.append(float(tokens[tokens.abs().argmax()]))
        return group_metrics(self._ledger, self.global_steps, prompts, rewards, advantages, self._objective)
