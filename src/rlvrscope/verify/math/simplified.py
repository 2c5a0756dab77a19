r"""Rules for an answer that is not yet evaluated or simplified: leftover arithmetic, or the question repeated."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import gcd

from rlvrscope.verify.decision import Refused, Unreadable
from rlvrscope.verify.math.content import Content, Items, Named, Reading, Relation, Value, nodes_of
from rlvrscope.verify.math.expression import FUNCTIONS
from rlvrscope.verify.math.expression_value import Inexact, exact
from rlvrscope.verify.math.question import (
    MAX_PROMPT_CHARACTERS,
    asks_for_another_form,
    expressions,
    names,
    stands_alone,
    whole_expressions,
)
from rlvrscope.verify.math.tree import Node, factors_of, flat, literal, skeleton

MAX_FACTOR = 1_000
"""Largest factor of a radicand that is tried."""
_NUMERIC = re.compile(r"-1|[0-9/]+|\([0-9/]+\^-1\)")
_EXPAND = re.compile(r"\b(?:expand|multipl(?:y|ied))")
_FACTOR = re.compile(r"\bfactor")
_SIMPLIFY = re.compile(r"simplif|simplest|\breduce\b|reduced (?:form|fraction)|lowest terms|rationaliz")
_DECIMAL = re.compile(r"\b(?:as|to) an? (?:\w+ )?decimal\b|\bin decimal (?:form|notation)")
_NUMBER_OPERATIONS = ("power", "root", "factorial", "binomial", "abs", "floor", "ceil")
_TEN = Fraction(10)


def is_number(node: Node) -> bool:
    r"""Test for one fully evaluated number: 391, -2.5, \frac{50}{100}; 6/3 is arithmetic."""
    return literal(node) is not None and not any(map(_is_unevaluated_quotient, node.walk()))


def check_evaluated(gold: Content, answer: Content, prompt: str) -> None:
    r"""Raise Refused for arithmetic that the gold answer does not have, and for a repeated question.

    17 \cdot 23 is refused where the gold answer is 391, and accepted where it is 23 \cdot 17 or 2^3. The same holds for
    a sine or logarithm of a constant.
    """
    gold_nodes, nodes = list(nodes_of(gold)), list(nodes_of(answer))
    if not gold_nodes:
        return
    if all(map(_is_final, gold_nodes)) and not all(map(_is_final, nodes)):
        raise Refused("not evaluated: an expression where the gold answer is a number")
    if isinstance(gold, Value) and isinstance(answer, Value):
        if answer.node.variables() - gold.node.variables():
            raise Refused("not evaluated: it has a variable that the gold answer does not have")
        if is_in_another_form(gold.node, answer.node, prompt):
            raise Refused("not expanded, factored or simplified as the question asks")
    for is_left_over in (_is_arithmetic, _is_function_of_constants):
        if _any(is_left_over, nodes) and not _any(is_left_over, gold_nodes):
            raise Refused("not evaluated: it has arithmetic left over that the gold answer does not have")
    if _repeats(gold, answer, prompt):
        raise Refused("the answer repeats the question")


def check_no_equation_of_question(gold: Content, answer: Reading, prompt: str) -> None:
    """Raise Refused for an equation of the question, where the gold answer is not one: x+1=25 is not 25."""
    content = answer.content
    if isinstance(gold, Relation | Named) or not isinstance(content, Relation | Named) or names(content.name):
        return
    if stands_alone(answer.text, prompt):
        raise Refused("the answer repeats the question")


def has_like_parts(node: Node) -> bool:
    r"""Test for terms or factors that can be combined: 2x+x, \sqrt{2}\sqrt{2}, \frac{x}{x^2}."""
    if node.op == "add":
        parts = [_without_numbers(term) for term in flat(node, "add")]
    elif node.op in ("multiply", "divide"):
        parts = list(_bases(node))
    else:
        return False
    return any(count > 1 for part, count in Counter(parts).items() if part)


def is_in_another_form(gold: Node, answer: Node, prompt: str) -> bool:
    """Test for a form that the question asks to change and the gold answer does not have.

    To simplify: a fraction not in lowest terms, or a radical with a power in it; to write a decimal: a fraction; to
    expand: a product of sums; to factor: fewer factors than the gold answer.
    """
    question = prompt[-MAX_PROMPT_CHARACTERS:].lower()
    if _SIMPLIFY.search(question) and _any(_is_reducible, [answer]) and not _any(_is_reducible, [gold]):
        return True
    if _DECIMAL.search(question) and _any(_is_fraction, [answer]) and not _any(_is_fraction, [gold]):
        return True
    if _EXPAND.search(question) and _has_product_of_sums(answer) and not _has_product_of_sums(gold):
        return True
    return bool(_FACTOR.search(question)) and _sums_in_product(answer) < _sums_in_product(gold)


def _any(condition: Callable[[Node], bool], nodes: list[Node]) -> bool:
    return any(condition(part) for node in nodes for part in node.walk())


def _is_fraction(node: Node) -> bool:
    return node.op == "divide" and literal(node) is not None


def _is_reducible(node: Node) -> bool:
    r"""Test for \frac{6}{8}, \sqrt{8}, 72^{1/2}."""
    if node.op == "divide":
        parts = [literal(part) for part in node.args]
        whole = [int(part) for part in parts if part is not None and part.denominator == 1]
        return len(whole) == 2 and gcd(*whole) > 1
    if node.op == "root":
        return _has_power_factor(literal(node.args[1]), literal(node.args[0]))
    exponent = literal(node.args[1]) if node.op == "power" else None
    return exponent is not None and _has_power_factor(literal(node.args[0]), Fraction(exponent.denominator))


def _has_power_factor(radicand: Fraction | None, degree: Fraction | None) -> bool:
    """Test whether an integer is divisible by factor^degree, for a factor of at least 2; degree 2 means squares."""
    if radicand is None or degree is None or radicand.denominator > 1 or degree.denominator > 1:
        return False
    value, n = abs(int(radicand)), int(degree)
    if not 2 <= n <= value.bit_length():
        return False
    return any(value % factor**n == 0 for factor in range(2, MAX_FACTOR) if factor**n <= value)


def _without_numbers(term: Node) -> str:
    return "*".join(sorted(factor for factor in factors_of(term) if not _NUMERIC.fullmatch(factor)))


def _bases(node: Node) -> Iterator[str]:
    """Yield the bases of the factors in numerator and denominator, numbers left out."""
    if node.op in ("multiply", "divide", "negate"):
        for arg in node.args:
            yield from _bases(arg)
    elif literal(node) is None:
        powered = node.op == "power" and literal(node.args[1]) is not None
        yield skeleton(node.args[0] if powered else node)


def _has_product_of_sums(node: Node) -> bool:
    return any(_sums_in_product(part) for part in node.walk())


def _sums_in_product(node: Node) -> int:
    """Count factors that are sums with variables, with multiplicity; 0 if the node is not a product."""
    if node.op in ("multiply", "negate"):
        return sum(_sums_in_product(arg) + _is_sum(arg) for arg in node.args)
    power = literal(node.args[1]) if node.op == "power" else None
    if power is not None and power >= 1 and power.denominator == 1 and _is_sum(node.args[0]):
        return int(power)
    return 0


def _is_sum(node: Node) -> bool:
    return node.op == "add" and bool(node.variables())


def _is_final(node: Node) -> bool:
    if node.op == "negate":
        return _is_final(node.args[0])
    return is_number(node) or _is_power_of_ten(node) or (node.op == "symbol" and node.value == "\\infty")


def _is_power_of_ten(node: Node) -> bool:
    exponent = literal(node.args[1]) if node.op == "power" else None
    return exponent is not None and exponent.denominator == 1 and literal(node.args[0]) == _TEN


def _is_unevaluated_quotient(node: Node) -> bool:
    """Test for a quotient of numbers that are not both integers, or that is an integer."""
    values = [literal(arg) for arg in node.args] if node.op == "divide" else []
    whole = [value for value in values if value is not None and value.denominator == 1]
    if None in values or not values:
        return False
    return len(whole) < 2 or not whole[1] or whole[0] % whole[1] == 0


def _is_arithmetic(node: Node) -> bool:
    """Test for arithmetic that could be carried out, such as a sum of two numbers or a product of two numbers."""
    if node.op in ("add", "multiply"):
        parts = list(flat(node, node.op))
        return (
            sum(literal(part) is not None for part in parts) > 1
            or (node.op == "multiply" and sum(map(_is_complex, parts)) > 1)
            or any(literal(part) == 0 for part in parts if node.op == "multiply")
            or has_like_parts(node)
        )
    if node.op == "power" and (_is_complex(node.args[0]) or node.args[0].value == "i"):
        return literal(node.args[1]) is not None
    if node.op in _NUMBER_OPERATIONS and all(literal(arg) is not None for arg in node.args):
        return not _is_power_of_ten(node) and _is_rational(node)
    return _is_unevaluated_quotient(node) or has_like_parts(node)


def _is_complex(node: Node) -> bool:
    return node.op == "add" and node.symbols() == {"i"}


def _is_rational(node: Node) -> bool:
    try:
        exact(node, lambda _: 1)
    except Inexact:
        return False
    except (Refused, Unreadable):
        return True
    return True


def _is_function_of_constants(node: Node) -> bool:
    return node.op in FUNCTIONS and not node.variables()


def _repeats(gold: Content, answer: Content, prompt: str) -> bool:
    """Test whether an expression of the answer, in any order or spelling, is the question's and not the gold answer's.

    A number may occur in the question, unless the question asks to write it in another form.
    """
    nodes = list(nodes_of(answer))
    if not isinstance(answer, Value | Relation | Named | Items) or not nodes or not prompt:
        return False
    gold_skeletons = {skeleton(node) for node in nodes_of(gold)}
    new = [node for node in nodes if skeleton(node) not in gold_skeletons]
    another_form = asks_for_another_form(prompt)
    new = [node for node in new if node.args or another_form]
    if isinstance(answer, Items):
        return len(new) == len(nodes) and all(skeleton(node) in expressions(prompt) for node in new)
    if any(literal(node) is not None and not another_form for node in new):
        return False
    return bool(new) and all(
        skeleton(node) in (whole_expressions(prompt) if _is_power_of_ten(node) else expressions(prompt)) for node in new
    )
