"""Text tasks in tokens: right completions, rewards that agree with them, splits, and what can't be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rlvrscope import InputError, config
from rlvrscope.lab import tokenised_task
from rlvrscope.lab.evaluate import Evaluator
from rlvrscope.lab.recipe import EvaluateConfig, PretrainedConfig, Recipe
from rlvrscope.lab.sampler import sample
from rlvrscope.lab.solutions import SolutionSet, solution_mass
from rlvrscope.lab.tasks import Add, Mul
from rlvrscope.lab.token_tree import PAD
from rlvrscope.lab.tokenised_task import TokenisedTask, tokenised
from rlvrscope.lab.tree_policy import TreePolicy
from rlvrscope.seeding import generator

pytest.importorskip("transformers")
CPU = torch.device("cpu")
MUL = Mul(largest=20)


@pytest.fixture(scope="module")
def policy(text_model: Path) -> TreePolicy:
    return TreePolicy.load(PretrainedConfig(pretrained=str(text_model)), CPU)


@pytest.fixture(scope="module")
def task(policy: TreePolicy) -> TokenisedTask:
    made = tokenised(MUL, policy)
    assert isinstance(made, TokenisedTask)
    return made


def test_right_completions_are_every_spelling_with_every_stop(task: TokenisedTask):
    prompt = one_prompt(task, "16 * 3 =")
    spelled = task.solutions(prompt)
    texts = [task.text(completion) for completion in spelled]
    assert {text.rstrip("\n") for text in texts} == {" 48"}
    assert len(spelled) == 4 * len(task.stops)
    assert len(np.unique(spelled, axis=0)) == len(spelled)
    assert (task.rewards(np.repeat(prompt[None], len(spelled), axis=0), spelled) == 1.0).all()
    assert (task.answer_numbers(spelled) == 0).all()


def test_rewards_are_of_right_completions_alone(task: TokenisedTask, policy: TreePolicy):
    """Of 4,000 draws, those with a reward are the listed ones, and come as often as their exact mass says."""
    prompts = torch.from_numpy(task.prompts(4, "train", generator(0, "prompts")))
    drawn = sample(policy, prompts, task.completion_length, 1000, generator(0, "draws"), stops=task.stops)
    rewards = task.rewards(prompts[drawn.prompt_B].numpy(), drawn.completions_BT.numpy())
    solutions = SolutionSet.of(task, prompts.numpy(), CPU)
    for place in range(4):
        listed = {tuple(row) for row in solutions.completions_XT[solutions.prompt_X == place].tolist()}
        own = slice(place * 1000, (place + 1) * 1000)
        among = [tuple(row) in listed for row in drawn.completions_BT[own].tolist()]
        assert (rewards[own] == 1.0).tolist() == among
    success_P = solutions.sum_by_prompt(solution_mass(policy, solutions)[0])
    assert success_P.max() > 0.005
    error_P = np.sqrt(success_P * (1 - success_P) / 1000)
    assert (np.abs(rewards.reshape(4, 1000).mean(axis=1) - success_P) < 4 * error_P + 1e-3).all()


def test_splits_are_disjoint_and_hold_no_example(task: TokenisedTask):
    train, held_out = MUL.questions("train"), MUL.questions("held_out")
    assert not set(train) & set(held_out)
    assert not {example for example, _ in MUL.EXAMPLES} & {*train, *held_out}
    assert len(train) + len(held_out) == 10 * 7 - 1
    assert abs(len(held_out) / 69 - MUL.held_out_share) < 0.15
    drawn = {task.text(prompt).splitlines()[-1] for prompt in task.prompts(20, "held_out", generator(0))}
    assert len(drawn) == 20
    assert drawn <= set(held_out)


def test_a_prompt_is_the_examples_and_the_question(task: TokenisedTask):
    prompt = one_prompt(task, "16 * 3 =")
    assert task.text(prompt) == "12 * 4 = 48\n35 * 7 = 245\n81 * 6 = 486\n23 * 3 = 69\n16 * 3 ="


@pytest.mark.parametrize(
    ("answer", "formed"), [(" 48", True), (" 0", True), ("48", False), (" 048", False), (" 4 8", False), (" x", False)]
)
def test_the_form_of_an_answer(task: TokenisedTask, answer: str, formed: bool):
    row = [*task.vocabulary.ids(answer), task.stops[0]]
    assert task.well_formed(np.array([row + [PAD] * (6 - len(row))])) == formed
    assert task.well_formed(np.array([task.vocabulary.ids(answer)])) == 0.0, "it does not stop"


def test_an_evaluation_reports_the_form(task: TokenisedTask, policy: TreePolicy):
    row = Evaluator(task, EvaluateConfig(prompts=8), policy)(policy, 0)
    assert 0.2 < row.well_formed <= 1.0
    assert row.held_out[0].pass_at_1 == pytest.approx(sum(row.held_out[0].mass["dominant"]) / 8)


def test_the_bound_covers_what_is_not_listed(task: TokenisedTask, policy: TreePolicy, monkeypatch: pytest.MonkeyPatch):
    """All four spellings of ` 48`, or the tokenizer's own and a bound on the mass of the other three."""
    evaluator = Evaluator(task, EvaluateConfig(prompts=12), policy)
    (every,) = evaluator.held_out.scores(policy, (1.0,))
    assert every.unlisted_P is None
    monkeypatch.setattr(tokenised_task, "MAX_SPELLINGS", 0)
    (own,) = Evaluator(task, EvaluateConfig(prompts=12), policy).held_out.scores(policy, (1.0,))
    assert own.unlisted_P is not None
    missed_P = every.success_P - own.success_P
    assert missed_P.max() > 1e-6
    assert (missed_P <= own.unlisted_P + 1e-6).all()
    assert own.distinct_correct <= every.distinct_correct


