"""The [train] section of a recipe: reinforcement learning from a base. No torch here."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from massflow.config import Section
from massflow.lab.fields import Count, ObjectiveField, Positive, Seed, Share, Temperature
from massflow.objectives import objective_from
from massflow.seeding import generator


class SwitchConfig(Section):
    """Another objective from some moment on."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    objective: ObjectiveField
    at: Count | Literal["saturation"]
    """The first step with it, or the one after the token entropy has stopped falling (`massflow.lab.switch`)."""


class TrainConfig(Section):
    """Reinforcement learning from a base: AdamW (0.9, 0.95), constant rate after warm-up."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    objective: ObjectiveField = Field(default_factory=lambda: objective_from("grpo"))
    arm: str = ""
    """What a comparison calls these settings; empty: the objective's name."""
    then: SwitchConfig | None = None
    seed: Seed = 0
    base: Seed = 0
    """Runs of one seed on different bases draw different prompts and rollouts; a comparison sets this to the base's."""
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
    """Of the rollouts. Other than loss_temperature, or top_p below 1: from another policy than is differentiated."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    loss_temperature: Temperature = 1.0
    """Of the log-probabilities in the loss. TRL and verl set it to the rollouts' temperature: then rollouts come from
    the policy that is differentiated, but not from the one that is scored, at 1."""
    entropy_coef: Share = 0.0
    """Of a bonus on the mean token entropy, nats."""
    anchor_coef: float = Field(default=0.0, ge=0.0, le=100.0)
    """Of a supervised term: the mean negative log-likelihood of right answers that the base itself gave, one for each
    of as many prompts as a minibatch has, drawn evenly over the prompts that have one."""
    gradient: Literal["sampled", "exact"] = "sampled"
    """exact: the expected update over all groups, from the enumerated right answers; nothing is sampled or clipped."""
    policy: Literal["shared", "tabular"] = "shared"
    """tabular: no network, but one softmax a training prompt over its right answers and, as one more action, all
    wrong ones, started at the base's masses."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """sgd: plain gradient steps, for a table."""

    @property
    def label(self) -> str:
        return self.arm or self.objective.name

    @property
    def plain_rollouts(self) -> bool:
        """Whether rollouts come from the policy as it is evaluated, at temperature 1."""
        return self.temperature == self.loss_temperature == self.top_p == 1.0

    @property
    def off_policy(self) -> bool:
        """Whether rollouts come from another policy than the one that is differentiated."""
        return self.temperature != self.loss_temperature or self.top_p < 1.0

    def stream(self, *keys: str | int) -> np.random.Generator:
        """The random draws of one purpose: of their own for each (seed, base, keys)."""
        return generator(self.seed, "base", self.base, *keys)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.prompts_per_step % self.minibatches:
            raise ValueError(
                f"prompts_per_step must be a multiple of minibatches; got {self.prompts_per_step}, {self.minibatches}"
            )
        if self.prompts_per_step > self.prompts:
            raise ValueError(f"prompts_per_step ({self.prompts_per_step}) must not exceed prompts ({self.prompts})")
        for used in (self.objective, *([self.then.objective] if self.then else [])):
            if self.group_size < used.least_group_size:
                least = f"at least {used.least_group_size} for objective {used.name!r}"
                raise ValueError(f"group_size must be {least}; got {self.group_size}")
        return self

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        plain = {"epochs": 1, "entropy_coef": 0.0, "anchor_coef": 0.0}
        plain |= {"temperature": 1.0, "top_p": 1.0, "loss_temperature": 1.0}
        for field, value in plain.items():
            if (self.gradient, self.policy) != ("sampled", "shared") and getattr(self, field) != value:
                raise ValueError(f"{field} must be {value:g} with an exact gradient or a tabular policy")
        objectives = [self.objective, *([self.then.objective] if self.then else [])]
        if (self.gradient, self.policy) != ("sampled", "shared") and any(own.kl_coef > 0.0 for own in objectives):
            raise ValueError("objective.kl_coef must be 0 with an exact gradient or a tabular policy: no term for it")
        if self.policy == "shared" and self.optimizer == "sgd":
            raise ValueError("optimizer must be 'adamw' for a network; 'sgd' is for policy = 'tabular'")
        if self.policy == "tabular" and self.then is not None:
            raise ValueError("then must be left out with a tabular policy, which keeps to one objective")
        return self
