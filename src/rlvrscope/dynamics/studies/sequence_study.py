"""Study of completions of two tokens: the bandit's action as the first token, simulated and by its mean field."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rlvrscope.arrays import Floats, Ints
from rlvrscope.dynamics.inputs import check_count, make_bandit
from rlvrscope.dynamics.sequences import sequence_flow, simulate_sequences
from rlvrscope.dynamics.studies.settings import Setting, named_objective
from rlvrscope.dynamics.studies.study import (
    BEST,
    Case,
    MassCurves,
    MassPanel,
    MassPoint,
    Progress,
    Result,
    Study,
    StudyPlan,
    describe,
    quantile_points,
    whole_or_none,
)
from rlvrscope.dynamics.trajectory import Trajectory
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective
from rlvrscope.seeding import generator

SECOND_TOKEN = 0.5
"""Initial probability of the right second token; the others share the rest."""
CURVE_POINTS = 100
"""Intervals of a curve."""
CAPTION = (
    "A completion is one of the bandit's actions, then a token that has to be right (1/2 at the start). "
    "Flow: expected updates, no sampling noise. Shaded: 10 to 90 % of the seeds. Times: η x updates."
)


class Completions(NamedTuple):
    """The problem of two tokens: rewards_Y, initial probs_Y, and the completions that begin with a best action."""

    rewards_Y: Floats
    probs_Y: Floats
    best: list[int]

    @classmethod
    def of(cls, setting: Setting) -> Completions:
        bandit = make_bandit(setting.rewards, setting.probs, None)
        tokens = bandit.rewards_V.size
        is_right_V = np.arange(tokens) == 0
        second_V = np.full(tokens, (1.0 - SECOND_TOKEN) / (tokens - 1))
        second_V[0] = SECOND_TOKEN
        best = [first * tokens + second for first in setting.best for second in range(tokens)]
        return cls(np.outer(setting.rewards, is_right_V).ravel(), np.outer(bandit.probs_V, second_V).ravel(), best)


class TokenPassage(NamedTuple):
    """The best first token, by its mean field (flow) and simulated: when it reaches the threshold, in eta x updates.

    never: share of the seeds. flow_lowest, lowest: lowest mass, the median over seeds. ratio: see `mean_ratio_change`.
    """

    eta: float
    epochs: int
    flow_reached: int | None
    reached: int | None
    never: float
    flow_lowest: float
    lowest: float
    ratio: float


def curve_steps(setting: Setting) -> Ints:
    return np.unique(np.linspace(0, setting.steps, CURVE_POINTS + 1).round().astype(np.int64))


def simulate_completions(objective: Objective, setting: Setting, on_progress: Progress) -> Trajectory:
    """Record the steps of the curve, and the one after each for the change of ratios."""
    problem, steps_T = Completions.of(setting), curve_steps(setting)
    return simulate_sequences(
        problem.rewards_Y,
        objective,
        setting.group_size,
        rng=generator(setting.seed, "dynamics"),
        tokens=len(setting.rewards),
        probs_Y=problem.probs_Y,
        learning_rate=setting.learning_rate,
        steps=setting.steps,
        seeds=setting.seeds,
        record_every=np.union1d(steps_T, np.minimum(steps_T + 1, setting.steps)).tolist(),
        kl_coef=setting.kl_coef,
        inner_epochs=setting.inner_epochs,
        clip=setting.clip,
        watch={BEST: problem.best},
        threshold=setting.threshold,
        on_progress=on_progress,
    )


def sequences_plan(setting: Setting, objective: str, rates: Sequence[float], epochs: Sequence[int]) -> StudyPlan:
    """The best first token, simulated and by its mean field, for step sizes and updates per group.

    setting.steps is for the first rate and one update per group; the others keep rate x updates.
    """
    chosen = _without_kl(named_objective(objective, setting), setting)
    cases = []
    for count, rate in itertools.product(epochs, rates):
        updates = check_count("epochs", count)
        steps = max(1, round(rates[0] * setting.steps / (rate * updates)))
        changed = setting.replace(learning_rate=rate, inner_epochs=updates, steps=steps)
        cases.append(Case((rate, updates), chosen, changed, simulate_completions))

    def build(results: Sequence[Result]) -> Study:
        panels, rows, summary = [], [], []
        for case, path in results:
            points, reached = _measure(case, path)
            title = f"η = {reached.eta:g}, {reached.epochs} update{'s' if reached.epochs > 1 else ''} per group"
            panels.append(MassPanel((title, f"mean |ratio - 1| up to {reached.ratio:.2g}"), points))
            rows += [{"eta": reached.eta, "epochs": reached.epochs, **point._asdict()} for point in points]
            summary.append(reached._asdict())
        return Study(
            name="sequences",
            heading=f"{chosen.name}: the best first token of a completion, simulated and by its mean field",
            setting=describe(cases, "learning_rate", "steps", "inner_epochs"),
            caption=CAPTION,
            figure=MassCurves(panels, len(rates), "η x updates"),
            rows=rows,
            summary=summary,
        )

    return StudyPlan(cases, build)


def _without_kl(objective: Objective, setting: Setting) -> Objective:
    """Raises InputError if the simulation would have a KL term."""
    if (objective.kl_coef if setting.kl_coef is None else setting.kl_coef) > 0.0:
        raise InputError("sequences compares simulations with a mean field that has no KL term: set --kl 0")
    return objective.replace(kl_coef=0.0)


def _measure(case: Case, path: Trajectory) -> tuple[list[MassPoint], TokenPassage]:
    """The curves of a panel over rate x updates, and their row of the table."""
    (rate, epochs), setting, problem = case.key, case.setting, Completions.of(case.setting)
    scale, tokens, steps_T = rate * epochs, len(setting.rewards), curve_steps(setting)
    flow = sequence_flow(
        problem.rewards_Y,
        case.objective,
        setting.group_size,
        tokens=tokens,
        probs_Y=problem.probs_Y,
        learning_rate=rate,
        steps=setting.steps * epochs,
    )
    flow_T = flow.mass(problem.best)[0]  # after each update; the simulation counts groups
    above = np.flatnonzero(flow_T > setting.threshold)
    simulated_ST = path.masses[BEST][:, np.searchsorted(path.steps_T, steps_T)]
    points = quantile_points(case.objective.name, "simulated", steps_T, simulated_ST)
    points += quantile_points(case.objective.name, "flow", steps_T, flow_T[steps_T * epochs][None])
    reached = TokenPassage(
        eta=rate,
        epochs=epochs,
        flow_reached=whole_or_none(above[0] * rate) if above.size else None,
        reached=whole_or_none(path.passage_quantiles(BEST, [0.5])[0] * scale),
        never=path.share_never(BEST),
        flow_lowest=float(flow_T.min()),
        lowest=float(np.median(path.lowest[BEST])),
        ratio=mean_ratio_change(path, tokens),
    )
    return [point._replace(step=point.step * scale) for point in points], reached


def mean_ratio_change(path: Trajectory, tokens: int) -> float:
    """Largest, over steps, of E |ratio - 1| of a token: pi after the step over pi before it."""
    assert path.probs_STV is not None
    before = np.flatnonzero(np.diff(path.steps_T) == 1)
    probs_STVV = path.probs_STV.reshape(*path.probs_STV.shape[:2], tokens, tokens)
    first_STV1 = probs_STVV.sum(axis=3, keepdims=True)
    change_of_first, change_of_second = (
        np.abs(probs[:, before + 1] / probs[:, before] - 1.0)
        for probs in (np.broadcast_to(first_STV1, probs_STVV.shape), probs_STVV / first_STV1)
    )
    change = (change_of_first + change_of_second) / 2
    return float((probs_STVV[:, before] * change).sum(axis=(2, 3)).mean(axis=0).max())
