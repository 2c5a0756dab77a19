"""The recipe of a lab experiment: the schema of its TOML file. No torch here."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from rlvrscope.config import Section, digest, parse
from rlvrscope.lab.tasks import AnyTask, Line, TextTask, TokenTasks
from rlvrscope.objectives import Objective, objective_from
from rlvrscope.objectives.recipe_field import ObjectiveField
from rlvrscope.seeding import generator

FORMAT_VERSION = 2
BOUNDARY_K = 256
"""k of the pass@k that measures the boundary. 256 samples miss a completion of mass 1/256 with probability .37."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # names become folders


MAX_COUNT = 10_000_000
"""Largest number of steps, prompts, rollouts and the like."""
MAX_PROMPTS = 1_000_000
MAX_LIST = 10_000
"""Length of a list."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Positive = Annotated[float, Field(gt=0.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Temperature = Annotated[float, Field(ge=0.01, le=100.0)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]


class ModelConfig(Section):
    """[model]: size of the transformer."""

    width: int = Field(default=96, ge=1, le=1 << 16)
    layers: int = Field(default=2, ge=1, le=1 << 10)
    heads: Count = 4

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads; got width {self.width}, heads {self.heads}")
        return self


class PretrainedConfig(Section):
    """[model]: a pretrained causal language model, instead of a transformer that is trained from scratch."""

    pretrained: str = Field(min_length=1)
    """A folder as `save_pretrained` writes it, or a model of the hub (NAME or NAME@REVISION)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of rollouts and updates (autocast; weights stay float32). Evaluations are always in float32."""


def _model_kind(model: Any) -> str:
    pretrained = "pretrained" in model if isinstance(model, dict) else isinstance(model, PretrainedConfig)
    return "pretrained" if pretrained else "from scratch"


AnyModel = Annotated[
    Annotated[ModelConfig, Tag("from scratch")] | Annotated[PretrainedConfig, Tag("pretrained")],
    Discriminator(_model_kind),
]
"""Schema of [model]: `pretrained`, or the size of a transformer."""


class PretrainConfig(Section):
    """[pretrain]: supervised training of a base on demonstrations; AdamW, linear warm-up and decay to `final_rate`."""

    seed: Seed = 0
    steps: Count = 1500
    batch_size: Count = 128
    learning_rate: Positive = 2e-3
    warmup_steps: int = Field(default=100, ge=0, le=MAX_COUNT)
    final_rate: float = Field(default=0.1, ge=0.0, le=1.0)
    weight_decay: float = Field(default=0.01, ge=0.0)
    beta2: float = Field(default=0.98, gt=0.0, lt=1.0)


class SwitchConfig(Section):
    """A second objective, used from some step on."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    objective: ObjectiveField
    at: Count | Literal["saturation", "exploration"]
    """First step with it, or the step after the token entropy stopped falling (`rlvrscope.monitor.saturation`), or
    after the stage monitor read exploration (`rlvrscope.monitor.stage`) from telemetry, the group ledger and, where
    training prompts are scored, exact masses."""


