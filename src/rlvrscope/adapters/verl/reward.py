"""The reward that verl calls for each completion: 1 where our verifier finds the answer right, else 0."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rlvrscope.problem import Problem
from rlvrscope.verify import verify_answer


def problem_to_json(problem: Problem) -> str:
    """A problem for verl's extra_info, which Parquet would otherwise fill with every problem's metadata keys."""
    return json.dumps({**vars(problem), "metadata": dict(problem.metadata)})


def compute_score(
    data_source: str,  # noqa: ARG001  verl's arguments
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any],
    **_: Any,
) -> dict[str, float | str]:
    """Verify one completion. The text is hostile input: it is judged as `rlvrscope verify` does, in a killable worker.

    Returns verl's score, `acc`, which readers of its dumps prefer, and the answer that was extracted (`pred`).
    """
    values = json.loads(extra_info["problem"])
    verdict = verify_answer(solution_str, replace(Problem(**values), answer=ground_truth))
    correct = float(verdict.outcome == "correct")
    return {"score": correct, "acc": correct, "pred": verdict.extracted or ""}
