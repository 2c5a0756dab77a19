"""Options that the commands of `rlvrscope dynamics` share, and their values as a setting of the simulator."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rlvrscope.errors import InputError

if TYPE_CHECKING:
    from rlvrscope.dynamics.studies.settings import Setting

OUT = Path("out/dynamics")
REWARDS, START = ".8,1,0", ".49,.02,.49"
OBJECTIVE_HELP = "A name of the catalogue, w-relative, or your file.py:NAME."
MAP_HELP = "KNOB=FROM:TO:COUNT; rare, dominant, n, eta, kl, epochs, clip, eps, std, threshold."
MAX_MAP_VALUES = 100
"""Values of a knob on a map."""

ObjectiveOption = Annotated[str, typer.Option("--objective", help=OBJECTIVE_HELP)]
RewardsOption = Annotated[str, typer.Option("--rewards", help="The reward of each action.")]
StartOption = Annotated[str, typer.Option("--start", help="The probability of each action at the start.")]
RolloutsOption = Annotated[int, typer.Option("--rollouts", "-n", help="Rollouts in a group.")]
EtaOption = Annotated[float, typer.Option("--eta", help="The step size.")]
StepsOption = Annotated[int, typer.Option("--steps", help="Updates.")]
SeedsOption = Annotated[int, typer.Option("--seeds", help="Paths.")]
StdOption = Annotated[str, typer.Option("--std", help="Std of a group: population (ddof 0) or sample (ddof 1).")]
EpsOption = Annotated[float, typer.Option("--eps", help="Added to the std of a group.")]
KlOption = Annotated[float | None, typer.Option("--kl", help="The weight of the KL term to the start.")]
EpochsOption = Annotated[int, typer.Option("--epochs", help="Updates on each group; ratios are clipped.")]
ClipOption = Annotated[str | None, typer.Option("--clip", help="low,high in place of the objective's; or none.")]
ThresholdOption = Annotated[float, typer.Option("--threshold", help="The mass that the best actions have to exceed.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of all draws.")]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="Results do not depend on it.")]
FiguresOption = Annotated[Path, typer.Option("--out", help="The folder for PNG, SVG, HTML and CSV.")]


def setting_of(
    rewards: str,
    start: str,
    rollouts: int,
    eta: float,
    steps: int,
    seeds: int,
    std: str,
    eps: float,
    kl: float | None,
    epochs: int,
    clip: str | None,
    threshold: float,
    seed: int,
    threads: int | None,
) -> Setting:
    """The options as a setting. Raises InputError for bad values, by the option's name."""
    from rlvrscope.dynamics.inputs import check_bounds, check_count, check_rate
    from rlvrscope.dynamics.studies.settings import Setting
    from rlvrscope.objectives.objective import MAX_PARAMETER

    ddof = {"population": 0, "sample": 1}
    if std not in ddof:
        raise InputError(f"--std is population or sample; got {std!r}")
    return Setting(
        rewards=parse_numbers("--rewards", rewards),
        probs=parse_numbers("--start", start),
        group_size=rollouts,
        learning_rate=check_rate("--eta", eta),
        steps=check_count("--steps", steps),
        seeds=check_count("--seeds", seeds),
        std_ddof=ddof[std],
        std_eps=eps,
        kl_coef=None if kl is None else check_bounds("--kl", kl, 0.0, MAX_PARAMETER),
        inner_epochs=epochs,
        clip=_parse_clip(clip),
        threshold=threshold,
        seed=seed,
        threads=threads,
    )


def parse_numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} takes numbers with commas between, such as .8,1,0; got {text!r}") from None


def parse_counts(option: str, text: str) -> list[int]:
    """Different whole numbers, in the order given."""
    values = parse_numbers(option, text)
    for value in values:
        if not math.isfinite(value) or value != int(value):
            raise InputError(f"{option} takes whole numbers; got {value:g}")
    return list(dict.fromkeys(int(value) for value in values))


def parse_rates(option: str, text: str) -> list[float]:
    """Different numbers above 0, in the order given."""
    from rlvrscope.dynamics.inputs import check_rate

    return list(dict.fromkeys(check_rate(option, rate) for rate in parse_numbers(option, text)))


def parse_range(option: str, text: str) -> tuple[str, list[float]]:
    """A knob with its values, from KNOB=FROM:TO:COUNT.

    Values have equal ratios where FROM is above 0, unless the knob's are even; those of n, epochs and std are whole.
    """
    import numpy as np

    from rlvrscope.dynamics.studies.settings import KNOBS
    from rlvrscope.errors import did_you_mean

    name, _, ends = text.partition("=")
    try:
        first, last, count = ends.split(":")[:3]
        first, last, count = float(first), float(last), int(count)
    except ValueError:
        raise InputError(f"{option} takes KNOB=FROM:TO:COUNT, such as rare=.01:.3:8; got {text!r}") from None
    if name not in KNOBS:
        raise InputError(f"{option}: no knob is called {name!r}. {did_you_mean(name, list(KNOBS))}")
    if not (0 <= first < last < math.inf) or not 2 <= count <= MAX_MAP_VALUES:
        raise InputError(f"{option} needs 0 <= FROM < TO and a COUNT between 2 and {MAX_MAP_VALUES}; got {text!r}")
    spacing = np.linspace if first == 0 or KNOBS[name].even else np.geomspace
    values = spacing(first, last, count)
    return name, list(dict.fromkeys(float(round(x) if KNOBS[name].whole else f"{x:.4g}") for x in values))


def _parse_clip(text: str | None) -> tuple[float, float] | None:
    from rlvrscope.dynamics.studies.settings import NO_CLIP

    if text is None or text == "none":
        return None if text is None else NO_CLIP
    bounds = parse_numbers("--clip", text)
    if len(bounds) != 2:
        raise InputError(f"--clip takes low,high, or none; got {text!r}")
    return bounds[0], bounds[1]
