"""`rlvrscope verify`: which answers in a file are right."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvrscope.cli.shared.console import MESSAGES, OUTPUT, print_json
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import JsonOption
from rlvrscope.errors import InputError

if TYPE_CHECKING:
    from rlvrscope.problem import Problem, Verdict

PATIENCE = 2.0
"""Seconds before progress is shown."""
VerifierOption = Annotated[
    str | None, typer.Option("--verifier", help="For rows that name none: a name, or your own as file.py:NAME.")
]
FieldOption = Annotated[
    list[str] | None, typer.Option("--field", help="A column's name in the file: prompt=question (repeatable).")
]
FormOption = Annotated[
    list[str] | None,
    typer.Option("--form", help="Where an answer may stand: boxed, hashes, phrase, tag; tried in this order."),
]


@guarded
def verify(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="CSV, JSONL, Parquet with columns text and answer; a folder of them; or a store."
        ),
    ],
    verifier: VerifierOption = None,
    field: FieldOption = None,
    form: FormOption = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes; by default one a core.")] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds an item may take in a worker.")] = 1.5,
    explain: Annotated[
        int | None, typer.Option("--explain", min=1, help="Only the item in this row: what decided, and why.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the verdicts as JSONL, a row an item.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify answers: outcomes and their shares. Columns besides text and answer: see the documentation."""
    from rlvrscope.cli.shared.verify_store import verify_store
    from rlvrscope.problems.answer_files import read_answers
    from rlvrscope.problems.problem_files import Defaults
    from rlvrscope.sampling.store.store_file import is_store
    from rlvrscope.verify import VerifierPool

    if is_store(file):
        if field or form or explain is not None or out is not None:
            raise InputError("a store keeps its verdicts itself: leave out --field, --form, --explain and --out")
        verify_store(file, verifier, workers, timeout, as_json)
        return
    defaults = Defaults(verifier or "math", tuple(form or ()))
    _check_out(out, file, explain)
    with VerifierPool(workers, timeout) as pool:
        with MESSAGES.status("reading"):
            answers = read_answers(file, field or (), defaults, explain)
        started = perf_counter()
        with _progress() as advance:
            verdicts = pool.map(answers.texts, answers.problems, advance)
        seconds = perf_counter() - started
    if explain is not None:
        _explain(explain, answers.texts[0], answers.problems[0], verdicts[0], as_json)
        return
    if out is not None:
        _write(out, answers.labels, verdicts)
    facts = _facts(verdicts, seconds)
    if as_json:
        print_json(facts | {"file": None if out is None else str(out)})
    else:
        _print(facts, out)


def _check_out(out: Path | None, file: Path, explain: int | None) -> None:
    """Before anything is read: the verdicts of hours must have a place."""
    if out is None:
        return
    if explain is not None:
        raise InputError("--explain shows one item and writes no file: leave out --out")
    if out.suffix != ".jsonl":
        raise InputError(f"verdicts are written as .jsonl; got {out}")
    if out.is_dir():
        raise InputError(f"{out} is a folder, and a file's name is needed")
    if file.resolve() in (out.resolve(), out.resolve().parent):
        raise InputError(f"{out} is read here: give --out another name, outside of what is read")
    above = next(folder for folder in out.resolve().parents if folder.exists())
    if not above.is_dir():
        raise InputError(f"{above} is a file, so {out} can't be written: choose another --out")


