"""Learning rates from an equal grid: which runs, and which rate wins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest

from rlvrscope import InputError, WorkError, config
from rlvrscope.experiment import runner as experiment
from rlvrscope.experiment.plan import Plan, PlannedRun
from rlvrscope.experiment.tuning import Tuning, choose_rates
from rlvrscope.experiment.workers import Event, Job, OnEvent
from rlvrscope.lab import checkpoint
from rlvrscope.lab.recipe import CompareConfig, Recipe, TuneConfig
from rlvrscope.runs import EvaluationRow, PromptScores, RunFolder, TelemetryRow

GAINS = (0.1, 0.2)


@pytest.fixture
def tuned(recipe: Recipe) -> Recipe:
    arms = {"own": {"learning_rate": 1e-5}, "anchor": {"anchor_coef": 0.1}}
    compare = CompareConfig(objectives=("grpo",), arms=arms, seeds=(0,))
    return recipe.model_copy(update={"compare": compare, "tune": TuneConfig(rates=(1e-4, 1e-3), prompts=10)})


def test_the_grid_is_equal_and_on_prompts_and_bases_of_its_own(tuned: Recipe, tmp_path: Path):
    tuning = Plan.of(tuned, tmp_path).tuning
    assert {arm: list(by_rate) for arm, by_rate in tuning.items()} == {"grpo": [1e-4, 1e-3], "anchor": [1e-4, 1e-3]}
    one, other = (run.recipe for run in tuning["anchor"][1e-3])
    assert one.pretrain is not None
    assert other.pretrain is not None
    assert (one.train.learning_rate, one.train.seed, one.pretrain.seed, one.train.base) == (1e-3, 1000, 1000, 1000)
    assert (other.pretrain.seed, other.train.base) == (1001, 1001)
    assert (one.evaluate.prompts, one.evaluate.avoid, one.evaluate.temperatures) == (10, 24, (1.0,))
    assert one.train.anchor_coef == 0.1


def test_the_comparison_takes_the_rates_found(tuned: Recipe, tmp_path: Path):
    runs = Plan.of(tuned, tmp_path).runs({"grpo": 5e-4})
    rates = {run.name: run.recipe.train.learning_rate for run in runs}
    assert rates == {"grpo-base0-seed0": 5e-4, "own-base0-seed0": 1e-5, "anchor-base0-seed0": 1e-3}
    assert tuned.train.learning_rate == 1e-3


def run(recipe: Recipe, folder: Path, success: list[list[float]] | None) -> PlannedRun:
    """A finished run with these success probabilities, one row per evaluation; None: a failed run."""
    train = recipe.train.model_copy(update={"steps": len(success or [0]) - 1})
    planned = PlannedRun(folder.name, recipe.model_copy(update={"train": train, "compare": None}), RunFolder(folder))
    planned.folder.claim(config.dumps(planned.recipe))
    for step, success_P in enumerate(success or []):
        score = PromptScores(
            temperature=1.0, k=256, pass_at_1=0.0, pass_at_k=0.0, distinct_correct=0.0, success_P=success_P,
            distinct_P=success_P, mass={},
        )  # fmt: skip
        planned.folder.append(EvaluationRow(step=step, held_out=(score,)))
        if step:
            planned.folder.append(TelemetryRow(step=step, reward=0.0))
    if success:
        checkpoint.save_header(planned.folder.final_checkpoint, kind=checkpoint.NO_WEIGHTS)
    return planned


def test_of_the_rates_that_reach_the_last_gain_the_best_boundary_wins(recipe: Recipe, tmp_path: Path):
    # pass@256 at p = .004 is .64, at 0 it is 0. Both gain .2; "wide" keeps what "narrow" loses.
    start = [0.3] * 2 + [0.004] * 8
    rows = {
        "narrow": [start, [1.0] * 2 + [0.1] * 6 + [0.0] * 2],
        "wide": [start, [1.0] * 2 + [0.1] * 8],
        "slow": [start, [0.8] * 2 + [0.2] * 8],  # gains .196 only, on the second base
        "flat": [start, [0.31] * 2 + [0.004] * 8],
        "flatter": [start, start],
    }

    def made(name: str, other: str = "") -> list[PlannedRun]:
        return [run(recipe, tmp_path / str(next(numbers)), rows.get(of)) for of in (name, other or name)]

    numbers = count()

    tuning = {
        "a": {1e-4: made("narrow"), 2e-4: made("wide")},
        "b": {1e-4: made("narrow"), 2e-4: made("narrow", "flat")},
        "c": {1e-4: made("flatter"), 2e-4: made("flat")},
        "d": {1e-4: made("lost"), 2e-4: made("flat")},
        "e": {1e-4: made("lost"), 2e-4: made("wide", "lost")},
    }
    chosen = {"a": 2e-4, "b": 1e-4, "c": 2e-4, "d": 2e-4, "e": 1e-4}
    written = choose_rates(tuning, GAINS, tmp_path / "t.json")
    assert written.rates == chosen
    assert Tuning.read(tmp_path / "t.json") == written
    edges = {arm: rates.edge for arm, rates in written.arms.items()}
    assert edges == {arm: "lowest" if rate == 1e-4 else "highest" for arm, rate in chosen.items()}
    assert [score.learning_rate for score in written.arms["a"].scores] == [1e-4, 2e-4]
    assert written.arms["e"].scores == ()
    assert len(written.arms["e"].failed) == 3


def test_of_rates_as_good_the_one_that_gains_most_is_taken(recipe: Recipe, tmp_path: Path):
    # Against "steady", "bold" is better on one prompt and worse on another by more: a difference of less than its
    # standard error.
    start = [0.2, 0.2, 0.002, 0.003]
    steady, bold = [0.5, 0.5, 0.002, 0.003], [0.7, 0.7, 0.0, 0.008]
    ends = {1e-4: steady, 2e-4: bold}
    tuning = {"a": {rate: [run(recipe, tmp_path / f"{rate:g}", [start, end])] for rate, end in ends.items()}}
    written = choose_rates(tuning, (0.05, 0.1), tmp_path / "t.json")
    assert written.rates == {"a": 2e-4}
    scores = [score.pass_at_boundary for score in written.arms["a"].scores]
    assert scores[0] > scores[1], "the best score is the other's"


def test_a_damaged_choice_is_one_line(tmp_path: Path):
    (tmp_path / "t.json").write_text('{"format_version": 3, "gains": [0.1], "arms": {"a": {}}}')
    with pytest.raises(InputError, match=r"is damaged\. Remove it"):
        Tuning.read(tmp_path / "t.json")
    (tmp_path / "t.json").write_text('{"format_version": 1, "arms": {}}')
    with pytest.raises(InputError, match="another version"):
        Tuning.read(tmp_path / "t.json")


def test_a_worker_that_is_killed_while_tuning_stops_the_comparison(
    cache: Path,  # noqa: ARG001
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """What it would have found is not known: no rate is chosen without it, and the next start goes on."""
    assert recipe.compare is not None
    assert recipe.pretrain is not None
    compare = recipe.compare.model_copy(update={"objectives": recipe.compare.objectives[:1]})
    tuned = recipe.model_copy(
        update={"compare": compare, "tune": TuneConfig(rates=(1e-4, 1e-3), prompts=10, bases=(7,))}
    )
    tuned = tuned.model_copy(update={"pretrain": recipe.pretrain.model_copy(update={"steps": 20})})
    killed: list[str] = []

    def run_jobs(jobs: Sequence[Job], workers: int, on_event: OnEvent) -> list[Event]:
        """The real one, but the first run that tunes is lost."""
        lost = next((job for job in jobs if job.name == "grpo-rate0.0001-base7"), None)
        if lost is None or killed:
            return real(jobs, workers, on_event)
        killed.append(lost.name)
        failures = real([job for job in jobs if job is not lost], workers, on_event)
        return [*failures, Event(lost, "failed", error="its process ended", killed=True)]

    real = experiment.run_jobs
    monkeypatch.setattr(experiment, "run_jobs", run_jobs)
    with pytest.raises(WorkError, match="1 of 2 runs that tune learning rates failed"):
        experiment.run_experiment(tuned, tmp_path / "out", 1, "cpu", lambda event: None)
    assert not (tmp_path / "out" / "tuning.json").exists()
    assert experiment.run_experiment(tuned, tmp_path / "out", 1, "cpu", lambda event: None) == []
    scores = json.loads((tmp_path / "out" / "tuning.json").read_text())["arms"]["grpo"]["scores"]
    assert [row["learning_rate"] for row in scores] == [1e-4, 1e-3]
