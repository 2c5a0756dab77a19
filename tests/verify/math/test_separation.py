"""The separation bound against values computed to many more digits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvrscope.verify.decision import Refused
from rlvrscope.verify.math.expression import parse
from rlvrscope.verify.math.expression_value import Approximate, point
from rlvrscope.verify.math.separation import MARGIN, digits, is_algebraic

mpmath = pytest.importorskip("mpmath")
AT = point("test", 0)


def needed(text: str) -> int:
    return digits(parse(text), AT, lambda node: max(abs(Approximate(AT)(node)), 1.0)) - MARGIN


def size(text: str, places: int):
    """|value| to that many digits. The sum is made here, as it may be smaller than the limits of the evaluator."""
    node = parse(text)
    with mpmath.workdps(places):
        return abs(sum((Approximate(AT, mpmath.mp)(term) for term in node.args), mpmath.mpf(0)))


def test_bounds_by_hand():
    # sqrt(2) - sqrt(3): u = sqrt 2 + sqrt 3, here at most 2 sqrt 3; l = 1; D = 4: (2 sqrt 3)^3 = 41.57, log10 1.62
    assert needed("\\sqrt{2}-\\sqrt{3}") == 2
    # 1/3 - sqrt(2): u = 1 + 3 sqrt 2, at most 2 x 4.243; l = 3; D = 2: log10(8.485) + log10(3) = 1.41
    assert needed("\\frac{1}{3}-\\sqrt{2}") == 2
    # the third difference of the root at 10^20 is 3/8 x 10^-50
    text = "\\sqrt{10^{20}+3}-3\\sqrt{10^{20}+2}+3\\sqrt{10^{20}+1}-10^{10}"
    assert 50 < -mpmath.log10(size(text, 400)) < 51 < needed(text)


terms = st.tuples(st.integers(-30, 30).filter(bool), st.integers(2, 4), st.integers(2, 60), st.integers(1, 9))


@settings(max_examples=60)
@given(st.lists(terms, min_size=2, max_size=4))
def test_nonzero_values_are_not_below_the_bound(drawn: list[tuple[int, int, int, int]]):
    text = "+".join(f"({a})\\sqrt[{n}]{{\\frac{{{x}}}{{{y}}}}}" for a, n, x, y in drawn)
    places = needed(text)
    value = size(text, 2 * places + 50)
    assert value >= mpmath.mpf(10) ** -places or value < mpmath.mpf(10) ** (-2 * places)


def test_values_that_can_not_be_distinguished_are_refused():
    for text in (
        "+".join(f"\\sqrt{{{n}}}" for n in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)),
        "(1+10^{-100})^{10^{-100}}-1",
        "+".join(f"\\sin {n}" for n in range(9)),
        "\\sin(\\cos(\\sin(\\cos(\\sin 1))))+1",
    ):
        with pytest.raises(Refused, match="distinguish"):
            needed(text)


def test_algebraic_expressions():
    assert is_algebraic(parse("\\sqrt{2}+3^{1/3}+i"))
    for text in ("\\pi", "e", "2^{\\sqrt{2}}", "\\sin 1", "\\ln 2"):
        assert not is_algebraic(parse(text))
