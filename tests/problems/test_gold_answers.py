"""Gold answers as files give them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.problems.gold_answers import GoldCounts, gold_answer


@pytest.mark.parametrize(
    ("value", "answer", "rules"),
    [
        ("6", "6", ()),
        (6.0, "6", ()),
        ("2 x 3 = <<2*3=6>>6 nuts.\n#### 6", "6", ("hashes",)),
        ("work\n#### 1,200 \n", "1,200", ("hashes",)),
        ("#### 6", "6", ("hashes",)),
        ("work #### 6", "work #### 6", ()),  # a marker within a line
        ("#### 6\nThen more work.", "#### 6\nThen more work.", ()),
        ("The rod is \\[ L = 2 \\cdot 4 = \\boxed{8} \\mathrm{~cm} \\]", "8", ("boxed",)),
        ("$\\boxed{8}$", "8", ("boxed",)),
        ("First \\boxed{7}, no: \\boxed{8}.", "8", ("boxes",)),
        ("It is \\boxed{8}; again \\fbox{ 8 }.", "8", ("boxed",)),
        ("It is \\boxed 8.", "8", ("boxed",)),
        ("Thus \\fbox{\\frac{1}{2}}", "\\frac{1}{2}", ("boxed",)),
        (["2"], "2", ("list",)),
        ([2], "2", ("list",)),
        ('["\\\\frac{1}{2}"]', "\\frac{1}{2}", ("list",)),
        (["so \\boxed{2}"], "2", ("list", "boxed")),
        ("####", "####", ()),
        ("[2]", "[2]", ()),
        ("[1,2]", "[1,2]", ()),
    ],
)
def test_the_answer_and_the_rules(value: Any, answer: str, rules: tuple[str, ...]):
    assert gold_answer(value, "math") == (answer, rules)


@pytest.mark.parametrize("verifier", ["exact", "mine.py:f"])
def test_a_text_that_may_be_the_answer_itself_is_kept(verifier: str):
    for text in ("work\n#### 6", "so \\boxed{6}", '["6"]'):
        assert gold_answer(text, verifier) == (text, ())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["1", "2"], r"a list of 2, .* whether one or all of them are needed.*got \['1', '2'\]"),
        ('["1", "2"]', "a list of 2"),
        ([], "a list of 0"),
        ([["1"]], "must be a text or a number"),
        ({"target": ["1"]}, "must be a text or a number"),
        ([None], "there is no gold answer"),
        (math.nan, "there is no gold answer; it is nan"),
        (math.inf, "must be finite"),
        ("".join(f"\\boxed{{{n}}}" for n in range(9)), "more than 5 different answers"),
    ],
)
def test_refused_gold_answers(value: Any, message: str):
    with pytest.raises(InputError, match=message):
        gold_answer(value, "math")


def test_counts_in_words():
    counts = GoldCounts()
    for answer in ("6", "work with no end", "\\frac{2}{0}"):
        counts.add(Problem("p", "", answer), ["hashes"])
    assert counts.notes() == [
        "3 of 3 gold answers are worked solutions: the part after #### is used",
        "2 of 3 gold answers are compared as text: `rlvrscope verify --list-golds` shows them",
    ]
    counts.add(Problem("p", "", "any text", "exact"), [])
    counts.add(Problem("p", "", "8"), ["list"])
    assert [note.partition(" gold")[0] for note in counts.notes()] == ["3 of 5", "1 of 5", "2 of 5"]
