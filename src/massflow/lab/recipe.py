"""The recipe of a lab experiment: what the TOML file may say. No torch here."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from massflow.config import Section, digest
from massflow.objectives import Objective, objective_from
from massflow.tasks import AnyTask

FORMAT_VERSION = 1
BOUNDARY_K = 256
"""The k that stands for the boundary: a solution below 1/256 is one that 256 samples will probably miss."""


def _objective_table(objective: Objective) -> dict[str, Any]:
    return {field: value for field, value in dataclasses.asdict(objective).items() if value is not None}


ObjectiveField = Annotated[Objective, BeforeValidator(objective_from), PlainSerializer(_objective_table)]
Seed = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0.0)]
Temperature = Annotated[float, Field(ge=0.01, le=100.0)]
Count = Annotated[int, Field(ge=1)]


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


class TrainConfig(Section):
    """Reinforcement learning from a base: AdamW (0.9, 0.95), constant rate after warm-up."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    objective: ObjectiveField = Field(default_factory=lambda: objective_from("grpo"))
    seed: Seed = 0
    steps: Count = 200
    prompts: Count = 2000
    """Different training prompts, drawn again each time they are used up."""
    prompts_per_step: Count = 32
    group_size: int = Field(default=8, ge=2)
    minibatches: Count = 2
    """Updates an epoch over the rollouts of a step."""
    epochs: Count = 1
    learning_rate: Positive = 1e-4
    warmup_steps: int = Field(default=10, ge=0)
    gradient_clip: Positive = 1.0
    temperature: Temperature = 1.0
    """Of the rollouts. Other than 1, or top_p below 1, they come from another policy than the one trained."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.prompts_per_step % self.minibatches:
            raise ValueError(
                f"prompts_per_step must be a multiple of minibatches; got {self.prompts_per_step}, {self.minibatches}"
            )
        if self.prompts_per_step > self.prompts:
            raise ValueError(f"prompts_per_step ({self.prompts_per_step}) must not exceed prompts ({self.prompts})")
        return self


class EvaluateConfig(Section):
    """Exact evaluation on held-out prompts."""

    prompts: int = Field(default=300, ge=2)
    every: Count = 20
    """Steps between evaluations; also between the points a killed run goes on from."""
    temperatures: tuple[Temperature, ...] = (1.0,)
    """Each checkpoint is scored at each; must hold 1.0."""
    entropy_samples: Count = 4
    """Completions a prompt for the token entropy."""

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if 1.0 not in self.temperatures:
            raise ValueError(f"temperatures must hold 1.0; got {list(self.temperatures)}")
        return self


class CompareConfig(Section):
    """Which runs stand side by side: bases x objectives x seeds."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    objectives: tuple[ObjectiveField, ...] = Field(min_length=1)
    bases: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    """Seeds of pre-training, one base each."""
    seeds: tuple[Seed, ...] = Field(default=(0, 1), min_length=1)
    """Seeds of RL."""
    match_gain: Positive = 0.02
    """Objectives are compared where each has raised pass@1 by this much."""

    @model_validator(mode="after")
    def _no_repeats(self) -> Self:
        for field in ("bases", "seeds", "objectives"):
            values = [getattr(value, "name", value) for value in getattr(self, field)]
            if len(set(values)) < len(values):
                raise ValueError(f"{field} must not repeat; got {values}")
        return self


class Recipe(Section):
    """One experiment in the lab."""

    format_version: Literal[1] = FORMAT_VERSION
    name: str = Field(default="lab", min_length=1)
    task: AnyTask = AnyTask()
    model: ModelConfig = ModelConfig()
    pretrain: PretrainConfig = PretrainConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    compare: CompareConfig | None = None

    def base_digest(self) -> str:
        """Names the base: changes with the task, the model and pre-training, and with nothing else."""
        return digest(self.task, self.model, self.pretrain)
