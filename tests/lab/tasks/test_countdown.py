"""Countdown: enumeration against brute force, the checker against an interpreter, grades, splits, refusals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rlvrscope import InputError
from rlvrscope.lab.tasks import MIN_CORRECT_REWARD, Countdown
from rlvrscope.lab.tasks.countdown import NAMES, SEP, VALUES
from rlvrscope.seeding import generator

COUNTDOWN = Countdown()
APPLY = {"+": lambda x, y: x + y, "-": lambda x, y: x - y, "x": lambda x, y: x * y}

SETTINGS = st.builds(
    Countdown,
    numbers=st.integers(2, 4),
    largest=st.integers(2, 20),
    operations=st.sampled_from([("+", "-", "x"), ("x", "+"), ("-", "+")]),
    rare_weight=st.sampled_from([0.05, 1.0]),
)


def score(task: Countdown, prompt: np.ndarray, completion: np.ndarray) -> float:
    """The rule of the task, read from the text one word at a time."""
    *numbers, target, _ = task.text(prompt).split()
    words = task.text(completion).split()
    operations, value = words[1::3], words[0]
    if sorted([value, *words[2::3]]) != sorted(numbers) or not set(operations) <= set(task.operations):
        return 0.0
    for operation, number, claim in zip(operations, words[2::3], words[3::3], strict=True):
        result = APPLY[operation](int(value), int(number))
        value = str(result)
        if not 0 <= result < VALUES or claim != value:
            return 0.0
    return 0.0 if value != target else 1.0 if "x" in operations else task.common_reward


def prompt_of(numbers: list[int], target: int) -> np.ndarray:
    return np.array([*sorted(numbers), target, SEP])


def rewards_of(task: Countdown, prompt: np.ndarray, completions: np.ndarray) -> np.ndarray:
    return task.rewards(np.repeat(prompt[None], len(completions), axis=0), completions)


@pytest.mark.parametrize(
    ("numbers", "target", "expected"),
    [
        ([3, 2], 6, ["2 x 3 6", "3 x 2 6"]),
        ([3, 2], 1, ["3 - 2 1"]),  # 2 - 3 is below 0
        ([2, 2], 4, ["2 + 2 4", "2 x 2 4"]),  # which 2 comes first makes no difference
        ([9, 8], 64, []),
        ([1, 1, 4], 4, ["1 - 1 0 + 4 4", "1 x 1 1 x 4 4", "1 x 4 4 x 1 4", "4 + 1 5 - 1 4", "4 - 1 3 + 1 4",
                        "4 x 1 4 x 1 4", "1 + 4 5 - 1 4"]),
    ],
)  # fmt: skip
def test_solutions_by_hand(numbers: list[int], target: int, expected: list[str]):
    task = Countdown(numbers=len(numbers))
    found = task.solutions(prompt_of(numbers, target))
    assert sorted(task.text(row) for row in found) == sorted(expected)


def test_grades_by_hand():
    # 1, 2, 3 -> 6. Only + : six orders of 1 + 2 + 3. Only x: six orders. Mixed: (1+2)x3 = 9, (1+3)x2 = 8,
    # (2+3)x1 = 5, 1x2+3 = 5, 1x3+2 = 5, 2x3+1 = 7, and with - no more than 5 (2x3-1).
    task = Countdown(numbers=3, common_reward=0.5)
    prompt = prompt_of([1, 2, 3], 6)
    found = task.solutions(prompt)
    with_x = np.array(["x" in task.text(row) for row in found])
    assert (len(found), with_x.sum()) == (12, 6)
    np.testing.assert_array_equal(rewards_of(task, prompt, found), np.where(with_x, 1.0, 0.5))


def test_solutions_are_all_the_completions_that_score():
    """Two numbers: all completions of a prompt that start with a number given, another one, x or SEP: 5 x 68^3."""
    task = Countdown(numbers=2, common_reward=0.8)
    prompt = prompt_of([2, 4], 6)
    rest = np.array(list(itertools.product(range(len(NAMES)), repeat=3)))
    found = []
    for first in (2, 4, 6, NAMES.index("x"), SEP):
        completions = np.column_stack([np.full(len(rest), first), rest])
        found += completions[rewards_of(task, prompt, completions) > 0.0].tolist()
    assert sorted(found) == task.solutions(prompt).tolist()
    assert [task.text(np.array(row)) for row in found] == ["2 + 4 6", "4 + 2 6"]


@given(SETTINGS, st.integers(0, 10_000))
def test_solutions_equal_brute_force(task: Countdown, seed: int):
    (prompt,) = task.prompts(1, "train", generator(seed, "prompts"))
    expected = set()
    for order in itertools.permutations(prompt[: task.numbers].tolist()):
        for operations in itertools.product(task.operations, repeat=task.numbers - 1):
            words, value = [str(order[0])], order[0]
            for operation, number in zip(operations, order[1:], strict=True):
                value = APPLY[operation](value, number)
                words += [operation, str(number), str(value)]
            if value == prompt[task.numbers] and all(0 <= int(word) < VALUES for word in words[3::3]):
                expected.add(" ".join(words))
    found = [task.text(row) for row in task.solutions(prompt)]
    assert sorted(found) == sorted(expected)
    assert found


@given(SETTINGS, st.integers(0, 10_000), st.integers(0, 100), st.integers(0, COUNTDOWN.vocab_size - 1))
def test_rewards_equal_the_rule_under_damage(task: Countdown, seed: int, position: int, token: int):
    """Demonstrations are right; with any token replaced the checker and the rule still agree."""
    rows = task.demonstrations(4, generator(seed, "damage"))
    prompts, completions = rows[:, : task.prompt_length], rows[:, task.prompt_length :].copy()
    assert (task.rewards(prompts, completions) == 1.0).all()
    completions[:, position % task.completion_length] = token
    expected = [score(task, *pair) for pair in zip(prompts, completions, strict=True)]
    assert task.rewards(prompts, completions).tolist() == expected


def test_grades_change_scores_and_nothing_else():
    graded = Countdown(common_reward=0.6)
    for prompt in COUNTDOWN.prompts(20, "held_out", generator(0, "grades")):
        found = graded.solutions(prompt)
        np.testing.assert_array_equal(found, COUNTDOWN.solutions(prompt))
        rewards = rewards_of(graded, prompt, found)
        assert (rewards >= MIN_CORRECT_REWARD).all()
        assert rewards.tolist() == [score(graded, prompt, row) for row in found]
        assert (rewards_of(COUNTDOWN, prompt, found) == 1.0).all()


def test_held_out_prompts_never_appear_in_training():
    """Nor does another order of the same numbers: a prompt lists them in ascending order."""
    seen = COUNTDOWN.demonstrations(20_000, generator(0, "demonstrations"))[:, : COUNTDOWN.prompt_length]
    train = COUNTDOWN.prompts(2000, "train", generator(0, "train"))
    held_out = COUNTDOWN.prompts(500, "held_out", generator(0, "held out"))
    as_set = lambda rows: {tuple(row) for row in rows.tolist()}  # noqa: E731
    assert as_set(held_out).isdisjoint(as_set(seen) | as_set(train))
    assert (len(as_set(held_out)), len(as_set(train))) == (500, 2000)
    for rows in (seen, train, held_out):
        assert (np.diff(rows[:, :4], axis=1) >= 0).all()


def test_weights_make_x_rare_in_demonstrations_and_needed_in_problems():
    task = Countdown(rare_weight=0.1, problem_rare_weight=0.4)

    def share(task: Countdown) -> float:
        rows = task.demonstrations(4000, generator(0, "rare"))
        return float((rows[:, task.prompt_length + 1 :: 3] == NAMES.index("x")).mean())

    def needed(task: Countdown) -> float:
        prompts = task.prompts(200, "held_out", generator(0, "needed"))
        return float(np.mean([(task.solutions(prompt) == NAMES.index("x")).any(axis=1).all() for prompt in prompts]))

    # x is legal for about half of the pairs (the product must stay below 64): .1 / 2.1 there, 1 / 3 without weights.
    assert 0.01 < share(task) < 0.05 < 0.12 < share(COUNTDOWN) < 0.25
    assert needed(task) > needed(task.model_copy(update={"problem_rare_weight": 0.05})) + 0.05


def test_the_knobs_reach_the_problems():
    task = Countdown(numbers=3, largest=5, operations=("+", "x"))
    rows = task.demonstrations(500, generator(0, "knobs"))
    assert (task.prompt_length, task.completion_length, rows.shape) == (5, 7, (500, 12))
    assert rows[:, :3].min() == 1
    assert rows[:, :3].max() == 5
    assert {NAMES[token] for token in rows[:, 6::3].ravel()} == {"+", "x"}


def test_the_same_seed_gives_the_same_prompts():
    first, again, other = (COUNTDOWN.prompts(50, "train", generator(seed, "same")) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_text():
    prompt, completion = prompt_of([14, 2, 5, 3], 11), [5, 66, 3, 15, 65, 2, 13, 68, -1, 11]
    assert COUNTDOWN.text(prompt) == "2 3 5 14 11 :"
    assert COUNTDOWN.text(np.array(completion)) == "5 x 3 15 - 2 13 ? ? 11"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"numbers": 6}, "6 numbers and 3 operations give 174,960 sequences per prompt; at most 20,000"),
        ({"numbers": 8}, "less than or equal to 7"),
        ({"largest": 64}, "less than 64"),
        ({"operations": ("+", "+")}, "operations must not repeat"),
        ({"operations": ()}, "at least 1 item"),
        ({"operations": ("+", "/")}, "'\\+', '-' or 'x'"),
        ({"operations": ("+", "-"), "common_reward": 0.5}, "common_reward below 1 needs 'x' among the operations"),
        ({"common_reward": 0.49}, "must be between 0.5 and 1, because a lower score counts as wrong"),
        ({"common_reward": 1.2}, "must be between 0.5 and 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, message: str):
    with pytest.raises(ValidationError, match=message):
        Countdown(**settings)


def test_more_prompts_than_there_are_is_refused():
    with pytest.raises(InputError, match=r"distinct held_out prompts were found, not 500"):
        Countdown(numbers=2, largest=3).prompts(500, "held_out", generator(0))


def test_too_few_training_prompts_end_in_an_error_not_a_hang():
    with pytest.raises(InputError, match=r"lower task.held_out_share"):
        Countdown(held_out_share=0.99999999).demonstrations(100, generator(0))
