"""The report of several bases: paired by base, with runs that failed, and with the columns of graded tasks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from massflow import InputError
from massflow.lab.experiment import run_experiment
from massflow.lab.recipe import Recipe
from massflow.report.experiment.curves import best_at, interpolated, mean_curve, start, trained
from massflow.report.experiment.findings import Findings
from massflow.report.experiment.results import Experiment
from massflow.report.experiment.tables import frontier_table, summary_table
from massflow.report.experiment.write import write_report
from massflow.runs import Row
from massflow.stats import pass_at_k_exact

LOST = "grpo-p-base1-seed0"


@pytest.fixture(scope="module")
def bases(cache: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """Two bases, two arms, one seed, two declared gains, of which the second is out of reach."""
    assert recipe.compare is not None
    compare = recipe.compare.model_copy(update={"bases": (0, 1), "gains": (0.001, 0.3)})
    out = tmp_path_factory.mktemp("bases") / "out"
    pretrain = recipe.pretrain.model_copy(update={"steps": 250})
    run_experiment(
        recipe.model_copy(update={"compare": compare, "pretrain": pretrain}), out, 2, "cpu", lambda event: None
    )
    return out


@pytest.fixture(scope="module")
def findings(bases: Path) -> Findings:
    return Findings(Experiment.read(bases))


def copy(folder: Path, out: Path) -> Path:
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns("report.html", "figures"))
    return out


def change_rows(folder: Path, name: str, change: Callable[[Row], None]) -> None:
    for path in folder.glob(f"runs/*/{name}.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            change(row)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def fail(folder: Path, name: str, reason: str) -> None:
    (folder / "runs" / name / "checkpoints" / "final.safetensors").unlink()
    (folder / "runs" / name / "error.log").write_text(f"{reason}\nTraceback: ...\n")


def success(folder: Path, name: str, row: int) -> np.ndarray:
    lines = (folder / "runs" / name / "evaluation.jsonl").read_text().splitlines()
    scores = json.loads(lines[row])["scores"]
    return np.array(next(score["success"] for score in scores if score["temperature"] == 1.0))


def test_changes_are_paired_by_base(bases: Path, findings: Findings):
    gaps = [
        pass_at_k_exact(success(bases, f"grpo-base{base}-seed0", -1), [256]).mean()
        - pass_at_k_exact(success(bases, f"grpo-base{base}-seed0", 0), [256]).mean()
        for base in (0, 1)
    ]
    assert findings.outcomes[0].pass_at_256.value == pytest.approx(np.mean(gaps))
    assert findings.base.pass_at_1 == pytest.approx(
        np.mean([success(bases, f"grpo-base{base}-seed0", 0).mean() for base in (0, 1)])
    )


def test_two_bases_say_less_than_one(bases: Path, findings: Findings, tmp_path: Path):
    """Student's t over two bases is wider than the prompts alone, by the distance between the bases."""
    out = copy(bases, tmp_path / "out")
    for arm in ("grpo", "grpo-p"):
        shutil.rmtree(out / "runs" / f"{arm}-base1-seed0")
    lone = Findings(Experiment.read(out))
    one, two = lone.outcomes[0].pass_at_1, findings.outcomes[0].pass_at_1
    rises = [
        success(bases, f"grpo-base{b}-seed0", -1).mean() - success(bases, f"grpo-base{b}-seed0", 0).mean()
        for b in (0, 1)
    ]
    assert two.high - two.low > 2 * 12 * abs(rises[0] - rises[1]) / 2  # t of one degree of freedom: 12.7
    assert one.value == pytest.approx(rises[0])


def test_bounds_where_a_gain_is_out_of_reach(findings: Findings):
    for outcome in findings.outcomes:
        near, far = outcome.targets
        assert near.runs == far.runs == 2
        assert far.reached == 0
        assert not far.pass_at_256.known
        assert far.pass_at_256.most == pytest.approx(findings.base.pass_at_256, abs=0.1)
        assert far.pass_at_256.low <= far.pass_at_256.least < far.pass_at_256.most <= far.pass_at_256.high
        assert far.pass_at_256.least == pytest.approx(findings.base.pass_at_1 + 0.3)
        assert (near.cpu_seconds is not None) == (near.reached > 0)
        assert far.cpu_seconds is None


