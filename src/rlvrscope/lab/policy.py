"""The interface of a language model that the lab trains: the tiny transformer, or a pretrained model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from rlvrscope.lab.recipe import AnyModel

EntropyMode = Literal["constant", "differentiable"]


@dataclass(frozen=True)
class CompletionScores:
    """Scores of B completions of up to T tokens; 0 where a completion has ended."""

    logp_KBT: Tensor
    """Natural-log probability of each token, at each of K temperatures."""
    entropy_BT: Tensor | None
    """Entropy of the next-token distribution at temperature 1, nats; None unless asked for."""


@dataclass(frozen=True)
class NextTokens:
    """Logits of the next token at some of the nodes that rows have reached."""

    logits_UV: Tensor
    row_A: Tensor
    """Rows at these nodes."""
    node_A: Tensor | None
    """Index of each row's node into logits_UV; None where row A[i] is at node i."""


class Decoder(Protocol):
    """B rows that are decoded token by token. Rows with equal tokens so far may share a node."""

    def next_tokens(self) -> Iterator[NextTokens]:
        """Logits of every row that has not ended, in slices whose size is bounded."""
        ...

    def advance(self, token_B: Tensor, ended_B: Tensor) -> None:
        """Append a token to every row that has not ended."""
        ...


class Policy(Protocol):
    """A causal language model whose parameters can be trained. Token arrays are padded with PAD on the right."""

    vocab_size: int
    context: int

    @property
    def config(self) -> AnyModel:
        """The [model] section that determines it."""
        ...

    @property
    def identity(self) -> dict[str, str]:
        """Facts that checkpoints keep beside `config`: `sha256` of a pretrained model's files."""
        ...

    @property
    def module(self) -> nn.Module:
        """The module that holds the parameters."""
        ...

    @property
    def sampler_is_exact(self) -> bool:
        """Whether rollouts have the log-probabilities that `score` gives, up to float32 rounding."""
        ...

    @property
    def device(self) -> torch.device: ...

    def score(
        self,
        prompts_PT: Tensor,
        completions_BT: Tensor,
        prompt_B: Tensor,
        temperatures: tuple[float, ...] = (1.0,),
        entropy: EntropyMode | None = None,
    ) -> CompletionScores:
        """Scores of completions given their prompts, `prompts_PT[prompt_B]`; differentiable.

        entropy: "constant" stops its gradient.
        """
        ...

    def decoder(self, prompts_PT: Tensor, prompt_B: Tensor, completion_length: int) -> Decoder:
        """Read the prompts, and decode rows that start after `prompts_PT[prompt_B]`."""
        ...

    def prompts_at_once(self, prompts_PT: Tensor, rows_per_prompt: int) -> int:
        """Largest number of these prompts whose rows fit in one decoder."""
        ...

    def training_precision(self) -> AbstractContextManager[object]:
        """Context in which rollouts and updates are computed; outside of it, scores are in float32."""
        ...
