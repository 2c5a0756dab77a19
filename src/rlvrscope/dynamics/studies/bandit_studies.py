"""Studies of bandits: masses over steps, objectives compared, two right answers, and maps over two knobs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rlvrscope.dynamics.simulator.update_rule import update_rule
from rlvrscope.dynamics.studies.settings import KNOBS, Setting, join_numbers, named_objective, turn_knob
from rlvrscope.dynamics.studies.study import (
    Axis,
    Case,
    MapCell,
    MassCurves,
    MassPanel,
    Passage,
    PassageTimes,
    PhaseMap,
    Result,
    Row,
    ShareHistograms,
    SharePanel,
    Study,
    StudyPlan,
    describe,
    final_shares,
    mass_points,
    passage,
    simulate_setting,
    spread,
)
from rlvrscope.errors import InputError
from rlvrscope.objectives import OBJECTIVES, Objective

FIGURE1_REWARDS = ((0.8, 1.0, 0.0), (0.5, 1.0, 0.0))
FIGURE1_PROBS = ((0.49, 0.02, 0.49), (0.3, 0.2, 0.5), (0.15, 0.05, 0.8))
CURVES_CAPTION = "Lines: medians over seeds. Shaded: 10 to 90 % of the seeds."
DESCRIBED = {"rare": "start", "dominant": "rewards"}
"""Knobs that change a part of the described setting, not a whole field."""


def simulate_plan(setting: Setting, objective: str) -> StudyPlan:
    """One setting: the masses of all actions."""
    case = Case((), named_objective(objective, setting), setting)

    def build(results: Sequence[Result]) -> Study:
        ((_, path),) = results
        points = mass_points(case, path)
        return Study(
            name="simulate",
            heading=f"{case.objective.name}: masses over steps",
            setting=describe([case]),
            caption=CURVES_CAPTION,
            figure=MassCurves([MassPanel(("mass of each action",), points)], 1),
            rows=[point._asdict() for point in points],
            summary=[passage(case, path)._asdict()],
        )

    return StudyPlan([case], build)


def figure1_plan(
    setting: Setting,
    objective: str,
    rewards: Sequence[tuple[float, ...]],
    probs: Sequence[tuple[float, ...]],
) -> StudyPlan:
    """Masses over steps, for every pair of rewards and starts."""
    chosen = named_objective(objective, setting)
    cases = [Case((r, p), chosen, setting.replace(rewards=r, probs=p)) for r in rewards for p in probs]
    varied = {case.key: {"rewards": join_numbers(case.key[0]), "start": join_numbers(case.key[1])} for case in cases}
    titles = {key: (f"r = ({row['rewards']})", f"start ({row['start']})") for key, row in varied.items()}
    heading = f"{chosen.name}: masses over steps, by rewards and start"
    lines = describe(cases, "rewards", "probs")
    return StudyPlan(cases, _curves("figure1", heading, lines, titles, varied, len(probs)))


def figure5_plan(setting: Setting, objective: str, rollouts: Sequence[int]) -> StudyPlan:
    """Masses over steps, for several numbers of rollouts."""
    chosen = named_objective(objective, setting)
    cases = [Case((n,), chosen, setting.replace(group_size=n)) for n in rollouts]
    titles = {(n,): (f"n = {n} rollouts",) for n in rollouts}
    heading = f"{chosen.name}: masses over steps, by rollouts n"
    varied = {(n,): {"rollouts": n} for n in rollouts}
    return StudyPlan(cases, _curves("figure5", heading, describe(cases, "group_size"), titles, varied, 2))


def _curves(
    name: str,
    heading: str,
    lines: tuple[str, ...],
    titles: Mapping[Any, tuple[str, ...]],
    varied: Mapping[Any, Row],
    columns: int,
) -> Callable[[Sequence[Result]], Study]:
    """A builder with one panel per case. titles, varied: the panel's title and the columns of a case, by its key."""

    def build(results: Sequence[Result]) -> Study:
        panels, rows, summary = [], [], []
        for case, path in results:
            points, reached = mass_points(case, path), passage(case, path)
            panels.append(MassPanel((*titles[case.key], _passage_title(reached)), points))
            rows += [{**varied[case.key], **point._asdict()} for point in points]
            summary.append({**varied[case.key], **reached._asdict()})
        return Study(name, heading, lines, CURVES_CAPTION, MassCurves(panels, columns), rows, summary)

    return build


def _passage_title(passage: Passage) -> str:
    if passage.steps_50 is None:
        return f"threshold never reached in {passage.never:.0%} of the seeds"
    return f"threshold reached at step {passage.steps_50:,} (median)"


