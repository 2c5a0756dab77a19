r"""Guards against an answer that is not worked out: arithmetic left over, or the question given back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction

from rlvrscope.verify.decision import Refused
from rlvrscope.verify.math.expression import Node, literal
from rlvrscope.verify.math.names import formulas, is_name
from rlvrscope.verify.math.units import MAX_PROMPT_CHARACTERS
from rlvrscope.verify.math.values import base_and_exponent, skeleton

_EXPAND = re.compile(r"\b(?:expand|multipl(?:y|ied))")
_SIMPLIFY = re.compile(r"simplif|simplest|\breduce\b|reduced (?:form|fraction)|lowest terms|rationaliz")
_DECIMAL = re.compile(r"\b(?:as|to) an? (?:\w+ )?decimal\b|\bin decimal (?:form|notation)")
_OTHER_FORM = re.compile(
    r"express|write|convert|simplif|reduc|lowest terms|as an? (?:common |mixed )?(?:fraction|decimal|percent)"
)
_UNFINISHED = re.compile(r"\\(?:int|sum|prod|lim)(?![a-z])|\\frac\{(?:d|\\text\{d\})\}\{")
_STRUCTURES = ("list", "set", "tuple", "union", "matrix", "row", "relation", "ratio", "labelled", "quantity")


def check(gold: Node, answer: Node, prompt: str) -> None:
    r"""Raise Refused for arithmetic that the gold answer does not have, and for the question given back.

    17 \cdot 23 is refused where the gold answer is 391, and accepted where it is 23 \cdot 17 or 2^3.
    """
    gold_nodes, nodes = list(scalars(gold)), list(scalars(answer))
    if not gold_nodes or not nodes:
        return
    if all(map(_is_final, gold_nodes)) and not all(map(_is_final, nodes)):
        raise Refused("not evaluated: an expression where the gold answer is a number")
    if any(node.op == "raw" for node in nodes) and not any(node.op == "raw" or node.variables() for node in gold_nodes):
        raise Refused("not evaluated: a function where the gold answer has none")
    if len(nodes) == len(gold_nodes) == 1 and "raw" not in (gold.op, answer.op):
        if nodes[0].variables() - gold_nodes[0].variables():
            raise Refused("not evaluated: it has a variable that the gold answer does not have")
        if _is_in_another_form(gold_nodes[0], nodes[0], prompt):
            raise Refused("not expanded, factored or simplified as the question asks")
    if _any(_is_arithmetic, nodes) and not _any(_is_arithmetic, gold_nodes):
        raise Refused("not evaluated: it has arithmetic left over that the gold answer does not have")
    if prompt and _repeats(gold_nodes, nodes, prompt):
        raise Refused("the answer repeats the question")
    if _unfinished(nodes) and not _unfinished(gold_nodes):
        raise Refused("not evaluated: an integral, sum, limit or derivative where the gold answer has none")


def check_no_equation_of_question(answer: Node, text: str, prompt: str) -> None:
    """Raise Refused for an equation of the question: x+1=25 is not 25."""
    is_equation = answer.op == "relation" and not is_name(answer.args[0])
    if is_equation and skeleton(Node("raw", value=text)) in formulas(prompt).parts:
        raise Refused("the answer repeats the question")


def scalars(node: Node) -> Iterator[Node]:
    """Yield every expression in an answer, except words and names."""
    if node.op in _STRUCTURES:
        for part in node.args:
            if node.op != "relation" or not (is_name(part) or (part.op == "tuple" and all(map(is_name, part.args)))):
                yield from scalars(part)
    elif node.op not in ("word", "text"):
        yield node


def _unfinished(nodes: list[Node]) -> bool:
    return any(node.op == "raw" and _UNFINISHED.search(str(node.value)) for node in nodes)


def is_number(node: Node) -> bool:
    r"""Test for one fully evaluated number: 391, -2.5, \frac{50}{100}; 6/3 is arithmetic."""
    return literal(node) is not None and not any(map(_is_unevaluated_quotient, node.walk()))


def _repeats(gold_nodes: list[Node], nodes: list[Node], prompt: str) -> bool:
    """Test whether all expressions of an answer, in any order or spelling, are the question's and not the gold ones.

    A number may occur in the question, unless the question asks to write it in another form.
    """
    known, other_form = set(map(skeleton, gold_nodes)), _OTHER_FORM.search(prompt[-MAX_PROMPT_CHARACTERS:].lower())
    nodes = [node for node in nodes if node.op != "symbol"]

    def is_asked(node: Node) -> bool:
        asked = formulas(prompt).whole if _is_power_of_ten(node) else formulas(prompt).parts
        if node.op == "raw":  # also with other brackets: \sin (x)
            return re.sub("[()]", "", skeleton(node)) in {re.sub("[()]", "", text) for text in asked}
        return skeleton(node) in asked

    return bool(nodes) and all(
        skeleton(node) not in known and (other_form or literal(node) is None) and is_asked(node) for node in nodes
    )


def _any(condition: Callable[[Node], bool | int], nodes: list[Node]) -> bool:
    return any(condition(part) for node in nodes for part in node.walk())


def _is_in_another_form(gold: Node, answer: Node, prompt: str) -> bool:
    """Test for a form that the question asks to change and the gold answer does not have.

    To simplify: larger numbers than the gold answer's, as in sqrt(72) for 6 sqrt(2); to write a decimal: a fraction of
    the question; to expand: a product of sums; to factor: fewer factors than the gold answer.
    """
    question = prompt[-MAX_PROMPT_CHARACTERS:].lower()
    if _SIMPLIFY.search(question) and _largest(answer) > _largest(gold):
        return True
    if _DECIMAL.search(question) and answer.op == "divide" != gold.op and literal(answer) in formulas(prompt).numbers:
        return True
    if _EXPAND.search(question) and _any(_sums_in_product, [answer]) and not _any(_sums_in_product, [gold]):
        return True
    return "factor" in question and _sums_in_product(answer) < _sums_in_product(gold)


def _largest(node: Node) -> Fraction:
    return max((Fraction(part.value) for part in node.walk() if part.op == "number"), default=Fraction())


def _sums_in_product(node: Node) -> int:
    """Count factors that are sums with variables, with multiplicity; 0 if the node is not a product."""
    factors = [node.args[0]] if node.op == "power" else node.args if node.op in ("multiply", "negate") else ()
    num_sums = sum(_sums_in_product(factor) or (factor.op == "add" and bool(factor.variables())) for factor in factors)
    power = literal(node.args[1]) if node.op == "power" else 1
    return num_sums * max(0, int(power or 0))


def _is_final(node: Node) -> bool:
    inner = node.args[0] if node.op == "negate" else node
    return is_number(node) or _is_power_of_ten(inner) or inner.value == "\\infty"


def _is_power_of_ten(node: Node) -> bool:
    exponent = literal(node.args[1]) if node.op == "power" else None
    return exponent is not None and exponent.denominator == 1 and literal(node.args[0]) == 10


def _is_unevaluated_quotient(node: Node) -> bool:
    """Test for a quotient of numbers that are not both integers, or that is an integer."""
    above, below = map(literal, node.args) if node.op == "divide" else (None, None)
    if above is None or below is None:
        return False
    return above.denominator * below.denominator > 1 or not below or above % below == 0


def _is_arithmetic(node: Node) -> bool:
    """Test for arithmetic that could be carried out: with two numbers, or two complex factors, or a root like 2."""
    if node.op in ("add", "multiply"):
        parts = list(node.args)
        sums = [part for part in parts if part.op == "add" and not part.variables()]
        numbers = [literal(part) for part in parts if literal(part) is not None]
        return len(numbers) > 1 or (node.op == "multiply" and (len(sums) > 1 or 0 in numbers))
    if node.op in ("power", "root") and not node.symbols() - {"i"}:
        base, exponent = base_and_exponent(node)
        if "i" in node.symbols():
            return exponent is not None and exponent.denominator == 1
        return not _is_power_of_ten(node) and exponent is not None and _is_perfect_power(literal(base), exponent)
    return _is_unevaluated_quotient(node) or (node.op in ("factorial", "binomial") and not node.symbols())


def _is_perfect_power(base: Fraction | None, exponent: Fraction) -> bool:
    """Test whether a power is rational."""
    if base is None or exponent.denominator == 1:
        return base is not None
    parts = [round(float(part) ** (1 / exponent.denominator)) for part in (abs(base.numerator), base.denominator)]
    return Fraction(*parts) ** exponent.denominator == abs(base)
