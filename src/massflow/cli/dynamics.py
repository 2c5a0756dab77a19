"""`massflow dynamics`: how mass moves in theory. One command a figure."""

from __future__ import annotations

from typing import Annotated

import typer

from massflow.cli.guard import JsonOption, guarded
from massflow.cli.knobs import (
    OUT,
    ClipOption,
    EpochsOption,
    EtaOption,
    KlOption,
    ObjectiveOption,
    OutOption,
    RewardsOption,
    RolloutsOption,
    SeedOption,
    SeedsOption,
    StartOption,
    StdOption,
    StepsOption,
    ThreadsOption,
    ThresholdOption,
    knob_range,
    numbers,
    setting,
    whole,
)
from massflow.cli.study import show
from massflow.extras import needs_extra

app = typer.Typer(help="How probability mass moves in theory: the simulator and its figures.", no_args_is_help=True)


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
    with needs_extra("parquet", "writing Parquet"):
        import pyarrow  # noqa: F401  before the work, not after it
    base = setting(rewards, start, rollouts, eta, steps, seeds, std, kl, epochs, clip, threshold, seed, threads)
    show(simulate_plan(base.replace(std_eps=eps), objective), out, as_json, write_parquet).leave()


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
    rows = list(dict.fromkeys(numbers("--rewards", text) for text in rewards or [])) or FIGURE1_REWARDS
    columns = list(dict.fromkeys(numbers("--start", text) for text in start or [])) or FIGURE1_PROBS
    base = setting(
        ".8,1,0", ".49,.02,.49", rollouts, eta, steps, seeds, std, kl, epochs, clip, threshold, seed, threads
    )
    show(figure1_plan(base, objective, rows, columns), out, as_json).leave()


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
    base = setting(rewards, start, 8, eta, steps, seeds, std, kl, epochs, clip, threshold, seed, threads)
    sizes = list(dict.fromkeys(whole("--rollouts", value) for value in numbers("--rollouts", rollouts)))
    show(figure5_plan(base, objective, sizes), out, as_json).leave()


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
    base = setting(rewards, start, rollouts, eta, steps, seeds, std, kl, epochs, clip, threshold, seed, threads)
    show(objectives_plan(base, objective or ()), out, as_json).leave()


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

    rates = tuple(dict.fromkeys(check_rate("--eta", rate) for rate in numbers("--eta", eta)))
    base = setting(rewards, start, rollouts, rates[0], steps, seeds, std, kl, epochs, clip, threshold, seed, threads)
    names = objective or ["grpo", "grpo-p", "psr", "grpo-n", "nsr"]
    show(binary_plan(base, names, rates), out, as_json).leave()


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
    base = setting(rewards, start, rollouts, eta, steps, seeds, std, kl, epochs, clip, threshold, seed, threads)
    show(phase_plan(base, objective, knob_range("--x", x), knob_range("--y", y)), out, as_json).leave()
