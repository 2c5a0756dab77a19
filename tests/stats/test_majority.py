"""maj@k: by hand, against all subsets, against exact whole numbers, and its rules."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvrscope import InputError
from rlvrscope.seeding import generator
from rlvrscope.stats import majority_at_k, pass_at_k

RIGHT = "right"
samples = st.lists(st.sampled_from([RIGHT, "a", "b", "c", None]), min_size=1, max_size=9)


def majority(answers: list[str | None], ks: list[int]) -> np.ndarray:
    return majority_at_k([answers], [[answer == RIGHT for answer in answers]], ks)[0]


def won(votes: Counter[str | None]) -> Fraction:
    """The right answer's share of the win, given how often each answer was drawn."""
    most = max((count for answer, count in votes.items() if answer is not None), default=0)
    winners = [answer for answer, count in votes.items() if answer is not None and count == most]
    return Fraction(int(RIGHT in winners), max(1, len(winners)))


def over_subsets(answers: list[str | None], k: int) -> Fraction:
    subsets = list(itertools.combinations(answers, k))
    return sum((won(Counter(subset)) for subset in subsets), Fraction(0)) / len(subsets)


def counted(right: int, wrong: list[int], none: int, k: int) -> Fraction:
    """maj@k from whole numbers: subsets with m right ones, no wrong answer above m, and t wrong answers at m."""
    total, n = Fraction(0), right + sum(wrong) + none
    for m in range(1, min(right, k) + 1):
        ways = Counter({(0, 0): 1})  # (votes of wrong answers, answers that tie) -> subsets
        for votes in wrong:
            grown: Counter[tuple[int, int]] = Counter()
            for (drawn, ties), number in ways.items():
                for j in range(min(m, votes) + 1):
                    grown[drawn + j, ties + (j == m)] += number * math.comb(votes, j)
            ways = grown
        for (drawn, ties), number in ways.items():
            if m + drawn <= k:
                total += Fraction(number * math.comb(right, m) * math.comb(none, k - m - drawn), 1 + ties)
    return total / math.comb(n, k)


def test_by_hand():
    # Right twice, a and b once. k = 1: 1/2. k = 2: of 6 pairs the right one wins 1, ties in 4 and loses 1: 3/6.
    # k = 3: two triples hold both right ones, two hold all three answers once: (2 + 2/3) / 4. k = 4: it wins.
    np.testing.assert_allclose(majority([RIGHT, RIGHT, "a", "b"], [1, 2, 3, 4]), [1 / 2, 1 / 2, 2 / 3, 1], rtol=1e-12)


def test_a_sample_without_an_answer_has_no_vote():
    # k = 1: the right one or nothing. k = 2: one vote against none.
    np.testing.assert_allclose(majority([RIGHT, None], [1, 2]), [0.5, 1.0], rtol=1e-12)
    # Without any vote the majority is wrong.
    np.testing.assert_array_equal(majority([None, None, None], [1, 2, 3]), [0.0, 0.0, 0.0])


def test_right_answers_are_one_however_they_are_written():
    # "1/2" and ".5" are both right: together two votes against one.
    found = majority_at_k([["1/2", ".5", "2"]], [[True, True, False]], [3])
    assert found[0, 0] == 1.0


def test_all_right_or_all_wrong():
    np.testing.assert_allclose(majority([RIGHT] * 6, [1, 3, 6]), [1.0, 1.0, 1.0], rtol=1e-12)
    np.testing.assert_array_equal(majority(["a", "b", "a"], [1, 2, 3]), [0.0, 0.0, 0.0])


