"""How many rows of a batch the memory holds: an estimate, since the system kills who asks for too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SHARE = 0.5
"""Of the free memory that is counted on."""


def rows_that_fit(model: Any, width: int, limit: int) -> int:
    """The largest power of two of rows, 1 at least, with prompts of `width` tokens and completions of `limit`."""
    free = SHARE * _free_bytes(model.device)
    fitting = int(free // _row_bytes(model.config.get_text_config(), width, limit))
    return 1 << max(0, fitting.bit_length() - 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, on any device, says that memory did not suffice."""
    import torch

    said = str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in said


def _row_bytes(config: Any, width: int, limit: int) -> int:
    """Keys and values in fp32, what a layer holds while the prompt is read, and one step's law in float64.

    Models that do not say as much are taken for ordinary ones.
    """
    hidden = getattr(config, "hidden_size", None) or 4096
    heads = getattr(config, "num_attention_heads", None) or 32
    head_size = getattr(config, "head_dim", None) or max(1, hidden // heads)
    held = (
        8 * (getattr(config, "num_hidden_layers", None) or 32) * (getattr(config, "num_key_value_heads", None) or heads)
    )
    layer = 4 * width * (8 * hidden + 3 * (getattr(config, "intermediate_size", None) or 4 * hidden) + heads * width)
    return held * head_size * (width + limit) + layer + 64 * config.vocab_size


def _free_bytes(device: Any) -> int:
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = 8 << 30  # told nowhere on this system: as small machines have
    try:  # in a container
        group = Path("/sys/fs/cgroup")
        return min(free, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        return free
