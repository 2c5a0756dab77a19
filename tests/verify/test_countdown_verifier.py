"""Countdown: the evaluator against Python's own arithmetic."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.verify import verify_answer
from rlvrscope.verify.countdown_verifier import MAX_CHARACTERS, evaluate
from rlvrscope.verify.decision import Refused, Unreadable

trees = st.recursive(
    st.integers(0, 99),
    lambda inner: st.tuples(st.sampled_from("+-*/"), inner, inner) | st.tuples(st.just("neg"), inner),
    max_leaves=8,
)
SPELLINGS = {
    "*": ["*", "\\times ", "\\cdot ", "\u00d7"],
    "/": ["/", "\\div ", "\u00f7"],
    "+": ["+", " + "],
    "-": ["-", "\u2212"],
}


def value(tree) -> Fraction:
    if isinstance(tree, int):
        return Fraction(tree)
    if tree[0] == "neg":
        return -value(tree[1])
    left, right = value(tree[1]), value(tree[2])
    return {"+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right, "/": lambda: left / right}[
        tree[0]
    ]()


def leaves(tree) -> list[int]:
    return [tree] if isinstance(tree, int) else [leaf for part in tree[1:] for leaf in leaves(part)]


def write(tree, draw) -> str:
    if isinstance(tree, int):
        return str(tree)
    if tree[0] == "neg":
        return f"(-{write(tree[1], draw)})"
    sign = draw(st.sampled_from(SPELLINGS[tree[0]]))
    return f"({write(tree[1], draw)}{sign}{write(tree[2], draw)})"


@settings(max_examples=200)
@given(st.data(), trees)
def test_the_value_is_that_of_python(data: st.DataObject, tree):
    text = write(tree, data.draw)
    try:
        expected = value(tree)
    except ZeroDivisionError:
        with pytest.raises((Unreadable, Refused)):
            evaluate(text)
        return
    if len(text) > MAX_CHARACTERS:
        with pytest.raises(Refused):
            evaluate(text)
    else:
        assert evaluate(text) == (expected, leaves(tree))


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from("+-*/"), st.integers(1, 30)), min_size=1, max_size=8), st.integers(1, 30))
def test_precedence_without_brackets(steps: list[tuple[str, int]], first: int):
    text = str(first) + "".join(f"{sign}{n}" for sign, n in steps)
    as_python = "".join(f"Fraction({part})" if part.isdigit() else part for part in _parts(text))
    assert evaluate(text)[0] == eval(as_python, {"Fraction": Fraction})  # noqa: S307  text built above


def _parts(text: str) -> list[str]:
    for sign in "+-*/":
        text = text.replace(sign, f" {sign} ")
    return text.split()


@settings(max_examples=300)
@given(st.text(alphabet="01239+-*/() _.={}x\u00d7\u0663", max_size=12) | st.text(alphabet="12+-*/() ", max_size=12))
@example("2 3").via("two numbers")
@example("3//2").via("integer division")
@example("2**3").via("a power")
@example("--2*(3-1)").via("signs")
@example("1_2").via("a number in Python")
@example("{1+2}\u00d73").via("another spelling")
def test_any_text_is_refused_or_has_pythons_value(text: str):
    """Every text that is read has the value that Python gives it, and the numbers in it."""
    try:
        value, used = evaluate(text)
    except (Refused, Unreadable):
        return
    plainly = text.replace("{", "(").replace("}", ")").replace("\u00d7", "*")
    assert re.fullmatch("[0-9+*/() -]*", plainly)
    assert "//" not in plainly.replace(" ", "")
    assert "**" not in plainly.replace(" ", "")
    starred = re.sub(r"(?<=[0-9)])\s*(?=\()|(?<=\))\s*(?=[0-9])", "*", plainly)  # a product may lack its sign
    as_python = re.sub("[0-9]+", lambda digits: f"Fraction({int(digits[0])})", starred)
    assert value == eval(as_python.strip(), {"Fraction": Fraction})  # noqa: S307  digits and signs alone
    assert used == [int(digits) for digits in re.findall("[0-9]+", plainly)]


def verdict(expression: str, **metadata) -> str:
    problem = Problem("p", "", "24", "countdown", metadata={"numbers": [3, 4, 6, 6], **metadata})
    return verify_answer(f"\\boxed{{{expression}}}", problem).outcome


def test_verdicts_by_hand():
    assert verdict("6*4") == "correct"
    assert verdict("(6-3)*6+6") == "wrong"  # 6 is given twice, not three times
    assert verdict("3*4+6+6") == "correct"
    assert verdict("3*4+6+6 = 24") == "correct"
    assert verdict("3*4+6+6 = 25") == "wrong"
    assert verdict("3*4=12+12=24") == "rejected"
    assert verdict("\\frac{6}{3} \\cdot (6+6)") == "wrong"
    assert verdict("6(3)+6") == "correct"
    assert verdict("24 = 6 \\cdot 4") == "correct"
    assert verdict("2(6+6)") == "wrong"  # 2 is not given
    assert verdict("24 = 24") == "wrong"
    assert verdict("25 = 6*4") == "wrong"
    assert verdict("(6)4") == "wrong"
    assert verdict("6*4", use="all") == "wrong"
    assert verdict("3*4+6+6", use="all") == "correct"
    assert verdict("24") == "wrong"
    assert verdict("") == "no_answer"


@pytest.mark.parametrize(
    ("answer", "numbers"), [("24.5", [1]), ("x", [1]), ("24", []), ("24", None), ("24", ["3"]), ("24", [True])]
)
def test_impossible_problems_are_refused(answer: str, numbers):
    with pytest.raises(InputError, match="problem 'p'"):
        verify_answer("\\boxed{1}", Problem("p", "", answer, "countdown", metadata={"numbers": numbers}))


@pytest.mark.parametrize("answer", ["6 * 4 = 24.", "\\(6*4\\)", "6{\\times}4", "\\[6\\cdot 4\\] = 24", "{6}\\times{4}"])
def test_spellings_of_a_right_answer(answer: str):
    problem = Problem("p", "", "24", "countdown", metadata={"numbers": [4, 6]})
    assert verify_answer(f"\\boxed{{{answer}}}", problem).outcome == "correct"


@pytest.mark.parametrize("answer", ["6{\\times}5", "6*4 = 25.", "6*.4", "\\(6\\)4"])
def test_spellings_of_a_wrong_answer(answer: str):
    problem = Problem("p", "", "24", "countdown", metadata={"numbers": [4, 6]})
    assert verify_answer(f"\\boxed{{{answer}}}", problem).outcome == "wrong"
