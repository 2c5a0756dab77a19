"""The report of several bases: paired by base, with runs that failed, and with the columns of graded tasks."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from rlvrscope import InputError, config
from rlvrscope.experiment.curves import best_at, interpolated, mean_curve, start, trained
from rlvrscope.experiment.equal_gain import COOLED
from rlvrscope.experiment.findings import Findings
from rlvrscope.experiment.outcomes import Entry
from rlvrscope.experiment.prompt_changes import prompt_counts, prompt_pairs
from rlvrscope.experiment.results import Experiment
from rlvrscope.experiment.runner import run_experiment
from rlvrscope.lab.recipe import Recipe
from rlvrscope.report.experiment.charts import charts
from rlvrscope.report.experiment.page import render
from rlvrscope.report.experiment.tables import gains_table, models_table, pairs_table, ranking_table, result_tables
from rlvrscope.report.experiment.words import between, scope, sentences
from rlvrscope.report.experiment.write import summary, write_report
from rlvrscope.report.table import Table, to_rich
from rlvrscope.report.text import number
from rlvrscope.runs import EvaluationRow, RunFolder, at_temperature
from rlvrscope.stats import TrainingRun, pass_at_k_exact
from rlvrscope.stats.matching import matched

LOST = "grpo-p-base1-seed0"


@pytest.fixture(scope="module")
def bases(cache: Path, recipe: Recipe, once: Callable[..., Path]) -> Path:  # noqa: ARG001
    """Two bases, two arms, one seed, two declared gains, of which the second is out of reach."""
    assert recipe.compare is not None
    assert recipe.pretrain is not None
    compare = recipe.compare.model_copy(update={"bases": (0, 1), "gains": (0.001, 0.3)})
    pretrain = recipe.pretrain.model_copy(update={"steps": 250})
    two = recipe.model_copy(update={"compare": compare, "pretrain": pretrain})
    return once("bases", lambda out: run_experiment(two, out, 2, "cpu", lambda event: None))


@pytest.fixture(scope="module")
def findings(bases: Path) -> Findings:
    return Findings(Experiment.read(bases))


def rise(folder: Path) -> None:
    """Success that rises, unlike that of so short a training: odd prompts gain, even ones are lost.

    GRPO rises fastest, base 1 faster than base 0; cooling raises the bases, too.
    """
    for path in folder.glob("runs/*/evaluation.jsonl"):
        pace = (0.03 if path.parent.name.startswith("grpo-base") else 0.02) * (
            1.5 if "base1" in path.parent.name else 1
        )
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for index, score in (
            (i, score) for i, row in enumerate(rows) for score in (*row["held_out"], *row.get("training", ()))
        ):
            lift = pace * index + 0.05 * (score["temperature"] < 1.0)
            score["success_P"] = [
                p + lift * (1.0 - p) if prompt % 2 else p * (1.0 - lift) for prompt, p in enumerate(score["success_P"])
            ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def risen(bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = copy(bases, tmp_path_factory.mktemp("risen") / "out")
    rise(out)
    return out


@pytest.fixture(scope="module")
def rising(risen: Path) -> Findings:
    return Findings(Experiment.read(risen))


def missing_rows(table: Table, name: str) -> int:
    """Rows of an arm without any number."""
    return sum(row[0] == name and set(row[1:]) == {None} for row in table.rows)


def page_of(findings: Findings) -> str:
    return render(findings, charts(findings))


def copy(folder: Path, out: Path) -> Path:
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns("report.html", "figures"))
    return out


def change_rows(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
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
    scores = json.loads(lines[row])["held_out"]
    return np.array(next(score["success_P"] for score in scores if score["temperature"] == 1.0))


def test_changes_are_paired_by_base(bases: Path, findings: Findings):
    gaps = [
        pass_at_k_exact(success(bases, f"grpo-base{base}-seed0", -1), [256]).mean()
        - pass_at_k_exact(success(bases, f"grpo-base{base}-seed0", 0), [256]).mean()
        for base in (0, 1)
    ]
    assert findings.outcomes[0].pass_at_boundary.value == pytest.approx(np.mean(gaps))
    assert findings.base.pass_at_1 == pytest.approx(
        np.mean([success(bases, f"grpo-base{base}-seed0", 0).mean() for base in (0, 1)])
    )


def clone(folder: Path, base: int, seed: int) -> None:
    """More bases and seeds: runs of base `base % 2`, a little less right for each."""
    for arm in ("grpo", "grpo-p"):
        out = folder / "runs" / f"{arm}-base{base}-seed{seed}"
        shutil.copytree(folder / "runs" / f"{arm}-base{base % 2}-seed0", out)
        recipe = config.load(out / "recipe.toml", Recipe)
        assert recipe.pretrain is not None
        train, pretrain = (
            recipe.train.model_copy(update={"seed": seed}),
            recipe.pretrain.model_copy(update={"seed": base}),
        )
        (out / "recipe.toml").write_text(config.dumps(recipe.model_copy(update={"train": train, "pretrain": pretrain})))
        rows = [json.loads(line) for line in (out / "evaluation.jsonl").read_text().splitlines()]
        for row in rows[1:]:
            for score in row["held_out"]:
                score["success_P"] = [p * (1.0 - 0.02 * base - 0.01 * seed) for p in score["success_P"]]
        (out / "evaluation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_scope_of_the_intervals(risen: Path, rising: Findings, tmp_path: Path):
    """Two bases of one seed: these runs. Of two seeds: these bases, other seeds. Four bases: other bases, too."""
    out = copy(risen, tmp_path / "out")
    results = [rising]
    for cells, bases in (([(0, 1), (1, 1)], (0, 1)), ([(2, 0), (3, 0), (2, 1), (3, 1)], (0, 1, 2, 3))):
        for base, seed in cells:
            clone(out, base, seed)
        recipe = config.load(out / "recipe.toml", Recipe)
        assert recipe.compare is not None
        compare = recipe.compare.model_copy(update={"bases": bases, "seeds": (0, 1)})
        (out / "recipe.toml").write_text(config.dumps(recipe.model_copy(update={"compare": compare})))
        results.append(Findings(Experiment.read(out)))
    assert [each.outcomes[0].covers for each in results] == ["prompts", "seeds", "bases"]
    texts = [scope(each) for each in results]
    assert "for these 2 bases and these runs only" in texts[0]
    assert "1 RL seed per base are too few to estimate the spread between seeds" in texts[0]
    assert "to new prompts (resampled) and new RL seeds" in texts[1]
    assert "for these 2 bases only" in texts[1]
    assert "new bases and new RL seeds (Student's t over 4 bases, each the mean of its 2 seeds)" in texts[2]
    # What two seeds a base add, by hand: their spread is half their distance, squared and summed over both bases, over
    # 2 degrees of freedom and, for the mean of two means of two, over 4; Student's t of 2 degrees is 4.3.
    finals = [[results[1].experiment.of("grpo")[i].success_SP()[-1].mean() for i in pair] for pair in ((0, 1), (2, 3))]
    spread = np.sqrt(sum((one - other) ** 2 / 2 for one, other in finals) / 2 / 4)
    change = results[1].outcomes[0].pass_at_1
    assert change.high - change.value > 4.3 * spread > 0
    # Failed runs leave too few bases for their arm alone.
    fail(out, "grpo-p-base3-seed0", "lost")
    fail(out, "grpo-p-base3-seed1", "lost")
    less = Findings(Experiment.read(out))
    assert [outcome.covers for outcome in less.outcomes] == ["bases", "seeds"]
    assert (
        "For GRPO-P, which has failed runs, they generalise to new prompts and new RL seeds, but not to new bases"
        in scope(less)
    )


def entry(findings: Findings, name: str) -> Entry:
    return next(entry for entry in findings.equal.entries if entry.name == name)


def test_bounds_where_a_gain_is_out_of_reach(findings: Findings):
    for name in ("grpo", "grpo-p"):
        near, far = entry(findings, name).targets
        assert near.runs == far.runs == 2
        assert far.reached == 0
        assert not far.pass_at_boundary.known
        assert far.pass_at_boundary.most == pytest.approx(findings.base.pass_at_boundary, abs=0.1)
        assert (
            far.pass_at_boundary.low
            <= far.pass_at_boundary.least
            < far.pass_at_boundary.most
            <= far.pass_at_boundary.high
        )
        assert far.pass_at_boundary.least == pytest.approx(findings.base.pass_at_1 + 0.3)
        assert (near.seconds is not None) == (near.reached > 0)
        assert far.seconds is None


def test_a_failed_run_is_listed_counted_and_shifts_no_curve(risen: Path, rising: Findings, tmp_path: Path):
    out = copy(risen, tmp_path / "out")
    fail(out, LOST, "the loss is not finite at step 3 <b>")
    results = write_report(out)
    page = (out / "report.html").read_text()
    assert f"<strong>{LOST}</strong>: the loss is not finite at step 3 &lt;b&gt;" in page
    assert json.loads((out / "summary.json").read_text())["failed"][0]["run"] == LOST
    whole, left = entry(rising, "grpo-p"), entry(results, "grpo-p")
    assert [target.runs for target in left.targets] == [2, 2], "the failed one never got there"
    assert left.targets[0].reached == whole.targets[0].reached - 1
    assert "Failed runs count as not having reached the gain" in page
    experiment = results.experiment
    np.testing.assert_allclose(start(experiment), start(rising.experiment))
    (lone,) = experiment.of("grpo-p")
    curve = mean_curve(experiment, [lone], trained)
    np.testing.assert_allclose(curve[0], start(experiment), err_msg="it starts where the bases do, on average")
    np.testing.assert_allclose(np.diff(curve, axis=0), np.diff(trained(lone), axis=0))


def test_an_arm_without_a_base_in_common_is_not_compared(bases: Path, tmp_path: Path):
    out = copy(bases, tmp_path / "out")
    fail(out, LOST, "lost")
    fail(out, "grpo-base0-seed0", "lost, too")
    (pair,) = Findings(Experiment.read(out)).equal.pairs
    assert (pair.bases, pair.own, pair.common, pair.targets) == (0, None, None, (None, None))
    assert "have no base in common" in sentences(Findings(Experiment.read(out)))[1]


def test_an_arm_whose_every_run_failed_keeps_its_row(risen: Path, tmp_path: Path):
    out = copy(risen, tmp_path / "out")
    fail(out, LOST, "lost")
    fail(out, LOST.replace("base1", "base0"), "lost, too")
    results = Findings(Experiment.read(out))
    assert results.experiment.missing_arms == ["grpo-p"]
    assert results.equal.pairs == []
    assert sum(missing_rows(table, "GRPO-P") for table in result_tables(results)) == 3, "one a table"


def test_the_stated_pairs_are_compared(risen: Path, rising: Findings, tmp_path: Path):
    out = copy(risen, tmp_path / "out")
    recipe = config.load(out / "recipe.toml", Recipe)
    assert recipe.compare is not None
    compare = recipe.compare.model_copy(update={"pairs": (("grpo", "grpo-p"),)})
    (out / "recipe.toml").write_text(config.dumps(recipe.model_copy(update={"compare": compare})))
    turned = Findings(Experiment.read(out))
    (was,), (pair,) = rising.equal.pairs, turned.equal.pairs
    assert (was.arm, was.against) == (pair.against, pair.arm) == ("grpo-p", "grpo")
    assert was.own is not None
    assert pair.own is not None
    assert pair.own.span == was.own.span
    assert pair.own.difference.value == pytest.approx(-was.own.difference.value)
    assert pair.own.difference.low == pytest.approx(-was.own.difference.high)
    assert "Compared with GRPO-P at equal pass@1, pass@256 was" in sentences(turned)[1]
    page = page_of(turned)
    assert "GRPO minus GRPO-P</td>" in page
    assert f"{pair.own.span}</td>" in page
    (row,) = summary(turned)["pairs"]
    assert (row["arm"], row["against"]) == ("grpo", "grpo-p")


def test_one_range_for_all_arms(rising: Findings):
    """By hand: from the smallest declared gain to the least reach; the change of the arm's curves from their start."""
    runs = rising.experiment.runs
    reach = {run.name: run.success_SP().mean(axis=1).max() - run.success_SP()[0].mean() for run in runs}
    assert min(reach.values()) > 0.001
    common = rising.equal.common
    assert common is not None
    assert (common.since, common.upto) == (0.001, pytest.approx(min(reach.values())))
    assert str(common) in sentences(rising)[2]
    changes = []
    for name in ("grpo", "grpo-p"):
        change, own = entry(rising, name).change, rising.experiment.of(name)
        assert change is not None
        assert change.known
        means = []
        for run in own:
            path = TrainingRun(str(run.base), run.success_SP())
            kth = matched(path, 256, np.linspace(common.since, common.upto, 2001), np.full((1, 24), 1 / 24))
            means.append(kth.mean() - pass_at_k_exact(run.success_SP()[0], [256]).mean())
        assert change.least == pytest.approx(np.mean(means), abs=1e-5)
        changes.append(change.least)
    (pair,) = rising.equal.pairs
    assert pair.common is not None
    assert pair.common.least == pytest.approx(changes[1] - changes[0])


