"""The script of docs/trl.md runs, and its metrics are in TRL's logs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_script_runs_as_it_stands(model, tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    script = ROOT / "recipes/trl-smollm2/script.py"
    command = [sys.executable, str(script), str(model), str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len((tmp_path / "out" / "telemetry.jsonl").read_text().splitlines()) == 2
    logged = set(re.findall(r"'((?:eval_)?rlvrscope/[^']+)'", done.stdout))
    assert {"rlvrscope/negative_share", "rlvrscope/pass_at_group", "rlvrscope/stage"} <= logged
    assert {"eval_rlvrscope/pass@8", "eval_rlvrscope/pass@8_change_low"} <= logged
    row = json.loads((tmp_path / "out" / "counts" / "step-2.jsonl").read_text().splitlines()[0])
    assert row["n"] == 8


def test_the_document_shows_the_script_s_lines():
    text = (ROOT / "docs/trl.md").read_text()
    script = (ROOT / "recipes/trl-smollm2/script.py").read_text()
    shown = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert shown is not None
    for line in shown[1].splitlines():
        assert line in script or line.startswith("trainer = ")
