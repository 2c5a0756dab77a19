"""Logs of inspect_ai (.eval and .json) as tables with one row for each sample. inspect_ai reads them, lazily."""

from __future__ import annotations

import math
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.tables.json_table import JsonTable, NumberedObject
from rlvrscope.tables.stream import head_of

LOG_SUFFIX = ".eval"
_JSON_LOG = re.compile(rb'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"status"\s*:')
_UNUSED_FIELDS = {"events", "store", "messages", "attachments"}


def is_inspect_log(path: Path) -> bool:
    """True for a log in either format."""
    return path.suffix == LOG_SUFFIX or (path.suffix == ".json" and bool(_JSON_LOG.match(head_of(path))))


def open_inspect_log(path: Path) -> JsonTable:
    """Open a log. Raises InputError for a damaged one and one without samples."""
    return JsonTable.of(path, _samples, row="sample")


def log_note(path: Path) -> str | None:
    """A line for a log whose evaluation did not finish."""
    with needs_extra("inspect", "reading a log of inspect_ai"):
        from inspect_ai.log import read_eval_log
    header = read_eval_log(str(path), header_only=True)
    return None if header.status == "success" else f"{path.name}: the evaluation ended as {header.status!r}"


def _samples(path: Path) -> Generator[NumberedObject]:
    with needs_extra("inspect", "reading a log of inspect_ai"):
        from inspect_ai.log import read_eval_log, read_eval_log_samples
    try:
        header = read_eval_log(str(path), header_only=True)
        facts = {"task": header.eval.task, "model": header.eval.model}
        samples = read_eval_log_samples(
            str(path), all_samples_required=False, resolve_attachments="core", exclude_fields=_UNUSED_FIELDS
        )
        for number, sample in enumerate(samples, start=1):
            yield number, {**facts, **_row(sample)}, 0
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        raise InputError(f"{path}: inspect_ai can't read it as a log: {' '.join(str(error).split())[:200]}") from error


def _row(sample: Any) -> dict[str, Any]:
    choice, usage = next(iter(sample.output.choices), None), sample.output.usage
    scores = {name: {"value": _value(score.value), "answer": score.answer} for name, score in _scores(sample).items()}
    return {
        "id": sample.id,
        "epoch": sample.epoch,
        "input": sample.input if isinstance(sample.input, str) else [message.text for message in sample.input],
        "target": sample.target,
        "completion": sample.output.completion,
        "stop_reason": "length" if choice and choice.stop_reason in ("max_tokens", "model_length") else _stop(choice),
        "output_tokens": usage.output_tokens if usage else None,
        "scores": scores,
        "metadata": sample.metadata,
        "error": sample.error.message if sample.error else None,
        "uuid": sample.uuid,
    }


def _scores(sample: Any) -> dict[str, Any]:
    """The scores of a sample; none where it failed."""
    return sample.scores or {}


def _stop(choice: Any) -> str | None:
    return None if choice is None else choice.stop_reason


def _value(value: Any) -> Any:
    """A score's value; None for NaN, which says that there is none."""
    return None if isinstance(value, float) and math.isnan(value) else value
