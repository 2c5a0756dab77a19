"""`rlvrscope dynamics`: how mass moves in theory. One command a figure."""

from __future__ import annotations

from typing import Annotated

import typer

from rlvrscope.cli.shared.guard import guarded
from rlvrscope.cli.shared.knobs import OBJECTIVE, Knobs, knob_range, numbers, whole, with_knobs
from rlvrscope.cli.shared.study import show
from rlvrscope.extras import needs_extra

app = typer.Typer(help="How probability mass moves in theory: the simulator and its figures.", no_args_is_help=True)

RANGE = "KNOB=FROM:TO:COUNT; rare, dominant, n, eta, kl, epochs, clip, eps, std, threshold."


@app.command("simulate")
@guarded
@with_knobs()
def simulate_command(
    knobs: Knobs,
    record_every: Annotated[
        int | None, typer.Option("--record-every", help="Steps between recorded ones; by default 240 or so in all.")
    ] = None,
) -> None:
    """Run one setting, any knob: masses over steps, a summary, and every path as Parquet."""
    with needs_extra("report", "the figures"):
        from rlvrscope.report.dynamics.studies import simulate_plan
        from rlvrscope.report.dynamics.write import write_parquet
    with needs_extra("parquet", "writing Parquet"):
        import pyarrow  # noqa: F401  before the work, not after it
    plan = simulate_plan(knobs.setting(record_every=record_every), knobs.objective)
    show(plan, knobs.out, knobs.as_json, write_parquet).leave()


@app.command()
@guarded
@with_knobs(steps=1500, seeds=400)
def figure1(
    knobs: Knobs,
    rewards: Annotated[list[str] | None, typer.Option("--rewards", help="Rewards of a row (repeatable).")] = None,
    start: Annotated[list[str] | None, typer.Option("--start", help="The start of a column (repeatable).")] = None,
) -> None:
    """Masses over steps, rewards x starts: in the manner of the paper's Figure 1."""
    with needs_extra("report", "the figures"):
        from rlvrscope.report.dynamics.studies import FIGURE1_PROBS, FIGURE1_REWARDS, figure1_plan
    rows = list(dict.fromkeys(numbers("--rewards", text) for text in rewards or [])) or FIGURE1_REWARDS
    columns = list(dict.fromkeys(numbers("--start", text) for text in start or [])) or FIGURE1_PROBS
    show(figure1_plan(knobs.setting(), knobs.objective, rows, columns), knobs.out, knobs.as_json).leave()


@app.command()
@guarded
@with_knobs(steps=2500, seeds=1000)
def figure5(
    knobs: Knobs,
    rollouts: Annotated[str, typer.Option("--rollouts", "-n", help="Rollouts of each panel.")] = "2,3,5,10",
) -> None:
    """Masses over steps for several numbers of rollouts: in the manner of the paper's Figure 5."""
    with needs_extra("report", "the figures"):
        from rlvrscope.report.dynamics.studies import figure5_plan
    sizes = list(dict.fromkeys(whole("--rollouts", value) for value in numbers("--rollouts", rollouts)))
    show(figure5_plan(knobs.setting(), knobs.objective, sizes), knobs.out, knobs.as_json).leave()


@app.command()
@guarded
@with_knobs(steps=40_000, seeds=1000)
def objectives(
    knobs: Knobs,
    objective: Annotated[
        list[str] | None, typer.Option("--objective", help=f"{OBJECTIVE} Repeatable; by default all without a shape.")
    ] = None,
) -> None:
    """All objectives on one problem: time to the optimum, share never there, lowest mass, entropy."""
    with needs_extra("report", "the figures"):
        from rlvrscope.report.dynamics.studies import objectives_plan
    show(objectives_plan(knobs.setting(), objective or ()), knobs.out, knobs.as_json).leave()


@app.command()
@guarded
@with_knobs(rewards="1,1,0", start=".25,.25,.5", steps=10_000, seeds=1000)
def binary(
    knobs: Knobs,
    objective: Annotated[list[str] | None, typer.Option("--objective", help=f"{OBJECTIVE} Repeatable.")] = None,
    eta: Annotated[str, typer.Option("--eta", help="Step sizes; the steps of the others keep eta x steps.")] = ".1,1",
) -> None:
    """Binary rewards: how far sampling spreads the second right answer's share of the right mass."""
    with needs_extra("report", "the figures"):
        from rlvrscope.report.dynamics.studies import binary_plan
    from rlvrscope.dynamics.inputs import check_rate

    rates = tuple(dict.fromkeys(check_rate("--eta", rate) for rate in numbers("--eta", eta)))
    names = objective or ["grpo", "grpo-p", "psr", "grpo-n", "nsr"]
    show(binary_plan(knobs.setting(learning_rate=rates[0]), names, rates), knobs.out, knobs.as_json).leave()


@app.command()
@guarded
@with_knobs(steps=8000)
def sequences(
    knobs: Knobs,
    eta: Annotated[str, typer.Option("--eta", help="Step sizes; all keep eta x updates.")] = ".2,.8,3.2",
    epochs: Annotated[str, typer.Option("--epochs", help="Updates on each group.")] = "1,4",
) -> None:
    """Answers of two tokens: where a token moves as an action of a bandit does, and where no longer."""
    with needs_extra("report", "the figures"):
        from rlvrscope.report.dynamics.sequences import sequences_plan
    from rlvrscope.dynamics.inputs import check_rate

    rates = list(dict.fromkeys(check_rate("--eta", rate) for rate in numbers("--eta", eta)))
    counts = list(dict.fromkeys(whole("--epochs", value) for value in numbers("--epochs", epochs)))
    show(sequences_plan(knobs.setting(), knobs.objective, rates, counts), knobs.out, knobs.as_json).leave()


@app.command()
@guarded
@with_knobs(steps=10_000, seeds=100)
def phase(
    knobs: Knobs,
    x: Annotated[str, typer.Option("--x", help=RANGE)] = "rare=.01:.3:8",
    y: Annotated[str, typer.Option("--y", help="Likewise. Steps of one ratio where FROM is above 0.")] = (
        "dominant=.4:.9:6"
    ),
) -> None:
    """A map of the time to the optimum over two knobs."""
    with needs_extra("report", "the figures"):
        from rlvrscope.report.dynamics.studies import phase_plan
    across, up = knob_range("--x", x), knob_range("--y", y)
    show(phase_plan(knobs.setting(), knobs.objective, across, up), knobs.out, knobs.as_json).leave()
