"""The same prompts, rollouts and learning rate through the lab's trainer and through TRL's: do they agree?

    python recipes/trl-smollm2/agree.py out/SmolLM2 --steps 3

The lab draws the rollouts of each step and updates; TRL gets the lab's rollouts of that step, in float32. Printed: the
rewards' and advantages' largest difference, loss and gradient norm of each step by both, the largest difference of a
weight, and the cosine between the changes of all weights.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.grpo_config import GRPOConfig

from rlvrscope import config
from rlvrscope.adapters.trl import GRPOTrainer
from rlvrscope.lab.pretrain import load_base
from rlvrscope.lab.recipe import Recipe
from rlvrscope.lab.token_tree import PAD
from rlvrscope.lab.tokenised_task import tokenised
from rlvrscope.lab.trainer import Batch, Trainer

BETAS, WEIGHT_DECAY = (0.9, 0.95), 0.0


class Recorder(Trainer):
    """The lab's trainer, which keeps each step's batch."""

    batch: Batch

    def _update(self, batch: Batch, step: int) -> dict[str, float]:
        self.batch = batch
        return super()._update(batch, step)


def lab_steps(recipe: Recipe, steps: int) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """Rows of each step, with its rollouts, and the weights after the last."""
    base = load_base(recipe, Path(), torch.device("cpu"))
    model = copy.deepcopy(base)
    trainer = Recorder(model, base, tokenised(recipe.task, base), recipe.train)
    rows = []
    for step in range(1, steps + 1):
        row, batch = trainer.step(step), trainer.batch  # sampling and update
        rollouts = batch.rollouts
        prompts = rollouts.prompts_PT[rollouts.prompt_B].tolist()
        rows.append(
            {
                "loss": row.loss, "grad_norm": row.grad_norm, "seconds": trainer.seconds["cpu"],
                "advantages": batch.advantages_PG.ravel().tolist(),
                "prompts": [[token for token in ids if token != PAD] for ids in prompts],
                "completions": [[t for t in ids if t != PAD] for ids in rollouts.completions_BT.tolist()],
                "rewards": (batch.advantages_PG.ravel() > 0.0).tolist(),
            }
        )  # fmt: skip
    weights_of = model.module.named_parameters()
    return rows, {name.removeprefix("language_model."): weights.detach().clone() for name, weights in weights_of}


def trl_steps(
    folder: str, rows: list[dict[str, Any]], recipe: Recipe, rewards: Any
) -> tuple[list[Mapping[str, Any]], list[list[float]], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """TRL's logs and advantages of each step on the lab's rollouts, and the weights before and after."""
    train, count = recipe.train, len(rows[0]["prompts"])
    advantages: list[list[float]] = []

    class Kept(GRPOTrainer):
        def _transform_advantages(self, _: torch.Tensor) -> torch.Tensor:
            result = super()._transform_advantages(_)
            advantages.append(result.tolist())
            return result

    def rollouts(prompts: list[str], trainer: Any) -> dict[str, Any]:
        row = rows[trainer.state.global_step]
        assert len(prompts) == count
        return {"prompt_ids": row["prompts"], "completion_ids": row["completions"], "logprobs": [[]] * count}

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    before = {name: weights.detach().clone() for name, weights in model.named_parameters()}
    with tempfile.TemporaryDirectory() as out:
        args = GRPOConfig(
            out, max_steps=len(rows), per_device_train_batch_size=16, gradient_accumulation_steps=count // 16,
            num_generations=train.group_size, max_completion_length=32, learning_rate=train.learning_rate,
            lr_scheduler_type="constant", adam_beta1=BETAS[0], adam_beta2=BETAS[1], weight_decay=WEIGHT_DECAY,
            max_grad_norm=train.gradient_clip, logging_steps=1, save_strategy="no", report_to="none", use_cpu=True,
            bf16=False, gradient_checkpointing=False, shuffle_dataset=False, optim="adamw_torch",
            log_level="error",
        )  # fmt: skip
        prompts = [tokenizer.decode(ids) for row in rows for ids in row["prompts"][:: train.group_size]]
        trainer = Kept(
            model, rewards, args, train_dataset=Dataset.from_dict({"prompt": prompts}), processing_class=tokenizer,
            objective=train.objective, rollout_func=rollouts,
        )  # fmt: skip
        started = time.process_time()
        trainer.train()
        seconds = (time.process_time() - started) / len(rows)
        print(f"CPU seconds a step of {count} rollouts: the lab, with sampling, {mean_seconds(rows):.1f}; "
              f"TRL, without, {seconds:.1f}")  # fmt: skip
    logs = [entry for entry in trainer.state.log_history if "reward" in entry]
    return logs, advantages, before, {name: weights.detach() for name, weights in model.named_parameters()}


def mean_seconds(rows: list[dict[str, Any]]) -> float:
    return sum(row["seconds"] for row in rows) / len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of rlvrscope lab convert")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--objective", default="grpo")
    parser.add_argument("--json", type=Path, help="write the numbers there as well")
    options = parser.parse_args()
    recipe = config.parse(
        {
            "task": {"name": "mul", "largest": 149, "held_out_share": 0.35},
            "model": {"pretrained": options.model, "dtype": "float32"},
            "train": {
                "objective": options.objective, "steps": options.steps, "prompts": 100, "prompts_per_step": 4,
                "seed": 1, "group_size": 8, "minibatches": 1, "warmup_steps": 0, "learning_rate": 3e-6,
            },
        },
        Recipe,
        "agree.py",
    )  # fmt: skip
    rows, lab_after = lab_steps(recipe, options.steps)
    places = iter(rows)

    def rewards(**_: Any) -> list[float]:
        """The lab's verdicts: a group's advantages are positive where the rollout is right."""
        return [float(right) for right in next(places)["rewards"]]

    logs, advantages, before, trl_after = trl_steps(options.model, rows, recipe, rewards)
    result = compare(rows, logs, advantages, before, lab_after, trl_after)
    print(f"{'step':>4} {'lab loss':>12} {'TRL loss':>12} {'lab grad norm':>14} {'TRL grad norm':>14}")
    for step, (row, entry) in enumerate(zip(rows, logs, strict=True), start=1):
        losses, norms = ([one[name] for one in (row, entry)] for name in ("loss", "grad_norm"))
        print(f"{step:>4} {losses[0]:>12.3e} {losses[1]:>12.3e} {norms[0]:>14.5f} {norms[1]:>14.5f}")
    for name, value in result.items():
        print(f"{name}: {value:.3g}")
    if options.json is not None:
        options.json.write_text(json.dumps(result))


def compare(
    rows: list[dict[str, Any]], logs: list[Mapping[str, Any]], advantages: list[list[float]],
    before: dict[str, torch.Tensor], lab_after: dict[str, torch.Tensor], trl_after: dict[str, torch.Tensor],
) -> dict[str, float]:  # fmt: skip
    """Largest differences, and the cosine between the two changes of all weights."""
    shared = [name for name in before if name in lab_after]
    assert len(shared) == len(lab_after) > 0
    lab, trl = (
        torch.cat([(after[name] - before[name]).flatten().double() for name in shared])
        for after in (lab_after, trl_after)
    )
    pairs = [
        (a, b) for row, trls in zip(rows, advantages, strict=True) for a, b in zip(row["advantages"], trls, strict=True)
    ]
    norms = [(row["grad_norm"], entry["grad_norm"]) for row, entry in zip(rows, logs, strict=True)]
    return {
        "largest difference of an advantage": max(abs(a - b) for a, b in pairs),
        "largest relative difference of a gradient norm": max(abs(a - b) / max(a, 1e-12) for a, b in norms),
        "largest change of a weight": lab.abs().max().item(),
        "largest difference of a weight": (lab - trl).abs().max().item(),
        "cosine between the changes": (lab @ trl / (lab.norm() * trl.norm())).item(),
    }


if __name__ == "__main__":
    main()
