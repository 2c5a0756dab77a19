"""All tasks by name - data sets, generated ones, your files - and how their problems are loaded."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.problems.generated import GENERATED, GYM_NUMBERS, GYM_TEXTS, generate
from rlvrscope.problems.hub import DATA_SETS, read_hub
from rlvrscope.problems.problem_files import read_problems
from rlvrscope.tables.formats import suffix_of
from rlvrscope.tables.values import shorten
from rlvrscope.verify import check_problem


def names() -> list[str]:
    """Every name that `load` knows, besides paths of files."""
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
    """The problems of a task, each checked: a name, or a file of your own.

    split: of a data set; by default its first. count: the first so many; generated tasks make 100 unless told. seed: of
    generated tasks. source: a folder with a copy of the data set's repository, where the hub can't be reached.
    fields: of a file, pairs "ours=theirs" for columns called otherwise: prompt=question.

    Raises InputError for an unknown task or split (with the nearest name), for a problem without a gold answer or with
    one that can't be read (with its id), and for two with one id; WorkError where the hub can't be reached.
    """
    if suffix_of(Path(task)):
        _refuse(split=split, source=source, of="a file")
        return read_problems(Path(task), fields)[:count]
    name = str(task)
    if fields:
        raise InputError(f"--field is for files of your own, and {name!r} is none: leave it out")
    if name in DATA_SETS:
        found = read_hub(name, split, source)
    elif name in GENERATED or name.startswith("gym:"):
        _refuse(split=split, source=source, of="a generated task")
        found = generate(name, 100 if count is None else count, seed)
    else:
        raise unknown(name, names())
    return _checked(found, count)


def unknown(name: str, known: Sequence[str]) -> InputError:
    """There are too many names to list them all."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Nearest: {', '.join(close)}. " if close else ""
    return InputError(
        f"nothing is called {name!r}. {hint}`rlvrscope tasks list` has all; a file ends in .csv, .jsonl, ..."
    )


def _refuse(split: str | None, source: Path | None, of: str) -> None:
    if split is not None or source is not None:
        raise InputError(f"{of} has no split and no source: leave them out")


def _checked(found: Iterator[tuple[str, Problem]], count: int | None) -> list[Problem]:
    problems: dict[str, Problem] = {}
    for where, problem in found:
        if count is not None and len(problems) == count:
            break
        problem = _numbered(problem, problems, where)
        try:
            check_problem(problem)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        problems[problem.id] = problem
    if not problems:
        raise InputError("the task has no problem")
    return list(problems.values())


def _numbered(problem: Problem, known: Mapping[str, Problem], where: str) -> Problem:
    """A problem that the data set has twice, word for word, is its own second: which row is which does not matter."""
    name = problem.id
    for time in itertools.count(2):
        if problem.id not in known:
            return problem
        if replace(known[problem.id], id=name) != replace(problem, id=name):
            raise InputError(f"{where}: another problem has the id {shorten(name)}")
        problem = replace(problem, id=f"{name} ({time})")
    raise AssertionError
