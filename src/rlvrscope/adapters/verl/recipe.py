"""The recipe of a verl run: the schema of its TOML file. Neither verl nor torch here."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from rlvrscope.config import Section
from rlvrscope.objectives import objective_from
from rlvrscope.objectives.objective import Objective
from rlvrscope.objectives.recipe_field import ObjectiveField

FORMAT_VERSION = 1
Instruction = Literal["user", "system", "none"]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Positive = Annotated[float, Field(gt=0.0)]
TopP = Annotated[float, Field(gt=0.0, le=1.0)]


class TaskConfig(Section):
    """Problems: a task of `rlvrscope tasks list`, or a file."""

    task: str = Field(min_length=1)
    split: str | None = None
    count: Count | None = None
    source: str | None = None
    """Folder with a copy of the data set's repository, read instead of the hub."""


class DataConfig(Section):
    """[data]: problems to train on and to validate on, and how they are asked."""

    train: TaskConfig
    validation: TaskConfig
    instruction: Instruction = "user"
    """Message that asks for steps and a boxed answer: the question's own, the system message, or none. verl applies
    the model's chat template."""
    max_prompt_tokens: Count = 1024
    """Problems with longer prompts are left out by verl."""
    max_response_tokens: Count = 3072


class TrainConfig(Section):
    """[train]: AdamW with a constant rate, as verl has it."""

    prompts_per_step: Count = 1024
    group_size: Count = 8
    minibatch_prompts: Count = 256
    """Prompts per update; a step has prompts_per_step / minibatch_prompts of them."""
    steps: Count = 140
    learning_rate: Positive = 1e-6
    gradient_clip: Positive = 1.0
    temperature: Positive = 1.0
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.prompts_per_step % self.minibatch_prompts:
            raise ValueError(
                f"prompts_per_step must be a multiple of minibatch_prompts; got {self.prompts_per_step} and "
                f"{self.minibatch_prompts}"
            )
        return self


class EvaluateConfig(Section):
    """[evaluate]: samples of the validation problems before training and at regular steps."""

    every: Count = 20
    samples: Count = 4
    temperature: Positive = 0.6
    top_p: TopP = 0.95


class CheckpointConfig(Section):
    """[checkpoint]: verl's checkpoint at regular steps, and with `model` the weights as transformers reads them."""

    every: Count = 20
    model: bool = True
    bank: str | None = None
    """Bank of `rlvrscope probe build`, scored on the driver after each checkpoint; needs `model`."""

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if self.bank is not None and not self.model:
            raise ValueError("bank needs model = true: the probe reads the weights that transformers reads")
        return self


class ClusterConfig(Section):
    """[cluster]: hardware, and verl's own settings for it."""

    nodes: Count = 1
    gpus_per_node: Count = 8
    rollout: str = "vllm"
    """verl's rollout engine."""
    tensor_parallel: Count = 1
    """GPUs of one rollout engine."""
    tokens_per_gpu: Count = 16384
    """Tokens of a micro-batch on one GPU."""
    overrides: tuple[str, ...] = ()
    """Further hydra overrides, applied last: "trainer.logger=[console,file,wandb]"."""

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node


class VerlRecipe(Section):
    """A recipe of a verl run."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    format_version: int = FORMAT_VERSION
    name: str = Field(default="verl", min_length=1)
    model: str = Field(min_length=1)
    """A folder as `save_pretrained` writes it, or a model of the hub."""
    objective: ObjectiveField = Field(default_factory=lambda: objective_from("grpo"))
    data: DataConfig
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    cluster: ClusterConfig = ClusterConfig()

    @field_validator("format_version")
    @classmethod
    def _is_current(cls, version: int) -> int:
        if version != FORMAT_VERSION:
            raise ValueError(f"must be {FORMAT_VERSION}; got {version}")
        return version

    @model_validator(mode="after")
    def _fits(self) -> Self:
        objective: Objective = self.objective
        if self.train.group_size < objective.min_group_size:
            raise ValueError(
                f"train.group_size must be at least {objective.min_group_size} for objective {objective.name!r}; got "
                f"{self.train.group_size}"
            )
        rollouts = self.train.minibatch_prompts * self.train.group_size
        if rollouts % self.cluster.gpus:
            raise ValueError(
                f"train.minibatch_prompts x train.group_size = {rollouts} rollouts must divide among the "
                f"{self.cluster.gpus} GPUs of [cluster]"
            )
        if self.cluster.gpus % self.cluster.tensor_parallel:
            raise ValueError(
                f"cluster.tensor_parallel must divide the {self.cluster.gpus} GPUs; got {self.cluster.tensor_parallel}"
            )
        return self
