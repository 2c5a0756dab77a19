"""Counting: batches of a table become cells, one a model, step, run and problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from rlvrscope.errors import InputError
from rlvrscope.readers.schema import Schema
from rlvrscope.tables.table import Batch, Coded, Table, combine
from rlvrscope.tables.values import label, number, prompt_id, shown

_LARGEST = 2.0**53
_LATER_OUTPUT = re.compile(r"[0-9a-f-]{36}_[0-9]+_0*[1-9][0-9]*")
"""verl's key {uid}_{session}_{index} of an output that is not its session's first."""


class Key(NamedTuple):
    """What a cell counts samples of. None: the table does not say."""

    model: str | None
    step: int | None
    base: str | None
    seed: str | None
    problem: str


@dataclass
class Cell:
    """The counts of one key, and where it first stood."""

    n: int
    c: int
    cluster: str | None
    where: str


@dataclass(frozen=True)
class Reader:
    """A table with its schema: batches as columns of ours, checked, with errors that name the row."""

    table: Table
    schema: Schema
    threshold: float | None = None

    def at(self, row: int) -> str:
        return f"{self.table.path}: {self.table.row} {row}"

    def batches(self, extra: tuple[str, ...] = (), **how: Any) -> Iterator[Batch]:
        """The columns to count with and `extra` ones, less the rows that are no sample of their own."""
        for batch in self.table.batches(list(dict.fromkeys([*self.schema.to_count, *extra])), **how):
            session = batch.columns.get(self.schema.session or "")
            if session is not None:
                # One session of an agent may leave several outputs, each with the session's verdict.
                later_B = session.array(lambda value: bool(_LATER_OUTPUT.fullmatch(str(value))))
                batch = batch.only(~later_B)
            if len(batch.row_B):
                yield batch

    def keys(self, batch: Batch) -> list[Coded]:
        """Columns of the fields of Key, then of clusters."""
        model, base, seed, cluster = (self._labels(batch, name) for name in ("model", "base", "seed", "cluster"))
        return [model, self._steps(batch), base, seed, self.problems(batch), cluster]

    def problems(self, batch: Batch) -> Coded:
        """Ids, from a column of ids or made of prompts. Raises InputError for a blank one."""
        if self.schema.prompt:
            self._required(batch, self.schema.prompt[0], label, "must be there")
            columns = [batch.columns[name] for name in self.schema.prompt]
            code_B, first_C = combine(columns)
            rows = zip(*(column.only(first_C).list() for column in columns), strict=True)
            return Coded(code_B, [prompt_id(*row) for row in rows])
        return self._required(batch, self.schema.names["problem"], label, "must have an id")

    def right(self, batch: Batch) -> NDArray[np.bool_]:
        """(B,) is the sample right."""
        name, own = self.schema.names[self.schema.rating], self.schema.accuracy
        if self.schema.rating == "correct":
            return self._correct(batch, name)
        if own is None:
            return self._scored(batch, name)
        has_B = batch.columns[own].array(lambda value: label(value) is not None)
        right_B = np.empty(len(has_B), dtype=bool)
        right_B[has_B] = self._scored(batch.only(has_B), own, but_verdicts=True)
        right_B[~has_B] = self._scored(batch.only(~has_B), name)
        return right_B

    def counts(self, batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n_B, c_B) of a counts table."""
        n_B, c_B = (batch.columns[self.schema.names[name]].array(number) for name in ("n", "c"))
        for name, value_B in (("n", n_B), ("c", c_B)):
            bad_B = ~((value_B >= 0) & (value_B <= _LARGEST) & (np.floor(value_B) == value_B))
            self._refuse(batch, self.schema.names[name], bad_B, "must be a whole number, 0 or more")
        self._refuse(batch, self.schema.names["c"], c_B > n_B, "must be at most n")
        return n_B.astype(np.int64), c_B.astype(np.int64)

    def _correct(self, batch: Batch, name: str) -> NDArray[np.bool_]:
        value_B = batch.columns[name].array(number)
        self._refuse(batch, name, ~np.isin(value_B, (0.0, 1.0)), "must be true, false, 0 or 1")
        return value_B == 1.0

    def _scored(self, batch: Batch, name: str, but_verdicts: bool = False) -> NDArray[np.bool_]:
        """Scores against the threshold; `but_verdicts`: 0 and 1 stand for wrong and right whatever it is."""
        value_B = batch.columns[name].array(number)
        self._refuse(batch, name, np.isnan(value_B), "must be a number")
        graded_B = ~np.isin(value_B, (0.0, 1.0))
        if self.threshold is None:
            self._refuse(batch, name, graded_B, "must be 0 or 1, or --threshold X be given: right is X or more")
            return value_B == 1.0
        return np.where(graded_B | (not but_verdicts), value_B >= self.threshold, value_B == 1.0)

    def _labels(self, batch: Batch, ours: str) -> Coded:
        name = self.schema.names.get(ours)
        if name is None:
            return Coded(np.zeros(len(batch.row_B), dtype=np.int64), [None])
        if ours == "model":
            return self._required(batch, name, label, "must be named")
        return batch.columns[name].map(label)

    def _steps(self, batch: Batch) -> Coded:
        name = self.schema.names.get("step")
        if name is None:
            return Coded(np.zeros(len(batch.row_B), dtype=np.int64), [None])
        return self._required(batch, name, _step, "must be a whole number, 0 or more")

    def _required(self, batch: Batch, name: str, change: Callable[[Any], Any], must: str) -> Coded:
        column = batch.columns[name].map(change)
        absent = np.array([value is None for value in column.values])
        self._refuse(batch, name, absent[column.code_B], must)
        return column

    def _refuse(self, batch: Batch, name: str, bad_B: NDArray[np.bool_], must: str) -> None:
        if bad_B.any():
            i = int(np.argmax(bad_B))
            column = batch.columns[name]
            came = column.values[column.code_B[i]]
            raise InputError(f"{self.at(int(batch.row_B[i]))}: {name!r} {must}; got {shown(came)}")


