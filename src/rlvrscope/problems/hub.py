"""Data sets of the Hugging Face hub, pinned by revision: loaded with `datasets`, each row turned into a Problem."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvrscope.errors import InputError, WorkError, did_you_mean
from rlvrscope.extras import needs_extra
from rlvrscope.problem import Problem
from rlvrscope.problems.gold_answers import boxed_answer
from rlvrscope.tables.values import prompt_id, shorten, to_text
from rlvrscope.verify.choice_verifier import LETTERS

Row = Mapping[str, Any]
_MATH_SUBJECTS = (
    "algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory", "prealgebra",
    "precalculus",
)  # fmt: skip
_PROBE_SECONDS = 10.0


@dataclass(frozen=True)
class DataSet:
    """One data set of the hub.

    splits: number of rows of each; the first is the default. to_problem: raises InputError, KeyError, TypeError,
    ValueError or IndexError for a row it can't use. configs: all are read, in this order.
    """

    about: str
    hub: str
    revision: str
    splits: Mapping[str, int]
    to_problem: Callable[[Row], Problem]
    verifier: str = "math"
    template: str = "plain"
    configs: tuple[str, ...] = ("default",)


def math_problem(row: Row) -> Problem:
    r"""MATH: the gold answer is in the last \boxed of the solution."""
    solution = to_text(row["solution"])
    answer = row.get("answer") or boxed_answer(solution)
    if not answer:
        raise InputError(f"no \\boxed answer in the solution {shorten(solution[-60:])}")
    metadata = {name: to_text(row[name]) for name in ("level", "type", "subject") if row.get(name) is not None}
    return _problem(row.get("unique_id"), row["problem"], answer, metadata=metadata)


def competition_problem(row: Row) -> Problem:
    """AIME and AMC: the answer is a number, sometimes stored as a float (27.0)."""
    question = row.get("problem") if row.get("problem") is not None else row["question"]
    return _problem(row.get("id"), question, row["answer"], metadata={"evaluated": True})


def gsm8k_problem(row: Row) -> Problem:
    """GSM8K: the gold answer follows ####."""
    _, marker, answer = to_text(row["answer"]).rpartition("####")
    if not marker:
        raise InputError(f"no '#### x' in the answer {shorten(to_text(row['answer'])[-60:])}")
    return _problem(None, row["question"], answer, metadata={"evaluated": True, "forms": ["boxed", "hashes"]})


def arc_problem(row: Row) -> Problem:
    """ARC: options labelled A-D or 1-4; the gold answer becomes a letter."""
    texts, labels = list(row["choices"]["text"]), [to_text(label) for label in row["choices"]["label"]]
    key = to_text(row["answerKey"])
    if key not in labels:
        raise InputError(f"answerKey {key!r} is not one of the labels {', '.join(labels)}")
    letter = LETTERS[labels.index(key)]
    return _problem(row.get("id"), row["question"], letter, "choice", {"choices": [to_text(text) for text in texts]})


def mmlu_pro_problem(row: Row) -> Problem:
    """MMLU-Pro: up to ten options; the answer is given as a letter and as an index, which must agree."""
    letter, index = to_text(row["answer"]).strip(), row.get("answer_index")
    if index is not None and LETTERS[int(index)] != letter:
        raise InputError(f"answer {letter!r} is not at answer_index {index}")
    metadata: dict[str, Any] = {"choices": [to_text(option) for option in row["options"]]}
    if row.get("category") is not None:
        metadata["category"] = to_text(row["category"])
    return _problem(row.get("question_id"), row["question"], letter, "choice", metadata)


def _problem(
    key: Any, question: Any, answer: Any, verifier: str = "math", metadata: Mapping[str, Any] | None = None
) -> Problem:
    """A problem with the data set's own id (`key`), or with one derived from its content."""
    prompt, gold = to_text(question).strip(), to_text(answer).strip()
    if not gold:
        raise InputError("there is no gold answer")
    return Problem(to_text(key).strip() or prompt_id(prompt, gold), prompt, gold, verifier, metadata=metadata or {})


