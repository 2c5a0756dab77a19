"""Where models compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rlvrscope.errors import InputError


def check_device(device: str) -> torch.device:
    """The torch device. Raises InputError for one that is not there."""
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise InputError(f"--device must be cpu, or cuda where there is one; got {device!r}")
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"--device {device} can't be used here ({reason}). Use cpu, or cuda where there is one."
        ) from error
    return found


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
