"""Runs: typed rows, the run folder, and a finished run as arrays."""

from rlvrscope.runs.files import environment, read_json, replacing, write_atomic
from rlvrscope.runs.finished_run import HELD_OUT, TRAINING, PromptSet, Run
from rlvrscope.runs.folder import RowFollower, RunFolder
from rlvrscope.runs.growing_lines import GrowingLines
from rlvrscope.runs.rows import (
    ADAPTER_PREFIX,
    METRIC_NAMES,
    EvaluationRow,
    InterpolationRow,
    PromptScores,
    TelemetryRow,
    TimingRow,
    at_temperature,
    canonical_metrics,
)

__all__ = [
    "ADAPTER_PREFIX",
    "HELD_OUT",
    "METRIC_NAMES",
    "TRAINING",
    "EvaluationRow",
    "GrowingLines",
    "InterpolationRow",
    "PromptScores",
    "PromptSet",
    "RowFollower",
    "Run",
    "RunFolder",
    "TelemetryRow",
    "TimingRow",
    "at_temperature",
    "canonical_metrics",
    "environment",
    "read_json",
    "replacing",
    "write_atomic",
]
