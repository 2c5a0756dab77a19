"""Settings of a simulation as values: every knob, its description, and a map's way to turn it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rlvrscope.arrays import Ints
from rlvrscope.dynamics.trajectory import recorded_steps
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, objective_from
from rlvrscope.plugins import Plugin

CURVE_POINTS = 240
"""Recorded steps of a curve."""
MAX_LISTED = 6
"""Entries of a list in a description."""
NO_CLIP = (1.0, 1e6)
"""Clip bounds that no ratio meets."""


@dataclass(frozen=True)
class Setting:
    """Every knob of the simulator. rewards, probs: one entry per action. seed: root of all draws.

    kl_coef, clip: None keeps the objective's own. record_every: None records as `recorded_steps` says.
    """

    rewards: tuple[float, ...] = (0.8, 1.0, 0.0)
    probs: tuple[float, ...] = (0.49, 0.02, 0.49)
    group_size: int = 8
    learning_rate: float = 0.1
    steps: int = 3000
    seeds: int = 200
    std_ddof: int = 0
    std_eps: float = 1e-6
    kl_coef: float | None = None
    inner_epochs: int = 1
    clip: tuple[float, float] | None = None
    threshold: float = 0.5
    record_every: int | None = None
    seed: int = 0
    threads: int | None = None

    def replace(self, **changes: Any) -> Setting:
        return dataclasses.replace(self, **changes)

    @property
    def best(self) -> list[int]:
        """The actions of the highest reward."""
        return [action for action, reward in enumerate(self.rewards) if reward == max(self.rewards)]

    @property
    def recorded_steps(self) -> Ints:
        """Steps to record: at the given interval; or by default dense at the start, even later, and the last."""
        if self.record_every is not None:
            return recorded_steps(self.steps, self.record_every)
        early = np.geomspace(1, self.steps, CURVE_POINTS // 2)
        even = np.linspace(0, self.steps, CURVE_POINTS // 2)
        return np.unique(np.concatenate([early, even]).round().astype(np.int64))

    def describe(self, *omit: str) -> list[str]:
        """The setting in short phrases, without the fields that a figure varies."""
        phrases = {
            "rewards": f"r = ({join_numbers(self.rewards)})",
            "probs": f"start ({join_numbers(self.probs)})",
            "group_size": f"n = {self.group_size}",
            "learning_rate": f"η = {self.learning_rate:g}",
            "steps": f"{self.steps:,} steps",
            "std_ddof": f"{'population' if self.std_ddof == 0 else 'sample'} std",
            "std_eps": f"ε = {self.std_eps:g}",
        }
        if self.kl_coef is not None:
            phrases["kl_coef"] = f"KL {self.kl_coef:g}"
        if self.inner_epochs > 1:
            phrases["inner_epochs"] = f"{self.inner_epochs} inner epochs"
        if self.clip is not None:
            phrases["clip"] = "no clip" if self.clip == NO_CLIP else f"clip {join_numbers(self.clip)}"
        phrases |= {"threshold": f"threshold {self.threshold:g}", "seeds": f"{self.seeds:,} seeds"}
        return [phrase for field, phrase in phrases.items() if field not in omit]


def named_objective(name: str, setting: Setting) -> Objective:
    """An objective by name, with the setting's std.

    `w-relative`: 0.1 of relative positives, all relative negatives. `file.py:NAME`: GRPO with that function as its
    shape, named NAME. Otherwise an entry of the catalogue; raises InputError for other names.
    """
    if name == "w-relative":
        objective = objective_from("grpo").replace(name=name, source="0.1 GRPO-P + GRPO-N", positive_weight=0.1)
    elif plugin := Plugin.parse(name):
        objective = objective_from({"base": "grpo", "name": plugin.name, "shape": name}).load()
    else:
        objective = objective_from(name)
    if setting.std_ddof not in (0, 1):
        raise InputError(f"the std is 0 (population) or 1 (sample); got {setting.std_ddof}")
    return objective.replace(std_ddof=setting.std_ddof, std_eps=setting.std_eps)


class Knob(NamedTuple):
    """A number that a map varies. title: of its axis. field: of `Setting`, or None for a part of a field."""

    title: str
    field: str | None
    whole: bool = False
    even: bool = False
    """Values at equal distances, not equal ratios."""


KNOBS = {
    "rare": Knob("initial mass of the best action", None),
    "dominant": Knob("reward of the second best action", None, even=True),
    "n": Knob("rollouts n", "group_size", whole=True),
    "eta": Knob("step size η", "learning_rate"),
    "kl": Knob("KL coefficient", "kl_coef"),
    "epochs": Knob("inner epochs", "inner_epochs", whole=True),
    "clip": Knob("clip range of the ratio, low and high", "clip"),
    "eps": Knob("ε added to the std", "std_eps"),
    "std": Knob("std: 0 population, 1 sample", "std_ddof", whole=True),
    "threshold": Knob("threshold mass", "threshold", even=True),
}


def turn_knob(setting: Setting, name: str, value: float) -> Setting:
    """The setting with one knob of KNOBS at this value. Raises InputError for a value out of range."""
    if name == "rare":
        return setting.replace(probs=_with_best_mass(setting, value))
    if name == "dominant":
        return setting.replace(rewards=_with_second_reward(setting, value))
    if name == "clip":
        return setting.replace(clip=(value, value))
    knob = KNOBS[name]
    assert knob.field is not None
    return setting.replace(**{knob.field: round(value) if knob.whole else value})


def _with_best_mass(setting: Setting, mass: float) -> tuple[float, ...]:
    """The start with this mass on the best actions; the others keep their proportions."""
    probs, best = np.array(setting.probs), setting.best
    if not 0.0 < mass < 1.0 or not 0.0 < probs[best].sum() < 1.0:
        raise InputError(f"knob rare is a share of the mass, with some left for the others; got {mass:g}")
    probs[best] *= mass / probs[best].sum()
    others = [action for action in range(len(probs)) if action not in best]
    probs[others] *= (1.0 - mass) / probs[others].sum()
    return tuple(probs.tolist())


def _with_second_reward(setting: Setting, value: float) -> tuple[float, ...]:
    """The rewards with the second highest one replaced."""
    highest = max(setting.rewards)
    below = [reward for reward in setting.rewards if reward < highest]
    if not below or not value < highest:
        raise InputError(f"knob dominant is the second reward, below the best one {highest:g}; got {value:g}")
    return tuple(value if reward == max(below) else reward for reward in setting.rewards)


def join_numbers(values: Sequence[float]) -> str:
    """Numbers as "0.8, 1, 0", at most six of them."""
    words = [f"{value:.4g}" for value in values[:MAX_LISTED]]
    return ", ".join(words + (["…"] if len(values) > MAX_LISTED else []))