@contextmanager
def _progress() -> Iterator[Any]:
    """Progress with rate and time left, once it takes longer than a moment."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("verified"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    bar, begun, shown = Progress(*columns, console=MESSAGES, transient=True), perf_counter(), False
    task = bar.add_task("verify", total=None)

    def advance(done: int, total: int) -> None:
        nonlocal shown
        if not shown and perf_counter() - begun > PATIENCE and MESSAGES.is_terminal:
            shown = True
            bar.start()
        if shown and (done % 64 == 0 or done == total):
            bar.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        if shown:
            bar.stop()


def _facts(verdicts: Sequence[Verdict], seconds: float) -> dict[str, Any]:
    from rlvrscope.problem import OUTCOMES

    outcomes, paths = Counter(verdict.outcome for verdict in verdicts), Counter(verdict.path for verdict in verdicts)
    return {
        "format_version": 1,
        "items": len(verdicts),
        "outcomes": {outcome: outcomes[outcome] for outcome in OUTCOMES},
        "rate": outcomes["correct"] / len(verdicts),
        "mean_score": sum(verdict.score for verdict in verdicts) / len(verdicts),
        "decided_by": dict(paths.most_common()),
        "seconds": round(seconds, 3),
        "items_per_second": round(len(verdicts) / seconds, 1),
        "first_error": _first_error(verdicts),
    }


def _first_error(verdicts: Sequence[Verdict]) -> dict[str, Any] | None:
    """A verifier that fails usually fails often, for one reason."""
    for row, verdict in enumerate(verdicts, start=1):
        if verdict.outcome == "error":
            return {"row": row, "reason": verdict.reason}
    return None


def _print(facts: dict[str, Any], out: Path | None) -> None:
    from rich.table import Table

    from rlvrscope.report.text import one_line

    table = Table(box=None, pad_edge=False)
    for head in ("outcome", "items", "share"):
        table.add_column(head, justify="left" if head == "outcome" else "right")
    for outcome, count in facts["outcomes"].items():
        table.add_row(outcome, f"{count:,}", f"{count / facts['items']:.1%}")
    OUTPUT.print(table)
    decided = ", ".join(f"{path} {count:,}" for path, count in facts["decided_by"].items())
    count = f"{facts['items']:,} item{'s' if facts['items'] > 1 else ''}"
    speed = f"{count} in {facts['seconds']:.2f} s ({facts['items_per_second']:,.0f} a second)"
    lines = [
        f"{speed}; correct: {facts['rate']:.4f}",
        f"Decided by: {decided}",
    ]
    if error := facts["first_error"]:
        lines.append(f"The first error, in row {error['row']:,}: {one_line(error['reason'], 500)}")
    lines += [f"Written: {out}"] if out is not None else []
    for line in lines:
        OUTPUT.print(line)


def _explain(row: int, text: str, problem: Problem, verdict: Verdict, as_json: bool) -> None:
    from rlvrscope.report.text import clipped, one_line

    if as_json:
        print_json({"format_version": 1, "row": row, "problem": problem.id, "gold": problem.answer, **asdict(verdict)})
        return
    extracted = "none" if verdict.extracted is None else one_line(verdict.extracted, 500)
    facts = {
        "row": str(row),
        "problem": one_line(problem.id, 200),
        "text ends": clipped(text[-300:], 300).replace("\n", " "),
        "extracted": extracted,
        "gold answer": one_line(problem.answer, 500),
        "outcome": f"{verdict.outcome} (score {verdict.score:g})",
        "decided by": verdict.path,
        "why": verdict.reason or "-",
        "verifier": f"{verdict.verifier} {verdict.version}",
        "took": f"{verdict.seconds * 1e3:.2f} ms",
    }
    for name, value in facts.items():
        OUTPUT.print(f"{name:<12} {value}")


def _write(out: Path, labels: Sequence[Mapping[str, Any]], verdicts: Sequence[Verdict]) -> None:
    """With `problem`, `correct` and what else `rlvrscope boundary` reads."""
    from rlvrscope.runs import write_atomic
    from rlvrscope.tables.values import to_text

    lines = []
    for kept, verdict in zip(labels, verdicts, strict=True):
        found = {
            "correct": verdict.outcome == "correct", "score": verdict.score, "outcome": verdict.outcome,
            "answer": None if verdict.extracted is None else to_text(verdict.extracted), "path": verdict.path,
            "reason": to_text(verdict.reason), "verifier": verdict.verifier, "version": verdict.version,
        }  # fmt: skip
        lines.append(json.dumps({**kept, **found}, default=str))
    write_atomic(out, "".join(f"{line}\n" for line in lines))
    if not all("problem" in kept for kept in labels):
        MESSAGES.print(
            "No column problem, id or prompt in some rows: `rlvrscope boundary` can't tell their problems apart."
        )
