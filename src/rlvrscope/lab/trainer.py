"""One step of reinforcement learning: rollouts, rewards, advantages, several clipped updates."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from rlvrscope.arrays import Floats, Ints
from rlvrscope.errors import WorkError
from rlvrscope.lab.anchor import Anchor
from rlvrscope.lab.policy import CompletionScores, EntropyMode, Policy
from rlvrscope.lab.prompts import drawn_at, training_prompts
from rlvrscope.lab.recipe import SelectConfig, TrainConfig
from rlvrscope.lab.sampler import Rollouts, sample
from rlvrscope.lab.solutions import SolutionSet, exact_loss, solution_mass
from rlvrscope.lab.tasks import Task
from rlvrscope.lab.tasks.task import Tokens
from rlvrscope.monitor.group_ledger import GroupLedger
from rlvrscope.objectives import Likelihood, Objective, PassRates, advantages, kl_estimate, policy_loss
from rlvrscope.runs.rows import LedgerRow, TelemetryRow


@dataclass
class Batch:
    """Rollouts of one step and what its updates need; B = P x G rows, prompt by prompt."""

    rollouts: Rollouts
    prompts_P: Ints
    """Indices of the training prompts."""
    advantages_PG: Floats
    ref_logp_BT: Tensor | None
    """Log-probabilities under the base; None unless the objective has a KL term."""
    has_kl_B: Tensor | None = None
    """Rollouts on which the KL term counts; None: all."""


@dataclass
class Trainer:
    """A policy in training, one batch of rollouts per step. All randomness derives from (seed, base, step)."""

    model: Policy
    base: Policy
    task: Task
    config: TrainConfig
    select: SelectConfig | None = None
    objective: Objective = field(init=False)
    """Objective of the next step; may be changed between steps."""
    prompts_PT: Tokens = field(init=False)
    ledger: GroupLedger = field(init=False)
    pass_rates: PassRates = field(default_factory=PassRates)
    """Of the latest batches, for objectives that read them."""
    ledger_row: LedgerRow = field(init=False)
    """What the last step's groups tell; prompts are identified by their index."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Times of the last step, as `TimingRow` has them."""

    def __post_init__(self) -> None:
        self.objective = self.config.objective
        self.ledger = GroupLedger(self.objective.threshold)
        # fused: one kernel call per step instead of one per tensor
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            self.model.module.parameters(), self.config.learning_rate, (0.9, 0.95), weight_decay=0.0, fused=True
        )
        for weights in self.model.module.parameters():  # a minibatch without contrast is a step of zero gradient
            weights.grad = torch.zeros_like(weights)
        self.prompts_PT = training_prompts(self.task, self.config, self.select, self.base)

    @cached_property
    def _anchor(self) -> Anchor:
        prompts_PT = self.prompts_PT
        if self.config.base_classes is not None:
            prompts_PT = prompts_PT[self._base_success_P >= self.config.base_classes.mastered]
            if len(prompts_PT) == 0:
                raise WorkError("the base masters none of the training prompts. Lower train.base_classes.mastered.")
        return Anchor.of(self.base, self.task, prompts_PT, self.config.stream("anchor"))

    @cached_property
    def _base_success_P(self) -> Floats:
        """Mass of the correct completions of every training prompt under the base."""
        (mass_Y,) = solution_mass(self.base, self._solutions)
        return self._solutions.sum_by_prompt(mass_Y)

    def _reinforced(self, advantages_PG: Floats, prompts_P: Ints) -> Floats:
        """The advantages, 0 on prompts that the base masters if those have the anchor alone."""
        classes = self.config.base_classes
        if classes is None:
            return advantages_PG
        return np.where(self._base_success_P[prompts_P, None] < classes.mastered, advantages_PG, 0.0)

    def _has_kl_B(self, prompts_P: Ints) -> Tensor | None:
        """Whether the KL term counts on each rollout of a batch; None: on all."""
        classes = self.config.base_classes
        if classes is None:
            return None
        least, most = classes.boundary
        success_P = self._base_success_P[prompts_P]
        has_kl_P = (least <= success_P) & (success_P <= most)
        return torch.from_numpy(np.repeat(has_kl_P, self.config.group_size)).to(self.model.device)

    @cached_property
    def _solutions(self) -> SolutionSet:
        return SolutionSet.of(self.task, self.prompts_PT, self.model.device)

    @property
    def _off_policy(self) -> bool:
        return self.config.off_policy or not self.model.sampler_is_exact

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
        with self._timed("sample"), torch.no_grad(), self.model.training_precision():
            prompts_P = drawn_at(step, config)
            prompts_PT = self.prompts_PT[prompts_P]
            rollouts = sample(
                self.model,
                torch.from_numpy(prompts_PT).to(self.model.device),
                self.task.completion_length,
                config.group_size,
                config.stream("rollouts", step),
                stops=self.task.stops,
                temperature=config.temperature,
                top_p=config.top_p,
                policy_temperature=config.loss_temperature,
            )
            if not self.model.sampler_is_exact:
                every_B = torch.arange(len(rollouts.completions_BT), device=self.model.device)
                scores = _scores(self.model, rollouts, every_B, config.loss_temperature)
                rollouts = replace(rollouts, logp_BT=scores.logp_KBT[0])
            completions_BT = rollouts.completions_BT.cpu().numpy()
            rewards_B = self.task.rewards(np.repeat(prompts_PT, config.group_size, axis=0), completions_BT)
        rewards_PG = rewards_B.reshape(len(prompts_PT), config.group_size)
        self.ledger_row = self.ledger.update(step, prompts_P.tolist(), rewards_PG)
        weighted = self.pass_rates.weighted(rewards_PG, self.objective)
        likelihood = None if weighted.reads is None else _likelihood(rollouts, rewards_PG.shape)
        advantages_PG = self._reinforced(advantages(rewards_PG, weighted, likelihood), prompts_P)
        with self._timed("reference"), torch.no_grad(), self.base.training_precision():
            regularised = self.objective.kl_coef > 0.0
            rows_B = torch.arange(0, len(completions_BT), 1 if regularised else config.group_size)
            ref_logp_BT = _scores(self.base, rollouts, rows_B, config.loss_temperature).logp_KBT[0]
            kl_BT = kl_estimate(rollouts.logp_BT[rows_B], ref_logp_BT)
            kl_to_base = float(kl_BT[rollouts.mask_BT[rows_B]].double().mean())
        with self._timed("update"):
            reference_BT = ref_logp_BT if regularised else None
            batch = Batch(rollouts, prompts_P, advantages_PG, reference_BT, self._has_kl_B(prompts_P))
            updates = self._update(batch, step)
        return TelemetryRow(
            step=step,
            objective=None if config.then is None else self.objective.name,
            reward=float(rewards_PG.mean()),
            entropy=rollouts.mean_entropy,
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
            per_token = self.objective.aggregation == "token_mean"
            normalizer = int(batch.rollouts.mask_BT[rows_B].sum()) if per_token else len(rows_B)
            metrics = self._backward(batch, rows_B[used_B], advantage_B[used_B], normalizer) if used_B.any() else {}
        if self.config.anchor_coef > 0.0:
            with self.model.training_precision():
                anchor = self._anchor.loss(self.model, len(prompts_M), rng)
            (self.config.anchor_coef * anchor).backward()
            metrics["anchor_loss"] = float(anchor.detach())
        norm = torch.nn.utils.clip_grad_norm_(self.model.module.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        if self.config.pull > 0.0:
            for weights, start in zip(self.model.module.parameters(), self.base.module.parameters(), strict=True):
                weights.data.lerp_(start.data, self.optimizer.param_groups[0]["lr"] * self.config.pull)
        return {**metrics, "grad_norm": float(norm)}

    def _backward_exact(self, prompts_M: Ints) -> dict[str, float]:
        length = self.task.completion_length
        solutions = self._solutions.of_prompts(prompts_M)
        with self.model.training_precision():
            loss = exact_loss(self.model, solutions, self.objective, self.config.group_size, length)
        loss.backward()
        return {"loss": float(loss.detach())}

    def _backward(self, batch: Batch, rows_B: Ints, advantage_B: Floats, normalizer: int) -> dict[str, float]:
        index_B = torch.from_numpy(rows_B).to(self.model.device)
        bonus, mask_BT = self.config.entropy_coef, batch.rollouts.mask_BT[index_B]
        mode: EntropyMode = "differentiable" if bonus > 0.0 else "constant"
        with self.model.training_precision():
            scores = _scores(self.model, batch.rollouts, index_B, self.config.loss_temperature, mode)
        logp_BT = scores.logp_KBT[0]
        ref_logp_BT = None if batch.ref_logp_BT is None else batch.ref_logp_BT[index_B]
        if (
            batch.has_kl_B is not None and ref_logp_BT is not None
        ):  # the KL term of a policy and itself is 0, and so is its gradient
            ref_logp_BT = torch.where(batch.has_kl_B[index_B, None], ref_logp_BT, logp_BT.detach())
        result = policy_loss(
            logp_BT,
            batch.rollouts.logp_BT[index_B],
            torch.from_numpy(advantage_B).to(logp_BT),
            mask_BT,
            self.objective,
            ref_logp_BT=ref_logp_BT,
            sampler_logp_BT=batch.rollouts.sampler_logp_BT[index_B] if self._off_policy else None,
            normalizer=normalizer,
            max_length=self.task.completion_length,
        )
        assert scores.entropy_BT is not None  # asked for
        entropy = scores.entropy_BT[mask_BT].mean()
        (result.loss - bonus * entropy).backward()
        diagnostics = {name: float(value) for name, value in result.diagnostics.items()}
        return {**diagnostics, "loss": float(result.loss.detach()), "actor_entropy": float(entropy.detach())}

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[phase] = time.perf_counter() - start


def _scores(
    model: Policy, rollouts: Rollouts, rows_B: Tensor, temperature: float, entropy: EntropyMode | None = None
) -> CompletionScores:
    """Scores of some completions; each of their prompts is read once."""
    prompts_M, prompt_B = torch.unique(rollouts.prompt_B[rows_B], return_inverse=True)
    completions_BT = rollouts.completions_BT[rows_B]
    return model.score(rollouts.prompts_PT[prompts_M], completions_BT, prompt_B, (temperature,), entropy)


def _likelihood(rollouts: Rollouts, shape_PG: tuple[int, ...]) -> Likelihood:
    logp_B, length_B = rollouts.logp_BT.double().sum(dim=1), rollouts.mask_BT.sum(dim=1)
    return Likelihood(logp_B.cpu().numpy().reshape(shape_PG), length_B.cpu().numpy().reshape(shape_PG))


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