def test_a_failed_run_is_listed_and_shifts_no_curve(bases: Path, findings: Findings, tmp_path: Path):
    out = copy(bases, tmp_path / "out")
    fail(out, LOST, "the loss is not finite at step 3 <b>")
    found = write_report(out)
    page = (out / "report.html").read_text()
    assert f"<strong>{LOST}</strong>: the loss is not finite at step 3 &lt;b&gt;" in page
    assert json.loads((out / "summary.json").read_text())["failed"][0]["run"] == LOST
    assert [target.runs for target in found.outcomes[1].targets] == [1, 1]
    experiment = found.experiment
    np.testing.assert_allclose(start(experiment), start(findings.experiment))
    (left,) = experiment.of("grpo-p")
    curve = mean_curve(experiment, [left], trained)
    np.testing.assert_allclose(curve[0], start(experiment), err_msg="it starts where the bases do, on average")
    np.testing.assert_allclose(np.diff(curve, axis=0), np.diff(trained(left), axis=0))


def test_an_arm_without_a_base_in_common_is_not_compared(bases: Path, tmp_path: Path):
    out = copy(bases, tmp_path / "out")
    fail(out, LOST, "lost")
    fail(out, "grpo-base0-seed0", "lost, too")
    found = Findings(Experiment.read(out))
    assert found.outcomes[1].matched is None
    assert [target.difference for target in found.outcomes[1].targets] == [None, None]
    assert "no range to compare on" in found.sentences[1]


def test_envelopes_hold_every_point(findings: Findings):
    run = findings.experiment.runs[0]
    temperatures = findings.experiment.recipe.evaluate.temperatures
    gains = np.linspace(0.0, 0.3, 40)
    points = best_at(temperatures, gains, slice(1, None))(run)
    assert (np.diff(points[np.isfinite(points[:, 1]), 1]) <= 1e-12).all()
    plain = best_at((1.0,), gains, slice(1, None))(run)
    both = np.isfinite(plain[:, 1])
    assert (points[both, 1] >= plain[both, 1] - 1e-12).all()
    scored = [
        (run.success_SP(t)[s].mean(), pass_at_k_exact(run.success_SP(t)[s], [256]).mean())
        for t in temperatures
        for s in range(1, len(run.steps))
    ]
    for x, y in points:
        inside = [kth for first, kth in scored if first >= x]
        assert not inside or y >= max(inside) - 1e-12


def test_tables_fit_80_columns(bases: Path, tmp_path: Path):
    findings = Findings(Experiment.read(bases))
    console = Console(width=80, file=(tmp_path / "out").open("w"))
    findings.outcomes[1] = replace(findings.outcomes[1], model=replace(findings.outcomes[1].model, name="long" * 20))
    for table in (summary_table(findings), frontier_table(findings)):
        console.print(table)
    console.file.close()
    lines = (tmp_path / "out").read_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("…" in line for line in lines) == 2, "the long name is clipped, and nothing else"
    targets = [target for outcome in findings.outcomes for target in outcome.targets]
    assert sum(bool(re.search(r" \d/2 ", line)) for line in lines) == len(targets) == 4


