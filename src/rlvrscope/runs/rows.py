"""Rows of a run: one type per file of the run folder, and the names other trainers give to the same metrics.

A metric that is not defined or was not logged is NaN. JSON has no NaN, so the keys of metrics that are not finite are
left out of a row, and a key that is absent or null is read as NaN. Unknown keys are refused.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    model_validator,
)

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError

NAN = math.nan


TOLERANCE = 1e-4
"""Distance from 0 and 1 within which a share counts as one: masses are sums of products of float32 numbers."""


def _vector(values: Any) -> Floats:
    plain = isinstance(values, np.ndarray) or (
        isinstance(values, list | tuple) and all(type(value) in (int, float) for value in values)
    )
    try:
        vector_P = np.asarray(values if plain else [], dtype=np.float64)
    except OverflowError:
        raise ValueError("must be a list of finite numbers, not empty") from None
    if vector_P.ndim != 1 or not len(vector_P) or not np.isfinite(vector_P).all():
        raise ValueError("must be a list of finite numbers, not empty")
    return vector_P


def _probabilities(values: Any) -> Floats:
    vector_P = _vector(values)
    if vector_P.min() < 0.0 or vector_P.max() > 1.0:
        raise ValueError("must be a list of probabilities")
    return vector_P


def _masses(values: Any) -> Floats:
    vector_P = _vector(values)
    if vector_P.min() < -TOLERANCE or vector_P.max() > 1.0 + TOLERANCE:
        raise ValueError("must be a list of masses from 0 to 1")
    return vector_P


def _metric(low: float = -math.inf, high: float = math.inf) -> BeforeValidator:
    """Null is NaN. In a file, numbers must be finite and in range; a run that measures another number goes on."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return NAN
        if info.mode != "json" or isinstance(value, bool) or not isinstance(value, int | float):
            return value
        if not max(low - TOLERANCE, -MAX_METRIC) <= value <= min(high + TOLERANCE, MAX_METRIC):
            raise ValueError(f"must be a finite number{_range(low, high)}; got {value!r:.40}")
        return value

    return BeforeValidator(check)


def _range(low: float, high: float) -> str:
    if high < math.inf:
        return f" from {low:g} to {high:g}"
    return f" of at least {low:g}" if low > -math.inf else ""


_to_list = PlainSerializer(lambda vector_P: vector_P.tolist())
_finite_or_none = PlainSerializer(lambda value: value if math.isfinite(value) else None)
Metric = Annotated[float, _metric(), _finite_or_none]
Share = Annotated[float, _metric(0.0, 1.0), _finite_or_none]
AtLeastZero = Annotated[float, _metric(0.0), _finite_or_none]
Vector = Annotated[Floats, PlainValidator(_vector), _to_list]
Probabilities = Annotated[Floats, PlainValidator(_probabilities), _to_list]
Masses = Annotated[Floats, PlainValidator(_masses), _to_list]
MAX_METRIC = sys.float_info.max
MAX_COUNT = 2**53
"""Largest step or count that a row may hold."""


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Row(_Values):
    """A row of NAME.jsonl; `step` counts training steps from 1, 0 is the model before training."""

    FILE: ClassVar[str]
    step: int = Field(ge=0, le=MAX_COUNT)


class TelemetryRow(Row):
    """One training step, from its rollouts and its updates. No times: the same recipe gives the same bytes.

    Diagnostics of the updates are means over the step's minibatches that had a rollout to train on (`ratio_max`: the
    largest), NaN if none had. Entropies and divergences are in nats per token.
    """

    FILE = "telemetry"
    objective: str | None = None
    """Objective of this step, where a run changes it."""
    reward: Metric = NAN
    """Mean reward of the rollouts; NaN for an update with the rollouts of an earlier step."""
    entropy: Metric = NAN
    """Mean entropy of the next-token distribution over the rollouts' tokens, at temperature 1."""
    answer_entropy: Metric = NAN
    """Entropy over whole answers, nats per prompt: tabular policies only."""
    all_correct_share: Share = NAN
    """Share of groups in which every rollout is correct."""
    all_wrong_share: Share = NAN
    equal_reward_share: Share = NAN
    """Share of groups whose rewards are all equal, so that a relative advantage is zero."""
    positive_share: Share = NAN
    """Share of rollouts with a positive advantage."""
    positive_norm: AtLeastZero = NAN
    """Root mean square of max(advantage, 0) over the rollouts."""
    negative_share: Share = NAN
    negative_norm: AtLeastZero = NAN
    loss: Metric = NAN
    """Policy loss without anchor and entropy bonus."""
    actor_entropy: Metric = NAN
    """Entropy on the completions that an update was made from, those of nonzero advantage."""
    ratio_max: Metric = NAN
    clip_low_fraction: Share = NAN
    clip_high_fraction: Share = NAN
    dual_clip_fraction: Share = NAN
    reference_kl: Metric = NAN
    """KL(policy || reference) on the tokens of an update, where the objective has a KL term."""
    sampler_kl: Metric = NAN
    """KL(sampler || old policy), where rollouts come from another distribution than the trained one."""
    anchor_loss: Metric = NAN
    grad_norm: AtLeastZero = NAN
    """Norm of the gradient before clipping."""
    kl: Metric = NAN
    """KL(policy || base) estimated on the rollouts; NaN where they are not samples of the policy."""


