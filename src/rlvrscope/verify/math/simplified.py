r"""The shape of an expression: like terms, powers of one base, products of sums."""

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
from rlvrscope.verify.math.question import asks_for_another_form, expressions, names, stands_alone, whole_expressions
from rlvrscope.verify.math.tree import Node, factors_of, flat, literal, skeleton

_NUMERIC = re.compile(r"-1|[0-9/]+|\([0-9/]+\^-1\)")
_EXPAND = re.compile(r"\b(?:expand|multipl(?:y|ied))")
_FACTOR = re.compile(r"\bfactor")
_SIMPLIFY = re.compile(r"simplif|simplest|\breduce\b|reduced (?:form|fraction)|lowest terms|rationaliz")
_DECIMAL = re.compile(r"\b(?:as|to) an? (?:\w+ )?decimal\b|\bin decimal (?:form|notation)")
MAX_PROMPT = 4_000
MAX_FACTOR = 1_000
"""Up to which factors of a radicand are looked for."""


def has_like_parts(node: Node) -> bool:
    r"""Whether terms or factors of it could be put together: 2x+x, \sqrt{2}\sqrt{2}, \frac{x}{x^2}."""
    if node.op == "add":
        found = [_without_numbers(term) for term in flat(node, "add")]
    elif node.op in ("multiply", "divide"):
        found = list(_bases(node))
    else:
        return False
    return any(count > 1 for part, count in Counter(found).items() if part)


def is_in_another_form(gold: Node, answer: Node, prompt: str) -> bool:
    """Whether the question says to expand, and only the gold answer is; or to factor, and it has more factors.

    Or to simplify, and a fraction is not in lowest terms or a radical holds a power; or to write a decimal.
    """
    asked = prompt[-MAX_PROMPT:].lower()
    if _SIMPLIFY.search(asked) and _any_part(_is_reducible, answer) and not _any_part(_is_reducible, gold):
        return True
    if _DECIMAL.search(asked) and _any_part(_is_fraction, answer) and not _any_part(_is_fraction, gold):
        return True
    if _EXPAND.search(asked) and _has_product_of_sums(answer) and not _has_product_of_sums(gold):
        return True
    return bool(_FACTOR.search(asked)) and _sums_in_product(answer) < _sums_in_product(gold)


def _any_part(condition: Callable[[Node], bool], node: Node) -> bool:
    return any(map(condition, node.walk()))


def _is_fraction(node: Node) -> bool:
    return node.op == "divide" and literal(node) is not None


def _is_reducible(node: Node) -> bool:
    r"""\frac{6}{8}, \sqrt{8}, 72^{1/2}."""
    if node.op == "divide":
        parts = [literal(part) for part in node.args]
        whole = [int(part) for part in parts if part is not None and part.denominator == 1]
        return len(whole) == 2 and gcd(*whole) > 1
    if node.op == "root":
        return _holds_a_power(literal(node.args[1]), literal(node.args[0]))
    exponent = literal(node.args[1]) if node.op == "power" else None
    return exponent is not None and _holds_a_power(literal(node.args[0]), Fraction(exponent.denominator))


def _holds_a_power(radicand: Fraction | None, degree: Fraction | None) -> bool:
    """Of an integer from 2 on; degree: 2 for squares."""
    if radicand is None or degree is None or radicand.denominator > 1 or degree.denominator > 1:
        return False
    value, n = abs(int(radicand)), int(degree)
    if not 2 <= n <= value.bit_length():
        return False
    return any(value % factor**n == 0 for factor in range(2, MAX_FACTOR) if factor**n <= value)


def _without_numbers(term: Node) -> str:
    return "*".join(sorted(factor for factor in factors_of(term) if not _NUMERIC.fullmatch(factor)))


def _bases(node: Node) -> Iterator[str]:
    """Of its factors, above and below; numbers have none."""
    if node.op in ("multiply", "divide", "negate"):
        for arg in node.args:
            yield from _bases(arg)
    elif literal(node) is None:
        powered = node.op == "power" and literal(node.args[1]) is not None
        yield skeleton(node.args[0] if powered else node)


def _has_product_of_sums(node: Node) -> bool:
    return any(_sums_in_product(part) for part in node.walk())


def _sums_in_product(node: Node) -> int:
    """Factors that are sums with variables, each as often as its power says; 0 for what is no product."""
    if node.op in ("multiply", "negate"):
        return sum(_sums_in_product(arg) + _is_sum(arg) for arg in node.args)
    power = literal(node.args[1]) if node.op == "power" else None
    if power is not None and power >= 1 and power.denominator == 1 and _is_sum(node.args[0]):
        return int(power)
    return 0


