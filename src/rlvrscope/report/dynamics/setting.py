"""What a run of the simulator is given, as a value with words for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlvrscope.dynamics import Trajectory, simulate
from rlvrscope.dynamics.trajectory import recorded_steps
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective, objective_from
from rlvrscope.plugins import Plugin
from rlvrscope.seeding import generator

BEST = "best"
"""The name of the set that is watched: the actions of the highest reward."""
POINTS = 240
"""Steps recorded for a curve."""
NO_CLIP = (1.0, 1e6)
"""Bounds that no ratio meets."""


@dataclass(frozen=True)
class Setting:
    """Every knob of the simulator. rewards, probs: one entry an action. seed: the root of all draws.

    kl_coef, clip: None leaves the objective's. record_every: None records as `record` says.
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
    def record(self) -> NDArray[np.int64]:
        """Steps to record: every so many; or dense at the start, even later on, and the last."""
        if self.record_every is not None:
            return recorded_steps(self.steps, self.record_every)
        early = np.geomspace(1, self.steps, POINTS // 2)
        return np.unique(np.concatenate([early, np.linspace(0, self.steps, POINTS // 2)]).round().astype(np.int64))

    def words(self, *left_out: str) -> list[str]:
        """The setting, part by part, without those that a figure varies."""
        parts = {
            "rewards": f"r = ({listed(self.rewards)})",
            "probs": f"start ({listed(self.probs)})",
            "group_size": f"n = {self.group_size}",
            "learning_rate": f"η = {self.learning_rate:g}",
            "steps": f"{self.steps:,} steps",
            "std_ddof": f"{'population' if self.std_ddof == 0 else 'sample'} std",
            "std_eps": f"ε = {self.std_eps:g}",
        }
        parts |= {"kl_coef": f"KL {self.kl_coef:g}"} if self.kl_coef is not None else {}
        parts |= {"inner_epochs": f"{self.inner_epochs} inner epochs"} if self.inner_epochs > 1 else {}
        parts |= {"clip": "no clip" if self.clip == NO_CLIP else f"clip {listed(self.clip)}"} if self.clip else {}
        parts |= {"threshold": f"there: above {self.threshold:g}", "seeds": f"{self.seeds:,} seeds"}
        return [text for name, text in parts.items() if name not in left_out]


@dataclass(frozen=True)
class Case:
    """One simulation of a figure. key: where it stands in it. curve: whether masses on the way are kept, or only the
    ends. probs: whether all actions are, or only the best ones."""

    key: tuple[Any, ...]
    objective: Objective
    setting: Setting
    curve: bool = True
    probs: bool = True

    @property
    def work(self) -> int:
        """Seed-steps."""
        return self.setting.seeds * self.setting.steps

    def check(self) -> None:
        """One step of one seed: raises what the whole would, before any of it has run."""
        dataclasses.replace(self, setting=self.setting.replace(steps=1, seeds=1)).run(lambda done: None)

    def run(self, on_progress: Callable[[int], None]) -> Trajectory:
        setting = self.setting
        wide = self.curve and len(setting.rewards) > 64
        return simulate(
            setting.rewards,
            self.objective,
            setting.group_size,
            rng=generator(setting.seed, "dynamics"),  # the same draws in every case: cases are compared on them
            probs_V=setting.probs,
            learning_rate=setting.learning_rate,
            steps=setting.steps,
            seeds=setting.seeds,
            record_every=setting.record.tolist() if self.curve else setting.steps,
            kl_coef=setting.kl_coef,
            inner_epochs=setting.inner_epochs,
            clip=setting.clip,
            watch={BEST: setting.best},
            threshold=setting.threshold,
            keep_probs=self.probs and not wide,
            threads=setting.threads,
            on_progress=on_progress,
        )


def objective_for(name: str, setting: Setting) -> Objective:
    """An objective by name with the setting's std.

    `w-relative`: 0.1 of relative positives, all relative negatives. `file.py:NAME`: GRPO with that function as its
    shape, called NAME.
    """
    if name == "w-relative":
        chosen = objective_from("grpo").replace(name=name, source="0.1 GRPO-P + GRPO-N", positive_weight=0.1)
    elif plugin := Plugin.parse(name):
        chosen = objective_from({"base": "grpo", "name": plugin.name, "shape": name})
    else:
        chosen = objective_from(name)
    if setting.std_ddof not in (0, 1):
        raise InputError(f"the std is 0 (population) or 1 (sample); got {setting.std_ddof}")
    return chosen.replace(std_ddof=setting.std_ddof, std_eps=setting.std_eps)


def listed(values: Sequence[float]) -> str:
    """.8, 1, 0 - at most six of them."""
    shown = [f"{value:.4g}" for value in values[:6]]
    return ", ".join(shown + (["…"] if len(values) > 6 else []))