def test_columns_of_graded_tasks_seconds_and_mixtures(bases: Path, tmp_path: Path):
    """What the trainer adds where the recipe asks for it, read back by hand."""
    out = copy(bases, tmp_path / "out")

    def grade(row: Row) -> None:
        for score in row["scores"]:
            score["optimal"] = [p / 4 for p in score["success"]]
        row["train"] = json.loads(json.dumps(row["scores"]))

    change_rows(out, "evaluation", grade)
    change_rows(out, "timing", lambda row: row.update(cpu=0.5))
    for run in (out / "runs").iterdir():
        first, *_, last = (json.loads(line) for line in (run / "evaluation.jsonl").read_text().splitlines())
        rows = [{"step": 6, "alpha": alpha, "scores": row["scores"]} for alpha, row in ((0.7, last), (0.3, first))]
        (run / "wise.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = write_report(out)
    run = found.experiment.runs[0]
    assert run.graded
    assert run.cpu_seconds_S is not None
    np.testing.assert_allclose(run.cpu_seconds_S, np.array(run.steps) * 0.5)
    np.testing.assert_allclose(interpolated(run), trained(run)[[0, -1]], err_msg="in order of alpha")
    assert (out / "figures" / "graded.svg").read_text().count("common, held out") >= 1
    specs = json.loads(re.findall(r'id="specs">(.*?)</script>', (out / "report.html").read_text(), re.DOTALL)[0])
    values = [value for panel in specs["graded"]["concat"] for value in panel["data"]["values"]]
    first = next(v for v in values if v["kind"] == "optimal, held out" and v["step"] == 0)
    assert first["mass"] == pytest.approx(found.base.pass_at_1 / 4)
    page = (out / "report.html").read_text()
    assert "On training prompts" in page
    assert "On held out" in page
    for looked_at in (found, found.on_training):
        assert looked_at is not None
        grpo = looked_at.graded[0]
        # A quarter of every right answer's mass is optimal: common is three times it, and never overtaken.
        assert grpo.optimal[0] == pytest.approx(found.base.pass_at_1 / 4)
        assert grpo.common[0] == pytest.approx(3 * grpo.optimal[0])
        assert grpo.optimal[1] == pytest.approx(min(grpo.optimal[1:]))
        assert grpo.overtaken == 0.0
        assert grpo.boundary_change.value == pytest.approx(grpo.boundary[2] - grpo.boundary[0])


def test_training_prompts_are_looked_at_by_themselves(bases: Path, tmp_path: Path):
    """With every training prompt solved, the comparison on them differs from that on held-out prompts."""
    out = copy(bases, tmp_path / "out")
    assert Findings(Experiment.read(out)).on_training is None, "they were not scored"

    def score_training(row: Row) -> None:
        row["train"] = json.loads(json.dumps(row["scores"]))
        for score in row["train"]:
            score["success"] = [1.0 for _ in score["success"]]

    change_rows(out, "evaluation", score_training)
    found = Findings(Experiment.read(out))
    assert found.on_training is not None
    assert found.on_training.on_training is None
    assert found.on_training.base.pass_at_1 == 1.0
    assert found.base.pass_at_1 < 1.0
    assert found.graded == []


def test_runs_on_other_prompts_are_refused(bases: Path, tmp_path: Path):
    out = copy(bases, tmp_path / "out")
    path = out / "runs" / LOST / "evaluation.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        for score in row["scores"]:
            score["success"] = score["success"][:-1]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match="same number of held-out prompts"):
        Findings(Experiment.read(out))


def test_choosing_two_arms_on_the_page(bases: Path, tmp_path: Path):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        assert "CI" not in os.environ, "CI must have chromium"
        pytest.skip("no chromium on this machine: install Debian's, or Chrome, to test the page")
    out = copy(bases, tmp_path / "out")
    write_report(out)
    choose = """<script>setInterval(() => {
        const [a, b] = document.querySelectorAll("#prompts select");
        if (!b || document.body.dataset.chosen) return;
        document.body.dataset.chosen = "yes";
        for (const [box, at] of [[a, 0], [b, 2]]) { box.selectedIndex = at; box.dispatchEvent(new Event("change")); }
    }, 100)</script>"""
    page = out / "report.html"
    text, _, rest = page.read_text().rpartition("</body>")  # the library that draws holds that word, too
    page.write_text(f"{text}{choose}</body>{rest}")
    flags = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
        --disable-component-update --disable-sync --virtual-time-budget=20000 --dump-dom"""
    done = subprocess.run(
        [chromium, *flags.split(), f"--user-data-dir={tmp_path / 'chromium'}", f"file://{page}"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ">GRPO (up) against BASE (across)<" in done.stdout
    assert ">GRPO-P (up) against GRPO (across)<" not in done.stdout
    assert ">48</text>" in done.stdout, "two bases of 24 prompts are counted"
