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


def inverse_transform_shared(logp_UV: Tensor, node_A: Tensor, uniform_A: Tensor) -> Tensor:
    """Draw a token for each of A rows from the distribution that its node has, (A,): as `inverse_transform`.

    node_A: index of each row's distribution. Cumulative probabilities are in float64: over a large vocabulary those in
    float32 lose the rare tokens.
    """
    edges_UV = logp_UV.exp().cumsum(dim=1, dtype=torch.float64)
    draw_A = uniform_A.double() * edges_UV[node_A, -1]
    order_A = node_A.argsort(stable=True)
    count_U = torch.bincount(node_A, minlength=len(logp_UV))
    column_A = torch.arange(len(node_A), device=node_A.device) - (count_U.cumsum(0) - count_U)[node_A[order_A]]
    draw_UG = edges_UV.new_zeros(len(logp_UV), int(count_U.max()))
    draw_UG[node_A[order_A], column_A] = draw_A[order_A]
    token_UG = torch.searchsorted(edges_UV, draw_UG, right=True).clamp_(max=logp_UV.shape[1] - 1)
    token_A = torch.empty_like(node_A)
    token_A[order_A] = token_UG[node_A[order_A], column_A]
    return token_A


def _nucleus(logp_BV: Tensor, top_p: float) -> Tensor:
    """Renormalised log-probabilities of the nucleus; -inf outside it."""
    sorted_BV, order_BV = logp_BV.sort(dim=1, descending=True)
    before_BV = sorted_BV.exp().cumsum(dim=1) - sorted_BV.exp()
    outside_BV = torch.zeros_like(before_BV, dtype=torch.bool).scatter(1, order_BV, before_BV >= top_p)
    return logp_BV.masked_fill(outside_BV, -torch.inf).log_softmax(dim=1)
