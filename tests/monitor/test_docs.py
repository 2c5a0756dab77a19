"""docs/stage.md: its commands and its Python run and print what the page says; its constants are the monitor's."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from rlvrscope.monitor import stage, trend
from rlvrscope.monitor.alarms import ADVICE

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "stage.md").read_text()


def test_the_commands_print_what_the_page_says(tmp_path: Path):
    block, printed = re.findall(r"```console\n(python .*?)```\n\nprints\n\n```text\n(.*?)```", PAGE, re.DOTALL)[0]
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    programs = {"python": [sys.executable], "rlvrscope": [sys.executable, "-m", "rlvrscope"]}
    output = ""
    for line in block.splitlines():
        program, *words = shlex.split(line)
        done = subprocess.run([*programs[program], *words], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        output += done.stdout
    assert output == f"{printed}Written: out/stage.png\n"


def test_the_example_prints_what_the_page_says():
    example, printed = re.findall(r"```python\n(.*?)```\n\nwhich prints\n\n```text\n(.*?)```", PAGE, re.DOTALL)[0]
    done = subprocess.run([sys.executable, "-W", "error", "-c", example], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed


def test_every_alarm_is_on_the_page():
    for name, advice in ADVICE.items():
        assert f"| {name} |" in PAGE
        assert f"| {advice.action} ({advice.reference}) |" in PAGE


def test_the_constants_are_the_pages():
    assert (trend.MIN_WINDOW, trend.THRESHOLD, trend.PATIENCE) == (8, 5.0, 3)
    assert stage.MIN_RISE == {"probe": 0.03, "ledger": 0.03, "telemetry": 0.01}
    assert stage.SHARE_OF_FALL == {"probe": 0.03, "ledger": 0.1, "telemetry": 0.1}
    assert (stage.COLLAPSED, stage.EXPLODED, stage.NO_CONTRAST, stage.MISMATCH) == (0.1, 2.0, 0.9, 0.05)
    assert stage.CLEAR == 3.0
