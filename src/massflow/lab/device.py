"""Where models compute."""

from __future__ import annotations

import torch

from massflow.errors import InputError


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