def objectives_plan(setting: Setting, names: Sequence[str]) -> StudyPlan:
    """Objectives on one problem, by default all without a shape; those with the same update share a line."""
    default = [*(name for name, objective in OBJECTIVES.items() if objective.shape is None), "w-relative"]
    groups = _same_updates([named_objective(name, setting) for name in names or default], setting)
    cases = [Case((", ".join(one.name for one in group),), group[0], setting, simulate_setting) for group in groups]

    def build(results: Sequence[Result]) -> Study:
        passages = [passage(case, path)._replace(objective=case.key[0]) for case, path in results]
        rows = [row._asdict() for row in passages]
        return Study(
            name="objectives",
            heading="Steps until the best action dominates, by objective",
            setting=describe(cases),
            caption="Bar: steps by which 10 to 90 % of the seeds reached the threshold. Dot: half of them.",
            figure=PassageTimes(passages, setting.steps),
            rows=rows,
            summary=rows,
        )

    return StudyPlan(cases, build)


def _same_updates(objectives: Sequence[Objective], setting: Setting) -> list[list[Objective]]:
    """Groups of objectives whose updates are equal at this setting."""
    groups: dict[Any, list[Objective]] = {}
    for objective in objectives:
        rule = update_rule(objective, setting.group_size, 1.0, setting.kl_coef, setting.inner_epochs, setting.clip)
        if setting.inner_epochs == 1:
            rule = rule._replace(clip_low=0.0, clip_high=0.0, dual_clip=0.0, cispo=False)
        if rule.kl_coef == 0.0:
            rule = rule._replace(reverse_kl=False)
        threshold = objective.threshold if objective.signal == "signed" or objective.shape else None
        groups.setdefault((rule, objective.signal, threshold, objective.shape), []).append(objective)
    return list(groups.values())


def binary_plan(setting: Setting, names: Sequence[str], rates: Sequence[float]) -> StudyPlan:
    """Two right answers: the spread over seeds of the second one's share.

    setting.steps is for the first rate; the others keep rate x steps.
    """
    keep_all = functools.partial(simulate_setting, keep_probs=True)
    cases = [
        Case((name, eta), named_objective(name, setting), _at_rate(setting, eta, rates[0]), keep_all)
        for eta in rates
        for name in names
    ]
    if len(setting.best) < 2:
        raise InputError(f"binary needs at least two right answers; rewards are {join_numbers(setting.rewards)}")
    probs = np.array(setting.probs)
    initial_share = probs[setting.best[-1]] / probs[setting.best].sum()

    def build(results: Sequence[Result]) -> Study:
        panels, summary = [], []
        for case, path in results:
            row = spread(case, path)
            title = f"{row.objective}, η = {row.learning_rate:g}", f"spread {row.spread:.3f}"
            panels.append(SharePanel(title, final_shares(case, path)))
            summary.append(row._asdict())
        budget = setting.learning_rate * setting.steps
        return Study(
            name="binary",
            heading="Two right answers: the share of the second in their mass, over seeds",
            setting=describe(cases, "learning_rate", "steps", "threshold"),
            caption=f"η × steps = {budget:g}. Initial share: {initial_share:.3g} in every seed.",
            figure=ShareHistograms(panels, len(names)),
            rows=[share._asdict() for panel in panels for share in panel.shares],
            summary=summary,
        )

    return StudyPlan(cases, build)


def _at_rate(setting: Setting, eta: float, first: float) -> Setting:
    return setting.replace(learning_rate=eta, steps=max(1, round(setting.steps * first / eta)))


def phase_plan(
    setting: Setting, objective: str, x: tuple[str, Sequence[float]], y: tuple[str, Sequence[float]]
) -> StudyPlan:
    """Median time to the best action over two knobs, each a name of KNOBS with its values."""
    (x_name, x_values), (y_name, y_values) = x, y
    if x_name == y_name:
        raise InputError(f"a map has two different knobs; got {x_name!r} twice")
    cases = []
    for y_value in y_values:
        for x_value in x_values:
            turned = turn_knob(turn_knob(setting, x_name, x_value), y_name, y_value)
            cases.append(Case((x_value, y_value), named_objective(objective, turned), turned, simulate_setting))
    chosen = cases[0].objective
    varied = [field for name in (x_name, y_name) if (field := KNOBS[name].field)]
    lines = describe([Case((), chosen, setting), *cases], *varied)
    caption = "Grey: half of the seeds or more never reach the threshold."
    parts = " and ".join(part for name, part in DESCRIBED.items() if name in (x_name, y_name))
    if parts:
        caption += f" The axes change the {parts} given above."

    def build(results: Sequence[Result]) -> Study:
        cells = [MapCell(case.key[0], case.key[1], passage(case, path)) for case, path in results]
        rows = [{x_name: cell.x, y_name: cell.y, **cell.passage._asdict()} for cell in cells]
        return Study(
            name="phase",
            heading=f"{chosen.name}: median steps until the best action dominates",
            setting=lines,
            caption=caption,
            figure=PhaseMap(cells, Axis(x_name, KNOBS[x_name].title), Axis(y_name, KNOBS[y_name].title)),
            rows=rows,
            summary=rows,
        )

    return StudyPlan(cases, build)