def test_the_cooled_base_stands_beside_the_arms(rising: Findings):
    """Its path by hand: from temperature 1 to .7, in a straight line; no seeds, two bases."""
    cooled = entry(rising, COOLED)
    assert (cooled.trained, cooled.runs) == (False, 2)
    at_one, at_less = (
        [next(run for run in rising.experiment.runs if run.base == b).success_SP(t)[0] for b in (0, 1)]
        for t in (1.0, 0.7)
    )
    expected, gain = [], rising.gains[0]
    for one, less in zip(at_one, at_less, strict=True):
        assert less.mean() - one.mean() > gain
        share = gain / (less.mean() - one.mean())
        ends = [pass_at_k_exact(p, [256]).mean() for p in (one, less)]
        expected.append(ends[0] + share * (ends[1] - ends[0]))
    assert cooled.targets[0].reached == 2
    assert cooled.targets[0].pass_at_boundary.least == pytest.approx(np.mean(expected))
    near = entry(rising, "grpo").targets[0]
    assert near.minus_cooled is not None
    assert near.minus_cooled.most == pytest.approx(near.pass_at_boundary.most - np.mean(expected))


@pytest.fixture(scope="module")
def with_a_table(cache: Path, recipe: Recipe, once: Callable[..., Path]) -> Path:  # noqa: ARG001
    """A network and a table, one base, one seed; training prompts are scored."""
    assert recipe.compare is not None
    table = {"objective": "grpo", "policy": "tabular", "learning_rate": 0.5}
    compare = recipe.compare.model_copy(update={"objectives": recipe.compare.objectives[:1], "arms": {"table": table}})
    evaluate = recipe.evaluate.model_copy(update={"train_prompts": 20})
    both = config.parse(recipe.model_copy(update={"compare": compare, "evaluate": evaluate}).model_dump(), Recipe, "")
    return once("table", lambda out: run_experiment(both, out, 2, "cpu", lambda event: None))


