"""`rlvrscope dynamics` as a user runs it: files, numbers, mistakes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from rlvrscope import dynamics
from rlvrscope.cli.main import app
from rlvrscope.dynamics import Interrupted
from rlvrscope.dynamics.studies.bandit_studies import objectives_plan, phase_plan
from rlvrscope.dynamics.studies.settings import Setting
from rlvrscope.dynamics.studies.study import Case
from rlvrscope.objectives import OBJECTIVES
from rlvrscope.seeding import generator

FEW = ("--seeds", "12", "--steps", "60")


def run(*words: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["dynamics", *map(str, words)], env={"COLUMNS": "160"})
    assert done.exit_code == code, done.output + repr(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done


@pytest.mark.parametrize(
    ("name", "words", "cases"),
    [
        ("simulate", (), 1),
        ("figure1", ("--start", ".4,.2,.4", "--start", ".1,.1,.8"), 4),
        ("figure5", ("--rollouts", "2,4"), 2),
        ("objectives", ("--objective", "grpo", "--objective", "gspo", "--objective", "nsr"), 2),
        ("binary", (), 10),
        ("phase", ("--x", "n=2:8:3", "--y", "eta=.1:1:2"), 6),
        ("sequences", ("--eta", ".2,.6"), 4),
    ],
)
def test_a_figure_is_written_with_its_numbers(tmp_path: Path, name: str, words: tuple[str, ...], cases: int):
    facts = json.loads(run(name, *FEW, *words, "--out", tmp_path, "--json").stdout)
    assert len(facts["rows"]) == cases
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / f"{name}.svg").read_text()
    page = (tmp_path / f"{name}.html").read_text()
    assert "population std" in page
    assert 'src="http' not in page
    rows = list(csv.DictReader((tmp_path / f"{name}.csv").open()))
    assert len(rows) >= cases


def test_simulate_gives_the_librarys_numbers(tmp_path: Path):
    facts = json.loads(run("simulate", *FEW, "--start", ".3,.3,.4", "--seed", "3", "--out", tmp_path, "--json").stdout)
    table = pq.read_table(tmp_path / "simulate.parquet")
    path = dynamics.simulate(
        [0.8, 1, 0],
        OBJECTIVES["grpo"].replace(std_ddof=0),
        8,
        probs_V=[0.3, 0.3, 0.4],
        learning_rate=0.1,
        steps=60,
        seeds=12,
        rng=generator(3, "dynamics"),
        watch={"best": [1]},
    )
    assert facts["rows"][0]["lowest"] == pytest.approx(float(np.median(path.lowest["best"])))
    last = table.filter(np.asarray(table["step"]) == 60)
    np.testing.assert_allclose(last["p2"].to_numpy(), path.mass([1])[:, -1], rtol=1e-14)


def test_the_mean_field_of_tokens_is_read_at_every_update(tmp_path: Path):
    """Its passage is that of `sequence_flow` with every update recorded, not of the curve's points."""
    words = ("--seeds", "3", "--steps", "250", "--eta", "3.2", "--epochs", "1,2")
    facts = json.loads(run("sequences", *words, "--out", tmp_path, "--json").stdout)
    rewards, probs = np.outer([0.8, 1, 0], [1, 0, 0]).ravel(), np.outer([0.49, 0.02, 0.49], [0.5, 0.25, 0.25]).ravel()
    objective = OBJECTIVES["grpo"].replace(std_ddof=0)
    mean_field = dynamics.sequence_flow(rewards, objective, 8, tokens=3, probs_Y=probs, learning_rate=3.2, steps=250)
    mass_T = mean_field.mass([3, 4, 5])[0]
    passage = int(np.argmax(mass_T > 0.5))
    assert passage not in np.linspace(0, 250, 101).round(), "not a point of the curve"
    for row in facts["rows"]:
        assert row["flow_reached"] == int(passage * 3.2)
        assert row["flow_lowest"] == pytest.approx(mass_T.min(), rel=1e-12)


def test_every_how_many_steps_are_recorded(tmp_path: Path):
    run("simulate", *FEW, "--record-every", "25", "--out", tmp_path)
    assert set(pq.read_table(tmp_path / "simulate.parquet")["step"].to_pylist()) == {0, 25, 50, 60}


def test_a_map_over_the_other_knobs(tmp_path: Path):
    """clip and std turned on a map give the numbers that they give as options."""
    words = (*FEW, "--epochs", "3", "--eta", ".4", "--threshold", ".1")
    turned = json.loads(
        run("phase", *words, "--x", "clip=.05:.2:2", "--y", "std=0:1:2", "--out", tmp_path, "--json").stdout
    )
    alone = json.loads(
        run("simulate", *words, "--clip", ".05,.05", "--std", "sample", "--out", tmp_path, "--json").stdout
    )
    (row,) = (row for row in turned["rows"] if (row["clip"], row["std"]) == (0.05, 1.0))
    assert {name: row[name] for name in alone["rows"][0]} == alone["rows"][0]
    for knobs in (("eps=1e-6:1:3", "threshold=.1:.5:2"), ("kl=0:.1:2", "epochs=1:2:2")):
        run("phase", *FEW, "--x", knobs[0], "--y", knobs[1], "--out", tmp_path)


