"""Answers to verify, from a file or a folder of files: one row per answer, with its problem."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.problems.problem_files import FIELDS, Defaults, is_empty, problem_of, read_rows
from rlvrscope.tables.formats import KINDS, files_in
from rlvrscope.tables.values import message_text, shorten, to_json

LABELS = ("problem", "cluster", "model", "step", "base", "seed")
"""Columns that identify an answer, as `rlvrscope boundary` reads them; `id` replaces a missing `problem`."""


@dataclass
class Answers:
    """Lists of one length. labels: a row's values of LABELS, with `problem` also derived from its id or prompt."""

    texts: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    labels: list[Mapping[str, Any]] = field(default_factory=list)


def read_answers(
    path: Path, fields: Sequence[str] = (), defaults: Defaults | None = None, only: int | None = None
) -> Answers:
    """Read every row of a file, or of all files of a folder. only: read this row alone, counted from 1.

    Rows of one problem share one Problem, whose gold answer is checked once. Raises InputError, naming file and row,
    as `problem_of` does, for a row without a text, and for a problem with two gold answers.
    """
    files = files_in(path) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: there is no {', '.join(KINDS)} file in this folder")
    known = tuple(dict.fromkeys(("text", *FIELDS, *LABELS)))
    rows = itertools.chain.from_iterable(read_rows(file, fields, ("text", "answer"), known) for file in files)
    answers = Answers()
    problem_by_row: dict[str, Problem] = {}
    first_gold: dict[str, tuple[str, str]] = {}
    for where, row in rows if only is None else itertools.islice(rows, only - 1, only):
        key = to_json([row.get(name) for name in (*FIELDS, "problem")])
        if key not in problem_by_row:
            named_row = row if is_empty(row, "problem") else {**row, "id": row["problem"]}
            problem_by_row[key] = problem_of(named_row, where, defaults or Defaults())
            _check_gold(problem_by_row[key], where, first_gold)
        answers.texts.append(_text(row.get("text"), where))
        answers.problems.append(problem_by_row[key])
        answers.labels.append(_labels(row, problem_by_row[key]))
    if not answers.texts:
        raise InputError(f"{path}: no rows: nothing to verify" if only is None else f"{path}: there is no row {only}")
    return answers


def _check_gold(problem: Problem, where: str, first_gold: dict[str, tuple[str, str]]) -> None:
    gold, first = first_gold.setdefault(problem.id, (problem.answer, where))
    if gold != problem.answer:
        raise InputError(
            f"{where}: problem {shorten(problem.id)} has the gold answer {shorten(problem.answer)} here, "
            f"but {shorten(gold)} at {first}"
        )


def _text(value: Any, where: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise InputError(f"{where}: there is no text; write an empty answer as an empty text")
    if isinstance(value, dict):
        raise InputError(f"{where}: text must be a text, or chat messages in a list; got {shorten(value)}")
    return message_text(_completion(value) if isinstance(value, list) else value)


def _completion(messages: list[Any]) -> list[Any]:
    """The messages after the last one that the model did not write, since a question may contain a box."""
    roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
    prompts = [index for index, role in enumerate(roles) if role in ("system", "developer", "user")]
    return messages[prompts[-1] + 1 :] if prompts else messages


def _labels(row: Mapping[str, Any], problem: Problem) -> dict[str, Any]:
    labels = {name: row[name] for name in LABELS if not is_empty(row, name)}
    if any(not is_empty(row, name) for name in ("problem", "id", "prompt")):
        labels = {"problem": problem.id} | {name: value for name, value in labels.items() if name != "problem"}
    return labels
