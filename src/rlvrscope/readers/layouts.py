"""Layouts: how the samples in other tools' files are counted. `problems.tool_files` says what their columns mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from rlvrscope.errors import InputError
from rlvrscope.problems import tool_files as files
from rlvrscope.readers.formats import COLUMNS, LABELS, Columns, ReadOptions, Schema
from rlvrscope.tables.nested import samples_in
from rlvrscope.tables.table import Table, UnknownTableError
from rlvrscope.tables.values import join_names, to_label

STEP_FILE = re.compile(r"(?:completions_)?([0-9]{1,15})\.(?:jsonl|parquet)(?:\.gz|\.zst)?")
"""The name of a trainer's dump, with its step."""
TRL_FOLDER = "completions"
TRAINERS = ("verl", "TRL")
"""Tools whose folders hold a file for each step."""
INSPECT_WORDS = {"C": True, "I": False, "N": False}
"""inspect_ai's values of a score: correct, incorrect, no answer. P (partial) needs --right P, or --where."""
_MEAN_OF = re.compile(r"metric\.(?:avg@n:n=(\d+)|pass@k:k=1&n=(\d+))")
_SCORE_VALUE = re.compile(r"scores\.[^.]+\.value(\.[^.]+)?")
_OF_SEVERAL = re.compile(
    r"(?:.*\.)?(?:pass@(?!1(?!\d)|k:k=1&)|pass\^|maj@(?!1(?!\d))|cons@|best@|bon@|g-pass@).*", re.IGNORECASE
)
"""Metrics that a tool computes from several completions of a problem."""
NAME_RATING = "Say which: --column score=NAME"
_HEAD_ROWS = 64
COLUMN_OF: Mapping[files.Field, str] = {
    "id": "problem", "text": "text", "extracted": "answer", "verdict": "correct", "score": "score", "finish": "finish",
    "tokens": "tokens", "step": "step", "model": "model",
}  # fmt: skip
"""Our column for each field of a tool's file."""
Refine = Callable[[Table, Schema, ReadOptions], Schema]


@dataclass(frozen=True)
class Layout:
    """How a tool's file is counted.

    ratings: columns that may say whether a sample is right, where none surely does: one must be there, or be named.
    refine: adapts the schema to a file. schema: further facts of the Schema.
    """

    file: files.ToolFile
    ratings: Callable[[Table, Collection[str]], Sequence[str]] = lambda table, taken: ()
    refine: Refine = lambda table, schema, options: schema
    schema: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def schema_of(self, table: Table, options: ReadOptions) -> Schema | None:
        """Schema of a table; None for another tool's. Raises InputError where the user must say which column rates."""
        present = set(table.names)
        if not self.file.matches(present) or is_own(table):
            return None
        _check_rating(table, options.columns)
        user_names = {ours: name for ours, name in options.columns.pairs if name in present and ours not in ("n", "c")}
        named = self.file.named(table)
        names = {ours: named[field] for field, ours in COLUMN_OF.items() if field in named}
        names |= {ours: ours for ours in ("model", "step") if ours in present and ours not in names.values()}
        names |= user_names
        if user_names.keys() & {"correct", "score"}:
            names = single_rating(names, options)
        elif not names.keys() & {"correct", "score"}:
            names["score"] = _one_rating(table, self.ratings(table, names.values()))
        prompt = () if "problem" in names else tuple(named[key] for key in ("prompt", "gold") if key in named)
        if "problem" not in names and "prompt" not in named:
            raise InputError(
                f"{table.path}: a file of {self.file.tool} has a column that identifies a problem, and this one has "
                f"{join_names(table.names)}. Say which: --column problem=NAME"
            )
        more = {key: value for key, value in self.schema.items() if key != "completions" or value in names.values()}
        schema = Schema(
            self.file.tool,
            names,
            prompt,
            ids=() if "problem" in user_names else self.file.ids_of(table),
            statement=named.get("prompt") if "problem" in names else None,
            prefix=self.file.prefix(table),
            evaluation=self.file.evaluation(table),
            once=self.file.once,
            session=named.get("session"),
            **more,
        )
        return self.refine(table, schema, options)


def schema_of(table: Table, options: ReadOptions) -> Schema:
    """Return what a table's columns mean. Raises UnknownTableError where they say nothing."""
    tables = (layout.schema_of(table, options) for layout in LAYOUTS)
    schema = next((schema for schema in tables if schema is not None), None) or own_schema(table, options)
    if schema is None:
        raise UnknownTableError(
            f"{table.path}: needs the columns problem, n and c (counts), or problem and correct or score (one row a "
            f"sample). It has {join_names(table.names)}. Say which is which: --column problem=NAME"
        )
    rating = "" if schema.is_counts else schema.names[schema.rating]
    if _OF_SEVERAL.fullmatch(rating):
        raise InputError(f"{table.path}: {rating!r} is of several completions together, and not of each. {NAME_RATING}")
    chosen = [column for column, _ in options.where]
    for name in dict.fromkeys((*schema.names.values(), *schema.counting_columns, *chosen)):
        if list(table.names).count(name) > 1:
            raise InputError(f"{table.path}: column {name!r} appears twice: rename one")
    return schema


