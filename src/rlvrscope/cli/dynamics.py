"""`rlvrscope dynamics`: how probability mass moves in theory, one command per figure."""

from __future__ import annotations

from typing import Annotated

import typer

from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.knobs import (
    MAP_HELP,
    OBJECTIVE_HELP,
    OUT,
    REWARDS,
    START,
    ClipOption,
    EpochsOption,
    EpsOption,
    EtaOption,
    FiguresOption,
    KlOption,
    ObjectiveOption,
    RewardsOption,
    RolloutsOption,
    SeedOption,
    SeedsOption,
    StartOption,
    StdOption,
    StepsOption,
    ThreadsOption,
    ThresholdOption,
    parse_counts,
    parse_numbers,
    parse_range,
    parse_rates,
    setting_of,
)
from rlvrscope.cli.shared.options import JsonOption
from rlvrscope.cli.shared.study import run_study
from rlvrscope.extras import needs_extra

app = typer.Typer(help="How probability mass moves in theory: the simulator and its figures.", no_args_is_help=True)


@app.command("simulate")
@guarded
def simulate_command(
    record_every: Annotated[
        int | None, typer.Option("--record-every", help="Steps between recorded ones; by default 240 or so in all.")
    ] = None,
    objective: ObjectiveOption = "grpo",
    rewards: RewardsOption = REWARDS,
    start: StartOption = START,
    rollouts: RolloutsOption = 8,
    eta: EtaOption = 0.1,
    steps: StepsOption = 3000,
    seeds: SeedsOption = 200,
    std: StdOption = "population",
    eps: EpsOption = 1e-6,
    kl: KlOption = None,
    epochs: EpochsOption = 1,
    clip: ClipOption = None,
    threshold: ThresholdOption = 0.5,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    out: FiguresOption = OUT,
    as_json: JsonOption = False,
) -> None:
    """Run one setting, any knob: masses over steps, a summary, and every path as Parquet."""
    with needs_extra("report", "the figures"):
        from rlvrscope.report.dynamics.study_files import write_parquet
    with needs_extra("parquet", "writing Parquet"):
        import pyarrow  # noqa: F401  before the work, not after it
    from rlvrscope.dynamics.studies.bandit_studies import simulate_plan

    setting = setting_of(
        rewards, start, rollouts, eta, steps, seeds, std, eps, kl, epochs, clip, threshold, seed, threads
    )
    plan = simulate_plan(setting.replace(record_every=record_every), objective)
    run_study(plan, out, as_json, write_parquet)


@app.command()
@guarded
def figure1(
    rewards: Annotated[list[str] | None, typer.Option("--rewards", help="Rewards of a row (repeatable).")] = None,
    start: Annotated[list[str] | None, typer.Option("--start", help="The start of a column (repeatable).")] = None,
    objective: ObjectiveOption = "grpo",
    rollouts: RolloutsOption = 8,
    eta: EtaOption = 0.1,
    steps: StepsOption = 1500,
    seeds: SeedsOption = 400,
    std: StdOption = "population",
    eps: EpsOption = 1e-6,
    kl: KlOption = None,
    epochs: EpochsOption = 1,
    clip: ClipOption = None,
    threshold: ThresholdOption = 0.5,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    out: FiguresOption = OUT,
    as_json: JsonOption = False,
) -> None:
    """Masses over steps, rewards x starts: in the manner of the paper's Figure 1."""
    from rlvrscope.dynamics.studies.bandit_studies import FIGURE1_PROBS, FIGURE1_REWARDS, figure1_plan

    setting = setting_of(
        REWARDS, START, rollouts, eta, steps, seeds, std, eps, kl, epochs, clip, threshold, seed, threads
    )
    rows = list(dict.fromkeys(parse_numbers("--rewards", text) for text in rewards or [])) or FIGURE1_REWARDS
    columns = list(dict.fromkeys(parse_numbers("--start", text) for text in start or [])) or FIGURE1_PROBS
    run_study(figure1_plan(setting, objective, rows, columns), out, as_json)


@app.command()
@guarded
def figure5(
    rollouts: Annotated[str, typer.Option("--rollouts", "-n", help="Rollouts of each panel.")] = "2,3,5,10",
    objective: ObjectiveOption = "grpo",
    rewards: RewardsOption = REWARDS,
    start: StartOption = START,
    eta: EtaOption = 0.1,
    steps: StepsOption = 2500,
    seeds: SeedsOption = 1000,
    std: StdOption = "population",
    eps: EpsOption = 1e-6,
    kl: KlOption = None,
    epochs: EpochsOption = 1,
    clip: ClipOption = None,
    threshold: ThresholdOption = 0.5,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    out: FiguresOption = OUT,
    as_json: JsonOption = False,
) -> None:
    """Masses over steps for several numbers of rollouts: in the manner of the paper's Figure 5."""
    from rlvrscope.dynamics.studies.bandit_studies import figure5_plan

    sizes = parse_counts("--rollouts", rollouts)
    setting = setting_of(
        rewards, start, sizes[0], eta, steps, seeds, std, eps, kl, epochs, clip, threshold, seed, threads
    )
    run_study(figure5_plan(setting, objective, sizes), out, as_json)


