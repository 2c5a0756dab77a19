"""A table read by its schema: rows are selected, lists become samples, and columns are checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvrscope.arrays import Ints
from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.problems.tool_files import Evaluations, is_later_output, joined_id
from rlvrscope.readers.formats import PLAIN, SAMPLE_COLUMNS, ReadOptions, Schema
from rlvrscope.readers.store_table import StoreTable
from rlvrscope.tables.nested import is_samples, samples_in
from rlvrscope.tables.table import Batch, Column, Table, group_rows
from rlvrscope.tables.values import is_value, message_text, prompt_id, shorten, to_label, to_number, to_text

MAX_WHOLE = 2.0**53
"""The largest count and step: whole numbers up to here are exact in float64."""
SCORE_ROUNDING = 1e-6
"""A score this much below the threshold reaches it: many files keep scores in float32."""
RIGHT_WORDS = ("true", "pass", "passed", "correct", "right", "yes")
WRONG_WORDS = ("false", "fail", "failed", "incorrect", "wrong", "no", "no_answer", "rejected", "timeout", "error")
VERDICT_WORDS = {**dict.fromkeys(RIGHT_WORDS, True), **dict.fromkeys(WRONG_WORDS, False)}
Mask = NDArray[np.bool_]


@dataclass
class RowCount:
    """Rows of a table: all, those used, and those left out by reason. other_words: values that --right leaves wrong."""

    rows: int = 0
    used: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    other_words: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class TableReader:
    """A table read by its schema: batches of checked columns, one row for each sample; errors name the row."""

    table: Table
    schema: Schema
    options: ReadOptions = PLAIN

    def __post_init__(self) -> None:
        for name in (*(column for column, _ in self.options.where), *filter(None, [self.by])):
            if name not in self.table.names:
                hint = did_you_mean(name, self.table.names) if len(self.table.names) < 40 else ""
                raise InputError(f"{self.table.path}: there is no column {name!r}. {hint}".strip())
        if self.options.right and not self.schema.is_counts and self.schema.rating == "score":
            name = self.schema.names["score"]
            raise InputError(
                f"{self.table.path}: --right names verdicts, and {name!r} is read as scores: --column correct={name}"
            )
        if self.options.drop_copies and self.text_column is None:
            raise InputError(
                f"{self.table.path}: --drop-copies compares texts, and there is no column of them, one for each "
                "verdict. If there is one under another name: --column text=NAME"
            )

    @property
    def by(self) -> str | None:
        """The file's column that groups problems. It may be missing in all but one source."""
        return self.options.by if self.options.by in self.table.names else None

    @property
    def text_column(self) -> str | None:
        """The file's column of texts, one for each verdict; None in a store whose samples had seeds of their own."""
        own_seeds = isinstance(self.table, StoreTable) and self.table.own_seeds and not self.options.drop_copies
        return None if self.schema.rate or self.schema.is_counts or own_seeds else self.schema.names.get("text")

    @property
    def written_columns(self) -> tuple[str, ...]:
        """The file's columns of what a model wrote: texts, and reasoning where it is apart; empty without texts."""
        names = self.text_column, self.schema.names.get("reasoning")
        return tuple(filter(None, names)) if self.text_column else ()

    def written(self, batch: Batch) -> Column:
        """Return all that the model wrote in each sample: its reasoning, then its text."""
        columns = [batch.columns[name] for name in self.written_columns]
        if len(columns) == 1:
            return columns[0]
        code_B, first_C = group_rows(columns)
        pairs = zip(*(column.select(first_C).list() for column in columns), strict=True)
        return Column(code_B, [f"{to_text(reasoning)}\0{message_text(text)}" for text, reasoning in pairs])

    def where(self, row: int) -> str:
        return f"{self.table.path}: {self.table.row} {row}"

    def batches(self, extra: tuple[str, ...] = (), count: RowCount | None = None, **options: Any) -> Iterator[Batch]:
        """Yield the counting columns and `extra` ones of the samples; count: adds up the rows.

        Left out are rows that --where excludes, rows without a rating where the tool writes such, and verl's later
        outputs of a session: one session of an agent may leave several outputs, each with the session's verdict.
        """
        count = count or RowCount()
        chosen = [column for column, _ in self.options.where]
        names = dict.fromkeys([*self.schema.counting_columns, *filter(None, [self.by]), *chosen, *extra])
        for batch in self.table.batches(list(names), **options):
            count.rows += len(batch.row_B)
            for reason, keep_B in self._exclusions(batch):
                count.left_out[reason] += int((~keep_B).sum())
                batch = batch.select(keep_B)
            count.used += len(batch.row_B)
            if len(batch.row_B):
                yield self._samples(batch)

    def keys(self, batch: Batch) -> list[Column]:
        """Return a column for each field of Key, then one of clusters and one of groups."""
        model, base, seed, cluster = (self._labels(batch, name) for name in ("model", "base", "seed", "cluster"))
        group = _missing_column(batch) if self.by is None else batch.columns[self.by].map(to_label)
        return [model, self._steps(batch), base, seed, self.problems(batch), cluster, group]

    def problems(self, batch: Batch) -> Column:
        """Return problem ids, from a column or derived from prompts. Raises InputError for a blank one."""
        if not self.schema.prompt:
            ids = self._ids(batch)
            return ids.map(lambda name: f"{self.schema.prefix}{name}") if self.schema.prefix else ids
        absent_B = batch.columns[self.schema.prompt[0]].array(lambda value: to_label(value) is None)
        self._refuse(batch, self.schema.prompt[0], absent_B, "must be there")
        columns = [batch.columns[name] for name in self.schema.prompt]
        code_B, first_C = group_rows(columns)
        rows = zip(*(column.select(first_C).list() for column in columns), strict=True)
        return Column(code_B, [prompt_id(*row) for row in rows])

    def _ids(self, batch: Batch) -> Column:
        """Return ids from one column, or joined from several."""
        ids = self._required(batch, self.schema.names["problem"], to_label, "must have an id")
        if len(self.schema.ids) < 2:
            return ids
        columns = [batch.columns[name] for name in self.schema.ids]
        code_B, first_C = group_rows(columns)
        rows = zip(*(column.select(first_C).list() for column in columns), strict=True)
        return Column(code_B, [joined_id(row) for row in rows])

    def correct(self, batch: Batch, count: RowCount | None = None) -> Mask:
        """Return (B,): is the sample correct."""
        name, accuracy = self.schema.names[self.schema.rating], self.schema.accuracy
        if self.schema.rating == "correct":
            correct_B = self._verdicts(batch, name, count or RowCount())
            also = self.schema.also_correct
            return correct_B & self._verdicts(batch, also, RowCount()) if also else correct_B
        if accuracy is None:
            return self._scored(batch, name)
        has_B = batch.columns[accuracy].array(lambda value: to_label(value) is not None)
        correct_B = np.empty(len(has_B), dtype=bool)
        correct_B[has_B] = self._scored(batch.select(has_B), accuracy, binary_is_verdict=True)
        correct_B[~has_B] = self._scored(batch.select(~has_B), name)
        return correct_B

    def counts(self, batch: Batch) -> tuple[Ints, Ints]:
        """Return (n_B, c_B) of a table of counts, or of rates over a row's completions."""
        if self.schema.rate:
            return self._rates(batch)
        n_B, c_B = (batch.columns[self.schema.names[name]].array(to_number) for name in ("n", "c"))
        for name, value_B in (("n", n_B), ("c", c_B)):
            bad_B = ~((value_B >= 0) & (value_B <= MAX_WHOLE) & (np.floor(value_B) == value_B))
            self._refuse(batch, self.schema.names[name], bad_B, "must be a whole number, 0 or more")
        self._refuse(batch, self.schema.names["c"], c_B > n_B, "must be at most n")
        return n_B.astype(np.int64), c_B.astype(np.int64)

    def most_completions(self, batch: Batch) -> int:
        """Return the most completions in a row of a batch."""
        column = batch.columns[self.schema.completions or ""]
        return max(len(samples_in(column.values[code])) for code in np.unique(column.code_B).tolist())

    def _rates(self, batch: Batch) -> tuple[Ints, Ints]:
        """Return (n_B, c_B) where a row's score is the share of right ones among n completions."""
        name = self.schema.names[self.schema.rating]
        if self.schema.rate is True:
            n_B = batch.columns[self.schema.completions or ""].array(lambda value: len(samples_in(value)))
        else:
            n_B = np.full(len(batch.row_B), int(self.schema.rate))
        c_B = n_B * batch.columns[name].array(to_number)
        whole_B = np.abs(c_B - np.round(c_B)) < 1e-6 * np.maximum(n_B, 1)
        self._refuse(batch, name, ~(whole_B & (c_B >= 0) & (c_B <= n_B)), "must be a share of the row's completions")
        return n_B, np.round(c_B).astype(np.int64)

    def _exclusions(self, batch: Batch) -> Iterator[tuple[str, Mask]]:
        """Yield (reason, rows to keep) of each exclusion in turn, for the rows that the ones before kept."""
        for column, value in self.options.where:
            keep_B = batch.columns[column].array(lambda cell, value=value: is_value(cell, value))
            yield f"not {column}={value}", keep_B
            batch = batch.select(keep_B)
        if self.schema.optional_rating:
            name = self.schema.names[self.schema.rating]
            keep_B = batch.columns[name].array(lambda value: to_label(value) is not None)
            yield f"no {name}", keep_B
            batch = batch.select(keep_B)
        if self.schema.session is not None:
            later_B = batch.columns[self.schema.session].array(is_later_output)
            yield "later outputs of a session", ~later_B

    def _samples(self, batch: Batch) -> Batch:
        """Give every sample of a list of ratings its own row, with its item of the lists beside it.

        Raises InputError for lists of other lengths, and for a list of ratings beside a single text.
        """
        rating = self.schema.names.get(self.schema.rating)
        if rating is None or self.schema.rate:
            return batch
        if not any(is_samples(value) for value in batch.columns[rating].values):
            self._refuse_several_texts(batch, rating)
            return batch
        if self.schema.summed:
            return Batch(batch.row_B, {**batch.columns, rating: batch.columns[rating].map(_sum)})
        length_B = batch.columns[rating].array(lambda value: len(samples_in(value)))
        self._refuse(batch, rating, length_B == 0, "must hold a verdict or a score for each sample")
        several_B = batch.columns[rating].array(_has_several_ratings)
        self._refuse(batch, rating, several_B, "must hold one verdict or score for each sample, not a list of several")
        index_R = np.repeat(np.arange(len(length_B)), length_B)
        beside = {name for column in SAMPLE_COLUMNS if (name := self.schema.names.get(column)) in batch.columns}
        columns = {
            name: self._items(batch, name, length_B) if name in beside else column.select(index_R)
            for name, column in batch.columns.items()
        }
        return Batch(batch.row_B[index_R], columns)

    def _refuse_several_texts(self, batch: Batch, rating: str) -> None:
        """Refuse several texts with one rating, unless the tool is known to choose among them."""
        name = self.text_column
        if name is not None and name in batch.columns and self.schema.completions is None:
            several_B = batch.columns[name].array(lambda value: len(samples_in(value)) != 1)
            self._refuse(batch, name, several_B, f"must be one text, or {rating!r} a list with an item for each")

    def _items(self, batch: Batch, name: str, length_B: Ints) -> Column:
        """Return the items of a column of lists, row by row."""
        column = batch.columns[name]
        items = [samples_in(value) for value in column.values]
        items_B = np.array([len(values) for values in items])[column.code_B]
        rating = self.schema.names[self.schema.rating]
        self._refuse(batch, name, items_B != length_B, f"must hold one item for each item of {rating!r} in its row")
        flat = Column.of([value for values in items for value in values])
        start_V = np.cumsum([0, *(len(values) for values in items)])[:-1]
        first_B = np.cumsum(items_B) - items_B
        place_R = np.arange(items_B.sum()) - np.repeat(first_B - start_V[column.code_B], items_B)
        return flat.select(place_R)

    def _verdicts(self, batch: Batch, name: str, count: RowCount) -> Mask:
        column = batch.columns[name]
        if self.options.right:
            self._refuse(batch, name, column.array(lambda cell: to_label(cell) is None), "must hold a verdict")
            correct_B = column.array(lambda cell: any(is_value(cell, value) for value in self.options.right))
            count.other_words.update(column.select(~correct_B).map(to_text).list())
            return correct_B
        value_B = column.array(self._verdict)
        bad_B = ~np.isin(value_B, (0.0, 1.0))
        word_B = column.array(lambda value: isinstance(value, str) and any(map(str.isalpha, value)))
        self._refuse(batch, name, bad_B & word_B, "must be a verdict; say which values mean right: --right VALUE")
        self._refuse(batch, name, bad_B, "must be true, false, 0 or 1")
        return value_B == 1.0

    def _verdict(self, value: Any) -> float:
        if not isinstance(value, str):
            return to_number(value)
        word = value.strip()
        verdict = self.schema.words.get(word, VERDICT_WORDS.get(word.lower()))
        return to_number(value) if verdict is None else float(verdict)

    def _scored(self, batch: Batch, name: str, binary_is_verdict: bool = False) -> Mask:
        """Compare scores with the threshold; binary_is_verdict: 0 is wrong and 1 correct at any threshold."""
        threshold = self.options.threshold
        value_B = batch.columns[name].array(to_number)
        self._refuse(batch, name, np.isnan(value_B), "must be a number")
        graded_B = ~np.isin(value_B, (0.0, 1.0))
        if threshold is None:
            self._refuse(batch, name, graded_B, "must be 0 or 1, or --threshold X be given: right is X or more")
            return value_B == 1.0
        rounding = SCORE_ROUNDING * max(1.0, abs(threshold))
        return np.where(graded_B | (not binary_is_verdict), value_B >= threshold - rounding, value_B == 1.0)

    def _labels(self, batch: Batch, column: str) -> Column:
        name = self.schema.names.get(column)
        if name is None:
            return _missing_column(batch)
        if column == "model":
            return self._required(batch, name, to_label, "must be named")
        self._refuse_lists(batch, name)
        return batch.columns[name].map(to_label)

    def _steps(self, batch: Batch) -> Column:
        name = self.schema.names.get("step")
        if name is None:
            return _missing_column(batch)
        return self._required(batch, name, _step, "must be a whole number, 0 or more")

    def _required(self, batch: Batch, name: str, convert: Callable[[Any], Any], must: str) -> Column:
        self._refuse_lists(batch, name)
        column = batch.columns[name].map(convert)
        absent = np.array([value is None for value in column.values])
        self._refuse(batch, name, absent[column.code_B], must)
        return column

    def _refuse_lists(self, batch: Batch, name: str) -> None:
        """Refuse lists, as of a file with a list for each column, and floats that stand for several whole numbers."""
        bad_B = batch.columns[name].array(lambda value: isinstance(value, list | dict))
        self._refuse(batch, name, bad_B, "must be a name or a number: one row for each sample or problem")
        inexact_B = batch.columns[name].array(lambda value: isinstance(value, float) and abs(value) > MAX_WHOLE)
        self._refuse(batch, name, inexact_B, "must be a text or a whole number: floats of this size are not exact")

    def _refuse(self, batch: Batch, name: str, bad_B: Mask, must: str) -> None:
        if bad_B.any():
            row = int(np.argmax(bad_B))
            column = batch.columns[name]
            value = column.values[column.code_B[row]]
            raise InputError(f"{self.where(int(batch.row_B[row]))}: {name!r} {must}; got {shorten(value)}")


