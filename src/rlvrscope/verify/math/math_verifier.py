"""The math verifier: read both answers, refuse unevaluated ones, compare; workers use computer algebra."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.problem import Problem
from rlvrscope.tables.values import shorten
from rlvrscope.verify.decision import Decision, NeedsAlgebra, Refused, Unreadable
from rlvrscope.verify.math import unworked
from rlvrscope.verify.math.equality import Algebra, Comparison, refuse_candidates
from rlvrscope.verify.math.expression import Node
from rlvrscope.verify.math.latex import canonical
from rlvrscope.verify.math.reading import read
from rlvrscope.verify.math.values import value_of

LIBRARY = "math_verify"


class Gold(NamedTuple):
    """A gold answer in canonical LaTeX, and as read."""

    text: str
    node: Node


def judge(answer: str, problem: Problem, algebra: Algebra | None = None) -> Decision:
    """Compare an extracted answer with the gold answer.

    metadata: `evaluated`, the answer must be a number, not an expression (always for the verifier `arithmetic`);
    `tolerance`, relative. Raises Refused, and NeedsAlgebra without `algebra` where only that can decide.
    """
    gold, text = read_gold(problem.answer), canonical(answer)
    if text.replace(", ", ",") == gold.text.replace(", ", ","):
        return Decision(True, "string")
    node = read(text)
    tolerance = float(problem.metadata.get("tolerance", 0.0))
    comparison = Comparison(problem.prompt, f"{gold.text}\x1f{text}", tolerance, algebra)
    try:
        forms = comparison.in_one_form(gold.node, node)
        refuse_candidates(*forms)
        if _needs_number(problem) and not unworked.is_number(forms[1]):
            raise Refused("an expression, a list or text where a number is asked for")
        unworked.check_no_equation_of_question(node, text, problem.prompt)
        unworked.check(*forms, problem.prompt)
        same = comparison.same(*forms)
    except Unreadable as error:
        return Decision(False, "exact", str(error))
    reason = "compared as text" if "text" in (gold.node.op, node.op) else "not the gold answer"
    return Decision(same, "exact" if algebra is None else "algebra", reason)


def joined(answers: Sequence[str], problem: Problem) -> str:
    """Return the last answer, or all different ones as a list if the gold answer is a list of that many."""
    gold, distinct = read_gold(problem.answer).node, list(dict.fromkeys(answer.strip() for answer in answers))
    is_list = gold.op in ("list", "set") and len(gold.args) == len(distinct) > 1
    return ", ".join(distinct) if is_list and not any("," in answer for answer in distinct) else answers[-1]


def check(problem: Problem) -> None:
    """Raise InputError, naming the problem, for a gold answer that is not the number it must be."""
    gold, tolerance = read_gold(problem.answer), problem.metadata.get("tolerance", 0.0)
    if not isinstance(tolerance, int | float) or not 0.0 <= tolerance < 1.0:
        raise InputError(f"problem {problem.id!r}: tolerance must be a number from 0 to 1; got {shorten(tolerance)}")
    if _needs_number(problem) and not unworked.is_number(gold.node):
        raise InputError(f"problem {problem.id!r}: a number is needed; the gold answer is {shorten(problem.answer)}")


def _needs_number(problem: Problem) -> bool:
    return problem.verifier == "arithmetic" or bool(problem.metadata.get("evaluated"))


@lru_cache(maxsize=4096)
def read_gold(text: str) -> Gold:
    """Read a gold answer, cached. One that can't be read, or is past the limits, is text: equal only to itself."""
    spelled = text
    try:
        spelled = canonical(text)
        node = read(spelled)
        for scalar in unworked.scalars(node):
            _is_rational(scalar)
    except (Refused, Unreadable):
        node = Node("text", value=spelled)
    return Gold(spelled, node)


def read_as(answer: str) -> str:
    """Return the kinds and values in an answer as read, such as "tuple(number 1, number 2)", or why it is refused."""
    try:
        return _shown(read(canonical(answer)))
    except Refused as error:
        return str(error)


def _shown(node: Node) -> str:
    args = f"({', '.join(map(_shown, node.args))})" if node.args else ""
    return f"{node.op}{' ' if node.value != '' else ''}{node.value}{args}"


def is_text(problem: Problem) -> bool:
    """Test for a gold answer that is compared as a string only: words, or what can't be read as mathematics."""

    def is_text_only(node: Node) -> bool:
        is_list = node.op in ("list", "set", "tuple") and bool(node.args)
        is_word = node.op == "text" or (node.op == "word" and len(str(node.value)) > 1)
        return is_word or (is_list and all(map(is_text_only, node.args)))

    return is_text_only(read_gold(problem.answer).node)


def check_algebra(problems: Sequence[Problem]) -> None:
    """Raise MissingExtraError, naming the problem, for the first gold answer that needs the missing math-verify.

    These are gold answers with a root, a function or the like. An irrational answer to a rational gold answer is rare:
    without the library its verdict is an error.
    """
    if importlib.util.find_spec(LIBRARY) is not None:
        return
    for problem in problems:
        scalars = unworked.scalars(read_gold(problem.answer).node) if problem.verifier in ("math", "arithmetic") else ()
        if not all(map(_is_rational, scalars)):
            with needs_extra(
                "math", f"problem {shorten(problem.id)}: comparing answers with {shorten(problem.answer)}"
            ):
                raise ModuleNotFoundError(LIBRARY, name="math-verify")


def _is_rational(scalar: Node) -> bool:
    """Test for an expression that needs no computer algebra. Raises Refused and Unreadable for one without a value."""
    try:
        value_of(scalar)
    except NeedsAlgebra:
        return False
    return True
