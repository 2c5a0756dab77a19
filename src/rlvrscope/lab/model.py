"""A small decoder-only transformer (pre-norm, learned positions, ReLU: the shape of OPT), with a KV cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rlvrscope.lab.policy import CompletionScores, EntropyMode, NextTokens
from rlvrscope.lab.recipe import ModelConfig


class Cache:
    """KV cache: keys and values of the tokens read so far, (B, H, T, D) per layer."""

    def __init__(self, layers: int) -> None:
        self.length = 0
        self._layers: list[tuple[Tensor, Tensor] | None] = [None] * layers

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append the keys and values of the next tokens to a layer; return all of them.

        They are written in place where room was reserved (no gradient), else concatenated (differentiable).
        """
        cached, end = self._layers[layer], self.length + key.shape[2]
        if cached is None:
            self._layers[layer] = (key, value)
        elif cached[0].shape[2] < end:
            self._layers[layer] = (torch.cat([cached[0], key], dim=2), torch.cat([cached[1], value], dim=2))
        else:
            for tensor, new in zip(cached, (key, value), strict=True):
                tensor[:, :, self.length : end] = new
        keys, values = self._layers[layer] or (key, value)
        return keys[:, :, :end], values[:, :, :end]

    def rows(self, index_B: Tensor, room: int = 0) -> Cache:
        """Return a cache of these rows, repeated as indexed: a prompt read once serves all its completions.

        room: tokens to reserve space for, which makes decoding cheaper.
        """
        copy = Cache(len(self._layers))
        copy.length = self.length
        for layer, cached in enumerate(self._layers):
            if cached is not None:
                keys, values = (F.pad(tensor[:, :, : self.length][index_B], (0, 0, 0, room)) for tensor in cached)
                copy._layers[layer] = (keys, values)
        return copy


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, 4 * width)
        self.mlp_out = nn.Linear(4 * width, width)

    def forward(self, x_BTD: Tensor, cache: Cache | None, layer: int) -> Tensor:
        x_BTD = x_BTD + self._attention(self.norm_attention(x_BTD), cache, layer)
        hidden = F.relu(self.mlp_in(self.norm_mlp(x_BTD)))
        return x_BTD + self.mlp_out(hidden)

    def _attention(self, x_BTD: Tensor, cache: Cache | None, layer: int) -> Tensor:
        rows, length, width = x_BTD.shape
        heads = (rows, length, 3, self.heads, width // self.heads)
        query, key, value = self.qkv(x_BTD).view(heads).permute(2, 0, 3, 1, 4)
        if cache is not None:
            key, value = cache.extend(layer, key, value)
        past = key.shape[2] - length
        unmasked = past == 0 or length == 1  # torch's causal mask, or none, is correct
        mask = None if unmasked else x_BTD.new_ones(length, past + length, dtype=torch.bool).tril(past)
        causal = unmasked and length > 1
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
        return self.attention_out(mixed.transpose(1, 2).reshape(rows, length, width))


class Transformer(nn.Module):
    """tokens_BT -> logits_BTV of the next token."""

    def __init__(self, config: ModelConfig, vocab_size: int, context: int) -> None:
        super().__init__()
        self.config, self.vocab_size, self.context = config, vocab_size, context
        self.token = nn.Embedding(vocab_size, config.width)
        self.position = nn.Embedding(context, config.width)
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, vocab_size, bias=False)

    @torch.no_grad()
    def initialise(self, rng: np.random.Generator) -> Transformer:
        """Initialise as GPT-2: normal weights of std 0.02, residual outputs / sqrt(2 layers), biases 0."""
        for name, weights in self.named_parameters():
            if "norm" in name:
                weights.fill_(float(name.endswith("weight")))
            elif name.endswith("bias"):
                weights.zero_()
            else:
                residual = name.endswith(("attention_out.weight", "mlp_out.weight"))
                std = 0.02 / (math.sqrt(2 * self.config.layers) if residual else 1.0)
                weights.copy_(torch.from_numpy(rng.normal(0.0, std, tuple(weights.shape))))
        return self

    @property
    def identity(self) -> dict[str, str]:
        return {}

    @property
    def module(self) -> nn.Module:
        return self

    @property
    def sampler_is_exact(self) -> bool:
        return True

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def training_precision(self) -> AbstractContextManager[object]:
        return nullcontext()

    def prompts_at_once(self, prompts_PT: Tensor, rows_per_prompt: int) -> int:  # noqa: ARG002
        return len(prompts_PT)

    def decoder(self, prompts_PT: Tensor, prompt_B: Tensor, completion_length: int) -> _RowDecoder:
        return _RowDecoder(self, prompts_PT, prompt_B, completion_length)

    def score(
        self,
        prompts_PT: Tensor,
        completions_BT: Tensor,
        prompt_B: Tensor,
        temperatures: tuple[float, ...] = (1.0,),
        entropy: EntropyMode | None = None,
    ) -> CompletionScores:
        """Scores of completions that fill their rows, as those of the lab's token tasks do."""
        logits_BTV = self.completion_logits(prompts_PT, completions_BT, prompt_B)
        logp_KBT = torch.stack([token_logp(logits_BTV, completions_BT, temperature) for temperature in temperatures])
        if entropy is None:
            return CompletionScores(logp_KBT, None)
        differentiable = entropy == "differentiable"
        return CompletionScores(logp_KBT, token_entropy(logits_BTV if differentiable else logits_BTV.detach()))

    def new_cache(self) -> Cache:
        return Cache(len(self.blocks))

    def hidden(self, tokens_BT: Tensor, cache: Cache | None = None) -> Tensor:
        """(B, T, D) normalised output of the last layer."""
        start = cache.length if cache is not None else 0
        end = start + tokens_BT.shape[1]
        x_BTD = self.token(tokens_BT) + self.position.weight[start:end]
        for layer, block in enumerate(self.blocks):
            x_BTD = block(x_BTD, cache, layer)
        if cache is not None:
            cache.length = end
        return self.norm(x_BTD)

    def forward(self, tokens_BT: Tensor, cache: Cache | None = None) -> Tensor:
        return self.head(self.hidden(tokens_BT, cache))

    def completion_logits(self, prompts_PT: Tensor, completions_BT: Tensor, prompt_B: Tensor) -> Tensor:
        """(B, T, V) logits of each completion token given its prompt, `prompts_PT[prompt_B]`, and the tokens before.

        Each prompt is read once, however many completions it has.
        """
        cache = self.new_cache()
        last_PD = self.hidden(prompts_PT, cache)[:, -1]
        hidden_BTD = self.hidden(completions_BT[:, :-1], cache.rows(prompt_B))
        return self.head(torch.cat([last_PD[prompt_B][:, None], hidden_BTD], dim=1))


