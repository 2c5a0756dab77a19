"""The math verifier on pairs decided by hand, and on random values compared by Python's Fraction."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.verify.decision import Decision, Refused
from rlvrscope.verify.math.equality import compare
from rlvrscope.verify.math.math_verifier import check, judge, judge_number
from rlvrscope.verify.math.reading import read

_LINES = Path(__file__).parents[1].joinpath("pairs.tsv").read_text(encoding="utf-8").splitlines()
PAIRS = [[*line.split("\t"), ""][:4] for line in _LINES]
"""(decision, gold answer, answer, question or ""), each decided by hand."""


CONTEXTS = ["\\frac{{7}}{{{}}}", "x={}", "{}\\pi", "3\\sqrt{{{}}}", "{}x+1", "x < {}", "y=x+{}"]
SEPARATORS = [",", "{,}", ",\\!", "{,}\\,"]


def pairs(kind: str) -> list[tuple[str, str, str]]:
    return [(gold, answer, prompt) for decision, gold, answer, prompt in PAIRS if decision == kind]


def decision_of(gold: str, answer: str, prompt: str = "") -> Decision:
    return judge(answer, Problem("p", prompt, gold))


@pytest.mark.parametrize(("gold", "answer", "prompt"), pairs("same"))
def test_equal_answers(gold: str, answer: str, prompt: str):
    decision = decision_of(gold, answer, prompt)
    assert decision.equal is True, decision


@pytest.mark.parametrize(("gold", "answer", "prompt"), pairs("other"))
def test_different_answers(gold: str, answer: str, prompt: str):
    decision = decision_of(gold, answer, prompt)
    assert decision.equal is False, decision
    assert decision.reason


@pytest.mark.parametrize(("gold", "answer", "prompt"), pairs("algebra"))
def test_pairs_that_need_computer_algebra_are_left_open(gold: str, answer: str, prompt: str):
    decision = decision_of(gold, answer, prompt)
    assert decision.equal is None
    assert len(decision.pairs) == 1


@pytest.mark.parametrize(("gold", "answer", "prompt"), pairs("candidates"))
def test_candidates_are_refused(gold: str, answer: str, prompt: str):
    with pytest.raises(Refused, match="asked for"):
        decision_of(gold, answer, prompt)


@pytest.mark.parametrize(("gold", "answer", "prompt"), pairs("unworked"))
def test_unevaluated_answers_are_refused(gold: str, answer: str, prompt: str):
    with pytest.raises(Refused, match=r"not evaluated|not expanded|repeats the question"):
        decision_of(gold, answer, prompt)


@pytest.mark.parametrize(
    "answer", ["17*23", "390+1", "\\frac{391}{1}+0", "391, 392", "\\text{three}", "\\sqrt{9}", "782/2"]
)
def test_an_expression_is_refused_where_a_number_is_asked_for(answer: str):
    with pytest.raises(Refused, match="a number is asked for"):
        judge_number(answer, Problem("p", "", "391"))
    with pytest.raises(Refused, match="a number is asked for"):
        judge(answer, Problem("p", "", "391", metadata={"evaluated": True}))


def test_the_question_is_not_an_answer():
    problem = Problem("p", "Write $\\dfrac{\\sqrt{8}}{2} + \\left(1+1\\right)$ simply.", "2+\\sqrt{2}")
    with pytest.raises(Refused, match="not evaluated"):
        judge("\\frac{\\sqrt{8}}{2}+(1+1)", problem)
    with pytest.raises(Refused, match="not expanded, factored"):
        judge("(x+2)^2", Problem("p", "Expand $(x+2)^2$.", "x^2+4x+4"))
    with pytest.raises(Refused, match="repeats the question"):
        judge("(2+x)^2", Problem("p", "What is $(x+2)^2$?", "x^2+4x+4"))
    assert judge("\\sqrt{2}+2", problem).equal is True
    assert judge("2+\\sqrt{2}", problem).equal is True
    equation = Problem("p", "Solve $2x-4=6$ for $x$.", "x=5")
    assert judge("2x-4=6", equation).equal is False
    quoted = Problem("p", "Which is larger, $2^3$ or $3^2$?", "3^2")
    assert judge("3^2", quoted).equal is True  # the gold answer itself may be part of the question


def test_a_unit_that_only_the_answer_has_must_be_asked_for():
    assert judge("5\\text{ cm}", Problem("p", "How many centimeters is it?", "5")).equal
    assert judge("\\$5", Problem("p", "How many dollars?", "5")).equal
    assert judge("5 apples", Problem("p", "How many apples are left?", "5")).equal
    assert judge("5^\\circ", Problem("p", "How many degrees?", "5")).equal
    two = "A bag of 3 dollars and 40 cents. How many {} is that?"
    assert judge("340 cents", Problem("p", two.format("cents"), "340")).equal
    assert judge("340 dollars", Problem("p", two.format("cents"), "340")).equal is False
    assert judge("340 cents", Problem("p", two.format("coins"), "340")).equal is False
    assert judge("5 in", Problem("p", "How much is in it?", "5")).equal is False
    area = Problem("p", "What is its area in square feet?", "5")
    assert judge("5\\text{ square units}", area).equal
    assert judge("5\\text{ units}", area).equal is False
    assert judge("5\\text{ m}", Problem("p", "How many centimeters is it?", "5")).equal is False


@pytest.mark.parametrize(
    "gold", ["\\frac{1}{", "(1, 2", "\\frac{5}{0}", "{", "\\sqrt{}", "5\x00", "$$", "[1,2],(3", "\\{1, 2", "x=", "2+"]
)
def test_a_broken_gold_answer_is_reported(gold: str):
    with pytest.raises(InputError, match=r"problem 'p7': the gold answer .* can't be read"):
        check(Problem("p7", "", gold))


@pytest.mark.parametrize(
    "gold",
    [
        "\\sum_{k=1}^n k", "\\sum_{i=0}^{\\infty} \\frac{1}{2^i}", "\\int_{x=0}^{1} x", "\\{a_k\\}_{k=1}^n",
        "\\left.\\frac12\\right|_{x=1}", "\\{x \\mid x > 3\\}", "\\{x \\mid x = 3\\}", "]1,2[", "[0,1[", "1000!",
        "2008^{2009}", "\\log_3 3^{1000}", "1" * 400, "9^{9^{9^9}}", "(2008^{2009},3)",
        "f(x)=\\left\\{\\begin{array}{ll}1&x=1\\\\2&x=2\\end{array}\\right.",
    ],
)  # fmt: skip
def test_an_unread_gold_answer_equals_only_the_same_string(gold: str):
    problem = Problem("p7", "", gold)
    check(problem)
    assert judge(gold, problem) == Decision(True, "string")
    for other in ("5", "x", "\\sum_{k=2}^n k", "[1,2]", "(3,3)", "\\text{none}"):
        assert judge(other, problem).equal is False


def test_gold_answers_that_are_not_mathematics_are_strings():
    for gold in ("\\overline{AB}", "No solution", "12:30 pm", "\\angle A", "\\lfloor x \\rfloor"):
        check(Problem("p", "", gold))
        assert compare(read(gold), read(gold)).equal is True


rationals = st.fractions(min_value=-10_000, max_value=10_000, max_denominator=2_000)


def forms(value: Fraction) -> st.SearchStrategy[str]:
    """Ways of writing a value."""
    n, d, sign = abs(value.numerator), value.denominator, "-" if value < 0 else ""
    ways = [f"{sign}\\frac{{{n}}}{{{d}}}", f"{sign}\\dfrac{{{n * 3}}}{{{d * 3}}}", f"{sign}{n}/{d}"]
    ways += [f"$ {sign}{n} / {d} $", f"\\frac{{{sign}{n}}}{{{d}}}", f"x = {sign}\\frac{{{n}}}{{{d}}}"]
    if n > d:
        ways.append(f"{sign}{n // d}\\frac{{{n % d}}}{{{d}}}")
    if set(_primes(d)) <= {2, 5}:
        places = max(d.bit_length(), 1) + 4
        digits = f"{n * 10**places // d:0{places + 1}d}"
        decimal = f"{digits[:-places]}.{digits[-places:]}"
        ways += [f"{sign}{decimal}", f"{sign}{decimal.rstrip('0')}"]
        whole, places = digits[:-places], digits[-places:].rstrip("0") or "0"
        ways += [f"{sign}{int(whole):,}.{places}", f"{sign}{int(whole):,}".replace(",", "{,}") + f".{places}"]
    else:
        ways += [sign + decimal for decimal in repeating(n, d)]
    if d == 1:
        ways += [f"{sign}{n}", f"{sign}{n:,}", f"{sign}{n}.0", f"{sign}{n:,}".replace(",", "{,}")]
    return st.sampled_from(ways)


@settings(max_examples=100)
@given(rationals)
def test_a_sum_with_the_right_value_is_unevaluated(value: Fraction):
    n, d = value.numerator, value.denominator
    assert compare(read(str(value)), read(f"1-\\frac{{{d - n}}}{{{d}}}")).equal is True
    with pytest.raises(Refused, match="not evaluated"):
        decision_of(str(value), f"1-\\frac{{{d - n}}}{{{d}}}")


def _primes(number: int) -> list[int]:
    return [p for p in range(2, number + 1) if number % p == 0 and all(p % q for q in range(2, p))]


def repeating(n: int, d: int) -> list[str]:
    """The decimal of n/d with its period under a bar, by long division; [] for a long period."""
    remainder, digits, seen = n % d, "", {}
    while remainder not in seen and len(digits) < 12:
        seen[remainder] = len(digits)
        digits, remainder = digits + str(remainder * 10 // d), remainder * 10 % d
    if remainder not in seen:
        return []
    start, period = digits[: seen[remainder]], digits[seen[remainder] :]
    return [f"{n // d}.{start}\\overline{{{period}}}", f"{n // d}.{start}\\overline{{{period * 2}}}"]


@settings(max_examples=300)
@given(st.data(), rationals)
def test_equal_values_in_different_forms_agree(data: st.DataObject, value: Fraction):
    gold, answer = data.draw(forms(value)), data.draw(forms(value))
    assert compare(read(gold), read(answer)).equal is True


@given(st.integers(1_000, 10**9), st.integers(1_000, 10**9), st.sampled_from(CONTEXTS), st.sampled_from(SEPARATORS))
def test_thousands_separators_inside_expressions(number: int, other: int, context: str, separator: str):
    gold = read(context.format(number))
    for value in (number, other):
        answer = context.format(f"{value:,}".replace(",", separator))
        assert compare(gold, read(answer)).equal is (value == number)


@settings(max_examples=300)
@given(st.data(), rationals, rationals)
def test_different_values_do_not_agree(data: st.DataObject, left: Fraction, right: Fraction):
    gold, answer = data.draw(forms(left)), data.draw(forms(right))
    assert compare(read(gold), read(answer)).equal is (left == right)


@settings(max_examples=200)
@given(st.data(), rationals, st.integers(2, 15), st.sampled_from([-1, 1]))
def test_nearly_equal_values_differ(data: st.DataObject, value: Fraction, places: int, side: int):
    near = value + Fraction(side, 10**places)
    gold, answer = data.draw(forms(value)), f"\\frac{{{near.numerator}}}{{{near.denominator}}}"
    assert compare(read(gold), read(answer)).equal is False


polynomials = st.lists(st.integers(-9, 9), min_size=1, max_size=4)


def expanded(factors: list[list[int]]) -> list[int]:
    product = [1]
    for factor in factors:
        longer = [0] * (len(product) + len(factor) - 1)
        for i, a in enumerate(product):
            for j, b in enumerate(factor):
                longer[i + j] += a * b
        product = longer
    return product


def written(coefficients: list[int]) -> str:
    return "+".join(f"({a})x^{{{power}}}" for power, a in enumerate(coefficients))


@settings(max_examples=150)
@given(st.lists(polynomials, min_size=1, max_size=3), st.integers(0, 6), st.integers(-2, 2))
def test_polynomials_equal_only_their_own_expansion(factors: list[list[int]], place: int, change: int):
    whole = expanded(factors)
    factored = "".join(f"({written(factor)})" for factor in factors)
    assert compare(read(written(whole)), read(factored)).equal is True
    whole[place % len(whole)] += change
    assert compare(read(written(whole)), read(factored)).equal is (change == 0)


_SYMBOLS = (
    r"\frac { } 1 2 x ^ _ ( ) [ ] , |",
    r"\sqrt \pm = < \le \text{ \cup + - / ! \sin \log . % \$ & \\ \circ \infty \binom",
)
SYMBOLS = [" ", "\\begin{pmatrix}", "\\end{pmatrix}", *(symbol for line in _SYMBOLS for symbol in line.split(" "))]


@settings(max_examples=200)
@given(st.text(max_size=80) | st.lists(st.sampled_from(SYMBOLS), max_size=20).map("".join))
def test_any_text_is_read_or_refused(text: str):
    try:
        reading = read(text)
    except Refused:
        return
    for gold in ("5", "x+1", "(1,2)"):
        try:
            compare(read(gold), reading)
        except Refused:
            continue
    assert compare(reading, reading).equal is True


def test_the_docs_count_the_pairs():
    page = (Path(__file__).parents[3] / "docs" / "verifying.md").read_text(encoding="utf-8")
    assert f"`tests/verify/pairs.tsv` has {len(PAIRS)} such pairs" in page


def test_a_number_may_have_a_name():
    for answer in ("x=391", "391.0", "N = 391"):
        assert judge_number(answer, Problem("p", "", "391")).equal
    with pytest.raises(Refused, match="a number is asked for"):
        judge_number("17*23=391", Problem("p", "", "391"))