@settings(max_examples=60)
@given(samples)
def test_equals_brute_force_over_subsets(answers: list[str | None]):
    ks = list(range(1, len(answers) + 1))
    expected = [float(over_subsets(answers, k)) for k in ks]
    np.testing.assert_allclose(majority(answers, ks), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("right", "wrong", "none"),
    [(10, [10, 10, 10], 0), (20, [19, 3, 1, 1, 1], 5), (1, [1] * 40, 0), (3, [2] * 12, 9), (35, [30], 2), (4, [50], 0)],
)
def test_agrees_with_whole_numbers(right: int, wrong: list[int], none: int):
    answers = [RIGHT] * right + [f"w{i}" for i, votes in enumerate(wrong) for _ in range(votes)] + [None] * none
    ks = [1, 2, 3, 7, 16, len(answers) // 2, len(answers) - 1, len(answers)]
    expected = [float(counted(right, wrong, none, k)) for k in ks]
    np.testing.assert_allclose(majority(answers, ks), expected, rtol=1e-9, atol=1e-12)


def test_agrees_with_many_draws():
    rng = generator(0, "majority")
    names: list[str | None] = [RIGHT, "a", "b", "c", None]
    answers = [names[i] for i in rng.choice(5, 300, p=[0.3, 0.28, 0.2, 0.12, 0.1])]
    draws = 3000
    wins = [float(won(Counter(answers[i] for i in rng.permutation(300)[:64]))) for _ in range(draws)]
    assert majority(answers, [64])[0] == pytest.approx(np.mean(wins), abs=4 * np.std(wins) / math.sqrt(draws))


@settings(max_examples=40)
@given(samples, st.randoms())
def test_neither_the_order_of_samples_nor_names_matter(answers: list[str | None], random: random.Random):
    ks = list(range(1, len(answers) + 1))
    renamed = [f"other {answer}" if answer in ("a", "b", "c") else answer for answer in answers]
    np.testing.assert_allclose(majority(random.sample(renamed, len(answers)), ks), majority(answers, ks), atol=1e-12)


@settings(max_examples=40)
@given(samples)
def test_one_vote_is_pass_at_1_and_no_majority_beats_pass_at_k(answers: list[str | None]):
    n, c, ks = len(answers), answers.count(RIGHT), list(range(1, len(answers) + 1))
    found, any_right = majority(answers, ks), pass_at_k([n], [c], ks)[0]
    assert found[0] == pytest.approx(any_right[0], abs=1e-12)
    assert (found <= any_right + 1e-12).all()


@pytest.mark.parametrize("votes", [100, 1000])
def test_the_more_votes_the_surer_the_mode(votes: int):
    # Right .5 against .3 and .2 of the samples: the majority of many is right.
    answers = [RIGHT] * (votes // 2) + ["a"] * (3 * votes // 10) + ["b"] * (votes // 5)
    found = majority(answers, [1, 5, 17, 65])
    assert (np.diff(found) > 0.0).all()
    assert found[-1] > 0.97


def test_rows_of_any_length_and_too_few_samples_are_undefined():
    found = majority_at_k([["x"], ["x", "y", "y"]], [[True], [True, False, False]], [1, 2])
    # Second problem: 1/3; of three pairs two tie (1/2 each) and one is wrong: 1/3.
    np.testing.assert_allclose(found, [[1.0, np.nan], [1 / 3, 1 / 3]], rtol=1e-12)


@pytest.mark.parametrize(
    ("answers", "correct", "ks", "message"),
    [
        ([["x"]], [[True], [True]], [1], "one row a problem on both sides; got 1 and 2"),
        ([["x"], ["x", "y"]], [[True], [True]], [1], "problem 1 has 2 answers and 1 marks"),
        ([[None]], [[True]], [1], "problem 0 has a correct sample without an answer"),
        ([["x"]], [[True]], [0], "ks must be whole numbers from 1 up"),
        ([["x"]], [[True]], [], "ks must be whole numbers from 1 up"),
    ],
)
def test_what_does_not_match_is_refused(answers: list, correct: list, ks: list[int], message: str):
    with pytest.raises(InputError, match=message) as caught:
        majority_at_k(answers, correct, ks)
    assert "\n" not in str(caught.value)