DATA_SETS: dict[str, DataSet] = {
    "math": DataSet(
        "MATH: competition problems, seven subjects, five levels",
        "EleutherAI/hendrycks_math", "21a5633873b6a120296cce3e2df9d5550074f4a3",
        {"test": 5000, "train": 7500}, math_problem, configs=_MATH_SUBJECTS,
    ),
    "math-500": DataSet(
        "500 problems of MATH's test set",
        "HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        {"test": 500}, math_problem,
    ),
    "aime-2025": DataSet(
        "AIME 2025, I and II: answers are whole numbers from 0 to 999",
        "math-ai/aime25", "563bb8404243c5f09de6ec262f2db674fe5bce9b",
        {"test": 30}, competition_problem,
    ),
    "amc-2023": DataSet(
        "AMC 12 of 2023, answers as numbers",
        "math-ai/amc23", "80815d37005feb82cd7f8fbc6901d5d3eff43057",
        {"test": 40}, competition_problem,
    ),
    "gsm8k": DataSet(
        "GSM8K: grade-school word problems",
        "openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866",
        {"test": 1319, "train": 7473}, gsm8k_problem, configs=("main",),
    ),
    "arc-challenge": DataSet(
        "ARC-Challenge: science questions with 3 to 5 options",
        "allenai/ai2_arc", "210d026faf9955653af8916fad021475a3f00453",
        {"test": 1172, "validation": 299, "train": 1119}, arc_problem, "choice", "choice", ("ARC-Challenge",),
    ),
    "mmlu-pro": DataSet(
        "MMLU-Pro: questions of many subjects with up to ten options",
        "TIGER-Lab/MMLU-Pro", "b189ec765aa7ed75c8acfea42df31fdae71f97be",
        {"test": 12032, "validation": 70}, mmlu_pro_problem, "choice", "choice",
    ),
}  # fmt: skip


def read_hub(name: str, split: str | None = None, source: Path | None = None) -> Iterator[tuple[str, Problem]]:
    """Yield ("gsm8k test, row 3", problem) for every row of a data set, from the hub or its local cache.

    source: a folder with a copy of the hub's repository, read instead. Raises InputError for an unknown split and for
    a row that can't be used; WorkError if the hub can't be reached; MissingExtraError without `datasets`.
    """
    data = DATA_SETS[name]
    split = next(iter(data.splits)) if split is None else split
    if split not in data.splits:
        raise InputError(f"{name} has no split {split!r}. {did_you_mean(split, list(data.splits))}")
    for config in data.configs:
        label = f"{name} {split}" + (f" {config}" if len(data.configs) > 1 else "")
        for number, row in enumerate(_rows(name, data, config, split, source), start=1):
            where = f"{label}, row {number}"
            try:
                yield where, data.to_problem(row)
            except KeyError as error:
                raise InputError(f"{where}: no field {error}; it has {', '.join(row)}") from error
            except (InputError, TypeError, ValueError, IndexError) as error:
                raise InputError(f"{where}: {error}") from error


def _rows(name: str, data: DataSet, config: str, split: str, source: Path | None) -> Any:
    if source is not None and not source.is_dir():
        raise InputError(f"{source} is not a folder: --source needs a copy of {data.hub}")
    with needs_extra("hf", f"the data set {name}"):
        import datasets
    subset = None if config == "default" else config
    if source is not None:
        with _quiet(), _as_error(InputError, f"{source} can't be read as {data.hub}"):
            return datasets.load_dataset(str(source), subset, split=split)
    advice = (
        f"{data.hub} can't be read from the Hugging Face hub, nor from the local cache. On a machine that reaches the "
        f"hub, run `rlvrscope tasks export {name} --split {split} --out {name}-{split}.jsonl`, and use that file here"
    )
    reason = "" if _hub_responds(data) else "the hub does not respond"
    with _quiet(), _offline() if reason else contextlib.nullcontext(), _as_error(WorkError, advice, reason):
        return datasets.load_dataset(data.hub, subset, split=split, revision=data.revision)


def _hub_responds(data: DataSet) -> bool:
    """Ask the hub for this revision once; `datasets` would retry for half a minute."""
    from huggingface_hub import HfApi

    try:
        HfApi().dataset_info(data.hub, revision=data.revision, timeout=_PROBE_SECONDS)
    except Exception:  # noqa: BLE001  no network, a proxy's page, offline mode: the cache may suffice
        return False
    return True


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Read from the cache only, at once; otherwise every file is requested six times."""
    from datasets import config
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def _as_error(kind: type[InputError | WorkError], message: str, reason: str = "") -> Iterator[None]:
    """Raise any error as one of `kind`, with the reason in brackets; by default, the error's first line."""
    try:
        yield
    except Exception as error:  # many libraries are involved; whatever they raise, the data set can't be loaded
        first = next(iter(str(error).splitlines()), "")[:200]
        raise kind(f"{message} ({reason or f'{type(error).__name__}: {first}'})") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the progress bars and retry messages of `datasets`: the command shows its own progress."""
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
