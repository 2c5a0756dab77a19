"""Multiple choice."""

from __future__ import annotations

import pytest

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.verify import verify_answer

CHOICES = ["red", "green", "blue", "no colour"]


def outcome(answer: str, gold: str = "B", choices=CHOICES) -> str:
    return verify_answer(
        f"so \\boxed{{{answer}}}", Problem("p", "", gold, "choice", metadata={"choices": choices})
    ).outcome


@pytest.mark.parametrize(
    "answer",
    [
        "B",
        "b",
        "(B)",
        "B.",
        "\\text{B}",
        "\\textbf{(B)}",
        "$B$",
        "**B**",
        " B ",
        "B) green",
        "B. Green.",
        "(B) green",
        "{B}",
        "B - green",
        "\\textbf{(B)}\\ \\text{green}",
        "Option (B)",
        "B (green)",
        "B \u2014 green",
        "(B) \\text{Green}",
        "B green",
        "\\text{B} \\quad \\text{green}",
        "\\text{Answer: B}",
    ],
)
def test_the_right_letter(answer: str):
    assert outcome(answer) == "correct"


@pytest.mark.parametrize("answer", ["A", "E", "Z", "green", "2", "Bb", "the second", "a green one", "B paint"])
def test_another_letter_or_no_letter(answer: str):
    assert outcome(answer) == "wrong"


@pytest.mark.parametrize(
    "answer",
    [
        "A or B",
        "A, B",
        "B/C",
        "A and B",
        "AB",
        "B - red",
        "\\textbf{(B)}\\ \\text{red}",
        "\\text{B}\\text{C}",
        "B (red)",
        "ABCD",
        "(A)(B)",
        "(A) (B)",
        "B) red",
        "A B",
        "B. red is the colour",
        "B. Green is the colour",
        "B) not green",
        "B) green or red",
        "B. (C)",
        "B. 3",
        "B red",
    ],
)
def test_several_letters_are_refused(answer: str):
    assert outcome(answer) in ("rejected", "wrong")
    assert outcome(answer, gold="A") != "correct"


def test_numeric_labels():
    assert outcome("2", gold="2") == "correct"
    assert outcome("B", gold="2") == "correct"
    assert outcome("3", gold="2") == "wrong"


@pytest.mark.parametrize("gold", ["E", "5", "green", "AB", "?"])
def test_a_gold_answer_that_is_not_an_option(gold: str):
    with pytest.raises(InputError, match=r"problem 'p': the gold answer must be one of ABCD; got"):
        outcome("A", gold=gold)


def test_a_letter_with_its_options_mathematics():
    choices = ["$\\frac{1}{2}$", "$x^2$", "5 cm"]
    assert outcome("(A) $\\dfrac12$", "A", choices) == "correct"
    assert outcome("A. \\frac{1}{3}", "A", choices) == "rejected"
    assert outcome("B) \\(x^{2}\\)", "B", choices) == "correct"
    assert outcome("C) 5 \\text{ cm}", "C", choices) == "correct"


def test_a_letter_with_other_spellings_of_its_option():
    choices = [
        "4.8 x 10^4 J",
        "$1,200",
        "3.6 x 10^4 J",
        "\u03b1 particles",
        "log2(n)",
        "x\u00b2 + 1",
        "None of A and B",
    ]
    assert outcome("A. $4.8 \\times 10^4$ J", "A", choices) == "correct"
    assert outcome("A: 4.8 \\times 10^{4} \\text{ J}", "A", choices) == "correct"
    assert outcome("B. 1200", "B", choices) == "correct"
    assert outcome("D. alpha particles", "D", choices) == "correct"
    assert outcome("E. $\\log_2(n)$", "E", choices) == "correct"
    assert outcome("F. $x^2+1$", "F", choices) == "correct"
    assert outcome("G. None of A and B", "G", choices) == "correct"
    assert outcome("A. $3.6 \\times 10^4$ J", "A", choices) == "rejected"
    assert outcome("A. $4.9 \\times 10^4$ J", "A", choices) == "rejected"
    assert outcome("F. $x^3+1$", "F", choices) == "rejected"
