"""Batch sizes that fit in memory: estimated first, because the system kills a process that asks for too much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from rlvrscope.lab.device import free_bytes

USED_SHARE = 0.5
"""Share of the free memory that a batch may take."""
DRAWING_LOGITS = 8
"""Vectors of one float64 per vocabulary entry that one row needs while a token is drawn."""
Row = TypeVar("Row")
Out = TypeVar("Out")


@dataclass(eq=False)
class BatchSizes:
    """Rows of a batch at each width in tokens: at most `max_rows`, fewer where the estimate or memory itself says so.

    limit: tokens drawn after the width. logits: vectors over the vocabulary that a row needs, per token of its width if
    `every_token`.
    """

    model: Any
    max_rows: int
    limit: int = 0
    logits: int = DRAWING_LOGITS
    every_token: bool = False
    sizes: dict[int, int] = field(default_factory=dict)

    def size(self, width: int) -> int:
        if width not in self.sizes:
            logits = self.logits * (width if self.every_token else 1)
            self.sizes[width] = min(self.max_rows, rows_that_fit(self.model, width, self.limit, logits))
        return self.sizes[width]

    def run(self, width: int, rows: Sequence[Row], work: Callable[[Sequence[Row], int], list[Out]]) -> list[Out] | None:
        """Call work(part, size) on parts of at most `size` rows, halving `size` for good when memory runs out.

        Returns None where memory does not suffice for one row.
        """
        while True:
            size = self.size(width)
            try:
                return [out for first in range(0, len(rows), size) for out in work(rows[first : first + size], size)]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            if size == 1:
                return None
            self.sizes[width] = size // 2
            if self.model.device.type == "cuda":
                torch.cuda.empty_cache()


def rows_that_fit(model: Any, width: int, limit: int, logits: int = DRAWING_LOGITS) -> int:
    """Return the largest power of two of rows, at least 1, with `width` tokens to read and `limit` to draw."""
    free = USED_SHARE * free_bytes(model.device)
    rows = int(free // _row_bytes(model.config.get_text_config(), width, limit, logits))
    return 1 << max(0, rows.bit_length() - 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether torch, on any device, reports that memory did not suffice."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _row_bytes(config: Any, width: int, limit: int, logits: int) -> int:
    """Bytes of a row: fp32 keys and values, one layer's activations while reading, and float64 logits.

    Sizes that a config does not state are those of a typical 7B model.
    """
    hidden = getattr(config, "hidden_size", None) or 4096
    heads = getattr(config, "num_attention_heads", None) or 32
    head_size = getattr(config, "head_dim", None) or max(1, hidden // heads)
    layers = getattr(config, "num_hidden_layers", None) or 32
    cache = 8 * layers * (getattr(config, "num_key_value_heads", None) or heads) * head_size * (width + limit)
    layer = 4 * width * (8 * hidden + 3 * (getattr(config, "intermediate_size", None) or 4 * hidden) + heads * width)
    return cache + layer + 8 * logits * config.vocab_size