class LedgerRow(Row):
    """What the rewards of one step's groups tell (`rlvrscope.monitor.GroupLedger`)."""

    FILE = "ledger"
    groups: int = Field(ge=1, le=MAX_COUNT)
    group_size: int = Field(ge=1, le=MAX_COUNT)
    pass_at_1: Share
    """Share of right rollouts."""
    pass_at_group: Share
    """Share of groups with a right rollout: pass@G, for G the group's size."""
    pass_hat_group: Share
    """Share of groups in which all rollouts are right."""
    levels: dict[float, float] = Field(default_factory=dict)
    """Share of the rollouts at each reward level; empty for continuous rewards."""
    top_level: Metric = NAN
    """The highest reward so far."""
    top_at_group: Share = NAN
    """Share of groups with a rollout at the highest reward so far."""
    returned: int = 0
    """Prompts that were visited before."""
    gained: int = 0
    """Those of them with a right rollout now and none at their last visit."""
    lost: int = 0


class ClassMass(_Values):
    """Mass of one class of stored completions under a model."""

    prompts: int
    log_mass: Metric
    """Mean over prompts of the log of the class's stored mass, nats."""
    log_mass_error: Metric
    """Standard error over prompts."""
    mass: Metric
    """Mean over prompts of the stored mass."""
    left: Metric = NAN
    """Share of the class's mass under the base that is left."""
    left_error: Metric = NAN
    flow: Metric = NAN
    """Change of log_mass per step since the row before."""


class ProbeRow(Row):
    """A mass probe of the model after `step` (`rlvrscope.monitor.MassProbe`)."""

    FILE = "probe"
    classes: dict[str, ClassMass]
    rare_log_mass: Metric = NAN
    """log_mass of the base's rare right answers, which the stage monitor reads."""


class TimingRow(Row):
    """Times of one training step, in seconds. A separate file, because times differ from run to run."""

    FILE = "timing"
    sample: AtLeastZero = NAN
    reference: AtLeastZero = NAN
    update: AtLeastZero = NAN
    evaluate: AtLeastZero = NAN
    cpu: AtLeastZero = NAN
    """Processor time of the training step, all threads; the phases above are wall time."""

    PHASES: ClassVar[tuple[str, ...]] = ("sample", "reference", "update", "evaluate")


class PromptScores(_Values):
    """Exact scores of one model on P prompts at one temperature.

    `k` is the number of samples that `pass_at_k`, `distinct_P` and `optimal_pass_at_k` refer to.
    """

    temperature: float = Field(gt=0.0, allow_inf_nan=False)
    k: int = Field(ge=1, le=MAX_COUNT)
    pass_at_1: Share
    pass_at_k: Share
    distinct_correct: AtLeastZero
    """Mean of `distinct_P`."""
    success_P: Probabilities
    """Probability of a correct completion."""
    distinct_P: Vector
    """Expected number of different correct completions in k samples."""
    mass: dict[str, Masses]
    """Probability mass on correct completions by class, (P,) each: dominant, other and rare under the base."""
    optimal_pass_at_k: Share = NAN
    optimal_P: Probabilities | None = None
    """Probability of a completion with reward 1; None where rewards are not graded."""
    unlisted_P: Probabilities | None = None
    """Upper bound on the probability of right answers spelled in other tokens than those that were scored.

    None where all spellings were.
    """

    @model_validator(mode="after")
    def _same_prompts(self) -> Self:
        optional = {"optimal_P": self.optimal_P, "unlisted_P": self.unlisted_P}
        vectors = {"distinct_P": self.distinct_P, **{f"mass.{name}": values for name, values in self.mass.items()}}
        for name, values_P in {**vectors, **optional}.items():
            if values_P is not None and len(values_P) != len(self.success_P):
                raise ValueError(
                    f"{name} must have a value for each of {len(self.success_P)} prompts; got {len(values_P)}"
                )
        return self


