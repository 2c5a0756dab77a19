"""Random damage to values, texts and files, the same for the same generator."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 5, 2**31, 2**53, 2**63, -(2**63), 10**30, 10**400, 0.5, -0.5, 1.5, 1e30, 1e308, -1e308,
    float("nan"), float("inf"), "", "0", "0.5", "x", "nan", "9" * 5000, "\ud800", "\0", "a\nb", "\x1b[2J", "../../x",
    "x.py:f", [], {}, [1], [None], ["x"], [[1]], {"x": 1}, {"": None}, nested(50), nested(150), [0.5] * 1000,
]  # fmt: skip
"""What stands where something else is due."""


def pick(rng: np.random.Generator, items: Any) -> Any:
    return items[int(rng.integers(len(items)))]


def mutated(value: Any, rng: np.random.Generator) -> Any:
    """A copy of a tree of lists and objects with one place replaced, removed, renamed or doubled."""
    changed = copy.deepcopy({"root": value})
    outer: Any = changed
    key: Any = "root"
    while isinstance(outer[key], dict | list) and outer[key] and (key == "root" or rng.random() < 0.85):
        outer = outer[key]
        key = pick(rng, list(outer)) if isinstance(outer, dict) else int(rng.integers(len(outer)))
    kind = rng.random()
    if kind < 0.7 or key == "root":
        outer[key] = copy.deepcopy(pick(rng, VALUES))
    elif kind < 0.85:
        del outer[key]
    elif isinstance(outer, dict):
        outer[f"{key}x"] = outer.pop(key)
    else:
        outer.append(outer[key])
    return changed["root"]


def mutated_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes with a flipped bit, a cut, or some that are added, doubled or replaced."""
    place = int(rng.integers(len(content) + 1))
    kind = pick(rng, ["flip", "cut", "insert", "double", "zero", "empty"])
    if kind == "flip" and place < len(content):
        return content[:place] + bytes([content[place] ^ (1 << int(rng.integers(8)))]) + content[place + 1 :]
    if kind == "cut":
        return content[:place]
    if kind == "insert":
        return content[:place] + rng.bytes(int(rng.integers(1, 20))) + content[place:]
    if kind == "double":
        return content[:place] + content[max(0, place - 50) :]
    if kind == "zero":
        return content[:place] + bytes(20) + content[place + 20 :]
    return b""


def mutated_lines(text: str, rng: np.random.Generator) -> str:
    """JSON Lines with one row mutated, doubled or missing."""
    rows = [json.loads(line) for line in text.splitlines()]
    if not rows:
        return text
    place, kind = int(rng.integers(len(rows))), rng.random()
    if kind < 0.8:
        rows[place] = mutated(rows[place], rng)
    elif kind < 0.9:
        rows.insert(place, rows[place])
    else:
        del rows[place]
    return "".join(json.dumps(row) + "\n" for row in rows)
