"""The figures: which cases each runs, and what it makes of their trajectories."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlvrscope.dynamics import Trajectory
from rlvrscope.dynamics.simulator.simulate import backend_of, checked_rule
from rlvrscope.errors import InputError
from rlvrscope.objectives import OBJECTIVES, Objective
from rlvrscope.report.dynamics import charts
from rlvrscope.report.dynamics.numbers import Row, mass_rows, passage_row, share_rows, spread_row
from rlvrscope.report.dynamics.setting import Case, Setting, listed, objective_for
from rlvrscope.report.style import styled

FIGURE1_REWARDS = ((0.8, 1.0, 0.0), (0.5, 1.0, 0.0))
FIGURE1_PROBS = ((0.49, 0.02, 0.49), (0.3, 0.2, 0.5), (0.15, 0.05, 0.8))
LINE = 100
"""Characters in a line above a figure."""
BANDS = "Lines: medians over seeds. Shaded: 10 to 90 % of the seeds."
KNOBS = {
    "rare": "start of the best action",
    "dominant": "reward of the second best action",
    "n": "rollouts n",
    "eta": "step size η",
    "kl": "KL coefficient",
    "epochs": "inner epochs",
    "clip": "clip range of the ratio, low and high",
    "eps": "ε added to the std",
    "std": "std: 0 population, 1 sample",
    "threshold": "mass that counts as there",
}
"""What a map can vary, and how its axis is called."""
FIELDS = {
    "n": "group_size",
    "eta": "learning_rate",
    "kl": "kl_coef",
    "epochs": "inner_epochs",
    "clip": "clip",
    "eps": "std_eps",
    "std": "std_ddof",
    "threshold": "threshold",
}
"""Knobs that are fields of a setting."""
PARTS = {"rare": "start", "dominant": "rewards"}
"""Knobs that change a part of what the setting says."""
WHOLE = ("n", "epochs", "std")
EVEN = ("dominant", "threshold")
"""Their values on a map have one distance, not one ratio."""
Results = Sequence[tuple[Case, Trajectory]]


@dataclass(frozen=True)
class Study:
    """What a figure shows. rows: the numbers behind it, for CSV. summary: a table for people and for JSON."""

    name: str
    heading: str
    lead: str
    caption: str
    chart: Any
    rows: Sequence[Row]
    summary: Sequence[Row]

    def marked(self, words: str) -> Study:
        """With a line more in what is said of the setting, in the picture too."""
        chart = self.chart.copy()
        chart.title.subtitle = [*chart.title.subtitle, words]
        return dataclasses.replace(self, lead=f"{self.lead} {words}", chart=chart)


@dataclass(frozen=True)
class Plan:
    """A figure to be made: its cases, and what makes it of those that were run."""

    cases: Sequence[Case]
    make: Callable[[Results], Study]


def simulate_plan(setting: Setting, objective: str) -> Plan:
    """One setting: the masses of all actions."""
    case = Case((), objective_for(objective, setting), setting)

    def make(results: Results) -> Study:
        ((_, path),) = results
        rows = mass_rows(case, path)
        heading = f"{case.objective.name}: where the mass goes"
        words = said([case])
        chart = charts.masses({("mass of each action",): rows}, 1, heading, [*words, BANDS])
        lead = f"{case.objective.name}, {' '.join(words)}"
        return Study("simulate", heading, lead, BANDS, styled(chart), rows, [passage_row(case, path)])

    return Plan([case], make)


def figure1_plan(setting: Setting, objective: str, rewards: Sequence[Any], probs: Sequence[Any]) -> Plan:
    """Masses over steps, for every pair of rewards and starts."""
    chosen = objective_for(objective, setting)
    cases = [Case((r, p), chosen, setting.replace(rewards=r, probs=p)) for r in rewards for p in probs]
    titles = {case.key: (f"r = ({listed(case.key[0])})", f"start ({listed(case.key[1])})") for case in cases}
    facts = {case.key: {"rewards": listed(case.key[0]), "start": listed(case.key[1])} for case in cases}
    heading = f"{chosen.name}: masses over steps, by rewards and start"
    return Plan(cases, _panels("figure1", heading, said(cases, "rewards", "probs"), titles, facts, len(probs)))


def figure5_plan(setting: Setting, objective: str, rollouts: Sequence[int]) -> Plan:
    """Masses over steps, for several numbers of rollouts."""
    chosen = objective_for(objective, setting)
    cases = [Case((n,), chosen, setting.replace(group_size=n)) for n in rollouts]
    titles = {(n,): (f"n = {n} rollouts",) for n in rollouts}
    facts = {(n,): {"rollouts": n} for n in rollouts}
    heading = f"{chosen.name}: masses over steps, by rollouts n"
    return Plan(cases, _panels("figure5", heading, said(cases, "group_size"), titles, facts, 2))


def _panels(
    name: str,
    heading: str,
    words: list[str],
    titles: Mapping[Any, tuple[str, ...]],
    facts: Mapping[Any, Row],
    columns: int,
) -> Callable[[Results], Study]:
    def make(results: Results) -> Study:
        rows = {case.key: mass_rows(case, path) for case, path in results}
        summary = [{**facts[case.key], **passage_row(case, path)} for case, path in results]
        panels: dict[tuple[str, ...], list[Row]] = {
            (*titles[key], _reached(row)): rows[key] for key, row in zip(rows, summary, strict=True)
        }
        chart = charts.masses(panels, columns, heading, [*words, BANDS])
        behind = [{**facts[key], **row} for key, part in rows.items() for row in part]
        return Study(name, heading, " ".join(words), BANDS, styled(chart), behind, summary)

    return make


def _reached(row: Row) -> str:
    if row["steps_50"] is None:
        return f"best action: {row['never']:.0%} of the seeds never there"
    return f"best action there: median step {row['steps_50']:,}"


def objectives_plan(setting: Setting, names: Sequence[str]) -> Plan:
    """All objectives on one problem; those that are one update here stand in one line."""
    plain = [name for name, objective in OBJECTIVES.items() if objective.shape is None]
    groups = _distinct([objective_for(name, setting) for name in names or [*plain, "w-relative"]], setting)
    names = [", ".join(same.name for same in group) for group in groups]
    cases = [Case((name,), group[0], setting, False, False) for name, group in zip(names, groups, strict=True)]

    def make(results: Results) -> Study:
        rows = [{**passage_row(case, path), "objective": case.key[0]} for case, path in results]
        heading = "Steps until the best action dominates, by objective"
        words, caption = said(cases), "Bar: from 10 to 90 % of the seeds there. Dot: half of them."
        chart = charts.passages(rows, setting.steps, heading, [*words, caption])
        return Study("objectives", heading, " ".join(words), caption, styled(chart), rows, rows)

    return Plan(cases, make)


def _distinct(chosen: Sequence[Objective], setting: Setting) -> list[list[Objective]]:
    """Groups of objectives that make the same step at this setting."""
    groups: dict[Any, list[Objective]] = {}
    for one in chosen:
        rule = checked_rule(one, setting.group_size, 1.0, setting.kl_coef, setting.inner_epochs, setting.clip)
        if setting.inner_epochs == 1:
            rule = rule._replace(clip_low=0.0, clip_high=0.0, dual_clip=0.0, cispo=False)
        if rule.kl_coef == 0.0:
            rule = rule._replace(reverse_kl=False)
        seen = (one.signal, one.threshold if one.signal == "signed" or one.shape else None, one.shape)
        groups.setdefault((rule, seen), []).append(one)
    return list(groups.values())


def binary_plan(setting: Setting, names: Sequence[str], rates: Sequence[float]) -> Plan:
    """Two right answers: the spread of the second one's share over seeds. Steps count for the first rate."""
    cases = [
        Case((name, eta), objective_for(name, setting), _at_rate(setting, eta, rates[0]), curve=False)
        for eta in rates
        for name in names
    ]
    if len(setting.best) < 2:
        raise InputError(f"binary needs at least two right answers; rewards are {listed(setting.rewards)}")

    probs = np.array(setting.probs)
    share = probs[setting.best[-1]] / probs[setting.best].sum()

    def make(results: Results) -> Study:
        summary = [spread_row(case, path) for case, path in results]
        panels: dict[tuple[str, ...], list[Row]] = {
            (f"{row['objective']}, η = {row['learning_rate']:g}", f"spread {row['spread']:.3f}"): share_rows(case, path)
            for row, (case, path) in zip(summary, results, strict=True)
        }
        heading = "Two right answers: the share of the second in their mass, over seeds"
        words = said(cases, "learning_rate", "steps", "threshold")
        caption = f"η × steps = {setting.learning_rate * setting.steps:g}. At the start {share:.3g} in every seed."
        chart = charts.shares(panels, len(names), heading, [*words, caption])
        rows = [row for part in panels.values() for row in part]
        return Study("binary", heading, " ".join(words), caption, styled(chart), rows, summary)

    return Plan(cases, make)


