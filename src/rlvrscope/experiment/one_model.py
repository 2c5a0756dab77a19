"""One model's pass@k curve, without another to compare it with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rlvrscope.experiment.boundary import Metric, Question, metrics
from rlvrscope.experiment.sample_facts import SampleFact, sample_facts
from rlvrscope.readers import ModelCounts
from rlvrscope.seeding import generator
from rlvrscope.stats import Curve, pass_at_k_curve


@dataclass(frozen=True)
class OneModel:
    """A model's counts and its curve."""

    model: ModelCounts
    question: Question
    curve: Curve

    @classmethod
    def of(cls, model: ModelCounts, question: Question) -> OneModel:
        """Estimate the curve with its band. Raises InputError for bad settings."""
        curve = pass_at_k_curve(
            model.counts,
            question.ks_for([model.counts]),
            question.confidence,
            question.target,
            rng=generator(question.seed, "one model"),
            simultaneous=question.simultaneous,
            resamples=question.resamples,
        )
        return cls(model, question, curve)

    @property
    def ks(self) -> tuple[int, ...]:
        return self.curve.ks

    @property
    def models(self) -> tuple[ModelCounts, ...]:
        return (self.model,)

    @property
    def num_problems(self) -> int:
        return self.curve.num_problems

    @property
    def min_samples(self) -> int:
        """The fewest samples of any problem."""
        return int(self.model.counts.n.min())

    @cached_property
    def metrics(self) -> list[Metric]:
        """Means over problems and runs, as those of a comparison."""
        return metrics(self.models, self.min_samples, self.question.options)

    @cached_property
    def sample_facts(self) -> list[SampleFact]:
        """Different answers, completions cut off, lengths: where the source holds samples that tell them."""
        return sample_facts(self.models, self.min_samples, self.question.confidence)
