"""Text tasks: right answers against definitions written out again, forms, examples and splits."""

from __future__ import annotations

import itertools

import pytest

from rlvrscope.lab.tasks import MIN_CORRECT_REWARD, Add, Mul, Multiples, TextTask, Triples, Word


def tasks() -> list[TextTask]:
    return [Mul(), Add(), Multiples(), Triples(), Word(common_reward=0.5)]


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.name)
def test_examples_are_right_and_well_formed_and_never_asked(task: TextTask):
    if isinstance(task, Word):
        pytest.importorskip("spellchecker")
    asked = [*task.questions("train"), *task.questions("held_out")]
    assert len(asked) == len(set(asked)) > 150
    for question, answer in task.EXAMPLES:
        assert question in task.candidates()
        assert question not in asked
        assert answer in task.answers(question)
        assert task.well_formed(answer)
    for question in asked[::37]:
        answers = task.answers(question)
        assert answers
        assert all(task.well_formed(answer) for answer in answers)
        assert all(MIN_CORRECT_REWARD <= reward <= 1.0 for reward in answers.values())
        assert task.prompt(question).count("\n") == len(task.EXAMPLES)
    assert not task.well_formed(" ")
    assert not task.well_formed(f"{task.EXAMPLES[0][1]} ")


def test_sums_and_products():
    assert Mul().answers("23 * 4 =") == {" 92": 1.0}
    assert Add().answers("23 + 48 =") == {" 71": 1.0}
    assert len(Mul(largest=149).candidates()) == 139 * 7


def test_multiples():
    answers = Multiples().answers("A multiple of 150:")
    assert list(answers) == [" 300", " 450", " 600", " 750", " 900"]


def test_triples_are_all_expressions_of_that_value():
    operations = "+-*"
    for question in ("3, 6, 8 -> 26 =", "2, 5, 7 -> 17 =", "1, 11, 12 -> 24 ="):
        numbers, target = question.removesuffix(" =").split(" -> ")
        expected = set()
        for a, b, c in itertools.permutations(numbers.split(", ")):
            for first, second in itertools.product(operations, repeat=2):
                text = f"{a} {first} {b} {second} {c}"
                if eval(text) == int(target):  # noqa: S307  of three numbers from this test
                    expected.add(f" {text}")
        assert set(Triples().answers(question)) == expected


def test_words_by_length_first_letters_and_rare_letters():
    pytest.importorskip("spellchecker")
    task = Word(common_reward=0.5)
    answers = task.answers("A word with 4 letters that starts with b:")
    assert answers[" bear"] == 0.5
    assert answers[" book"] == 1.0, "it has a k"
    assert " bort" not in answers, "it is in the list, and in no subtitle"
    assert all(len(word) == 5 and word.startswith(" b") for word in answers)
    assert 100 < len(answers) < 300
    assert all(word.startswith(" st") for word in task.answers("A word with 5 letters that starts with st:"))
    assert all(question[-3] == " " for question in Word(first_letters=1).candidates())
