"""The lab's pretrained models as an engine: shares of right samples are the exact probabilities; scores; commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from rlvrscope import config
from rlvrscope.cli.main import app
from rlvrscope.engines import Completion, Request, ScoreRequest, Settings, open_engine, open_scorer
from rlvrscope.engines.lab import problems_of
from rlvrscope.errors import InputError
from rlvrscope.lab import checkpoint
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.pretrain import load_base
from rlvrscope.lab.recipe import ModelConfig, PretrainedConfig, Recipe
from rlvrscope.lab.run import train
from rlvrscope.lab.solutions import SolutionSet, solution_mass
from rlvrscope.lab.tasks import Multiples
from rlvrscope.lab.token_tree import padded
from rlvrscope.lab.tokenised_task import TokenisedTask, tokenised
from rlvrscope.lab.tree_policy import TreePolicy
from rlvrscope.problem import Problem
from rlvrscope.runs import EvaluationRow, RunFolder, at_temperature
from rlvrscope.sampling import SampleStore, fill
from rlvrscope.sampling.fill import sample_seed
from rlvrscope.verify import verify_answer

pytest.importorskip("transformers")
CPU = torch.device("cpu")
TOML = """
format_version = 2
[task]
name = "multiples"
[model]
pretrained = "FOLDER"
[train]
steps = 2
prompts = 16
prompts_per_step = 8
minibatches = 1
learning_rate = 1e-4
warmup_steps = 0
[evaluate]
prompts = 12
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from text_model import save_text_model

    return save_text_model(tmp_path_factory.mktemp("multiples"), Multiples(), steps=120, context=256)


