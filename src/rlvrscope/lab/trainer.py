"""One step of reinforcement learning: rollouts, rewards, advantages, several clipped updates."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlvrscope.lab.anchor import Anchor
from rlvrscope.lab.exact_gradient import exact_loss
from rlvrscope.lab.model import Transformer, token_entropy, token_logp
from rlvrscope.lab.prompts import drawn_at, training_prompts
from rlvrscope.lab.recipe import SelectConfig, TrainConfig
from rlvrscope.lab.sampler import Rollouts, sample
from rlvrscope.lab.solutions import SolutionSet
from rlvrscope.lab.tasks import Task
from rlvrscope.lab.tasks.task import Tokens
from rlvrscope.objectives import Objective, advantages, kl_estimate, policy_loss


@dataclass
class Batch:
    """One step's rollouts with what the update needs; B = P x G rows, prompt by prompt."""

    rollouts: Rollouts
    prompts_P: NDArray[np.int64]
    """Which training prompts."""
    advantages_PG: NDArray[np.float64]
    ref_logp_BT: Tensor | None
    """Of the base; only where the objective has a KL term."""


@dataclass
class Trainer:
    """A policy being trained by one objective, one rollout batch a step. All randomness comes from (seed, step)."""

    model: Transformer
    base: Transformer
    task: Task
    config: TrainConfig
    select: SelectConfig | None = None
    objective: Objective = field(init=False)
    """The one in force; whoever trains may change it between steps."""
    prompts_PT: Tokens = field(init=False)
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of the last step by phase (sample, reference, update), and `cpu`: processor time of all of it."""

    def __post_init__(self) -> None:
        self.objective = self.config.objective
        # fused: one call a step rather than one a tensor
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            self.model.parameters(), self.config.learning_rate, (0.9, 0.95), weight_decay=0.0, fused=True
        )
        for weights in self.model.parameters():  # a minibatch without contrast is a step of zero gradient, not none
            weights.grad = torch.zeros_like(weights)
        self.prompts_PT = training_prompts(self.task, self.config, self.select, self.base)

    @cached_property
    def _anchor(self) -> Anchor:
        return Anchor.of(self.base, self.task, self.prompts_PT, self.config.stream("anchor"))

    @cached_property
    def _solutions(self) -> SolutionSet:
        return SolutionSet.of(self.task, self.prompts_PT, self.model.device)

    @property
    def _every_row(self) -> bool:
        """Whether rows of zero advantage have a gradient too."""
        return self.objective.kl_coef > 0.0 or self.config.entropy_coef > 0.0

    @property
    def _diagnostics(self) -> list[str]:
        """What an update tells, always the same for one configuration."""
        anchored = ["anchor_loss"] if self.config.anchor_coef > 0.0 else []
        if self.config.gradient == "exact":
            return ["actor_loss", *anchored]
        names = ["actor_loss", "actor_entropy", "ratio_max", "clip_low_fraction", "clip_high_fraction"]
        names += ["dual_clip_fraction"] if self.objective.dual_clip is not None else []
        names += ["reference_kl"] if self.objective.kl_coef > 0.0 else []
        names += ["sampler_kl"] if self.config.off_policy else []
        return [*names, *anchored]

    def step(self, step: int) -> dict[str, Any]:
        """One step (counted from 1): sample, score, update. Returns its row of telemetry."""
        started = time.process_time()
        row = self._step(step)
        self.seconds["cpu"] = time.process_time() - started
        return row

    def _step(self, step: int) -> dict[str, Any]:
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
            rows_B = torch.arange(0, len(completions_BT), 1 if regularised else config.group_size)  # telemetry: few
            ref_logp_BT = token_logp(
                _logits(self.base, rollouts, rows_B), rollouts.completions_BT[rows_B], config.loss_temperature
            )
            kl_to_base = float(kl_estimate(rollouts.logp_BT[rows_B], ref_logp_BT).double().mean())
        with self._timed("update"):
            batch = Batch(rollouts, prompts_P, advantages_PG, ref_logp_BT if regularised else None)
            updates = self._update(batch, step)
        return {
            "step": step,
            **({"objective": self.objective.name} if config.then is not None else {}),
            "reward": float(rewards_PG.mean()),
            "token_entropy": float(rollouts.entropy_BT.double().mean()),
            **_group_facts(rewards_PG, advantages_PG, self.objective.threshold),
            **updates,
            "kl_to_base": kl_to_base if config.plain_rollouts else np.nan,  # the estimate needs samples of the policy
        }

    def _update(self, batch: Batch, step: int) -> dict[str, float]:
        """Several updates over the batch's minibatches.

        Diagnostics are means over the minibatches that had a row to train on (of the largest ratio: the largest), NaN
        if none had.
        """
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, step / max(1, config.warmup_steps))
        rows_PG = np.arange(batch.advantages_PG.size).reshape(batch.advantages_PG.shape)
        facts: list[dict[str, float]] = []
        for epoch in range(config.epochs):
            order_P = config.stream("minibatches", step, epoch).permutation(len(rows_PG))
            for prompts_M in np.split(order_P, config.minibatches):
                rng = config.stream("anchor", step, epoch, len(facts))
                facts.append(self._minibatch(batch, rows_PG[prompts_M].ravel(), prompts_M, rng))
        means = {name: _mean([fact[name] for fact in facts if name in fact]) for name in self._diagnostics}
        if "ratio_max" in means:
            means["ratio_max"] = max((fact["ratio_max"] for fact in facts if "ratio_max" in fact), default=np.nan)
        return {**means, "gradient_norm": _mean([fact["gradient_norm"] for fact in facts])}

    def _minibatch(
        self, batch: Batch, rows_B: NDArray[np.int64], prompts_M: NDArray[np.int64], rng: np.random.Generator
    ) -> dict[str, float]:
        """One optimizer step. Rows of zero advantage are counted in the normaliser but cost nothing."""
        self.optimizer.zero_grad(set_to_none=False)
        if self.config.gradient == "exact":
            facts = self._backward_exact(batch.prompts_P[prompts_M])
        else:
            advantage_B = batch.advantages_PG.ravel()[rows_B]
            kept = np.ones(len(rows_B), dtype=bool) if self._every_row else advantage_B != 0.0
            facts = self._backward(batch, rows_B[kept], advantage_B[kept], len(rows_B)) if kept.any() else {}
        if self.config.anchor_coef > 0.0:
            anchor = self._anchor.loss(self.model, len(prompts_M), rng)
            (self.config.anchor_coef * anchor).backward()
            facts["anchor_loss"] = float(anchor.detach())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        return {**facts, "gradient_norm": float(norm)}

    def _backward_exact(self, prompts_M: NDArray[np.int64]) -> dict[str, float]:
        length = self.task.completion_length
        solutions = self._solutions.of_prompts(prompts_M)
        loss = exact_loss(self.model, solutions, self.objective, self.config.group_size, length)
        loss.backward()
        return {"actor_loss": float(loss.detach())}

    def _backward(
        self, batch: Batch, rows_B: NDArray[np.int64], advantage_B: NDArray[np.float64], counted: int
    ) -> dict[str, float]:
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
            normalizer=counted * length if per_token else counted,
            max_length=length,
        )
        bonus = self.config.entropy_coef
        entropy = token_entropy(logits_BTV if bonus > 0.0 else logits_BTV.detach()).mean()
        (result.loss - bonus * entropy).backward()
        facts = {name: float(value) for name, value in result.diagnostics.items()}
        return {**facts, "actor_loss": float(result.loss.detach()), "actor_entropy": float(entropy.detach())}

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[phase] = time.perf_counter() - start


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else np.nan


def _logits(model: Transformer, rollouts: Rollouts, rows_B: Tensor) -> Tensor:
    """A model's logits of some of the completions; their prompts are read once each."""
    prompts_M, prompt_B = torch.unique(rollouts.prompt_B[rows_B], return_inverse=True)
    return model.completion_logits(rollouts.prompts_PT[prompts_M], rollouts.completions_BT[rows_B], prompt_B)


def _group_facts(
    rewards_PG: NDArray[np.float64], advantages_PG: NDArray[np.float64], threshold: float
) -> dict[str, float]:
    """Shares of groups that carry no contrast, and how much of the batch pushes up and down.

    positive_share: of rollouts with A > 0. positive_norm: root mean square of max(A, 0) over rollouts.
    """
    right_PG = rewards_PG >= threshold
    facts = {
        "all_right": float(right_PG.all(axis=1).mean()),
        "all_wrong": float((~right_PG).all(axis=1).mean()),
    }
    for sign, part_PG in (
        ("positive", np.maximum(advantages_PG, 0.0)),
        ("negative", np.minimum(advantages_PG, 0.0)),
    ):
        facts[f"{sign}_share"] = float((part_PG != 0.0).mean())
        facts[f"{sign}_norm"] = float(np.sqrt((part_PG**2).mean()))
    return facts
