"""Two processes against one, a group split over both: the same losses, ledger, probe and weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HELPERS = Path(__file__).parents[2] / "helpers"


def run(processes, model, out, bank):
    out.mkdir()
    launch = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)] if processes > 1 else []
    )
    command = [sys.executable, *launch, str(HELPERS / "trl_two_processes.py"), str(model), str(out), str(bank)]
    path = os.pathsep.join([str(HELPERS), *sys.path])
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((out / "result.json").read_text())


def test_two_processes_are_one(model, tmp_path, bank):
    one, two = (run(count, model, tmp_path / str(count), bank) for count in (1, 2))
    assert (one["world"], two["world"]) == (1, 2)
    assert len(one["logged"]) == len(two["logged"]) == 3
    for single, double in zip(one["logged"], two["logged"], strict=True):
        assert single.keys() == double.keys()
        assert double == pytest.approx(single, abs=1e-5)
    assert any(entry["loss"] != 0.0 for entry in one["logged"])
    np.testing.assert_allclose(two["weights"], one["weights"], rtol=0, atol=1e-5)
    names = ("ledger.jsonl", "probe.jsonl")
    rows = [[len((tmp_path / count / name).read_text().splitlines()) for name in names] for count in ("1", "2")]
    assert rows == [[3, 4], [3, 4]]