def test_tabular_arms_are_known_on_training_prompts_only(with_a_table: Path, tmp_path: Path):
    out = copy(with_a_table, tmp_path / "out")
    rise(out)
    results = Findings(Experiment.read(out))
    assert (results.experiment.arms, results.experiment.missing_arms) == (["grpo"], ["table"])
    assert results.equal.pairs == []
    assert results.on_training is not None
    assert results.on_training.experiment.arms == ["grpo", "table"]
    assert results.on_training.num_prompts == 20
    (pair,) = results.on_training.equal.pairs
    assert (pair.arm, pair.against) == ("table", "grpo")
    trained = page_of(results).split("<h2>On training prompts</h2>")[1]
    assert sum(missing_rows(table, "table") for table in result_tables(results)) == 3, (
        "after training, common range, gain"
    )
    assert not any(missing_rows(table, "table") for table in result_tables(results.on_training))
    numbers = results.on_training.outcomes[1]
    rows = RunFolder(out / "runs/table-base0-seed0").rows(EvaluationRow)
    first, last = (at_temperature(rows[i].training).success_P for i in (0, -1))
    assert numbers.pass_at_1.value == pytest.approx((last - first).mean())
    assert numbers.model.greedy_accuracy is None, "of held-out prompts only"
    assert f">{numbers.model.pass_at_1:.3f}</td>" in trained
    (change,) = (entry.change for entry in results.on_training.equal.entries if entry.name == "table")
    assert change is not None
    assert f">{between(change)}<br>" in trained


