"""The knobs of the dynamics on the command line: their options, and what their texts mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from massflow.errors import InputError

if TYPE_CHECKING:
    from massflow.report.dynamics.setting import Setting

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


def setting(
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
    bounds = None if clip is None else numbers("--clip", clip)
    if bounds is not None and len(bounds) != 2:
        raise InputError(f"--clip takes low,high; got {clip!r}")
    return Setting(
        rewards=numbers("--rewards", rewards),
        probs=numbers("--start", start),
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


def numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} takes numbers with commas between, such as .8,1,0; got {text!r}") from None


def whole(option: str, value: float) -> int:
    if not math.isfinite(value) or value != int(value):
        raise InputError(f"{option} takes whole numbers; got {value:g}")
    return int(value)


def knob_range(option: str, text: str) -> tuple[str, Sequence[float]]:
    """KNOB=FROM:TO:COUNT, in steps of one ratio where both ends are above 0; n and epochs are whole."""
    import numpy as np

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
