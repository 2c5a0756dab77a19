"""Rollouts: batched sampling with a KV cache, each prompt read once for all its rollouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rlvrscope.errors import WorkError
from rlvrscope.lab.decoding import inverse_transform, next_token_logp
from rlvrscope.lab.model import Transformer


@dataclass(frozen=True)
class Rollouts:
    """G completions of each of P prompts, prompt by prompt (B = P x G rows), as tensors on the model's device."""

    prompts_PT: Tensor
    prompt_B: Tensor
    """Index of each completion's prompt in prompts_PT."""
    completions_BT: Tensor
    logp_BT: Tensor
    """Log-probability of each token under the policy, at `policy_temperature`, without truncation."""
    sampler_logp_BT: Tensor
    """Log-probability with which each token was drawn, at the rollout temperature and top-p."""
    entropy_BT: Tensor
    """Entropy of the policy at temperature 1 at each completion token, nats."""


@torch.no_grad()
def sample(
    model: Transformer,
    prompts_PT: Tensor,
    completion_length: int,
    rollouts_per_prompt: int,
    rng: np.random.Generator,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    policy_temperature: float = 1.0,
) -> Rollouts:
    """Sample completions, with one uniform number per token from `rng`, the same on every device.

    top_p: nucleus sampling below 1 (arXiv 1904.09751). Raises WorkError if the model's probabilities are not finite.
    """
    uniform_TB = rng.random((completion_length, len(prompts_PT) * rollouts_per_prompt), dtype=np.float32)
    return draw(
        model,
        prompts_PT,
        torch.from_numpy(uniform_TB),
        temperature=temperature,
        top_p=top_p,
        policy_temperature=policy_temperature,
    )


@torch.no_grad()
def draw(
    model: Transformer,
    prompts_PT: Tensor,
    uniform_TB: Tensor,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    policy_temperature: float = 1.0,
) -> Rollouts:
    """Sample with given uniform numbers: T tokens for each of B rows, B / P consecutive rows per prompt."""
    completion_length, rows = uniform_TB.shape
    prompt_B = torch.arange(len(prompts_PT), device=model.device).repeat_interleave(rows // len(prompts_PT))
    uniform_TB = uniform_TB.to(model.device)
    steps: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def choose(logits_BV: Tensor) -> Tensor:
        plain_BV = logits_BV.log_softmax(dim=1)
        logp_BV = next_token_logp(logits_BV, plain_BV, policy_temperature)
        drawn_BV = next_token_logp(logits_BV, plain_BV, temperature, top_p)
        token_B1 = inverse_transform(drawn_BV, uniform_TB[len(steps)])
        entropy_B = -(plain_BV.exp() * plain_BV).sum(dim=1)
        steps.append((token_B1[:, 0], logp_BV.gather(1, token_B1)[:, 0], drawn_BV.gather(1, token_B1)[:, 0], entropy_B))
        return token_B1

    _decode(model, prompts_PT, prompt_B, completion_length, choose)
    completions_BT, logp_BT, drawn_BT, entropy_BT = (torch.stack(column, dim=1) for column in zip(*steps, strict=True))
    if not torch.isfinite(logp_BT).all():
        raise WorkError("the model has diverged: its log-probabilities are not finite. Try a lower learning rate.")
    return Rollouts(prompts_PT, prompt_B, completions_BT, logp_BT, drawn_BT, entropy_BT)


@torch.no_grad()
def greedy(model: Transformer, prompts_PT: Tensor, completion_length: int) -> Tensor:
    """(P, completion_length) the most likely token at every step."""
    steps: list[Tensor] = []

    def choose(logits_BV: Tensor) -> Tensor:
        steps.append(logits_BV.argmax(dim=1, keepdim=True))
        return steps[-1]

    _decode(model, prompts_PT, torch.arange(len(prompts_PT), device=model.device), completion_length, choose)
    return torch.cat(steps, dim=1)


def _decode(
    model: Transformer,
    prompts_PT: Tensor,
    prompt_B: Tensor,
    completion_length: int,
    choose: Callable[[Tensor], Tensor],
) -> None:
    """Read each prompt once, then decode: `choose` turns logits_BV into the next tokens_B1, step by step."""
    cache = model.new_cache()
    logits_BV = model.head(model.hidden(prompts_PT, cache)[:, -1])[prompt_B]
    cache = cache.rows(prompt_B, room=completion_length)
    for step in range(completion_length):
        token_B1 = choose(logits_BV)
        if step + 1 < completion_length:
            logits_BV = model(token_B1, cache)[:, 0]
