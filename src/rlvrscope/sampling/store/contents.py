"""Problems and identities as the JSON texts of a store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlvrscope.files import parse_json
from rlvrscope.problem import Problem
from rlvrscope.sampling.store.store_file import damaged
from rlvrscope.tables.values import shorten

TEXTS = ("prompt", "answer", "verifier")


def to_json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True)


def problem_content(problem: Problem) -> str:
    """A problem, all but its id."""
    fields = {name: getattr(problem, name) for name in (*TEXTS, "cluster")}
    return to_json(fields | {"metadata": dict(problem.metadata)})


def read_problem(path: Path, name: str, content: str) -> Problem:
    """Raises InputError for content that no problem has."""
    fields = read_object(path, content, what := f"problem {shorten(name)}")
    texts = [*(fields.get(key) for key in TEXTS), fields.get("cluster") or ""]
    sound = all(isinstance(text, str) for text in texts) and isinstance(fields.get("metadata"), dict)
    if not sound or fields.keys() - {*TEXTS, "cluster", "metadata"}:
        raise damaged(path, f"{what} is not as it was written")
    return Problem(id=name, **fields)


def read_object(path: Path, text: str, what: str) -> dict[str, Any]:
    """A JSON object of the store. Raises InputError for anything else."""
    try:
        value = parse_json(text)
    except ValueError as error:
        raise damaged(path, f"{what}: {error}") from error
    if not isinstance(value, dict):
        raise damaged(path, f"{what} is not an object")
    return value