def test_with_nothing_but_tables_the_page_is_about_training_prompts(with_a_table: Path, tmp_path: Path):
    out = copy(with_a_table, tmp_path / "out")
    shutil.rmtree(out / "runs" / "grpo-base0-seed0")
    results = Findings(Experiment.read(out))
    assert results.experiment.prompts == "training prompts"
    assert results.on_training is None
    assert results.outcomes[0].model.name == "table"
    assert "20 training prompts" in page_of(results)


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
        for s in range(1, len(run.evaluation_steps))
    ]
    for x, y in points:
        inside = [kth for first, kth in scored if first >= x]
        assert not inside or y >= max(inside) - 1e-12


def test_tables_fit_80_columns(risen: Path, tmp_path: Path):
    findings = Findings(Experiment.read(risen))
    console = Console(width=80, file=(tmp_path / "out").open("w"))
    long = "long" * 20
    findings.outcomes[1] = replace(findings.outcomes[1], model=replace(findings.outcomes[1].model, name=long))
    findings.equal.entries[1] = replace(findings.equal.entries[1], name=long)
    findings.equal.pairs[0] = replace(findings.equal.pairs[0], arm=long)
    for table in (models_table, ranking_table, pairs_table, gains_table):
        console.print(to_rich(table(findings)))
    console.file.close()
    lines = (tmp_path / "out").read_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("…" in line for line in lines) == 5, "the long name is clipped, and nothing else"
    assert sum(bool(re.search(r" \d of 2( |$)", line)) for line in lines) == 2 * 3 + 3, (
        "two gains and one range, three entries"
    )


