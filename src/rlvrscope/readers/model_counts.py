"""Counts of correct samples, model by model, from the files users have.

A source is recognised by its content: tables of counts or samples, the files of trainers and evaluation tools, folders
of such files, sample stores, and the lab's runs and experiments.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from rlvrscope.errors import InputError
from rlvrscope.files import sha256_of
from rlvrscope.readers.account import Account
from rlvrscope.readers.counting import Count, Key, Tally
from rlvrscope.readers.evaluations import evaluated_steps, read_evaluation
from rlvrscope.readers.formats import PLAIN, Columns, ReadOptions, Schema
from rlvrscope.readers.lab_runs import is_lab_folder, read_lab
from rlvrscope.readers.layouts import STEP_FILE, TRAINERS, schema_of
from rlvrscope.readers.sample_texts import ProblemSamples, Samples, SampleText
from rlvrscope.readers.source import Source
from rlvrscope.readers.store_table import StoreTable
from rlvrscope.readers.table_reader import TableReader, check_one_kind
from rlvrscope.sampling.store.store_file import is_store, store_path
from rlvrscope.stats.counts import GroupCounts
from rlvrscope.tables.folders import FolderTables, files_in
from rlvrscope.tables.formats import open_table
from rlvrscope.tables.inspect_log import log_note
from rlvrscope.tables.table import Table, collector_paused
from rlvrscope.tables.values import join_names, shorten


@dataclass(frozen=True)
class ModelCounts:
    """One model of a source: its name, its counts, and its samples where the source holds them.

    groups: the group of each problem, by the column that ReadOptions.by names. accounts: what was read, by source.
    """

    name: str
    counts: GroupCounts
    source: Samples | None = field(default=None, repr=False)
    groups: Mapping[str, str] = field(default_factory=dict, repr=False)
    accounts: tuple[Account, ...] = field(default=(), repr=False)

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

    def samples_by_problem(self) -> dict[str, ProblemSamples]:
        """The samples of each problem, summed up; none where the source holds counts."""
        return {} if self.source is None else self.source.by_problem()

    def answers(self) -> tuple[list[str], list[str | None], list[bool]] | None:
        """(problem, answer or None, correct) of every sample; None where the source has no answers."""
        return self.source.answers() if self.source is not None and self.source.has_answers else None


def read_models(source: str | Source, options: ReadOptions = PLAIN) -> list[ModelCounts]:
    """Read every model in a source, in order of first appearance.

    source: NAME=PATH@STEP#MODEL, of which only the path is needed; without a step, the last one. A table with n and c
    is read as counts, whatever else it holds. Raises InputError, naming file and row, for invalid input;
    MissingExtraError for Parquet without pyarrow.
    """
    parsed = Source.parse(source) if isinstance(source, str) else source
    if not parsed.path.is_dir():
        models = _models(_Tables.open([parsed.path], options), parsed)
    elif evaluated_steps(parsed.path):
        name = parsed.path.resolve().name if parsed.step is None else f"{parsed.path.resolve().name}@{parsed.step}"
        models = [ModelCounts(parsed.label or name, read_evaluation(parsed.path, parsed.step))]
    elif is_lab_folder(parsed.path):
        models = [ModelCounts(name, counts) for name, counts in read_lab(parsed.path, parsed.step, options.samples)]
        models = [replace(models[0], name=parsed.label)] if parsed.label and len(models) == 1 else models
    elif is_store(parsed.path):
        models = _models(_Tables.open([store_path(parsed.path)], options), parsed)
    else:
        models = _read_folder(parsed, options)
    if parsed.model is None:
        return models
    matching = [model for model in models if parsed.model in (model.name, model.name.rpartition("@")[0])]
    if not matching:
        raise InputError(
            f"{parsed.path}: there is no model {parsed.model!r}; there is {join_names(m.name for m in models)}"
        )
    if parsed.label is not None:
        matching = [replace(model, name=parsed.label) for model in matching]
    return matching


@dataclass(frozen=True)
class _Tables:
    """Tables of one layout that are counted together. files_left_out: files beside them that hold no samples."""

    readers: Sequence[TableReader]
    files_left_out: tuple[str, ...] = ()

    @classmethod
    def open(cls, paths: Sequence[Path], options: ReadOptions) -> _Tables:
        return cls([_reader(path, options) for path in paths])

    @classmethod
    def of_folder(cls, folder: Path, options: ReadOptions) -> _Tables:
        """Open the tables among the files of a folder, which may hold reports too. Raises InputError for a copy."""
        opened = FolderTables.open(folder, lambda path: _reader(path, options))
        tables = cls(opened.tables, tuple(opened.left_out))
        check_one_kind(tables.readers)
        first: dict[tuple[str, str], str] = {}
        for reader in tables.readers:
            name = reader.table.path.name
            known = first.setdefault((tables.sha256.get(name, name), reader.schema.prefix), name)
            if known != name:
                raise InputError(f"{folder}: {known} and {name} have the same content. Leave one out")
        return tables

    @property
    def schema(self) -> Schema:
        return self.readers[0].schema

    @property
    def first(self) -> Table:
        return self.readers[0].table

    @cached_property
    def sha256(self) -> dict[str, str]:
        """SHA-256 of each file; stores have none, since they grow."""
        paths = [reader.table.path for reader in self.readers if not isinstance(reader.table, StoreTable)]
        return {path.name: sha256_of(path) for path in paths}

    def count(self) -> Tally:
        tally = Tally()
        with collector_paused():
            for reader in self.readers:
                tally.add(reader)
        if not tally.counts:
            reasons = ", ".join(f"{reason}: {number:,}" for reason, number in tally.rows.left_out.items())
            raise InputError(f"{self.first.path}: no rows: there is nothing to count{f' ({reasons})' * bool(reasons)}")
        return tally


def _reader(path: Path, options: ReadOptions) -> TableReader:
    table = StoreTable.open(path) if is_store(path) else open_table(path)
    _check_spelling(table, options.columns)
    return TableReader(table, schema_of(table, options), options)


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


def _read_folder(source: Source, options: ReadOptions) -> list[ModelCounts]:
    """Read a folder of files: a trainer's dumps, of which one step is read, or the parts of one model."""
    folders = [Path(path) for path, *_ in sorted(os.walk(source.path))]
    dumps = {folder: steps for folder in folders if (steps := _steps_in(folder))}
    folder = source.path if source.path in dumps else next(iter(dumps), None)
    if folder is not None and _is_dump(dumps[folder], source.step, options):
        if len(dumps) > 1 and folder != source.path:
            names = join_names(str(path.relative_to(source.path)) for path in dumps)
            raise InputError(f"{source.path}: {len(dumps)} folders inside hold steps: {names}. Name one of them")
        return _read_step(source, folder, dumps[folder], options)
    return _models(_Tables.of_folder(source.path, options), source)


