"""Two ways to draw rows from a pretrained model: as one token tree, or each padded in a batch of a fixed shape.

Each row is drawn with its own random numbers. In a tree, rows that agree so far share one distribution and everything
is read once; its probabilities round differently with the other rows. Padded rows are drawn by `generate`, in batches
of one shape: on a CPU a row is then the same to the last bit, whatever the other rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from rlvrscope.engines.endings import Endings
from rlvrscope.engines.memory import DRAWING_LOGITS
from rlvrscope.errors import InputError
from rlvrscope.lab.decoding import inverse_transform, next_token_logp
from rlvrscope.lab.pretrained import Pretrained, quiet
from rlvrscope.lab.recipe import PretrainedConfig
from rlvrscope.lab.sampler import draw
from rlvrscope.lab.token_tree import PAD, padded
from rlvrscope.lab.tree_policy import MAX_ROWS, TreePolicy

if TYPE_CHECKING:
    from rlvrscope.engines import Settings

PADDED_ROWS = 64
"""Usual rows of a padded batch."""
BATCH_TOKENS = 32_768
"""Most tokens drawn in the usual batch of a tree, unless PADDED_ROWS completions are longer."""
Drawn = tuple[list[list[int]], Tensor]
"""Tokens of each row, and their log-probabilities in nats, (B, T); those after a row's end do not count."""


class RowSampler(Protocol):
    """Draws rows of tokens."""

    @property
    def fixed_shape(self) -> bool:
        """Whether every batch must have the same number of rows."""
        ...

    @property
    def row_logits(self) -> int:
        """Vectors of one float64 per vocabulary entry that a row needs while a token is drawn."""
        ...

    def usual_rows(self, max_tokens: int) -> int:
        """Rows of a batch where all fit in memory."""
        ...

    def draw(self, rows: Sequence[Sequence[int]], width: int, uniform_BT: Tensor, reported: int = 0) -> Drawn:
        """Draw after each row, a prompt of at most `width` tokens, with a random number for each token.

        reported: this many first rows count as progress.
        """
        ...


def choose_sampler(pretrained: Pretrained, endings: Endings) -> RowSampler:
    """Return the tree, or padded rows for a model whose log-probabilities in a tree are not those of plain rows."""
    policy = TreePolicy(PretrainedConfig(pretrained=pretrained.name), pretrained)
    try:
        policy.check()
    except InputError:
        return PaddedRows(pretrained, endings)
    return TreeRows(policy, endings)


@dataclass(frozen=True, eq=False)
class TreeRows:
    """Draws a batch as one token tree."""

    policy: TreePolicy
    endings: Endings
    fixed_shape: bool = False
    row_logits: int = 1

    def usual_rows(self, max_tokens: int) -> int:
        return usual_tree_rows(max_tokens)

    def draw(self, rows: Sequence[Sequence[int]], width: int, uniform_BT: Tensor, reported: int = 0) -> Drawn:  # noqa: ARG002
        endings = self.endings
        return draw_tree(self.policy, rows, uniform_BT, endings.pretrained.ends, endings.settings, endings.is_over)


