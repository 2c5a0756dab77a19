"""`rlvrscope verify`: verify the answers in a file, a folder or a store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvrscope.cli.shared.console import MESSAGES, OUTPUT, print_json, say
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import FieldOption, FormOption, JsonOption, VerifierOption
from rlvrscope.errors import InputError

if TYPE_CHECKING:
    from rlvrscope.problem import Problem, Verdict
    from rlvrscope.problems.answer_files import Answers

PROGRESS_DELAY_SECONDS = 2.0


@dataclass(frozen=True)
class Summary:
    """Facts of all verdicts. outcomes, decided_by: counts; rate: share of correct answers."""

    items: int
    outcomes: Mapping[str, int]
    rate: float
    mean_score: float
    decided_by: Mapping[str, int]
    seconds: float
    items_per_second: float
    first_error: Mapping[str, Any] | None
    forms_with_answers: Mapping[str, int] | None
    """Items without an answer in which each other form finds one, if most items have no answer."""


@guarded
def verify(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="CSV, JSONL or Parquet with columns text and answer; a folder of them; or a store."
        ),
    ],
    verifier: VerifierOption = None,
    field: FieldOption = None,
    form: FormOption = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Worker processes; by default one per core.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds an item may take in a worker.")] = 1.5,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Relative difference of equal numbers, for golds that are rounded.")
    ] = 0.0,
    list_golds: Annotated[
        bool, typer.Option("--list-golds", help="Show the gold answers that are compared as text, and verify nothing.")
    ] = False,
    explain: Annotated[
        int | None, typer.Option("--explain", min=1, help="Show this item only, counted from 1: what decided, and why.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the verdicts as JSONL, one row per item.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify answers; print the outcomes and their shares. For further columns see the documentation."""
    from rlvrscope.cli.shared.progress import progress_bar
    from rlvrscope.problems.answer_files import read_answers
    from rlvrscope.problems.problem_files import Defaults
    from rlvrscope.sampling.store.store_file import is_store
    from rlvrscope.verify import VerifierPool

    if is_store(file):
        if field or form or tolerance or list_golds or explain is not None or out is not None:
            raise InputError("a store keeps its verdicts itself: use only --verifier, --workers, --timeout and --json")
        _verify_store(file, verifier, workers, timeout, as_json)
        return
    defaults = Defaults(verifier or "math", tuple(form or ()))
    _check_out(out, file, explain)
    with VerifierPool(workers, timeout) as pool:
        with MESSAGES.status("reading"):
            answers = read_answers(file, field or (), defaults, explain)
        if tolerance:
            answers.problems = _tolerant(answers.problems, tolerance)
        if list_golds:
            _list_golds(answers.problems, as_json)
            return
        for note in () if as_json else answers.notes:
            say(f"Note: {note}")
        started = perf_counter()
        with progress_bar("verified", delay=PROGRESS_DELAY_SECONDS) as advance:
            verdicts = pool.map(answers.texts, answers.problems, advance)
        seconds = perf_counter() - started
    if explain is not None:
        _explain(explain, answers, verdicts[0], as_json)
        return
    if out is not None:
        _write(out, answers, verdicts)
    summary = _summary(answers.texts, verdicts, seconds)
    if as_json:
        print_json(
            {"format_version": 1, **asdict(summary), "file": None if out is None else str(out), "notes": answers.notes}
        )
    else:
        _print(summary, out)


def _tolerant(problems: Sequence[Problem], tolerance: float) -> list[Problem]:
    """Return the problems with the tolerance in their metadata; the same object for the same problem."""
    changed = {
        id(problem): replace(problem, metadata={**problem.metadata, "tolerance": tolerance}) for problem in problems
    }
    return [changed[id(problem)] for problem in problems]


