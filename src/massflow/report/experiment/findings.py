"""What an experiment found: numbers with intervals, and three plain sentences made from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from massflow.lab.recipe import BOUNDARY_K
from massflow.report.experiment.results import Experiment, Run
from massflow.seeding import generator
from massflow.stats import Interval, bootstrap_mean, pass_at_k_exact, pass_at_matched_gain, resample_weights
from massflow.stats.bootstrap import Floats
from massflow.stats.frontier import MatchedPass

RESAMPLES = 10_000


@dataclass(frozen=True)
class Number:
    """An estimate with a 95 % interval over prompts."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, interval: Interval) -> Number:
        return cls(float(interval.estimate), float(interval.low), float(interval.high))

    @property
    def sign(self) -> int:
        """+1 or -1 where the interval excludes zero, else 0."""
        return int(self.low > 0.0) - int(self.high < 0.0)

    def __format__(self, form: str) -> str:
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


@dataclass(frozen=True)
class Model:
    """A model's scores: the base's, or those of an objective's final models, averaged over its runs."""

    name: str
    runs: int
    pass_at_1: float
    pass_at_256: float
    greedy_accuracy: float
    token_entropy: float
    distinct_correct: float
    rare_mass: float

    @property
    def label(self) -> str:
        return self.name.upper()


@dataclass(frozen=True)
class Outcome:
    """What an objective's training changed, against the base."""

    model: Model
    pass_at_1: Number
    pass_at_256: Number
    distinct_correct: Number
    matched: Number | None
    """pass@256 where pass@1 had risen by the recipe's gain; None if some run, or over 5 % of resamples, never do."""
    matched_difference: Number | None
    """The same, minus that of the first objective, on the same resamples."""


class Findings:
    """The summary of an experiment. Every interval resamples the held-out prompts, paired, and nothing else."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        compare = experiment.recipe.compare
        assert compare is not None  # Experiment.read saw to it
        self.gain = compare.gains[0]
        self.prompts = experiment.recipe.evaluate.prompts
        self.weights_RP = resample_weights(self.prompts, RESAMPLES, generator(0, "prompt bootstrap"))

    def pass_curve(self, objective: str | None, ks: list[int]) -> Interval:
        """pass@k over prompts with pointwise intervals: of the base (None), or of an objective's final models."""
        return bootstrap_mean(self._pass_PK(objective, ks), self.weights_RP)

    def _runs(self, objective: str | None) -> tuple[list[Run], int]:
        """The runs that show a model, and which evaluation of theirs is it."""
        return (self.experiment.runs, 0) if objective is None else (self.experiment.of(objective), -1)

    def _pass_PK(self, objective: str | None, ks: list[int]) -> Floats:
        runs, row = self._runs(objective)
        return np.mean([pass_at_k_exact(run.success_SP()[row], ks) for run in runs], axis=0)

    def _mean_P(self, objective: str | None, name: str) -> Floats:
        runs, row = self._runs(objective)
        values = [run.distinct_SP() if name == "distinct" else run.mass_SP(name) for run in runs]
        return np.mean([value_SP[row] for value_SP in values], axis=0)

    @cached_property
    def _matched(self) -> dict[str, MatchedPass]:
        of = self.experiment.of
        return {
            name: pass_at_matched_gain([run.success_SP() for run in of(name)], BOUNDARY_K, self.gain, self.weights_RP)
            for name in self.experiment.arms
        }

    @cached_property
    def base(self) -> Model:
        return self._model("base", None)

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """One an objective, in the recipe's order."""
        return [self._outcome(name) for name in self.experiment.arms]

    def _model(self, name: str, objective: str | None) -> Model:
        runs, at = self._runs(objective)
        first, boundary = self._pass_PK(objective, [1, BOUNDARY_K]).mean(axis=0)
        return Model(
            name,
            0 if objective is None else len(runs),
            float(first),
            float(boundary),
            greedy_accuracy=float(np.mean([run.evaluation[at]["greedy_accuracy"] for run in runs])),
            token_entropy=float(np.mean([run.evaluation[at]["token_entropy"] for run in runs])),
            distinct_correct=float(self._mean_P(objective, "distinct").mean()),
            rare_mass=float(self._mean_P(objective, "rare").mean()),
        )

    def _outcome(self, name: str) -> Outcome:
        def change(values_P: Floats, base_P: Floats) -> Number:
            return Number.of(bootstrap_mean(values_P - base_P, self.weights_RP))

        first, mine = self._matched[self.experiment.arms[0]], self._matched[name]
        matched, gap = mine.interval(), None if mine is first else mine.minus(first).interval()
        return Outcome(
            self._model(name, name),
            pass_at_1=change(self._pass_PK(name, [1])[:, 0], self._pass_PK(None, [1])[:, 0]),
            pass_at_256=change(self._pass_PK(name, [BOUNDARY_K])[:, 0], self._pass_PK(None, [BOUNDARY_K])[:, 0]),
            distinct_correct=change(self._mean_P(name, "distinct"), self._mean_P(None, "distinct")),
            matched=None if matched is None else Number.of(matched),
            matched_difference=None if gap is None else Number.of(gap),
        )

    @property
    def sentences(self) -> list[str]:
        """What happened, in plain words, each claim with its interval."""
        return [self._boundary_sentence(), self._matched_sentence(), self._concentration_sentence()]

    def _boundary_sentence(self) -> str:
        outcome = self.outcomes[0]
        model = outcome.model
        first = _moved("pass@1", self.base.pass_at_1, model.pass_at_1, outcome.pass_at_1)
        boundary = _moved("pass@256", self.base.pass_at_256, model.pass_at_256, outcome.pass_at_256)
        opposed = outcome.pass_at_1.sign * outcome.pass_at_256.sign < 0
        steps = self.experiment.recipe.train.steps
        return f"{steps} steps of {model.label}: {first}, {'but' if opposed else 'and'} {boundary}."

    def _matched_sentence(self) -> str:
        missed = [outcome.model.label for outcome in self.outcomes if outcome.matched is None]
        ranked = [(outcome.matched.value, outcome) for outcome in self.outcomes if outcome.matched is not None]
        if not ranked:
            return (
                f"No objective raised pass@1 by {self.gain:.2f} clearly enough, so none are compared at equal pass@1."
            )
        ranked.sort(key=lambda pair: -pair[0])
        against = self.outcomes[0].model.label
        parts = []
        for value, outcome in ranked:
            gap = outcome.matched_difference
            parts.append(
                f"{value:.3f} with {outcome.model.label}" + (f" ({gap:+.3f} against {against})" if gap else "")
            )
        absent = f" {_and(missed)} did not get there clearly enough." if missed else ""
        return f"Where each had raised pass@1 by {self.gain:.2f}, pass@256 was {_and(parts)}.{absent}"

    def _concentration_sentence(self) -> str:
        parts = [
            f"{outcome.model.distinct_correct:.1f} after {outcome.model.label} ({outcome.distinct_correct:+.1f})"
            for outcome in self.outcomes
        ]
        return (
            f"In 256 samples of a prompt one expects {self.base.distinct_correct:.1f} different right answers "
            f"from the base, {_and(parts)}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything above as plain values."""
        return {
            "format_version": 1,
            "recipe": self.experiment.recipe.name,
            "base": asdict(self.base),
            "match_gain": self.gain,
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
            "sentences": self.sentences,
        }


def _moved(what: str, before: float, after: float, change: Number) -> str:
    verb = {1: "rose", -1: "fell", 0: "did not clearly move,"}[change.sign]
    return f"{what} {verb} from {before:.3f} to {after:.3f} ({change:+.3f})"


def _and(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