def test_kl_is_the_objectives_own_by_default(tmp_path: Path):
    names = ("--objective", "grpo", "--objective", "grpo-kl-forward", "--objective", "grpo-kl-reverse")
    own = json.loads(run("objectives", *FEW, *names, "--out", tmp_path, "--json").stdout)
    assert len(own["rows"]) == 3
    none = json.loads(run("objectives", *FEW, *names, "--kl", "0", "--out", tmp_path, "--json").stdout)
    assert [row["objective"] for row in none["rows"]] == [", ".join(names[1::2])]


def test_the_setting_is_printed(tmp_path: Path):
    output = run(
        "simulate", *FEW, "--eps", ".01", "--kl", ".1", "--clip", "none", "--threshold", ".4", "--out", tmp_path
    )
    for part in ("60 steps", "12 seeds", "ε = 0.01", "KL 0.1", "no clip", "threshold 0.4", "population std"):
        assert part in output.stdout


OWN = """
def rare_first(rewards_PG, advantages_PG):
    return advantages_PG * (1.0 + 3.0 * (rewards_PG > 0.9))


def batch_dependent(rewards_PG, advantages_PG):
    return advantages_PG - advantages_PG.max()
"""


def test_a_users_function_is_an_objective(tmp_path: Path):
    """It runs on NumPy, which the setting says; a function that mixes groups is refused."""
    (tmp_path / "mine.py").write_text(OWN)
    names = ("grpo", "pass-at-k", f"{tmp_path}/mine.py:rare_first")
    words = [word for name in names for word in ("--objective", name)]
    facts = json.loads(run("objectives", *FEW, *words, "--out", tmp_path, "--json").stdout)
    assert [row["objective"] for row in facts["rows"]] == ["grpo", "pass-at-k", "rare_first"]
    assert "NumPy instead of the kernel, because of their shape: pass-at-k, rare_first." in facts["setting"]
    assert facts["rows"][2]["lowest"] != facts["rows"][0]["lowest"]
    done = run("simulate", *FEW, "--objective", f"{tmp_path}/mine.py:batch_dependent", "--out", tmp_path, code=2)
    assert "must weigh each group independently" in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_fits_a_narrow_terminal():
    for name in ("simulate", "figure1", "figure5", "objectives", "binary", "phase", "sequences"):
        output = CliRunner().invoke(app, ["dynamics", name, "--help"], env={"COLUMNS": "80"}).stdout
        assert "--threshold" in output
        assert max(map(len, output.splitlines())) <= 80


def test_the_same_command_writes_the_same_numbers(tmp_path: Path):
    for folder, threads in (("a", "1"), ("b", "3")):
        run("figure5", *FEW, "--threads", threads, "--out", tmp_path / folder)
    assert (tmp_path / "a/figure5.csv").read_bytes() == (tmp_path / "b/figure5.csv").read_bytes()


def test_the_table_names_what_was_run(tmp_path: Path):
    output = run("objectives", *FEW, "--std", "sample", "--out", tmp_path).stdout
    assert {"grpo,", "gspo,", "dapo,", "cispo"} <= set(output.split()), "one update here, so one line"
    assert "sample std" in output
    assert "w-relative" in output


def test_many_actions_show_the_best_ones(tmp_path: Path):
    rewards, start = ",".join(["0"] * 79 + ["1"]), ",".join(["0.0125"] * 80)
    run("simulate", *FEW, "--rewards", rewards, "--start", start, "--out", tmp_path)
    assert "mass_best" in pq.read_table(tmp_path / "simulate.parquet").column_names


