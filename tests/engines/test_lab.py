"""The lab engine: a text depends on its seed alone, and follows the model's own probabilities; its scorer."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from rlvrscope.engines import Completion, Request, ScoreRequest, Settings, open_engine, open_scorer
from rlvrscope.engines.lab import problems_of
from rlvrscope.errors import InputError
from rlvrscope.lab import checkpoint
from rlvrscope.lab.model import Transformer, token_logp
from rlvrscope.lab.pretrain import base_path, ensure_base, load_base
from rlvrscope.lab.recipe import Recipe
from rlvrscope.lab.solutions import SolutionSet, solution_mass
from rlvrscope.problem import Problem
from rlvrscope.sampling import SampleStore, fill
from rlvrscope.sampling.fill import sample_seed
from rlvrscope.verify import verify_answer


@pytest.fixture
def saved(model: Transformer, tmp_path: Path) -> str:
    checkpoint.save(tmp_path / "model.safetensors", model, kind="base", recipe="x")
    return str(tmp_path / "model.safetensors")


@pytest.fixture
def problems(recipe: Recipe) -> list[Problem]:
    return problems_of(recipe)


def requests_for(problems: list[Problem], indices: range) -> list[Request]:
    return [Request(p, index, p.prompt, sample_seed(0, p.id, index)) for p in problems for index in indices]


def test_a_sample_is_the_same_in_any_batch(saved: str, problems: list[Problem]):
    """Alone, in any order, and with other problems: the same text, to the last bit of logp."""
    engine = open_engine("lab", saved)
    requests = requests_for(problems, range(11))
    whole = {(r.problem.id, r.index): completion for r, completion in engine.run(iter(requests))}
    assert len(whole) == len(requests) == 24 * 11
    order = np.random.default_rng(0).permutation(len(requests))
    for again in (requests[::-1], [requests[place] for place in order], requests[100:101], requests[5:90:7]):
        results = {(r.problem.id, r.index): completion for r, completion in engine.run(iter(again))}
        assert len(results) == len(again)
        assert all(whole[cell] == completion for cell, completion in results.items())


def test_requests_that_end_early_leave_nothing_behind(saved: str, problems: list[Problem]):
    """Requests that were taken are finished, also less than a block."""
    requests = requests_for(problems, range(8))
    results = list(open_engine("lab", saved).run(itertools.islice(iter(requests), 13)))
    assert [r for r, _ in results] == requests[:13]


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 0.9)])
def test_log_probabilities_are_the_models_own(
    saved: str, model: Transformer, recipe: Recipe, problems: list[Problem], temperature: float, top_p: float
):
    """Read again as a whole row, at temperature 1, whatever they were drawn with."""
    engine = open_engine("lab", saved, Settings(temperature, top_p))
    length = recipe.token_task.prompt_length
    names = {recipe.token_task.text(np.array([token])): token for token in range(recipe.token_task.vocab_size)}
    for request, completion in engine.run(iter(requests_for(problems[:6], range(3)))):
        assert isinstance(completion, Completion)
        tokens = [*request.problem.metadata["tokens"], *(names[word] for word in completion.text.split())]
        row = torch.tensor([tokens])
        logp = token_logp(model(row[:, :-1])[:, length - 1 :], row[:, length:]).sum().item()
        assert completion.logp == pytest.approx(logp, abs=1e-4)
        assert (completion.tokens, completion.finish) == (recipe.token_task.completion_length, "stop")


def test_shares_of_right_samples_are_the_exact_probabilities(
    cache: Path,  # noqa: ARG001
    recipe: Recipe,
    problems: list[Problem],
    tmp_path: Path,
):
    """400 samples of each of 24 prompts of a trained base, against P(right) summed over every right completion."""
    base = ensure_base(recipe, base_path(recipe, torch.device("cpu")), torch.device("cpu"))
    model = load_base(recipe, base, torch.device("cpu"))
    tokens = np.array([problem.metadata["tokens"] for problem in problems])
    solutions = SolutionSet.of(recipe.task, tokens, model.device)
    exact_P = solutions.sum_by_prompt(solution_mass(model, solutions)[0])
    with SampleStore(tmp_path) as store:
        fill(store, problems, open_engine("lab", str(base)), 400)
        results = store.counts("samples")
    right_P = np.array([results[problem.id]["correct"] for problem in problems])
    error_P = np.sqrt(400 * exact_P * (1 - exact_P))
    assert exact_P.max() > 0.05
    assert (abs(right_P - 400 * exact_P) <= 4.5 * error_P + 1e-9).all()
    assert abs(right_P.sum() - 400 * exact_P.sum()) < 4 * np.sqrt((error_P**2).sum())


def test_verdicts_are_the_tasks(problems: list[Problem]):
    """Every listed right completion is verified as right; with another last value, only those listed."""
    problem = problems[0]
    assert all(
        verify_answer(text, problem).outcome == "correct" for text in (problem.answer, *problem.metadata["also"])
    )
    words = problem.answer.split()
    for value in range(50):
        names = [*words[:-1], str(value)]
        expected = "correct" if " ".join(names) in (problem.answer, *problem.metadata["also"]) else "wrong"
        assert verify_answer(" ".join(names), problem).outcome == expected


def test_what_does_not_fit_is_refused(saved: str, recipe: Recipe, tmp_path: Path):
    engine = open_engine("lab", saved)
    foreign = Problem("p", "What is 1+1?", "2")
    with pytest.raises(InputError, match="not the lab's"):
        list(engine.run(iter(requests_for([foreign], range(1)))))
    longer = recipe.model_copy(update={"task": recipe.task.model_copy(update={"steps": 3})})
    with pytest.raises(InputError, match="a model of another task"):
        list(engine.run(iter(requests_for(problems_of(longer)[:1], range(1)))))
    with pytest.raises(InputError, match="fixed size"):
        open_engine("lab", saved, Settings(max_tokens=5))
    with pytest.raises(InputError, match=r"there is no .*final\.safetensors"):
        open_engine("lab", str(tmp_path))
    with pytest.raises(InputError, match="Did you mean 'lab'"):
        open_engine("labs", saved)


def test_scores_are_those_of_the_solution_set(saved: str, model: Transformer, recipe: Recipe, problems: list[Problem]):
    """Every right completion of 24 prompts, against the lab's own teacher forcing."""
    tokens = np.array([problem.metadata["tokens"] for problem in problems])
    solutions = SolutionSet.of(recipe.task, tokens, model.device)
    requests = [
        ScoreRequest(problem, problem.prompt, text)
        for problem in problems
        for text in (problem.answer, *problem.metadata["also"])
    ]
    scores = open_scorer("lab", saved).score(requests)
    exact_Y = solutions.logp(model)[0].tolist()
    assert [score.logp for score in scores] == pytest.approx(exact_Y, abs=1e-6)
    assert [score.token_ids for score in scores] == [tuple(row) for row in solutions.completions_XT.tolist()]


