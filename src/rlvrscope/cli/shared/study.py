"""Run a study of the dynamics: progress, Ctrl-C, its files and its table."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from rlvrscope.cli.shared.console import MESSAGES, OUTPUT, print_json
from rlvrscope.cli.shared.guard import EXIT_INTERRUPTED
from rlvrscope.errors import InputError

if TYPE_CHECKING:
    from rlvrscope.dynamics import Trajectory
    from rlvrscope.report.dynamics.setting import Case
    from rlvrscope.report.dynamics.studies import Plan, Study

NAME_WIDTH = 11
"""Of "w-reinforce": no objective's name is broken."""


class Results:
    """What was run, and whether Ctrl-C ended it."""

    def __init__(self) -> None:
        self.finished: list[tuple[Case, Trajectory]] = []
        self.interrupted = False

    def leave(self) -> None:
        """Exit 130 after an interruption."""
        if self.interrupted:
            raise typer.Exit(EXIT_INTERRUPTED)


def show(plan: Plan, out: Path, as_json: bool, write_more: Callable[[Path, Trajectory], Path] | None = None) -> Results:
    """Run the cases, write the figure of those that are done, print its table. write_more: a file for each path."""
    from rlvrscope.report.dynamics.write import write_study
    from rlvrscope.runs import environment

    _check(plan, out)
    results = _run(plan)
    if not results.finished:
        MESSAGES.print("interrupted: no seed was finished, nothing is written.")
        return results
    done = sum(len(path.seeds) for _, path in results.finished)
    with MESSAGES.status("drawing"):
        study = plan.make(results.finished)
        if results.interrupted:
            study = study.marked(f"Interrupted: {done:,} seeds in all are in it.")
        made = environment(seed=plan.cases[0].setting.seed)
        paths = list(write_study(study, out, {name.replace("_", " "): str(value) for name, value in made.items()}))
        if write_more is not None:
            paths += [write_more(out, path) for _, path in results.finished]
    if as_json:
        print_json({"format_version": 1, "setting": study.lead, "rows": study.summary, "files": list(map(str, paths))})
    else:
        _print(study, paths)
    if results.interrupted:
        MESSAGES.print(
            f"interrupted: written from {done:,} finished seeds, {len(results.finished)} of {len(plan.cases)} cases."
        )
    return results


def _check(plan: Plan, out: Path) -> None:
    """Raises InputError for any case's settings, or a folder that can't be one, before the first simulation."""
    above = next(folder for folder in (out, *out.parents) if folder.exists())
    if not above.is_dir():
        raise InputError(f"{above} is a file, and figures need a folder. Choose another --out.")
    for case in plan.cases:
        case.check()


def _run(plan: Plan) -> Results:
    from rlvrscope.dynamics import Interrupted

    results, before = Results(), 0
    with _progress(sum(case.work for case in plan.cases)) as advance:
        for case in plan.cases:
            try:
                results.finished.append((case, case.run(lambda done, before=before: advance(before + done))))
            except Interrupted as stopped:
                results.interrupted = True
                if stopped.finished is not None:
                    results.finished.append((case, stopped.finished))
                break
            before += case.work
    return results


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar of seed-steps with the time left, on a terminal. Inside, Ctrl-C is a KeyboardInterrupt."""
    columns = (TextColumn("seed-steps"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Progress(*columns, console=MESSAGES, transient=True, disable=not MESSAGES.is_terminal) as bar:
            task = bar.add_task("run", total=total)
            yield lambda done: bar.update(task, completed=done)
    finally:
        signal.signal(signal.SIGINT, handler)


def _print(study: Study, paths: Sequence[Path]) -> None:
    from rlvrscope.report.dynamics.write import table

    heads, rows = table(study.summary)
    shown = Table(box=None, pad_edge=False)
    for index, head in enumerate(heads):
        width = NAME_WIDTH if head == "objective" else None
        shown.add_column(head, justify="right" if index else "left", overflow="fold", min_width=width)
    for row in rows:
        shown.add_row(*row)
    OUTPUT.print(study.heading, style="bold")
    OUTPUT.print(study.lead, style="dim")
    OUTPUT.print(shown)
    for path in paths:
        OUTPUT.print(f"Written: {path}")
