"""Counts of correct samples, model by model, from the files users have.

A source is recognised by its content: tables of counts or samples (CSV, JSONL, Parquet), sample stores, verl's dumps,
TRL's completions, folders of such files, and the lab's runs and experiments.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from rlvrscope.errors import InputError
from rlvrscope.readers.counting import Count, Key, TableReader, Tally
from rlvrscope.readers.formats import Columns, Schema, counts_schema, samples_schema
from rlvrscope.readers.lab_runs import is_lab_folder, read_lab
from rlvrscope.readers.sample_texts import Samples, SampleText
from rlvrscope.readers.store_table import StoreTable
from rlvrscope.readers.trainer_dumps import STEP_FILE, TRL_FOLDER, trl_schema, verl_schema
from rlvrscope.sampling.store.store_file import FILE_NAME, is_store, store_path
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.tables.formats import KINDS, files_in, open_table, suffix_of
from rlvrscope.tables.table import Table
from rlvrscope.tables.values import join_names, shorten

FORMATS: tuple[Callable[[Table, Columns], Schema | None], ...] = (
    verl_schema,
    trl_schema,
    counts_schema,
    samples_schema,
)
"""Table formats in the order they are tried."""
OUR_COLUMNS = Columns()
"""The mapping for files whose columns have our names."""


@dataclass(frozen=True)
class ModelCounts:
    """One model of a source: its name, its counts, and its samples where the source holds them."""

    name: str
    counts: GroupCounts
    source: Samples | None = field(default=None, repr=False)

    @property
    def has_texts(self) -> bool:
        return self.source is not None and self.source.has_texts

    @property
    def has_answers(self) -> bool:
        return self.source is not None and self.source.has_answers

    def texts(self, problem: str, limit: int = 20, correct: bool | None = None) -> list[SampleText]:
        """Read the first `limit` samples of a problem from their file; none where the source has no texts."""
        return self.texts_of([problem], limit, correct)[problem]

    def texts_of(
        self, problems: Collection[str], limit: int = 20, correct: bool | None = None
    ) -> dict[str, list[SampleText]]:
        """`texts` for several problems, in one pass. correct: only correct samples, or only wrong ones."""
        if self.source is None:
            return {problem: [] for problem in problems}
        return self.source.texts(problems, limit, correct)

    def answers(self) -> tuple[list[str], list[str | None], list[bool]] | None:
        """(problem, answer or None, correct) of every sample; None where the source has no answers."""
        return self.source.answers() if self.source is not None and self.source.has_answers else None


@dataclass(frozen=True)
class Source:
    """A file or folder, with the step and model to read from it."""

    path: Path
    step: int | None = None
    model: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read PATH, PATH@STEP, PATH#MODEL or PATH@STEP#MODEL. The longest existing path wins.

        Raises InputError if no such path exists, and for a step that is no whole number.
        """
        reason = "there is no such file or folder"
        for path, step, model in _splits(text):
            if not os.path.exists(path):
                continue
            if step is not None and not re.fullmatch(r"[0-9]{1,15}", step):
                reason = f"a step is a whole number, as in {path}@100; got {step!r}"
            elif model == "":
                reason = "a model's name must follow '#', or leave '#' out"
            else:
                return cls(Path(path), None if step is None else int(step), model)
        raise InputError(f"{text!r}: {reason}")

    @property
    def name(self) -> str:
        """The folder's name, or the file's without its suffix; RUN@STEP for a trainer's dump."""
        path = self.path if self.path.name not in ("", "..") else self.path.resolve()
        if path.is_dir():
            return _run_name(path)
        if path.name == FILE_NAME:
            return _run_name(path.resolve().parent)
        name = path.name[: len(path.name) - len(suffix_of(path) or "")] or path.name
        step = STEP_FILE.fullmatch(path.name)
        return f"{_run_name(path.resolve().parent)}@{int(step[1])}" if step else name


