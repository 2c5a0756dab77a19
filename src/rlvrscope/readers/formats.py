"""Table formats: which columns a file has, and what each of them means.

Tables of counts and of samples are recognised here by our column names; trainers' own dumps in `trainer_dumps`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from rlvrscope.tables.formats import parse_column_map
from rlvrscope.tables.table import Table

COLUMNS = ("problem", "n", "c", "correct", "score", "answer", "text", "model", "step", "base", "seed", "cluster")
"""Columns of a table: `n` samples of which `c` are correct, or one row per sample with `correct` or `score`.

`answer`: the sample's extracted answer, for majority voting; `text`: the completion; `base`, `seed`: the base model
and the training seed; `cluster`: problems that belong together, such as variants of one.
"""
LABELS = ("model", "step", "base", "seed", "cluster")
FormatName = Literal["counts", "samples", "verl", "trl"]


@dataclass(frozen=True)
class Columns:
    """The user's names for our columns, where they differ: pairs (our name, the file's name)."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, pairs: Sequence[str]) -> Self:
        """Read pairs such as "problem=task_id".

        >>> Columns.parse(["problem=task_id"]).file_name("problem")
        'task_id'

        Raises InputError for text that is no pair, an unknown column, and a column named twice.
        """
        return cls(tuple(parse_column_map(pairs, COLUMNS, "--column", "problem=task_id").items()))

    def file_name(self, column: str) -> str | None:
        """The file's name that the user set for a column; None if they set none."""
        return dict(self.pairs).get(column)


@dataclass(frozen=True)
class Schema:
    """The format of a table, and the file's name for each of our columns that it has.

    prompt: columns that identify a problem where there are no ids (verl, TRL). accuracy: verl's own verdict, which
    takes precedence over the score. session: verl's key of an output.
    """

    format: FormatName
    names: Mapping[str, str]
    prompt: tuple[str, ...] = ()
    accuracy: str | None = None
    session: str | None = None

    @property
    def rating(self) -> str:
        """The column that says whether a sample is correct: "correct" or "score"."""
        return "correct" if "correct" in self.names else "score"

    @property
    def counting_columns(self) -> list[str]:
        """The file's columns needed for counting: no texts, except prompts that serve as ids."""
        columns = ("problem", *LABELS, *(("n", "c") if self.format == "counts" else (self.rating,)))
        names = [self.names[name] for name in columns if name in self.names]
        return list(dict.fromkeys([*names, *self.prompt, *filter(None, (self.accuracy, self.session))]))


def counts_schema(table: Table, columns: Columns) -> Schema | None:
    """Schema of a table with n samples and c correct ones a row; None for another format."""
    names = present_columns(table, columns)
    if not names.keys() >= {"problem", "n", "c"}:
        return None
    return Schema("counts", {name: names[name] for name in ("problem", "n", "c", *LABELS) if name in names})


def samples_schema(table: Table, columns: Columns) -> Schema | None:
    """Schema of a table with one row per sample; None for another format."""
    names = present_columns(table, columns)
    if "problem" not in names or not names.keys() & {"correct", "score"}:
        return None
    return Schema("samples", single_rating(names, columns))


def present_columns(table: Table, columns: Columns) -> dict[str, str]:
    """The file's name for each of our columns that it has: the user's name if present, else ours.

    Falling back to our name lets one mapping serve two files of which only one needs it.
    """
    user_names = {column: name for column, name in columns.pairs if name in table.names}
    names = {column: user_names.get(column, column) for column in COLUMNS}
    return {column: name for column, name in names.items() if name in table.names}


def single_rating(names: Mapping[str, str], columns: Columns) -> dict[str, str]:
    """The columns without n and c, and with one of correct and score: the one the user named, else correct."""
    score_named = columns.file_name("score") == names.get("score") and columns.file_name("correct") is None
    unused = "correct" if "score" in names and ("correct" not in names or score_named) else "score"
    return {column: name for column, name in names.items() if column not in ("n", "c", unused)}
