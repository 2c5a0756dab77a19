"""Rollouts: batched sampling, each prompt read once for all its rollouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rlvrscope.errors import WorkError
from rlvrscope.lab.decoding import inverse_transform, inverse_transform_shared, next_token_logp
from rlvrscope.lab.policy import NextTokens, Policy
from rlvrscope.lab.token_tree import PAD


@dataclass(frozen=True)
class Rollouts:
    """G completions of each of P prompts, prompt by prompt (B = P x G rows), as tensors on the model's device.

    Rows end with PAD, and have 0 in the other tensors there.
    """

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

    @property
    def mask_BT(self) -> Tensor:
        """Whether there is a token."""
        return self.completions_BT != PAD

    @property
    def mean_entropy(self) -> float:
        """Mean entropy over all tokens, nats."""
        return float(self.entropy_BT[self.mask_BT].double().mean())


@torch.no_grad()
def sample(
    model: Policy,
    prompts_PT: Tensor,
    completion_length: int,
    rollouts_per_prompt: int,
    rng: np.random.Generator,
    *,
    stops: tuple[int, ...] = (),
    temperature: float = 1.0,
    top_p: float = 1.0,
    policy_temperature: float = 1.0,
) -> Rollouts:
    """Sample completions, with one uniform number per token from `rng`, the same on every device.

    stops: tokens that end a completion. top_p: nucleus sampling below 1 (arXiv 1904.09751). Raises WorkError if the
    model's probabilities are not finite.
    """
    uniform_TB = rng.random((completion_length, len(prompts_PT) * rollouts_per_prompt), dtype=np.float32)
    return draw(
        model,
        prompts_PT,
        torch.from_numpy(uniform_TB),
        stops=stops,
        temperature=temperature,
        top_p=top_p,
        policy_temperature=policy_temperature,
    )


Watch = Callable[[Tensor, Tensor], Tensor]
"""(tokens so far (B, t), rows that were open before the last of them) -> rows that are still open, after each step."""


@torch.no_grad()
def draw(
    model: Policy,
    prompts_PT: Tensor,
    uniform_TB: Tensor,
    *,
    prompt_B: Tensor | None = None,
    stops: tuple[int, ...] = (),
    temperature: float = 1.0,
    top_p: float = 1.0,
    policy_temperature: float = 1.0,
    watch: Watch | None = None,
) -> Rollouts:
    """Sample with given uniform numbers: up to T tokens for each of B rows.

    prompt_B: index of each row's prompt, ascending; by default each prompt has B / P rows. watch: ends further rows.
    """

    def choose(next_tokens: NextTokens, uniform_B: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        logits_UV, node_A = next_tokens.logits_UV, next_tokens.node_A
        plain_UV = logits_UV.log_softmax(dim=1)
        logp_UV = next_token_logp(logits_UV, plain_UV, policy_temperature)
        drawn_UV = next_token_logp(logits_UV, plain_UV, temperature, top_p)
        entropy_U = -(plain_UV.exp() * plain_UV).sum(dim=1)
        if node_A is None:
            token_A1 = inverse_transform(drawn_UV, uniform_B)
            return token_A1[:, 0], logp_UV.gather(1, token_A1)[:, 0], drawn_UV.gather(1, token_A1)[:, 0], entropy_U
        token_A = inverse_transform_shared(drawn_UV, node_A, uniform_B[next_tokens.row_A])
        return token_A, logp_UV[node_A, token_A], drawn_UV[node_A, token_A], entropy_U[node_A]

    uniform_TB = uniform_TB.to(model.device)
    if prompt_B is None:
        prompt_B = _prompt_index(len(prompts_PT), uniform_TB.shape[1] // len(prompts_PT), model.device)
    columns = _decode_in_parts(model, prompts_PT, prompt_B, uniform_TB, stops, choose, watch)
    if not torch.isfinite(columns[1]).all():
        raise WorkError(
            "the model's log-probabilities are not finite: it has diverged (try a lower learning rate), or its weights "
            "are damaged"
        )
    return Rollouts(prompts_PT, prompt_B, *columns)


@torch.no_grad()
def greedy(model: Policy, prompts_PT: Tensor, completion_length: int, stops: tuple[int, ...] = ()) -> Tensor:
    """(P, completion_length) the most likely token at every step, up to a stop."""

    def choose(next_tokens: NextTokens, _uniform_B: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        token_U = next_tokens.logits_UV.argmax(dim=1)
        token_A = token_U if next_tokens.node_A is None else token_U[next_tokens.node_A]
        no_fact_A = torch.zeros(len(token_A), device=model.device)
        return token_A, no_fact_A, no_fact_A, no_fact_A

    no_numbers_TB = torch.zeros(completion_length, len(prompts_PT), device=model.device)
    prompt_B = _prompt_index(len(prompts_PT), 1, model.device)
    return _decode_in_parts(model, prompts_PT, prompt_B, no_numbers_TB, stops, choose)[0]


Choose = Callable[[NextTokens, Tensor], tuple[Tensor, Tensor, Tensor, Tensor]]
"""(logits of some rows, uniform_B) -> their tokens, and three facts of each."""


def _decode_in_parts(
    model: Policy,
    prompts_PT: Tensor,
    prompt_B: Tensor,
    uniform_TB: Tensor,
    stops: tuple[int, ...],
    choose: Choose,
    watch: Watch | None = None,
) -> list[Tensor]:
    """Decode as many prompts at a time as the model reads at once."""
    at_once = model.prompts_at_once(prompts_PT, int(prompt_B.bincount().max()))
    decoded, rows = [], 0
    for first in range(0, len(prompts_PT), at_once):
        end = int(torch.searchsorted(prompt_B, first + at_once))
        part_B = prompt_B[rows:end] - first
        prompts_MT = prompts_PT[first : first + at_once]
        decoded.append(_decode(model, prompts_MT, part_B, uniform_TB[:, rows:end], stops, choose, watch))
        rows = end
    return [torch.cat(column) for column in zip(*decoded, strict=True)]


def _decode(
    model: Policy,
    prompts_PT: Tensor,
    prompt_B: Tensor,
    uniform_TB: Tensor,
    stops: tuple[int, ...],
    choose: Choose,
    watch: Watch | None,
) -> list[Tensor]:
    """(B, T) tokens, PAD after a stop, and the facts that `choose` returns, 0 there."""
    length, rows = uniform_TB.shape
    decoder = model.decoder(prompts_PT, prompt_B, length)
    tokens_BT = torch.full((rows, length), PAD, device=model.device)
    facts = [torch.zeros(rows, length, device=model.device) for _ in range(3)]
    ended_B = torch.zeros(rows, dtype=torch.bool, device=model.device)
    stop_tokens = torch.tensor(stops, device=model.device)
    for step, uniform_B in enumerate(uniform_TB):
        for next_tokens in decoder.next_tokens():
            token_A, *facts_A = choose(next_tokens, uniform_B)
            tokens_BT[next_tokens.row_A, step] = token_A
            for fact_BT, fact_A in zip(facts, facts_A, strict=True):
                fact_BT[next_tokens.row_A, step] = fact_A
        if watch is not None:
            ended_B |= ~watch(tokens_BT[:, : step + 1], ~ended_B)
        if stops:
            ended_B |= torch.isin(tokens_BT[:, step], stop_tokens)
        can_end = bool(stops) or watch is not None
        if step + 1 < length and not (can_end and bool(ended_B.all())):
            decoder.advance(tokens_BT[:, step], ended_B)
        else:
            break
    return [tokens_BT, *facts]


def _prompt_index(prompts: int, rows_per_prompt: int, device: torch.device) -> Tensor:
    return torch.arange(prompts, device=device).repeat_interleave(rows_per_prompt)