@pytest.fixture(scope="module")
def recipe(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("recipe") / "mul.toml"
    path.write_text(TOML.replace("FOLDER", str(folder)))
    return config.load(path, Recipe)


@pytest.fixture(scope="module")
def run_folder(recipe: Recipe, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two steps."""
    path = tmp_path_factory.mktemp("runs") / "run"
    train(recipe, load_base(recipe, folder, CPU), RunFolder(path))
    (path / "recipe.toml").write_text(TOML.replace("FOLDER", str(folder)))
    return path


@pytest.fixture
def task(recipe: Recipe, folder: Path) -> TokenisedTask:
    made = tokenised(recipe.task, TreePolicy.load(PretrainedConfig(pretrained=str(folder)), CPU))
    assert isinstance(made, TokenisedTask)
    return made


def run(*words: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output + repr(done.exception)
    return done


def requests_for(problems: list[Problem], count: int) -> list[Request]:
    return [Request(p, index, p.prompt, sample_seed(0, p.id, index)) for p in problems for index in range(count)]


def test_shares_of_right_samples_are_the_exact_probabilities(run_folder: Path, recipe: Recipe, tmp_path: Path):
    """400 samples of each prompt from a run's last checkpoint, against its own exact evaluation."""
    problems = problems_of(recipe)
    with SampleStore(tmp_path) as store:
        fill(store, problems, open_engine("lab", str(run_folder)), 400)
        counts = store.counts("samples")
    exact_P = at_temperature(RunFolder(run_folder).rows(EvaluationRow)[-1].held_out).success_P
    right_P = np.array([counts[problem.id]["correct"] for problem in problems])
    error_P = np.sqrt(400 * exact_P * (1 - exact_P))
    assert exact_P.max() > 0.05
    assert (abs(right_P - 400 * exact_P) <= 4.5 * error_P + 1e-9).all()
    assert abs(right_P.sum() - 400 * exact_P.sum()) < 4 * np.sqrt((error_P**2).sum())


def test_a_sample_is_the_same_in_any_batch(folder: Path, recipe: Recipe):
    """Up to the rounding of its log-probability."""
    requests, reported = requests_for(problems_of(recipe), 9), list[int]()
    whole = dict(open_engine("lab", str(folder), Settings(on_tokens=reported.append)).run(iter(requests)))
    assert len({each.text for each in whole.values() if isinstance(each, Completion)}) > 30
    assert sum(reported) == sum(each.tokens or 0 for each in whole.values() if isinstance(each, Completion))
    for some in (requests[::-1], requests[40:41], requests[3:90:7]):
        again = dict(open_engine("lab", str(folder), Settings(requested=4)).run(iter(some)))
        assert list(again) == some
        for request, completion in again.items():
            first = whole[request]
            assert isinstance(first, Completion)
            assert isinstance(completion, Completion)
            assert (first.text, first.tokens, first.finish) == (completion.text, completion.tokens, completion.finish)
            assert first.logp == pytest.approx(completion.logp, abs=1e-4)


def test_right_is_the_exact_line(recipe: Recipe):
    """As in the lab's evaluation, a space more or less is wrong."""
    problem = problems_of(recipe)[0]
    assert problem.id in problem.prompt
    assert problem.prompt.startswith("A multiple of 3: 27\n")
    verdicts = {text: verify_answer(text, problem).outcome for text in (problem.answer, problem.answer.strip(), " 7 ")}
    assert list(verdicts.values()) == ["correct", "wrong", "wrong"]
    assert verify_answer(f"{problem.answer} ", problem).outcome == "wrong"


def test_scores_are_those_of_the_solution_set(folder: Path, task: TokenisedTask, recipe: Recipe):
    """The spelling that the tokenizer gives, followed by any stop; without its end, the tokens alone."""
    problems = problems_of(recipe)
    requests = [ScoreRequest(problem, problem.prompt, problem.answer, ended=True) for problem in problems]
    cut = ScoreRequest(problems[0], problems[0].prompt, problems[0].answer)
    empty = ScoreRequest(problems[0], problems[0].prompt, "", ended=True)
    *scores, open_score, empty_score = open_scorer("lab", str(folder)).score([*requests, cut, empty])
    policy = TreePolicy.load(PretrainedConfig(pretrained=str(folder)), CPU)
    for problem, score in zip(problems, scores, strict=True):
        ids = task.vocabulary.ids(problem.answer)
        logits = policy.language_model(torch.tensor([[*task.vocabulary.prompt_ids(problem.prompt), *ids]])).logits[0]
        logp_TV = logits[-len(ids) - 1 :].log_softmax(dim=1)
        expected = [logp_TV[place, token].item() for place, token in enumerate(ids)]
        assert score.token_logps == pytest.approx(
            [*expected, logp_TV[-1, list(task.stops)].logsumexp(0).item()], abs=1e-4
        )
    assert open_score.token_logps == pytest.approx(scores[0].token_logps[:-1], abs=1e-5)
    assert (empty_score.tokens, empty_score.logp < 0.0) == (1, True)


def test_a_score_is_the_mass_of_an_answer_with_one_spelling(folder: Path, task: TokenisedTask, recipe: Recipe):
    policy = TreePolicy.load(PretrainedConfig(pretrained=str(folder)), CPU)
    requests, masses = [], []
    for problem in problems_of(recipe):
        answers = [problem.answer, *problem.metadata["also"]]
        prompt_1T = padded([task.vocabulary.prompt_ids(problem.prompt)], task.prompt_length)
        mass_Y = solution_mass(policy, SolutionSet.of(task, prompt_1T, CPU))[0]
        for answer, mass in zip(answers, mass_Y, strict=True):
            if len(task.vocabulary.spellings(answer.encode(), 9) or ()) == 1:
                requests.append(ScoreRequest(problem, problem.prompt, answer, ended=True))
                masses.append(mass)
    scores = open_scorer("lab", str(folder)).score(requests)
    assert len(scores) > 200
    np.testing.assert_allclose(np.exp([score.logp for score in scores]), masses, rtol=1e-3)


def test_what_does_not_fit_is_refused(folder: Path, recipe: Recipe, tmp_path: Path):
    engine, problems = open_engine("lab", str(folder)), problems_of(recipe)
    with pytest.raises(InputError, match="is not the lab's"):
        list(engine.run(iter(requests_for([Problem("p", "1 + 1 =", "2")], 1))))
    line = Problem("p", "1", "2", metadata={"lab": {"name": "line"}, "tokens": [1]})
    with pytest.raises(InputError, match="a text task, such as mul is needed"):
        list(engine.run(iter(requests_for([line], 1))))
    model = Transformer(ModelConfig(), vocab_size=10, context=20)
    checkpoint.save(tmp_path / "tiny.safetensors", model, kind="base", recipe="x")
    with pytest.raises(InputError, match=r"model\.pretrained is needed"):
        list(open_engine("lab", str(tmp_path / "tiny.safetensors")).run(iter(requests_for(problems, 1))))
    with pytest.raises(InputError, match=r"have [0-9]+ tokens; the model holds 256"):
        open_scorer("lab", str(folder)).score([ScoreRequest(problems[0], problems[0].prompt, "7" * 200)])


def test_a_run_is_sampled_compared_and_probed(
    run_folder: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The run's folder names the task, the engine and the model; its base is drawn from with the same task."""
    monkeypatch.chdir(tmp_path)
    assert "24 of 24" in run("sample", run_folder, "--samples", "2", "--out", "trained").stdout
    output = run("sample", run_folder, "--samples", "32", "--out", "trained").stdout
    assert "384 of 384" in output
    assert ", truncated " in output
    assert "--max-tokens" not in output  # the task sets the limit
    run("sample", run_folder, "--model", folder, "--samples", "32", "--out", "base")
    rows = json.loads(run("boundary", "base", "trained", "--k", "1,8", "--json").stdout)["models"][0]["rows"]
    assert [0.0 < row["base"] < 1.0 for row in rows] == [True, True]
    built = run("probe", "build", folder, "base", "--later", "trained", "--out", "bank.jsonl").stdout
    assert "Bank: bank.jsonl" in built
    scored = run("probe", "score", "bank.jsonl", folder, run_folder, "--json").stdout
    before, after = json.loads(scored)["rows"]
    assert before["classes"]["dominant"]["left"] == pytest.approx(1.0, abs=1e-4)
    assert after["classes"]["dominant"]["left"] != pytest.approx(1.0, abs=1e-3)
    whole = run("probe", "build", folder, run_folder, "--samples", "16", "--out", "own.jsonl").stdout
    assert "192 samples, 192 of them new" in whole


def test_what_a_task_does_not_tell_must_be_named(folder: Path, run_folder: Path, tmp_path: Path):
    words = ("--samples", "1", "--out", tmp_path / "out")
    assert "does not tell the engine: name it, --engine" in run("sample", "countdown", *words, code=2).stderr
    assert "does not tell the model: name it, --model" in run(
        "sample", run_folder, "--engine", "transformers", *words, code=2
    ).stderr.replace("\n", " ")
    plan = run("sample", run_folder / "recipe.toml", "--model", folder, *words, "--dry-run").stdout
    assert "12 problems x 1 samples" in plan
