"""`rlvrscope probe`: store completions of a base, and follow their mass through checkpoints, without generating."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlvrscope.cli.shared.console import MESSAGES, OUTPUT, print_json, say
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import FieldOption, JsonOption, SourceOption, SplitOption
from rlvrscope.engines import Settings
from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.report.table import Column, Table, to_rich

if TYPE_CHECKING:
    from rlvrscope.monitor import Bank
    from rlvrscope.problem import Problem
    from rlvrscope.runs.rows import ProbeRow
    from rlvrscope.scoring import Fact, Scorer

app = typer.Typer(help="Mass probes: build a bank, score checkpoints.", no_args_is_help=True, rich_markup_mode=None)
TASK = (
    "A name of `rlvrscope tasks list`, a file of your own, or a lab recipe (.toml) or run's folder: its held-out "
    "prompts; also a store of the base's samples (rlvrscope sample)."
)
STEP_NAME = re.compile(r"(?:checkpoint|step)[-_]?([0-9]{1,15})(?:\.safetensors)?$")
"""The step in the name of a checkpoint: of TRL, of verl (global_step_200), of one's own."""
DEFAULT_SAMPLES = 64
"""Samples of each problem."""
DeviceOption = Annotated[str | None, typer.Option("--device", help="cpu, or cuda if available.")]


