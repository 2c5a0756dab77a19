"""Which prompts hurt which: inner products of the gradients of prompts' success, and what they make of pass@k.

    python recipes/keeping/interference.py recipes/frontier/line.toml --base 0 --base 1
    python recipes/keeping/interference.py recipes/frontier/line.toml --run out/frontier-line/runs/grpo-base0-seed0

For N training prompts with success s_p under the base (or under a run's final weights), all exact:

    interference of p and q    grad s_p . grad s_q
    update of an objective     d = sum over the first half of w_p grad s_p, groups of train.group_size
    change of pass@k along d   mean over q of k (1 - s_q)^(k-1) grad s_q . d

`inside` are the prompts of the update, `outside` the other half. d is the gradient, or the sign of each of its entries,
which is Adam's first step. The exchange rate is the change of pass@256 for a gain of 1 in pass@1; below 0 the boundary
shrinks to first order. `step` is that rate measured: after the step along d that gains .01 of pass@1 on average.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rlvrscope import config
from rlvrscope.arrays import Floats
from rlvrscope.lab import checkpoint
from rlvrscope.lab.policy import Policy
from rlvrscope.lab.pretrain import base_path, load_base
from rlvrscope.lab.prompts import training_prompts
from rlvrscope.lab.recipe import Recipe
from rlvrscope.lab.solutions import SolutionSet, exact_loss, solution_mass
from rlvrscope.objectives import OBJECTIVES
from rlvrscope.runs.folder import RunFolder
from rlvrscope.stats import pass_at_k_exact

K = 256
GAIN = 0.01
CPU = torch.device("cpu")


def flat_gradient(model: Policy, loss: Tensor) -> Tensor:
    """(D,) gradient of a loss in all weights."""
    gradients = torch.autograd.grad(loss, list(model.module.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients])


def success_gradients(model: Policy, solutions: SolutionSet) -> Tensor:
    """(N, D) gradient of each prompt's success."""
    rows = []
    for prompt in range(solutions.problems):
        logp_X = solutions.of_prompts(np.array([prompt])).logp(model)[0]
        rows.append(flat_gradient(model, logp_X.exp().sum()))
    return torch.stack(rows)


def success(model: Policy, solutions: SolutionSet) -> Floats:
    """(N,) exact success."""
    (mass_Y,) = solution_mass(model, solutions)
    return solutions.sum_by_prompt(mass_Y)


def moved(model: Policy, direction_D: Tensor, length: float) -> Policy:
    """A copy of the model, a step along a direction away."""
    copied = copy.deepcopy(model)
    parts = direction_D.split([weights.numel() for weights in copied.module.parameters()])
    with torch.no_grad():
        for weights, part_D in zip(copied.module.parameters(), parts, strict=True):
            weights.add_(part_D.view_as(weights), alpha=length)
    return copied


def measured_rate(model: Policy, solutions: SolutionSet, direction_D: Tensor) -> float | None:
    """Change of pass@K over that of pass@1 after the step that gains GAIN, by bisection; None if none does."""
    start_N = success(model, solutions)
    low, high = 0.0, 1e-3 / float(direction_D.norm())
    for _ in range(20):
        if success(moved(model, direction_D, high), solutions).mean() - start_N.mean() >= GAIN:
            break
        low, high = high, 2.0 * high
    else:
        return None
    for _ in range(20):
        middle = 0.5 * (low + high)
        reached = success(moved(model, direction_D, middle), solutions).mean() - start_N.mean() >= GAIN
        low, high = (low, middle) if reached else (middle, high)
    end_N = success(moved(model, direction_D, high), solutions)
    before, after = (pass_at_k_exact(success_N[None], [K]).mean() for success_N in (start_N, end_N))
    return float((after - before) / (end_N.mean() - start_N.mean()))


def report(model: Policy, recipe: Recipe, prompts: int, names: Sequence[str], base: Policy) -> list[str]:
    """Lines of the table for one model."""
    task = recipe.token_task
    prompts_PT = training_prompts(task, recipe.train.model_copy(update={"prompts": prompts}), recipe.select, base)
    solutions = SolutionSet.of(task, prompts_PT, CPU)
    inside = solutions.of_prompts(np.arange(prompts // 2))
    gradient_ND, success_N = success_gradients(model, solutions), success(model, solutions)
    products_NN = (gradient_ND @ gradient_ND.T).numpy()
    apart = ~np.eye(prompts, dtype=bool)
    boundary_N, inside_N = K * (1.0 - success_N) ** (K - 1), np.arange(prompts) < prompts // 2
    pass_at_k = pass_at_k_exact(success_N[None], [K]).mean()
    lines = [
        f"pass@1 {success_N.mean():.3f}, pass@{K} {pass_at_k:.3f}; share of pairs of prompts whose gradients oppose: "
        f"{(products_NN[apart] < 0.0).mean():.3f}"
    ]
    for name in names:
        loss = exact_loss(model, inside, OBJECTIVES[name], recipe.train.group_size, task.completion_length)
        gradient_D = -flat_gradient(model, loss)
        for kind, direction_D in (("gradient", gradient_D), ("sign", gradient_D.sign())):
            change_N = (gradient_ND @ direction_D).numpy()
            within, beyond = change_N[inside_N], change_N[~inside_N]
            rate = (boundary_N * change_N).mean() / change_N.mean()
            step = measured_rate(model, solutions, direction_D)
            lines.append(
                f"| {name} | {kind} | {(within < 0.0).mean():.3f} | {(beyond < 0.0).mean():.3f} "
                f"| {beyond.mean() / within.mean():.2f} | {rate:+.3f} "
                f"| {'none' if step is None else f'{step:+.3f}'} |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--base", type=int, action="append")
    parser.add_argument("--run", type=Path, help="take the final weights of this run")
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--objective", action="append", choices=list(OBJECTIVES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = options.objective or ["grpo", "grpo-n", "grpo-p", "rloo", "maxrl"]
    head = "| objective | direction | harmed inside | harmed outside | gain outside / inside | exchange rate | step |"
    for number in options.base or [0]:
        recipe = config.load(options.recipe, Recipe, [f"train.base={number}"])
        base = load_base(recipe, base_path(recipe, CPU), CPU)
        model = base if options.run is None else checkpoint.load(RunFolder(options.run).final_checkpoint, CPU)[0]
        print(f"base {number}: {'the base' if options.run is None else options.run}")
        first, *rows = report(model, recipe, options.prompts, names, base)
        print("\n".join([first, head, "|---|---|---|---|---|---|---|", *rows]))


if __name__ == "__main__":
    sys.exit(main())
