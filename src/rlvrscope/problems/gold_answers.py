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
from rlvrscope.verify.math.content import Content, Items, Labelled, Named, Opaque, Words
from rlvrscope.verify.math.math_verifier import read_gold

RULES = {
    "hashes": "are worked solutions: the part after #### is used",
    "boxed": "are texts with a \\boxed{}: its content is used",
    "boxes": "are texts with several \\boxed{}: the content of the last one is used",
    "list": "are lists of one answer: that answer is used",
}
WITH_SOLUTIONS = ("math", "arithmetic", "choice", "countdown")
"""Verifiers whose gold answers are short, so that a worked solution can be recognised."""
MIN_SHARE_READ = 0.5
"""Smallest share of gold answers read as mathematics that needs no word."""
_HASHES = re.compile(r"(?:^|\n)[ \t]*####[ \t]*([^\n]*\S)\s*$")
_SHORT_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?:\{\s*)?(\\[A-Za-z]+|[^\s{}\\])")


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
        answer = extract(solution.replace("\\fbox", "\\boxed"))
    except Refused as error:
        raise InputError(f"the answer of the solution can't be read: {error}") from error
    if answer is not None and answer.strip():
        return answer
    short = _SHORT_BOX.findall(solution)
    return short[-1] if short else None


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
            contents = {re.sub(r"\s", "", content) for content in FORMS["boxed"](text.replace("\\fbox", "\\boxed"))}
            return answer.strip(), ["boxes" if len(contents) > 1 else "boxed"]
    return text, []


def _is_mathematics(content: Content) -> bool:
    """Test for more than words and unread strings."""
    if isinstance(content, Items):
        return not content.parts or any(map(_is_mathematics, content.parts))
    if isinstance(content, Named | Labelled):
        return _is_mathematics(content.content)
    return not isinstance(content, Opaque | Words)


@dataclass
class GoldCounts:
    """Counts over gold answers: how many there are, by rule, and how many are read as mathematics."""

    total: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    mathematical: int = 0
    read: int = 0

    def add(self, problem: Problem, rules: Iterable[str]) -> None:
        self.total += 1
        self.by_rule.update(rules)
        if problem.verifier in ("math", "arithmetic"):
            self.mathematical += 1
            self.read += _is_mathematics(read_gold(problem.answer).content)

    def notes(self) -> list[str]:
        """Return one line for each rule that was applied, and one if few gold answers are read as mathematics."""
        counts = {text: self.by_rule[rule] for rule, text in RULES.items()}
        notes = [f"{count:,} of {self.total:,} gold answers {text}" for text, count in counts.items() if count]
        if self.read < MIN_SHARE_READ * self.mathematical:
            others = "the others" if self.read else "they"
            notes.append(
                f"{self.read:,} of {self.mathematical:,} gold answers can be read as mathematics: {others} are "
                "compared as strings"
            )
        return notes
