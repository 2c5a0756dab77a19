"""Answers to verify, from a file or a folder of files: one row per answer or per problem, with its problem."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.problems.file_rows import FileRow, FileRows
from rlvrscope.problems.gold_answers import GoldCounts
from rlvrscope.problems.problem_files import FACTS, FIELDS, Defaults, ids_of_one_problem, problem_of
from rlvrscope.problems.tool_files import Evaluations
from rlvrscope.tables.folders import FolderTables
from rlvrscope.tables.nested import is_chat, is_samples, samples_in
from rlvrscope.tables.values import join_names, message_text, shorten, to_json

LABELS = ("problem", "cluster", "model", "step", "base", "seed")
"""Columns that identify an answer, as `rlvrscope boundary` reads them; `id` replaces a missing `problem`."""
OF_SAMPLES = ("finish", "tokens", "reasoning")
"""Columns with a value for each completion: why it ended, its length, and the reasoning before it. With a list of texts
they are lists."""
PROMPT_ROLES = ("system", "developer", "user")


@dataclass(frozen=True)
class Answer:
    """A completion's text with its problem. labels: the values of LABELS and OF_SAMPLES that the row has."""

    text: str
    problem: Problem
    labels: Mapping[str, Any]


@dataclass
class Answers:
    """Lists of one length. labels: the values of LABELS and OF_SAMPLES; `problem` is also derived from id or prompt.

    notes: one line for each thing that was done to the rows.
    """

    texts: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    labels: list[Mapping[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Item:
    """One completion with its gold answer and its values of OF_SAMPLES."""

    row: FileRow
    completion: Any
    gold: Any
    facts: Mapping[str, Any]


def read_answers(
    path: Path, fields: Sequence[str] = (), defaults: Defaults | None = None, only: int | None = None
) -> Answers:
    """Read every answer of a file, or of all files of a folder, like AnswerReader.

    only: read this item alone, counted from 1.
    """
    reader, answers = AnswerReader([path], fields, defaults), Answers()
    for answer in reader if only is None else itertools.islice(reader, only - 1, only):
        answers.texts.append(answer.text)
        answers.problems.append(answer.problem)
        answers.labels.append(answer.labels)
    if not answers.texts:
        raise InputError(f"{path}: no rows: nothing to verify" if only is None else f"{path}: there is no item {only}")
    answers.notes = reader.notes(whole=only is None)
    return answers


class AnswerReader:
    """Answers of files, one by one.

    A list of texts (or of chats) in a row holds one answer each; a list of gold answers of that length goes with it.
    Answers to one problem share one Problem, whose gold answer is checked once. Raises InputError, naming file, row and
    column, as `problem_of` does, for a row without a text, and for a problem with two gold answers.
    """

    def __init__(self, paths: Sequence[Path], fields: Sequence[str] = (), defaults: Defaults | None = None) -> None:
        """paths: files, or folders with tables in them. Raises InputError for a folder without any."""
        known = tuple(dict.fromkeys(("text", *FIELDS, *LABELS, *OF_SAMPLES)))
        self.files: list[FileRows] = []
        """Files in the order in which they are read."""
        self._left_out: list[str] = []
        for path in paths:
            open_one = functools.partial(FileRows.open, fields=fields, needed=("text", "answer"), known=known)
            opened = FolderTables.open(path, open_one) if path.is_dir() else FolderTables([open_one(path)], [])
            self.files += opened.tables
            self._left_out += opened.left_out
        self._catalogue = _Catalogue(defaults or Defaults())
        self._answers = self._lists = 0

    def __iter__(self) -> Iterator[Answer]:
        evaluations = Evaluations()
        for file in self.files:
            evaluations.add(file.evaluation, file.path)
        for row in itertools.chain.from_iterable(self.files):
            self._lists += is_samples(row.get("text"))
            for item in _items(row):
                problem = self._catalogue.problem_of(item)
                self._answers += 1
                yield Answer(_text(item), problem, _labels(row, problem) | dict(item.facts))

    def notes(self, whole: bool = True) -> list[str]:
        """Return one line for each thing that was done to the rows read so far. whole: all were read."""
        notes = list(dict.fromkeys(note for file in self.files for note in file.notes))
        if len(self.files) > 1:
            notes.append(f"{len(self.files)} files: {join_names(file.path.name for file in self.files)}")
        if self._left_out:
            notes.append(f"files left out: {join_names(self._left_out)}")
        if self._lists and whole:
            notes.append(f"{self._answers:,} completions, in lists in {self._lists:,} rows")
        return [*notes, *self._catalogue.notes()]


class _Catalogue:
    """The problems of the rows read so far, each with one gold answer."""

    def __init__(self, defaults: Defaults) -> None:
        self.defaults, self.golds = defaults, GoldCounts()
        self.by_row: dict[str, Problem] = {}
        self.first: dict[str, tuple[Problem, str]] = {}
        """The first problem of each id, and its row."""

    def problem_of(self, item: _Item) -> Problem:
        """Return the problem, shared with other rows of the same content. Raises InputError for two gold answers."""
        row = item.row
        key = to_json([item.gold, *(row.get(name) for name in (*FIELDS, "problem") if name != "answer")])
        if key not in self.by_row:
            problem, rules = problem_of(row, item.gold, self.defaults, row.label("problem"))
            if problem.id not in self.first:
                self.golds.add(problem, rules)
            first, where = self.first.setdefault(problem.id, (problem, row.where))
            for name, before, now in (
                ("gold answer", first.answer, problem.answer),
                ("prompt", first.prompt, problem.prompt),
            ):
                if before != now and before and now:
                    raise InputError(
                        f"{row.where}: problem {shorten(problem.id)} has the {name} {shorten(now)} here, "
                        f"but {shorten(before)} at {where}. Problems that differ need ids that differ"
                    )
            self.by_row[key] = problem
        return self.by_row[key]

    def notes(self) -> list[str]:
        return [*ids_of_one_problem(problem for problem, _ in self.first.values()), *self.golds.notes()]


def _items(row: FileRow) -> Iterator[_Item]:
    """Yield the completions of a row. Raises InputError for an empty list, or one of another length beside it."""
    value, gold = row.get("text"), row.get("answer")
    facts = {name: row.get(name) for name in OF_SAMPLES if row.has(name)}
    if not is_samples(value):
        yield _Item(row, value, gold, facts)
        return
    completions = samples_in(value)
    if not completions:
        raise row.error("text", "an empty list where completions are needed; write an empty answer as an empty text")
    for name, beside in {"answer": gold, **facts}.items():
        values = len(beside) if isinstance(beside, list) else 1
        if values != len(completions) and (name != "answer" or values != 1):
            raise row.error(name, f"{values} values for {len(completions)} completions: give one for each")
    for index, completion in enumerate(completions):
        own_gold = gold[index] if isinstance(gold, list) and len(gold) == len(completions) else gold
        own_facts = {name: value[index] if isinstance(value, list) else value for name, value in facts.items()}
        yield _Item(row, completion, own_gold, own_facts)


def _text(item: _Item) -> str:
    """The completion's text; of a chat, what the model wrote last."""
    value = item.completion
    if is_chat(value):
        roles = [message["role"] for message in value]
        if roles[-1] in PROMPT_ROLES:
            raise item.row.error("text", f"the chat ends with a message of {roles[-1]!r}: it holds no answer")
        prompts = [index for index, role in enumerate(roles) if role in PROMPT_ROLES]
        value = value[prompts[-1] + 1 :] if prompts else value  # a question may contain a box
    elif value is None and item.facts.get("finish") is not None:
        return ""  # cut off within its reasoning: a sample without an answer
    elif value is None or (isinstance(value, float) and math.isnan(value)):
        raise item.row.error("text", "there is no text; write an empty answer as an empty text")
    elif isinstance(value, list | dict):
        raise item.row.error("text", f"text must be a text, or chat messages with roles; got {shorten(value)}")
    return message_text(value)


def _labels(row: FileRow, problem: Problem) -> dict[str, Any]:
    labels = {name: row.get(name) for name in LABELS if row.label(name) is not None}
    if any(row.has(name) for name in ("problem", "id", "prompt")):
        labels = {"problem": problem.id} | {name: value for name, value in labels.items() if name != "problem"}
    return labels | {name: problem.metadata[name] for name in FACTS if name in problem.metadata}
