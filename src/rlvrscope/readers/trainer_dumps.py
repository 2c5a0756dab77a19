"""Samples that trainers dump: verl's validation and rollout dumps, TRL's logged completions.

verl (`trainer.validation_data_dir`, `trainer.rollout_data_dir`): {step}.jsonl with the columns input, output, score,
step, and where they apply gts (gold answer), acc (its own verdict), pred (extracted answer) and uid (key of an output).
TRL (`log_completions`): completions/completions_{step}.parquet with the columns prompt, completion, step, advantage
and one for each reward function. Neither has problem ids: a prompt, with verl's gold answer, identifies a problem.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from rlvrscope.errors import InputError
from rlvrscope.readers.formats import Columns, Schema, single_rating
from rlvrscope.tables.table import Table
from rlvrscope.tables.values import join_names

VERL_COLUMNS = frozenset({"input", "output", "score", "step"})
TRL_COLUMNS = frozenset({"prompt", "completion", "step"})
TRL_FOLDER = "completions"
STEP_FILE = re.compile(r"(?:completions_)?([0-9]{1,15})\.(?:jsonl|parquet)")
"""The name of a dump's file, with its step."""
LATER_OUTPUT = re.compile(r"[0-9a-f-]{36}_[0-9]+_0*[1-9][0-9]*")
"""verl's key {uid}_{session}_{index} of an output that is not the first of its session."""


def verl_schema(table: Table, columns: Columns) -> Schema | None:
    """Schema of a verl dump; None for another format.

    A sample is correct by `acc`, else by `score`, unless the user names a column.
    """
    present = set(table.names)
    if not present >= VERL_COLUMNS or "problem" in present:
        return None
    _check_rating(table, columns)
    names = {"text": "output", "step": "step", **_user_names(columns, present)}
    if "pred" in present:
        names.setdefault("answer", "pred")
    user_rates = "correct" in names or "score" in names
    if not user_rates:
        names["score"] = "score"
    return Schema(
        "verl",
        single_rating(names, columns),
        prompt=() if "problem" in names else tuple(name for name in ("input", "gts") if name in present),
        accuracy="acc" if "acc" in present and not user_rates else None,
        session="uid" if "uid" in present else None,
    )


def trl_schema(table: Table, columns: Columns) -> Schema | None:
    """Schema of TRL's completions; None for another format.

    Raises InputError where the user must say which reward column decides.
    """
    present = set(table.names)
    if not present >= TRL_COLUMNS or not table.numeric or "problem" in present:
        return None
    _check_rating(table, columns)
    names = {"text": "completion", "step": "step", **_user_names(columns, present)}
    if "correct" not in names and "score" not in names:
        rewards = [name for name in table.numeric if name not in ("step", "advantage", *names.values())]
        if len(rewards) != 1:
            raise InputError(
                f"{table.path}: one column must say how good a completion is; "
                f"{'these hold numbers: ' + join_names(rewards) if rewards else 'none holds numbers'}. "
                "Say which: --column score=NAME"
            )
        names["score"] = rewards[0]
    return Schema("trl", single_rating(names, columns), prompt=() if "problem" in names else ("prompt",))


def _check_rating(table: Table, columns: Columns) -> None:
    """Refuse a reward column that the user named and the file lacks: no other column can replace it."""
    for column in ("correct", "score"):
        name = columns.file_name(column)
        if name is not None and name not in table.names:
            raise InputError(
                f"{table.path}: --column {column}={name}: there is no such column. The file has "
                f"{join_names(sorted(set(table.names)))}"
            )


def _user_names(columns: Columns, present: Collection[str]) -> dict[str, str]:
    return {column: name for column, name in columns.pairs if name in present and column not in ("n", "c")}
