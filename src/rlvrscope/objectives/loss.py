"""The clipped loss: log-probabilities and advantages -> the loss to minimise, with diagnostics."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from rlvrscope.arrays import Array
from rlvrscope.errors import InputError
from rlvrscope.objectives.numeric import MAX_MAGNITUDE, at_least_single, namespace
from rlvrscope.objectives.objective import Objective

MAX_LOG_RATIO = 20.0
"""Log-ratios are clipped to +-20 nats: e^20 = 4.9e8 is finite in float32, and no useful ratio is near it."""
MAX_LOGP = 1e4
"""Log-probabilities are clipped to +-1e4 nats, so that -inf minus -inf is 0, not NaN."""


@dataclass(frozen=True)
class PolicyLoss:
    """A scalar loss, differentiable on torch, and scalar diagnostics without gradient."""

    loss: Array
    diagnostics: dict[str, Array]


def policy_loss(
    logp_BT: Array,
    old_logp_BT: Array,
    advantages: Array,
    mask_BT: Array,
    objective: Objective,
    *,
    ref_logp_BT: Array | None = None,
    sampler_logp_BT: Array | None = None,
    normalizer: float | None = None,
    max_length: int | None = None,
) -> PolicyLoss:
    """Clipped surrogate loss of a batch of completions, to minimise.

        rho = exp(logp - old_logp)                     ratio "token"
        rho = exp(mean_t (logp - old_logp))            ratio "sequence"; the gradient is that of GSPO-token
        J_t = min(rho A, clip(rho, 1 - clip_low, 1 + clip_high) A), and >= dual_clip A where A < 0
        J_t = stop_gradient(clip(rho, ...)) A logp     surrogate "cispo"
        loss = -aggregate(J) + kl_coef aggregate(kl_estimate(logp, ref_logp, kl_estimator))

    logp_BT, old_logp_BT: (B, T), natural log-probabilities of the sampled tokens under the policy that is trained and
    under the one that sampled. advantages: (B,) or (B, T). mask_BT: (B, T), nonzero where a token counts.
    ref_logp_BT: the reference policy's, needed where kl_coef > 0.
    sampler_logp_BT: the sampling engine's own, if they differ from old_logp_BT; reported, not corrected for.
    normalizer: divisor of the sum: tokens for token_mean, completions otherwise; this batch's count by default. Pass
    the whole batch's count with each part of a split batch, and the losses of the parts add up to the whole's.
    Completions of advantage 0 or with an empty mask are counted too.
    max_length: divisor of fixed_length, in tokens; T by default.

    All arrays are NumPy or all torch; gradients flow into logp_BT only. Half precision is computed, and the loss
    returned, in float32. Loss and gradient are finite for any log-probabilities, -inf included.
    diagnostics: ratio_max; clip_low_fraction, clip_high_fraction, dual_clip_fraction (share of the tokens of nonzero
    advantage whose gradient the bound removes or, for cispo, changes); reference_kl, KL(pi || ref), and sampler_kl,
    KL(sampler || old), each the mean k3 `kl_estimate` over tokens.
    Raises InputError for NaN among log-probabilities that count, advantages that are not finite, integer arrays,
    shapes that don't match, or a missing reference. The checks of values synchronise a GPU once per call;
    `policy_loss_unchecked` is the same loss without checks.
    Source: PPO (1707.06347), DeepSeekMath (2402.03300), GSPO (2507.18071, eq. 7 and 14), MiniMax-M1 (2506.13585,
    eq. 4: cispo), Dr. GRPO (2503.20783: fixed_length), dual clip (1912.09729).
    """
    logps = {"logp_BT": logp_BT, "old_logp_BT": old_logp_BT}
    logps |= {} if ref_logp_BT is None else {"ref_logp_BT": ref_logp_BT}
    logps |= {} if sampler_logp_BT is None else {"sampler_logp_BT": sampler_logp_BT}
    xp = namespace([*logps.values(), advantages, mask_BT])
    _check_shapes({**logps, "mask_BT": mask_BT}, advantages)
    for name, values in {**logps, "advantages": advantages}.items():
        if not xp.isdtype(values.dtype, "real floating"):
            raise InputError(f"{name} must be floating point; got {values.dtype}. Convert it first.")
    if ref_logp_BT is None and objective.kl_coef > 0.0:
        raise InputError(f"objective {objective.name!r} has kl_coef {objective.kl_coef:g}: give ref_logp_BT")
    if normalizer is not None and not normalizer > 0.0:
        raise InputError(f"normalizer must be a count above 0; got {normalizer!r}")
    if max_length is not None and not max_length >= 1:
        raise InputError(f"max_length must be at least 1 token; got {max_length}")
    _check_values(xp, logps, advantages, mask_BT != 0)
    return policy_loss_unchecked(
        logp_BT,
        old_logp_BT,
        advantages,
        mask_BT,
        objective,
        ref_logp_BT=ref_logp_BT,
        sampler_logp_BT=sampler_logp_BT,
        normalizer=normalizer,
        max_length=max_length,
    )


def policy_loss_unchecked(
    logp_BT: Array,
    old_logp_BT: Array,
    advantages: Array,
    mask_BT: Array,
    objective: Objective,
    *,
    ref_logp_BT: Array | None = None,
    sampler_logp_BT: Array | None = None,
    normalizer: float | None = None,
    max_length: int | None = None,
) -> PolicyLoss:
    """`policy_loss` without its checks: no device synchronisation, and no graph break under torch.compile.

    Arguments, result and gradients are those of `policy_loss`. Input that it would refuse gives undefined results.
    """
    xp = namespace([logp_BT])
    mask_BT = mask_BT != 0
    logp_BT, old_BT = (_bounded(xp, values, mask_BT) for values in (logp_BT, old_logp_BT))
    advantage_BT = _per_token(xp, advantages, logp_BT)
    ratio_BT = xp.exp(_log_ratio(xp, logp_BT, old_BT, mask_BT, objective))
    cost_BT = -_surrogate(xp, ratio_BT, logp_BT, advantage_BT, objective)
    diagnostics = _clip_diagnostics(xp, _constant(ratio_BT), advantage_BT, mask_BT, objective)
    if ref_logp_BT is not None:
        ref_BT = _bounded(xp, ref_logp_BT, mask_BT)
        diagnostics["reference_kl"] = _token_mean(xp, kl_estimate(_constant(logp_BT), ref_BT), mask_BT)
        cost_BT = cost_BT + objective.kl_coef * kl_estimate(logp_BT, ref_BT, objective.kl_estimator)
    if sampler_logp_BT is not None:
        mismatch_BT = kl_estimate(_bounded(xp, sampler_logp_BT, mask_BT), old_BT)
        diagnostics["sampler_kl"] = _token_mean(xp, mismatch_BT, mask_BT)
    return PolicyLoss(_aggregate(xp, cost_BT, mask_BT, objective, normalizer, max_length), diagnostics)


def kl_estimate(logp_BT: Array, ref_logp_BT: Array, estimator: Literal["k3", "k2"] = "k3") -> Array:
    """Per-token estimate of KL(pi || ref) in nats, from samples of pi; never below 0.

        d = ref_logp - logp,   k3 = exp(d) - 1 - d,   k2 = d^2 / 2

    k3 is unbiased while |d| < 20 (d is clipped there); k2 is unbiased only to second order in d. As a loss on fixed
    samples of pi, what counts is the expected gradient, each token given those before it:

        k3: E[(1 - e^d) grad logp] = grad KL(ref || pi)      k2: E[-d grad logp] = grad KL(pi || ref)

    On samples of another policy neither holds, since the term carries no importance ratio.
    logp_BT, ref_logp_BT: natural log-probabilities of one shape, all NumPy or all torch; returns that shape.
    Raises InputError for a mix of the two.
    Source: DeepSeekMath (arXiv 2402.03300, eq. 4); k2 as a loss: arXiv 2510.01555.
    """
    xp = namespace([logp_BT, ref_logp_BT])
    logp_BT, ref_logp_BT = (xp.clip(values, min=-MAX_LOGP, max=MAX_LOGP) for values in (logp_BT, ref_logp_BT))
    difference_BT = xp.clip(ref_logp_BT - logp_BT, min=-MAX_LOG_RATIO, max=MAX_LOG_RATIO)
    if estimator == "k2":
        return 0.5 * difference_BT**2
    return xp.clip(xp.expm1(difference_BT) - difference_BT, min=0.0)


def _log_ratio(xp: ModuleType, logp_BT: Array, old_BT: Array, mask_BT: Array, objective: Objective) -> Array:
    log_ratio_BT = logp_BT - old_BT
    if objective.ratio == "sequence":
        mean_B1 = xp.sum(_constant(log_ratio_BT), axis=1, keepdims=True) / _lengths(xp, mask_BT, logp_BT.dtype)
        log_ratio_BT = mean_B1 + (logp_BT - _constant(logp_BT))  # adds 0, with the gradient of logp
    return xp.clip(log_ratio_BT, min=-MAX_LOG_RATIO, max=MAX_LOG_RATIO)


def _surrogate(xp: ModuleType, ratio_BT: Array, logp_BT: Array, advantage_BT: Array, objective: Objective) -> Array:
    clipped_BT = xp.clip(ratio_BT, min=1.0 - objective.clip_low, max=1.0 + objective.clip_high)
    if objective.surrogate == "cispo":
        return _constant(clipped_BT) * advantage_BT * logp_BT
    surrogate_BT = xp.minimum(ratio_BT * advantage_BT, clipped_BT * advantage_BT)
    if objective.dual_clip is None:
        return surrogate_BT
    bounded_BT = xp.maximum(surrogate_BT, objective.dual_clip * advantage_BT)
    return xp.where(advantage_BT < 0.0, bounded_BT, surrogate_BT)


def _aggregate(
    xp: ModuleType,
    cost_BT: Array,
    mask_BT: Array,
    objective: Objective,
    normalizer: float | None,
    max_length: int | None,
) -> Array:
    cost_BT = xp.where(mask_BT, cost_BT, xp.zeros_like(cost_BT))
    if objective.aggregation == "token_mean":
        if normalizer is None:  # stays on the device; counted in integers, as float32 is exact only below 2^24
            normalizer = xp.astype(xp.clip(xp.sum(xp.astype(mask_BT, xp.int64)), min=1), cost_BT.dtype)
        return xp.sum(cost_BT) / normalizer
    if objective.aggregation == "sequence_mean":
        cost_BT = cost_BT / _lengths(xp, mask_BT, cost_BT.dtype)
    else:
        cost_BT = cost_BT / (cost_BT.shape[1] if max_length is None else max_length)
    return xp.sum(cost_BT) / (cost_BT.shape[0] if normalizer is None else normalizer)


def _clip_diagnostics(
    xp: ModuleType, ratio_BT: Array, advantage_BT: Array, mask_BT: Array, objective: Objective
) -> dict[str, Array]:
    active_BT = mask_BT & (advantage_BT != 0.0)
    low_BT, high_BT = ratio_BT < 1.0 - objective.clip_low, ratio_BT > 1.0 + objective.clip_high
    if objective.surrogate == "clip":
        low_BT, high_BT = low_BT & (advantage_BT < 0.0), high_BT & (advantage_BT > 0.0)
    diagnostics = {
        "ratio_max": xp.max(xp.where(mask_BT, ratio_BT, xp.zeros_like(ratio_BT))),
        "clip_low_fraction": _token_mean(xp, xp.astype(low_BT, ratio_BT.dtype), active_BT),
        "clip_high_fraction": _token_mean(xp, xp.astype(high_BT, ratio_BT.dtype), active_BT),
    }
    if objective.dual_clip is not None:
        bound_BT = (ratio_BT > objective.dual_clip) & (advantage_BT < 0.0)
        diagnostics["dual_clip_fraction"] = _token_mean(xp, xp.astype(bound_BT, ratio_BT.dtype), active_BT)
    return diagnostics


def _bounded(xp: ModuleType, logp_BT: Array, mask_BT: Array) -> Array:
    """At least float32, 0 where masked, within +-MAX_LOGP."""
    logp_BT = at_least_single(xp, logp_BT)
    return xp.clip(xp.where(mask_BT, logp_BT, xp.zeros_like(logp_BT)), min=-MAX_LOGP, max=MAX_LOGP)


def _token_mean(xp: ModuleType, values_BT: Array, mask_BT: Array) -> Array:
    weights_BT = xp.astype(mask_BT, values_BT.dtype)
    return xp.sum(values_BT * weights_BT) / xp.clip(xp.sum(weights_BT), min=1.0)


def _lengths(xp: ModuleType, mask_BT: Array, dtype: Array) -> Array:
    return xp.clip(xp.sum(xp.astype(mask_BT, dtype), axis=1, keepdims=True), min=1.0)


def _constant(values: Array) -> Array:
    """Stop the gradient: `detach` on torch; NumPy has none to stop."""
    return values.detach() if hasattr(values, "detach") else values


def _per_token(xp: ModuleType, advantages: Array, logp_BT: Array) -> Array:
    advantages = advantages[:, None] if advantages.ndim == 1 else advantages
    return xp.broadcast_to(xp.astype(_constant(advantages), logp_BT.dtype), logp_BT.shape)


def _check_shapes(arrays_BT: dict[str, Array], advantages: Array) -> None:
    shape = tuple(arrays_BT["logp_BT"].shape)
    for name, values in arrays_BT.items():
        if values.ndim != 2 or tuple(values.shape) != shape or 0 in shape:
            raise InputError(
                f"{name} must have the shape (B, T) of logp_BT, not empty; got {tuple(values.shape)} and {shape}"
            )
    if tuple(advantages.shape) not in (shape, shape[:1]):
        raise InputError(f"advantages must have shape {shape[:1]} or {shape}; got {tuple(advantages.shape)}")


def _check_values(xp: ModuleType, logps: dict[str, Array], advantages: Array, mask_BT: Array) -> None:
    """One synchronisation if all is well; the details are read only for the error."""
    counted = xp.any(mask_BT, axis=1) if advantages.ndim == 1 else mask_BT
    too_large = counted & ~(xp.abs(at_least_single(xp, advantages)) <= MAX_MAGNITUDE)  # also true of NaN
    nan_BT = {name: mask_BT & xp.isnan(values_BT) for name, values_BT in logps.items()}
    if not bool(xp.any(xp.stack([xp.any(bad) for bad in (too_large, *nan_BT.values())]))):
        return
    for name, bad_BT in nan_BT.items():
        if bool(xp.any(bad_BT)):
            rows, columns = xp.nonzero(bad_BT)
            raise InputError(
                f"{name} must hold log-probabilities; [{int(rows[0])}, {int(columns[0])}] is NaN. "
                "The model has diverged, or a row was left unfilled."
            )
    raise InputError(f"advantages must be finite and at most {MAX_MAGNITUDE:g} in size")