def _at_rate(setting: Setting, eta: float, first: float) -> Setting:
    steps = max(1, round(setting.steps * first / eta))
    return setting.replace(learning_rate=eta, steps=steps)


def phase_plan(
    setting: Setting, objective: str, x: tuple[str, Sequence[float]], y: tuple[str, Sequence[float]]
) -> Plan:
    """The median time to the best action over two knobs."""
    if x[0] == y[0]:
        raise InputError(f"a map has two different knobs; got {x[0]!r} twice")
    settings = {(across, up): turned(turned(setting, x[0], across), y[0], up) for up in y[1] for across in x[1]}
    cases = [Case(key, objective_for(objective, at), at, False, False) for key, at in settings.items()]
    words = said(
        [Case((), cases[0].objective, setting), *cases], *(FIELDS[name] for name, _ in (x, y) if name in FIELDS)
    )
    parts = " and ".join(part for name, part in PARTS.items() if name in (x[0], y[0]))

    def make(results: Results) -> Study:
        rows = [{x[0]: case.key[0], y[0]: case.key[1], **passage_row(case, path)} for case, path in results]
        heading = f"{cases[0].objective.name}: median steps until the best action is there"
        caption = "Grey: half of the seeds or more are never there."
        caption += f" The axes change the {parts} said above." if parts else ""
        chart = charts.phase(rows, (x[0], KNOBS[x[0]]), (y[0], KNOBS[y[0]]), heading, [*words, caption])
        return Study("phase", heading, " ".join(words), caption, styled(chart), rows, rows)

    return Plan(cases, make)


