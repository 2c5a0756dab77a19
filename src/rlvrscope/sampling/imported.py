"""Import of completions from files into a store, with their problems, to be verified there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvrscope.engines.engine import LIMIT_WORDS, TRUNCATED, UNKNOWN_FINISH, Completion
from rlvrscope.errors import InputError
from rlvrscope.files import sha256_of
from rlvrscope.problem import Problem
from rlvrscope.problems.answer_files import Answer, AnswerReader
from rlvrscope.problems.problem_files import Defaults
from rlvrscope.sampling.store.sample_store import BATCH, IMPORTED, RUN, UNKNOWN_SEED, Sample, SampleStore
from rlvrscope.scoring import Fact
from rlvrscope.tables.values import join_names, shorten, to_label, to_number, to_text

RUN_LABELS = ("model", "step", "base", "seed")
"""Labels that separate runs."""


@dataclass
class ImportedFiles:
    """Files, opened for import: their content has been read once, and every row is sound.

    identity: facts that name the files and how they were read. runs: the number of samples of each run, by its name.
    labels: its RUN_LABELS, as the files have them. notes: one line for each thing that was done to the rows.
    """

    reader: AnswerReader
    identity: Mapping[str, Fact]
    runs: Counter[str] = field(default_factory=Counter)
    labels: dict[str, dict[str, str | None]] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, paths: Sequence[Path], fields: Sequence[str] = (), defaults: Defaults | None = None) -> ImportedFiles:
        """Read files, or all files of folders. fields, defaults: as for `read_answers`.

        Raises InputError for a row that can't be read or whose problem is not named, for one problem with two contents,
        and for a file that is there twice.
        """
        reader = AnswerReader(paths, fields, defaults)
        digests = _digests([file.path for file in reader.files])
        reader.files.sort(key=lambda file: list(digests).index(file.path))
        identity: dict[str, Fact] = {
            "engine": IMPORTED, "files": ", ".join(file.name for file in digests),
            "sha256": ", ".join(digests.values()), "fields": ", ".join(fields) or None,
        }  # fmt: skip
        imported = cls(reader, identity)
        for answer in reader:
            imported._count(answer)
        if not imported.runs:
            raise InputError(f"{join_names(map(str, paths))}: no rows: there is nothing to import")
        imported.notes = reader.notes()
        return imported

    def _count(self, answer: Answer) -> None:
        if "problem" not in answer.labels:
            raise InputError(
                f"{self.identity['files']}: completion {self.runs.total() + 1} has no problem, id or prompt, so its "
                "problem can't be told from another with the same gold answer. Name a column: --field prompt=NAME"
            )
        run = run_name(answer)
        self.runs[run] += 1
        self.labels[run] = run_labels(answer)
        first = self.problems.setdefault(answer.problem.id, answer.problem)
        if first is not answer.problem and first != answer.problem:
            raise InputError(_two_contents(first, answer.problem))

    def run_identity(self, run: str) -> dict[str, Fact]:
        return {**self.identity, **self.labels[run], "model_hash": None, "samples": self.runs[run]}

    def samples(self) -> Iterator[tuple[str, Sample]]:
        """Yield every sample with its run, in the order of the files; a problem's samples are counted from 0."""
        numbers: Counter[tuple[str, str]] = Counter()
        for answer in self.reader:
            cell = run_name(answer), answer.problem.id
            yield cell[0], Sample(answer.problem.id, numbers[cell], UNKNOWN_SEED, _completion(answer))
            numbers[cell] += 1


def import_samples(
    store: SampleStore, imported: ImportedFiles, on_progress: Callable[[int], None] = lambda done: None
) -> int:
    """Add the samples that the store lacks, 256 to a commit; return how many. Killed and called again, it continues.

    Raises InputError where the store holds other samples under the same run, or another problem under the same id.
    """
    stored = store.runs()
    for run in imported.runs:
        _check_run(store, run, stored.get(run), imported.run_identity(run))
    for run in imported.runs:
        store.begin(run, imported.run_identity(run), list(imported.problems.values()))
    new = done = 0
    batches: dict[str, list[Sample]] = {run: [] for run in imported.runs}
    for run, sample in imported.samples():
        batches[run].append(sample)
        if len(batches[run]) == BATCH:
            new += store.add(run, batches[run])
            done += BATCH
            batches[run] = []
            on_progress(done)
    return new + sum(store.add(run, batch) for run, batch in batches.items())


def run_name(answer: Answer) -> str:
    """Name of the run that an answer belongs to: its model, with step, base and seed where there are any."""
    labels = run_labels(answer)
    more = [f"{name} {label}" for name, label in labels.items() if label is not None and name != "model"]
    return ", ".join([labels["model"] or RUN, *more])


def run_labels(answer: Answer) -> dict[str, str | None]:
    """The labels of an answer that separate runs."""
    return {name: to_label(answer.labels.get(name)) for name in RUN_LABELS}


def _check_run(store: SampleStore, run: str, before: Mapping[str, Fact] | None, now: Mapping[str, Fact]) -> None:
    if before is None or before == now:
        return
    if before.get("engine") != IMPORTED:
        raise InputError(
            f"{store.path}: run {shorten(run)} was sampled, so nothing can be imported into it: choose another --out"
        )
    changes = [name for name in now if now[name] != before.get(name)]
    raise InputError(
        f"{store.path}: run {shorten(run)} was imported from other files or with other options ({', '.join(changes)}): "
        "choose another --out, or import all files in one command"
    )


def _digests(files: Sequence[Path]) -> dict[Path, str]:
    """SHA-256 of each file, in an order that does not depend on where the files are."""
    digests: dict[Path, str] = {}
    for file in files:
        digest = sha256_of(file)
        same = next((other for other, known in digests.items() if known == digest), None)
        if same is not None:
            raise InputError(f"{file} and {same} have the same content: its samples would count twice. Leave one out")
        digests[file] = digest
    return dict(sorted(digests.items(), key=lambda item: (item[0].name, item[1])))


def _two_contents(first: Problem, second: Problem) -> str:
    names = ("prompt", "answer", "verifier", "cluster", "metadata")
    changed = next(name for name in names if getattr(first, name) != getattr(second, name))
    before, now = (getattr(problem, changed) for problem in (first, second))
    if changed == "metadata":
        before, now = dict(before), dict(now)
    return (
        f"problem {shorten(first.id)} has two contents, and a store holds one: {changed} {shorten(before)} and "
        f"{shorten(now)}. Give problems that differ other "
        "ids, or import each file into another store"
    )


def _completion(answer: Answer) -> Completion:
    labels: Mapping[str, Any] = answer.labels
    tokens = to_number(labels.get("tokens"))
    reasoning = to_text(labels.get("reasoning"))
    return Completion(
        answer.text, int(tokens) if tokens >= 0 and tokens.is_integer() else None, _finish(labels), reasoning=reasoning
    )


def _finish(labels: Mapping[str, Any]) -> str:
    """Why a completion ended; a column of truth values says whether it was truncated."""
    word = (to_label(labels.get("finish")) or UNKNOWN_FINISH).lower()
    return {**dict.fromkeys((*LIMIT_WORDS, "true"), TRUNCATED), "false": "stop"}.get(word, word)
