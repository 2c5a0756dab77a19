"""One step of reinforcement learning: rollouts, rewards, advantages, several clipped updates."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from rlvrscope.arrays import Floats, Ints
from rlvrscope.lab.anchor import Anchor
from rlvrscope.lab.model import Transformer, token_entropy, token_logp
from rlvrscope.lab.prompts import drawn_at, training_prompts
from rlvrscope.lab.recipe import SelectConfig, TrainConfig
from rlvrscope.lab.sampler import Rollouts, sample
from rlvrscope.lab.solutions import SolutionSet, exact_loss
from rlvrscope.lab.tasks import Task
from rlvrscope.lab.tasks.task import Tokens
from rlvrscope.objectives import Objective, advantages, kl_estimate, policy_loss
from rlvrscope.runs.rows import TelemetryRow


@dataclass
class Batch:
    """Rollouts of one step and what its updates need; B = P x G rows, prompt by prompt."""

    rollouts: Rollouts
    prompts_P: Ints
    """Indices of the training prompts."""
    advantages_PG: Floats
    ref_logp_BT: Tensor | None
    """Log-probabilities under the base; None unless the objective has a KL term."""


@dataclass
class Trainer:
    """A policy in training, one batch of rollouts per step. All randomness derives from (seed, base, step)."""

    model: Transformer
    base: Transformer
    task: Task
    config: TrainConfig
    select: SelectConfig | None = None
    objective: Objective = field(init=False)
    """Objective of the next step; may be changed between steps."""
    prompts_PT: Tokens = field(init=False)
    seconds: dict[str, float] = field(default_factory=dict)
    """Times of the last step, as `TimingRow` has them."""

    def __post_init__(self) -> None:
        self.objective = self.config.objective
        # fused: one kernel call per step instead of one per tensor
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            self.model.parameters(), self.config.learning_rate, (0.9, 0.95), weight_decay=0.0, fused=True
        )
        for weights in self.model.parameters():  # a minibatch without contrast is a step of zero gradient
            weights.grad = torch.zeros_like(weights)
        self.prompts_PT = training_prompts(self.task, self.config, self.select, self.base)

    @cached_property
    def _anchor(self) -> Anchor:
        return Anchor.of(self.base, self.task, self.prompts_PT, self.config.stream("anchor"))

    @cached_property
    def _solutions(self) -> SolutionSet:
        return SolutionSet.of(self.task, self.prompts_PT, self.model.device)

    @property
    def _all_rows_have_gradient(self) -> bool:
        """Whether rollouts of zero advantage contribute a gradient too."""
        return self.objective.kl_coef > 0.0 or self.config.entropy_coef > 0.0

    def step(self, step: int) -> TelemetryRow:
        """Sample, score and update once. Steps count from 1."""
        started = time.process_time()
        row = self._step(step)
        self.seconds["cpu"] = time.process_time() - started
        return row

    def _step(self, step: int) -> TelemetryRow:
        config = self.config
        with self._timed("sample"):
            prompts_P = drawn_at(step, config)
            prompts_PT = self.prompts_PT[prompts_P]
            rollouts = sample(
                self.model,
                torch.from_numpy(prompts_PT).to(self.model.device),
                self.task.completion_length,
                config.group_size,
                config.stream("rollouts", step),
                temperature=config.temperature,
                top_p=config.top_p,
                policy_temperature=config.loss_temperature,
            )
            completions_BT = rollouts.completions_BT.cpu().numpy()
            rewards_B = self.task.rewards(np.repeat(prompts_PT, config.group_size, axis=0), completions_BT)
        rewards_PG = rewards_B.reshape(len(prompts_PT), config.group_size)
        advantages_PG = advantages(rewards_PG, self.objective)
        with self._timed("reference"), torch.no_grad():
            regularised = self.objective.kl_coef > 0.0
            rows_B = torch.arange(0, len(completions_BT), 1 if regularised else config.group_size)
            ref_logp_BT = token_logp(
                _logits(self.base, rollouts, rows_B), rollouts.completions_BT[rows_B], config.loss_temperature
            )
            kl_to_base = float(kl_estimate(rollouts.logp_BT[rows_B], ref_logp_BT).double().mean())
        with self._timed("update"):
            batch = Batch(rollouts, prompts_P, advantages_PG, ref_logp_BT if regularised else None)
            updates = self._update(batch, step)
        return TelemetryRow(
            step=step,
            objective=None if config.then is None else self.objective.name,
            reward=float(rewards_PG.mean()),
            entropy=float(rollouts.entropy_BT.double().mean()),
            kl=kl_to_base if config.plain_rollouts else np.nan,  # the estimate needs samples of the policy
            **_group_metrics(rewards_PG, advantages_PG, self.objective.threshold),
            **updates,
        )

    def _update(self, batch: Batch, step: int) -> dict[str, float]:
        """Update on every minibatch of every epoch; returns metrics of the updates, named as in `TelemetryRow`."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, step / max(1, config.warmup_steps))
        rows_PG = np.arange(batch.advantages_PG.size).reshape(batch.advantages_PG.shape)
        updates: list[dict[str, float]] = []
        for epoch in range(config.epochs):
            order_P = config.stream("minibatches", step, epoch).permutation(len(rows_PG))
            for prompts_M in np.split(order_P, config.minibatches):
                rng = config.stream("anchor", step, epoch, len(updates))
                updates.append(self._minibatch(batch, rows_PG[prompts_M].ravel(), prompts_M, rng))
        by_name: dict[str, list[float]] = {}
        for name, value in (item for update in updates for item in update.items()):
            by_name.setdefault(name, []).append(value)
        return {
            name: max(values) if name == "ratio_max" else float(np.mean(values)) for name, values in by_name.items()
        }

    def _minibatch(self, batch: Batch, rows_B: Ints, prompts_M: Ints, rng: np.random.Generator) -> dict[str, float]:
        """Make one optimizer step. Rollouts of zero advantage are skipped but count in the normalizer."""
        self.optimizer.zero_grad(set_to_none=False)
        if self.config.gradient == "exact":
            metrics = self._backward_exact(batch.prompts_P[prompts_M])
        else:
            advantage_B = batch.advantages_PG.ravel()[rows_B]
            used_B = np.ones(len(rows_B), dtype=bool) if self._all_rows_have_gradient else advantage_B != 0.0
            metrics = self._backward(batch, rows_B[used_B], advantage_B[used_B], len(rows_B)) if used_B.any() else {}
        if self.config.anchor_coef > 0.0:
            anchor = self._anchor.loss(self.model, len(prompts_M), rng)
            (self.config.anchor_coef * anchor).backward()
            metrics["anchor_loss"] = float(anchor.detach())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        return {**metrics, "grad_norm": float(norm)}

    def _backward_exact(self, prompts_M: Ints) -> dict[str, float]:
        length = self.task.completion_length
        solutions = self._solutions.of_prompts(prompts_M)
        loss = exact_loss(self.model, solutions, self.objective, self.config.group_size, length)
        loss.backward()
        return {"loss": float(loss.detach())}

    def _backward(self, batch: Batch, rows_B: Ints, advantage_B: Floats, num_rows: int) -> dict[str, float]:
        index_B = torch.from_numpy(rows_B).to(self.model.device)
        completion_BT = batch.rollouts.completions_BT[index_B]
        logits_BTV = _logits(self.model, batch.rollouts, index_B)
        length = self.task.completion_length
        per_token = self.objective.aggregation == "token_mean"
        result = policy_loss(
            token_logp(logits_BTV, completion_BT, self.config.loss_temperature),
            batch.rollouts.logp_BT[index_B],
            torch.from_numpy(advantage_B).to(logits_BTV),
            torch.ones_like(completion_BT, dtype=torch.bool),
            self.objective,
            ref_logp_BT=None if batch.ref_logp_BT is None else batch.ref_logp_BT[index_B],
            sampler_logp_BT=batch.rollouts.sampler_logp_BT[index_B] if self.config.off_policy else None,
            normalizer=num_rows * length if per_token else num_rows,
            max_length=length,
        )
        bonus = self.config.entropy_coef
        entropy = token_entropy(logits_BTV if bonus > 0.0 else logits_BTV.detach()).mean()
        (result.loss - bonus * entropy).backward()
        diagnostics = {name: float(value) for name, value in result.diagnostics.items()}
        return {**diagnostics, "loss": float(result.loss.detach()), "actor_entropy": float(entropy.detach())}

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[phase] = time.perf_counter() - start


