"""`rlvrscope sample`: fill a store with samples of a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlvrscope.cli.shared.console import MESSAGES, print_json, say
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import FieldOption, JsonOption, SourceOption, SplitOption
from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra

if TYPE_CHECKING:
    from rlvrscope.cli.shared.sampling_progress import SamplingProgress
    from rlvrscope.engines import Engine
    from rlvrscope.problem import Problem
    from rlvrscope.problems.problem_files import LoadedProblems
    from rlvrscope.sampling import FillProgress
    from rlvrscope.sampling.store.check import RunStats
    from rlvrscope.verify import VerifierPool

TASK = (
    "A name of `rlvrscope tasks list`, a file of your own, or a lab recipe (.toml) or run's folder: its held-out "
    "prompts."
)
STOP = "A completion ends before this text (repeatable); \\n is a line break, \\t a tab, \\\\ a backslash."
ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}
FEW_SHOT = 'For few-shot prompts: --template none, and "forms": ["whole"] in the file.'
PLAIN_NOTE = f"the template 'plain' asks for steps and an answer in \\boxed{{}} after each prompt. {FEW_SHOT}"
MAX_LISTED = 10
"""At most this many failed samples are listed."""
NO_TEMPLATE = "none"


@guarded
def sample(
    task: Annotated[str, typer.Argument(metavar="TASK", help=TASK)],
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples of each problem.")],
    out: Annotated[Path, typer.Option("--out", help="Run folder; the same command continues in it.")],
    engine: Annotated[
        str | None,
        typer.Option("--engine", help="lab, transformers or openai. Default: lab, if TASK is a recipe or a run."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="lab: a run's folder, a checkpoint or a base; transformers: a folder or a hub name; openai: its name "
            "there. Default: the run, if TASK is one.",
        ),
    ] = None,
    temperature: Annotated[float, typer.Option("--temperature")] = 1.0,
    top_p: Annotated[float, typer.Option("--top-p", help="Nucleus sampling below 1.")] = 1.0,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Longest completion.")] = None,
    stop: Annotated[list[str] | None, typer.Option("--stop", help=STOP)] = None,
    template: Annotated[
        str | None, typer.Option("--template", help="Prompt template; none: no template. Default: the task's own.")
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Apply the model's own chat template as well.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the samples.")] = 0,
    split: SplitOption = None,
    count: Annotated[int | None, typer.Option("--count", min=1, help="Use only the first problems, this many.")] = None,
    task_seed: Annotated[int, typer.Option("--task-seed", help="Seed of generated tasks.")] = 0,
    source: SourceOption = None,
    field: FieldOption = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Samples drawn at a time, where it can be chosen.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="cpu, or cuda if available.")] = None,
    url: Annotated[list[str] | None, typer.Option("--url", help="A server's base URL (repeatable).")] = None,
    patience: Annotated[
        float | None, typer.Option("--patience", help="Seconds that a server in trouble is tried again; 120.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Verifier processes; by default one for each core.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds that verifying a sample may take.")] = 1.5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be drawn, and do nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Draw samples of a model into a store, and verify them. If it is killed, the same command continues."""
    from rlvrscope.cli.shared.sampling_progress import SamplingProgress
    from rlvrscope.engines import Settings, open_engine
    from rlvrscope.problems.task_catalogue import is_task_file
    from rlvrscope.sampling.store.store_file import FILE_NAME
    from rlvrscope.verify import VerifierPool

    engine, model = _engine_and_model(task, engine, model)
    display = SamplingProgress()
    settings = Settings(
        temperature, top_p, max_tokens, chat, batch, device, tuple(url or ()), tuple(map(_unescaped, stop or ())),
        patience=patience, on_tokens=display.count_tokens, on_wait=display.wait, stopped=lambda: display.stopped,
    )  # fmt: skip
    with MESSAGES.status(f"loading {task}"):
        loaded = problems_of_task(task, split, count, task_seed, source, field or ())
    problems = loaded.problems
    for note in loaded.notes:
        MESSAGES.print(f"Note: {note}")
    requested, template = template, template_of_task(task, problems, template)
    if requested is None and template == "plain" and is_task_file(task):
        MESSAGES.print(f"Note: {PLAIN_NOTE}", markup=False)
    settings = replace(settings, requested=samples * len(problems))
    with MESSAGES.status(f"loading {model}"):
        opened = open_engine(engine, model, settings)
    path = out / FILE_NAME
    try:
        if dry_run:
            _print_plan(path, problems, samples, opened, seed, template, as_json)
            return
        progress, run = draw_samples(
            path, problems, opened, samples, seed, template, display, VerifierPool(workers, timeout)
        )
    finally:
        opened.close()
    _print_result(progress, run, path, as_json)
    if progress.stopped:
        raise KeyboardInterrupt
    if progress.failed:
        raise typer.Exit(1)