def turned(setting: Setting, knob: str, value: float) -> Setting:
    """The setting with one knob turned. rare: the others keep their ratio. Raises InputError for another name."""
    if knob == "rare":
        probs, best = np.array(setting.probs), setting.best
        if not 0.0 < value < 1.0 or not 0.0 < probs[best].sum() < 1.0:
            raise InputError(f"knob rare is a share of the mass, with some left for the others; got {value:g}")
        probs[best] *= value / probs[best].sum()
        others = [v for v in range(len(probs)) if v not in best]
        probs[others] *= (1.0 - value) / probs[others].sum()
        return setting.replace(probs=tuple(probs.tolist()))
    if knob == "dominant":
        below = [reward for reward in setting.rewards if reward < max(setting.rewards)]
        if not below or not value < max(setting.rewards):
            raise InputError(
                f"knob dominant is the second reward, below the best one {max(setting.rewards):g}; got {value:g}"
            )
        second = max(below)
        return setting.replace(rewards=tuple(value if reward == second else reward for reward in setting.rewards))
    if knob not in FIELDS:
        raise InputError(f"no knob is called {knob!r}; the knobs: {', '.join(KNOBS)}")
    if knob == "clip":
        return setting.replace(clip=(value, value))
    return setting.replace(**{FIELDS[knob]: round(value) if knob in WHOLE else value})


def said(cases: Sequence[Case], *left_out: str) -> list[str]:
    """The setting in lines, without what varies; and which objectives did not run on the kernel."""
    lines = [""]
    for part in cases[0].setting.words(*left_out):
        if len(lines[-1]) + len(part) > LINE:
            lines.append("")
        lines[-1] += f"{part}, "
    lines = [*(line.rstrip() for line in lines[:-1]), lines[-1].rstrip(", ") + "."]
    slow = dict.fromkeys(case.objective.name for case in cases if backend_of(case.objective) == "numpy")
    return [*lines, f"On the NumPy path, having a shape: {', '.join(slow)}."] if slow else lines