def _logits(model: Transformer, rollouts: Rollouts, rows_B: Tensor) -> Tensor:
    """Logits of some completions; each of their prompts is read once."""
    prompts_M, prompt_B = torch.unique(rollouts.prompt_B[rows_B], return_inverse=True)
    return model.completion_logits(rollouts.prompts_PT[prompts_M], rollouts.completions_BT[rows_B], prompt_B)


def _group_metrics(rewards_PG: Floats, advantages_PG: Floats, threshold: float) -> dict[str, float]:
    """Shares of groups without contrast, and share and size of positive and negative advantages."""
    correct_PG = rewards_PG >= threshold
    positive_PG, negative_PG = np.maximum(advantages_PG, 0.0), np.minimum(advantages_PG, 0.0)
    return {
        "all_correct_share": float(correct_PG.all(axis=1).mean()),
        "all_wrong_share": float((~correct_PG).all(axis=1).mean()),
        "equal_reward_share": float((rewards_PG.max(axis=1) == rewards_PG.min(axis=1)).mean()),
        "positive_share": float((positive_PG != 0.0).mean()),
        "positive_norm": float(np.sqrt((positive_PG**2).mean())),
        "negative_share": float((negative_PG != 0.0).mean()),
        "negative_norm": float(np.sqrt((negative_PG**2).mean())),
    }
