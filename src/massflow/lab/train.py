"""The RL loop: rollouts, rewards, advantages, several clipped updates; resumable after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from massflow.errors import InputError
from massflow.lab import checkpoint
from massflow.lab.evaluate import Evaluator
from massflow.lab.model import Transformer, token_entropy, token_logp
from massflow.lab.recipe import Recipe, TrainConfig
from massflow.lab.sampler import Rollouts, sample
from massflow.objectives import advantages, kl_estimate, policy_loss
from massflow.runs import RunFolder
from massflow.seeding import generator
from massflow.tasks import Task

OnProgress = Callable[[int, dict[str, Any]], None]
"""Called with the step just done, its telemetry and the latest pass@1."""


@dataclass
class Batch:
    """One step's rollouts with what the update needs; B = P x G rows, prompt by prompt."""

    rollouts: Rollouts
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
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of the last step by phase: sample, reference, update."""

    def __post_init__(self) -> None:
        # fused: one call a step rather than one a tensor
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            self.model.parameters(), self.config.learning_rate, (0.9, 0.95), weight_decay=0.0, fused=True
        )
        for weights in self.model.parameters():  # a minibatch without contrast is a step of zero gradient, not none
            weights.grad = torch.zeros_like(weights)
        self._prompts_PT = self.task.prompts(
            self.config.prompts, "train", generator(self.config.seed, "training prompts")
        )

    @property
    def _diagnostics(self) -> list[str]:
        """What an update tells, always the same for one configuration."""
        names = ["actor_loss", "actor_entropy", "ratio_max", "clip_low_fraction", "clip_high_fraction"]
        names += ["dual_clip_fraction"] if self.config.objective.dual_clip is not None else []
        names += ["reference_kl"] if self.config.objective.kl_coef > 0.0 else []
        return [*names, "sampler_kl"] if self._mismatched else names

    @property
    def _mismatched(self) -> bool:
        """Whether rollouts come from another policy than the one that is differentiated."""
        return self.config.temperature != 1.0 or self.config.top_p < 1.0

    def step(self, step: int) -> dict[str, Any]:
        """One step (counted from 1): sample, score, update. Returns its row of telemetry."""
        config = self.config
        with self._timed("sample"):
            prompts_PT = self._draw_prompts(step)
            rollouts = sample(
                self.model,
                torch.from_numpy(prompts_PT).to(self.model.device),
                self.task.completion_length,
                config.group_size,
                generator(config.seed, "rollouts", step),
                temperature=config.temperature,
                top_p=config.top_p,
            )
            completions_BT = rollouts.completions_BT.cpu().numpy()
            rewards_B = self.task.rewards(np.repeat(prompts_PT, config.group_size, axis=0), completions_BT)
        rewards_PG = rewards_B.reshape(len(prompts_PT), config.group_size)
        advantages_PG = advantages(rewards_PG, config.objective)
        with self._timed("reference"), torch.no_grad():
            regularised = config.objective.kl_coef > 0.0
            rows_B = torch.arange(0, len(completions_BT), 1 if regularised else config.group_size)  # telemetry: few
            ref_logp_BT = token_logp(_logits(self.base, rollouts, rows_B), rollouts.completions_BT[rows_B])
            kl_to_base = float(kl_estimate(rollouts.logp_BT[rows_B], ref_logp_BT).double().mean())
        with self._timed("update"):
            updates = self._update(Batch(rollouts, advantages_PG, ref_logp_BT if regularised else None), step)
        return {
            "step": step,
            "reward": float(rewards_PG.mean()),
            "token_entropy": float(rollouts.entropy_BT.double().mean()),
            **_group_facts(rewards_PG, advantages_PG, config.objective.threshold),
            **updates,
            "kl_to_base": np.nan if self._mismatched else kl_to_base,  # the estimate needs samples of the policy
        }

    def _draw_prompts(self, step: int) -> NDArray[np.int64]:
        steps_per_epoch = len(self._prompts_PT) // self.config.prompts_per_step
        epoch, position = divmod(step - 1, steps_per_epoch)
        order_P = generator(self.config.seed, "prompt order", epoch).permutation(len(self._prompts_PT))
        start = position * self.config.prompts_per_step
        return self._prompts_PT[order_P[start : start + self.config.prompts_per_step]]

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
            order_P = generator(config.seed, "minibatches", step, epoch).permutation(len(rows_PG))
            for prompts_M in np.split(order_P, config.minibatches):
                facts.append(self._minibatch(batch, rows_PG[prompts_M].ravel()))
        gradient_norm = float(np.mean([fact["gradient_norm"] for fact in facts]))
        trained = [fact for fact in facts if len(fact) > 1] or [dict.fromkeys(self._diagnostics, np.nan)]
        means = {name: float(np.mean([fact[name] for fact in trained])) for name in self._diagnostics}
        return {**means, "ratio_max": max(fact["ratio_max"] for fact in trained), "gradient_norm": gradient_norm}

    def _minibatch(self, batch: Batch, rows_B: NDArray[np.int64]) -> dict[str, float]:
        """One optimizer step. Rows of zero advantage are counted in the normaliser but cost nothing."""
        objective = self.config.objective
        advantage_B = batch.advantages_PG.ravel()[rows_B]
        kept = np.ones(len(rows_B), dtype=bool) if objective.kl_coef > 0.0 else advantage_B != 0.0
        self.optimizer.zero_grad(set_to_none=False)
        facts = self._backward(batch, rows_B[kept], advantage_B[kept], len(rows_B)) if kept.any() else {}
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        return {**facts, "gradient_norm": float(norm)}

    def _backward(
        self, batch: Batch, rows_B: NDArray[np.int64], advantage_B: NDArray[np.float64], counted: int
    ) -> dict[str, float]:
        index_B = torch.from_numpy(rows_B).to(self.model.device)
        completion_BT = batch.rollouts.completions_BT[index_B]
        logits_BTV = _logits(self.model, batch.rollouts, index_B)
        length = self.task.completion_length
        per_token = self.config.objective.aggregation == "token_mean"
        result = policy_loss(
            token_logp(logits_BTV, completion_BT),
            batch.rollouts.logp_BT[index_B],
            torch.from_numpy(advantage_B).to(logits_BTV),
            torch.ones_like(completion_BT, dtype=torch.bool),
            self.config.objective,
            ref_logp_BT=None if batch.ref_logp_BT is None else batch.ref_logp_BT[index_B],
            sampler_logp_BT=batch.rollouts.sampler_logp_BT[index_B] if self._mismatched else None,
            normalizer=counted * length if per_token else counted,
            max_length=length,
        )
        result.loss.backward()
        facts = {name: float(value) for name, value in result.diagnostics.items()}
        entropy = token_entropy(logits_BTV.detach()).mean()
        return {**facts, "actor_loss": float(result.loss.detach()), "actor_entropy": float(entropy)}

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[phase] = time.perf_counter() - start


def train(
    recipe: Recipe, base: Transformer, folder: RunFolder, on_progress: OnProgress = lambda step, facts: None
) -> None:
    """Train one run into its folder; started again after a kill, it goes on from the last evaluation.

    On a CPU the result is the same, byte for byte, however often it was interrupted. Raises WorkError if it can't be
    written or the model diverges, InputError if what is there to go on from is damaged.
    """
    model, start, moments = _resume(folder, base)
    trainer = Trainer(model, base, recipe.task, recipe.train)
    evaluator = Evaluator(recipe.task, recipe.evaluate, base)
    if start > 0:
        checkpoint.restore_optimizer(model, trainer.optimizer, moments)
    else:
        folder.append("evaluation", evaluator(model, 0))
    latest: dict[str, Any] = folder.rows("evaluation")[-1]
    for step in range(start + 1, recipe.train.steps + 1):
        row = trainer.step(step)
        folder.append("telemetry", row)
        evaluated = time.perf_counter()
        if step % recipe.evaluate.every == 0 or step == recipe.train.steps:
            latest = evaluator(model, step)
            folder.append("evaluation", latest)
            if step < recipe.train.steps:
                folder.flush("telemetry", "evaluation")
                moments = checkpoint.optimizer_tensors(model, trainer.optimizer)
                checkpoint.save(folder.resume_checkpoint, model, moments, kind="resume", step=step)
        folder.append("timing", {"step": step, **trainer.seconds, "evaluate": time.perf_counter() - evaluated})
        on_progress(step, {**row, "pass_at_1": _pass_at_1(latest)})
    checkpoint.save(folder.final_checkpoint, model, kind="policy", step=recipe.train.steps)
    folder.resume_checkpoint.unlink(missing_ok=True)


def _resume(folder: RunFolder, base: Transformer) -> tuple[Transformer, int, dict[str, Tensor]]:
    """The policy to go on from, its step and its optimizer; the folder's rows past that step are dropped."""
    step, tensors = 0, {}
    if folder.resume_checkpoint.exists():
        model, tensors, header = checkpoint.load(folder.resume_checkpoint, base.device, kind="resume")
        step = int(header["step"])
    else:
        model = Transformer(base.config, base.vocab_size, base.context).to(base.device)
        model.load_state_dict(base.state_dict())
    for name in ("telemetry", "evaluation", "timing"):
        folder.keep_until(name, step if step else -1)
    if [row["step"] for row in folder.rows("telemetry")] != list(range(1, step + 1)):
        raise InputError(
            f"{folder.path}: telemetry.jsonl has not one row a step up to {step}. Remove it and run again."
        )
    return model, step, tensors


def _pass_at_1(evaluation: dict[str, Any]) -> float:
    return next(score["pass_at_1"] for score in evaluation["scores"] if score["temperature"] == 1.0)


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