def _list_golds(problems: Sequence[Problem], as_json: bool) -> None:
    """Print the gold answers that are compared as text, each once."""
    from rlvrscope.report.text import one_line
    from rlvrscope.verify.math.math_verifier import is_text

    mathematical = (problem for problem in problems if problem.verifier in ("math", "arithmetic"))
    golds = {problem.id: problem.answer for problem in mathematical if is_text(problem)}
    if as_json:
        print_json({"format_version": 1, "compared_as_text": golds})
        return
    for name, answer in golds.items():
        say(f"{one_line(name, 100)}  {one_line(answer, 300)}")
    say(f"{len(golds):,} gold answers are compared as text")


def _check_out(out: Path | None, file: Path, explain: int | None) -> None:
    """Refuse an unusable --out before anything is read, so that no long work is lost."""
    if out is None:
        return
    if explain is not None:
        raise InputError("--explain shows one item and writes no file: leave out --out")
    if out.suffix != ".jsonl":
        raise InputError(f"verdicts are written as .jsonl; got {out}")
    if out.is_dir():
        raise InputError(f"--out needs the name of a file; {out} is a folder")
    if file.resolve() in (out.resolve(), out.resolve().parent):
        raise InputError(f"{out} is part of the input: give --out a name outside of it")
    parent = next(folder for folder in out.resolve().parents if folder.exists())
    if not parent.is_dir():
        raise InputError(f"{parent} is a file, so {out} can't be written: choose another --out")


def _summary(texts: Sequence[str], verdicts: Sequence[Verdict], seconds: float) -> Summary:
    from rlvrscope.problem import OUTCOMES
    from rlvrscope.verify.extract import forms_with_answers

    outcomes, paths = Counter(verdict.outcome for verdict in verdicts), Counter(verdict.path for verdict in verdicts)
    errors = ({"row": row, "reason": v.reason} for row, v in enumerate(verdicts, start=1) if v.outcome == "error")
    without = [text for text, verdict in zip(texts, verdicts, strict=True) if verdict.outcome == "no_answer"]
    return Summary(
        items=len(verdicts),
        outcomes={outcome: outcomes[outcome] for outcome in OUTCOMES},
        rate=outcomes["correct"] / len(verdicts),
        mean_score=sum(verdict.score for verdict in verdicts) / len(verdicts),
        decided_by=dict(paths.most_common()),
        seconds=round(seconds, 3),
        items_per_second=round(len(verdicts) / seconds, 1),
        first_error=next(errors, None),
        forms_with_answers=forms_with_answers(without) if len(without) > len(verdicts) / 2 else None,
    )


def _print(summary: Summary, out: Path | None) -> None:
    from rich.table import Table

    from rlvrscope.report.text import one_line

    table = Table(box=None, pad_edge=False)
    for head in ("outcome", "items", "share"):
        table.add_column(head, justify="left" if head == "outcome" else "right")
    for outcome, count in summary.outcomes.items():
        table.add_row(outcome, f"{count:,}", f"{count / summary.items:.1%}")
    OUTPUT.print(table)
    items = f"{summary.items:,} item{'s' if summary.items > 1 else ''}"
    speed = f"{items} in {summary.seconds:.2f} s ({summary.items_per_second:,.0f} per second)"
    say(f"{speed}; correct: {summary.rate:.4f}")
    say(f"Decided by: {', '.join(f'{path} {count:,}' for path, count in summary.decided_by.items())}")
    if summary.forms_with_answers is not None:
        say(_advice_on_forms(summary))
    if error := summary.first_error:
        say(f"The first error, in item {error['row']:,}: {one_line(error['reason'], 500)}")
    if out is not None:
        say(f"Written: {out}")


def _advice_on_forms(summary: Summary) -> str:
    missing = f"{summary.outcomes['no_answer']:,} of {summary.items:,} items have no answer in the form asked for"
    counts = {form: count for form, count in (summary.forms_with_answers or {}).items() if count}
    if not counts:
        return f"{missing}, nor in any other form: see a text with --explain 1"
    return (
        f"{missing}. Other forms find one: {', '.join(f'--form {form} in {count:,}' for form, count in counts.items())}"
    )


