"""Nested values: fields of objects by dotted names, and lists that hold several samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MAX_DEPTH = 4
"""At most this many levels of lists and of objects are looked at."""
MAX_KEYS = 100
"""At most this many fields of one object are named: some objects are maps with a key for every row."""


def at_path(value: Any, path: Sequence[str]) -> Any:
    """Return the field of nested objects, or None.

    >>> at_path({"reward_model": {"ground_truth": "4"}}, ["reward_model", "ground_truth"])
    '4'
    """
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def leaf_names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys of all rows in order, then the dotted names of nested fields.

    >>> leaf_names([{"id": 1, "doc": {"level": 2}}, {"id": 2, "n": 3}])
    ['id', 'doc', 'n', 'doc.level']
    """
    names: dict[str, None] = {}
    nested: dict[str, None] = {}
    for row in rows:
        names |= dict.fromkeys(row)
        if dict in map(type, row.values()):
            for key, value in row.items():
                _add_nested(nested, key, value, MAX_DEPTH)
    return [*names, *(name for name in nested if name not in names)]


def _add_nested(names: dict[str, None], prefix: str, value: Any, depth: int) -> None:
    if not isinstance(value, dict) or depth == 0 or len(value) > MAX_KEYS:
        return
    for key, inner in value.items():
        names[f"{prefix}.{key}"] = None
        _add_nested(names, f"{prefix}.{key}", inner, depth - 1)


def is_chat(value: Any) -> bool:
    """True for a list of messages: objects with a role."""
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return False
    return all(isinstance(item, dict) and "role" in item for item in value)


def is_samples(value: Any) -> bool:
    """True for a list with one item a sample: a list that is no chat."""
    return isinstance(value, list) and not is_chat(value)


def samples_in(value: Any, depth: int = MAX_DEPTH) -> list[Any]:
    """Return the samples of a list, nested ones in order; a single value is one sample, a list nested deeper one too.

    >>> samples_in([["a"], ["b", "c"]]), samples_in("a"), samples_in([[{"role": "user", "content": "q"}]])
    (['a', 'b', 'c'], ['a'], [[{'role': 'user', 'content': 'q'}]])
    """
    if not is_samples(value) or depth == 0:
        return [value]
    if list not in map(type, value):
        return value
    return [sample for item in value for sample in samples_in(item, depth - 1)]
