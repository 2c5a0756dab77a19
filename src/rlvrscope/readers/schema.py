"""Which kind of table a file is, told by its columns, and which of its columns means what."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rlvrscope.errors import InputError
from rlvrscope.readers.columns import COLUMNS, Columns
from rlvrscope.tables.table import Table
from rlvrscope.tables.values import listed, shown

Kind = Literal["counts", "samples", "verl", "trl"]
LABELS = ("model", "step", "base", "seed", "cluster")
_VERL = {"input", "output", "score", "step"}
_TRL = {"prompt", "completion", "step"}


@dataclass(frozen=True)
class Schema:
    """A table's kind, and the file's name of each column of ours that it has.

    prompt: the columns that tell a problem apart where there are no ids (verl, TRL). accuracy: verl's own verdict,
    which goes before the score where it is there. session: verl's key of an output.
    """

    kind: Kind
    names: Mapping[str, str]
    prompt: tuple[str, ...] = ()
    accuracy: str | None = None
    session: str | None = None

    @property
    def rating(self) -> str:
        """`correct` or `score`: which of ours says whether a sample is right."""
        return "correct" if "correct" in self.names else "score"

    @property
    def to_count(self) -> list[str]:
        """The file's columns that counting needs: never the texts, but for prompts that stand for ids."""
        ours = ("problem", *LABELS, *(("n", "c") if self.kind == "counts" else (self.rating,)))
        theirs = [self.names[name] for name in ours if name in self.names]
        return list(dict.fromkeys([*theirs, *self.prompt, *filter(None, (self.accuracy, self.session))]))


def recognise(table: Table, columns: Columns) -> Schema:
    """Raises InputError, with the columns that came, where some are missing, stand twice or can't be told apart."""
    names = {ours: name for ours in COLUMNS if (name := _theirs(ours, table, columns)) is not None}
    _check_spelling(table, columns)
    schema = _kind(table, columns, names)
    for name in dict.fromkeys((*schema.names.values(), *schema.prompt)):
        if list(table.names).count(name) > 1:
            raise InputError(f"{table.path}: column {name!r} stands there twice: rename one")
    return schema


def _check_spelling(table: Table, columns: Columns) -> None:
    """A column that the user named may be missing, as a base has no training seed; one nearly named so is a slip."""
    for ours, theirs in columns.pairs:
        others = [name for name in table.names if name != ours]
        close = difflib.get_close_matches(theirs, others, n=1, cutoff=0.75)
        if theirs not in table.names and close:
            raise InputError(
                f"{table.path}: there is no column for --column {ours}={theirs}. Did you mean {shown(close[0])}? "
                f"{_came(table)}"
            )


def _theirs(ours: str, table: Table, columns: Columns) -> str | None:
    """The file's name for a column: the one the user gave, else ours, so that files of both sorts can be compared."""
    given = columns.theirs(ours)
    return next((name for name in (given, ours) if name is not None and name in table.names), None)


def _kind(table: Table, columns: Columns, names: dict[str, str]) -> Schema:
    held = set(table.names)
    if held >= _VERL and "problem" not in held:
        return _verl(held, columns, names)
    if held >= _TRL and table.numeric and "problem" not in held:
        return _trl(table, columns, names)
    if "problem" in names and {"n", "c"} <= names.keys():
        used = ("problem", "n", "c", *LABELS)
        return Schema("counts", {name: names[name] for name in used if name in names})
    if "problem" in names and ("correct" in names or "score" in names):
        return Schema("samples", _one_rating(names, columns))
    raise InputError(
        f"{table.path}: needs the columns problem, n and c (counts), or problem and correct or score (one row a "
        f"sample). {_came(table)}. Say which is which: --column problem=NAME"
    )


def _verl(held: set[str], columns: Columns, names: dict[str, str]) -> Schema:
    """A verl dump of validation or rollouts: a problem is its prompt and gold answer."""
    _check_rating(held, columns)
    found = {"text": "output", **_given(columns, held), "step": names["step"]}
    if "pred" in held:
        found.setdefault("answer", "pred")
    rated = "correct" in found or "score" in found
    if not rated:
        found["score"] = "score"
    prompt = () if "problem" in found else tuple(name for name in ("input", "gts") if name in held)
    accuracy = "acc" if "acc" in held and not rated else None
    return Schema("verl", _one_rating(found, columns), prompt, accuracy, "uid" if "uid" in held else None)


def _trl(table: Table, columns: Columns, names: dict[str, str]) -> Schema:
    """TRL's logged completions: training prompts of one step, one column a reward function."""
    held = set(table.names)
    _check_rating(held, columns)
    found = {"text": "completion", **_given(columns, held), "step": names["step"]}
    if "correct" not in found and "score" not in found:
        rewards = [name for name in table.numeric if name not in ("step", "advantage", *found.values())]
        if len(rewards) != 1:
            raise InputError(
                f"{table.path}: one column must say how good a completion is; "
                f"{'these hold numbers: ' + listed(rewards) if rewards else 'none holds numbers'}. "
                "Say which: --column score=NAME"
            )
        found["score"] = rewards[0]
    return Schema("trl", _one_rating(found, columns), () if "problem" in found else ("prompt",))


def _check_rating(held: set[str], columns: Columns) -> None:
    """A reward that the user named must be there: another one of the dump is no substitute."""
    for ours in ("correct", "score"):
        theirs = columns.theirs(ours)
        if theirs is not None and theirs not in held:
            raise InputError(f"there is no column for --column {ours}={theirs}. It has {listed(sorted(held))}")


def _given(columns: Columns, held: set[str]) -> dict[str, str]:
    return {ours: theirs for ours, theirs in columns.pairs if theirs in held and ours not in ("n", "c")}


def _one_rating(names: Mapping[str, str], columns: Columns) -> dict[str, str]:
    """Without n and c, and with one of correct and score: the one the user named, else correct."""
    named = columns.theirs("score") == names.get("score") and columns.theirs("correct") is None
    extra = "correct" if "score" in names and ("correct" not in names or named) else "score"
    return {ours: theirs for ours, theirs in names.items() if ours not in ("n", "c", extra)}


def _came(table: Table) -> str:
    return f"It has {listed(table.names)}"
