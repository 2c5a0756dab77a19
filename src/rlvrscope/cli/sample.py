"""`rlvrscope sample`: fill a store with samples of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvrscope.cli.shared.console import MESSAGES, print_json, say
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import FieldOption, JsonOption, SourceOption, SplitOption
from rlvrscope.errors import InputError

if TYPE_CHECKING:
    from rlvrscope.engines import Engine
    from rlvrscope.problem import Problem
    from rlvrscope.sampling import FillProgress

TASK = "A name of `rlvrscope tasks list`, a file of your own, or a lab recipe (.toml): its held-out prompts."
LISTED = 10
"""Failed cells that are shown."""
NO_TEMPLATE = "none"


@guarded
def sample(
    task: Annotated[str, typer.Argument(metavar="TASK", help=TASK)],
    engine: Annotated[str, typer.Option("--engine", help="What draws: lab, transformers, openai.")],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            help="lab: a run's folder or a checkpoint; transformers: a folder; openai: the servers' name of it.",
        ),
    ],
    samples: Annotated[int, typer.Option("--samples", min=1, help="Of each problem.")],
    out: Annotated[Path, typer.Option("--out", help="The run's folder; started again, the command goes on.")],
    temperature: Annotated[float, typer.Option("--temperature")] = 1.0,
    top_p: Annotated[float, typer.Option("--top-p", help="Nucleus sampling below 1.")] = 1.0,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Of a completion.")] = None,
    template: Annotated[
        str | None, typer.Option("--template", help="Around every prompt; none: as it is. By default the task's own.")
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="Put the model's own chat template around the prompt as well.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the samples.")] = 0,
    split: SplitOption = None,
    count: Annotated[int | None, typer.Option("--count", min=1, help="The first so many problems.")] = None,
    task_seed: Annotated[int, typer.Option("--task-seed", help="Of generated tasks.")] = 0,
    source: SourceOption = None,
    field: FieldOption = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Cells at a time, where it can be chosen.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="cpu, or cuda where there is one.")] = None,
    url: Annotated[list[str] | None, typer.Option("--url", help="A server's base URL (repeatable).")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="To verify with; by default one a core.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds that verifying a sample may take.")] = 1.5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Draw samples of a model into a store, verified as they come. Killed at any moment, the same command goes on."""
    from rlvrscope.cli.shared.sampling_progress import SamplingProgress
    from rlvrscope.engines import Settings, open_engine
    from rlvrscope.sampling import SampleStore, fill
    from rlvrscope.sampling.store.store_file import FILE_NAME
    from rlvrscope.verify import VerifierPool

    settings = Settings(temperature, top_p, max_tokens, chat, batch, device, tuple(url or ()))
    with MESSAGES.status(f"loading {task}"):
        problems = _problems(task, split, count, task_seed, source, field or ())
    around = _template(task, problems, template)
    with MESSAGES.status(f"loading {model}"):
        drawer = open_engine(engine, model, settings)
    path = out / FILE_NAME
    try:
        if dry_run:
            _tell_plan(path, problems, samples, drawer, seed, around, as_json)
            return
        with SampleStore(path) as store, VerifierPool(workers, timeout) as pool, SamplingProgress(MESSAGES) as line:
            found = fill(
                store, problems, drawer, samples, seed=seed, template=around, pool=pool,
                on_progress=line.show, stop=lambda: line.stopped,
            )  # fmt: skip
    finally:
        drawer.close()
    _tell(found, path, as_json)
    if found.stopped:
        raise KeyboardInterrupt
    if found.failed:
        raise typer.Exit(1)


def _problems(
    task: str, split: str | None, count: int | None, seed: int, source: Path | None, fields: Sequence[str]
) -> list[Problem]:
    if not task.endswith(".toml"):
        from rlvrscope.problems import load

        return load(task, split, count=count, seed=seed, source=source, fields=fields)
    from rlvrscope import config
    from rlvrscope.engines.lab import problems_of
    from rlvrscope.lab.recipe import Recipe

    if split is not None or source is not None or fields:
        raise InputError("a lab recipe has no split, source or field: leave them out")
    return problems_of(config.load(Path(task), Recipe))[:count]


def _template(task: str, problems: Sequence[Problem], wanted: str | None) -> str | None:
    """The template asked for; else the task's own."""
    from rlvrscope.problems.hub import DATA_SETS

    if wanted is not None:
        return None if wanted == NO_TEMPLATE else wanted
    if task in DATA_SETS:
        return DATA_SETS[task].template
    if task.endswith(".toml"):
        return None
    return "choice" if all(problem.metadata.get("choices") for problem in problems) else "plain"


def _tell_plan(
    path: Path,
    problems: Sequence[Problem],
    samples: int,
    engine: Engine,
    seed: int,
    template: str | None,
    as_json: bool,
) -> None:
    """What would be done; the store is only read."""
    from rlvrscope.sampling import SampleStore
    from rlvrscope.sampling.fill import check_plan, count_missing, run_identity
    from rlvrscope.sampling.store.sample_store import RUN

    check_plan(problems, samples)
    wanted = missing = samples * len(problems)
    each = None
    identity = run_identity(engine, seed, template)
    if path.exists():
        with SampleStore(path, write=False) as store:
            store.check_identity(RUN, identity, problems)
            missing = count_missing(store, RUN, problems, samples)
            held = sum(counts.total() for counts in store.counts(RUN).values())
            each = path.stat().st_size / held if held else None
    size = None if each is None else round(missing * each)
    facts: dict[str, Any] = {
        "format_version": 1, "store": str(path), "problems": len(problems), "samples_of_a_problem": samples,
        "wanted": wanted, "done": wanted - missing, "missing": missing, "bytes": size, "population": identity,
    }  # fmt: skip
    if as_json:
        print_json(facts)
        return
    grows = "unknown before some are drawn" if size is None else f"about {size / 1e6:,.1f} MB more"
    say(
        f"{len(problems):,} problems x {samples:,} samples: {wanted:,} wanted, {wanted - missing:,} there, "
        f"{missing:,} to draw"
    )
    say(f"Size: {grows}. Seeds are {'honoured' if engine.honours_seeds else 'not honoured'} by this engine.")
    for name, value in identity.items():
        say(f"{name:<14} {value}")
    say(f"The store: {path}. Nothing was drawn.")


def _tell(found: FillProgress, path: Path, as_json: bool) -> None:
    from rlvrscope.cli.shared.sampling_progress import told
    from rlvrscope.report.text import one_line

    if as_json:
        print_json(
            {
                "format_version": 1, "store": str(path), "wanted": found.total, "done": found.done, "new": found.new,
                "tokens": found.tokens, "outcomes": dict(found.outcomes), "seconds": round(found.seconds, 3),
                "failed": found.failed, "stopped": found.stopped,
                "alike": found.identical,
                "failures": [{"problem": p, "index": i, "reason": r} for p, i, r in found.failures],
            }
        )  # fmt: skip
        return
    say(
        f"{found.done:,} of {found.total:,} cells are filled, {found.new:,} of them now"
        + (f": {told(found)}" if found.new else "")
    )
    for problem, index, reason in found.failures[:LISTED]:
        say(f"failed: {one_line(problem, 60)}, sample {index}: {one_line(reason, 300)}")
    if found.failed > LISTED:
        say(f"... and {found.failed - min(LISTED, len(found.failures)):,} more")
    if found.identical:
        say("All samples of a problem are alike: the model is very sure, or the server does not draw at random.")
    if found.failed:
        say("Those that failed are tried again by the same command.")
    say(f"The store: {path}")