def _is_sum(node: Node) -> bool:
    return node.op == "add" and bool(node.variables())


_OF_NUMBERS = ("power", "root", "factorial", "binomial", "abs", "floor", "ceil")
_TEN = Fraction(10)


def is_number(node: Node) -> bool:
    r"""One number as it is written when all is done: 391, -2.5, \frac{50}{100}. 6/3 is arithmetic."""
    return literal(node) is not None and not any(map(_is_quotient_to_work_out, node.walk()))


def check_worked_out(gold: Content, answer: Content, prompt: str) -> None:
    r"""Raises Refused for arithmetic between numbers where the gold answer has none, and for what is in the prompt.

    17 \cdot 23 is no answer where the gold one is 391; it is where the gold one is 23 \cdot 17 or 2^3. Nor is a sine or
    logarithm of a constant, where the gold answer has none.
    """
    wanted, given = list(nodes_of(gold)), list(nodes_of(answer))
    if not wanted:
        return
    if all(map(_is_done, wanted)) and not all(map(_is_done, given)):
        raise Refused("not worked out: an expression where the gold answer is a number")
    if isinstance(gold, Value) and isinstance(answer, Value):
        if answer.node.variables() - gold.node.variables():
            raise Refused("not worked out: there is a variable in it that the gold answer does not have")
        if is_in_another_form(gold.node, answer.node, prompt):
            raise Refused("not worked out: not expanded, factored or simplified as the question asks")
    for is_left_over in (_is_arithmetic, _is_function_of_constants):
        if _any(is_left_over, given) and not _any(is_left_over, wanted):
            raise Refused("not worked out: there is arithmetic in it that the gold answer has none of")
    if _repeats(gold, answer, prompt):
        raise Refused("the answer repeats the question")


def check_no_equation_of_question(gold: Content, answer: Reading, prompt: str) -> None:
    """Raises Refused for an equation of the question, where the gold answer is none: x+1=25 is not 25."""
    said = answer.content
    if isinstance(gold, Relation | Named) or not isinstance(said, Relation | Named) or names(said.name):
        return
    if stands_alone(answer.text, prompt):
        raise Refused("the answer repeats the question")


def _any(condition: Callable[[Node], bool], nodes: list[Node]) -> bool:
    return any(condition(part) for node in nodes for part in node.walk())


def _is_done(node: Node) -> bool:
    if node.op == "negate":
        return _is_done(node.args[0])
    return is_number(node) or _is_power_of_ten(node) or (node.op == "symbol" and node.value == "\\infty")


def _is_power_of_ten(node: Node) -> bool:
    exponent = literal(node.args[1]) if node.op == "power" else None
    return exponent is not None and exponent.denominator == 1 and literal(node.args[0]) == _TEN


def _is_quotient_to_work_out(node: Node) -> bool:
    """Of two numbers that are no integers, or that comes to an integer."""
    values = [literal(arg) for arg in node.args] if node.op == "divide" else []
    whole = [value for value in values if value is not None and value.denominator == 1]
    if None in values or not values:
        return False
    return len(whole) < 2 or not whole[1] or whole[0] % whole[1] == 0


def _is_arithmetic(node: Node) -> bool:
    """Whether it works with numbers that could be done: of a sum, two terms; of a product, two factors."""
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
    if node.op in _OF_NUMBERS and all(literal(arg) is not None for arg in node.args):
        return not _is_power_of_ten(node) and _is_rational(node)
    return _is_quotient_to_work_out(node) or has_like_parts(node)


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
    """Whether an expression, however it is ordered and spelled, is one of the question's, and not the gold answer's.

    A number may be one of the question's: unless this asks to write it in another way.
    """
    nodes = list(nodes_of(answer))
    if not isinstance(answer, Value | Relation | Named | Items) or not nodes or not prompt:
        return False
    own = {skeleton(node) for node in nodes_of(gold)}
    new = [node for node in nodes if skeleton(node) not in own]
    another_form = asks_for_another_form(prompt)
    new = [node for node in new if node.args or another_form]
    if isinstance(answer, Items):
        return len(new) == len(nodes) and all(skeleton(node) in expressions(prompt) for node in new)
    if any(literal(node) is not None and not another_form for node in new):
        return False
    return bool(new) and all(
        skeleton(node) in (whole_expressions(prompt) if _is_power_of_ten(node) else expressions(prompt)) for node in new
    )
