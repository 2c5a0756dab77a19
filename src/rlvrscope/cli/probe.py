"""`rlvrscope probe`: store completions of a base, and follow their mass through checkpoints, without generating."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlvrscope.cli.shared.console import MESSAGES, OUTPUT, print_json, say
from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.options import JsonOption
from rlvrscope.extras import needs_extra
from rlvrscope.report.table import Column, Table, to_rich

if TYPE_CHECKING:
    from rlvrscope.runs.rows import ProbeRow
    from rlvrscope.scoring import Fact, Scorer

app = typer.Typer(help="Mass probes: build a bank, score checkpoints.", no_args_is_help=True, rich_markup_mode=None)
DeviceOption = Annotated[str | None, typer.Option("--device", help="cpu, or cuda if available.")]


@app.command()
@guarded
def build(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The base: a folder, a hub model, a lab run.")],
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Its samples, verified (rlvrscope sample).")],
    out: Annotated[Path, typer.Option("--out", help="The bank to write (JSON Lines).")],
    later: Annotated[
        list[Path] | None, typer.Option("--later", help="A store of a trained model, for discoveries (repeatable).")
    ] = None,
    engine: Annotated[str | None, typer.Option("--engine", help="lab or transformers; default: the store's.")] = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score the completions of a store under the base that drew them, and sort them into classes."""
    from rlvrscope.readers.probe_bank import build_bank, identity_of
    from rlvrscope.sampling.store.store_file import store_path

    path, others = store_path(store), [store_path(other) for other in later or ()]
    identity = identity_of(path)
    scorer = _scorer(model, engine or _engine(identity), identity, device)
    try:
        with MESSAGES.status("scoring"):
            bank = build_bank(path, scorer, others)
    finally:
        scorer.close()
    bank.save(out)
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

    Steps are read from names such as checkpoint-200 or global_step_200; without them they count from 0.
    """
    from rlvrscope.monitor import Bank, MassProbe
    from rlvrscope.runs import write_atomic

    loaded = Bank.load(bank)
    rows: list[ProbeRow] = []
    probe: MassProbe | None = None
    for step, checkpoint in _steps(checkpoints):
        with MESSAGES.status(f"scoring {checkpoint}"):
            scorer = _scorer(checkpoint, _engine(loaded.base), loaded.base, device)
            try:
                probe = probe or MassProbe(loaded, scorer)
                probe.scorer = scorer
                rows.append(probe.score(step))
            finally:
                scorer.close()
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


def _scorer(model: str, engine: str, identity: Mapping[str, Fact], device: str | None) -> Scorer:
    from rlvrscope.engines import Settings, open_scorer

    with MESSAGES.status(f"loading {model}"):
        return open_scorer(engine, model, Settings(chat=bool(identity.get("chat")), device=device))


def _steps(checkpoints: Sequence[str]) -> list[tuple[int, str]]:
    """Each checkpoint with its step: the last number of its name where all have one and they rise, else its place."""
    numbers = [re.findall(r"\d+", Path(name.rstrip("/")).name) for name in checkpoints]
    steps = [int(found[-1]) if found else -1 for found in numbers]
    if steps != sorted(set(steps)) or min(steps) < 0:
        steps = list(range(len(checkpoints)))
    return list(zip(steps, checkpoints, strict=True))