def test_columns_of_graded_tasks_seconds_and_mixtures(risen: Path, tmp_path: Path):
    """Optional columns of the trainer, read back by hand."""
    out = copy(risen, tmp_path / "out")

    def grade(row: dict[str, Any]) -> None:
        for score in row["held_out"]:
            score["optimal_P"] = [p / 4 for p in score["success_P"]]
        row["training"] = json.loads(json.dumps(row["held_out"]))

    change_rows(out, "evaluation", grade)
    change_rows(out, "timing", lambda row: row.update(cpu=0.5))
    for run in (out / "runs").iterdir():
        first, *_, last = (json.loads(line) for line in (run / "evaluation.jsonl").read_text().splitlines())
        scored = [
            (alpha, {name: row[name] for name in ("held_out", "training")})
            for alpha, row in ((0.7, last), (0.3, first))
        ]
        rows = [{"step": 6, "alpha": alpha, **scores} for alpha, scores in scored]
        (run / "interpolation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = write_report(out)
    run = results.experiment.runs[0]
    assert run.graded
    assert run.cpu_seconds_S is not None
    np.testing.assert_allclose(run.cpu_seconds_S, np.array(run.evaluation_steps) * 0.5)
    np.testing.assert_allclose(interpolated(run), trained(run)[[0, -1]], err_msg="in order of alpha")
    wise, arm = entry(results, "WiSE of grpo"), entry(results, "grpo")
    assert (wise.of, wise.trained, wise.runs) == ("grpo", False, 2)
    # From the base to the final model and nothing else: a straight line between them.
    ends = [trained(run)[[0, -1]] for run in results.experiment.of("grpo")]
    line = [one[0, 1] + results.gains[0] / (one[1, 0] - one[0, 0]) * (one[1, 1] - one[0, 1]) for one in ends]
    assert wise.targets[0].pass_at_boundary.least == pytest.approx(np.mean(line))
    assert arm.targets[0].minus_wise is not None
    assert arm.targets[0].minus_wise.least == pytest.approx(arm.targets[0].pass_at_boundary.least - np.mean(line))
    assert "WiSE of GRPO" in (out / "report.html").read_text()
    assert (out / "figures" / "graded.svg").read_text().count("common, held-out prompts") >= 1
    specs = json.loads(re.findall(r'id="specs">(.*?)</script>', (out / "report.html").read_text(), re.DOTALL)[0])
    values = [value for panel in specs["graded"]["concat"] for value in panel["data"]["values"]]
    first = next(v for v in values if v["kind"] == "optimal, held-out prompts" and v["step"] == 0)
    assert first["mass"] == pytest.approx(results.base.pass_at_1 / 4)
    page = (out / "report.html").read_text()
    assert "On training prompts" in page
    assert "On held-out prompts" in page
    for looked_at in (results, results.on_training):
        assert looked_at is not None
        grpo = looked_at.graded[0]
        # A quarter of every right answer's mass is optimal: common is three times it, and never overtaken.
        assert grpo.optimal[0] == pytest.approx(results.base.pass_at_1 / 4)
        assert grpo.common[0] == pytest.approx(3 * grpo.optimal[0])
        assert grpo.optimal[1] == pytest.approx(min(grpo.optimal[1:]))
        assert grpo.overtaken == 0.0
        assert grpo.boundary_change.value == pytest.approx(grpo.boundary[2] - grpo.boundary[0])
        assert grpo.optimal_change.value == pytest.approx(grpo.optimal[2] - grpo.optimal[0])
        (pair,) = looked_at.graded_pairs
        other = next(one for one in looked_at.graded if one.arm == pair.arm)
        assert pair.optimal.value == pytest.approx(other.optimal[2] - grpo.optimal[2])
        assert number(pair.optimal.value, "+.3f") in sentences(looked_at)[-1]


def test_training_prompts_are_compared_separately(bases: Path, tmp_path: Path):
    """With every training prompt solved, the comparison on them differs from that on held-out prompts."""
    out = copy(bases, tmp_path / "out")
    assert Findings(Experiment.read(out)).on_training is None, "they were not scored"

    def score_training(row: dict[str, Any]) -> None:
        row["training"] = json.loads(json.dumps(row["held_out"]))
        for score in row["training"]:
            score["success_P"] = [1.0 for _ in score["success_P"]]

    change_rows(out, "evaluation", score_training)
    results = Findings(Experiment.read(out))
    assert results.on_training is not None
    assert results.on_training.on_training is None
    assert results.on_training.base.pass_at_1 == 1.0
    assert results.base.pass_at_1 < 1.0
    assert results.graded == []
    assert results.on_training.equal.common is None, "nothing can rise above 1"
    assert "There is no common range of gains" in sentences(results.on_training)[2]


def test_runs_on_other_prompts_are_refused(bases: Path, tmp_path: Path):
    out = copy(bases, tmp_path / "out")
    path = out / "runs" / LOST / "evaluation.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        for score in row["held_out"]:
            score |= {name: score[name][:-1] for name in ("success_P", "distinct_P")}
            score["mass"] = {name: values[:-1] for name, values in score["mass"].items()}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match="the same number of held-out prompts"):
        Findings(Experiment.read(out))


