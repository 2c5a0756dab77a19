"""What a reader is asked for, and what a table's columns mean to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

from rlvrscope.errors import InputError
from rlvrscope.tables.formats import parse_column_map

LABELS = ("model", "step", "base", "seed", "cluster")
SAMPLE_COLUMNS = ("correct", "score", "answer", "text", "finish", "tokens", "reasoning")
"""Columns with a value for each sample; where a row holds several samples, lists."""
COLUMNS = ("problem", "n", "c", *SAMPLE_COLUMNS, *LABELS)
"""Columns of a table: `n` samples of which `c` are correct, or `correct` or `score` of each sample.

`answer`: the sample's extracted answer, for majority voting; `text`: the completion; `finish`: why it ended ("length":
cut off); `tokens`: its length; `reasoning`: what was written before the text; `base`, `seed`: the base model and the
training seed; `cluster`: problems that belong together, such as variants of one.
"""


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
class ReadOptions:
    """The user's options for reading sources.

    columns: their names for our columns. threshold: a sample is correct if its score is at least this; scores of 0 and
    1 need none. right: the values of the column `correct` that mean right, where the file has words of its own. where:
    pairs (column, value) that a row must have to be read. by: a column that groups problems, such as their level.
    drop_copies: count each text of a problem once. samples: samples to draw for each prompt where the source has exact
    probabilities (the lab).

    Raises InputError for a threshold that is not finite.
    """

    columns: Columns = Columns()
    threshold: float | None = None
    right: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    by: str | None = None
    drop_copies: bool = False
    samples: int = 256

    def __post_init__(self) -> None:
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise InputError(f"--threshold must be a finite number; got {self.threshold}")


PLAIN = ReadOptions()
"""Options for files whose columns have our names."""


@dataclass(frozen=True)
class Schema:
    """What the columns of a table mean.

    layout: the tool that wrote it, or "counts" or "samples". names: the file's name for each of our columns that it
    has. prompt: columns that identify a problem where there are no ids. ids: columns that make up its id, where several
    do. statement: the column of its prompt, which rows of one id share. prefix: goes before every problem's id.
    accuracy: verl's own verdict, which takes precedence over the score. also_correct: a second verdict that a right
    sample needs. session: verl's key of an output. words: the tool's words for verdicts. optional_rating: a row without
    a rating is no sample. summed: a list of scores is one sample's, to be added up. completions: the column with all
    completions of a row. rate: the score is the share of right ones among them (or among this many). once: the tool
    writes one row for each problem, so that a second one is another grading. evaluation: what the file holds all of.
    """

    layout: str
    names: Mapping[str, str]
    prompt: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    statement: str | None = None
    prefix: str = ""
    accuracy: str | None = None
    also_correct: str | None = None
    session: str | None = None
    words: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    optional_rating: bool = False
    summed: bool = False
    completions: str | None = None
    rate: bool | int = False
    once: bool = False
    evaluation: str | None = None

    @property
    def is_counts(self) -> bool:
        return "n" in self.names

    @property
    def rating(self) -> str:
        """Our column that says whether a sample is correct: "correct" or "score"."""
        return "correct" if "correct" in self.names else "score"

    @property
    def rated_by(self) -> str:
        """The file's column, or columns, that say what is right."""
        column = self.names["c"] if self.is_counts else self.accuracy or self.names[self.rating]
        return f"{column} and {self.also_correct}" if self.also_correct else column

    @property
    def counting_columns(self) -> list[str]:
        """The file's columns needed for counting: no texts, except prompts that serve as ids."""
        columns = ("problem", *LABELS, *(("n", "c") if self.is_counts else (self.rating,)))
        names = [self.names[name] for name in columns if name in self.names]
        more = filter(None, (self.accuracy, self.also_correct, self.session, self.completions))
        return list(dict.fromkeys([*names, *self.prompt, *self.ids, *more]))
