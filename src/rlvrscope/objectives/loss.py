"""Log-probabilities and advantages -> the loss to minimise, with its diagnostics."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from rlvrscope.arrays import Array
from rlvrscope.errors import InputError
from rlvrscope.objectives.numeric import MAX_MAGNITUDE, at_least_single, namespace
from rlvrscope.objectives.objective import Objective

MAX_LOG_RATIO = 20.0
"""Log-ratios are held within +-20: e^20 = 4.9e8 is finite in float32, and no useful ratio is near it."""
MAX_LOGP = 1e4
"""Log-probabilities are held within +-1e4, so that -inf minus -inf is 0, not NaN."""


@dataclass(frozen=True)
class PolicyLoss:
    """The loss (a scalar, differentiable on torch) and diagnostics (scalars without gradient)."""

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
    """The clipped surrogate loss of a batch of completions.

        rho = exp(logp - old_logp)                     ratio "token"
        rho = exp(mean_t (logp - old_logp))            ratio "sequence" (each token keeps its own gradient: GSPO-token)
        J_t = min(rho A, clip(rho, 1 - clip_low, 1 + clip_high) A), and >= dual_clip A where A < 0
        J_t = stop_gradient(clip(rho, ...)) A logp     surrogate "cispo"
        loss = -aggregate(J) + kl_coef aggregate(kl_estimate(logp, ref_logp, kl_estimator))

    logp_BT, old_logp_BT: (B, T), natural log, of the tokens sampled; mask_BT: (B, T), nonzero where a token counts.
    advantages: (B,) or (B, T). All NumPy or all torch; gradients flow into logp_BT only.
    normalizer: the divisor of the sums: tokens for token_mean, completions otherwise. Default: this batch's own.
    Give the whole batch's count to each part of a split batch, and the parts' losses add up to the whole's.
    Zeroing is not masking: completions whose advantage is 0 (or whose mask is empty) still count in it.
    max_length: the divisor of fixed_length, in tokens; T by default.
    sampler_logp_BT: what the sampler says it drew with, if that is not old_logp; reported, not corrected for.

    Diagnostics: ratio_max; clip_low_fraction, clip_high_fraction, dual_clip_fraction (of tokens that carry a
    nonzero advantage, those whose gradient the bound removes, or for cispo changes); reference_kl, KL(pi || ref),
    and sampler_kl, KL(sampler || old), as `kl_estimate` has them (k3, whatever the loss takes), mean over tokens.
    Whatever the log-probabilities, infinite ones included, loss and gradient are finite. Half precision is computed,
    and the loss returned, in float32 (a gradient passed on to float16 has only float16's range).
    Raises InputError for NaN, advantages that are not finite, integers, shapes that do not fit, or a missing reference.
    Source: PPO (1707.06347), DeepSeekMath (2402.03300), GSPO (2507.18071, eq. 7 and 14), MiniMax-M1 (2506.13585,
    eq. 4: cispo), Dr. GRPO (2503.20783: fixed_length).
    """
    logps = {"logp_BT": logp_BT, "old_logp_BT": old_logp_BT}
    logps |= {} if ref_logp_BT is None else {"ref_logp_BT": ref_logp_BT}
    logps |= {} if sampler_logp_BT is None else {"sampler_logp_BT": sampler_logp_BT}
    xp = namespace([*logps.values(), advantages, mask_BT])
    _check_shapes({**logps, "mask_BT": mask_BT}, advantages)
    for name, values in {**logps, "advantages": advantages}.items():
        if not xp.isdtype(values.dtype, "real floating"):
            raise InputError(f"{name} must be floating point; got {values.dtype}. Convert it first.")
    mask_BT = mask_BT != 0
    logps = {name: at_least_single(xp, values) for name, values in logps.items()}
    logp_BT, old_logp_BT = logps["logp_BT"], logps["old_logp_BT"]
    advantage_BT = _per_token(xp, advantages, logp_BT)
    _check_values(xp, logps, advantage_BT, mask_BT)
    logp_BT, old_BT = (_bounded(xp, values, mask_BT) for values in (logp_BT, old_logp_BT))

    log_ratio_BT = _log_ratio(xp, logp_BT, old_BT, mask_BT, objective)
    ratio_BT = xp.exp(log_ratio_BT)
    surrogate_BT = _surrogate(xp, ratio_BT, logp_BT, advantage_BT, objective)
    diagnostics = _clip_diagnostics(xp, _constant(ratio_BT), advantage_BT, mask_BT, objective)

    cost_BT = -surrogate_BT
    if "ref_logp_BT" in logps:
        ref_BT = _bounded(xp, logps["ref_logp_BT"], mask_BT)
        diagnostics["reference_kl"] = _token_mean(xp, kl_estimate(_constant(logp_BT), ref_BT), mask_BT)
        cost_BT = cost_BT + objective.kl_coef * kl_estimate(logp_BT, ref_BT, objective.kl_estimator)
    elif objective.kl_coef > 0.0:
        raise InputError(f"objective {objective.name!r} has kl_coef {objective.kl_coef:g}: give ref_logp_BT")
    if "sampler_logp_BT" in logps:
        mismatch_BT = kl_estimate(_bounded(xp, logps["sampler_logp_BT"], mask_BT), old_BT)
        diagnostics["sampler_kl"] = _token_mean(xp, mismatch_BT, mask_BT)
    return PolicyLoss(_aggregate(xp, cost_BT, mask_BT, objective, normalizer, max_length), diagnostics)


def kl_estimate(logp_BT: Array, ref_logp_BT: Array, estimator: Literal["k3", "k2"] = "k3") -> Array:
    """KL(pi || ref) of each token from samples of pi, never below 0; d = ref_logp - logp.

        k3 = exp(d) - 1 - d,   k2 = d^2 / 2

    Nats. k3 is unbiased while |d| < 20 (beyond, d is held there); k2 is so only to second order in d. As a loss, the
    samples held fixed, what counts is the gradient in expectation over pi, each token given those before it:
    k3: E[(1 - e^d) grad logp] = grad KL(ref || pi);  k2: E[-d grad logp] = grad KL(pi || ref). Samples of another
    policy give neither: the term carries no importance ratio.
    Source: DeepSeekMath (arXiv 2402.03300, eq. 4); k2 as a loss, arXiv 2510.01555.
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
        log_ratio_BT = mean_B1 + (logp_BT - _constant(logp_BT))  # the bracket is 0: only its gradient counts
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
    if normalizer is not None and not normalizer > 0.0:
        raise InputError(f"normalizer must be a count above 0; got {normalizer!r}")
    cost_BT = xp.where(mask_BT, cost_BT, xp.zeros_like(cost_BT))
    if objective.aggregation == "token_mean":
        count = normalizer if normalizer is not None else max(int(xp.sum(xp.astype(mask_BT, xp.int64))), 1)
        return xp.sum(cost_BT) / count
    if objective.aggregation == "sequence_mean":
        cost_BT = cost_BT / _lengths(xp, mask_BT, cost_BT.dtype)
    else:
        length = cost_BT.shape[1] if max_length is None else max_length
        if not length >= 1:
            raise InputError(f"max_length must be at least 1 token; got {length}")
        cost_BT = cost_BT / length
    return xp.sum(cost_BT) / (normalizer if normalizer is not None else max(cost_BT.shape[0], 1))


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
    kept_BT = xp.where(mask_BT, logp_BT, xp.zeros_like(logp_BT))
    return xp.clip(kept_BT, min=-MAX_LOGP, max=MAX_LOGP)


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


def _check_values(xp: ModuleType, logps: dict[str, Array], advantage_BT: Array, mask_BT: Array) -> None:
    for name, values_BT in logps.items():
        bad_BT = mask_BT & xp.isnan(values_BT)
        if bool(xp.any(bad_BT)):
            rows, columns = xp.nonzero(bad_BT)
            raise InputError(
                f"{name} must hold log-probabilities; [{int(rows[0])}, {int(columns[0])}] is NaN. "
                "The model has diverged, or a row was left unfilled."
            )
    if not bool(xp.all((xp.abs(advantage_BT) <= MAX_MAGNITUDE) | ~mask_BT)):
        raise InputError(f"advantages must be finite and at most {MAX_MAGNITUDE:g} in size")