def check_one_kind(readers: Sequence[TableReader]) -> None:
    """Refuse files of one folder that are not parts of one model."""
    first, evaluations = readers[0], Evaluations()
    for reader in readers:
        path, schema = reader.table.path, reader.schema
        if schema.layout != first.schema.layout:
            raise InputError(
                f"{path} holds {schema.layout}, {first.table.path.name} holds {first.schema.layout}: files of "
                "one folder are one model, so they must be of one kind. Name the files one by one."
            )
        if schema.rated_by != first.schema.rated_by:
            raise InputError(
                f"{path} is rated by {schema.rated_by!r}, {first.table.path.name} by {first.schema.rated_by!r}: files "
                "of one folder are one model, so one column must rate all of them: --column correct=NAME"
            )
        if {"model", "step"} & schema.names.keys() and schema.layout != "inspect":
            raise InputError(
                f"{path} has a model or step column, and files of one folder are read as one model at one step. "
                "Name the files one by one."
            )
        evaluations.add(schema.evaluation, path)


def _sum(value: Any) -> Any:
    """The sum of a list of numbers; anything else, and an empty list, as it is."""
    return sum(map(to_number, value)) if isinstance(value, list) and value else value


def _has_several_ratings(value: Any) -> bool:
    """True for a list that holds a list of several: which of them is the sample's rating is not known."""
    return isinstance(value, list) and any(isinstance(item, list) and len(item) != 1 for item in value)


def _missing_column(batch: Batch) -> Column:
    return Column(np.zeros(len(batch.row_B), dtype=np.int64), [None])


def _step(value: Any) -> int | None:
    step = to_number(value)
    return int(step) if 0 <= step <= MAX_WHOLE and step.is_integer() else None
