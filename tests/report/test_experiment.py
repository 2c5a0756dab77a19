"""The report of an experiment: numbers against the run folders, sentences that follow the numbers, an offline page."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.experiment.findings import Findings
from rlvrscope.experiment.outcomes import Estimate
from rlvrscope.experiment.results import Experiment
from rlvrscope.report.experiment.words import sentences, with_interval
from rlvrscope.report.experiment.write import write_report
from rlvrscope.stats import pass_at_k_exact

CHARTS = ("frontier", "envelopes", "prompts", "pass-at-k", "stages", "training", "mass-flow")


@pytest.fixture(scope="module")
def folder(experiment: Path, once: Callable[..., Path]) -> Path:
    """A copy of the experiment with its report."""

    def copy(out: Path) -> None:
        shutil.copytree(experiment, out, dirs_exist_ok=True)
        write_report(out)

    return once("report", copy)


@pytest.fixture(scope="module")
def findings(folder: Path) -> Findings:
    return Findings(Experiment.read(folder))


def last_score(folder: Path, name: str, row: int = -1) -> dict:
    lines = (folder / "runs" / name / "evaluation.jsonl").read_text().splitlines()
    return next(score for score in json.loads(lines[row])["held_out"] if score["temperature"] == 1.0)


def test_numbers_are_those_of_the_run_folders(folder: Path, findings: Findings):
    base, grpo = last_score(folder, "grpo-base0-seed0", 0), last_score(folder, "grpo-base0-seed0")
    assert findings.base.pass_at_boundary == pytest.approx(pass_at_k_exact(base["success_P"], [256]).mean())
    outcome = findings.outcomes[0]
    assert outcome.model.name == "grpo"
    assert outcome.model.pass_at_1 == pytest.approx(np.mean(grpo["success_P"]))
    assert outcome.pass_at_1.value == pytest.approx(np.mean(grpo["success_P"]) - np.mean(base["success_P"]))
    assert outcome.pass_at_1.low < outcome.pass_at_1.value < outcome.pass_at_1.high
    assert outcome.distinct_correct.value == pytest.approx(np.mean(grpo["distinct_P"]) - np.mean(base["distinct_P"]))


def test_sentences_follow_the_intervals(findings: Findings):
    sentence, outcome = sentences(findings)[0], findings.outcomes[0]
    for metric, change in (("pass@1", outcome.pass_at_1), ("pass@256", outcome.pass_at_boundary)):
        verb = {1: "raised", -1: "lowered", 0: "did not significantly change"}[change.sign]
        assert f"{verb} {metric} from" in sentence
        assert f"({with_interval(change)})" in sentence


@pytest.mark.parametrize(("ends", "sign"), [((0.1, 0.3), 1), ((-0.3, -0.1), -1), ((-0.1, 0.3), 0), ((0.0, 0.3), 0)])
def test_a_sign_needs_an_interval_on_one_side_of_zero(ends: tuple[float, float], sign: int):
    assert Estimate(0.1, *ends).sign == sign


def test_the_same_folder_gives_the_same_report(folder: Path, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "again")
    write_report(tmp_path / "again")
    for name in ("report.html", "summary.json", "figures/frontier.svg"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_the_page_is_one_offline_file(folder: Path):
    page = (folder / "report.html").read_text()
    assert len(page.encode()) < 3_000_000
    markup = re.sub(r"(<script[^>]*>).*?</script>", r"\1", page, flags=re.DOTALL)
    assert markup.count("<script") == 3
    assert not re.findall(r"<[^>]+(?:src|href|url)\s*[=(]", markup), "something would be fetched"


def test_every_chart_is_a_picture(folder: Path):
    for name in CHARTS:
        data = (folder / "figures" / f"{name}.png").read_bytes()
        width, height = struct.unpack(">II", data[16:24])
        assert data.startswith(b"\x89PNG")
        assert width > 900
        assert height > 600
        assert len(data) > 50_000, "a blank picture packs smaller"
        assert "<svg" in (folder / "figures" / f"{name}.svg").read_text()


def test_hostile_names_stay_text(folder: Path, tmp_path: Path):
    """A recipe is a file from outside: nothing in it becomes markup."""
    out = tmp_path / "hostile"
    shutil.copytree(folder, out)
    environment = out / "environment.json"
    environment.write_text(environment.read_text().replace('"cpu"', '"<script>alert(1)</script>"'))
    recipe = out / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('name = "tiny"', 'name = "</title><script>alert(2)</script>"'))
    write_report(out)
    page = (out / "report.html").read_text()
    assert "alert(1)" in page
    assert not re.search(r"<script>alert", page, re.IGNORECASE)


def test_unfinished_and_empty_folders_are_refused(folder: Path, recipe_file: Path, tmp_path: Path):
    out = tmp_path / "unfinished"
    shutil.copytree(folder, out)
    (out / "runs" / "grpo-base0-seed0" / "checkpoints" / "final.safetensors").unlink()
    with pytest.raises(InputError, match="grpo-base0-seed0 is not finished"):
        write_report(out)
    (tmp_path / "empty").mkdir()
    shutil.copy(recipe_file, tmp_path / "empty" / "recipe.toml")
    with pytest.raises(InputError, match="holds no runs to compare"):
        write_report(tmp_path / "empty")