def _explain(row: int, answers: Answers, verdict: Verdict, as_json: bool) -> None:
    from rlvrscope.report.text import clipped, one_line
    from rlvrscope.verify.math.math_verifier import read_as

    text, problem = answers.texts[0], answers.problems[0]
    reading = read_as(verdict.extracted or "") if problem.verifier in ("math", "arithmetic") else "-"
    if as_json:
        facts = {"row": row, "problem": problem.id, "gold": problem.answer, "notes": answers.notes}
        print_json({"format_version": 1, **facts, "read_as": reading, **asdict(verdict)})
        return
    facts = {
        "row": str(row),
        "problem": one_line(problem.id, 200),
        "text ends": clipped(text[-300:], 300).replace("\n", " "),
        "extracted": "none" if verdict.extracted is None else one_line(verdict.extracted, 500),
        "read as": one_line(reading, 500),
        "gold answer": one_line(problem.answer, 500),
        "outcome": f"{verdict.outcome} (score {verdict.score:g})",
        "decided by": one_line(verdict.path, 200),
        "why": one_line(verdict.reason, 500) or "-",
        "verifier": one_line(f"{verdict.verifier} {verdict.version}", 200),
        "took": f"{verdict.seconds * 1e3:.2f} ms",
    }
    for name, value in facts.items():
        say(f"{name:<12} {value}")


def _write(out: Path, answers: Answers, verdicts: Sequence[Verdict]) -> None:
    """Write JSONL with `problem`, `correct`, `text` and the other columns that `rlvrscope boundary` reads."""
    from rlvrscope.runs.files import replacing
    from rlvrscope.tables.values import to_text

    with replacing(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        rows = zip(answers.labels, verdicts, answers.texts, answers.problems, strict=True)
        for labels, verdict, text, problem in rows:
            columns = {
                "correct": verdict.outcome == "correct", "score": verdict.score, "outcome": verdict.outcome,
                "answer": None if verdict.extracted is None else to_text(verdict.extracted), "path": verdict.path,
                "reason": to_text(verdict.reason), "verifier": verdict.verifier, "version": verdict.version,
                "text": to_text(text), "gold": to_text(problem.answer),
            }  # fmt: skip
            file.write(f"{json.dumps({**labels, **columns}, default=str)}\n")
    if not all("problem" in labels for labels in answers.labels):
        MESSAGES.print(
            "Some rows have no problem, id or prompt: `rlvrscope boundary` can't distinguish their problems.",
        )


def _verify_store(path: Path, verifier: str | None, workers: int | None, timeout: float, as_json: bool) -> None:
    """Add the missing verdicts of a store. Raises InputError for a plug-in verifier that --verifier does not name."""
    from rlvrscope.cli.shared.truncation import print_truncation
    from rlvrscope.sampling import SampleStore
    from rlvrscope.sampling.store.check import stats
    from rlvrscope.sampling.verdicts import check_plugin_verifiers, use_verifiers, verify_missing
    from rlvrscope.verify import VerifierPool

    with SampleStore(path) as store, VerifierPool(workers, timeout) as pool:
        problems = list(store.problems().values())
        check_plugin_verifiers(problems, {verifier or ""})
        use_verifiers(store, problems)
        with MESSAGES.status("verifying"):
            new = sum(verify_missing(store, run, problems, pool) for run in store.runs())
        runs = stats(store)
    if as_json:
        rows = {
            name: {"samples": run.samples, "outcomes": run.outcomes, **run.rates.facts()} for name, run in runs.items()
        }
        print_json({"format_version": 1, "file": str(store.path), "new_verdicts": new, "runs": rows})
        return
    say(f"{new:,} new verdicts in {store.path}")
    for name, run in runs.items():
        counts = ", ".join(f"{outcome} {count:,}" for outcome, count in run.outcomes.items() if count)
        say(f"run {name}: {run.samples:,} samples; {counts}; correct: {run.rates.rate or 0.0:.4f} of all")
        print_truncation(run)
