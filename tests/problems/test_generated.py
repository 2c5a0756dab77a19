"""Generated problems: exact gold answers, reproducible by seed; templates."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest

from rlvrscope.errors import InputError
from rlvrscope.problem import Problem
from rlvrscope.problems import TEMPLATES, load
from rlvrscope.problems.generated import GENERATED, GYM_NUMBERS, GYM_TEXTS
from rlvrscope.problems.templates import template_of
from rlvrscope.verify import verify_answer


@pytest.mark.parametrize("name", list(GENERATED))
def test_problems_depend_on_the_seed_and_not_on_the_count(name: str):
    problems = load(name, count=30, seed=5)
    assert load(name, count=10, seed=5) == problems[:10]
    assert load(name, count=10, seed=6)[0].prompt != problems[0].prompt
    assert len({problem.id for problem in problems}) == len({problem.prompt for problem in problems}) == 30


def reachable(numbers: list[Fraction]) -> set[Fraction]:
    """Every value of an expression over all of the numbers, by brute force."""
    if len(numbers) == 1:
        return set(numbers)
    values: set[Fraction] = set()
    for i, j in itertools.permutations(range(len(numbers)), 2):
        others = [numbers[k] for k in range(len(numbers)) if k not in (i, j)]
        a, b = numbers[i], numbers[j]
        for value in {a + b, a - b, a * b} | ({a / b} if b else set()):
            values |= reachable([*others, value])
    return values


def test_every_countdown_target_can_be_reached():
    for problem in load("countdown", count=5):
        assert Fraction(problem.answer) in reachable([Fraction(n) for n in problem.metadata["numbers"]])


def test_gold_answers_agree_with_python():
    for name, words in (("chain-sum", ("What is ", "?")), ("arithmetic", ("Work out ", ". Give"))):
        for problem in load(name, count=20):
            text = problem.prompt.partition(words[0])[2].partition(words[1])[0]
            parts = (f"Fraction({part})" if part.isdigit() else part for part in _spaced(text))
            assert Fraction(problem.answer) == eval("".join(parts), {"Fraction": Fraction})  # noqa: S307  made above
            assert verify_answer(f"\\boxed{{{problem.answer}}}", problem).outcome == "correct"
            assert verify_answer(f"\\boxed{{{text}}}", problem).outcome == "rejected"


def _spaced(text: str) -> list[str]:
    return text.replace("(", " ( ").replace(")", " ) ").split()


def test_a_count_below_one_is_refused():
    with pytest.raises(InputError, match="count must be at least 1"):
        load("countdown", count=0)


def test_reasoning_gym():
    """Every task, except one that first reads a library of texts."""
    pytest.importorskip("reasoning_gym")
    for task in sorted({*GYM_NUMBERS, *GYM_TEXTS} - {"caesar_cipher"}):
        problems = load(f"gym:{task}", count=3, seed=1)
        assert problems == load(f"gym:{task}", count=3, seed=1)
        assert len({problem.id for problem in problems}) == 3
        for problem in problems:
            assert problem.verifier == ("arithmetic" if task in GYM_NUMBERS else "exact")
            assert verify_answer(f"\\boxed{{{problem.answer}}}", problem).outcome == "correct"
            assert verify_answer(f"\\boxed{{{problem.answer}x}}", problem).outcome != "correct"


def test_other_tasks_of_reasoning_gym_are_refused():
    with pytest.raises(InputError, match=r"unknown reasoning-gym task 'countdown'"):
        load("gym:countdown", count=1)
    assert not set(GYM_NUMBERS) & set(GYM_TEXTS)


def test_templates():
    problem = Problem("p", "What is {x} in \\{1\\}?", "B", "choice", metadata={"choices": ["one {question}", "two"]})
    for name, template in TEMPLATES.items():
        prompt = template.render(problem)
        assert prompt.count(problem.prompt) == 1
        assert "\\boxed{}" in prompt
        assert ("A. one {question}\nB. two" in prompt) == name.startswith("choice")
    with pytest.raises(InputError, match="has no choices"):
        TEMPLATES["choice"].render(Problem("p", "?", "1"))
    with pytest.raises(InputError, match="Did you mean 'qwen-boxed'"):
        template_of("qwen-box")