def is_own(table: Table) -> bool:
    """True if the columns have our names, so that no tool's layout applies."""
    present = set(table.names)
    return "problem" in present and (bool(present & {"correct", "score"}) or {"n", "c"} <= present)


def own_schema(table: Table, options: ReadOptions) -> Schema | None:
    """Schema of a table of counts or of samples with our names, or the user's for them; None without these.

    passk-inference has `id` for `problem`; `finish` may be spelled as servers do.
    """
    names = present_columns(table, options.columns)
    ends = [name for name in ("finish_reason", "stop_reason") if name in table.names]
    names = {"finish": ends[0], **names} if ends else names
    if names.keys() >= {"n", "c"} and "problem" not in names and "id" in table.names:
        return Schema("passk-inference", {"problem": "id", "n": names["n"], "c": names["c"]})
    if names.keys() >= {"problem", "n", "c"}:
        return Schema("counts", {name: names[name] for name in ("problem", "n", "c", *LABELS) if name in names})
    if "problem" not in names or not names.keys() & {"correct", "score"}:
        return None
    return Schema("samples", single_rating(names, options))


def present_columns(table: Table, columns: Columns) -> dict[str, str]:
    """The file's name for each of our columns that it has: the user's name if present, else ours.

    Falling back to our name lets one mapping serve two files of which only one needs it.
    """
    user_names = {column: name for column, name in columns.pairs if name in table.names}
    names = {column: user_names.get(column, column) for column in COLUMNS}
    return {column: name for column, name in names.items() if name in table.names}


def single_rating(names: Mapping[str, str], options: ReadOptions) -> dict[str, str]:
    """The columns without n and c, and with one of correct and score.

    The one the user named, else the score where there is a threshold, else correct.
    """
    columns = options.columns
    score_named = columns.file_name("score") == names.get("score") or options.threshold is not None
    prefers_score = score_named and columns.file_name("correct") is None
    unused = "correct" if "score" in names and ("correct" not in names or prefers_score) else "score"
    return {column: name for column, name in names.items() if column not in ("n", "c", unused)}


def _check_rating(table: Table, columns: Columns) -> None:
    """Refuse a rating column that the user named and the file lacks: no other column can replace it."""
    for column in ("correct", "score"):
        name = columns.file_name(column)
        if name is not None and name not in table.names:
            raise InputError(
                f"{table.path}: --column {column}={name}: there is no such column. The file has "
                f"{join_names(sorted(set(table.names)))}"
            )


def _one_rating(table: Table, ratings: Sequence[str]) -> str:
    ratings = [name for name in ratings if not _OF_SEVERAL.fullmatch(name)]
    if len(ratings) == 1:
        return ratings[0]
    choices = f"these hold numbers: {join_names(ratings)}" if ratings else "none holds numbers"
    raise InputError(f"{table.path}: one column must say how good a completion is; {choices}. {NAME_RATING}")


def _verl(table: Table, schema: Schema, options: ReadOptions) -> Schema:
    """A sample is correct by `acc`, else by `score`, unless the user names a column."""
    named = options.columns.file_name("correct") or options.columns.file_name("score")
    return replace(schema, accuracy="acc" if "acc" in table.names and named is None else None)


def _numeric_rewards(table: Table, taken: Collection[str]) -> list[str]:
    return [name for name in table.numeric if name not in ("step", "advantage", *taken)]


def _lm_eval(table: Table, schema: Schema, options: ReadOptions) -> Schema:
    """A row is one grading of a document's completions. Raises InputError for several, by filter."""
    filters = _distinct(table, "filter") if "filter" in table.names else []
    if len(filters) > 1 and not any(column == "filter" for column, _ in options.where):
        raise InputError(
            f"{table.path}: each completion is graded {len(filters)} times, by filter: {join_names(filters)}. "
            f"Choose one: --where filter={filters[0]}"
        )
    if schema.names[schema.rating] != "pass@1":
        return schema
    return replace(schema, rate=True, completions="filtered_resps" if "filtered_resps" in table.names else "resps")


def _lm_eval_metrics(table: Table, taken: Collection[str]) -> list[str]:
    """The metrics that the first rows name; the harness lists them since 0.4.7."""
    del taken
    if "metrics" not in table.names:
        return [name for name in ("exact_match", "acc", "math_verify", "pass@1") if name in table.names]
    rows = next(iter(table.batches(["metrics"], rows=_HEAD_ROWS)))
    named = dict.fromkeys(str(metric) for metrics in rows.columns["metrics"].list() for metric in samples_in(metrics))
    return [metric for metric in named if metric in table.names]