def _engine_and_model(task: str, engine: str | None, model: str | None) -> tuple[str, str]:
    """The requested ones, or else those of the lab's run or recipe. Raises InputError where they can't be told."""
    is_run = is_run_folder(Path(task))
    engine = engine or ("lab" if is_run or task.endswith(".toml") else None)
    model = model or (task if is_run and engine == "lab" else None)
    for name, value in (("engine", engine), ("model", model)):
        if value is None:
            raise InputError(f"{task} does not tell the {name}: name it, --{name}")
    return str(engine), str(model)


def draw_samples(
    path: Path,
    problems: Sequence[Problem],
    engine: Engine,
    samples: int,
    seed: int,
    template: str | None,
    display: SamplingProgress,
    pool: VerifierPool,
) -> tuple[FillProgress, RunStats]:
    """Draw what a store lacks, verified, with a progress display; return the progress and the whole run's facts."""
    from rlvrscope.sampling import SampleStore, fill
    from rlvrscope.sampling.store.check import stats
    from rlvrscope.sampling.store.sample_store import RUN

    with SampleStore(path) as store, pool, display:
        progress = fill(
            store, problems, engine, samples, seed=seed, template=template, pool=pool, on_progress=display.show,
            stop=lambda: display.stopped,
        )  # fmt: skip
        return progress, stats(store)[RUN]


def problems_of_task(
    task: str, split: str | None, count: int | None, seed: int, source: Path | None, fields: Sequence[str]
) -> LoadedProblems:
    """Load the problems of a task's name, a file, or a lab recipe or run's folder (its held-out prompts)."""
    from rlvrscope.problems.problem_files import LoadedProblems
    from rlvrscope.problems.task_catalogue import load_task

    task = str(Path(task) / "recipe.toml") if is_run_folder(Path(task)) else task
    if not task.endswith(".toml"):
        return load_task(task, split, count=count, seed=seed, source=source, fields=fields)
    from rlvrscope import config

    if split is not None or source is not None or fields:
        raise InputError("a lab recipe has no split, source or field: leave them out")
    with needs_extra("lab", "the lab's problems"):
        from rlvrscope.engines.lab import problems_of
        from rlvrscope.lab.recipe import Recipe
    return LoadedProblems(problems_of(config.load(Path(task), Recipe))[:count], [])


def is_run_folder(path: Path) -> bool:
    """Return whether the path is the folder of a run of the lab."""
    return (path / "recipe.toml").is_file()


def template_of_task(task: str, problems: Sequence[Problem], requested: str | None) -> str | None:
    """The requested template, or else the task's own."""
    from rlvrscope.problems.hub import DATA_SETS
    from rlvrscope.problems.task_catalogue import is_task_file
    from rlvrscope.problems.templates import default_template

    if requested is not None:
        return None if requested == NO_TEMPLATE else requested
    if task in DATA_SETS:
        return DATA_SETS[task].template
    if task.endswith(".toml") or is_run_folder(Path(task)):
        return None
    return default_template(problems) if is_task_file(task) else "plain"


