"""Three steps on rollouts that do not depend on the number of processes; prints the weights and the metrics.

torchrun --nproc_per_node 2 trl_two_processes.py MODEL OUT BANK
"""

import json
import os
import sys
from pathlib import Path

from rlvrscope.adapters.trl import GRPOTrainer, LedgerCallback, ProbeCallback
from trl_runs import arguments, thirds, trainer


def rollouts(prompts, run):
    """Completions by place in the global batch and step."""
    first = run.accelerator.process_index * len(prompts)
    tokenize = run.processing_class
    completions = [
        [2 + (7 * place + 11 * run.state.global_step) % 200] * (1 + (place + run.state.global_step) % 5)
        for place in range(first, first + len(prompts))
    ]
    return {
        "prompt_ids": [tokenize(prompt)["input_ids"] for prompt in prompts],
        "completion_ids": completions,
        "logprobs": [[-1.0] * len(ids) for ids in completions],
    }


def main(model, out, bank):
    world = int(os.environ.get("WORLD_SIZE", "1"))
    args = arguments(
        Path(out), max_steps=3, per_device_train_batch_size=12 // world, num_generations=4, logging_steps=1
    )
    run = trainer(GRPOTrainer, Path(model), args, thirds, objective="grpo-n", rollout_func=rollouts)
    assert run.accelerator.num_processes == world
    run.add_callback(LedgerCallback(run))
    run.add_callback(ProbeCallback(run, bank, every=1))
    run.train()
    if run.accelerator.is_main_process:
        entries = [entry for entry in run.state.log_history if "reward" in entry]
        names = ("loss", "reward", "rlvrscope/negative_share", "rlvrscope/pass_at_group", "rlvrscope/rare_log_mass")
        logged = [{name: entry[name] for name in names if name in entry} for entry in entries]
        weights = [weight for tensor in run.model.parameters() for weight in tensor.detach().flatten().tolist()]
        Path(out, "result.json").write_text(json.dumps({"world": world, "logged": logged, "weights": weights}))
    run.accelerator.wait_for_everyone()
    run.accelerator.end_training()  # a process that ends first would abort the other
    sys.stdout.flush()
    os._exit(0)  # once in about 20 runs torch 2.13 aborts at exit: "terminate called without an active exception"


if __name__ == "__main__":
    main(*sys.argv[1:])
