"""Rows of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlvrscope.errors import InputError

Row = dict[str, Any]


def at_temperature(scores: Sequence[Row], temperature: float = 1.0) -> Row:
    """Of the scores in a row of evaluation.jsonl or wise.jsonl, one entry a temperature, those at this one.

    Raises InputError if there are none.
    """
    found = next((score for score in scores if score["temperature"] == temperature), None)
    if found is None:
        raise InputError(
            f"nothing was scored at temperature {temperature:g}; only at {[s['temperature'] for s in scores]}"
        )
    return found
