"""Counting: a table's rows, and their counts for each model, step, run and problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

import numpy as np

from rlvrscope.arrays import Ints
from rlvrscope.errors import InputError
from rlvrscope.problems.tool_files import second_row
from rlvrscope.readers.copies import Copies, CopyFinder
from rlvrscope.readers.table_reader import Mask, RowCount, TableReader
from rlvrscope.tables.table import Batch, group_rows
from rlvrscope.tables.values import shorten, to_json


class Key(NamedTuple):
    """Model, step, run and problem of a count. None: the table does not say."""

    model: str | None
    step: int | None
    base: str | None
    seed: str | None
    problem: str


@dataclass
class Count:
    """n samples of one key, of which c are correct; where: the key's first row."""

    n: int
    c: int
    cluster: str | None
    group: str | None
    where: str


@dataclass
class Tally:
    """Counts of several tables, in order of first appearance, with what was read and left out."""

    counts: dict[Key, Count] = field(default_factory=dict)
    rows: RowCount = field(default_factory=RowCount)
    completions: int = 1
    labels: dict[tuple[str | None, str], tuple[str | None, str | None]] = field(default_factory=dict)
    statements: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Hash of each problem's prompt, and its first row."""
    copy_finder: CopyFinder = field(default_factory=CopyFinder)

    def add(self, reader: TableReader) -> None:
        """Count a table. Raises InputError naming its first bad row."""
        add = self._add_counts if reader.schema.is_counts or reader.schema.rate else self._add_samples
        statement = (reader.schema.statement,) if reader.schema.statement else ()
        for batch in reader.batches((*reader.written_columns, *statement), self.rows):
            self._note_completions(reader, batch)
            self._check_statements(reader, batch)
            add(reader, batch)

    @property
    def copies(self) -> Copies | None:
        """Copies among the samples; None where there are no texts."""
        return self.copy_finder.copies()

    def _add_samples(self, reader: TableReader, batch: Batch) -> None:
        columns, correct_B = reader.keys(batch), reader.correct(batch, self.rows)
        code_B, first_C = group_rows(columns)
        fields = list(zip(*(column.select(first_C).list() for column in columns), strict=True))
        if reader.text_column:
            keys_C = [Key(*names[:5]) for names in fields]
            code_B, correct_B = self._without_copies(reader, batch, keys_C, code_B, correct_B)
        n_C = np.bincount(code_B, minlength=len(first_C))
        c_C = np.bincount(code_B, weights=correct_B, minlength=len(first_C)).astype(np.int64)
        groups = zip(batch.row_B[first_C].tolist(), n_C.tolist(), c_C.tolist(), fields, strict=True)
        for row, n, c, (*names, cluster, group) in sorted(groups, key=lambda group: group[0]):
            key = Key(*names)
            self._check_labels(reader, row, key, cluster, group)
            count = self.counts.setdefault(key, Count(0, 0, cluster, group, reader.where(row)))
            if reader.schema.once and (count.n or n > 1):
                raise second_row(reader.schema.layout, reader.table.path, key.problem)
            count.n += n
            count.c += c

    def _without_copies(
        self, reader: TableReader, batch: Batch, keys_C: list[Key], code_B: Ints, correct_B: Mask
    ) -> tuple[Ints, Mask]:
        """Note the texts of the samples; leave out copies of earlier ones if the user said so."""
        text = reader.written(batch)
        if not reader.options.drop_copies:
            self.copy_finder.add(keys_C, code_B, text)
            return code_B, correct_B
        first_B, contradicts_B = self.copy_finder.first_of_each(keys_C, code_B, text, correct_B)
        if contradicts_B.any():
            row = int(np.argmax(contradicts_B))
            where, problem = reader.where(int(batch.row_B[row])), keys_C[code_B[row]].problem
            now, before = ("right", "wrong") if correct_B[row] else ("wrong", "right")
            raise InputError(
                f"{where}: this text of problem {shorten(problem)} is {now} here and {before} before, so --drop-copies "
                "can't count it once"
            )
        self.rows.left_out["copies"] += int((~first_B).sum())
        self.rows.used -= len(np.unique(batch.row_B)) - len(np.unique(batch.row_B[first_B]))
        return code_B[first_B], correct_B[first_B]

    def _add_counts(self, reader: TableReader, batch: Batch) -> None:
        n_B, c_B = reader.counts(batch)
        fields = zip(*(column.list() for column in reader.keys(batch)), strict=True)
        rows = zip(batch.row_B.tolist(), n_B.tolist(), c_B.tolist(), fields, strict=True)
        for row, n, c, (*names, cluster, group) in rows:
            key = Key(*names)
            self._check_labels(reader, row, key, cluster, group)
            if key in self.counts:
                _refuse_repeated(key, reader.where(row), self.counts[key].where)
            self.counts[key] = Count(n, c, cluster, group, reader.where(row))

    def _check_labels(self, reader: TableReader, row: int, key: Key, cluster: str | None, group: str | None) -> None:
        known = self.labels.setdefault((key.model, key.problem), (cluster, group))
        for name, before, label in zip(("cluster", reader.by), known, (cluster, group), strict=True):
            if before != label:
                raise InputError(
                    f"{reader.where(row)}: problem {shorten(key.problem)} must be in one {name}; "
                    f"it is in {shorten(before)} before, in {shorten(label)} here"
                )

    def _check_statements(self, reader: TableReader, batch: Batch) -> None:
        """Refuse one id for two prompts: files of several data sets number their rows alike."""
        if reader.schema.statement is None:
            return
        columns = [reader.problems(batch), batch.columns[reader.schema.statement]]
        _, first_C = group_rows(columns)
        pairs = zip(*(column.select(first_C).list() for column in columns), strict=True)
        for row, (problem, prompt) in zip(batch.row_B[first_C].tolist(), pairs, strict=True):
            code, where = self.statements.setdefault(problem, (hash(to_json(prompt)), reader.where(row)))
            if code != hash(to_json(prompt)):
                raise InputError(
                    f"{reader.where(row)}: problem {shorten(problem)} has another prompt here than at {where}. "
                    "Problems that differ need ids that differ; name the files of each data set one by one"
                )

    def _note_completions(self, reader: TableReader, batch: Batch) -> None:
        """Note the most completions of which a row's verdict grades one."""
        if reader.schema.completions and not reader.schema.rate:
            self.completions = max(self.completions, reader.most_completions(batch))


def _refuse_repeated(key: Key, where: str, first: str) -> NoReturn:
    facts = "".join(f", {name} {value!r}" for name, value in key._asdict().items() if value is not None)
    raise InputError(f"{where}: counts of a problem must appear once{facts}: the first are at {first}")