def usual_tree_rows(max_tokens: int, requested: int | None = None) -> int:
    """Rows of a tree where all fit in memory: no more than are requested in all."""
    most = max(PADDED_ROWS, min(MAX_ROWS, BATCH_TOKENS // max_tokens))
    return most if requested is None else min(most, requested)


def draw_tree(
    policy: TreePolicy,
    rows: Sequence[Sequence[int]],
    uniform_BT: Tensor,
    stops: Sequence[int],
    settings: Settings,
    is_over: Callable[[list[int]], bool] | None = None,
) -> Drawn:
    """Draw after each row as one tree, up to a stop, or until `is_over` returns True for the tokens drawn.

    Raises WorkError if the model's probabilities are not finite.
    """

    def watch(tokens_BT: Tensor, open_B: Tensor) -> Tensor:
        if settings.on_tokens is not None:
            settings.on_tokens(int(open_B.sum()))
        if is_over is None:
            return open_B
        over = [is_over(drawn) for drawn in tokens_BT[open_B].tolist()]
        return open_B.masked_scatter(open_B, ~torch.tensor(over, device=open_B.device))

    prompts = list(dict.fromkeys(map(tuple, rows)))
    place_of = {prompt: place for place, prompt in enumerate(prompts)}
    prompt_B = torch.tensor([place_of[tuple(row)] for row in rows], device=policy.device)
    order_B = prompt_B.argsort(stable=True)
    rollouts = draw(
        policy, torch.from_numpy(padded(prompts)).to(policy.device), uniform_BT[order_B.cpu()].T,
        prompt_B=prompt_B[order_B], stops=tuple(stops), temperature=settings.temperature, top_p=settings.top_p,
        watch=watch,
    )  # fmt: skip
    back_B = order_B.argsort()
    tokens_BT, logp_BT = rollouts.completions_BT[back_B], rollouts.logp_BT[back_B].double()
    return [tokens_T[tokens_T != PAD].tolist() for tokens_T in tokens_BT], logp_BT


@dataclass(frozen=True, eq=False)
class PaddedRows:
    """Draws a batch by `generate`, prompts padded on the left."""

    pretrained: Pretrained
    endings: Endings
    fixed_shape: bool = True
    row_logits: int = DRAWING_LOGITS

    def usual_rows(self, max_tokens: int) -> int:  # noqa: ARG002
        return PADDED_ROWS

    def draw(self, rows: Sequence[Sequence[int]], width: int, uniform_BT: Tensor, reported: int = 0) -> Drawn:
        device, settings = self.pretrained.device, self.endings.settings
        padding_B = [width - len(row) for row in rows]
        mask_BW = torch.tensor([[0] * padding + [1] * (width - padding) for padding in padding_B], device=device)
        ids_BW = torch.tensor(
            [[0] * padding + list(row) for padding, row in zip(padding_B, rows, strict=True)], device=device
        )
        chooser = _TokenChooser(uniform_BT.to(device).double(), settings.temperature, settings.top_p)
        watch = _Watch(self.endings, width, reported)
        with torch.inference_mode(), quiet():  # padding tokens are counted as text: no cause for warnings
            out_BT = self.pretrained.model.generate(
                input_ids=ids_BW, attention_mask=mask_BW, max_new_tokens=uniform_BT.shape[1],
                logits_processor=[chooser], stopping_criteria=[watch],
            )  # fmt: skip
        return out_BT[:, width:].tolist(), torch.stack(chooser.logp, dim=1)


@dataclass(eq=False)
class _TokenChooser:
    """A logits processor that leaves one token a row: drawn by inverse transform with the row's own numbers."""

    uniform_BT: Tensor
    temperature: float
    top_p: float
    logp: list[Tensor] = field(default_factory=list)
    """The tokens' log-probabilities at each step, at temperature 1 over all tokens."""

    def __call__(self, _input_ids: Tensor, scores: Tensor) -> Tensor:
        logits_BV = scores.double()  # in fp32 a running sum over a large vocabulary loses the rare tokens
        plain_BV = logits_BV.log_softmax(dim=1)
        drawn_BV = next_token_logp(logits_BV, plain_BV, self.temperature, self.top_p)
        token_B1 = inverse_transform(drawn_BV, self.uniform_BT[:, len(self.logp)])
        self.logp.append(plain_BV.gather(1, token_B1)[:, 0])
        return torch.full_like(scores, -torch.inf).scatter_(1, token_B1, 0.0)


@dataclass(eq=False)
class _Watch:
    """A stopping criterion: reports the tokens drawn in the first `reported` rows, and ends rows at a stop string."""

    endings: Endings
    width: int
    reported: int
    open_B: Tensor | None = None
    """True for rows that have not ended."""

    def __call__(self, ids_BT: Tensor, _scores: Tensor, **_: object) -> Tensor:
        on_tokens = self.endings.settings.on_tokens
        open_B = torch.ones(len(ids_BT), dtype=torch.bool) if self.open_B is None else self.open_B
        if on_tokens is not None:
            on_tokens(int(open_B[: self.reported].sum()))
        for row, drawn in enumerate(ids_BT[:, self.width :].tolist()):
            open_B[row] &= not self.endings.is_over(drawn)
        self.open_B = open_B
        return ~open_B.to(ids_BT.device)
