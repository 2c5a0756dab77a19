"""Counts that a run of TRL leaves at each of its evaluations: counts/step-N.jsonl of the run folder."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError, file_errors
from rlvrscope.files import MAX_LINE_BYTES, parse_json, read_bounded
from rlvrscope.runs.files import write_atomic
from rlvrscope.stats.counts import GroupCounts

FOLDER = "counts"
_NAME = re.compile(r"step-([0-9]{1,15})\.jsonl")


def evaluated_steps(run: Path) -> list[int]:
    """Steps after which the run was evaluated, in order; none where it keeps no counts."""
    names = [path.name for path in (run / FOLDER).glob("step-*.jsonl")]
    return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))


def read_evaluation(run: Path, step: int | None = None) -> GroupCounts:
    """Counts of the evaluation after a step, by default the last. Raises InputError if there is none, or for damage."""
    steps = evaluated_steps(run)
    step = steps[-1] if step is None and steps else step
    if step not in steps:
        raise InputError(
            f"{run} was not evaluated after step {step}; it was after {', '.join(map(str, steps)) or 'none'}"
        )
    path = _path(run, step)
    lines = read_bounded(path, MAX_LINE_BYTES, InputError).splitlines()
    try:
        rows: Sequence[Any] = [parse_json(line) for line in lines]
        columns = [[row[name] for row in rows] for name in ("problem", "n", "c")]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged: its rows must have problem, n and c") from error
    return GroupCounts(*columns)


def write_evaluation(run: Path, step: int, counts: GroupCounts) -> None:
    """Write the counts after a step. Raises WorkError if they can't be written."""
    rows = zip(counts.problem, counts.n.tolist(), counts.c.tolist(), strict=True)
    path = _path(run, step)
    with file_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "".join(json.dumps({"problem": problem, "n": n, "c": c}) + "\n" for problem, n, c in rows))


def keep_evaluations(run: Path, step: int) -> None:
    """Remove the counts after `step`: a run that resumes there writes them again."""
    for later in evaluated_steps(run):
        if later > step:
            _path(run, later).unlink(missing_ok=True)


def _path(run: Path, step: int) -> Path:
    return run / FOLDER / f"step-{step}.jsonl"
