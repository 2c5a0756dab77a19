"""Problems from CSV, JSON or Parquet files: one row per problem, with a map of column names."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.plugins import Plugin
from rlvrscope.problem import Problem
from rlvrscope.problems.file_rows import FileRow, FileRows
from rlvrscope.problems.gold_answers import GoldCounts, gold_answer
from rlvrscope.tables.values import prompt_id, shorten, to_json, to_text
from rlvrscope.verify import VERIFIERS, check_problem
from rlvrscope.verify.extract import check_forms

METADATA = ("choices", "numbers", "use", "forms", "evaluated")
"""Fields that verifiers read from the metadata (docs: Verifying answers)."""
FACTS = (
    "level", "difficulty", "subject", "type", "category", "topic", "domain", "source", "data_source", "split",
)  # fmt: skip
"""Fields that describe a problem: kept as metadata, for results by group."""
FIELDS = ("id", "prompt", "answer", "cluster", "verifier", *METADATA, *FACTS)
MAX_FACT_CHARACTERS = 200
_LISTS = ("choices", "numbers", "forms")


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


@dataclass(frozen=True)
class LoadedProblems:
    """Problems, with one line for each thing that was done to the rows to get them."""

    problems: list[Problem]
    notes: list[str]


def read_problems(path: Path | str, fields: Sequence[str] = (), defaults: Defaults | None = None) -> list[Problem]:
    """Read every problem of a file. fields: pairs "name=column" for columns with other names: prompt=question.

    A problem without an id gets the start of its prompt and a hash, the same in any order. Rows that repeat a problem
    are one problem. Warns of worked solutions and lists as gold answers, and of repeated rows.

    Raises InputError, naming file, row and field, for missing or unknown values, one id for two problems and unusable
    gold answers; MissingExtraError for Parquet without pyarrow.
    """
    loaded = load_problems(path, fields, defaults)
    for note in loaded.notes:
        warnings.warn(f"{path}: {note}", stacklevel=2)
    return loaded.problems


def load_problems(path: Path | str, fields: Sequence[str] = (), defaults: Defaults | None = None) -> LoadedProblems:
    """Read problems like `read_problems`, with the warnings as notes."""
    problems: dict[str, Problem] = {}
    first_row: dict[str, str] = {}
    repeats, golds = Counter[str](), GoldCounts()
    rows = FileRows.open(Path(path), fields, needed=("prompt", "answer"), known=FIELDS)
    for row in rows:
        if not row.has("prompt"):
            raise row.error("prompt", "there is no prompt")
        problem, rules = problem_of(row, row.get("answer"), defaults or Defaults())
        known = problems.setdefault(problem.id, problem)
        if known != problem:
            raise InputError(
                f"{row.where}: another problem has the id {shorten(problem.id)}, at {first_row[problem.id]}: ids must "
                "be unique, and rows that repeat a problem must agree in everything"
            )
        if not repeats[problem.id]:
            first_row[problem.id] = row.where
            golds.add(problem, rules)
        repeats[problem.id] += 1
    if not problems:
        raise InputError(f"{path}: no rows: there is no problem in it")
    notes = [*rows.notes, *_repeats(repeats), *ids_of_one_problem(problems.values()), *golds.notes()]
    return LoadedProblems(list(problems.values()), notes)


def _repeats(rows: Counter[str]) -> list[str]:
    """One line if rows repeat a problem."""
    min_rows, max_rows = min(rows.values()), max(rows.values())
    if max_rows == 1:
        return []
    times = f"each {max_rows:,} times" if min_rows == max_rows else f"{min_rows:,} to {max_rows:,} times each"
    return [f"{rows.total():,} rows hold {len(rows):,} problem{'s' if len(rows) > 1 else ''}, {times}"]


def ids_of_one_problem(problems: Iterable[Problem]) -> list[str]:
    """Return one line if problems with different ids have the same prompt, gold answer and metadata."""
    with_prompts = [problem for problem in problems if problem.prompt]
    contents = [to_json([problem.prompt, problem.answer, dict(problem.metadata)]) for problem in with_prompts]
    different = len(set(contents))
    if different == len(contents):
        return []
    return [
        f"{len(contents):,} ids name {different:,} different problem{'s' if different > 1 else ''}: repeats are not "
        "independent, and without the ids they are read as one problem each"
    ]


def problem_of(row: FileRow, gold: Any, defaults: Defaults, key: str | None = None) -> tuple[Problem, tuple[str, ...]]:
    """Return the problem of a row with this gold answer, checked, and the RULES by which the gold answer was read.

    key: the problem's id, by default the row's. Raises InputError that begins with the row's place.
    """
    verifier = _verifier(row) or defaults.verifier
    try:
        answer, rules = gold_answer(gold, verifier)
    except InputError as error:
        raise row.error("answer", str(error)) from error
    metadata = {name: _metadata(name, row) for name in METADATA if row.has(name)}
    if defaults.forms:
        metadata.setdefault("forms", list(defaults.forms))
    if defaults.evaluated:
        metadata.setdefault("evaluated", True)
    prompt = row.prompt()
    problem = Problem(
        id=key or row.label("id") or prompt_id(prompt, answer),
        prompt=prompt,
        answer=answer,
        verifier=verifier,
        cluster=row.label("cluster"),
        metadata=metadata | _facts(row),
    )
    try:
        check_problem(problem)
    except InputError as error:
        raise InputError(f"{row.where}: {error}") from error
    return problem, rules


def _facts(row: FileRow) -> dict[str, str]:
    """The fields that describe the problem, without lists, objects and long texts."""
    values = {name: row.get(name) for name in FACTS if row.has(name)}
    facts = {name: to_text(value) for name, value in values.items() if not isinstance(value, list | dict)}
    return {name: fact for name, fact in facts.items() if len(fact) <= MAX_FACT_CHARACTERS}


def _verifier(row: FileRow) -> str | None:
    """A name of VERIFIERS only: a data file must not choose code to run."""
    name = row.label("verifier")
    if name is not None and name not in VERIFIERS:
        raise InputError(f"{row.where}: unknown verifier {shorten(name)}. {did_you_mean(name, list(VERIFIERS))}")
    return name


def _metadata(name: str, row: FileRow) -> Any:
    """The value of a metadata field: a flag, a list or a text."""
    value = row.get(name)
    if name == "evaluated":
        text = to_text(value).strip().lower()
        if text not in ("true", "1", "false", "0"):
            raise InputError(f"{row.where}: {name} must be true or false; got {shorten(value)}")
        return text in ("true", "1")
    if name not in _LISTS:
        return to_text(value)
    if isinstance(value, str):  # a CSV cell holds a list as JSON
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{row.where}: {name} must be a list, as JSON; got {shorten(value)}") from error
    if not isinstance(value, list):
        raise InputError(f"{row.where}: {name} must be a list; got {shorten(value)}")
    return value if name == "numbers" else [to_text(part) for part in value]
