"""Data sets of the Hugging Face hub, pinned by revision and read through `datasets`, which is imported late."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvrscope.config import nearest
from rlvrscope.errors import InputError, WorkError
from rlvrscope.extras import needs_extra
from rlvrscope.problem import Problem
from rlvrscope.problems import hub_rows as rows

_MATH_PARTS = (
    "algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory", "prealgebra",
    "precalculus",
)  # fmt: skip
_PROBE_SECONDS = 10.0


@dataclass(frozen=True)
class DataSet:
    """splits: rows in each, the first the one taken unless another is asked for. configs: all are read, in order."""

    about: str
    hub: str
    revision: str
    splits: Mapping[str, int]
    problem: Callable[[rows.Row], Problem]
    verifier: str = "math"
    template: str = "plain"
    configs: tuple[str, ...] = ("default",)


DATA_SETS: dict[str, DataSet] = {
    "math": DataSet(
        "MATH: competition problems, seven subjects, five levels",
        "EleutherAI/hendrycks_math",
        "21a5633873b6a120296cce3e2df9d5550074f4a3",
        {"test": 5000, "train": 7500},
        rows.math,
        configs=_MATH_PARTS,
    ),
    "math-500": DataSet(
        "500 problems of MATH's test set",
        "HuggingFaceH4/MATH-500",
        "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        {"test": 500},
        rows.math,
    ),
    "aime-2025": DataSet(
        "AIME 2025, I and II: answers are whole numbers from 0 to 999",
        "math-ai/aime25",
        "563bb8404243c5f09de6ec262f2db674fe5bce9b",
        {"test": 30},
        rows.competition,
    ),
    "amc-2023": DataSet(
        "AMC 12 of 2023, answers as numbers",
        "math-ai/amc23",
        "80815d37005feb82cd7f8fbc6901d5d3eff43057",
        {"test": 40},
        rows.competition,
    ),
    "gsm8k": DataSet(
        "GSM8K: word problems of primary school",
        "openai/gsm8k",
        "740312add88f781978c0658806c59bc2815b9866",
        {"test": 1319, "train": 7473},
        rows.gsm8k,
        configs=("main",),
    ),
    "arc-challenge": DataSet(
        "ARC-Challenge: science questions with 3 to 5 options",
        "allenai/ai2_arc",
        "210d026faf9955653af8916fad021475a3f00453",
        {"test": 1172, "validation": 299, "train": 1119},
        rows.arc,
        verifier="choice",
        template="choice",
        configs=("ARC-Challenge",),
    ),
    "mmlu-pro": DataSet(
        "MMLU-Pro: questions of many subjects with up to ten options",
        "TIGER-Lab/MMLU-Pro",
        "b189ec765aa7ed75c8acfea42df31fdae71f97be",
        {"test": 12032, "validation": 70},
        rows.mmlu_pro,
        verifier="choice",
        template="choice",
    ),
}


def read_hub(name: str, split: str | None = None, source: Path | None = None) -> Iterator[tuple[str, Problem]]:
    """("gsm8k test, row 3", problem) of every row of a data set, from the hub or its cache.

    source: a folder that holds a copy of the hub's repository instead. Raises InputError for a split that is not there
    and for a row that can't be used; WorkError where the hub can't be reached; MissingExtraError without `datasets`.
    """
    data = DATA_SETS[name]
    split = next(iter(data.splits)) if split is None else split
    if split not in data.splits:
        raise InputError(f"{name} has no split {split!r}. {nearest(split, list(data.splits))}")
    for config in data.configs:
        label = f"{name} {split}" + (f" {config}" if len(data.configs) > 1 else "")
        for number, row in enumerate(_rows(name, data, config, split, source), start=1):
            where = f"{label}, row {number}"
            try:
                yield where, data.problem(row)
            except KeyError as error:
                raise InputError(f"{where}: no field {error}; it has {', '.join(row)}") from error
            except (InputError, TypeError, ValueError, IndexError) as error:
                raise InputError(f"{where}: {error}") from error


def _rows(name: str, data: DataSet, config: str, split: str, source: Path | None) -> Any:
    if source is not None and not source.is_dir():
        raise InputError(f"{source} is no folder: --source needs a copy of {data.hub}")
    with needs_extra("hf", f"the data set {name}"):
        import datasets
    subset = None if config == "default" else config
    if source is not None:
        with _quiet(), _as_errors(f"{source} can't be read as {data.hub}", InputError):
            return datasets.load_dataset(str(source), subset, split=split)
    advice = (
        f"{data.hub} can't be read from the Hugging Face hub, nor from its cache here. On a machine that reaches the "
        f"hub, run `rlvrscope tasks export {name} --split {split} --out {name}-{split}.jsonl`, and use that file here"
    )
    if _answers(data):
        with _quiet(), _as_errors(advice, WorkError):
            return datasets.load_dataset(data.hub, subset, split=split, revision=data.revision)
    with _quiet(), _offline(), _as_errors(f"{advice} (the hub does not answer)", WorkError, reason=False):
        return datasets.load_dataset(data.hub, subset, split=split, revision=data.revision)


def _answers(data: DataSet) -> bool:
    """Whether the hub has this revision, asked once: `datasets` would try for half a minute."""
    from huggingface_hub import HfApi

    try:
        HfApi().dataset_info(data.hub, revision=data.revision, timeout=_PROBE_SECONDS)
    except Exception:  # noqa: BLE001  no network, a proxy's page, offline mode: the cache may do
        return False
    return True


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Only what is in the cache, at once: without this every file is asked for six times."""
    from datasets import config
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def _as_errors(message: str, kind: type[InputError | WorkError], reason: bool = True) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of many libraries: whatever it is, the data set is not to be had
        first = next(iter(str(error).splitlines()), "")[:200]
        raise kind(f"{message} ({type(error).__name__}: {first})" if reason else message) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without other libraries' bars and retries: the command shows its own progress."""
    from datasets.utils import logging as verbosity

    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    before = [logger.level for logger in loggers]
    bars = verbosity.is_progress_bar_enabled()
    verbosity.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
        if bars:
            verbosity.enable_progress_bar()
