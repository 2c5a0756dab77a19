"""The recipe of a lab experiment: what the TOML file may say. No torch here."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from massflow.config import Section, digest
from massflow.lab.comparison import CompareConfig, TuneConfig
from massflow.lab.fields import Count, Positive, Seed, Temperature
from massflow.lab.training import TrainConfig
from massflow.tasks import AnyTask, Line

FORMAT_VERSION = 1
BOUNDARY_K = 256
"""The k that stands for the boundary: a solution below 1/256 is one that 256 samples will probably miss."""


class ModelConfig(Section):
    """The transformer's size."""

    width: Count = 96
    layers: Count = 2
    heads: Count = 4

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads; got width {self.width}, heads {self.heads}")
        return self


class PretrainConfig(Section):
    """Supervised pre-training of a base on demonstrations: AdamW, linear warm-up, linear decay to `final_rate`."""

    seed: Seed = 0
    steps: Count = 1500
    batch_size: Count = 128
    learning_rate: Positive = 2e-3
    warmup_steps: int = Field(default=100, ge=0)
    final_rate: float = Field(default=0.1, ge=0.0, le=1.0)
    weight_decay: float = Field(default=0.01, ge=0.0)
    beta2: float = Field(default=0.98, gt=0.0, lt=1.0)


class SelectConfig(Section):
    """Prompts, for training and for evaluation alike, by what the base makes of them (exact masses)."""

    success: tuple[float, float] = (0.0, 1.0)
    """The least and the largest P(right)."""
    optimal: tuple[float, float] = (0.0, 1.0)
    """The same of the mass of answers with reward 1."""
    dominance: float = Field(default=0.0, ge=0.0)
    """Right answers with a lower reward must have at least this many times the mass of those with reward 1."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for field in ("success", "optimal"):
            least, most = getattr(self, field)
            if not 0.0 <= least <= most <= 1.0:
                raise ValueError(f"{field} must be [least, largest], from 0 to 1; got {[least, most]}")
        return self


class EvaluateConfig(Section):
    """Exact evaluation on held-out prompts."""

    prompts: int = Field(default=300, ge=2)
    every: Count = 20
    """Steps between evaluations; also between the points a killed run goes on from."""
    also: tuple[Count, ...] = ()
    """Further steps after which to evaluate: early ones, where most is gained and lost."""
    temperatures: tuple[Temperature, ...] = (1.0,)
    """Each checkpoint is scored at each; must hold 1.0."""
    wise: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = ()
    """The final weights are also scored interpolated with the base's, at these alphas (1 would be the final ones)."""
    entropy_samples: Count = 4
    """Completions a prompt for the token entropy."""
    train_prompts: int = Field(default=0, ge=0)
    """So many of the training prompts are scored too."""
    avoid: int = Field(default=0, ge=0)
    """Score other prompts than an evaluation of this many would: prompts to tune on; [tune] sets it."""

    def at(self, step: int, last: int) -> bool:
        """Whether there is an evaluation after this step of so many."""
        return step % self.every == 0 or step in self.also or step == last

    def count(self, steps: int) -> int:
        """How many evaluations a run of so many steps has, that of its base among them."""
        return 1 + sum(self.at(step, steps) for step in range(1, steps + 1))

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if 1.0 not in self.temperatures or len(set(self.temperatures)) < len(self.temperatures):
            raise ValueError(f"temperatures must hold 1.0 and not repeat; got {list(self.temperatures)}")
        return self


class Recipe(Section):
    """One experiment in the lab."""

    format_version: Literal[1] = FORMAT_VERSION
    name: str = Field(default="lab", min_length=1)
    task: AnyTask = Line()
    model: ModelConfig = ModelConfig()
    pretrain: PretrainConfig = PretrainConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    select: SelectConfig | None = None
    compare: CompareConfig | None = None
    tune: TuneConfig | None = None

    def arms(self) -> dict[str, TrainConfig]:
        """The [train] section of each arm of the comparison. Raises InputError for one that [train] does not allow."""
        return {} if self.compare is None else self.compare.settings(self.train)

    @model_validator(mode="after")
    def _arms_are_sound(self) -> Self:
        for name, train in self.arms().items():
            if train.policy == "tabular" and not self.evaluate.train_prompts:
                raise ValueError(f"arm {name!r} is tabular and knows training prompts only: set evaluate.train_prompts")
            if train.policy == "tabular" and self.tune is not None and "learning_rate" not in self._own_keys(name):
                raise ValueError(f"arm {name!r} is tabular, and [tune] scores held-out prompts: set its learning_rate")
            if self.evaluate.train_prompts > train.prompts:
                raise ValueError(
                    f"evaluate.train_prompts must not exceed train.prompts; got {self.evaluate.train_prompts} and "
                    f"{train.prompts}"
                )
        return self

    @model_validator(mode="after")
    def _tunes_apart(self) -> Self:
        if self.tune is None:
            return self
        if self.compare is None:
            raise ValueError("[tune] needs a [compare] section: it sets the learning rates of its arms")
        if set(self.tune.bases) & set(self.compare.bases) or self.tune.seed in self.compare.seeds:
            raise ValueError("[tune] needs bases and a seed of its own, none of [compare]'s")
        return self

    def _own_keys(self, arm: str) -> set[str]:
        return set(self.compare.arms.get(arm, {})) if self.compare else set()

    def base_digest(self) -> str:
        """Names the base: changes with what demonstrations are made of, the model and pre-training: nothing else."""
        return digest(self.task.pretraining(), self.model, self.pretrain)
