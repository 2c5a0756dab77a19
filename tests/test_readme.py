"""What the README shows is run: its Python, and the commands it names."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_example_runs_and_prints_what_it_says():
    own, code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(own.strip().splitlines()) <= 10
    exec(own, {})  # noqa: S102  the README's own text
    (shown,) = re.findall(r"prints\n+```text\n(.*?)```", README, re.DOTALL)
    assert len(code.strip().splitlines()) <= 12
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name
)
def test_links_lead_somewhere(path: Path):
    text = path.read_text()
    for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", text):
        assert (path.parent / target).exists(), f"{path.name} links to {target}, which is not there"


def test_commands_and_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"no target {target}"
    lines = re.findall(r"^rlvrscope (.+)", README, re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        command = itertools.takewhile(str.isalpha, line.split())
        done = subprocess.run([sys.executable, "-m", "rlvrscope", *command, "--help"], capture_output=True)
        assert done.returncode == 0, line