def _lighteval(table: Table, schema: Schema, options: ReadOptions) -> Schema:
    """A metric such as avg@n:n=64 is the mean of 64 samples of a problem."""
    del table, options
    match = _MEAN_OF.fullmatch(schema.names[schema.rating])
    samples = int(match[1] or match[2]) if match else False
    return replace(schema, rate=samples)


def _lighteval_metrics(table: Table, taken: Collection[str]) -> list[str]:
    del taken
    metrics = [name for name in table.names if name.startswith("metric.")]
    means = [name for name in metrics if _MEAN_OF.fullmatch(name)]
    return means or metrics


def _evalplus(table: Table, schema: Schema, options: ReadOptions) -> Schema:
    """Right by the base tests and, where they were run, by the extended ones."""
    if {"correct", "score"} & dict(options.columns.pairs).keys():
        return schema
    extended = "plus_status" in table.names and _distinct(table, "plus_status") != []
    return replace(schema, also_correct="plus_status") if extended else schema


def _distinct(table: Table, column: str) -> list[str]:
    """The distinct labels of a column, in order."""
    labels: dict[str, None] = {}
    for batch in table.batches([column]):
        labels |= dict.fromkeys(label for label in map(to_label, batch.columns[column].values) if label is not None)
    return list(labels)


def _distinct_rows(table: Table, columns: Sequence[str]) -> int:
    """The number of distinct combinations of labels in some columns."""
    rows: set[tuple[str | None, ...]] = set()
    for batch in table.batches(columns):
        rows |= set(zip(*(batch.columns[name].map(to_label).list() for name in columns), strict=True))
    return len(rows)


def _present(*ratings: str) -> Callable[[Table, Collection[str]], list[str]]:
    return lambda table, taken: [name for name in ratings if name in table.names]


def _inspect_log_scores(table: Table, taken: Collection[str]) -> list[str]:
    del taken
    return [name for name in table.names if _SCORE_VALUE.fullmatch(name)]


def _inspect_scores(table: Table, taken: Collection[str]) -> list[str]:
    del taken
    details = ("_answer", "_explanation", "_metadata")
    return [name for name in table.names if name.startswith("score_") and not name.endswith(details)]


def _inspect_table(table: Table, schema: Schema, options: ReadOptions) -> Schema:
    """A table of samples_df, which may hold several evaluations; rated by words or by numbers."""
    evals = _distinct(table, "eval_id") if "eval_id" in table.names else []
    labels = [name for name in (schema.names.get("model", ""), "task_name") if name in table.names]
    known = _distinct_rows(table, labels) if labels else 1
    if len(evals) > known and not any(column == "eval_id" for column, _ in options.where):
        raise InputError(
            f"{table.path}: it holds {len(evals)} evaluations of {known} models and tasks that it names: "
            f"{join_names(evals)}. Choose one: --where eval_id={evals[0]}"
        )
    return _words_or_numbers(schema, options)


def _inspect_log(table: Table, schema: Schema, options: ReadOptions) -> Schema:
    """A log of one task and one model."""
    answer = schema.names[schema.rating].removesuffix(".value") + ".answer"
    names = {**schema.names, "answer": answer} if answer in table.names else schema.names
    return _words_or_numbers(replace(schema, names=names), options)


def _words_or_numbers(schema: Schema, options: ReadOptions) -> Schema:
    """The rating as a verdict, or, with a threshold, as a score."""
    rating = schema.names[schema.rating]
    names = {name: column for name, column in schema.names.items() if name != schema.rating}
    return replace(schema, names={**names, "correct" if options.threshold is None else "score": rating})


LAYOUTS = (
    Layout(files.VERL_DUMP, refine=_verl),
    Layout(files.TRL, _numeric_rewards, schema={"optional_rating": True}),
    Layout(files.LM_EVAL, _lm_eval_metrics, _lm_eval, {"completions": "resps"}),
    Layout(files.LIGHTEVAL, _lighteval_metrics, _lighteval, {"completions": "model_response.text"}),
    Layout(files.INSPECT_LOG, _inspect_log_scores, _inspect_log, {"words": INSPECT_WORDS, "optional_rating": True}),
    Layout(files.INSPECT_TABLE, _inspect_scores, _inspect_table, {"words": INSPECT_WORDS, "optional_rating": True}),
    Layout(files.QWEN_MATH),
    Layout(files.LIMO),
    Layout(files.LIVE_CODE_BENCH),
    Layout(files.EVALPLUS, refine=_evalplus),
    Layout(files.HUMAN_EVAL),
    Layout(files.NEMO_SKILLS, _present("symbolic_correct", "is_correct", "graded_list")),
    Layout(files.OPEN_COMPASS),
    Layout(files.SKY_RL, schema={"summed": True}),
    Layout(files.VERIFIERS),
    Layout(files.RLLM),
    Layout(files.NEMO_RL),
)
"""Layouts in the order they are tried."""
