"""The math verifier on cases decided by hand, and on random values compared by Python's Fraction."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.verify import VerifierPool
from rlvrscope.verify.decision import Decision, NeedsAlgebra, Refused
from rlvrscope.verify.math.algebra import equal
from rlvrscope.verify.math.math_verifier import check, is_text, judge, read_as
from rlvrscope.verify.math.reading import read

FOLDER = Path(__file__).parents[1]
CASES = [json.loads(line) for line in FOLDER.joinpath("cases.jsonl").read_text(encoding="utf-8").splitlines()]
"""Whole texts with a gold answer, by kind, each decided by hand."""
_LINES = FOLDER.joinpath("pairs.tsv").read_text(encoding="utf-8").splitlines()
PAIRS = [[*line.split("\t"), ""][:4] for line in _LINES]
"""(right or wrong, gold answer, answer, question or ""), each decided by hand."""
CONTEXTS = ["\\frac{{7}}{{{}}}", "x={}", "{}\\pi", "3\\sqrt{{{}}}", "{}x+1", "x < {}", "y=x+{}"]
SEPARATORS = [",", "{,}", ",\\!", "{,}\\,"]


def decision_of(gold: str, answer: str, prompt: str = "", **metadata: object) -> Decision:
    """Judge with computer algebra in this process."""
    return judge(answer, Problem("p", prompt, gold, metadata=metadata), equal)


def is_right(gold: str, answer: str, prompt: str = "", **metadata: object) -> bool:
    try:
        return decision_of(gold, answer, prompt, **metadata).equal
    except Refused:
        return False


@pytest.fixture(scope="module")
def verdicts() -> list[str]:
    """The outcomes of all cases and pairs in one batch."""
    problems = [
        Problem(f"c{n}", case["prompt"], case["answer"], metadata={key: case[key] for key in case if key == "forms"})
        for n, case in enumerate(CASES)
    ]
    problems += [Problem(f"p{n}", prompt, gold) for n, (_, gold, _, prompt) in enumerate(PAIRS)]
    texts = [case["text"] for case in CASES] + [f"\\boxed{{{answer}}}" for _, _, answer, _ in PAIRS]
    with VerifierPool(workers=2) as pool:
        return [verdict.outcome for verdict in pool.map(texts, problems)]


@pytest.mark.parametrize("n", range(len(CASES)), ids=lambda n: f"{n} {CASES[n]['kind'][:30]}")
def test_cases(n: int, verdicts: list[str]):
    assert (verdicts[n] == "correct") is CASES[n]["right"], CASES[n]


def test_every_kind_has_right_and_wrong_cases():
    counts = Counter((case["kind"], case["right"]) for case in CASES)
    assert min(counts[kind, right] for kind, _ in counts for right in (True, False)) >= 1


@pytest.mark.parametrize("n", range(len(PAIRS)))
def test_pairs(n: int, verdicts: list[str]):
    assert (verdicts[len(CASES) + n] == "correct") is (PAIRS[n][0] == "right"), PAIRS[n]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [("\\frac{\\sqrt{2}}{2}", "\\frac{1}{\\sqrt{2}}"), ("\\sin 2x", "2\\sin x\\cos x"), ("m!", "m\\cdot(m-1)!")],
)
def test_what_only_computer_algebra_can_decide(gold: str, answer: str):
    with pytest.raises(NeedsAlgebra):
        judge(answer, Problem("p", "", gold))
    assert decision_of(gold, answer) == Decision(True, "algebra")


@pytest.mark.parametrize("answer", ["17*23", "390+1", "\\frac{391}{1}+0", "\\text{three}", "\\sqrt{9}", "782/2"])
def test_an_expression_is_refused_where_a_number_is_asked_for(answer: str):
    with pytest.raises(Refused, match="a number is asked for"):
        judge(answer, Problem("p", "", "391", "arithmetic"))
    with pytest.raises(Refused, match="a number is asked for"):
        judge(answer, Problem("p", "", "391", metadata={"evaluated": True}))


def test_a_number_may_have_a_name_and_the_steps_before_it():
    for answer in ("x=391", "391.0", "N = 391", "17*23=391"):
        assert judge(answer, Problem("p", "", "391", "arithmetic")).equal


def test_more_answers_than_asked_for_are_refused():
    for gold, answer in (("2", "1, 2"), ("2", "\\pm 2"), ("1,2", "1,2,3"), ("x^{2100}", "x^2,100")):
        with pytest.raises(Refused, match="asked for"):
            decision_of(gold, answer)


def test_the_question_is_not_an_answer():
    with pytest.raises(Refused, match="not expanded, factored"):
        decision_of("x^2+4x+4", "(x+2)^2", "Expand $(x+2)^2$.")
    with pytest.raises(Refused, match="repeats the question"):
        decision_of("x^2+4x+4", "(2+x)^2", "What is $(x+2)^2$?")
    with pytest.raises(Refused, match="repeats the question"):
        decision_of("\\ln 2+x", "\\int_1^2 \\frac{1}{t} dt+x", "Find $\\int_1^2 \\frac{1}{t} dt+x$.")
    assert is_right("3^2", "3^2", "Which is larger, $2^3$ or $3^2$?")  # the gold answer may be part of the question


@pytest.mark.parametrize(
    "gold",
    [
        "\\frac{1}{", "(1, 2", "\\frac{5}{0}", "{", "\\sqrt{}", "5\x00", "$$", "[1,2],(3", "\\{1, 2", "x=", "2+",
        "\\{a_k\\}_{k=1}^n", "\\{x \\mid x > 3\\}", "]1,2[", "[0,1[", "2008^{2009}", "1" * 400, "9^{9^{9^9}}",
        "f(x)=\\left\\{\\begin{array}{ll}1&x=1\\\\2&x=2\\end{array}\\right.", "a" * 3_000,
    ],
)  # fmt: skip
def test_a_gold_answer_that_can_not_be_read_is_text(gold: str):
    """It stops nothing, is counted as text, and equals only itself."""
    problem = Problem("p7", "", gold)
    check(problem)
    assert is_text(problem)
    for other in ("5", "x", "\\sum_{k=2}^n k", "[1,2]", "(3,3)", "\\text{none}"):
        assert not is_right(gold, other)
    if len(gold) < 1_000 and "\x00" not in gold and gold != "$$":
        assert decision_of(gold, gold) == Decision(True, "string")


def test_what_is_compared_as_text():
    for gold in ("\\text{Evelyn}", "No solution", "12:30 pm"):
        assert is_text(Problem("p", "", gold))
    for gold in ("5", "\\angle A", "\\sum_{k=1}^n k", "B", "(1,2)", "\\lfloor x \\rfloor"):
        assert not is_text(Problem("p", "", gold))


def test_what_was_read_is_shown():
    assert read_as("(1, \\frac{1}{2})") == "tuple ()(number 1, divide(number 1, number 2))"
    assert read_as("\u202e5").startswith("hidden character")


def test_tolerance_is_relative_and_off_by_default():
    for gold, answer in (("3.14", "3.1416"), ("\\frac{1}{3}", "0.333"), ("\\sqrt{2}", "1.414"), ("1000", "1001")):
        assert not is_right(gold, answer)
        assert is_right(gold, answer, tolerance=0.002)
        assert not is_right(gold, answer, tolerance=1e-5)
    assert not is_right("0.0000001", "0.0000002", tolerance=0.01)
    with pytest.raises(InputError, match="tolerance must be a number from 0 to 1"):
        check(Problem("p", "", "5", metadata={"tolerance": "x"}))


RELATION = (
    -1151660980209362092162543378666674024383143153887656210674164612979899600203442947441462098,
    -4060142156095735937033184169156048471764589289009398045867572609125769721769661338872387882,
    -1851905231461134255028922860973236418807661076151865720558435136363402558685652807233469533,
    -4509970535106146052786114759848714560194022841906294947699783333500506581800348380948108211,
    12430967426187749644669633224984094759422612457209915227642303159434993914803893045755717804,
    -3382948826829198137664914008723118257132398306062760209983005481720173919737441036912118149,
    -11251107483676439425268768737451966999282956221186421010655266000359932820130053563581579982,
    14543985756989693989700367226599973896911288856449128271054356490879109315625394886752748438,
)
"""Found by PSLQ: the sum of RELATION[n] sin(n), with ln 2 for n = 0, is zero to 640 digits."""


def test_a_sum_made_to_agree_to_many_digits_is_wrong():
    """What is compared grows with the length of the answer."""
    answer = "+".join(f"\\frac{{{-c}}}{{{RELATION[0]}}}\\sin {n}" for n, c in enumerate(RELATION[1:], 1))
    assert not is_right("\\ln 2", answer)
    assert is_right("\\ln 2", "\\frac{\\ln 4}{2}")
    assert not is_right("\\ln 2", "\\ln 2+10^{-45}\\sin 1")


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
        ways = [f"{sign}{n}", f"{sign}{n:,}", f"{sign}{n}.0", f"{sign}{n:,}".replace(",", "{,}"), f"x = {sign}{n}"]
    return st.sampled_from(ways)


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


@settings(max_examples=100)
@given(rationals)
def test_a_sum_with_the_right_value_is_unevaluated(value: Fraction):
    n, d = value.numerator, value.denominator
    with pytest.raises(Refused, match="not evaluated"):
        decision_of(str(value), f"1-\\frac{{{d - n}}}{{{d}}}")


@settings(max_examples=300)
@given(st.data(), rationals, rationals, st.booleans())
def test_values_agree_only_if_they_are_equal(data: st.DataObject, left: Fraction, right: Fraction, same: bool):
    right = left if same else right
    assert is_right(data.draw(forms(left)), data.draw(forms(right))) is (left == right)


@given(st.integers(1_000, 10**9), st.integers(1_000, 10**9), st.sampled_from(CONTEXTS), st.sampled_from(SEPARATORS))
def test_thousands_separators_inside_expressions(number: int, other: int, context: str, separator: str):
    for value in (number, other):
        answer = context.format(f"{value:,}".replace(",", separator))
        assert is_right(context.format(number), answer) is (value == number)


@settings(max_examples=200)
@given(st.data(), rationals, st.integers(2, 15), st.sampled_from([-1, 1]))
def test_nearly_equal_values_differ(data: st.DataObject, value: Fraction, places: int, side: int):
    near = value + Fraction(side, 10**places)
    assert not is_right(data.draw(forms(value)), f"\\frac{{{near.numerator}}}{{{near.denominator}}}")


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
    from rlvrscope.verify.math.values import are_equal

    whole = expanded(factors)
    factored = read("".join(f"({written(factor)})" for factor in factors))
    assert are_equal(read(written(whole)), factored, "key")
    whole[place % len(whole)] += change
    assert are_equal(read(written(whole)), factored, "key") is (change == 0)


_SYMBOLS = (
    r"\frac { } 1 2 x ^ _ ( ) [ ] , |",
    r"\sqrt \pm = < \le \text{ \cup + - / ! \sin \log . % \$ & \\ \circ \infty \binom",
)
SYMBOLS = [" ", "\\begin{pmatrix}", "\\end{pmatrix}", *(symbol for line in _SYMBOLS for symbol in line.split(" "))]


@settings(max_examples=200)
@given(st.text(max_size=80) | st.lists(st.sampled_from(SYMBOLS), max_size=20).map("".join))
def test_any_text_is_judged_or_refused(text: str):
    for gold in ("5", "x+1", "(1,2)"):
        try:
            judge(text, Problem("p", "", gold))
        except (Refused, NeedsAlgebra):
            continue


def test_the_docs_count_the_cases():
    page = (FOLDER.parents[1] / "docs" / "verifying.md").read_text(encoding="utf-8")
    assert f"{len(CASES):,} cases" in page
    assert f"{len(PAIRS)} pairs" in page