def read_models(
    source: str, columns: Columns = OUR_COLUMNS, threshold: float | None = None, samples: int = 256
) -> list[ModelCounts]:
    """Read every model in a source, in order of first appearance.

    source: PATH, PATH@STEP, PATH#MODEL or PATH@STEP#MODEL; without a step, the last one. columns: the user's names for
    our columns. threshold: a sample is correct if its score is at least this; scores of 0 and 1 need none. samples:
    samples to draw for each prompt where the source has exact probabilities (the lab).

    A table with n and c is read as counts, whatever else it holds. Raises InputError, naming file and row, for invalid
    input; MissingExtraError for Parquet without pyarrow.
    """
    if threshold is not None and not math.isfinite(threshold):
        raise InputError(f"--threshold must be a finite number; got {threshold}")
    parsed = Source.parse(source)
    if not parsed.path.is_dir():
        models = _models(_Tables.open([parsed.path], columns, threshold), parsed)
    elif is_lab_folder(parsed.path):
        models = [ModelCounts(name, counts) for name, counts in read_lab(parsed.path, parsed.step, samples)]
    elif is_store(parsed.path):
        models = _models(_Tables.open([store_path(parsed.path)], columns, threshold), parsed)
    else:
        models = _read_folder(parsed, columns, threshold)
    if parsed.model is None:
        return models
    matching = [model for model in models if parsed.model in (model.name, model.name.rpartition("@")[0])]
    if not matching:
        raise InputError(f"{source}: there is no model {parsed.model!r}; there is {join_names(m.name for m in models)}")
    return matching


def recognise(table: Table, columns: Columns) -> Schema:
    """Return the table's schema. Raises InputError, with the file's columns, for missing or repeated columns."""
    _check_spelling(table, columns)
    schema = next((schema for format_of in FORMATS if (schema := format_of(table, columns)) is not None), None)
    if schema is None:
        raise InputError(
            f"{table.path}: needs the columns problem, n and c (counts), or problem and correct or score (one row a "
            f"sample). It has {join_names(table.names)}. Say which is which: --column problem=NAME"
        )
    for name in dict.fromkeys((*schema.names.values(), *schema.prompt)):
        if list(table.names).count(name) > 1:
            raise InputError(f"{table.path}: column {name!r} appears twice: rename one")
    return schema


@dataclass(frozen=True)
class _Tables:
    """Tables of one format that are counted together."""

    readers: Sequence[TableReader]

    @classmethod
    def open(cls, paths: Sequence[Path], columns: Columns, threshold: float | None) -> _Tables:
        tables = [StoreTable.open(path) if is_store(path) else open_table(path) for path in paths]
        return cls([TableReader(table, recognise(table, columns), threshold) for table in tables])

    @property
    def schema(self) -> Schema:
        return self.readers[0].schema

    @property
    def first(self) -> Table:
        return self.readers[0].table

    def count(self) -> dict[Key, Count]:
        tally = Tally()
        for reader in self.readers:
            tally.add(reader)
        if not tally.counts:
            raise InputError(f"{self.first.path}: no rows: there is nothing to count")
        return tally.counts


def _check_spelling(table: Table, columns: Columns) -> None:
    """Refuse likely typos. A column that the user named may be missing (a base has no training seed)."""
    for column, name in columns.pairs:
        others = [other for other in table.names if other != column]
        close = difflib.get_close_matches(name, others, n=1, cutoff=0.75)
        if name not in table.names and close:
            raise InputError(
                f"{table.path}: there is no column for --column {column}={name}. Did you mean {shorten(close[0])}? "
                f"It has {join_names(table.names)}"
            )


def _read_folder(source: Source, columns: Columns, threshold: float | None) -> list[ModelCounts]:
    """Read a folder of files: a trainer's dumps, of which one step is read, or the parts of one model."""
    paths = files_in(source.path)
    if not paths and (source.path / TRL_FOLDER).is_dir():
        return _read_folder(replace(source, path=source.path / TRL_FOLDER), columns, threshold)
    if not paths:
        raise InputError(f"{source.path}: there is no {', '.join(KINDS)} file in this folder, and no recipe.toml")
    path_of = {int(match[1]): path for path in paths if (match := STEP_FILE.fullmatch(path.name))}
    if path_of and _Tables.open([path_of[max(path_of)]], columns, threshold).schema.format in ("verl", "trl"):
        step = max(path_of) if source.step is None else source.step
        if step not in path_of:
            raise InputError(
                f"{source.path}: there is no step {step}; there is {join_names(map(str, sorted(path_of)))}"
            )
        return _models(_Tables.open([path_of[step]], columns, threshold), replace(source, step=step))
    tables = _Tables.open(paths, columns, threshold)
    _check_one_model(tables)
    return _models(tables, source)


