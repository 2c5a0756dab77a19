"""Columns of other tools' files: which identify a tool's file, and what each means.

Schemas as in the tools' sources of 2025 and 2026; docs/reading.md is the table for users.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

Field = Literal[
    "id", "prompt", "gold", "text", "extracted", "verdict", "score", "finish", "tokens", "step", "model"
]  # fmt: skip
"""What a column can hold. gold: the answer that is right; extracted: the answer in a text; verdict: is it right."""


@dataclass(frozen=True)
class ToolFile:
    """A tool's file. columns: those that tell it from others' files. names: its column for each field.

    gradings: a column by which rows differ that grade the same completions.
    """

    tool: str
    columns: frozenset[str]
    names: Mapping[Field, str]
    gradings: str | None = None

    def matches(self, present: Collection[str]) -> bool:
        return self.columns <= set(present)


OWN = ToolFile(
    "rlvrscope's verdicts and exports",
    frozenset({"text", "answer", "gold", "outcome", "version"}),
    {"gold": "gold", "extracted": "answer"},
)
VERL_DUMP = ToolFile(
    "verl",
    frozenset({"input", "output", "score", "step"}),
    {"prompt": "input", "gold": "gts", "text": "output", "extracted": "pred", "score": "score", "step": "step"},
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
    gradings="filter",
)
LIGHTEVAL = ToolFile(
    "lighteval",
    frozenset({"doc", "metric", "model_response"}),
    {"id": "doc.id", "prompt": "doc.query", "gold": "doc.choices", "text": "model_response.text"},
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
)
INSPECT_TABLE = ToolFile(
    "inspect table",
    frozenset({"sample_id", "id", "epoch", "input", "target"}),
    {"id": "id", "model": "model", "tokens": "total_tokens"},
)
QWEN_MATH = ToolFile(
    "Qwen2.5-Math",
    frozenset({"idx", "code", "gt"}),
    {
        "id": "idx",
        "prompt": "question",
        "gold": "gt",
        "text": "code",
        "extracted": "pred",
        "verdict": "score",
        "finish": "finish_reason",
    },
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
)
RLLM = ToolFile("rllm", frozenset({"idx", "attempt", "is_correct"}), {"id": "idx", "verdict": "is_correct"})
NEMO_RL = ToolFile(
    "NeMo-RL",
    frozenset({"prompt", "response", "reward", "sample_index"}),
    {"prompt": "prompt", "text": "response", "score": "reward"},
)
WITH_ANSWERS = (
    OWN, VERL_DUMP, VERL_DATA, LM_EVAL, LIGHTEVAL, INSPECT_LOG, QWEN_MATH, LIMO, NEMO_SKILLS, SKY_RL, VERIFIERS,
)  # fmt: skip
"""Files with gold answers, whose texts can be verified."""
