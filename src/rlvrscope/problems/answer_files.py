"""Answers to verify, from a file or a folder of files: a row an answer, with its problem."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.problems.problem_files import FIELDS, Defaults, is_empty, problem_of, read_rows
from rlvrscope.tables.formats import KINDS, files_in
from rlvrscope.tables.values import message_text, shorten, to_json

LABELS = ("problem", "cluster", "model", "step", "base", "seed")
"""Columns that say whose answer it is, as `rlvrscope boundary` reads them. Where there is no `problem`, `id` is."""


@dataclass
class Answers:
    """Lists of the same length. labels: what a row has of LABELS; its `problem` also where its id or prompt says it."""

    texts: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    labels: list[Mapping[str, Any]] = field(default_factory=list)


def read_answers(
    path: Path, fields: Sequence[str] = (), defaults: Defaults | None = None, only: int | None = None
) -> Answers:
    """Every row of a file, or of the files of a folder one after the other. only: that row alone, counted from 1.

    Rows of one problem share it, so that its gold answer is checked once. Raises InputError, naming file and row, for
    what `problem_of` refuses, for a row without a text, and for a problem with two gold answers.
    """
    files = files_in(path) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: there is no {', '.join(KINDS)} file in this folder")
    rows = itertools.chain.from_iterable(_rows(file, fields) for file in files)
    found, shared, golds = Answers(), {}, {}
    for where, row in rows if only is None else itertools.islice(rows, only - 1, only):
        key = to_json([row.get(name) for name in (*FIELDS, "problem")])
        if key not in shared:
            shared[key] = _problem(row, where, defaults or Defaults())
            _check_gold(shared[key], where, golds)
        found.texts.append(_text(row.get("text"), where))
        found.problems.append(shared[key])
        found.labels.append(_labels(row, shared[key]))
    if not found.texts:
        raise InputError(f"{path}: no rows: nothing to verify" if only is None else f"{path}: there is no row {only}")
    return found


def _rows(path: Path, fields: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    return read_rows(path, fields, needed=("text", "answer"), known=tuple(dict.fromkeys(("text", *FIELDS, *LABELS))))


def _problem(row: Mapping[str, Any], where: str, defaults: Defaults) -> Problem:
    named = row if is_empty(row, "problem") else {**row, "id": row["problem"]}
    return problem_of(named, where, defaults)


def _check_gold(problem: Problem, where: str, golds: dict[str, tuple[str, str]]) -> None:
    gold, first = golds.setdefault(problem.id, (problem.answer, where))
    if gold != problem.answer:
        raise InputError(
            f"{where}: problem {shorten(problem.id)} has the gold answer {shorten(problem.answer)} here, "
            f"and {shorten(gold)} at {first}"
        )


def _text(value: Any, where: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise InputError(f"{where}: there is no text; an answer that says nothing is an empty text")
    if isinstance(value, dict):
        raise InputError(f"{where}: text must be a text, or chat messages in a list; got {shorten(value)}")
    return message_text(_said(value) if isinstance(value, list) else value)


def _said(messages: list[Any]) -> list[Any]:
    """Of a whole chat, what comes after the last message that the model did not write: a question may hold a box."""
    roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
    asked = [place for place, role in enumerate(roles) if role in ("system", "developer", "user")]
    return messages[asked[-1] + 1 :] if asked else messages


def _labels(row: Mapping[str, Any], problem: Problem) -> dict[str, Any]:
    labels = {name: row[name] for name in LABELS if not is_empty(row, name)}
    known = any(not is_empty(row, name) for name in ("problem", "id", "prompt"))
    return ({"problem": problem.id} if known else {}) | {k: v for k, v in labels.items() if k != "problem"}
