"""Speed of the simulator compared with a plain loop of torch autograd.

    python benchmarks/dynamics.py [--repeats 3]

Seed-steps per second on one thread: the loop, NumPy over 200 seeds at once, the kernel; at V = 3, n = 8 (GRPO), and at
V = 1000, n = 16 dense (GRPO-N, which moves every logit) and sparse (GRPO, which moves those drawn). Then the base case,
1,000 seeds x 40,000 steps, on 2 threads. Without compile time. Medians over the repeats, with the versions interleaved.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from rlvrscope.dynamics import simulate
from rlvrscope.objectives import OBJECTIVES, Objective
from rlvrscope.seeding import generator

GRPO = OBJECTIVES["grpo"].replace(std_ddof=0)
GRPO_N = OBJECTIVES["grpo-n"].replace(std_ddof=0)
BASE = (np.array([0.8, 1.0, 0.0]), np.array([0.49, 0.02, 0.49]))


def torch_loop(problem: tuple, group_size: int, steps: int, negative_only: bool) -> None:
    """One seed, step by step, as in a tutorial."""
    rewards, probs = problem
    reward, logits = torch.tensor(rewards), torch.tensor(np.log(probs), requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=0.1)
    for _ in range(steps):
        logp = torch.log_softmax(logits, 0)
        actions = torch.multinomial(logp.detach().exp(), group_size, replacement=True)
        drawn = reward[actions]
        advantage = (drawn - drawn.mean()) / (drawn.std(correction=0) + 1e-6)
        advantage = advantage.clamp(max=0.0) if negative_only else advantage
        optimizer.zero_grad()
        (-(advantage * logp[actions]).mean()).backward()
        optimizer.step()


def simulated(problem: tuple, objective: Objective, group_size: int, steps: int, seeds: int, **knobs) -> None:
    rewards, probs = problem
    rng = generator(0, "benchmark")
    simulate(
        rewards, objective, group_size, probs_V=probs, steps=steps, seeds=seeds, record_every=steps, rng=rng, **knobs
    )


def rate(call: Callable[[], None], seed_steps: int) -> float:
    started = time.perf_counter()
    call()
    return seed_steps / (time.perf_counter() - started)


def compare(name: str, problem: tuple, objective: Objective, group_size: int, seeds: int, repeats: int) -> None:
    simulated(problem, objective, group_size, 2, 1)  # compiled, or read from disk
    negative_only = objective.positive_weight == 0.0
    versions: dict[str, tuple[Callable[[], None], int]] = {
        "torch": (lambda: torch_loop(problem, group_size, 1500, negative_only), 1500),
        "numpy": (lambda: simulated(problem, objective, group_size, 50, 200, backend="numpy"), 50 * 200),
        "kernel": (lambda: simulated(problem, objective, group_size, 2000, seeds, threads=1), 2000 * seeds),
    }
    turns = [{version: rate(call, work) for version, (call, work) in versions.items()} for _ in range(repeats)]
    middle = {version: statistics.median(turn[version] for turn in turns) for version in versions}
    rates = ", ".join(f"{version} {value:,.0f}/s" for version, value in middle.items())
    print(f"{name}: {rates}: {middle['kernel'] / middle['torch']:,.0f} times torch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    rng = generator(0, "benchmark", "many")
    many = rng.random(1000), rng.dirichlet(np.ones(1000))
    print("seed-steps per second, one thread")
    compare("V=3 n=8 grpo", BASE, GRPO, 8, 1000, repeats)
    compare("V=1000 n=16 grpo-n (dense)", many, GRPO_N, 16, 100, repeats)
    compare("V=1000 n=16 grpo (sparse)", many, GRPO, 16, 400, repeats)
    started = time.perf_counter()
    simulated(BASE, GRPO, 8, 40_000, 1000, threads=2)
    print(f"base case, 1,000 seeds x 40,000 steps, 2 threads: {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
