"""A pretrained model, CPU seconds on one thread: sampling against transformers, an RL step of the lab, an evaluation.

python benchmarks/real.py SmolLM2        the folder that `rlvrscope lab convert --out SmolLM2` writes
"""

from __future__ import annotations

import argparse
import copy
import platform
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
import transformers
from torch import Tensor

from rlvrscope.engines import Completion, Request, Settings, open_engine
from rlvrscope.lab.evaluate import Evaluator
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.recipe import EvaluateConfig, PretrainedConfig, TrainConfig
from rlvrscope.lab.sampler import sample
from rlvrscope.lab.tasks import Mul, Task
from rlvrscope.lab.token_tree import PAD
from rlvrscope.lab.tokenised_task import tokenised
from rlvrscope.lab.trainer import Trainer
from rlvrscope.lab.tree_policy import TreePolicy
from rlvrscope.problem import Problem
from rlvrscope.sampling.fill import sample_seed
from rlvrscope.seeding import generator

PROMPTS = 16
GENERATED_ROWS = 64
"""Rows of one call of `generate`."""
STEP = {"prompts": PROMPTS, "prompts_per_step": PROMPTS, "group_size": 16, "minibatches": 1, "learning_rate": 1e-6}
Out = TypeVar("Out")


def timed(work: Callable[[], Out]) -> tuple[Out, float]:
    """Result and CPU seconds."""
    started = time.process_time()
    return work(), time.process_time() - started


def generated_tokens(policy: TreePolicy, task: Task, prompts_PT: Tensor, samples: int) -> int:
    """Draw with `transformers.generate`, rows padded on the left; returns the tokens up to each stop."""
    settings = transformers.GenerationConfig(
        do_sample=True, top_k=0, top_p=1.0, temperature=1.0, max_new_tokens=task.completion_length,
        eos_token_id=list(task.stops), pad_token_id=task.stops[0],
    )  # fmt: skip
    rows, width, tokens = prompts_PT.repeat_interleave(samples, dim=0), prompts_PT.shape[1], 0
    for rows_BT in rows.split(GENERATED_ROWS):
        left_BT = torch.stack([row.roll(int((row == PAD).sum())) for row in rows_BT])
        with torch.inference_mode():
            out_BT = policy.language_model.generate(
                input_ids=left_BT.clamp(min=0), attention_mask=(left_BT != PAD).long(), generation_config=settings
            )
        stopped_BT = torch.isin(out_BT[:, width:], torch.tensor(task.stops))
        ended_B = stopped_BT.any(dim=1)
        tokens += int(torch.where(ended_B, stopped_BT.int().argmax(dim=1) + 1, stopped_BT.shape[1]).sum())
    return tokens


def compare_sampling(policies: dict[str, TreePolicy], task: Task, prompts_PT: Tensor) -> None:
    tokens, seconds = timed(lambda: generated_tokens(policies["float32"], task, prompts_PT, 16))
    generated = tokens / seconds
    print(f"transformers.generate, float32, 16 a prompt  {seconds:6.1f} s  {generated:7,.0f} tokens/s")
    for samples in (16, 256):
        drawn, seconds = draw_by_engine(policies["float32"], task, prompts_PT, samples)
        rate = drawn / seconds
        print(
            f"rlvrscope sample's engine, {samples:>3} a prompt          {seconds:6.1f} s  {rate:7,.0f} tokens/s  "
            f"{rate / generated:5.0f} x"
        )
    for dtype, policy in policies.items():
        for samples in (16, 256):
            with policy.training_precision():
                drawn, seconds = timed(partial(draw, policy, task, prompts_PT, samples))
            rate = drawn / seconds
            print(
                f"token tree, {dtype:>8}, {samples:>3} a prompt            {seconds:6.1f} s  {rate:7,.0f} tokens/s  "
                f"{rate / generated:5.0f} x"
            )


def draw(policy: Policy, task: Task, prompts_PT: Tensor, samples: int) -> int:
    rng = generator(0, "draws")
    return int(sample(policy, prompts_PT, task.completion_length, samples, rng, stops=task.stops).mask_BT.sum())


def draw_by_engine(policy: TreePolicy, task: Task, prompts_PT: Tensor, samples: int) -> tuple[int, float]:
    """Tokens that the transformers engine draws, up to the end of the line, and its CPU seconds."""
    prompts = [policy.tokenizer.decode(prompt[prompt != PAD]) for prompt in prompts_PT]
    problems = [Problem(str(place), prompt, "?") for place, prompt in enumerate(prompts)]
    requests = [Request(p, index, p.prompt, sample_seed(0, p.id, index)) for p in problems for index in range(samples)]
    settings = Settings(max_tokens=task.completion_length, stop=("\n",), requested=len(requests))
    engine = open_engine("transformers", policy.config.pretrained, settings)
    results, seconds = timed(lambda: list(engine.run(iter(requests))))
    engine.close()
    return sum(result.tokens or 0 for _, result in results if isinstance(result, Completion)), seconds


def time_steps(base: TreePolicy, task: Task, steps: int) -> None:
    trainer = Trainer(copy.deepcopy(base), base, task, TrainConfig.model_validate(STEP))
    seconds = sorted(timed(partial(trainer.step, step))[1] for step in range(1, steps + 1))
    dtype = base.config.dtype
    print(f"RL step of 16 x 16, {dtype:>8}: median {seconds[steps // 2]:.1f} s, {seconds[0]:.1f} to {seconds[-1]:.1f}")


def time_evaluation(base: TreePolicy, task: Task, prompts: int) -> None:
    evaluator = Evaluator(task, EvaluateConfig(prompts=prompts), base)
    evaluator.scores(base)  # of the base, once a run
    _, scores = timed(lambda: evaluator.scores(base))
    _, whole = timed(lambda: evaluator(base, 0))
    print(f"exact pass@k of {prompts} prompts: {scores:.1f} s; a whole evaluation, with sampled entropy: {whole:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path, help="a folder, as save_pretrained writes it")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=200, help="held-out prompts that are evaluated")
    options = parser.parse_args()
    torch.set_num_threads(1)
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    print(f"{platform.machine()}, 1 thread, CPU seconds, {versions}")
    settings = {
        dtype: PretrainedConfig(pretrained=str(options.model), dtype=dtype) for dtype in ("float32", "bfloat16")
    }
    policies = {dtype: TreePolicy.load(setting, torch.device("cpu")) for dtype, setting in settings.items()}
    base = policies["float32"]
    task = tokenised(Mul(), base)
    compare_sampling(policies, task, torch.from_numpy(task.prompts(PROMPTS, "train", generator(0, "prompts"))))
    time_evaluation(base, task, options.prompts)
    for policy in policies.values():
        time_steps(policy, task, options.steps)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB, both arithmetics loaded")


if __name__ == "__main__":
    main()
