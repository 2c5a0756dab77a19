"""The knobs of the dynamics on the command line: said once, and taken by every command."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from rlvrscope.cli.shared.options import JsonOption
from rlvrscope.errors import InputError

if TYPE_CHECKING:
    from rlvrscope.report.dynamics.setting import Setting

OUT = Path("out/dynamics")
OBJECTIVE = "A name of the catalogue, w-relative, or your file.py:NAME."


@dataclass(frozen=True)
class Knobs:
    """One field an option, with its default."""

    objective: Annotated[str, typer.Option("--objective", help=OBJECTIVE)] = "grpo"
    rewards: Annotated[str, typer.Option("--rewards", help="The reward of each action.")] = ".8,1,0"
    start: Annotated[str, typer.Option("--start", help="The probability of each action at the start.")] = ".49,.02,.49"
    rollouts: Annotated[int, typer.Option("--rollouts", "-n", help="Rollouts in a group.")] = 8
    eta: Annotated[float, typer.Option("--eta", help="The step size.")] = 0.1
    steps: Annotated[int, typer.Option("--steps", help="Updates.")] = 3000
    seeds: Annotated[int, typer.Option("--seeds", help="Paths.")] = 200
    std: Annotated[str, typer.Option("--std", help="Of a group: population (ddof 0) or sample (ddof 1).")] = (
        "population"
    )
    eps: Annotated[float, typer.Option("--eps", help="Added to the std of a group.")] = 1e-6
    kl: Annotated[float | None, typer.Option("--kl", help="The weight of the KL term to the start.")] = None
    epochs: Annotated[int, typer.Option("--epochs", help="Updates on each group; ratios are clipped.")] = 1
    clip: Annotated[str | None, typer.Option("--clip", help="low,high in place of the objective's; or none.")] = None
    threshold: Annotated[float, typer.Option("--threshold", help="The best actions are there above this mass.")] = 0.5
    seed: Annotated[int, typer.Option("--seed", help="Of all draws.")] = 0
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Results do not depend on it.")] = None
    out: Annotated[Path, typer.Option("--out", help="The folder for PNG, SVG, HTML and CSV.")] = OUT
    as_json: JsonOption = False

    def setting(self, **changes: Any) -> Setting:
        """The simulator's knobs. changes: in place of what the options say. Raises InputError for bad values."""
        from rlvrscope.dynamics.inputs import check_bounds, check_count, check_rate
        from rlvrscope.objectives.objective import MAX_PARAMETER
        from rlvrscope.report.dynamics.setting import Setting

        kinds = {"population": 0, "sample": 1}
        if self.std not in kinds:
            raise InputError(f"--std is population or sample; got {self.std!r}")
        return Setting(
            rewards=numbers("--rewards", self.rewards),
            probs=numbers("--start", self.start),
            group_size=self.rollouts,
            learning_rate=check_rate("--eta", self.eta),
            steps=check_count("--steps", self.steps),
            seeds=check_count("--seeds", self.seeds),
            std_ddof=kinds[self.std],
            std_eps=self.eps,
            kl_coef=None if self.kl is None else check_bounds("--kl", self.kl, 0.0, MAX_PARAMETER),
            inner_epochs=self.epochs,
            clip=_clip(self.clip),
            threshold=self.threshold,
            seed=self.seed,
            threads=self.threads,
        ).replace(**changes)


def with_knobs(**defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command (knobs, options of its own) as one that takes all knobs as options.

    defaults: in place of those of `Knobs`. An own option of the name of a knob stands in its place.
    """

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        own = dict(list(inspect.signature(command, eval_str=True).parameters.items())[1:])
        hints = get_type_hints(Knobs, include_extras=True)
        shared = {
            knob.name: inspect.Parameter(
                knob.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(knob.name, knob.default),
                annotation=hints[knob.name],
            )
            for knob in fields(Knobs)
            if knob.name not in own
        }

        @functools.wraps(command)
        def run(**given: Any) -> None:
            command(Knobs(**{name: given.pop(name) for name in shared}), **given)

        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own.values()]
        run.__signature__ = inspect.Signature([*parameters, *shared.values()])  # type: ignore[attr-defined]
        run.__annotations__ = {name: part.annotation for name, part in run.__signature__.parameters.items()}  # type: ignore[attr-defined]
        return run

    return wrap


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
    """KNOB=FROM:TO:COUNT, in steps of one ratio where both ends are above 0; n, epochs and std are whole."""
    import numpy as np

    from rlvrscope.config import did_you_mean
    from rlvrscope.report.dynamics.studies import EVEN, KNOBS, WHOLE

    knob, _, rest = text.partition("=")
    parts = rest.split(":")
    try:
        first, last, count = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError):
        raise InputError(f"{option} takes KNOB=FROM:TO:COUNT, such as rare=.01:.3:8; got {text!r}") from None
    if knob not in KNOBS:
        raise InputError(f"{option}: no knob is called {knob!r}. {did_you_mean(knob, list(KNOBS))}")
    if not (0 <= first < last < math.inf) or not 2 <= count <= MAX_VALUES:
        raise InputError(f"{option} needs 0 <= FROM < TO and a COUNT between 2 and {MAX_VALUES}; got {text!r}")
    even = np.linspace(first, last, count) if first == 0 or knob in EVEN else np.geomspace(first, last, count)
    return knob, list(dict.fromkeys(float(round(value) if knob in WHOLE else f"{value:.4g}") for value in even))


MAX_VALUES = 100
"""Of a knob on a map."""


def _clip(text: str | None) -> tuple[float, float] | None:
    from rlvrscope.report.dynamics.setting import NO_CLIP

    if text is None:
        return None
    if text == "none":
        return NO_CLIP
    bounds = numbers("--clip", text)
    if len(bounds) != 2:
        raise InputError(f"--clip takes low,high, or none; got {text!r}")
    return bounds[0], bounds[1]
