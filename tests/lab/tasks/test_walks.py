"""What tasks share: draws by weight, the split by hash against plain integers, and which settings make a base."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvrscope.lab.tasks import Countdown, Line
from rlvrscope.lab.tasks.walks import ILLEGAL, choose, held_out, sequences
from rlvrscope.seeding import generator


def test_choices_follow_their_weights():
    weights = np.repeat([[1.0, 0.0, 3.0]], 20_000, axis=0)
    counts = np.bincount(choose(weights, generator(0, "choose")), minlength=3) / len(weights)
    # p = 1/4: the standard error is sqrt(.25 x .75 / 20,000) = .003.
    np.testing.assert_allclose(counts, [0.25, 0.0, 0.75], atol=0.014)
    assert counts[1] == 0.0


def test_nothing_to_choose_from_is_illegal():
    assert choose(np.array([[0.0, 0.0], [0.0, 1.0]]), generator(0)).tolist() == [ILLEGAL, 1]


def test_every_sequence_once():
    assert sequences(3, 2).tolist() == [[a, b] for a in range(3) for b in range(3)]


@given(st.lists(st.integers(0, 63), min_size=1, max_size=12), st.floats(0.01, 0.99))
def test_the_split_is_splitmix64_of_the_tokens(tokens: list[int], share: float):
    """Against Python's integers, cut to 64 bits by hand."""
    x = 0
    for token in tokens:
        x = (x * 64 + token) % 2**64
    x = (x + 0x9E3779B97F4A7C15) % 2**64
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> shift)) * factor % 2**64
    x ^= x >> 31
    assert held_out(np.array([tokens]), share).tolist() == [x < int(share * 2**64)]


def test_the_split_holds_out_its_share_and_grows_with_it():
    prompts = Line().prompts(20_000, "train", generator(0, "share"))  # of the other side of .1
    small, large = held_out(prompts, 0.1), held_out(prompts, 0.4)
    assert not small.any()
    assert large.mean() == pytest.approx(0.3 / 0.9, abs=0.014)  # standard error .0033


CHANGES = [
    (Line(), {"problem_rare_weight": 0.9, "common_reward": 0.5}, [("steps", 4), ("allowed", 3), ("rare_weight", 0.5)]),
    (
        Countdown(),
        {"problem_rare_weight": 0.3, "common_reward": 0.5},
        [("numbers", 3), ("largest", 9), ("operations", ("+", "x")), ("rare_weight", 0.5)],
    ),
]


@pytest.mark.parametrize(("task", "others", "shaping"), CHANGES, ids=["line", "countdown"])
def test_what_names_a_base_is_what_changes_demonstrations(task: Line | Countdown, others: dict, shaping: list):
    def seen(task: Line | Countdown) -> list:
        return task.demonstrations(50, generator(0, "seen")).tolist()

    same = task.model_copy(update=others)
    assert same != task
    assert same.pretraining() == task.pretraining()
    assert seen(same) == seen(task) == seen(task.pretraining())
    for field, value in [*shaping, ("held_out_share", 0.5)]:
        other = task.model_copy(update={field: value})
        assert other.pretraining() != task.pretraining(), field
        assert seen(other) != seen(task), field
