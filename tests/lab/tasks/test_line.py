"""Line: enumeration against brute force, the checker against an interpreter, splits that never meet."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rlvrscope import InputError
from rlvrscope.lab.tasks import MIN_CORRECT_REWARD, Line
from rlvrscope.lab.tasks.line import FIRST_VALUE, OPERATIONS, RARE, SEP
from rlvrscope.seeding import generator

LINE = Line()
APPLY = [
    lambda x: x + 1,
    lambda x: x - 1,
    lambda x: x + 3,
    lambda x: x - 4,
    lambda x: x + 7,
    lambda x: x - 9,
    lambda x: x * 2,
    lambda x: x // 2,
]


def is_right(prompt: list[int], completion: list[int]) -> bool:
    """The rule of the task, read out one step at a time."""
    *allowed, start, target, _ = prompt
    value, target = start - FIRST_VALUE, target - FIRST_VALUE
    for operation, claim in zip(completion[0::2], completion[1::2], strict=True):
        if operation not in allowed:
            return False
        value = APPLY[operation](value)
        if not 0 <= value < 50 or claim != FIRST_VALUE + value:
            return False
    return value == target


def prompt_of(allowed: tuple[str, ...], start: int, target: int) -> np.ndarray:
    return np.array([*(OPERATIONS.index(name) for name in allowed), FIRST_VALUE + start, FIRST_VALUE + target, SEP])


def test_a_solution_by_hand():
    # 3 -> 8 in two steps with +1, +7, x2, //2: only 3 +1 4, x2 8. (3 x2 6 needs +2; 3 //2 1 +7 8 does too.)
    line = Line(steps=2)
    found = line.solutions(prompt_of(("+1", "+7", "x2", "//2"), 3, 8))
    assert sorted(line.text(row) for row in found) == ["+1 4 x2 8", "//2 1 +7 8"]


def test_no_solution_is_an_empty_list():
    line = Line(steps=1)
    assert line.solutions(prompt_of(("+1", "+7", "x2", "//2"), 3, 40)).shape == (0, 2)


def test_grades_by_hand():
    # 3 -> 7 in two steps with +1, +3, x2, //2: +1 +3, +3 +1 and x2 +1 (x2 6, +1 7); //2 gives 1, then at most 4.
    line = Line(steps=2, common_reward=0.5)
    prompt = prompt_of(("+1", "+3", "x2", "//2"), 3, 7)
    found = line.solutions(prompt)
    rewards = line.rewards(np.repeat(prompt[None], 3, axis=0), found)
    grades = dict(zip(map(line.text, found), rewards.tolist(), strict=True))
    assert grades == {"+1 4 +3 7": 0.5, "+3 6 +1 7": 0.5, "x2 6 +1 7": 1.0}


def test_solutions_are_all_the_completions_that_score():
    """One step: all 59 x 59 completions of a prompt go through the checker and through the rule."""
    line = Line(steps=1, common_reward=0.8)
    every = np.array(list(itertools.product(range(line.vocab_size), repeat=2)))
    for prompt in line.prompts(5, "held_out", generator(0, "every")):
        rewards = line.rewards(np.repeat(prompt[None], len(every), axis=0), every)
        assert sorted(every[rewards > 0.0].tolist()) == sorted(line.solutions(prompt).tolist())
        assert [reward > 0.0 for reward in rewards] == [is_right(prompt.tolist(), row) for row in every.tolist()]


@pytest.mark.parametrize("number_allowed", [2, 4, 8])
def test_solutions_equal_brute_force(number_allowed: int):
    line = Line(steps=3, allowed=number_allowed)
    for prompt in line.prompts(5, "train", generator(number_allowed, "prompts")):
        allowed, expected = prompt[:-3].tolist(), []
        for operations in itertools.product(allowed, repeat=3):
            value, completion = int(prompt[-3]) - FIRST_VALUE, []
            for operation in operations:
                value = APPLY[operation](value)
                completion += [operation, FIRST_VALUE + value]
            if is_right(prompt.tolist(), completion):
                expected.append(tuple(completion))
        found = [tuple(row) for row in line.solutions(prompt).tolist()]
        assert sorted(found) == sorted(expected)
        assert len(set(found)) == len(found) > 0


@given(st.integers(0, 10_000), st.integers(0, 9), st.integers(0, LINE.vocab_size - 1))
def test_rewards_equal_the_rule_under_damage(seed: int, position: int, token: int):
    """Demonstrations are right; with any token replaced the checker and the rule still agree."""
    rng = generator(seed, "damage")
    rows = LINE.demonstrations(4, rng)
    prompts, completions = rows[:, : LINE.prompt_length], rows[:, LINE.prompt_length :].copy()
    assert LINE.rewards(prompts, completions).tolist() == [1.0] * 4
    completions[:, position] = token
    expected = [float(is_right(*pair)) for pair in zip(prompts.tolist(), completions.tolist(), strict=True)]
    assert LINE.rewards(prompts, completions).tolist() == expected


def test_grades_change_scores_and_nothing_else():
    graded = LINE.model_copy(update={"common_reward": 0.6})
    for prompt in LINE.prompts(20, "held_out", generator(0, "grades")):
        found = graded.solutions(prompt)
        np.testing.assert_array_equal(found, LINE.solutions(prompt))
        rewards = graded.rewards(np.repeat(prompt[None], len(found), axis=0), found)
        assert (rewards >= MIN_CORRECT_REWARD).all()
        assert rewards.tolist() == [1.0 if set(row[0::2]) & set(RARE) else 0.6 for row in found.tolist()]


def test_held_out_prompts_never_appear_in_training():
    seen = LINE.demonstrations(20_000, generator(0, "demonstrations"))[:, : LINE.prompt_length]
    train = LINE.prompts(2000, "train", generator(0, "train"))
    held_out = LINE.prompts(500, "held_out", generator(0, "held out"))
    as_set = lambda rows: {tuple(row) for row in rows.tolist()}  # noqa: E731
    assert as_set(held_out).isdisjoint(as_set(seen) | as_set(train))
    assert len(as_set(held_out)) == 500


def test_rare_operations_are_rare_in_demonstrations_and_needed_in_problems():
    completions = LINE.demonstrations(5000, generator(0, "rare"))[:, LINE.prompt_length :]
    assert 0.02 < np.isin(completions[:, 0::2], RARE).mean() < 0.12
    prompts = LINE.prompts(300, "held_out", generator(0, "evaluation prompts"))
    needed = [np.isin(LINE.solutions(prompt)[:, 0::2], RARE).any(axis=1).all() for prompt in prompts]
    assert 0.33 < np.mean(needed) < 0.47


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 8}, "8 steps of 4 allowed operations give 65,536 sequences per prompt; at most 20,000"),
        ({"steps": 5, "allowed": 8}, "5 steps of 8 allowed operations give 32,768 sequences"),
        ({"steps": 10**9}, "less than or equal to 14"),
        ({"allowed": 9}, "less than or equal to 8"),
        ({"common_reward": 0.49}, "must be between 0.5 and 1, because a lower score counts as wrong"),
        ({"common_reward": float("nan")}, "finite"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str):
    with pytest.raises(ValidationError, match=message):
        Line(**settings)


def test_more_prompts_than_there_are_is_refused():
    with pytest.raises(InputError, match=r"distinct held_out prompts were found, not 20000"):
        Line(steps=1).prompts(20_000, "held_out", generator(0))


def test_too_few_training_prompts_end_in_an_error_not_a_hang():
    with pytest.raises(InputError, match=r"lower task.held_out_share"):
        Line(held_out_share=0.99999999).demonstrations(100, generator(0))


def test_the_same_seed_gives_the_same_prompts():
    first, again = (LINE.prompts(50, "train", generator(7, "same")) for _ in range(2))
    np.testing.assert_array_equal(first, again)
