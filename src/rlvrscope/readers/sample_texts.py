"""Single samples of a model with their texts and answers, read from their files on request."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvrscope.engines.engine import LIMIT_WORDS
from rlvrscope.readers.table_reader import TableReader
from rlvrscope.tables.nested import samples_in
from rlvrscope.tables.table import Batch, Column, group_rows
from rlvrscope.tables.values import message_text, to_label, to_number

CUT_OFF = (*LIMIT_WORDS, "true")
"""Words for a completion that ended at the token limit; "true" in a column that says whether it did."""
TEXT_ROWS = 256
"""Rows of a batch that holds texts."""


@dataclass(frozen=True)
class SampleText:
    """One sample as the model wrote it. The text is untrusted: escape it before showing it."""

    text: str
    answer: str | None
    correct: bool
    base: str | None = None
    seed: str | None = None


@dataclass
class ProblemSamples:
    """The samples of one problem, summed up. Answers are equal if their texts are.

    scores, answers, right: how often each score, each answer and each right answer came. finished: samples whose end
    is known; cut_off: those of them that ended at the token limit. length: tokens of all samples, or characters where
    tokens are not known; measured: samples with a length.
    """

    samples: int = 0
    scores: Counter[float] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    finished: int = 0
    cut_off: int = 0
    length: float = 0.0
    measured: int = 0


@dataclass(frozen=True)
class Samples:
    """The samples of one model at one step, in their tables."""

    readers: Sequence[TableReader]
    model: str | None
    step: int | None

    @property
    def has_texts(self) -> bool:
        return any("text" in reader.schema.names for reader in self.readers)

    @property
    def has_answers(self) -> bool:
        return all("answer" in reader.schema.names for reader in self.readers)

    def texts(self, problems: Collection[str], limit: int, correct: bool | None = None) -> dict[str, list[SampleText]]:
        """Read the first `limit` samples of each problem, in one pass; correct: only correct or only wrong ones.

        Parts of a table without any of them are skipped: the cheaper columns are read first to find out.
        """
        texts: dict[str, list[SampleText]] = {problem: [] for problem in problems}
        for reader in self.readers if self.has_texts else ():
            for part in reader.table.parts:
                expected = self._count(reader, part, texts, limit, correct) if reader.table.columnar else math.inf
                if expected > 0 and any(len(samples) < limit for samples in texts.values()):
                    self._read(reader, part, texts, limit, correct, expected)
        return texts

    def answers(self) -> tuple[list[str], list[str | None], list[bool]]:
        """Return (problem, answer, correct) of every sample, as three columns."""
        problems: list[str] = []
        answers: list[str | None] = []
        correct: list[bool] = []
        for reader in self.readers:
            name = reader.schema.names["answer"]
            for whole in reader.batches((name,)):
                batch = whole.select(self._selected(reader, whole))
                if len(batch.row_B):
                    problems += reader.problems(batch).list()
                    answers += batch.columns[name].map(to_label).list()
                    correct += reader.correct(batch).tolist()
        return problems, answers, correct

    @property
    def length_unit(self) -> str | None:
        """Unit of lengths: "tokens", or "characters" where only texts are known; None without either."""
        if all("tokens" in reader.schema.names for reader in self.readers):
            return "tokens"
        return "characters" if all("text" in reader.schema.names for reader in self.readers) else None

    def by_problem(self) -> dict[str, ProblemSamples]:
        """Sum up the samples of each problem, in one pass."""
        problems: dict[str, ProblemSamples] = {}
        for reader in self.readers:
            names = reader.schema.names
            length = {"tokens": "tokens", "characters": "text"}.get(self.length_unit or "", "")
            extra = tuple(names[column] for column in ("answer", "finish", length) if column in names)
            for whole in reader.batches(extra):
                batch = whole.select(self._selected(reader, whole))
                if len(batch.row_B):
                    _add_samples(problems, reader, batch, names.get(length))
        return problems

    def _count(
        self,
        reader: TableReader,
        part: int,
        texts: Mapping[str, Sequence[SampleText]],
        limit: int,
        correct: bool | None,
    ) -> int:
        """Return how many requested texts the part holds, from the columns without texts."""
        available: Counter[str] = Counter()
        for batch in reader.batches(parts=[part]):
            available.update(reader.problems(batch.select(self._selected(reader, batch, texts, correct))).list())
        return sum(min(count, limit - len(texts[problem])) for problem, count in available.items())

    def _read(
        self,
        reader: TableReader,
        part: int,
        texts: dict[str, list[SampleText]],
        limit: int,
        correct: bool | None,
        expected: float,
    ) -> None:
        names = reader.schema.names
        extra = tuple(names[column] for column in ("text", "answer") if column in names)
        for batch in reader.batches(extra, parts=[part], rows=TEXT_ROWS):
            unfinished = {problem for problem, samples in texts.items() if len(samples) < limit}
            for problem, sample in _samples(reader, batch.select(self._selected(reader, batch, unfinished, correct))):
                if len(texts[problem]) < limit:
                    texts[problem].append(sample)
                    expected -= 1
            if expected <= 0 or not unfinished:
                break

    def _selected(
        self, reader: TableReader, batch: Batch, problems: Collection[str] | None = None, correct: bool | None = None
    ) -> NDArray[np.bool_]:
        """Return (B,): is the row of this model and step, of one of the problems, and correct or wrong as requested."""
        model, step, _, _, problem, *_ = reader.keys(batch)
        selected_B = model.array(lambda value: value == self.model) & step.array(lambda value: value == self.step)
        if problems is not None:
            selected_B &= problem.array(lambda value: value in problems)
        return selected_B if correct is None else selected_B & (reader.correct(batch) == correct)


def _samples(reader: TableReader, batch: Batch) -> Iterator[tuple[str, SampleText]]:
    if not len(batch.row_B):
        return
    _, _, base, seed, problems, *_ = reader.keys(batch)
    empty: list[Any] = [None] * len(batch.row_B)
    text, answer = (
        batch.columns[reader.schema.names[column]].list() if column in reader.schema.names else empty
        for column in ("text", "answer")
    )
    columns = text, answer, reader.correct(batch).tolist(), base.list(), seed.list()
    for problem, text, answer, correct, base, seed in zip(problems.list(), *columns, strict=True):
        yield problem, SampleText(_completion(text), to_label(answer), correct, base, seed)


def _add_samples(problems: dict[str, ProblemSamples], reader: TableReader, batch: Batch, length: str | None) -> None:
    names, empty = reader.schema.names, Column(np.zeros(len(batch.row_B), dtype=np.int64), [None])
    problem, answer = reader.problems(batch), batch.columns.get(names.get("answer", ""), empty).map(to_label)
    finish = batch.columns.get(names.get("finish", ""), empty).map(to_label)
    correct = Column(reader.correct(batch).astype(np.int64), [False, True])
    score = batch.columns.get(names.get("score", ""), empty).map(_finite)
    code_B, first_C = group_rows([problem, answer, finish, correct, score])
    counts = np.bincount(code_B, minlength=len(first_C)).tolist()
    columns = (problem, answer, finish, correct, score)
    combinations = zip(*(column.select(first_C).list() for column in columns), strict=True)
    for count, (name, label, end, is_right, value) in zip(counts, combinations, strict=True):
        summary = problems.setdefault(name, ProblemSamples())
        summary.samples += count
        if value is not None:
            summary.scores[value] += count
        if label is not None:
            summary.answers[label] += count
            summary.right[label] += count * is_right
        if end is not None:
            summary.finished += count
            summary.cut_off += count * (end.lower() in CUT_OFF)
    if length is not None:
        to_length = to_number if "tokens" in names else lambda value: len(_completion(value))
        length_B = batch.columns[length].array(to_length)
        known_B = np.isfinite(length_B)
        totals, measured = (
            np.bincount(problem.code_B[known_B], weights=weights, minlength=len(problem.values))
            for weights in (length_B[known_B], None)
        )
        for name, total, number in zip(problem.values, totals.tolist(), measured.tolist(), strict=True):
            if number:
                problems[name].length += total
                problems[name].measured += int(number)


def _finite(value: Any) -> float | None:
    number = to_number(value)
    return number if math.isfinite(number) else None


def _completion(value: Any) -> str:
    """The text of a sample; where a tool chose among several completions of a row, all of them."""
    texts = [message_text(text) for text in samples_in(value)]
    return texts[0] if len(texts) == 1 else "".join(f"[completion {i}]\n{text}\n" for i, text in enumerate(texts, 1))
