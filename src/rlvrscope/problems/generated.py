"""Generated problems with exact gold answers, reproducible by seed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.extras import needs_extra
from rlvrscope.problem import Problem
from rlvrscope.seeding import generator
from rlvrscope.verify.countdown_verifier import evaluate
from rlvrscope.verify.decision import Unreadable

_MAX_DRAWS = 200
"""Draws per problem before giving up on a new one."""
Draw = tuple[str, str, dict[str, object]]
"""(prompt, gold answer, metadata)."""


@dataclass(frozen=True)
class Generated:
    """A family of problems. draw: returns one problem, or None for an unusable draw."""

    about: str
    verifier: str
    draw: Callable[[np.random.Generator], Draw | None]


def _countdown(rng: np.random.Generator) -> Draw | None:
    """Four numbers and a target from 1 to 200 that an expression over all of them reaches."""
    numbers = rng.integers(1, 50, size=4).tolist()
    text = str(numbers[0])
    for number in numbers[1:]:
        text = f"({text} {'+-*/'[rng.integers(4)]} {number})"
    value, _ = evaluate(text)
    if value.denominator != 1 or not 1 <= value <= 200:
        return None
    shuffled = rng.permutation(numbers).tolist()
    prompt = (
        f"Using the numbers {', '.join(map(str, shuffled))}, each at most once, write an expression with +, -, *, / "
        f"and brackets that equals {value}."
    )
    return prompt, str(value), {"numbers": shuffled}


def _chain_sum(rng: np.random.Generator) -> Draw:
    numbers = rng.integers(10, 1000, size=int(rng.integers(3, 7))).tolist()
    text = str(numbers[0]) + "".join(f" {'+-'[rng.integers(2)]} {number}" for number in numbers[1:])
    return f"What is {text}?", str(evaluate(text)[0]), {}


def _arithmetic(rng: np.random.Generator) -> Draw | None:
    """Sums, products and quotients with brackets; the answer may be a fraction."""
    a, b, c, d = rng.integers(2, 30, size=4).tolist()
    first, second, third = (("+-*/")[index] for index in rng.integers(4, size=3))
    forms = f"({a} {first} {b}) {second} ({c} {third} {d})", f"{a} {first} ({b} {second} {c}) {third} {d}"
    text = forms[rng.integers(2)]
    try:
        value, _ = evaluate(text)
    except Unreadable:  # a division by zero
        return None
    return f"Work out {text}. Give a whole number or a fraction in lowest terms.", str(value), {}


GENERATED: dict[str, Generated] = {
    "countdown": Generated("four numbers, a target: write an expression", "countdown", _countdown),
    "chain-sum": Generated("sums and differences of 3 to 6 numbers", "arithmetic", _chain_sum),
    "arithmetic": Generated("four numbers with + - * / and brackets, exact", "arithmetic", _arithmetic),
}
GYM_NUMBERS = (
    "basic_arithmetic", "chain_sum", "count_bits", "count_primes", "gcd", "largest_island", "lcm", "leg_counting",
    "letter_counting", "maze", "number_sequence", "rotten_oranges", "simple_equations",
)  # fmt: skip
GYM_TEXTS = (
    "base_conversion", "caesar_cipher", "course_schedule", "isomorphic_strings", "ransom_note", "string_manipulation",
    "syllogism", "word_sequence_reversal",
)  # fmt: skip
"""Tasks of reasoning-gym with one right answer, verified here because its scorers execute what a model wrote."""


def generate(name: str, count: int, seed: int) -> Iterator[tuple[str, Problem]]:
    """Yield `count` different problems as ("countdown, number 3", problem); problem i does not depend on the count.

    Raises InputError for an unknown name or too high a count, MissingExtraError for gym:NAME without reasoning-gym.
    """
    if name.startswith("gym:"):
        yield from _gym(name, count, seed)
        return
    family, prompts = GENERATED[name], set()
    for number in range(count):
        draws = (family.draw(generator(seed, name, number, attempt)) for attempt in range(_MAX_DRAWS))
        drawn = next((draw for draw in draws if draw is not None and draw[0] not in prompts), None)
        if drawn is None:
            raise InputError(
                f"{name} has only {number} different problems with this seed; ask for at most that many, not {count}"
            )
        prompt, answer, metadata = drawn
        prompts.add(prompt)
        problem = Problem(f"{name}-{seed}-{number}", prompt, answer, family.verifier, metadata=metadata)
        yield f"{name}, number {number}", problem


def _gym(name: str, count: int, seed: int) -> Iterator[tuple[str, Problem]]:
    task = name.removeprefix("gym:")
    if task not in (*GYM_NUMBERS, *GYM_TEXTS):
        raise InputError(f"unknown reasoning-gym task {task!r}. {did_you_mean(task, [*GYM_NUMBERS, *GYM_TEXTS])}")
    with needs_extra("gym", f"the task {name}"):
        reasoning_gym = importlib.import_module("reasoning_gym")
    verifier = "arithmetic" if task in GYM_NUMBERS else "exact"
    for number, entry in enumerate(reasoning_gym.create_dataset(task, seed=seed, size=count)):
        problem = Problem(f"{name}-{seed}-{number}", entry["question"].strip(), entry["answer"].strip(), verifier)
        yield f"{name}, number {number}", problem
