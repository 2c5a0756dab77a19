"""Is a mathematical answer the gold one. Most is decided here; the rest is left to computer algebra in a worker."""

from __future__ import annotations

from dataclasses import replace

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.verify.decision import Broken, Decision, Refused
from rlvrscope.verify.math.compare import decide
from rlvrscope.verify.math.content import Content, Opaque, Value
from rlvrscope.verify.math.gold import read_gold
from rlvrscope.verify.math.latex import canonical
from rlvrscope.verify.math.normalise import alike
from rlvrscope.verify.math.reading import read
from rlvrscope.verify.math.worked import check_no_equation_of_question, check_worked_out, is_number


def judge(answer: str, problem: Problem) -> Decision:
    """Compare an extracted answer with the gold one.

    metadata: evaluated - the answer has to be a number, not an expression that comes to it. Raises Refused.
    """
    gold = read_gold(problem.answer)
    if isinstance(gold.content, Opaque) and canonical(answer) == gold.text:  # it may be past the limits of what is read
        return Decision(True, "string")
    given = read(answer)
    wanted, said = alike(gold.content, given.content, problem.prompt)
    if problem.metadata.get("evaluated") and not _is_evaluated(said):
        raise Refused("an expression, a list or text where a number is asked for")
    decision = decide(gold, given, problem.prompt)
    if decision.equal is not False and decision.path != "string":
        check_no_equation_of_question(gold.content, given, problem.prompt)
        check_worked_out(wanted, said, problem.prompt)
    return decision


def judge_number(answer: str, problem: Problem) -> Decision:
    """For arithmetic: the same, and the answer must be a number, worked out."""
    return judge(answer, _evaluated(problem))


def check(problem: Problem) -> None:
    """Raises InputError, naming the problem, for a gold answer that is broken, or that no answer can match."""
    try:
        content = read_gold(problem.answer).content
        if isinstance(content, Opaque) and content.broken:
            raise Broken(content.why)
        if problem.metadata.get("evaluated") and not _is_evaluated(content):
            raise Broken("it is no number, and one is asked for")
    except (Refused, Broken) as error:
        shown = problem.answer if len(problem.answer) <= 60 else f"{problem.answer[:57]}..."
        raise InputError(
            f"problem {problem.id!r}: the gold answer {shown!r} can't be read: {error}. Mend it or leave it out."
        ) from error


def check_number(problem: Problem) -> None:
    """The same, and the gold answer must be a number."""
    check(_evaluated(problem))


def _evaluated(problem: Problem) -> Problem:
    return replace(problem, metadata={**problem.metadata, "evaluated": True})


def _is_evaluated(content: Content) -> bool:
    return isinstance(content, Value) and is_number(content.node)