class BaseClasses(Section):
    """Prompts that are trained differently by the base's success on them: exact, the mass of its correct completions.

    Mastered prompts (success at or above `mastered`) are the only ones that the anchor is drawn from, and get no policy
    gradient. The KL term, if the objective has one, counts on prompts within `boundary` only, whose rare correct
    answers would be lost. Source: PBA, arXiv 2607.20543 (.6, and below .1 with pass@256 above .4, which is [.002, .1]);
    without the KL term, DPH-RL's forward KL, arXiv 2509.07430.
    """

    mastered: float = Field(gt=0.0, le=1.0)
    boundary: tuple[Share, Share] = (0.0, 1.0)
    """Least and largest success."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.boundary[0] > self.boundary[1]:
            raise ValueError(f"boundary must be [least, largest]; got {list(self.boundary)}")
        return self


class TrainConfig(Section):
    """[train]: reinforcement learning from a base, by AdamW (0.9, 0.95) with a constant rate after warm-up."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    objective: ObjectiveField = Field(default_factory=lambda: objective_from("grpo"))
    arm: str = ""
    """Name of these settings in a comparison; empty: the name of the objective."""
    then: SwitchConfig | None = None
    seed: Seed = 0
    base: Seed = 0
    """Number of the base; its seed, if it is trained from scratch. Runs on different bases draw different prompts and
    rollouts. Set by comparisons."""
    steps: Count = 200
    prompts: int = Field(default=2000, ge=1, le=MAX_PROMPTS)
    """Number of distinct training prompts; each epoch visits them in a new order."""
    prompts_per_step: Count = 32
    group_size: int = Field(default=8, ge=2, le=MAX_COUNT)
    minibatches: Count = 2
    """Updates per epoch over the rollouts of a step."""
    epochs: Count = 1
    learning_rate: Positive = 1e-4
    warmup_steps: int = Field(default=10, ge=0, le=MAX_COUNT)
    gradient_clip: Positive = 1.0
    temperature: Temperature = 1.0
    """Temperature of the rollouts. They are off-policy if it differs from loss_temperature, or if top_p < 1."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    loss_temperature: Temperature = 1.0
    """Temperature of the log-probabilities in the loss. TRL and verl set it to the rollout temperature: rollouts are
    then on-policy for the loss, but not for the policy that is evaluated, at temperature 1."""
    entropy_coef: Share = 0.0
    """Coefficient of a bonus on the mean token entropy, nats."""
    anchor_coef: float = Field(default=0.0, ge=0.0, le=100.0)
    """Coefficient of a supervised loss: negative log-likelihood of correct completions sampled from the base, one
    per prompt, on as many random prompts as a minibatch has."""
    pull: float = Field(default=0.0, ge=0.0, le=1e4)
    """Decoupled pull to the base: after every update, weights <- weights - rate x pull x (weights - base's weights)."""
    base_classes: BaseClasses | None = None
    """None: all prompts are trained alike."""
    gradient: Literal["sampled", "exact"] = "sampled"
    """exact: the expected update over all groups, from the enumerated correct completions; no sampling, no clipping."""
    policy: Literal["shared", "tabular"] = "shared"
    """tabular: instead of the network, one softmax per training prompt over its correct answers and one action for all
    wrong ones, initialised with the base's masses."""
    keep_weights: bool = True
    """False: the final checkpoint holds no weights. Set by tuning on pretrained models, to save space."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """sgd: plain gradient steps, for a tabular policy only."""

    @property
    def label(self) -> str:
        return self.arm or self.objective.name

    @property
    def _objectives(self) -> list[Objective]:
        return [self.objective, *([self.then.objective] if self.then else [])]

    @property
    def plain_rollouts(self) -> bool:
        """Whether rollouts are samples of the policy that is evaluated, at temperature 1."""
        return self.temperature == self.loss_temperature == self.top_p == 1.0

    @property
    def off_policy(self) -> bool:
        """Whether rollouts are samples of another distribution than the one that is differentiated."""
        return self.temperature != self.loss_temperature or self.top_p < 1.0

    def stream(self, *keys: str | int) -> np.random.Generator:
        """Return the random generator of (seed, base, keys)."""
        return generator(self.seed, "base", self.base, *keys)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.prompts_per_step % self.minibatches:
            raise ValueError(
                f"prompts_per_step must be a multiple of minibatches; got {self.prompts_per_step}, {self.minibatches}"
            )
        if self.prompts_per_step > self.prompts:
            raise ValueError(f"prompts_per_step ({self.prompts_per_step}) must not exceed prompts ({self.prompts})")
        for objective in self._objectives:
            if self.group_size < objective.min_group_size:
                minimum = f"at least {objective.min_group_size} for objective {objective.name!r}"
                raise ValueError(f"group_size must be {minimum}; got {self.group_size}")
        return self

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        sampled_network = (self.gradient, self.policy) == ("sampled", "shared")
        required = {"epochs": 1, "entropy_coef": 0.0, "anchor_coef": 0.0}
        required |= {"pull": 0.0} if self.policy == "tabular" else {}
        required |= {"temperature": 1.0, "top_p": 1.0, "loss_temperature": 1.0}
        for field, value in required.items():
            if not sampled_network and getattr(self, field) != value:
                raise ValueError(f"{field} must be {value:g} with an exact gradient or a tabular policy")
        if not sampled_network and any(objective.kl_coef > 0.0 for objective in self._objectives):
            raise ValueError("objective.kl_coef must be 0 with an exact gradient or a tabular policy: no term for it")
        for objective in self._objectives:
            if not sampled_network and objective.reads is not None:
                raise ValueError(f"objective {objective.name!r} reads {objective.reads}: sample rollouts of a network")
        if self.base_classes is not None and not (sampled_network and self.anchor_coef > 0.0):
            raise ValueError("base_classes needs anchor_coef above 0, sampled gradients and a network")
        if self.policy == "shared" and self.optimizer == "sgd":
            raise ValueError("optimizer must be 'adamw' for a network; 'sgd' is for policy = 'tabular'")
        if self.learning_rate * self.pull > 1.0:
            raise ValueError(f"learning_rate x pull must be at most 1; got {self.learning_rate * self.pull:g}")
        if self.policy == "tabular" and self.then is not None:
            raise ValueError("then must be left out with a tabular policy, which keeps to one objective")
        return self


class SelectConfig(Section):
    """[select]: prompts for training and evaluation, selected by exact masses under the base."""

    success: tuple[float, float] = (0.0, 1.0)
    """Smallest and largest probability of a correct completion."""
    optimal: tuple[float, float] = (0.0, 1.0)
    """Smallest and largest mass of completions with reward 1."""
    dominance: float = Field(default=0.0, ge=0.0)
    """Least ratio of the mass of correct completions with reward below 1 to that of completions with reward 1."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for field in ("success", "optimal"):
            least, most = getattr(self, field)
            if not 0.0 <= least <= most <= 1.0:
                raise ValueError(f"{field} must be [least, largest], from 0 to 1; got {[least, most]}")
        return self


class EvaluateConfig(Section):
    """[evaluate]: exact evaluation on held-out prompts."""

    prompts: int = Field(default=300, ge=2, le=MAX_PROMPTS)
    every: Count = 20
    """Steps between evaluations, which are also the points that a killed run resumes from."""
    also: tuple[Count, ...] = Field(default=(), max_length=MAX_LIST)
    """Further steps after which to evaluate."""
    temperatures: tuple[Temperature, ...] = Field(default=(1.0,), max_length=100)
    """Temperatures at which each evaluation scores the model; must contain 1.0."""
    wise: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = Field(default=(), max_length=100)
    """Alphas at which weights between the base (0) and the final model (1) are scored as well."""
    entropy_samples: Count = 4
    """Completions per prompt for the token entropy."""
    train_prompts: int = Field(default=0, ge=0, le=MAX_PROMPTS)
    """Number of training prompts that are scored as well."""
    avoid: int = Field(default=0, ge=0, le=MAX_PROMPTS)
    """Exclude the prompts that an evaluation of this many would use, so that tuning has its own. Set by [tune]."""

    def at(self, step: int, last: int) -> bool:
        """Whether a run of `last` steps is evaluated after this step."""
        return step % self.every == 0 or step in self.also or step == last

    def count(self, steps: int) -> int:
        """Number of evaluations in a run, including that of its base."""
        others = {step for step in (*self.also, steps) if step % self.every and step <= steps}
        return 1 + steps // self.every + len(others)

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if 1.0 not in self.temperatures or len(set(self.temperatures)) < len(self.temperatures):
            raise ValueError(f"temperatures must hold 1.0 and not repeat; got {list(self.temperatures)}")
        return self


class TuneConfig(Section):
    """[tune]: each arm's learning rate, chosen from one grid on separate bases, seed and prompts.

    Candidates are the rates that raise pass@1 by the largest declared gain on every base (if there are none, the rate
    with the largest gain is chosen). The best candidate has the highest pass@256, averaged over gains from the smallest
    to the largest declared one. Among candidates within one standard error of the best, the one with the largest gain
    is chosen. An arm that sets its own learning rate is not tuned.
    """

    rates: tuple[Positive, ...] = Field(min_length=2, max_length=100)
    bases: tuple[Seed, ...] = Field(default=(1000, 1001), min_length=1, max_length=MAX_LIST)
    seed: Seed = 1000
    prompts: int = Field(default=150, ge=2, le=MAX_PROMPTS)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if list(self.rates) != sorted(set(self.rates)):
            raise ValueError(f"rates must rise; got {list(self.rates)}")
        if len(set(self.bases)) < len(self.bases):
            raise ValueError(f"bases must not repeat; got {list(self.bases)}")
        return self


class CompareConfig(Section):
    """[compare]: runs to compare, bases x RL seeds x arms. An arm is a name and the [train] settings it changes."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    objectives: tuple[ObjectiveField, ...] = ()
    """One arm per objective, named after it."""
    arms: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Further arms: the [train] keys that each changes, by name."""
    bases: tuple[Seed, ...] = Field(default=(0,), min_length=1, max_length=MAX_LIST)
    """Bases, by seed of pre-training. A pretrained model is one base: its numbers stand for different training prompts
    and rollouts."""
    seeds: tuple[Seed, ...] = Field(default=(0, 1), min_length=1, max_length=MAX_LIST)
    """Seeds of RL."""
    gains: tuple[Positive, ...] = Field(default=(0.02,), min_length=1)
    """Gains in pass@1 over the base at which arms are compared, declared before the runs."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Pairs of arms to compare, [arm, reference]; empty: every arm against the first."""

    @property
    def labels(self) -> list[str]:
        """Names of the arms, in order."""
        return [*(objective.name for objective in self.objectives), *self.arms]

    @property
    def paired(self) -> list[tuple[str, str]]:
        """Pairs (arm, reference) to compare."""
        first, *others = self.labels
        return list(self.pairs) or [(arm, first) for arm in others]

    def settings(self, train: TrainConfig) -> dict[str, TrainConfig]:
        """Return the [train] section of each arm. Raises InputError, naming the arm, for bad settings."""
        common = train.model_dump()
        settings = {
            objective.name: parse({**common, "objective": objective}, TrainConfig, f"arm {objective.name!r}")
            for objective in self.objectives
        }
        for name, changes in self.arms.items():
            for key in ("arm", "seed", "base"):
                if key in changes:
                    raise ValueError(f"arm {name!r}: {key} is set by the comparison. Remove it.")
            settings[name] = parse({**common, **changes, "arm": name}, TrainConfig, f"arm {name!r}")
        return settings

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not self.labels:
            raise ValueError("objectives or arms must name what to compare; both are empty")
        for field, values in (
            ("bases", self.bases),
            ("seeds", self.seeds),
            ("the names of objectives and arms", self.labels),
            ("pairs", self.pairs),
        ):
            if len(set(values)) < len(values):
                raise ValueError(f"{field} must not repeat; got {list(values)}")
        if len({name.lower() for name in [*self.labels, "base"]}) <= len(self.labels):
            raise ValueError(f"names of arms must differ by more than case, and 'base' is reserved; got {self.labels}")
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
    """A recipe of the lab: one run, or with [compare] an experiment of many."""

    format_version: int = FORMAT_VERSION
    name: str = Field(default="lab", min_length=1)
    task: AnyTask = Line()
    model: AnyModel = ModelConfig()
    pretrain: PretrainConfig | None = PretrainConfig()
    """None for a pretrained model."""
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    select: SelectConfig | None = None
    compare: CompareConfig | None = None
    tune: TuneConfig | None = None

    @field_validator("format_version")
    @classmethod
    def _is_current(cls, version: int) -> int:
        if version != FORMAT_VERSION:
            age = "an earlier" if version < FORMAT_VERSION else "a newer"
            raise ValueError(
                f"must be {FORMAT_VERSION}; got {version}: written by {age} version of this program. "
                "Run the recipe again into a new folder."
            )
        return version

    @model_validator(mode="before")
    @classmethod
    def _no_pretraining(cls, values: Any) -> Any:
        """A pretrained model has no [pretrain]."""
        if not isinstance(values, dict) or _model_kind(values.get("model")) != "pretrained":
            return values
        if values.get("pretrain") is not None:
            raise ValueError("[pretrain] is for a transformer trained from scratch, and model.pretrained is set")
        return {**values, "pretrain": None}

    @model_validator(mode="after")
    def _task_has_its_model(self) -> Self:
        if isinstance(self.task, TextTask) != isinstance(self.model, PretrainedConfig):
            needed = "a text task, such as mul" if isinstance(self.model, PretrainedConfig) else "model.pretrained"
            raise ValueError(f"task {self.task.name!r} and this [model] don't go together: {needed} is needed")
        return self

    def arms(self) -> dict[str, TrainConfig]:
        """Return the [train] section of each arm of [compare]."""
        return {} if self.compare is None else self.compare.settings(self.train)

    @model_validator(mode="after")
    def _arms_are_sound(self) -> Self:
        for name, train in self.arms().items():
            if train.policy == "tabular" and not self.evaluate.train_prompts:
                raise ValueError(f"arm {name!r} is tabular and has training prompts only: set evaluate.train_prompts")
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
            raise ValueError("[tune] needs bases and a seed that [compare] does not use")
        return self

    def _own_keys(self, arm: str) -> set[str]:
        return set(self.compare.arms.get(arm, {})) if self.compare else set()

    def base_digest(self) -> str:
        """Digest of the settings that determine a base trained from scratch: demonstrations, model, pre-training."""
        assert self.pretrain is not None
        return digest(self.token_task.pretraining(), self.model, self.pretrain)

    @property
    def token_task(self) -> TokenTasks:
        """The task of a base that is trained from scratch."""
        assert not isinstance(self.task, TextTask)  # a text task needs a pretrained model
        return self.task

    @property
    def base_number(self) -> int:
        """Number of the base of a single run."""
        return self.train.base if self.pretrain is None else self.pretrain.seed