@dataclass
class Tally:
    """The cells of some tables, in order of first appearance."""

    cells: dict[Key, Cell] = field(default_factory=dict)
    clusters: dict[tuple[str | None, str], str | None] = field(default_factory=dict)

    def add(self, reader: Reader) -> None:
        """Count a table. Raises InputError naming its first bad row."""
        add = self._add_counts if reader.schema.kind == "counts" else self._add_samples
        for batch in reader.batches():
            add(reader, batch)

    def _add_samples(self, reader: Reader, batch: Batch) -> None:
        columns, right_B = reader.keys(batch), reader.right(batch)
        code_B, first_C = combine(columns)
        n_C, c_C = np.bincount(code_B), np.bincount(code_B, weights=right_B).astype(np.int64)
        fields = zip(*(column.only(first_C).list() for column in columns), strict=True)
        found = zip(batch.row_B[first_C].tolist(), n_C.tolist(), c_C.tolist(), fields, strict=True)
        for row, n, c, (*names, cluster) in sorted(found, key=lambda item: item[0]):
            key = Key(*names)
            self._check_cluster(reader, row, key, cluster)
            cell = self.cells.setdefault(key, Cell(0, 0, cluster, reader.at(row)))
            cell.n += n
            cell.c += c

    def _add_counts(self, reader: Reader, batch: Batch) -> None:
        n_B, c_B = reader.counts(batch)
        fields = zip(*(column.list() for column in reader.keys(batch)), strict=True)
        for row, n, c, (*names, cluster) in zip(batch.row_B.tolist(), n_B.tolist(), c_B.tolist(), fields, strict=True):
            key = Key(*names)
            self._check_cluster(reader, row, key, cluster)
            if key in self.cells:
                _refuse_again(key, reader.at(row), self.cells[key].where)
            self.cells[key] = Cell(n, c, cluster, reader.at(row))

    def _check_cluster(self, reader: Reader, row: int, key: Key, cluster: str | None) -> None:
        known = self.clusters.setdefault((key.model, key.problem), cluster)
        if known != cluster:
            raise InputError(
                f"{reader.at(row)}: problem {shown(key.problem)} must be in one cluster; "
                f"it is in {shown(known)} before, in {shown(cluster)} here"
            )


def _refuse_again(key: Key, here: str, before: str) -> NoReturn:
    run = "".join(f", {name} {value!r}" for name, value in key._asdict().items() if value is not None)
    raise InputError(f"{here}: counts of a problem must stand once{run}: they stand at {before} already")


def _step(value: Any) -> int | None:
    step = number(value)
    return int(step) if 0 <= step <= _LARGEST and step.is_integer() else None
