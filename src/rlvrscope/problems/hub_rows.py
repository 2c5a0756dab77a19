"""Rows of the hub's data sets as problems: which field is the question, which the answer, and in what form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.problems.templates import LETTERS
from rlvrscope.tables.values import prompt_id, shown, text_of
from rlvrscope.verify.extract import extract

Row = Mapping[str, Any]
_SHORT_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?:\{\s*)?(\\[A-Za-z]+|[^\s{}\\])")


def math(row: Row) -> Problem:
    r"""MATH: the gold answer is in the last \boxed of the solution."""
    solution = text_of(row["solution"])
    answer = row.get("answer") or boxed_of(solution)
    if not answer:
        raise InputError(f"no \\boxed answer in the solution {shown(solution[-60:])}")
    facts = {name: text_of(row[name]) for name in ("level", "type", "subject") if row.get(name) is not None}
    return _problem(row.get("unique_id"), row["problem"], answer, metadata=facts)


def competition(row: Row) -> Problem:
    """AIME and AMC: a number, now and then as a float (27.0)."""
    question = row.get("problem") if row.get("problem") is not None else row["question"]
    return _problem(row.get("id"), question, row["answer"], metadata={"evaluated": True})


def gsm8k(row: Row) -> Problem:
    """GSM8K: the gold answer stands after ####."""
    _, marked, answer = text_of(row["answer"]).rpartition("####")
    if not marked:
        raise InputError(f"no '#### x' in the answer {shown(text_of(row['answer'])[-60:])}")
    return _problem(None, row["question"], answer, metadata={"evaluated": True, "forms": ["boxed", "hashes"]})


def arc(row: Row) -> Problem:
    """ARC: options with labels A-D, or 1-4, which become letters."""
    texts, labels = list(row["choices"]["text"]), [text_of(label) for label in row["choices"]["label"]]
    key = text_of(row["answerKey"])
    if key not in labels:
        raise InputError(f"answerKey {key!r} is none of the labels {', '.join(labels)}")
    letter = LETTERS[labels.index(key)]
    return _problem(row.get("id"), row["question"], letter, "choice", {"choices": [text_of(text) for text in texts]})


def mmlu_pro(row: Row) -> Problem:
    """MMLU-Pro: up to ten options; the answer as a letter, and as its place."""
    letter, place = text_of(row["answer"]).strip(), row.get("answer_index")
    if place is not None and LETTERS[int(place)] != letter:
        raise InputError(f"answer {letter!r} is not at answer_index {place}")
    facts: dict[str, Any] = {"choices": [text_of(option) for option in row["options"]]}
    if row.get("category") is not None:
        facts["category"] = text_of(row["category"])
    return _problem(row.get("question_id"), row["question"], letter, "choice", facts)


def boxed_of(solution: str) -> str | None:
    r"""The last \boxed{} of a solution, also as \boxed 5 or \fbox{5}, which some solutions have."""
    found = extract(solution.replace("\\fbox", "\\boxed"))
    if found is not None and found.strip():
        return found
    short = _SHORT_BOX.findall(solution)
    return short[-1] if short else None


def _problem(
    key: Any, question: Any, answer: Any, verifier: str = "math", metadata: Mapping[str, Any] | None = None
) -> Problem:
    """The data set's own id, or one made of the question: the same in any order."""
    prompt, gold = text_of(question).strip(), text_of(answer).strip()
    if not gold:
        raise InputError("there is no gold answer")
    known = key is not None and text_of(key).strip()
    name = text_of(key).strip() if known else prompt_id(prompt, gold)
    return Problem(name, prompt, gold, verifier, metadata=metadata or {})
