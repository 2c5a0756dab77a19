"""The figure of tokens: the toy's action as the first token of an answer, beside the law that it follows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlvrscope.dynamics import Trajectory, sequence_flow, simulate_sequences
from rlvrscope.dynamics.inputs import Floats, bandit, check_count
from rlvrscope.errors import InputError
from rlvrscope.objectives import Objective
from rlvrscope.report.dynamics import charts
from rlvrscope.report.dynamics.numbers import Row, quantile_rows, whole
from rlvrscope.report.dynamics.setting import BEST, Case, Setting, objective_for
from rlvrscope.report.dynamics.studies import Plan, Results, Study, said
from rlvrscope.report.style import styled
from rlvrscope.seeding import generator

SECOND = 0.5
"""How often the second token is right at the start; the others share the rest."""
POINTS = 100
CAPTION = (
    "Each answer: one of the toy's actions, then a second token that has to be right (1/2 at the start). "
    "Shaded: 10 to 90 % of the seeds. Steps to be there count η x updates."
)


@dataclass(frozen=True)
class SequenceCase(Case):
    """A simulation of answers of two tokens, the first the setting's actions."""

    @property
    def rewards_Y(self) -> Floats:
        right_V = np.arange(len(self.setting.rewards)) == 0
        return np.outer(self.setting.rewards, right_V).ravel()

    @property
    def probs_Y(self) -> Floats:
        state = bandit(self.setting.rewards, self.setting.probs, None)
        second_V = np.full(state.rewards_V.size, (1.0 - SECOND) / (state.rewards_V.size - 1))
        second_V[0] = SECOND
        return np.outer(state.probs_V, second_V).ravel()

    @property
    def shown(self) -> NDArray[np.int64]:
        """Steps of the curve."""
        return np.unique(np.linspace(0, self.setting.steps, POINTS + 1).round().astype(np.int64))

    def run(self, on_progress: Callable[[int], None]) -> Trajectory:
        setting, tokens = self.setting, len(self.setting.rewards)
        best = [first * tokens + second for first in setting.best for second in range(tokens)]
        after = np.minimum(self.shown + 1, setting.steps)
        return simulate_sequences(
            self.rewards_Y,
            self.objective,
            setting.group_size,
            rng=generator(setting.seed, "dynamics"),
            tokens=tokens,
            probs_Y=self.probs_Y,
            learning_rate=setting.learning_rate,
            steps=setting.steps,
            seeds=setting.seeds,
            record_every=np.union1d(self.shown, after).tolist(),
            kl_coef=setting.kl_coef,
            inner_epochs=setting.inner_epochs,
            clip=setting.clip,
            watch={BEST: best},
            threshold=setting.threshold,
            on_progress=on_progress,
        )

    def law(self) -> Trajectory:
        """As many updates on policy, without sampling noise; every one is recorded."""
        return sequence_flow(
            self.rewards_Y,
            self.objective,
            self.setting.group_size,
            tokens=len(self.setting.rewards),
            probs_Y=self.probs_Y,
            learning_rate=self.setting.learning_rate,
            steps=self.setting.steps * self.setting.inner_epochs,
        )


def sequences_plan(setting: Setting, objective: str, rates: Sequence[float], epochs: Sequence[int]) -> Plan:
    """The best first token, simulated and by its law, for step sizes and updates a group.

    Steps count for the first rate and one update a group; the others keep rate x updates.
    """
    chosen = _without_kl(objective_for(objective, setting), setting)
    budget = rates[0] * setting.steps
    cases = [
        _case(chosen, setting, rate, check_count("epochs", count), budget)
        for count, rate in itertools.product(epochs, rates)
    ]

    def make(results: Results) -> Study:
        panels: dict[tuple[str, ...], list[Row]] = {}
        summary, behind = [], []
        for case, path in results:
            assert isinstance(case, SequenceCase)
            rows, facts = _rows(case, path)
            title = f"η = {facts['eta']:g}, {facts['epochs']} update{'s' if facts['epochs'] > 1 else ''} a group"
            panels[title, f"mean |ratio - 1| up to {facts['ratio']:.2g}"] = rows
            summary.append(facts)
            behind += [{"eta": facts["eta"], "epochs": facts["epochs"], **row} for row in rows]
        heading = f"{chosen.name}: the best first token of an answer, and the law of a bandit"
        words = said(cases, "learning_rate", "steps", "inner_epochs")
        chart = charts.masses(panels, len(rates), heading, [*words, CAPTION], "η x updates")
        return Study("sequences", heading, " ".join(words), CAPTION, styled(chart), behind, summary)

    return Plan(cases, make)


def _without_kl(objective: Objective, setting: Setting) -> Objective:
    """Raises InputError where the simulation would have a KL term: the law beside it has none."""
    if (objective.kl_coef if setting.kl_coef is None else setting.kl_coef) > 0.0:
        raise InputError("sequences draws the law beside the simulation, which has no KL term: set --kl 0")
    return objective.replace(kl_coef=0.0)


def _case(objective: Objective, setting: Setting, rate: float, epochs: int, budget: float) -> SequenceCase:
    steps = max(1, round(budget / (rate * epochs)))
    return SequenceCase(
        (rate, epochs), objective, setting.replace(learning_rate=rate, inner_epochs=epochs, steps=steps)
    )


def _rows(case: SequenceCase, path: Trajectory) -> tuple[list[Row], Row]:
    """The curves of a panel, over rate x updates; and its line of the table."""
    rate, epochs = case.key
    scale, law = rate * epochs, case.law()  # the law counts updates, the simulation groups
    tokens = len(case.setting.rewards)
    best = [first * tokens + second for first in case.setting.best for second in range(tokens)]
    law_T = law.mass(best)[0]
    there = np.flatnonzero(law_T > case.setting.threshold)
    at = np.searchsorted(path.steps_T, case.shown)
    shown_law_T = law_T[case.shown * epochs]
    rows = quantile_rows(case, "simulated", case.shown, path.masses[BEST][:, at])
    rows += quantile_rows(case, "law", case.shown, shown_law_T[None])
    middle = path.passage_quantiles(BEST, [0.5])[0] * scale
    facts: Row = {
        "eta": rate,
        "epochs": epochs,
        "law_there": whole(there[0] * rate) if there.size else None,
        "there": whole(middle),
        "never": path.share_never(BEST),
        "law_lowest": float(law_T.min()),
        "lowest": float(np.median(path.lowest[BEST])),
        "ratio": _ratio(path, tokens),
    }
    return [{**row, "step": row["step"] * scale} for row in rows], facts


def _ratio(path: Trajectory, tokens: int) -> float:
    """The largest, over steps, of E |ratio - 1| of a token: pi after the step over pi before it."""
    assert path.probs_STV is not None
    before = np.flatnonzero(np.diff(path.steps_T) == 1)
    answers_STV = path.probs_STV.reshape(*path.probs_STV.shape[:2], tokens, tokens)
    first_STV = answers_STV.sum(axis=3, keepdims=True)
    moved = [
        np.abs(part[:, before + 1] / part[:, before] - 1.0)
        for part in (np.broadcast_to(first_STV, answers_STV.shape), answers_STV / first_STV)
    ]
    chance = answers_STV[:, before]
    return float((chance * (moved[0] + moved[1]) / 2).sum(axis=(2, 3)).mean(axis=0).max())