class _RowDecoder:
    """A row for every completion, in a KV cache; each prompt is read once. Rows of token tasks end together."""

    def __init__(self, model: Transformer, prompts_PT: Tensor, prompt_B: Tensor, completion_length: int) -> None:
        self.model, cache = model, model.new_cache()
        self.logits_BV = model.head(model.hidden(prompts_PT, cache)[:, -1])[prompt_B]
        self.cache = cache.rows(prompt_B, room=completion_length)
        self.row_B = torch.arange(len(prompt_B), device=model.device)

    def next_tokens(self) -> Iterator[NextTokens]:
        yield NextTokens(self.logits_BV, self.row_B, None)

    def advance(self, token_B: Tensor, ended_B: Tensor) -> None:  # noqa: ARG002
        self.logits_BV = self.model(token_B[:, None], self.cache)[:, 0]


def token_logp(logits_BTV: Tensor, tokens_BT: Tensor, temperature: float = 1.0) -> Tensor:
    """(B, T) natural-log probability of each token at a temperature."""
    if temperature != 1.0:
        logits_BTV = logits_BTV / temperature
    chosen_BT = logits_BTV.gather(2, tokens_BT[..., None])[..., 0]
    return chosen_BT - logits_BTV.logsumexp(dim=2)


def token_entropy(logits_BTV: Tensor) -> Tensor:
    """(B, T) entropy of the next-token distribution, nats."""
    logp_BTV = logits_BTV.log_softmax(dim=2)
    return -(logp_BTV.exp() * logp_BTV).sum(dim=2)