@app.command()
@guarded
def objectives(
    objective: Annotated[
        list[str] | None,
        typer.Option("--objective", help=f"{OBJECTIVE_HELP} Repeatable; by default all without a shape."),
    ] = None,
    rewards: RewardsOption = REWARDS,
    start: StartOption = START,
    rollouts: RolloutsOption = 8,
    eta: EtaOption = 0.1,
    steps: StepsOption = 40_000,
    seeds: SeedsOption = 1000,
    std: StdOption = "population",
    eps: EpsOption = 1e-6,
    kl: KlOption = None,
    epochs: EpochsOption = 1,
    clip: ClipOption = None,
    threshold: ThresholdOption = 0.5,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    out: FiguresOption = OUT,
    as_json: JsonOption = False,
) -> None:
    """All objectives on one problem: time to the optimum, share that never reaches it, lowest mass, entropy."""
    from rlvrscope.dynamics.studies.bandit_studies import objectives_plan

    setting = setting_of(
        rewards, start, rollouts, eta, steps, seeds, std, eps, kl, epochs, clip, threshold, seed, threads
    )
    run_study(objectives_plan(setting, objective or ()), out, as_json)


@app.command()
@guarded
def binary(
    objective: Annotated[list[str] | None, typer.Option("--objective", help=f"{OBJECTIVE_HELP} Repeatable.")] = None,
    eta: Annotated[str, typer.Option("--eta", help="Step sizes; the steps of the others keep eta x steps.")] = ".1,1",
    rewards: RewardsOption = "1,1,0",
    start: StartOption = ".25,.25,.5",
    rollouts: RolloutsOption = 8,
    steps: StepsOption = 10_000,
    seeds: SeedsOption = 1000,
    std: StdOption = "population",
    eps: EpsOption = 1e-6,
    kl: KlOption = None,
    epochs: EpochsOption = 1,
    clip: ClipOption = None,
    threshold: ThresholdOption = 0.5,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    out: FiguresOption = OUT,
    as_json: JsonOption = False,
) -> None:
    """Binary rewards: how far sampling spreads the second right answer's share of the right mass."""
    from rlvrscope.dynamics.studies.bandit_studies import binary_plan

    rates = parse_rates("--eta", eta)
    setting = setting_of(
        rewards, start, rollouts, rates[0], steps, seeds, std, eps, kl, epochs, clip, threshold, seed, threads
    )
    names = objective or ["grpo", "grpo-p", "psr", "grpo-n", "nsr"]
    run_study(binary_plan(setting, names, rates), out, as_json)


@app.command()
@guarded
def sequences(
    eta: Annotated[str, typer.Option("--eta", help="Step sizes; all keep eta x updates.")] = ".2,.8,3.2",
    epochs: Annotated[str, typer.Option("--epochs", help="Updates on each group.")] = "1,4",
    objective: ObjectiveOption = "grpo",
    rewards: RewardsOption = REWARDS,
    start: StartOption = START,
    rollouts: RolloutsOption = 8,
    steps: StepsOption = 8000,
    seeds: SeedsOption = 200,
    std: StdOption = "population",
    eps: EpsOption = 1e-6,
    kl: KlOption = None,
    clip: ClipOption = None,
    threshold: ThresholdOption = 0.5,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    out: FiguresOption = OUT,
    as_json: JsonOption = False,
) -> None:
    """Completions of two tokens: where a token moves like an action of a bandit, and where it no longer does."""
    from rlvrscope.dynamics.studies.sequence_study import sequences_plan

    rates, counts = parse_rates("--eta", eta), parse_counts("--epochs", epochs)
    setting = setting_of(
        rewards, start, rollouts, rates[0], steps, seeds, std, eps, kl, counts[0], clip, threshold, seed, threads
    )
    run_study(sequences_plan(setting, objective, rates, counts), out, as_json)


@app.command()
@guarded
def phase(
    x: Annotated[str, typer.Option("--x", help=MAP_HELP)] = "rare=.01:.3:8",
    y: Annotated[str, typer.Option("--y", help="Likewise. Steps of one ratio where FROM is above 0.")] = (
        "dominant=.4:.9:6"
    ),
    objective: ObjectiveOption = "grpo",
    rewards: RewardsOption = REWARDS,
    start: StartOption = START,
    rollouts: RolloutsOption = 8,
    eta: EtaOption = 0.1,
    steps: StepsOption = 10_000,
    seeds: SeedsOption = 100,
    std: StdOption = "population",
    eps: EpsOption = 1e-6,
    kl: KlOption = None,
    epochs: EpochsOption = 1,
    clip: ClipOption = None,
    threshold: ThresholdOption = 0.5,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    out: FiguresOption = OUT,
    as_json: JsonOption = False,
) -> None:
    """A map of the time to the optimum over two knobs."""
    from rlvrscope.dynamics.studies.bandit_studies import phase_plan

    setting = setting_of(
        rewards, start, rollouts, eta, steps, seeds, std, eps, kl, epochs, clip, threshold, seed, threads
    )
    run_study(phase_plan(setting, objective, parse_range("--x", x), parse_range("--y", y)), out, as_json)
