"""The tasks by name (hub data sets, generated problems) or file, and loading of their problems."""

from __future__ import annotations

import difflib
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.problems.generated import GENERATED, GYM_NUMBERS, GYM_TEXTS, generate
from rlvrscope.problems.hub import DATA_SETS, read_hub
from rlvrscope.problems.problem_files import LoadedProblems, load_problems
from rlvrscope.tables.formats import suffix_of
from rlvrscope.tables.values import shorten
from rlvrscope.verify import check_problem


def names() -> list[str]:
    """Return every name that `load` accepts; it also accepts paths of files."""
    return [*DATA_SETS, *GENERATED, *(f"gym:{task}" for task in sorted((*GYM_NUMBERS, *GYM_TEXTS)))]


def load(
    task: str | Path,
    split: str | None = None,
    *,
    count: int | None = None,
    seed: int = 0,
    source: Path | None = None,
    fields: Sequence[str] = (),
) -> list[Problem]:
    """Load the problems of a task, by name or from a file, and check each.

    split: of a data set, by default its first. count: at most this many problems; generated tasks default to 100.
    seed: of generated tasks. source: a folder with a copy of the data set's repository, read instead of the hub.
    fields: for a file, pairs "name=column" for columns with other names: prompt=question. Warns like `read_problems`.

    Raises InputError for an unknown task or split (with the nearest name), a missing or unreadable gold answer (with
    the problem's id) and a duplicate id; WorkError if the hub can't be reached.
    """
    loaded = load_task(task, split, count=count, seed=seed, source=source, fields=fields)
    for note in loaded.notes:
        warnings.warn(f"{task}: {note}", stacklevel=2)
    return loaded.problems


def load_task(
    task: str | Path,
    split: str | None = None,
    *,
    count: int | None = None,
    seed: int = 0,
    source: Path | None = None,
    fields: Sequence[str] = (),
) -> LoadedProblems:
    """Load a task like `load`, with the warnings as notes."""
    name, is_file = str(task), is_task_file(task)
    is_generated = name in GENERATED or name.startswith("gym:")
    if (is_file or is_generated) and (split is not None or source is not None):
        raise InputError(f"a {'file' if is_file else 'generated task'} has no split and no source: leave them out")
    if is_file:
        loaded = load_problems(name, fields)
        return LoadedProblems(loaded.problems[:count], loaded.notes)
    if count is not None and count < 1:
        raise InputError(f"count must be at least 1; got {count}")
    if fields:
        raise InputError(f"--field is for files of your own; {name!r} is a task name: leave it out")
    if is_generated:
        return LoadedProblems(_checked(generate(name, 100 if count is None else count, seed), count), [])
    if name in DATA_SETS:
        return LoadedProblems(_checked(read_hub(name, split, source), count), [])
    raise unknown_task(name, names())


def is_task_file(task: str | Path) -> bool:
    """Test for the name of a file: one with a table's suffix, or an existing file that is not a task's name."""
    return bool(suffix_of(Path(task))) or (str(task) not in names() and Path(task).is_file())


def unknown_task(name: str, known: Sequence[str]) -> InputError:
    """Return the error for an unknown name, with the nearest of the `known` names."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Nearest: {', '.join(close)}. " if close else ""
    return InputError(
        f"unknown task {name!r}. {hint}`rlvrscope tasks list` shows all; the name of a file ends in .csv, .jsonl, ..."
    )


def _checked(located: Iterator[tuple[str, Problem]], count: int | None) -> list[Problem]:
    problems: dict[str, Problem] = {}
    for where, problem in itertools.islice(located, count):
        problem = _with_unique_id(problem, problems, where)
        try:
            check_problem(problem)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        problems[problem.id] = problem
    if not problems:
        raise InputError("the task has no problem")
    return list(problems.values())


def _with_unique_id(problem: Problem, known: Mapping[str, Problem], where: str) -> Problem:
    """Number exact repetitions of a problem in a data set: "id (2)". Raises InputError for another problem's id."""
    name, repetition = problem.id, 1
    while problem.id in known:
        if replace(known[problem.id], id=name) != replace(problem, id=name):
            raise InputError(f"{where}: another problem has the id {shorten(name)}")
        repetition += 1
        problem = replace(problem, id=f"{name} ({repetition})")
    return problem
