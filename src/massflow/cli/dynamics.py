"""`massflow dynamics`: how mass moves in theory. One command a figure."""

from __future__ import annotations

import contextlib
import math
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from massflow.__main__ import INTERRUPTED
from massflow.cli.guard import MESSAGES, OUTPUT, JsonOption, guarded, print_json
from massflow.errors import InputError
from massflow.extras import needs_extra

if TYPE_CHECKING:
    from massflow.dynamics import Trajectory
    from massflow.report.dynamics.setting import Case, Setting
    from massflow.report.dynamics.studies import Plan, Study

app = typer.Typer(help="How probability mass moves in theory: the simulator and its figures.", no_args_is_help=True)

RewardsOption = Annotated[str, typer.Option("--rewards", help="The reward of each action.")]
StartOption = Annotated[str, typer.Option("--start", help="The probability of each action at the start.")]
ObjectiveOption = Annotated[str, typer.Option("--objective", help="A name of the catalogue, or w-relative.")]
RolloutsOption = Annotated[int, typer.Option("--rollouts", "-n", help="Rollouts in a group.")]
EtaOption = Annotated[float, typer.Option("--eta", help="The step size.")]
StepsOption = Annotated[int, typer.Option("--steps", help="Updates.")]
SeedsOption = Annotated[int, typer.Option("--seeds", help="Paths.")]
StdOption = Annotated[str, typer.Option("--std", help="Of a group: population (ddof 0) or sample (ddof 1).")]
KlOption = Annotated[float, typer.Option("--kl", help="The weight of the KL term to the start.")]
EpochsOption = Annotated[int, typer.Option("--epochs", help="Updates on each group; ratios are clipped.")]
ClipOption = Annotated[str | None, typer.Option("--clip", help="low,high in place of the objective's.")]
ThresholdOption = Annotated[float, typer.Option("--threshold", help="The best actions are there above this mass.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of all draws.")]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="Results do not depend on it.")]
OutOption = Annotated[Path, typer.Option("--out", help="The folder for PNG, SVG, HTML and CSV.")]
OUT = Path("out/dynamics")
NAME_WIDTH = 11
"""Of "w-reinforce": no objective's name is broken."""


@app.command("simulate")
@guarded
def simulate_command(
    objective: ObjectiveOption = "grpo",
    rewards: RewardsOption = ".8,1,0",
    start: StartOption = ".49,.02,.49",
    rollouts: RolloutsOption = 8,
    eta: EtaOption = 0.1,
    steps: StepsOption = 3000,
    seeds: SeedsOption = 200,
    std: StdOption = "population",
    eps: Annotated[float, typer.Option("--eps", help="Added to the std of a group.")] = 1e-6,
    kl: KlOption = 0.0,
    epochs: EpochsOption = 1,
    clip: ClipOption = None,
    threshold: ThresholdOption = 0.5,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    out: OutOption = OUT,
    as_json: JsonOption = False,
) -> None:
    """Run one setting, any knob: masses over steps, a summary, and every path as Parquet."""
    with needs_extra("report", "the figures"):
        from massflow.report.dynamics.studies import simulate_plan
        from massflow.report.dynamics.write import write_parquet
    base = _setting(rewards, start, rollouts, eta, steps, seeds, std, kl, epochs, clip, threshold, seed, threads)
    results = _show(simulate_plan(base.replace(std_eps=eps), objective), out, as_json)
    for _, path in results.finished:
        write_parquet(out / "simulate.parquet", path)
    results.leave()


@app.command()
@guarded
def figure1(
    objective: ObjectiveOption = "grpo",
    rewards: Annotated[list[str] | None, typer.Option("--rewards", help="Rewards of a row (repeatable).")] = None,
    start: Annotated[list[str] | None, typer.Option("--start", help="The start of a column (repeatable).")] = None,
    rollouts: RolloutsOption = 8,
    eta: EtaOption = 0.1,
    steps: StepsOption = 1500,
    seeds: SeedsOption = 400,
    std: StdOption = "population",
    kl: KlOption = 0.0,
    epochs: EpochsOption = 1,
    clip: ClipOption = None,
    threshold: ThresholdOption = 0.5,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    out: OutOption = OUT,
    as_json: JsonOption = False,
) -> None:
    """Masses over steps, rewards x starts: in the manner of the paper's Figure 1."""
    with needs_extra("report", "the figures"):
        from massflow.report.dynamics.studies import FIGURE1_PROBS, FIGURE1_REWARDS, figure1_plan
    rows = list(dict.fromkeys(_numbers("--rewards", text) for text in rewards or [])) or FIGURE1_REWARDS
    columns = list(dict.fromkeys(_numbers("--start", text) for text in start or [])) or FIGURE1_PROBS
    base = _setting(
        ".8,1,0", ".49,.02,.49", rollouts, eta, steps, seeds, std, kl, epochs, clip, threshold, seed, threads
    )
    _show(figure1_plan(base, objective, rows, columns), out, as_json).leave()


