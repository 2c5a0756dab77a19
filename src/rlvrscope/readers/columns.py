"""How a user's column names map to ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from rlvrscope.tables.pairs import parse_pairs

COLUMNS = ("problem", "n", "c", "correct", "score", "answer", "text", "model", "step", "base", "seed", "cluster")
"""What a table may hold: `n` samples of which `c` were right, or one row a sample that is `correct` or has a `score`.

`answer` is what a sample came to (for majority voting), `text` what it said; `base`, `seed`: which base model was
trained, with which training seed; `cluster`: problems that belong together, such as variants of one.
"""


@dataclass(frozen=True)
class Columns:
    """The names in the user's files of our columns, where they differ: pairs (ours, theirs)."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, pairs: Sequence[str]) -> Self:
        """Read "ours=theirs" pairs.

        >>> Columns.parse(["problem=task_id"]).theirs("problem")
        'task_id'

        Raises InputError for one that is no pair, for an unknown `ours`, and for one given twice.
        """
        return cls(tuple(parse_pairs(pairs, COLUMNS, "--column", "problem=task_id").items()))

    def theirs(self, ours: str) -> str | None:
        """The name the user gave for a column; None if they gave none."""
        return dict(self.pairs).get(ours)


OURS = Columns()
"""Files whose columns have our names."""
