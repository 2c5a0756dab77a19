r"""Gold answers as files give them: a text or number, a worked solution, or a list with one answer."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.tables.values import shorten, to_text
from rlvrscope.verify.decision import Refused
from rlvrscope.verify.extract import FORMS, extract
from rlvrscope.verify.math.math_verifier import is_text

RULES = {
    "hashes": "are worked solutions: the part after #### is used",
    "boxed": "are texts with a \\boxed{}: its content is used",
    "boxes": "are texts with several \\boxed{}: the content of the last one is used",
    "list": "are lists of one answer: that answer is used",
}
WITH_SOLUTIONS = ("math", "arithmetic", "choice", "countdown")
"""Verifiers whose gold answers are short, so that a worked solution can be recognised."""
_HASHES = re.compile(r"(?:^|\n)[ \t]*####[ \t]*([^\n]*\S)\s*$")


def gold_answer(value: Any, verifier: str) -> tuple[str, tuple[str, ...]]:
    r"""Return a gold answer as text, with the names of the RULES that were applied.

    >>> gold_answer("2 x 3 = 6 nuts.\n#### 6", "math"), gold_answer(["2"], "math")
    (('6', ('hashes',)), ('2', ('list',)))

    Raises InputError for a missing value, NaN (also as text), an object and a list of several answers.
    """
    rules: list[str] = []
    items = _json_list(value) if verifier in WITH_SOLUTIONS else value
    if isinstance(items, list):
        value = _only_item(items)
        rules.append("list")
    if isinstance(value, list | dict):
        raise InputError(f"the gold answer must be a text or a number; got {shorten(value)}")
    answer = to_text(value).strip()
    if verifier in WITH_SOLUTIONS:
        answer, rule = _from_solution(answer)
        rules += rule
    if not answer or answer.lower() == "nan":
        raise InputError(f"there is no gold answer{f'; it is {answer}' if answer else ''}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"the gold answer must be finite, or LaTeX such as \\infty; got {answer}")
    return answer, tuple(rules)


def boxed_answer(solution: str) -> str | None:
    r"""Return the last \boxed{} of a solution, also when written \boxed 5 or \fbox{5}; None without one."""
    try:
        answers = extract(solution)
    except Refused as error:
        raise InputError(f"the answer of the solution can't be read: {error}") from error
    return answers[-1] if answers and answers[-1].strip() else None


def _only_item(items: list[Any]) -> Any:
    if len(items) != 1:
        raise InputError(
            f"the gold answer is a list of {len(items)}, and it is not known whether one or all of them are needed: "
            f"write one text, such as '1, 2' for both; got {shorten(items)}"
        )
    return items[0]


def _json_list(value: Any) -> Any:
    """Read a list of texts written as JSON: '["34"]'. Brackets without quotes may be an interval."""
    if isinstance(value, str) and value.lstrip().startswith('["'):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _from_solution(text: str) -> tuple[str, list[str]]:
    if match := _HASHES.search(text):
        return match[1], ["hashes"]
    if "\\boxed" in text or "\\fbox" in text:
        answer = boxed_answer(text)
        if answer is not None:
            contents = {re.sub(r"\s", "", content) for content in FORMS["boxed"](text)}
            return answer.strip(), ["boxes" if len(contents) > 1 else "boxed"]
    return text, []


@dataclass
class GoldCounts:
    """Counts over gold answers: how many there are, by rule, and how many are compared as text only."""

    total: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    as_text: int = 0

    def add(self, problem: Problem, rules: Iterable[str]) -> None:
        self.total += 1
        self.by_rule.update(rules)
        self.as_text += problem.verifier in ("math", "arithmetic") and is_text(problem)

    def notes(self) -> list[str]:
        """Return one line for each rule that was applied, and one if there are gold answers compared as text."""
        counts = {text: self.by_rule[rule] for rule, text in RULES.items()}
        counts["are compared as text: `rlvrscope verify --list-golds` shows them"] = self.as_text
        return [f"{count:,} of {self.total:,} gold answers {text}" for text, count in counts.items() if count]