@app.command()
@guarded
def figure5(
    objective: ObjectiveOption = "grpo",
    rewards: RewardsOption = ".8,1,0",
    start: StartOption = ".49,.02,.49",
    rollouts: Annotated[str, typer.Option("--rollouts", "-n", help="Rollouts of each panel.")] = "2,3,5,10",
    eta: EtaOption = 0.1,
    steps: StepsOption = 2500,
    seeds: SeedsOption = 1000,
    std: StdOption = "population",
    kl: KlOption = 0.0,
    epochs: EpochsOption = 1,
    clip: ClipOption = None,
    threshold: ThresholdOption = 0.5,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    out: OutOption = OUT,
    as_json: JsonOption = False,
) -> None:
    """Masses over steps for several numbers of rollouts: in the manner of the paper's Figure 5."""
    with needs_extra("report", "the figures"):
        from massflow.report.dynamics.studies import figure5_plan
    base = _setting(rewards, start, 8, eta, steps, seeds, std, kl, epochs, clip, threshold, seed, threads)
    sizes = list(dict.fromkeys(_whole("--rollouts", value) for value in _numbers("--rollouts", rollouts)))
    _show(figure5_plan(base, objective, sizes), out, as_json).leave()


@app.command()
@guarded
def objectives(
    objective: Annotated[list[str] | None, typer.Option("--objective", help="By default all (repeatable).")] = None,
    rewards: RewardsOption = ".8,1,0",
    start: StartOption = ".49,.02,.49",
    rollouts: RolloutsOption = 8,
    eta: EtaOption = 0.1,
    steps: StepsOption = 40_000,
    seeds: SeedsOption = 1000,
    std: StdOption = "population",
    kl: KlOption = 0.0,
    epochs: EpochsOption = 1,
    clip: ClipOption = None,
    threshold: ThresholdOption = 0.5,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    out: OutOption = OUT,
    as_json: JsonOption = False,
) -> None:
    """All objectives on one problem: time to the optimum, share never there, lowest mass, entropy."""
    with needs_extra("report", "the figures"):
        from massflow.report.dynamics.studies import objectives_plan
    base = _setting(rewards, start, rollouts, eta, steps, seeds, std, kl, epochs, clip, threshold, seed, threads)
    _show(objectives_plan(base, objective or ()), out, as_json).leave()


@app.command()
@guarded
def binary(
    objective: Annotated[list[str] | None, typer.Option("--objective", help="Repeatable.")] = None,
    rewards: RewardsOption = "1,1,0",
    start: StartOption = ".25,.25,.5",
    rollouts: RolloutsOption = 8,
    eta: Annotated[str, typer.Option("--eta", help="Step sizes; the steps of the others keep eta x steps.")] = ".1,1",
    steps: StepsOption = 10_000,
    seeds: SeedsOption = 1000,
    std: StdOption = "population",
    kl: KlOption = 0.0,
    epochs: EpochsOption = 1,
    clip: ClipOption = None,
    threshold: ThresholdOption = 0.5,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    out: OutOption = OUT,
    as_json: JsonOption = False,
) -> None:
    """Binary rewards: how far sampling spreads the second right answer's share of the right mass."""
    with needs_extra("report", "the figures"):
        from massflow.report.dynamics.studies import binary_plan
    from massflow.dynamics.inputs import check_rate

    rates = tuple(dict.fromkeys(check_rate("--eta", rate) for rate in _numbers("--eta", eta)))
    base = _setting(rewards, start, rollouts, rates[0], steps, seeds, std, kl, epochs, clip, threshold, seed, threads)
    names = objective or ["grpo", "grpo-p", "psr", "grpo-n", "nsr"]
    _show(binary_plan(base, names, rates), out, as_json).leave()


@app.command()
@guarded
def phase(
    x: Annotated[str, typer.Option("--x", help="KNOB=FROM:TO:COUNT; rare, dominant, n, eta, kl, epochs.")] = (
        "rare=.01:.3:8"
    ),
    y: Annotated[str, typer.Option("--y", help="Likewise. Steps of one ratio where FROM is above 0.")] = (
        "dominant=.4:.9:6"
    ),
    objective: ObjectiveOption = "grpo",
    rewards: RewardsOption = ".8,1,0",
    start: StartOption = ".49,.02,.49",
    rollouts: RolloutsOption = 8,
    eta: EtaOption = 0.1,
    steps: StepsOption = 10_000,
    seeds: SeedsOption = 100,
    std: StdOption = "population",
    kl: KlOption = 0.0,
    epochs: EpochsOption = 1,
    clip: ClipOption = None,
    threshold: ThresholdOption = 0.5,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    out: OutOption = OUT,
    as_json: JsonOption = False,
) -> None:
    """A map of the time to the optimum over two knobs."""
    with needs_extra("report", "the figures"):
        from massflow.report.dynamics.studies import phase_plan
    base = _setting(rewards, start, rollouts, eta, steps, seeds, std, kl, epochs, clip, threshold, seed, threads)
    _show(phase_plan(base, objective, _range("--x", x), _range("--y", y)), out, as_json).leave()


