"""Problems from CSV, JSONL or Parquet files: one row per problem, with a map of column names."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.plugins import Plugin
from rlvrscope.problem import Problem
from rlvrscope.tables.formats import open_table, parse_column_map
from rlvrscope.tables.values import join_names, message_text, prompt_id, shorten, to_label, to_text
from rlvrscope.verify import VERIFIERS, check_problem
from rlvrscope.verify.extract import check_forms

METADATA = ("choices", "numbers", "use", "forms", "evaluated")
"""Fields that verifiers read from the metadata (docs: Verifying answers)."""
FIELDS = ("id", "prompt", "answer", "cluster", "verifier", *METADATA)
_LISTS = ("choices", "numbers", "forms")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Defaults:
    """Values for rows that do not state them. verifier: a name, or, unlike in a file, the user's file.py:NAME.

    Raises InputError for an unknown verifier or form.
    """

    verifier: str = "math"
    forms: tuple[str, ...] = ()
    evaluated: bool = False

    def __post_init__(self) -> None:
        if self.verifier not in VERIFIERS and not Plugin.parse(self.verifier):
            known = [*VERIFIERS, "file.py:NAME"]
            raise InputError(f"unknown verifier {shorten(self.verifier)}. {did_you_mean(self.verifier, known)}")
        if self.forms:
            check_forms(self.forms)


def read_problems(path: Path | str, fields: Sequence[str] = (), defaults: Defaults | None = None) -> list[Problem]:
    """Read every problem of a file. fields: pairs "name=column" for columns with other names: prompt=question.

    A problem without an id gets the start of its prompt and a hash, the same in any order. Raises InputError, naming
    file, row and field, for missing or unknown values, duplicate ids and unusable gold answers; MissingExtraError for
    Parquet without pyarrow.
    """
    problems: dict[str, Problem] = {}
    for where, row in read_rows(Path(path), fields, needed=("prompt", "answer"), known=FIELDS):
        problem = problem_of(row, where, defaults or Defaults())
        if problem.id in problems:
            raise InputError(f"{where}: another problem has the id {shorten(problem.id)}: ids must be unique")
        problems[problem.id] = problem
    if not problems:
        raise InputError(f"{path}: no rows: there is no problem in it")
    return list(problems.values())


def read_rows(
    path: Path, fields: Sequence[str], needed: Sequence[str], known: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ("file: line 3", row by field name) for every row. Raises InputError for a missing column."""
    column_of = parse_column_map(fields, known, "--field", "prompt=question")
    table = open_table(path)
    for field, column in column_of.items():
        if column not in table.names:
            raise InputError(f"{path} has no column {column!r} ({field}). {did_you_mean(column, table.names)}")
    columns = {field: column_of.get(field, field) for field in known if column_of.get(field, field) in table.names}
    for field in needed:
        if field not in columns:
            raise InputError(
                f"{path} has no column {field!r}; it has {join_names(table.names)}. If the column has another name, "
                f"use --field {field}=NAME"
            )
    for batch in table.batches(list(dict.fromkeys(columns.values()))):
        values = {field: batch.columns[column].list() for field, column in columns.items()}
        for index, number in enumerate(batch.row_B.tolist()):
            yield f"{path}: {table.row} {number}", {field: column[index] for field, column in values.items()}


def problem_of(row: Row, where: str, defaults: Defaults) -> Problem:
    """Return the problem of a row by field name, checked. Raises InputError that begins with `where`."""
    prompt, answer = message_text(row.get("prompt")), _gold(row.get("answer"), where)
    metadata = {name: _metadata(name, row[name], where) for name in METADATA if not is_empty(row, name)}
    if defaults.forms:
        metadata.setdefault("forms", list(defaults.forms))
    if defaults.evaluated:
        metadata.setdefault("evaluated", True)
    problem = Problem(
        id=prompt_id(prompt, answer) if is_empty(row, "id") else to_text(row["id"]),
        prompt=prompt,
        answer=answer,
        verifier=_verifier(row, where) or defaults.verifier,
        cluster=None if is_empty(row, "cluster") else to_text(row["cluster"]),
        metadata=metadata,
    )
    try:
        check_problem(problem)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return problem


def is_empty(row: Row, name: str) -> bool:
    return to_label(row.get(name)) is None


def _gold(value: Any, where: str) -> str:
    """The gold answer as text. NaN means a missing value, also when written as text."""
    if isinstance(value, list | dict):
        raise InputError(f"{where}: the gold answer must be a text or a number; got {shorten(value)}")
    answer = to_text(value).strip()
    if not answer or answer.lower() == "nan":
        raise InputError(f"{where}: there is no gold answer{f'; it is {answer}' if answer else ''}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: the gold answer must be finite, or LaTeX such as \\infty; got {answer}")
    return answer


def _verifier(row: Row, where: str) -> str | None:
    """A name of VERIFIERS only: a data file must not choose code to run."""
    if is_empty(row, "verifier"):
        return None
    name = to_text(row["verifier"])
    if name not in VERIFIERS:
        raise InputError(f"{where}: unknown verifier {shorten(name)}. {did_you_mean(name, list(VERIFIERS))}")
    return name


def _metadata(name: str, value: Any, where: str) -> Any:
    """The value of a metadata field: a flag, a list or a text."""
    if name == "evaluated":
        text = to_text(value).strip().lower()
        if text not in ("true", "1", "false", "0"):
            raise InputError(f"{where}: {name} must be true or false; got {shorten(value)}")
        return text in ("true", "1")
    if name not in _LISTS:
        return to_text(value)
    if isinstance(value, str):  # a CSV cell holds a list as JSON
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: {name} must be a list, as JSON; got {shorten(value)}") from error
    if not isinstance(value, list):
        raise InputError(f"{where}: {name} must be a list; got {shorten(value)}")
    return value if name == "numbers" else [to_text(part) for part in value]
