"""docs/dynamics.md: its Python runs and prints what the page shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import rlvrscope as rs

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "dynamics.md").read_text()


def test_the_examples_run_and_print_what_the_page_says():
    exact, simulated = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (printed,) = re.findall(r"which prints\n+```text\n(.*?)```", PAGE, re.DOTALL)
    command = [sys.executable, "-W", "error", "-c", exact + simulated]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed


def test_the_closed_forms_are_the_pages():
    case = {"rewards_V": [0.8, 1.0, 0.0], "objective": "rloo", "group_size": 8, "probs_V": [0.49, 0.02, 0.49]}
    assert f"{rs.dynamics.transition_time(**case, learning_rate=0.1):,.0f} steps" in PAGE
    assert float("0" + re.findall(r"lowest_mass\(.*# (\.\d+)", PAGE)[0]) == pytest.approx(
        rs.dynamics.lowest_mass(**case), abs=5e-5
    )
