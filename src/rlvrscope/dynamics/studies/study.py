"""A study as data: the cases to simulate, the numbers read off them, and the figure they make."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rlvrscope.arrays import Floats, Ints
from rlvrscope.dynamics.simulator.simulate import backend_of, simulate
from rlvrscope.dynamics.studies.settings import Setting
from rlvrscope.dynamics.trajectory import Trajectory
from rlvrscope.objectives import Objective
from rlvrscope.seeding import generator

BEST = "best"
"""Name of the watched set: the actions of the highest reward."""
QUANTILES = (0.1, 0.5, 0.9)
MAX_ACTIONS = 64
"""Actions whose curves are recorded; beyond, that of the best ones only."""
LINE_WIDTH = 100
"""Characters in a line of a setting's description."""

Progress = Callable[[int], None]
Simulation = Callable[[Objective, Setting, Progress], Trajectory]
Row = Mapping[str, str | int | float | None]
"""A row of a table for people, JSON or CSV; None: undefined."""


def simulate_curves(objective: Objective, setting: Setting, on_progress: Progress) -> Trajectory:
    """Record masses over steps: of every action, or of the best ones only if there are many."""
    keep_probs = len(setting.rewards) <= MAX_ACTIONS
    return simulate_setting(objective, setting, on_progress, setting.recorded_steps.tolist(), keep_probs)


def simulate_setting(
    objective: Objective,
    setting: Setting,
    on_progress: Progress,
    record_every: int | Sequence[int] | None = None,
    keep_probs: bool = False,
) -> Trajectory:
    """Record, by default, the mass of the best actions at the start and the end only."""
    return simulate(
        setting.rewards,
        objective,
        setting.group_size,
        rng=generator(setting.seed, "dynamics"),  # the same draws in every case, so comparisons are paired
        probs_V=setting.probs,
        learning_rate=setting.learning_rate,
        steps=setting.steps,
        seeds=setting.seeds,
        record_every=record_every or setting.steps,
        kl_coef=setting.kl_coef,
        inner_epochs=setting.inner_epochs,
        clip=setting.clip,
        watch={BEST: setting.best},
        threshold=setting.threshold,
        keep_probs=keep_probs,
        threads=setting.threads,
        on_progress=on_progress,
    )


@dataclass(frozen=True)
class Case:
    """One simulation of a study. key: its values of what the study varies."""

    key: tuple[Any, ...]
    objective: Objective
    setting: Setting
    simulation: Simulation = simulate_curves

    @property
    def seed_steps(self) -> int:
        return self.setting.seeds * self.setting.steps

    def check(self) -> None:
        """Run one step of one seed, to raise before the first simulation what the whole case would raise."""
        dataclasses.replace(self, setting=self.setting.replace(steps=1, seeds=1)).run(lambda done: None)

    def run(self, on_progress: Progress) -> Trajectory:
        return self.simulation(self.objective, self.setting, on_progress)


class Result(NamedTuple):
    """A case with its trajectory."""

    case: Case
    path: Trajectory


class MassPoint(NamedTuple):
    """Quantiles over seeds (10, 50, 90 %) of one action's mass after a step."""

    objective: str
    action: str
    step: float
    low: float
    median: float
    high: float


class Passage(NamedTuple):
    """Steps by which 10, 50, 90 % of the seeds had the best actions above the threshold; None if fewer ever did.

    never: share of the seeds. lowest, final: medians over seeds of their lowest and final mass. final_entropy: nats.
    """

    objective: str
    seeds: int
    steps_10: int | None
    steps_50: int | None
    steps_90: int | None
    never: float
    lowest: float
    final: float
    final_entropy: float


class Share(NamedTuple):
    """Final share of the last best action in the mass of all best ones, in one seed."""

    objective: str
    learning_rate: float
    seed: int
    share: float


class Spread(NamedTuple):
    """Mean and spread (std) of `Share` over seeds, and the mean mass of all best actions."""

    objective: str
    learning_rate: float
    steps: int
    seeds: int
    mean_share: float
    spread: float
    right: float


class MassPanel(NamedTuple):
    title: tuple[str, ...]
    points: Sequence[MassPoint]


class SharePanel(NamedTuple):
    title: tuple[str, ...]
    shares: Sequence[Share]


@dataclass(frozen=True)
class MassCurves:
    """Masses over steps, one panel per case."""

    panels: Sequence[MassPanel]
    columns: int
    x_title: str = "step"


@dataclass(frozen=True)
class PassageTimes:
    """Steps until the threshold is reached, one line per objective. steps: end of the axis."""

    passages: Sequence[Passage]
    steps: int


