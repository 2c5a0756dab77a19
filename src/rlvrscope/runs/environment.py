"""Record of the versions and the machine that produced a result."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any


def environment(**facts: Any) -> dict[str, Any]:
    """Versions and machine, with further `facts`, as environment.json holds them."""
    versions = {}
    for name in ("rlvrscope", "numpy", "scipy", "torch"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    machine = {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count()}
    return {"format_version": 1, "python": platform.python_version(), **versions, **machine, **facts}


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
