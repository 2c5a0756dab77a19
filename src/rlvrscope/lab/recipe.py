"""The recipe of a lab experiment: what the TOML file may say. No torch here."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from rlvrscope.config import Section, digest, parse
from rlvrscope.lab.tasks import AnyTask, Line
from rlvrscope.objectives import Objective, objective_from
from rlvrscope.seeding import generator

FORMAT_VERSION = 1
BOUNDARY_K = 256
"""The k that stands for the boundary: a solution below 1/256 is one that 256 samples will probably miss."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # names become folders


def _objective_table(objective: Objective) -> dict[str, Any]:
    return {field: value for field, value in dataclasses.asdict(objective).items() if value is not None}


ObjectiveField = Annotated[Objective, BeforeValidator(objective_from), PlainSerializer(_objective_table)]
Seed = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
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


class SwitchConfig(Section):
    """Another objective from some moment on."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    objective: ObjectiveField
    at: Count | Literal["saturation"]
    """First step with it, or the step after the token entropy stopped falling (`rlvrscope.monitor.saturation`)."""


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
            if self.group_size < used.min_group_size:
                least = f"at least {used.min_group_size} for objective {used.name!r}"
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


class TuneConfig(Section):
    """The learning rate of each arm: the best of an equal grid, on bases, a seed and prompts of their own.

    A rate must raise pass@1 by the largest of the comparison's gains on every base (where none does, the rate that
    gains most is taken). Of those, the best has the highest pass@256, averaged over gains from the smallest to the
    largest. Rates within one standard error of it are as good; of these the one that gains most is taken. An arm that
    sets its own learning rate is not tuned.
    """

    rates: tuple[Positive, ...] = Field(min_length=2)
    bases: tuple[Seed, ...] = Field(default=(1000, 1001), min_length=1)
    seed: Seed = 1000
    prompts: int = Field(default=150, ge=2)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if list(self.rates) != sorted(set(self.rates)):
            raise ValueError(f"rates must rise; got {list(self.rates)}")
        if len(set(self.bases)) < len(self.bases):
            raise ValueError(f"bases must not repeat; got {list(self.bases)}")
        return self


class CompareConfig(Section):
    """Which runs stand side by side: bases x RL seeds x arms. An arm is a name and the training settings it changes."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    objectives: tuple[ObjectiveField, ...] = ()
    """An arm each, called after its objective."""
    arms: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Further arms: keys of [train] by name."""
    bases: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    """Seeds of pre-training, one base each."""
    seeds: tuple[Seed, ...] = Field(default=(0, 1), min_length=1)
    """Seeds of RL."""
    gains: tuple[Positive, ...] = Field(default=(0.02,), min_length=1)
    """Targets, declared beforehand: arms are compared where each has raised its base's pass@1 by this much."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Which arms are compared, [arm, against]; empty: every arm with the first."""

    @property
    def labels(self) -> list[str]:
        """The arms' names, in order."""
        return [*(objective.name for objective in self.objectives), *self.arms]

    @property
    def paired(self) -> list[tuple[str, str]]:
        """The (arm, against) that are compared."""
        first, *others = self.labels
        return list(self.pairs) or [(arm, first) for arm in others]

    def settings(self, train: TrainConfig) -> dict[str, TrainConfig]:
        """The [train] section of each arm. Raises InputError naming the arm for what [train] does not allow."""
        common = train.model_dump()
        found = {
            own.name: parse({**common, "objective": own}, TrainConfig, f"arm {own.name!r}") for own in self.objectives
        }
        for name, changes in self.arms.items():
            for key in ("arm", "seed", "base"):
                if key in changes:
                    raise ValueError(f"arm {name!r}: {key} is set by the comparison. Leave it out.")
            found[name] = parse({**common, **changes, "arm": name}, TrainConfig, f"arm {name!r}")
        return found

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not self.labels:
            raise ValueError("objectives or arms must say what to compare; both are empty")
        for field, values in (
            ("bases", self.bases),
            ("seeds", self.seeds),
            ("the names of objectives and arms", self.labels),
            ("pairs", self.pairs),
        ):
            if len(set(values)) < len(values):
                raise ValueError(f"{field} must not repeat; got {list(values)}")
        if len({name.lower() for name in [*self.labels, "base"]}) <= len(self.labels):
            raise ValueError(f"arms must differ by more than case, and none be called base; got {self.labels}")
        bad = next((name for name in self.labels if not _NAME.fullmatch(name)), None)
        if bad is not None:
            raise ValueError(f"an arm's name must be letters, digits, '.', '_' and '-'; got {bad!r}")
        for pair in self.pairs:
            if pair[0] == pair[1] or not set(pair) <= set(self.labels):
                raise ValueError(f"pairs must hold two different arms each, of {self.labels}; got {list(pair)}")
        if list(self.gains) != sorted(set(self.gains)) or self.gains[-1] >= 1.0:
            raise ValueError(f"gains must rise, and stay below 1; got {list(self.gains)}")
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