@pytest.fixture(scope="module")
def in_a_browser(rising: Findings, draw: Callable[..., dict], tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The page as Chromium has it after drawing."""
    return draw(tmp_path_factory.mktemp("browser") / "pages", {"plain": page_of(rising)})


def test_the_page_draws_in_a_browser(in_a_browser: dict, rising: Findings):
    drawn, console = in_a_browser["plain"]
    assert 'data-charts="drawn"' in drawn
    assert not re.search("refused|error|failed", console, re.IGNORECASE)
    assert set(charts(rising)) == {
        *("frontier", "equal-pass", "envelopes", "prompts", "pass-at-k", "stages", "training", "mass-flow"),
    }
    for name in charts(rising):
        start = drawn.index(f'<div id="{name}"')
        assert "<svg" in drawn[start : start + 2000], f"{name} was not drawn"
    assert "NaN" not in "".join(re.findall(r"<path[^>]*>", drawn))
    for sentence in sentences(rising):
        assert sentence in drawn


def test_the_page_opens_with_its_pictures(rising: Findings):
    page = page_of(rising)
    order = [page.index(part) for part in ('id="frontier"', 'id="mass-flow"', 'id="training"', "<table>")]
    assert order == sorted(order)
    assert page[: order[0]].count('<p class="claim">') == 3


def test_prompts_lost_and_gained_by_hand(rising: Findings):
    """Odd prompts gain and even ones are lost: see `rise`."""
    (pair,) = prompt_pairs(rising)
    assert (pair.arm, pair.against, len(pair.arm_N)) == ("grpo-p", "grpo", 2 * 24)
    for base in (0, 1):
        for arm, values_N in (("grpo-p", pair.arm_N), ("grpo", pair.against_N)):
            (run,) = [run for run in rising.experiment.of(arm) if run.base == base]
            own = np.array(pair.base_N) == base
            np.testing.assert_allclose(values_N[own], pass_at_k_exact(run.success_SP()[-1], [256])[:, 0])
    every = prompt_counts(pair)[-1]
    assert (every.success_bin, every.prompts) == ("all prompts", 48)
    was, arm, against = (values_N >= 0.5 for values_N in (pair.before_N, pair.arm_N, pair.against_N))
    lost_arm, lost_against = was & ~arm, was & ~against
    assert every.lost_by_arm_only + every.lost_by_both == lost_arm.sum()
    assert every.lost_by_against_only + every.lost_by_both == lost_against.sum()
    assert every.gained_by_arm_only + every.gained_by_both == (~was & arm).sum()
    assert every.gained_by_against_only + every.gained_by_both == (~was & against).sum()
    bins = prompt_counts(pair)[:-1]
    assert sum(counts.prompts for counts in bins) == 48
    assert sum(counts.lost_by_arm_only for counts in bins) == every.lost_by_arm_only
    (unreached,) = prompt_pairs(rising, 0.3)
    assert prompt_counts(unreached) == [], "no run gains 0.3"
