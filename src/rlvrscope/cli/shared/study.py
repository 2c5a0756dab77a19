"""Run a study of the dynamics: progress, Ctrl-C, its files and its table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rlvrscope.cli.shared.console import MESSAGES, OUTPUT, print_json, say
from rlvrscope.cli.shared.guard import EXIT_INTERRUPTED, on_interrupt
from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra

if TYPE_CHECKING:
    from rlvrscope.dynamics import Trajectory
    from rlvrscope.dynamics.studies.study import Case, Result, Study, StudyPlan


def run_study(
    plan: StudyPlan, out: Path, as_json: bool, write_path: Callable[[Path, Trajectory], Path] | None = None
) -> None:
    """Run the cases, write the study of those that finished, print its summary. write_path: one more file per case.

    Exits with 130 after Ctrl-C, once the finished seeds are written.
    """
    with needs_extra("report", "the figures"):
        from rlvrscope.report.dynamics.study_files import write_study
    from rlvrscope.runs import environment

    _check(plan, out)
    results, interrupted = _run(plan.cases)
    if not results:
        MESSAGES.print("interrupted: no seed was finished, nothing is written.")
        raise typer.Exit(EXIT_INTERRUPTED)
    finished = sum(len(path.seeds) for _, path in results)
    with MESSAGES.status("drawing"):
        study = plan.build(results)
        if interrupted:
            study = study.with_note(f"Interrupted: {finished:,} finished seeds in total.")
        facts = environment(seed=plan.cases[0].setting.seed)
        files = write_study(study, out, {name.replace("_", " "): str(value) for name, value in facts.items()})
        if write_path is not None:
            files += [write_path(out, path) for _, path in results]
    if as_json:
        setting = " ".join(study.setting)
        print_json({"format_version": 1, "setting": setting, "rows": study.summary, "files": list(map(str, files))})
    else:
        _print(study, files)
    if interrupted:
        MESSAGES.print(
            f"interrupted: written from {finished:,} finished seeds, {len(results)} of {len(plan.cases)} cases."
        )
        raise typer.Exit(EXIT_INTERRUPTED)


def _check(plan: StudyPlan, out: Path) -> None:
    """Raise InputError for any case's setting, or an --out that can't be a folder, before the first simulation."""
    existing = next(folder for folder in (out, *out.parents) if folder.exists())
    if not existing.is_dir():
        raise InputError(f"{existing} is a file, and figures need a folder. Choose another --out.")
    for case in plan.cases:
        case.check()


def _run(cases: Sequence[Case]) -> tuple[list[Result], bool]:
    """The finished cases, the last one perhaps with fewer seeds; and whether Ctrl-C ended the run."""
    from rlvrscope.cli.shared.progress import progress_bar
    from rlvrscope.dynamics import Interrupted
    from rlvrscope.dynamics.studies.study import Result

    results, before = [], 0
    with on_interrupt(), progress_bar("seed-steps", sum(case.seed_steps for case in cases)) as advance:
        for case in cases:
            try:
                results.append(Result(case, case.run(lambda done, before=before: advance(before + done))))
            except Interrupted as stop:
                if stop.finished is not None:
                    results.append(Result(case, stop.finished))
                return results, True
            before += case.seed_steps
    return results, False


def _print(study: Study, files: Sequence[Path]) -> None:
    from rlvrscope.report.dynamics.study_files import summary_table
    from rlvrscope.report.table import to_rich

    OUTPUT.print(study.heading, style="bold")
    OUTPUT.print(" ".join(study.setting), style="dim")
    OUTPUT.print(to_rich(summary_table(study)))
    for path in files:
        say(f"Written: {path}")