@dataclass(frozen=True)
class ShareHistograms:
    """Histograms over seeds, one panel per case."""

    panels: Sequence[SharePanel]
    columns: int


class Axis(NamedTuple):
    """An axis of a map: a name of KNOBS, and its title."""

    knob: str
    title: str


class MapCell(NamedTuple):
    """The values of a map's two knobs, and the passage there."""

    x: float
    y: float
    passage: Passage


@dataclass(frozen=True)
class PhaseMap:
    """Median passage times over two knobs."""

    cells: Sequence[MapCell]
    x: Axis
    y: Axis


Figure = MassCurves | PassageTimes | ShareHistograms | PhaseMap


@dataclass(frozen=True)
class Study:
    """Results as data. setting: lines above the figure. rows: the numbers behind it. summary: its main table."""

    name: str
    heading: str
    setting: tuple[str, ...]
    caption: str
    figure: Figure
    rows: Sequence[Row]
    summary: Sequence[Row]

    def with_note(self, note: str) -> Study:
        """The study with one more line about its setting."""
        return dataclasses.replace(self, setting=(*self.setting, note))


@dataclass(frozen=True)
class StudyPlan:
    """A study to be made: its cases, and the function that builds it from those that ran."""

    cases: Sequence[Case]
    build: Callable[[Sequence[Result]], Study]


def describe(cases: Sequence[Case], *omit: str) -> tuple[str, ...]:
    """The common setting in lines, without the fields that vary; and the objectives that do not run on the kernel."""
    lines = [""]
    for phrase in cases[0].setting.describe(*omit):
        if len(lines[-1]) + len(phrase) > LINE_WIDTH:
            lines.append("")
        lines[-1] += f"{phrase}, "
    lines = [*(line.rstrip() for line in lines[:-1]), lines[-1].rstrip(", ") + "."]
    slow = dict.fromkeys(case.objective.name for case in cases if backend_of(case.objective) == "numpy")
    return (*lines, f"NumPy instead of the kernel, because of their shape: {', '.join(slow)}.") if slow else (*lines,)


def mass_points(case: Case, path: Trajectory) -> list[MassPoint]:
    """Curves of all actions, or of the best ones if probabilities were not recorded."""
    objective = case.objective.name
    if path.probs_STV is None:
        return quantile_points(objective, "best actions", path.steps_T, path.masses[BEST])
    best = case.setting.best
    names = [f"a{v + 1}{' (best)' if v in best else ''}" for v in range(path.probs_STV.shape[2])]
    return [
        point
        for v, name in enumerate(names)
        for point in quantile_points(objective, name, path.steps_T, path.probs_STV[:, :, v])
    ]


def quantile_points(objective: str, action: str, steps_T: Ints, mass_ST: Floats) -> list[MassPoint]:
    """One curve: a point for each step."""
    quantiles_TQ = np.quantile(mass_ST, QUANTILES, axis=0).T.tolist()
    return [
        MassPoint(objective, action, step, *quantiles)
        for step, quantiles in zip(steps_T.tolist(), quantiles_TQ, strict=True)
    ]


def passage(case: Case, path: Trajectory) -> Passage:
    early, middle, late = (whole_or_none(value) for value in path.passage_quantiles(BEST, QUANTILES))
    return Passage(
        objective=case.objective.name,
        seeds=len(path.seeds),
        steps_10=early,
        steps_50=middle,
        steps_90=late,
        never=path.share_never(BEST),
        lowest=float(np.median(path.lowest[BEST])),
        final=float(np.median(path.masses[BEST][:, -1])),
        final_entropy=float(path.entropy_ST[:, -1].mean()),
    )


def final_shares(case: Case, path: Trajectory) -> list[Share]:
    best, eta = case.setting.best, case.setting.learning_rate
    share_S = path.mass([best[-1]])[:, -1] / path.mass(best)[:, -1]
    return [
        Share(case.objective.name, eta, seed, share)
        for seed, share in zip(path.seeds.tolist(), share_S.tolist(), strict=True)
    ]


def spread(case: Case, path: Trajectory) -> Spread:
    share_S = np.array([row.share for row in final_shares(case, path)])
    return Spread(
        objective=case.objective.name,
        learning_rate=case.setting.learning_rate,
        steps=case.setting.steps,
        seeds=len(share_S),
        mean_share=float(share_S.mean()),
        spread=float(share_S.std()),
        right=float(path.masses[BEST][:, -1].mean()),
    )


def whole_or_none(value: float) -> int | None:
    return None if np.isnan(value) else int(value)
