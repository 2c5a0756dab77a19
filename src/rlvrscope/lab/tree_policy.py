"""A pretrained causal model as a policy of the lab: scores, gradients and rollouts by token trees."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rlvrscope.arrays import Ints
from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.lab.policy import CompletionScores, Decoder, EntropyMode
from rlvrscope.lab.recipe import PretrainedConfig
from rlvrscope.lab.token_tree import PAD, TokenTree, lengths, parts

if TYPE_CHECKING:
    from rlvrscope.lab.pretrained import Pretrained

NODES = 768
"""Nodes of one tree. Attention costs each node as much as half its other work at about 1,500."""
MAX_KEPT_NODES = 2048
"""Nodes whose activations are kept for the gradient; of larger batches they are computed again, tree by tree."""
MAX_ROWS = 2048
"""Rows of one decoder."""
MAX_GAP = 1e-3
"""Largest difference in nats between log-probabilities from a tree and from plain rows."""


class TreePolicy(nn.Module):
    """A causal model that transformers loads, with its tokenizer: a `Policy`."""

    def __init__(self, config: PretrainedConfig, pretrained: Pretrained) -> None:
        super().__init__()
        self.config, self.sha256, self.tokenizer = config, pretrained.sha256, pretrained.tokenizer
        self.ends = pretrained.ends
        self.language_model = pretrained.model
        self.vocab_size = int(pretrained.model.config.get_text_config().vocab_size)
        self.context = pretrained.context or 1 << 20

    @classmethod
    def load(cls, config: PretrainedConfig, device: torch.device) -> TreePolicy:
        """Load a model's folder, or one of the hub.

        Raises InputError for what can't be loaded, and for a model that can't read token trees.
        """
        with needs_extra("hf", "a pretrained model"):
            from rlvrscope.lab.pretrained import Pretrained
        policy = cls(config, Pretrained.load(config.pretrained, device))
        policy.check()
        return policy

    @property
    def identity(self) -> dict[str, str]:
        return {"sha256": self.sha256}

    @property
    def module(self) -> nn.Module:
        return self

    @property
    def sampler_is_exact(self) -> bool:
        """In bfloat16 a node read alone and one read with others differ by several per cent in probability."""
        return self.config.dtype == "float32"

    @property
    def device(self) -> torch.device:
        return self.language_model.device

    def training_precision(self) -> AbstractContextManager[object]:
        if self.config.dtype == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, getattr(torch, self.config.dtype))

    def score(
        self,
        prompts_PT: Tensor,
        completions_BT: Tensor,
        prompt_B: Tensor,
        temperatures: tuple[float, ...] = (1.0,),
        entropy: EntropyMode | None = None,
    ) -> CompletionScores:
        prompts, rows, completions = (
            tokens.cpu().numpy() for tokens in (prompts_PT, prompt_B.to(prompts_PT.device), completions_BT)
        )
        split = parts(prompts, rows, completions, NODES)
        recompute = torch.is_grad_enabled() and len(split) * NODES > MAX_KEPT_NODES
        scored = []
        for part_A in split:
            tree = TokenTree.of(prompts, rows[part_A], completions[part_A])
            work = partial(self._score_tree, tree, completions[part_A], temperatures, entropy)
            scored.append(checkpoint(work, use_reentrant=False) if recompute else work())
        back_B = torch.from_numpy(np.argsort(np.concatenate(split))).to(self.device)
        logp_KBT, entropy_BT = (torch.cat(column, dim=-2)[..., back_B, :] for column in zip(*scored, strict=True))
        return CompletionScores(logp_KBT, None if entropy is None else entropy_BT)

    def decoder(self, prompts_PT: Tensor, prompt_B: Tensor, completion_length: int) -> Decoder:
        from rlvrscope.lab.tree_decoder import TreeDecoder

        return TreeDecoder(self, prompts_PT.cpu().numpy(), prompt_B, completion_length)

    def prompts_at_once(self, prompts_PT: Tensor, rows_per_prompt: int) -> int:
        prompts = prompts_PT.cpu().numpy()
        longest = int(lengths(prompts).max() - _common_head(prompts))
        return max(1, min(MAX_ROWS // rows_per_prompt, NODES // max(1, longest)))

    def read(self, token_RU: Ints, depth_RU: Ints, sees_RUN: NDArray[np.bool_], cache: Any = None) -> Tensor:
        """(R, U, D) output of the last layer at U nodes of each of R trees; they see some of the tree's N nodes.

        The last U of the N are themselves. cache: holds the others.
        """
        mask = torch.zeros(len(sees_RUN), 1, *sees_RUN.shape[1:], device=self.device)
        mask.masked_fill_(~torch.from_numpy(sees_RUN).to(self.device)[:, None], torch.finfo(mask.dtype).min)
        out = self.language_model.base_model(
            input_ids=torch.from_numpy(token_RU).to(self.device),
            position_ids=torch.from_numpy(depth_RU).to(self.device),
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return out.last_hidden_state

    def logits(self, hidden_UD: Tensor) -> Tensor:
        """(U, V) in float32."""
        return self.language_model.get_output_embeddings()(hidden_UD).float()

    def _score_tree(
        self, tree: TokenTree, completions_BT: Ints, temperatures: tuple[float, ...], entropy: EntropyMode | None
    ) -> tuple[Tensor, Tensor]:
        """(K, B, T) log-probabilities and (B, T) entropies, empty unless asked for."""
        real = completions_BT != PAD
        node_U, at_R = np.unique(tree.node_BT[real], return_inverse=True)
        (hidden_ND,) = self.read(tree.token_N[None], tree.depth_N[None], tree.sees_NN()[None])
        logits_UV = self.logits(hidden_ND[torch.from_numpy(node_U).to(self.device)])
        at, token = (torch.from_numpy(values).to(self.device) for values in (at_R, completions_BT[real]))
        real_BT = torch.from_numpy(real).to(self.device)

        def spread(values_R: Tensor) -> Tensor:
            return values_R.new_zeros(real_BT.shape).masked_scatter(real_BT, values_R)

        chosen_R = logits_UV[at, token]
        logp = [chosen_R / scale - (logits_UV / scale).logsumexp(dim=1)[at] for scale in temperatures]
        if entropy is None:
            return torch.stack([spread(logp_R) for logp_R in logp]), logits_UV.new_zeros(real_BT.shape)
        plain_UV = (logits_UV if entropy == "differentiable" else logits_UV.detach()).log_softmax(dim=1)
        entropy_U = -(plain_UV.exp() * plain_UV).sum(dim=1)
        return torch.stack([spread(logp_R) for logp_R in logp]), spread(entropy_U[at])

    @torch.no_grad()
    def check(self) -> None:
        """Raise InputError unless log-probabilities from a tree equal those of plain rows, on a few tokens."""
        from transformers import DynamicCache

        name, config = self.config.pretrained, self.language_model.config
        other_layers = set(getattr(config.get_text_config(), "layer_types", None) or ()) - {"full_attention"}
        if other_layers or any(DynamicCache(config=config).is_sliding):
            raise InputError(f"{name}: some of its layers have no full attention, and the lab reads token trees")
        rng = np.random.default_rng(0)
        prompts = rng.integers(self.vocab_size, size=(2, 5))
        prompts[1, :3] = prompts[0, :3]
        completions = rng.integers(self.vocab_size, size=(4, 3))
        completions[1, 0] = completions[0, 0]
        prompt_B = np.array([0, 0, 1, 1])
        texts = torch.from_numpy(np.concatenate([prompts[prompt_B], completions], axis=1)).to(self.device)
        prompts_PT, completions_BT, index_B = (
            torch.from_numpy(tokens).to(self.device) for tokens in (prompts, completions, prompt_B)
        )
        try:
            logits_BTV = self.language_model(texts).logits[:, 4:-1].float()
            scored_BT = self.score(prompts_PT, completions_BT, index_B).logp_KBT[0]
        except Exception as error:
            raise InputError(f"{name}: it can't read token trees ({_first_line(error)})") from error
        plain_BT = logits_BTV.log_softmax(dim=2).gather(2, texts[:, 5:, None])[..., 0]
        gap = float((plain_BT - scored_BT).abs().max())
        if not gap <= MAX_GAP:
            raise InputError(
                f"{name}: its log-probabilities from a token tree differ by {gap:.2g} nats from those of plain rows, "
                "so the lab can't train it. Llama and Qwen models work."
            )


def _common_head(prompts_PT: Ints) -> int:
    """Tokens that all prompts begin with."""
    equal_T = (prompts_PT == prompts_PT[0]).all(axis=0) & (prompts_PT[0] != PAD)
    return int(np.cumprod(equal_T).sum())


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