def test_more_prompts_than_there_are(task: TokenisedTask):
    with pytest.raises(InputError, match=r"task 'mul' has \d+ held_out prompts, and 60 are needed"):
        task.prompts(60, "held_out", generator(0))


def test_more_answers_than_are_listed(task: TokenisedTask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokenised_task, "MAX_ANSWERS", 0)
    with pytest.raises(InputError, match=r"task 'mul': .* has 1 right answers; at most 0 are listed"):
        task.solutions(one_prompt(task, "16 * 3 ="))


def test_a_prompt_longer_than_the_context(tmp_path: Path):
    from text_model import save_text_model

    short = save_text_model(tmp_path, context=40)
    with pytest.raises(InputError, match=r"task 'add' needs \d+ tokens a row, and .* holds 40"):
        tokenised(Add(), TreePolicy.load(PretrainedConfig(pretrained=str(short)), CPU))


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('[task]\nname = "mul"', "task 'mul' and this [model] don't go together: model.pretrained is needed"),
        ('[model]\npretrained = "x"', "task 'line' and this [model] don't go together: a text task, such as mul"),
        ('[model]\npretrained = "x"\nwidth = 8', "unknown key 'model.width'. Allowed: pretrained, dtype"),
        ('[model]\npretrained = "x"\ndtype = "int8"', "model.dtype: should be 'float32' or 'bfloat16'; got 'int8'"),
        ('[model]\nwidth = 8\ndtype = "float32"', "unknown key 'model.dtype'"),
        (
            '[task]\nname = "mul"\n[model]\npretrained = "x"\n[pretrain]\nsteps = 3',
            "[pretrain] is for a transformer trained from scratch",
        ),
    ],
)
def test_sections_that_do_not_go_together(tmp_path: Path, toml: str, message: str):
    (tmp_path / "recipe.toml").write_text(toml)
    with pytest.raises(InputError) as caught:
        config.load(tmp_path / "recipe.toml", Recipe)
    assert message in str(caught.value)


def one_prompt(task: TokenisedTask, question: str) -> np.ndarray:
    ids = task.vocabulary.prompt_ids(MUL.prompt(question))
    return np.array(ids + [PAD] * (task.prompt_length - len(ids)))