@app.command()
@guarded
def build(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The base: a folder, a hub model, a lab run.")],
    task: Annotated[str, typer.Argument(metavar="TASK", help=TASK)],
    out: Annotated[Path, typer.Option("--out", help="The bank to write (JSON Lines).")],
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help=f"Samples of each problem; default: {DEFAULT_SAMPLES}.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the samples.")] = 0,
    later: Annotated[
        list[Path] | None, typer.Option("--later", help="A store of a trained model, for discoveries (repeatable).")
    ] = None,
    engine: Annotated[str | None, typer.Option("--engine", help="lab or transformers; default: the model's.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Longest completion.")] = None,
    template: Annotated[
        str | None, typer.Option("--template", help="Prompt template; none: no template. Default: the task's own.")
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Apply the model's own chat template as well.")] = False,
    split: SplitOption = None,
    count: Annotated[int | None, typer.Option("--count", min=1, help="Use only the first problems, this many.")] = None,
    task_seed: Annotated[int, typer.Option("--task-seed", help="Seed of generated tasks.")] = 0,
    source: SourceOption = None,
    field: FieldOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store completions of a base, scored and sorted into classes: dominant, other and rare right ones, wrong ones.

    Of a task of the lab, every right answer, without sampling. Of another task, samples: they are drawn into a store
    beside the bank (bank.jsonl: bank.sqlite), where the same command continues. Of a store, its verified samples.
    """
    from rlvrscope.engines import check_scorer
    from rlvrscope.readers.probe_bank import lists_answers
    from rlvrscope.sampling.store.store_file import is_store, store_path

    others = [store_path(other) for other in later or ()]
    if is_store(Path(task)):
        if samples or max_tokens or template or chat or split or count or source or field:
            raise InputError(f"{task} is a store, whose samples are drawn: leave the options of sampling out")
        bank = _bank_of_store(model, store_path(task), others, engine, device)
    else:
        problems, template = _problems(task, split, count, task_seed, source, field or (), template)
        engine = engine or ("lab" if all("lab" in one.metadata for one in problems) else _engine_of_model(model))
        check_scorer(engine)
        if engine == "lab" and lists_answers(problems):
            if samples or others:
                raise InputError("the task lists every right answer: leave --samples and --later out")
            bank = _bank_of_answers(model, problems, device)
        else:
            store = out.with_suffix(".sqlite")
            settings = Settings(max_tokens=max_tokens, chat=chat, device=device)
            _draw(store, model, problems, engine, settings, samples or DEFAULT_SAMPLES, seed, template)
            bank = _bank_of_store(model, store, others, engine, device)
    bank.save(out)
    _print_bank(bank, out, as_json)


def _problems(
    task: str,
    split: str | None,
    count: int | None,
    seed: int,
    source: Path | None,
    fields: Sequence[str],
    template: str | None,
) -> tuple[list[Problem], str | None]:
    """The problems of a task, and the template of its prompts."""
    from rlvrscope.cli.sample import problems_of_task, template_of_task

    with MESSAGES.status(f"loading {task}"):
        loaded = problems_of_task(task, split, count, seed, source, fields)
    for note in loaded.notes:
        say(f"Note: {note}")
    return loaded.problems, template_of_task(task, loaded.problems, template)


def _draw(
    store: Path,
    model: str,
    problems: Sequence[Problem],
    engine: str,
    settings: Settings,
    samples: int,
    seed: int,
    template: str | None,
) -> None:
    """Draw the samples that a store lacks. Raises KeyboardInterrupt after Ctrl-C, and Exit where some failed."""
    from rlvrscope.cli.sample import draw_samples
    from rlvrscope.cli.shared.sampling_progress import SamplingProgress
    from rlvrscope.engines import open_engine
    from rlvrscope.verify import VerifierPool

    display = SamplingProgress()
    settings = replace(settings, requested=samples * len(problems), on_tokens=display.count_tokens)
    with MESSAGES.status(f"loading {model}"):
        opened = open_engine(engine, model, settings)
    try:
        progress, _ = draw_samples(store, problems, opened, samples, seed, template, display, VerifierPool())
    finally:
        opened.close()
    say(f"{progress.done:,} samples, {progress.new:,} of them new, in {store}")
    if progress.stopped:
        raise KeyboardInterrupt
    if progress.failed:
        say(f"{progress.failed:,} samples failed: the same command tries them again.")
        raise typer.Exit(1)


def _bank_of_store(model: str, store: Path, later: Sequence[Path], engine: str | None, device: str | None) -> Bank:
    from rlvrscope.readers.probe_bank import build_bank, identity_of

    identity = identity_of(store)
    with _scoring(model, engine or _engine(identity), identity, device) as scorer, MESSAGES.status("scoring"):
        return build_bank(store, scorer, later)


def _bank_of_answers(model: str, problems: Sequence[Problem], device: str | None) -> Bank:
    from rlvrscope.readers.probe_bank import enumerated_bank

    with _scoring(model, "lab", {}, device) as scorer, MESSAGES.status("scoring"):
        return enumerated_bank(problems, scorer)


def _print_bank(bank: Bank, out: Path, as_json: bool) -> None:
    counts = {kind: sum(one.kind == kind for one in bank.completions) for kind in _kinds()}
    prompts = len({one.request.problem.id for one in bank.completions})
    if as_json:
        print_json({"format_version": 1, "bank": str(out), "prompts": prompts, "completions": counts})
        return
    say(f"{prompts:,} prompts: " + ", ".join(f"{kind} {count:,}" for kind, count in counts.items() if count))
    say(f"Bank: {out}. Follow it: rlvrscope probe score {out} CHECKPOINT...")


@app.command()
@guarded
def score(
    bank: Annotated[Path, typer.Argument(metavar="BANK", help="A bank of `rlvrscope probe build`.")],
    checkpoints: Annotated[list[str], typer.Argument(metavar="CHECKPOINT...", help="Models, in order of training.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write the rows, for `rlvrscope monitor`.")] = None,
    png: Annotated[Path | None, typer.Option("--png", help="Draw the masses (.png or .svg).")] = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score a bank under one checkpoint after the other: the mass of each class, its flow, and what is left of it.

    Steps are read from names such as checkpoint-200 or global_step_200; a first model without one is the base, at step
    0. Where the names have no steps, they count from 0.
    """
    from rlvrscope.monitor import Bank, MassProbe
    from rlvrscope.runs import write_atomic

    loaded = Bank.load(bank)
    rows: list[ProbeRow] = []
    probe: MassProbe | None = None
    for step, checkpoint in _steps(checkpoints):
        with (
            _scoring(checkpoint, _engine(loaded.base), loaded.base, device) as scorer,
            MESSAGES.status(f"scoring {checkpoint}"),
        ):
            probe = probe or MassProbe(loaded, scorer)
            probe.scorer = scorer
            rows.append(probe.score(step))
    if out is not None:
        write_atomic(out, "".join(json.dumps(row.model_dump(mode="json")) + "\n" for row in rows))
    if png is not None:
        with needs_extra("report", "a picture"):
            from rlvrscope.report.probe_charts import masses
            from rlvrscope.report.style import save
        save(masses(rows), png)
    if as_json:
        print_json({"format_version": 1, "rows": [row.model_dump(mode="json") for row in rows]})
        return
    OUTPUT.print(to_rich(table(rows)))
    for path in filter(None, (out, png)):
        say(f"Written: {path}")


def table(rows: Sequence[ProbeRow]) -> Table:
    """A row for each class and checkpoint."""
    columns = (
        Column("class", align="left"), Column("step", form=",.0f"), Column("prompts", form=",.0f"), Column("log-mass"),
        Column("s.e."), Column("flow", form="+.4f"), Column("left"), Column("s.e."),
    )  # fmt: skip
    cells = [
        (kind, row.step, mass.prompts, mass.log_mass, mass.log_mass_error, mass.flow, mass.left, mass.left_error)
        for kind in _kinds()
        for row in rows
        if (mass := row.classes.get(kind)) is not None
    ]
    return Table(
        columns, cells, "Mean log-mass per prompt (nats), its flow per step, and the share of the base's mass left"
    )


def _kinds() -> Sequence[str]:
    from rlvrscope.monitor.mass_probe import KINDS

    return KINDS


def _engine(identity: Mapping[str, Fact]) -> str:
    from rlvrscope.engines import SCORERS

    engine = str(identity.get("engine"))
    return engine if engine in SCORERS else "transformers"


def _engine_of_model(model: str) -> str:
    """The lab for a run's folder or a checkpoint of it, else transformers."""
    path = Path(model)
    is_lab = path.suffix == ".safetensors" or (path / "checkpoints" / "final.safetensors").is_file()
    return "lab" if is_lab else "transformers"


@contextlib.contextmanager
def _scoring(model: str, engine: str, identity: Mapping[str, Fact], device: str | None) -> Iterator[Scorer]:
    """A model to score with, as the samples of `identity` were drawn."""
    from rlvrscope.engines import open_scorer

    with MESSAGES.status(f"loading {model}"):
        scorer = open_scorer(engine, model, Settings(chat=bool(identity.get("chat")), device=device))
    try:
        yield scorer
    finally:
        scorer.close()


def _steps(checkpoints: Sequence[str]) -> list[tuple[int, str]]:
    """Each checkpoint with its step: that of names such as checkpoint-200, where they rise, else its place.

    verl's lie in global_step_200/actor/huggingface. A first name without a step is the base, at step 0.
    """
    parts = [reversed(Path(name).parts[-3:]) for name in checkpoints]
    matches = [next(filter(None, map(STEP_NAME.search, names)), None) for names in parts]
    steps = [-1 if match is None else int(match[1]) for match in matches]
    steps[0] = max(steps[0], 0)
    if steps != sorted(set(steps)) or len(steps) == 1:
        steps = list(range(len(checkpoints)))
    return list(zip(steps, checkpoints, strict=True))