def test_ctrl_c_writes_the_seeds_that_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = Case.run

    def stopped(self: Case, on_progress):
        if self.key == (3,) and self.setting.steps > 1:  # not in the check before
            raise Interrupted(whole(self, on_progress))
        return whole(self, on_progress)

    monkeypatch.setattr(Case, "run", stopped)
    done = run("figure5", *FEW, "--out", tmp_path, code=130)
    assert "24 finished seeds, 2 of 4 cases" in " ".join(done.stderr.split())
    assert "Interrupted: 24 finished seeds in total." in (tmp_path / "figure5.svg").read_text()
    rollouts = {row["rollouts"] for row in csv.DictReader((tmp_path / "figure5.csv").open())}
    assert rollouts == {"2", "3"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("simulate", "--start", ".5,.5"), "one length; got 3 and 2"),
        (("simulate", "--start", ".5,.5,.5"), "sum to 1"),
        (("simulate", "--rewards", "a,b"), "--rewards takes numbers"),
        (("simulate", "--objective", "grop"), "Did you mean 'grpo'"),
        (("simulate", "-n", "1"), "at least 2"),
        (("simulate", "--steps", "0"), "--steps must be"),
        (("simulate", "--eta", "-1"), "--eta must be"),
        (("simulate", "--kl", "-1"), "--kl must be a number between"),
        (("simulate", "--clip", "x"), "--clip takes numbers"),
        (("simulate", "--record-every", "0"), "record_every"),
        (("simulate", "--threshold", "1"), "threshold must be a mass between 0 and 1"),
        (("simulate", "--eps", "0"), "std_eps"),
        (("simulate", "--objective", "missing.py:f"), "cannot read"),
        (("simulate", "--seeds", "1000000000"), "at most 10,000,000"),
        (("objectives", "-n", "1"), "at least 2"),
        (("objectives", "--objective", "pass-at-k", "-n", "4"), "at least 5"),
        (("phase", "--x", "n=2:4:1000", "--y", "eta=.1:1:2"), "COUNT between 2 and 100"),
        (("simulate", "--std", "both"), "population or sample"),
        (("simulate", "--clip", ".2"), "low,high"),
        (("figure5", "-n", "2.5"), "whole numbers"),
        (("binary", "--rewards", "1,0,0"), "at least two right answers"),
        (("sequences", "--epochs", "1.5"), "whole numbers"),
        (("sequences", "--start", ".5,.5"), "one length"),
        (("sequences", "--kl", ".1"), "has no KL term"),
        (("sequences", "--objective", "grpo-kl-forward"), "has no KL term"),
        (("phase", "--x", "rares=1:2:3"), "Did you mean 'rare'"),
        (("phase", "--x", "n=1"), "KNOB=FROM:TO:COUNT"),
        (("phase", "--x", "n=8:2:3"), "0 <= FROM < TO"),
        (("phase", "--x", "n=2:4:2", "--y", "n=2:4:2"), "two different knobs"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, words: tuple[str, ...], message: str):
    done = run(*words, "--out", tmp_path, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("figure5", "-n", "8,1"),
        ("phase", "--x", "threshold=.5:1:2", "--y", "n=4:8:2"),
        ("sequences", "--objective", "grpo-kl-forward"),
        ("figure5", "--out", "FILE"),
        ("figure5", "--out", "FILE/in"),
    ],
)
def test_mistakes_are_found_before_the_first_simulation(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Two or more steps are never run."""
    whole = Case.run

    def checked(self: Case, on_progress):
        assert self.setting.steps == 1
        return whole(self, on_progress)

    monkeypatch.setattr(Case, "run", checked)
    file = tmp_path / "FILE"
    file.write_text("kept")
    done = run(*(word.replace("FILE", str(file)) for word in words), code=2)
    assert done.stderr.count("\n") == 1
    assert file.read_text() == "kept"


def test_the_initial_share_is_printed(tmp_path: Path):
    """By hand: .15 of the .5 on right answers."""
    run("binary", *FEW, "--start", ".35,.15,.5", "--objective", "nsr", "--out", tmp_path)
    assert "Initial share: 0.3 in every seed." in (tmp_path / "binary.svg").read_text()


def test_maps_and_tables_keep_only_the_ends():
    setting = Setting(steps=50, seeds=3)
    plans = [objectives_plan(setting, ["grpo"]), phase_plan(setting, "grpo", ("n", [2, 4]), ("eta", [0.1, 0.2]))]
    for case in (case for plan in plans for case in plan.cases):
        path = case.run(lambda done: None)
        assert path.probs_STV is None
        assert path.steps_T.tolist() == [0, 50]


@pytest.mark.parametrize(
    "words",
    [
        ("figure5", "-n", "nan"),
        ("binary", "--eta", ".1,0"),
        ("phase", "--x", "dominant=.4:1.2:3", "--y", "n=2:4:2"),
        ("phase", "--x", "dominant=.1:.5:2", "--y", "n=2:4:2", "--rewards", "1,1,1"),
        ("phase", "--x", "rare=.1:.3:2", "--y", "n=2:4:2", "--start", "0,1,0"),
        ("phase", "--x", "eta=.1:inf:3", "--y", "n=2:4:2"),
        ("phase", "--x", "clip=.1:1.5:3", "--y", "n=2:4:2"),
        ("phase", "--x", "std=0:2:3", "--y", "n=2:4:2"),
        ("phase", "--x", "eps=0:1:3", "--y", "n=2:4:2"),
        ("phase", "--x", "threshold=.5:1:3", "--y", "n=2:4:2"),
    ],
)
def test_knobs_out_of_range_are_one_line(words: tuple[str, ...], tmp_path: Path):
    done = run(*words, "--out", tmp_path, code=2)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
