"""Softmax policies: normalisation, entropy and the policy-gradient step on logits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rlvrscope.arrays import Floats

Sum = Callable[[Any], float]
"""A sum over a vector: math.fsum, exact to rounding, or the faster `array_sum`."""


def array_sum(values_V: Floats) -> float:
    return float(values_V.sum())


def log_softmax(logits: Floats) -> Floats:
    """Log-probabilities over the last axis, nats."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def entropy(probs: Floats) -> Floats:
    """-sum_v p log p over the last axis, nats."""
    logs = np.log(probs, out=np.zeros_like(probs), where=probs > 0.0)
    return -(probs * logs).sum(axis=-1)


def policy_gradient(probs_V: Floats, advantage_V: Floats, total: Sum = math.fsum) -> Floats:
    """Gradient of sum_v pi_v A_v in the logits, A constant: pi_v (A_v - sum_u pi_u A_u). Shape (V,)."""
    return probs_V * (advantage_V - total(probs_V * advantage_V))
