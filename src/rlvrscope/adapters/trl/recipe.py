"""The recipe of a TRL run: the schema of its TOML file. Imports neither TRL nor torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from rlvrscope.config import Section
from rlvrscope.objectives import objective_from
from rlvrscope.objectives.recipe_field import ObjectiveField

FORMAT_VERSION = 1
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]


class ModelConfig(Section):
    """[model]: a folder as `save_pretrained` writes it, or a hub model."""

    pretrained: str = Field(min_length=1)
    dtype: Literal["float32", "bfloat16"] = "float32"
    lora_rank: int = Field(default=0, ge=0)
    """Rank of LoRA adapters on all linear layers; 0 trains all weights."""

    @field_validator("pretrained")
    @classmethod
    def _is_no_gguf(cls, name: str) -> str:
        if name.lower().endswith(".gguf"):
            raise ValueError(f"{name!r} is a GGUF file: convert it first (rlvrscope lab convert {name} --out FOLDER)")
        return name


class TaskConfig(Section):
    """[task]: a text task of the lab, with its settings; or a task or file as `rlvrscope sample` takes it."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(min_length=1)


class TrainConfig(Section):
    """[train]: a step is one batch of rollouts, P x G, from which `updates` optimizer steps are made."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    objective: ObjectiveField = Field(default_factory=lambda: objective_from("grpo"))
    then: dict[Literal["exploitation", "saturated", "exploration"], ObjectiveField] = Field(default_factory=dict)
    """Objective from a stage on, as the stage monitor reads it."""
    stop_on: tuple[str, ...] = ()
    """Stages and alarms at which training stops."""
    steps: Count = 30
    prompts: Count = 300
    """Number of distinct training prompts; each pass visits them in a new order."""
    prompts_per_step: Count = 4
    group_size: int = Field(default=8, ge=2)
    updates: Count = 1
    """Optimizer steps made from each step's rollouts; with more than 1 the later ones are off-policy."""
    batch: Count = 16
    """Rollouts in one forward and backward pass of one process."""
    learning_rate: float = Field(default=1e-6, gt=0.0)
    warmup_steps: int = Field(default=0, ge=0)
    max_tokens: Count = 32
    """Longest completion."""
    stop: tuple[str, ...] = ()
    """A completion ends at a token that begins with one of these; the text tasks of the lab bring theirs."""
    temperature: float = Field(default=1.0, gt=0.0, le=100.0)
    seed: int = Field(default=0, ge=0)
    save_every: Count = 10
    """Steps between checkpoints, from which a killed run resumes."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        rollouts = self.prompts_per_step * self.group_size
        if rollouts % self.updates or rollouts // self.updates % self.batch:
            raise ValueError(
                f"prompts_per_step x group_size = {rollouts} rollouts must divide into {self.updates} updates of whole "
                f"batches of {self.batch}: change batch, updates or the rollouts"
            )
        if self.prompts_per_step > self.prompts:
            raise ValueError(f"prompts_per_step ({self.prompts_per_step}) must not exceed prompts ({self.prompts})")
        for objective in (self.objective, *self.then.values()):
            if self.group_size < objective.min_group_size:
                minimum = f"at least {objective.min_group_size} for objective {objective.name!r}"
                raise ValueError(f"group_size must be {minimum}; got {self.group_size}")
        return self


class EvaluateConfig(Section):
    """[evaluate]: completions of held-out prompts, before training, at every `every`-th step, and at the end."""

    prompts: Count = 50
    samples: Count = 16
    every: Count = 10
    batch: Count = 64
    """Completions generated at a time."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.batch % self.samples and self.samples % self.batch:
            raise ValueError(f"batch and samples must divide one another; got {self.batch} and {self.samples}")
        return self


class ProbeConfig(Section):
    """[probe]: stored completions, scored under the model at every `every`-th step."""

    bank: str | None = None
    """A bank of `rlvrscope probe build`; by default all right answers of some training prompts, for tasks that list
    them."""
    prompts: Count = 50
    every: Count = 5


class TrlRecipe(Section):
    """A run of TRL's GRPOTrainer. grpo: further fields of GRPOConfig, passed on unchanged."""

    format_version: Literal[1] = FORMAT_VERSION
    name: str = Field(default="trl", min_length=1)
    model: ModelConfig
    task: TaskConfig
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig | None = None
    probe: ProbeConfig | None = None
    grpo: dict[str, Any] = Field(default_factory=dict)