class EvaluationRow(Row):
    """Scores of the model after a step, one entry per temperature, on held-out and (if asked for) training prompts."""

    FILE = "evaluation"
    greedy_accuracy: Share = NAN
    entropy: Metric = NAN
    """Mean entropy of the next-token distribution, nats, at temperature 1."""
    well_formed: Share = NAN
    """Share of sampled completions that have the form of an answer and stop after it: text tasks only."""
    held_out: tuple[PromptScores, ...]
    training: tuple[PromptScores, ...] = ()

    @property
    def rare_log_mass(self) -> float:
        """Mean over training prompts of the log-mass of optimal answers, nats; of rare right ones where rewards are not
        graded; NaN where no training prompts were scored.
        """
        if not self.training:
            return NAN
        scores = at_temperature(self.training)
        mass_P = scores.mass.get("rare") if scores.optimal_P is None else scores.optimal_P
        return NAN if mass_P is None or not (mass_P > 0.0).any() else float(np.log(mass_P[mass_P > 0.0]).mean())


class InterpolationRow(Row):
    """Scores of weights between the base (alpha 0) and the model after `step` (alpha 1)."""

    FILE = "interpolation"
    alpha: float = Field(gt=0.0, lt=1.0)
    held_out: tuple[PromptScores, ...]
    training: tuple[PromptScores, ...] = ()


ROW_TYPES: tuple[type[Row], ...] = (TelemetryRow, LedgerRow, EvaluationRow, TimingRow, InterpolationRow)


def at_temperature(scores: Sequence[PromptScores], temperature: float = 1.0) -> PromptScores:
    """Return the scores at one temperature. Raises InputError, with the scored temperatures, if it was not scored."""
    for score in scores:
        if score.temperature == temperature:
            return score
    scored = [score.temperature for score in scores]
    raise InputError(f"temperature {temperature:g} was not scored; these were: {scored}")


def monitored(row: TelemetryRow, ledger: LedgerRow | None, probe: EvaluationRow | ProbeRow | None) -> dict[str, Any]:
    """One step's rows as the stage monitor reads them."""
    mass = {} if probe is None else {"rare_log_mass": probe.rare_log_mass}
    return row.model_dump() | ({} if ledger is None else ledger.model_dump()) | mass


METRIC_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "reward": {"trl": ("reward",), "verl": ("critic/score/mean", "critic/rewards/mean")},
    "entropy": {"trl": ("entropy",), "verl": ("actor/entropy", "actor/entropy_loss")},
    "equal_reward_share": {"trl": ("frac_reward_zero_std",)},
    "sampler_kl": {"verl": ("rollout_corr/kl", "mismatch/mismatch_kl")},
    "loss": {"trl": ("policy_loss",), "verl": ("actor/pg_loss",)},
    "clip_low_fraction": {"trl": ("clip_ratio/low_mean",)},
    "clip_high_fraction": {"trl": ("clip_ratio/high_mean",)},
    "dual_clip_fraction": {"verl": ("actor/pg_clipfrac_lower",)},
    "reference_kl": {"trl": ("kl",), "verl": ("actor/kl_loss",)},
    "grad_norm": {"trl": ("grad_norm",), "verl": ("actor/grad_norm",)},
}
"""Canonical name of a metric -> its names in the logs of TRL 1.16 and verl 0.9; later ones are those of older versions.

A trainer with our adapter logs further metrics as ADAPTER_PREFIX and the canonical name.
"""
ADAPTER_PREFIX = "rlvrscope/"


def canonical_metrics(logged: Mapping[str, Any], trainer: str) -> dict[str, float]:
    """Return the metrics of a trainer's log entry under their canonical names; names without one are left out.

    trainer: "trl" or "verl". Missing values (None) become NaN.

    >>> canonical_metrics({"frac_reward_zero_std": 0.5, "num_tokens": 7}, "trl")
    {'equal_reward_share': 0.5}
    """
    trainers = sorted({trainer for aliases in METRIC_NAMES.values() for trainer in aliases})
    if trainer not in trainers:
        raise InputError(f"trainer must be one of {', '.join(trainers)}; got {trainer!r}")
    metrics = {}
    for name, aliases in METRIC_NAMES.items():
        present = [alias for alias in aliases.get(trainer, ()) if alias in logged]
        if present:
            value = logged[present[0]]
            metrics[name] = NAN if value is None else float(value)
    return metrics