def test_scores_of_drawn_completions_are_their_log_probabilities(saved: str, problems: list[Problem]):
    results = list(open_engine("lab", saved).run(iter(requests_for(problems[:6], range(5)))))
    drawn = [completion for _, completion in results if isinstance(completion, Completion)]
    requests = [
        ScoreRequest(r.problem, r.prompt, completion.text) for (r, _), completion in zip(results, drawn, strict=True)
    ]
    scores = open_scorer("lab", saved).score(requests)
    assert [score.logp for score in scores] == pytest.approx([completion.logp for completion in drawn], abs=1e-5)
    assert {score.tokens for score in scores} == {drawn[0].tokens}


def test_a_part_of_a_completion_is_scored_as_within_the_whole(saved: str, problems: list[Problem]):
    """Prefixes from empty to whole; all lengths and several problems in one call."""
    words = problems[0].answer.split()
    parts = [ScoreRequest(problems[0], "", " ".join(words[:count])) for count in range(len(words) + 1)]
    others = [ScoreRequest(problem, "", problem.answer) for problem in problems[:9]]
    scores = open_scorer("lab", saved).score([*parts, *others])
    assert (scores[0].logp, scores[0].tokens) == (0.0, 0)
    for count, score in enumerate(scores[: len(parts)]):
        assert score.token_logps == pytest.approx(scores[len(parts)].token_logps[:count], abs=1e-5)


def test_completions_that_can_not_be_scored_are_refused(saved: str, problems: list[Problem]):
    scorer, problem = open_scorer("lab", saved), problems[0]
    for text, message in (("7 fish", "'fish' is no token"), (f"{problem.answer} 1", "has at most")):
        with pytest.raises(InputError, match=message):
            scorer.score([ScoreRequest(problem, "", text)])
    with pytest.raises(InputError, match="not the lab's"):
        scorer.score([ScoreRequest(Problem("p", "What is 1+1?", "2"), "", "2")])
    with pytest.raises(InputError, match="at temperature 1"):
        open_scorer("lab", saved, Settings(temperature=0.5))
    with pytest.raises(InputError, match="openai engine can't score"):
        open_scorer("openai", "tiny")
    with pytest.raises(InputError, match="Did you mean 'lab'"):
        open_scorer("labs", saved)