def _check_one_model(tables: _Tables) -> None:
    for reader in tables.readers:
        path, schema = reader.table.path, reader.schema
        if schema.format != tables.schema.format:
            raise InputError(
                f"{path} holds {schema.format}, {tables.first.path.name} holds {tables.schema.format}: files of "
                "one folder are one model, so they must be of one kind. Name the files one by one."
            )
        if {"model", "step"} & schema.names.keys():
            raise InputError(
                f"{path} has a model or step column, and files of one folder are read as one model at one step. "
                "Name the files one by one."
            )


def _models(tables: _Tables, source: Source) -> list[ModelCounts]:
    counts_of: dict[str | None, dict[Key, Count]] = {}
    for key, count in tables.count().items():
        counts_of.setdefault(key.model, {})[key] = count
    if source.model in counts_of:  # gaps in another model's counts must not fail this one
        counts_of = {source.model: counts_of[source.model]}
    return [_model(tables, model, counts, source) for model, counts in counts_of.items()]


def _model(tables: _Tables, model: str | None, counts: dict[Key, Count], source: Source) -> ModelCounts:
    name = source.name if model is None else model
    step, chosen = _choose_step(f"{source.path}, model {name!r}", {key.step for key in counts}, source.step)
    counts = {key: count for key, count in counts.items() if key.step == step}
    try:
        group_counts = GroupCounts(
            problem=[key.problem for key in counts],
            n=[count.n for count in counts.values()],
            c=[count.c for count in counts.values()],
            seed=_labels("seed", [key.seed for key in counts], counts.values()),
            base=_labels("base", [key.base for key in counts], counts.values()),
            cluster=_labels("cluster", [count.cluster for count in counts.values()], counts.values()),
        )
    except InputError as error:
        raise InputError(f"{source.path}, model {name!r}: {error}") from error
    samples = None if tables.schema.format == "counts" else Samples(tables.readers, model, step)
    return ModelCounts(f"{name}@{step}" if chosen else name, group_counts, samples)


def _choose_step(where: str, steps: set[int | None], requested: int | None) -> tuple[int | None, bool]:
    """Return the step to read, and whether there was a choice, which the model's name then shows."""
    known = sorted(step for step in steps if step is not None)
    if requested is None:
        return (known[-1] if known else None), len(known) > 1
    if requested not in known:
        choices = f"there is {join_names(map(str, known))}" if known else "it has no steps"
        raise InputError(f"{where}: there is no step {requested}; {choices}")
    return requested, True


def _labels(name: str, labels: Sequence[str | None], counts: Iterable[Count]) -> list[str] | None:
    """The labels, or None where no row has one. Raises InputError where only some rows have one."""
    present = [label for label in labels if label is not None]
    if present and len(present) < len(labels):
        where = next(count.where for count, label in zip(counts, labels, strict=True) if label is None)
        raise InputError(f"{where}: no {name} here, and other rows of this model have one: give it to all or none")
    return present or None


def _run_name(folder: Path) -> str:
    """The run's name: TRL logs into RUN/completions."""
    return folder.resolve().parent.name if folder.name == TRL_FOLDER else folder.name


def _splits(text: str) -> Iterator[tuple[str, str | None, str | None]]:
    """Every way to split the text into (path, step, model), the longest path first."""
    if not text:
        return
    yield text, None, None
    for end in [len(text), *(at for at in range(len(text) - 1, -1, -1) if text[at] == "#")]:
        head, model = text[:end], text[end + 1 :] if end < len(text) else None
        yield head, None, model
        path, at, step = head.rpartition("@")
        if at:
            yield path, step, model
