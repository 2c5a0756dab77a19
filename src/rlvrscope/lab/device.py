"""The torch device and the number of threads that runs use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from rlvrscope.errors import InputError


def check_device(device: str) -> torch.device:
    """Return the torch device. Raises InputError if it is not available."""
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise InputError(f"--device must be cpu or cuda; got {device!r}")
    try:
        torch_device = torch.device(device)
        torch.empty(1, device=torch_device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {device} is not available ({reason}). Use cpu.") from error
    return torch_device


THREADS = 1
"""Torch threads of a run. Another number changes the last bit of sums."""


def use_run_threads() -> None:
    """Give this process the number of torch threads that every run uses."""
    torch.set_num_threads(THREADS)


@contextmanager
def run_threads() -> Iterator[None]:
    """Use the number of torch threads of a run inside the block."""
    before = torch.get_num_threads()
    use_run_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


DEFAULT_FREE_BYTES = 8 << 30
"""Free memory assumed where the system does not report it."""


def free_bytes(device: torch.device) -> int:
    """Memory that this process may still take on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = DEFAULT_FREE_BYTES
    try:  # in a container
        group = Path("/sys/fs/cgroup")
        return min(free, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        return free
