"""Counting: a table's rows, checked, and their counts for each model, step, run and problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Ints
from rlvrscope.errors import InputError
from rlvrscope.readers.formats import Schema
from rlvrscope.readers.trainer_dumps import LATER_OUTPUT
from rlvrscope.tables.table import Batch, Column, Table, group_rows
from rlvrscope.tables.values import prompt_id, shorten, to_label, to_number

MAX_WHOLE = 2.0**53
"""The largest count and step: whole numbers up to here are exact in float64."""
Mask = NDArray[np.bool_]


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
    where: str


@dataclass(frozen=True)
class TableReader:
    """A table read by its schema: batches of checked columns; errors name the row."""

    table: Table
    schema: Schema
    threshold: float | None = None

    def where(self, row: int) -> str:
        return f"{self.table.path}: {self.table.row} {row}"

    def batches(self, extra: tuple[str, ...] = (), **options: Any) -> Iterator[Batch]:
        """Yield the counting columns and `extra` ones, without verl's later outputs of a session.

        One session of an agent may leave several outputs, each with the session's verdict.
        """
        for batch in self.table.batches(list(dict.fromkeys([*self.schema.counting_columns, *extra])), **options):
            session = batch.columns.get(self.schema.session or "")
            if session is not None:
                batch = batch.select(~session.array(lambda value: bool(LATER_OUTPUT.fullmatch(str(value)))))
            if len(batch.row_B):
                yield batch

    def keys(self, batch: Batch) -> list[Column]:
        """Return a column for each field of Key, then one of clusters."""
        model, base, seed, cluster = (self._labels(batch, name) for name in ("model", "base", "seed", "cluster"))
        return [model, self._steps(batch), base, seed, self.problems(batch), cluster]

    def problems(self, batch: Batch) -> Column:
        """Return problem ids, from a column or derived from prompts. Raises InputError for a blank one."""
        if not self.schema.prompt:
            return self._required(batch, self.schema.names["problem"], to_label, "must have an id")
        self._required(batch, self.schema.prompt[0], to_label, "must be there")
        columns = [batch.columns[name] for name in self.schema.prompt]
        code_B, first_C = group_rows(columns)
        rows = zip(*(column.select(first_C).list() for column in columns), strict=True)
        return Column(code_B, [prompt_id(*row) for row in rows])

    def correct(self, batch: Batch) -> Mask:
        """Return (B,): is the sample correct."""
        name, accuracy = self.schema.names[self.schema.rating], self.schema.accuracy
        if self.schema.rating == "correct":
            value_B = batch.columns[name].array(to_number)
            self._refuse(batch, name, ~np.isin(value_B, (0.0, 1.0)), "must be true, false, 0 or 1")
            return value_B == 1.0
        if accuracy is None:
            return self._scored(batch, name)
        has_B = batch.columns[accuracy].array(lambda value: to_label(value) is not None)
        correct_B = np.empty(len(has_B), dtype=bool)
        correct_B[has_B] = self._scored(batch.select(has_B), accuracy, binary_is_verdict=True)
        correct_B[~has_B] = self._scored(batch.select(~has_B), name)
        return correct_B

    def counts(self, batch: Batch) -> tuple[Ints, Ints]:
        """Return (n_B, c_B) of a table of counts."""
        n_B, c_B = (batch.columns[self.schema.names[name]].array(to_number) for name in ("n", "c"))
        for name, value_B in (("n", n_B), ("c", c_B)):
            bad_B = ~((value_B >= 0) & (value_B <= MAX_WHOLE) & (np.floor(value_B) == value_B))
            self._refuse(batch, self.schema.names[name], bad_B, "must be a whole number, 0 or more")
        self._refuse(batch, self.schema.names["c"], c_B > n_B, "must be at most n")
        return n_B.astype(np.int64), c_B.astype(np.int64)

    def _scored(self, batch: Batch, name: str, binary_is_verdict: bool = False) -> Mask:
        """Compare scores with the threshold; binary_is_verdict: 0 is wrong and 1 correct at any threshold."""
        value_B = batch.columns[name].array(to_number)
        self._refuse(batch, name, np.isnan(value_B), "must be a number")
        graded_B = ~np.isin(value_B, (0.0, 1.0))
        if self.threshold is None:
            self._refuse(batch, name, graded_B, "must be 0 or 1, or --threshold X be given: right is X or more")
            return value_B == 1.0
        return np.where(graded_B | (not binary_is_verdict), value_B >= self.threshold, value_B == 1.0)

    def _labels(self, batch: Batch, column: str) -> Column:
        name = self.schema.names.get(column)
        if name is None:
            return _missing_column(batch)
        if column == "model":
            return self._required(batch, name, to_label, "must be named")
        return batch.columns[name].map(to_label)

    def _steps(self, batch: Batch) -> Column:
        name = self.schema.names.get("step")
        if name is None:
            return _missing_column(batch)
        return self._required(batch, name, _step, "must be a whole number, 0 or more")

    def _required(self, batch: Batch, name: str, convert: Callable[[Any], Any], must: str) -> Column:
        column = batch.columns[name].map(convert)
        absent = np.array([value is None for value in column.values])
        self._refuse(batch, name, absent[column.code_B], must)
        return column

    def _refuse(self, batch: Batch, name: str, bad_B: Mask, must: str) -> None:
        if bad_B.any():
            row = int(np.argmax(bad_B))
            column = batch.columns[name]
            value = column.values[column.code_B[row]]
            raise InputError(f"{self.where(int(batch.row_B[row]))}: {name!r} {must}; got {shorten(value)}")


@dataclass
class Tally:
    """Counts of several tables, in order of first appearance."""

    counts: dict[Key, Count] = field(default_factory=dict)
    clusters: dict[tuple[str | None, str], str | None] = field(default_factory=dict)

    def add(self, reader: TableReader) -> None:
        """Count a table. Raises InputError naming its first bad row."""
        add = self._add_counts if reader.schema.format == "counts" else self._add_samples
        for batch in reader.batches():
            add(reader, batch)

    def _add_samples(self, reader: TableReader, batch: Batch) -> None:
        columns, correct_B = reader.keys(batch), reader.correct(batch)
        code_B, first_C = group_rows(columns)
        n_C, c_C = np.bincount(code_B), np.bincount(code_B, weights=correct_B).astype(np.int64)
        fields = zip(*(column.select(first_C).list() for column in columns), strict=True)
        groups = zip(batch.row_B[first_C].tolist(), n_C.tolist(), c_C.tolist(), fields, strict=True)
        for row, n, c, (*names, cluster) in sorted(groups, key=lambda group: group[0]):
            key = Key(*names)
            self._check_cluster(reader, row, key, cluster)
            count = self.counts.setdefault(key, Count(0, 0, cluster, reader.where(row)))
            count.n += n
            count.c += c

    def _add_counts(self, reader: TableReader, batch: Batch) -> None:
        n_B, c_B = reader.counts(batch)
        fields = zip(*(column.list() for column in reader.keys(batch)), strict=True)
        for row, n, c, (*names, cluster) in zip(batch.row_B.tolist(), n_B.tolist(), c_B.tolist(), fields, strict=True):
            key = Key(*names)
            self._check_cluster(reader, row, key, cluster)
            if key in self.counts:
                _refuse_repeated(key, reader.where(row), self.counts[key].where)
            self.counts[key] = Count(n, c, cluster, reader.where(row))

    def _check_cluster(self, reader: TableReader, row: int, key: Key, cluster: str | None) -> None:
        known = self.clusters.setdefault((key.model, key.problem), cluster)
        if known != cluster:
            raise InputError(
                f"{reader.where(row)}: problem {shorten(key.problem)} must be in one cluster; "
                f"it is in {shorten(known)} before, in {shorten(cluster)} here"
            )


def _refuse_repeated(key: Key, where: str, first: str) -> NoReturn:
    facts = "".join(f", {name} {value!r}" for name, value in key._asdict().items() if value is not None)
    raise InputError(f"{where}: counts of a problem must appear once{facts}: the first are at {first}")


def _missing_column(batch: Batch) -> Column:
    return Column(np.zeros(len(batch.row_B), dtype=np.int64), [None])


def _step(value: Any) -> int | None:
    step = to_number(value)
    return int(step) if 0 <= step <= MAX_WHOLE and step.is_integer() else None
