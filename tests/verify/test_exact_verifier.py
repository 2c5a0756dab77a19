"""The same text, or one of several."""

from __future__ import annotations

import pytest

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.verify import verify_answer


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("New York", "correct"), ("  New\n York ", "correct"), ("NYC", "correct"), ("The Big Apple", "correct"),
        ("York New", "wrong"), ("NewYork", "wrong"), ("nyc", "wrong"), ("NYC or Boston", "wrong"),
        ("", "no_answer"), (" \n", "no_answer"), ("NYC" + "!" * 10_000, "rejected"),
    ],
)  # fmt: skip
def test_the_whole_text_is_one_of_the_right_ones(text: str, outcome: str):
    also = ["NYC", "The Big  Apple"]
    problem = Problem("p", "?", "New York", verifier="exact", metadata={"also": also, "forms": ["whole"]})
    assert verify_answer(text, problem).outcome == outcome


@pytest.mark.parametrize("also", ["NYC", [1], {"a": "b"}])
def test_other_right_texts_are_a_list_of_texts(also: object):
    with pytest.raises(InputError, match="also must be a list of texts"):
        verify_answer("x", Problem("p", "?", "New York", verifier="exact", metadata={"also": also}))