def _steps_in(folder: Path) -> dict[int, Path]:
    """The dumps of a trainer in a folder, by step. Raises InputError for two of one step."""
    path_of: dict[int, Path] = {}
    for path in files_in(folder):
        if match := STEP_FILE.fullmatch(path.name):
            first = path_of.setdefault(int(match[1]), path)
            if first != path:
                raise InputError(f"{folder}: {first.name} and {path.name} are both step {int(match[1])}. Leave one out")
    return path_of


def _is_dump(path_of: Mapping[int, Path], step: int | None, options: ReadOptions) -> bool:
    return (
        _reader(path_of.get(max(path_of) if step is None else step, path_of[max(path_of)]), options).schema.layout
        in TRAINERS
    )


def _read_step(source: Source, folder: Path, path_of: Mapping[int, Path], options: ReadOptions) -> list[ModelCounts]:
    step = max(path_of) if source.step is None else source.step
    if step not in path_of:
        raise InputError(f"{source.path}: there is no step {step}; there is {join_names(map(str, sorted(path_of)))}")
    others = tuple(path.name for path in files_in(folder) if path not in path_of.values())
    return _models(_Tables([_reader(path_of[step], options)], others), replace(source, step=step))


def _models(tables: _Tables, source: Source) -> list[ModelCounts]:
    tally = tables.count()
    counts_of: dict[str | None, dict[Key, Count]] = {}
    for key, count in tally.counts.items():
        counts_of.setdefault(key.model, {})[key] = count
    if source.model in counts_of:  # gaps in another model's counts must not fail this one
        counts_of = {source.model: counts_of[source.model]}
    models = [_model(tables, model, counts, source) for model, counts in counts_of.items()]
    if len(models) == 1 and source.label is not None and source.model is None:
        models = [replace(models[0], name=source.label)]
    account = _account(tables, tally, source, models)
    return [replace(model, accounts=(account,)) for model in models]


def _account(tables: _Tables, tally: Tally, source: Source, models: Sequence[ModelCounts]) -> Account:
    schema, samples = tables.schema, [model.counts.pooled[0] for model in models]
    notes = [log_note(reader.table.path) for reader in tables.readers if schema.layout == "inspect"]
    if tables.readers[0].options.threshold is not None and (
        schema.is_counts or schema.rate or schema.rating != "score"
    ):
        notes.append(f"--threshold is not used: {schema.rated_by!r} holds no scores")
    if tables.readers[0].options.right and (schema.is_counts or schema.rate):
        notes.append(f"--right is not used: {schema.rated_by!r} holds no verdicts")
    notes += [note for reader in tables.readers if isinstance(reader.table, StoreTable) for note in reader.table.notes]
    return Account(
        source=models[0].name if len(models) == 1 else source.name,
        layout=schema.layout,
        rating=schema.rated_by,
        choices=len({(key.model, key.step) for key in tally.counts}),
        rows=tally.rows.rows,
        used=tally.rows.used,
        models=len(models),
        problems=len(dict.fromkeys(problem for model in models for problem in model.counts.problems)),
        samples=(int(min(n_P.min() for n_P in samples)), int(max(n_P.max() for n_P in samples))),
        left_out=dict(tally.rows.left_out),
        files=tables.files_left_out,
        other_words=dict(tally.rows.other_words),
        completions=tally.completions,
        copies=tally.copies,
        notes=tuple(note for note in notes if note),
        sha256=tables.sha256,
    )


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
    samples = None if tables.schema.is_counts or tables.schema.rate else Samples(tables.readers, model, step)
    groups = {key.problem: count.group for key, count in counts.items() if count.group is not None}
    shown = f"{name}@{step}" if chosen and source.label is None else name
    return ModelCounts(shown, group_counts, samples, groups)


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