class _Results:
    """What was run, and whether Ctrl-C ended it."""

    def __init__(self) -> None:
        self.finished: list[tuple[Case, Trajectory]] = []
        self.interrupted = False

    def leave(self) -> None:
        """Exit 130 after an interruption."""
        if self.interrupted:
            raise typer.Exit(INTERRUPTED)


def _show(plan: Plan, out: Path, as_json: bool) -> _Results:
    """Run the cases, write the figure of those that are done, print its table."""
    from massflow.report.dynamics.write import write_study
    from massflow.runs import environment

    results = _run(plan)
    if not results.finished:
        MESSAGES.print("interrupted: no seed was finished, nothing is written.")
        return results
    with MESSAGES.status("drawing"):
        study = plan.make(results.finished)
        made = environment(seed=plan.cases[0].setting.seed)
        paths = write_study(study, out, {name.replace("_", " "): str(value) for name, value in made.items()})
    if as_json:
        print_json({"format_version": 1, "setting": study.lead, "rows": study.summary, "files": list(map(str, paths))})
    else:
        _print(study, paths)
    if results.interrupted:
        done = sum(len(path.seeds) for _, path in results.finished)
        MESSAGES.print(
            f"interrupted: written from {done:,} finished seeds, {len(results.finished)} of {len(plan.cases)} cases."
        )
    return results


def _run(plan: Plan) -> _Results:
    from massflow.dynamics import Interrupted

    results, before = _Results(), 0
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
    from massflow.report.dynamics.write import table

    heads, rows = table(study.summary)
    shown = Table(box=None, pad_edge=False)
    for index, head in enumerate(heads):
        width = NAME_WIDTH if head == "objective" else None
        shown.add_column(head, justify="right" if index else "left", overflow="fold", min_width=width)
    for row in rows:
        shown.add_row(*row)
    OUTPUT.print(study.heading, style="bold", markup=False, highlight=False)
    OUTPUT.print(study.lead, style="dim", markup=False, highlight=False)
    OUTPUT.print(shown)
    for path in paths:
        OUTPUT.print(f"Written: {path}", markup=False, highlight=False, soft_wrap=True)


def _setting(
    rewards: str,
    start: str,
    rollouts: int,
    eta: float,
    steps: int,
    seeds: int,
    std: str,
    kl: float,
    epochs: int,
    clip: str | None,
    threshold: float,
    seed: int,
    threads: int | None,
) -> Setting:
    from massflow.dynamics.inputs import check_count, check_rate
    from massflow.report.dynamics.setting import Setting

    kinds = {"population": 0, "sample": 1}
    if std not in kinds:
        raise InputError(f"--std is population or sample; got {std!r}")
    bounds = None if clip is None else _numbers("--clip", clip)
    if bounds is not None and len(bounds) != 2:
        raise InputError(f"--clip takes low,high; got {clip!r}")
    return Setting(
        rewards=_numbers("--rewards", rewards),
        probs=_numbers("--start", start),
        group_size=rollouts,
        learning_rate=check_rate("--eta", eta),
        steps=check_count("--steps", steps),
        seeds=check_count("--seeds", seeds),
        std_ddof=kinds[std],
        kl_coef=kl,
        inner_epochs=epochs,
        clip=None if bounds is None else (bounds[0], bounds[1]),
        threshold=threshold,
        seed=seed,
        threads=threads,
    )


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} takes numbers with commas between, such as .8,1,0; got {text!r}") from None


def _whole(option: str, value: float) -> int:
    if not math.isfinite(value) or value != int(value):
        raise InputError(f"{option} takes whole numbers; got {value:g}")
    return int(value)


def _range(option: str, text: str) -> tuple[str, Sequence[float]]:
    """KNOB=FROM:TO:COUNT, in steps of one ratio where both ends are above 0; n and epochs are whole."""
    from massflow.config import nearest
    from massflow.report.dynamics.studies import KNOBS

    knob, _, rest = text.partition("=")
    parts = rest.split(":")
    try:
        first, last, count = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        raise InputError(f"{option} takes KNOB=FROM:TO:COUNT, such as rare=.01:.3:8; got {text!r}") from None
    if knob not in KNOBS:
        raise InputError(f"{option}: no knob is called {knob!r}. {nearest(knob, list(KNOBS))}")
    if not (0 <= first < last < math.inf) or count < 2:
        raise InputError(f"{option} needs 0 <= FROM < TO and a COUNT of at least 2; got {text!r}")
    even = np.linspace(first, last, count) if first == 0 or knob == "dominant" else np.geomspace(first, last, count)
    whole = knob in ("n", "epochs")
    return knob, list(dict.fromkeys(float(round(value) if whole else f"{value:.4g}") for value in even))
