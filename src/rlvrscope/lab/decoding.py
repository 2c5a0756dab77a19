"""Next-token distributions and draws from them; the lab's sampler and the transformers engine share them."""

from __future__ import annotations

import torch
from torch import Tensor


def next_token_logp(logits_BV: Tensor, plain_BV: Tensor, temperature: float, top_p: float = 1.0) -> Tensor:
    """Return log-probabilities at a temperature, restricted to the nucleus if top_p < 1, (B, V), natural log.

    plain_BV: log-probabilities at temperature 1 over all tokens.
    top_p: keep the smallest set of most likely tokens with at least this mass (nucleus sampling, arXiv 1904.09751).
    """
    logp_BV = plain_BV if temperature == 1.0 else (logits_BV / temperature).log_softmax(dim=1)
    return logp_BV if top_p == 1.0 else _nucleus(logp_BV, top_p)


def inverse_transform(logp_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """Draw a token for each row, (B, 1): the first whose cumulative probability exceeds uniform x the total."""
    edges_BV = logp_BV.exp().cumsum(dim=1)
    draw_B1 = uniform_B[:, None] * edges_BV[:, -1:]
    return (edges_BV <= draw_B1).sum(dim=1, keepdim=True).clamp_(max=logp_BV.shape[1] - 1)


def _nucleus(logp_BV: Tensor, top_p: float) -> Tensor:
    """Renormalised log-probabilities of the nucleus; -inf outside it."""
    sorted_BV, order_BV = logp_BV.sort(dim=1, descending=True)
    before_BV = sorted_BV.exp().cumsum(dim=1) - sorted_BV.exp()
    outside_BV = torch.zeros_like(before_BV, dtype=torch.bool).scatter(1, order_BV, before_BV >= top_p)
    return logp_BV.masked_fill(outside_BV, -torch.inf).log_softmax(dim=1)
