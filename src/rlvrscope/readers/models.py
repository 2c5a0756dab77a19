"""Counts of right samples, model by model, from the files users have.

Told by content: tables of counts and tables of one row a sample (CSV, JSONL, Parquet), stores of samples, verl's dumps,
TRL's completions, folders of such files, and the lab's runs and experiments.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rlvrscope.errors import InputError
from rlvrscope.readers.columns import OURS, Columns
from rlvrscope.readers.lab_runs import is_lab_folder, read_lab
from rlvrscope.readers.sample_texts import Samples, SampleText
from rlvrscope.readers.schema import Schema, recognise
from rlvrscope.readers.source import COMPLETIONS, STEP_FILE, Source
from rlvrscope.readers.store_table import StoreTable
from rlvrscope.readers.tally import Cell, Key, Reader, Tally
from rlvrscope.sampling.store.file import is_store, store_path
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.tables.files import KINDS, files_in, open_table
from rlvrscope.tables.table import Table
from rlvrscope.tables.values import listed


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
        """The first `limit` samples of a problem, read from their file now; none where the source has no texts."""
        return self.texts_of([problem], limit, correct)[problem]

    def texts_of(
        self, problems: Collection[str], limit: int = 20, correct: bool | None = None
    ) -> dict[str, list[SampleText]]:
        """The same for several problems, in one reading. correct: only right samples, or only wrong ones."""
        if self.source is None:
            return {problem: [] for problem in problems}
        return self.source.texts(problems, limit, correct)

    def answers(self) -> tuple[list[str], list[str | None], list[bool]] | None:
        """(problem, answer or None, correct) of every sample; None where the source has no answers."""
        return self.source.answers() if self.source is not None and self.source.has_answers else None


def read_models(
    source: str, columns: Columns = OURS, threshold: float | None = None, samples: int = 256
) -> list[ModelCounts]:
    """Every model in a source, in order of first appearance.

    source: PATH, PATH@STEP, PATH#MODEL or PATH@STEP#MODEL; without a step, the last. columns: how the user's names map
    to ours. threshold: a sample is right with a score of at least this; scores of 0 and 1 need none. samples: how many
    to draw a prompt where the source knows exact probabilities (the lab).

    A table with n and c is read as counts, whatever else it holds. Raises InputError, naming file and row, for input
    that breaks a rule; MissingExtraError for Parquet without pyarrow.
    """
    if threshold is not None and not math.isfinite(threshold):
        raise InputError(f"--threshold must be a finite number; got {threshold}")
    wanted = Source.parse(source)
    if not wanted.path.is_dir():
        models = _models(_Tables.of([wanted.path], columns, threshold), wanted)
    elif is_lab_folder(wanted.path):
        models = [ModelCounts(name, counts) for name, counts in read_lab(wanted.path, wanted.step, samples)]
    elif is_store(wanted.path):
        models = _models(_Tables.of([store_path(wanted.path)], columns, threshold), wanted)
    else:
        models = _folder(wanted, columns, threshold)
    if wanted.model is None:
        return models
    found = [model for model in models if wanted.model in (model.name, model.name.rpartition("@")[0])]
    if not found:
        raise InputError(f"{source}: there is no model {wanted.model!r}; there is {listed(m.name for m in models)}")
    return found


@dataclass(frozen=True)
class _Tables:
    """Tables of one kind that are counted together."""

    readers: Sequence[Reader]

    @classmethod
    def of(cls, paths: Sequence[Path], columns: Columns, threshold: float | None) -> _Tables:
        readers: list[Reader] = []
        for path in paths:
            table = StoreTable.open(path) if is_store(path) else open_table(path)
            readers.append(Reader(table, recognise(table, columns), threshold))
        return cls(readers)

    @property
    def schema(self) -> Schema:
        return self.readers[0].schema

    @property
    def first(self) -> Table:
        return self.readers[0].table

    def count(self) -> dict[Key, Cell]:
        tally = Tally()
        for reader in self.readers:
            tally.add(reader)
        if not tally.cells:
            raise InputError(f"{self.first.path}: no rows: there is nothing to count")
        return tally.cells


def _folder(wanted: Source, columns: Columns, threshold: float | None) -> list[ModelCounts]:
    """A folder of files: dumps of several steps, of which one is read, or the parts of one model."""
    paths = files_in(wanted.path)
    if not paths and (wanted.path / COMPLETIONS).is_dir():
        return _folder(replace(wanted, path=wanted.path / COMPLETIONS), columns, threshold)
    if not paths:
        raise InputError(f"{wanted.path}: there is no {', '.join(KINDS)} file in this folder, and no recipe.toml")
    at = {int(match[1]): path for path in paths if (match := STEP_FILE.fullmatch(path.name))}
    if at and _Tables.of([at[max(at)]], columns, threshold).schema.kind in ("verl", "trl"):
        step = max(at) if wanted.step is None else wanted.step
        if step not in at:
            raise InputError(f"{wanted.path}: there is no step {step}; there is {listed(map(str, sorted(at)))}")
        chosen = Source(wanted.path, step, wanted.model)
        return _models(_Tables.of([at[step]], columns, threshold), chosen)
    return _models(_one_model(_Tables.of(paths, columns, threshold)), wanted)


def _one_model(tables: _Tables) -> _Tables:
    for reader in tables.readers:
        path, schema = reader.table.path, reader.schema
        if schema.kind != tables.schema.kind:
            raise InputError(
                f"{path} holds {schema.kind}, {tables.first.path.name} beside it {tables.schema.kind}: files of one "
                "folder are one model, so they must be of one kind. Name the files one by one."
            )
        if {"model", "step"} & schema.names.keys():
            raise InputError(
                f"{path} has a model or step column, and files of one folder are read as one model at one step. "
                "Name the files one by one."
            )
    return tables


def _models(tables: _Tables, wanted: Source) -> list[ModelCounts]:
    cells_of: dict[str | None, dict[Key, Cell]] = {}
    for key, cell in tables.count().items():
        cells_of.setdefault(key.model, {})[key] = cell
    if wanted.model in cells_of:  # another model's gaps are none of this one's business
        cells_of = {wanted.model: cells_of[wanted.model]}
    return [_model(tables, model, cells, wanted) for model, cells in cells_of.items()]


def _model(tables: _Tables, model: str | None, cells: dict[Key, Cell], wanted: Source) -> ModelCounts:
    name = wanted.name if model is None else model
    step, named = _choose_step(f"{wanted.path}, model {name!r}", {key.step for key in cells}, wanted.step)
    cells = {key: cell for key, cell in cells.items() if key.step == step}
    try:
        counts = GroupCounts(
            problem=[key.problem for key in cells],
            n=[cell.n for cell in cells.values()],
            c=[cell.c for cell in cells.values()],
            seed=_labels("seed", [key.seed for key in cells], cells.values()),
            base=_labels("base", [key.base for key in cells], cells.values()),
            cluster=_labels("cluster", [cell.cluster for cell in cells.values()], cells.values()),
        )
    except InputError as error:
        raise InputError(f"{wanted.path}, model {name!r}: {error}") from error
    source = None if tables.schema.kind == "counts" else Samples(tables.readers, model, step)
    return ModelCounts(f"{name}@{step}" if named else name, counts, source)


def _choose_step(where: str, steps: set[int | None], wanted: int | None) -> tuple[int | None, bool]:
    """The step to read, and whether there was something to choose, which the model's name then says."""
    known = sorted(step for step in steps if step is not None)
    if wanted is None:
        return (known[-1] if known else None), len(known) > 1
    if wanted not in known:
        there = f"there is {listed(map(str, known))}" if known else "it has no steps"
        raise InputError(f"{where}: there is no step {wanted}; {there}")
    return wanted, True


def _labels(name: str, labels: Sequence[str | None], cells: Iterable[Cell]) -> list[str] | None:
    """The labels, or None where no row has one. Raises InputError where some rows have one."""
    found = [label for label in labels if label is not None]
    if found and len(found) < len(labels):
        where = next(cell.where for cell, label in zip(cells, labels, strict=True) if label is None)
        raise InputError(f"{where}: no {name} here, and other rows of this model have one: give it to all or none")
    return found or None
