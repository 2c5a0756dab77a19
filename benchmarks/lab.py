"""The lab against what a user would pick instead: our sampler and `transformers.generate` on the same weights.

    python benchmarks/lab.py [--threads N] [--repeats 5]

Both draw 8 completions for each of 32 prompts of the Line task at temperature 1 in float32: the same weights, copied
into an OPT of the same shape (checked first: equal logits). Medians over the repeats. Then an RL step of 256
sequences by phase, an exact evaluation of 300 prompts, and peak memory.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import time
from collections.abc import Callable

import torch
import transformers
from transformers import OPTConfig, OPTForCausalLM

from rlvrscope.lab.evaluate import Evaluator
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.pretrain import base_path, ensure_base, load_base
from rlvrscope.lab.recipe import EvaluateConfig, Recipe, TrainConfig
from rlvrscope.lab.run import Trainer
from rlvrscope.lab.sampler import sample
from rlvrscope.seeding import generator

PROMPTS, ROLLOUTS = 32, 8
RECIPE = Recipe(name="bench", evaluate=EvaluateConfig(prompts=300))


def as_opt(model: Transformer) -> OPTForCausalLM:
    """The same weights in transformers' OPT: pre-norm, learned positions (offset by 2), ReLU."""
    width, layers = model.config.width, model.config.layers
    config = OPTConfig(
        vocab_size=model.vocab_size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=model.config.heads,
        ffn_dim=4 * width,
        max_position_embeddings=model.context,
        word_embed_proj_dim=width,
        dropout=0.0,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=None,
        pad_token_id=None,
    )
    twin = OPTForCausalLM(config).eval()
    weights = {
        "lm_head.weight": model.head.weight,
        "model.decoder.embed_tokens.weight": model.token.weight,
        "model.decoder.final_layer_norm.weight": model.norm.weight,
        "model.decoder.final_layer_norm.bias": model.norm.bias,
    }
    pairs = {
        "attention_out": "self_attn.out_proj",
        "norm_attention": "self_attn_layer_norm",
        "norm_mlp": "final_layer_norm",
        "mlp_in": "fc1",
        "mlp_out": "fc2",
    }
    for layer, block in enumerate(model.blocks):
        prefix = f"model.decoder.layers.{layer}."
        for part in ("weight", "bias"):
            split = getattr(block.get_submodule("qkv"), part).chunk(3)
            for name, value in zip("qkv", split, strict=True):
                weights[f"{prefix}self_attn.{name}_proj.{part}"] = value
            for ours, theirs in pairs.items():
                weights[f"{prefix}{theirs}.{part}"] = getattr(block.get_submodule(ours), part)
    with torch.no_grad():
        twin.load_state_dict(weights, strict=False)
        twin.model.decoder.embed_positions.weight[2:] = model.position.weight
    return twin


def interleaved(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each call, taken in turn so that a busy machine is busy for all of them."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def compare_samplers(model: Transformer, repeats: int) -> None:
    task = RECIPE.token_task
    prompts = torch.from_numpy(task.prompts(PROMPTS, "train", generator(0, "bench")))
    twin = as_opt(model)
    tokens = torch.from_numpy(task.demonstrations(64, generator(0, "bench")))
    with torch.no_grad():
        gap = (twin(tokens).logits - model(tokens)).abs().max().item()
    assert gap < 1e-4, f"the two models differ by {gap}"

    def generate() -> object:
        return twin.generate(  # pyright: ignore[reportAttributeAccessIssue]
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=True,
            num_return_sequences=ROLLOUTS,
            max_new_tokens=task.completion_length,
            min_new_tokens=task.completion_length,
            top_k=0,
        )

    seconds = interleaved(
        {
            "rlvrscope": lambda: sample(model, prompts, task.completion_length, ROLLOUTS, generator(0, "draws")),
            "transformers": generate,
        },
        repeats,
    )
    count = PROMPTS * ROLLOUTS * task.completion_length
    for name, time_taken in seconds.items():
        print(f"sampling, {name:<13} {time_taken * 1e3:7.1f} ms   {count / time_taken:9,.0f} tokens/s")
    print(f"sampling, ratio         {seconds['transformers'] / seconds['rlvrscope']:7.2f} x  (largest gap {gap:.1e})")


def time_steps(model: Policy, base: Policy, objective: str, steps: int) -> None:
    config = TrainConfig.model_validate({"objective": objective})
    trainer = Trainer(model, base, RECIPE.token_task, config)
    phases: dict[str, list[float]] = {}
    for step in range(1, steps + 1):
        trainer.step(step)
        for phase, seconds in trainer.seconds.items():
            phases.setdefault(phase, []).append(seconds)
    medians = {phase: statistics.median(seconds) * 1e3 for phase, seconds in phases.items()}
    parts = ", ".join(f"{phase} {value:.1f}" for phase, value in medians.items())
    print(f"RL step, {objective:<14} {sum(medians.values()):7.1f} ms   ({parts})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cpu = torch.device("cpu")
    print(
        f"{platform.machine()}, {options.threads} thread(s), torch {torch.__version__}, "
        f"transformers {transformers.__version__}, median of {options.repeats}"
    )
    path = ensure_base(RECIPE, base_path(RECIPE, cpu), cpu)
    base = load_base(RECIPE, path, cpu)
    assert isinstance(base, Transformer)
    compare_samplers(base, options.repeats)
    for objective in ("grpo", "grpo-n", "w-reinforce"):
        time_steps(load_base(RECIPE, path, cpu), base, objective, steps=20)
    evaluator = Evaluator(RECIPE.token_task, RECIPE.evaluate, base)
    (seconds,) = interleaved({"evaluate": lambda: evaluator(base, 0)}, min(3, options.repeats)).values()
    answers = len(evaluator.held_out.class_Y)
    print(f"exact evaluation        {seconds * 1e3:7.0f} ms   (300 prompts, {answers:,} right answers)")
    print(f"peak memory             {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:7.0f} MiB")


if __name__ == "__main__":
    main()
