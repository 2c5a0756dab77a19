"""Exact text, and accepted alternatives."""

from __future__ import annotations

import pytest

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.verify import verify_answer


def test_exact_text():
    problem = Problem("p", "", "a b  c", "exact")
    assert verify_answer("\\boxed{ a  b c }", problem).outcome == "correct"
    assert verify_answer("\\boxed{A b c}", problem).outcome == "wrong"
    assert verify_answer("\\boxed{ab c}", problem).outcome == "wrong"
    assert verify_answer("\\boxed{a b\u200b c}", problem).outcome == "rejected"


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("New York", "correct"), ("  New\n York ", "correct"), ("NYC", "correct"), ("The Big Apple", "correct"),
        ("York New", "wrong"), ("NewYork", "wrong"), ("nyc", "wrong"), ("NYC or Boston", "wrong"),
        ("", "no_answer"), (" \n", "no_answer"), ("NYC" + "!" * 10_000, "rejected"),
    ],
)  # fmt: skip
def test_the_whole_text_equals_one_of_the_right_texts(text: str, outcome: str):
    also = ["NYC", "The Big  Apple"]
    problem = Problem("p", "?", "New York", verifier="exact", metadata={"also": also, "forms": ["whole"]})
    assert verify_answer(text, problem).outcome == outcome


@pytest.mark.parametrize("also", ["NYC", [1], {"a": "b"}])
def test_alternatives_must_be_a_list_of_texts(also: object):
    with pytest.raises(InputError, match="also must be a list of texts"):
        verify_answer("x", Problem("p", "?", "New York", verifier="exact", metadata={"also": also}))
