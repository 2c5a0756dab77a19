"""The README's Python runs and prints what the README says; the targets it names exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_example_runs_and_prints_what_it_says():
    own, code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(own.strip().splitlines()) <= 10
    exec(own, {})  # noqa: S102  the README's own text
    (expected,) = re.findall(r"prints\n+```text\n(.*?)```", README, re.DOTALL)
    assert len(code.strip().splitlines()) <= 12
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"\bmake ([a-z]+)", README)
    assert {"demo", "test"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"no target {target}"