def _unescaped(text: str) -> str:
    """The text with the escapes that a shell can't easily pass."""
    return re.sub(r"\\([nt\\])", lambda match: ESCAPES[match[1]], text)


def _print_plan(
    path: Path,
    problems: Sequence[Problem],
    samples: int,
    engine: Engine,
    seed: int,
    template: str | None,
    as_json: bool,
) -> None:
    """Print what would be drawn; the store is only read."""
    from rlvrscope.sampling import SampleStore
    from rlvrscope.sampling.fill import check_plan, count_missing, run_identity
    from rlvrscope.sampling.store.sample_store import RUN

    check_plan(problems, samples)
    total = missing = samples * len(problems)
    identity = run_identity(engine, seed, template)
    size = None
    if path.exists():
        with SampleStore(path, write=False) as store:
            store.check_identity(RUN, identity, problems)
            missing = count_missing(store, RUN, problems, samples)
            stored = sum(counts.total() for counts in store.counts(RUN).values())
            size = round(missing * path.stat().st_size / stored) if stored else None
    if as_json:
        print_json(
            {
                "format_version": 1, "store": str(path), "problems": len(problems), "samples_per_problem": samples,
                "total": total, "done": total - missing, "missing": missing, "bytes": size, "identity": identity,
            }
        )  # fmt: skip
        return
    say(
        f"{len(problems):,} problems x {samples:,} samples: {total:,} requested, {total - missing:,} in the store, "
        f"{missing:,} to draw"
    )
    say(f"Size: {'unknown before some are drawn' if size is None else f'about {size / 1e6:,.1f} MB more'}.")
    say(f"This engine {'honours' if engine.honours_seeds else 'does not honour'} seeds.")
    for name, value in identity.items():
        say(f"{name:<14} {value}")
    say(f"Store: {path}. Nothing was drawn.")


def _print_result(progress: FillProgress, run: RunStats, path: Path, as_json: bool) -> None:
    """Print the new samples' rates, and what to know about all samples of the run."""
    from rlvrscope.cli.shared.sampling_progress import summary
    from rlvrscope.cli.shared.truncation import truncation_warning
    from rlvrscope.report.text import one_line

    if as_json:
        print_json(
            {
                "format_version": 1, "store": str(path), "total": progress.total, "done": progress.done,
                "new": progress.new, "tokens": progress.tokens, "outcomes": dict(progress.outcomes),
                "seconds": round(progress.seconds, 3), "failed": progress.failed, "stopped": progress.stopped,
                "identical": progress.identical, "silent": progress.silent,
                "run": {"samples": run.samples, "outcomes": run.outcomes, **run.rates.facts()},
                "failures": [{"problem": p, "index": i, "reason": reason} for p, i, reason in progress.failures],
            }
        )  # fmt: skip
        return
    facts = f": {summary(progress)}" if progress.new else ""
    say(f"{progress.done:,} of {progress.total:,} samples are in the store, {progress.new:,} of them new{facts}")
    for problem, index, reason in progress.failures[:MAX_LISTED]:
        say(f"failed: {one_line(problem, 60)}, sample {index}: {one_line(reason, 300)}")
    if progress.failed > MAX_LISTED:
        say(f"... and {progress.failed - MAX_LISTED:,} more")
    if progress.identical:
        say("All samples of a problem are identical: the model is very sure, or the server does not draw at random.")
    if warning := truncation_warning(run.rates, run.identity):
        say(f"Warning: {warning}")
    if (no_answer := run.outcomes.get("no_answer", 0)) > run.samples / 2:
        say(
            f"Warning: {no_answer:,} of {run.samples:,} samples have no answer in the form that the problems ask for "
            f"(\\boxed{{}}, unless they name forms). {FEW_SHOT}"
        )
    if progress.silent:
        say(
            f"Warning: {progress.silent:,} new samples stopped with reasoning and no text, so they have no answer: the "
            "server's reasoning parser may have taken their text for reasoning (run it without one to see)"
        )
    if progress.failed:
        say("The same command tries the failed samples again.")
    say(f"Store: {path}")
