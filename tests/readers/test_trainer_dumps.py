"""Trainers' dumps: verl's validation dumps and TRL's logged completions."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlvrscope import InputError, RlvrscopeError
from rlvrscope.readers import Columns, ModelCounts, ReadOptions, read_models

Rows = list[dict[str, Any]]
Write = Callable[[str, Rows], str]
VALUES = st.none() | st.floats() | st.text(max_size=4) | st.lists(st.dictionaries(st.text(max_size=8), st.integers()))


def right(model: ModelCounts) -> list[tuple[int, int]]:
    counts = model.counts
    return list(zip(np.asarray(counts.n).tolist(), np.asarray(counts.c).tolist(), strict=True))


def verl(step: int, scores: list[float], **extra: list[Any]) -> Rows:
    """Two samples a prompt, as `_write_generations` dumps them."""
    rows = [
        {
            "input": f"user\nWhat is {i // 2}?\n",
            "output": f"It is {i}.",
            "gts": str(i // 2),
            "score": score,
            "step": step,
        }
        for i, score in enumerate(scores)
    ]
    return [row | {name: values[i] for name, values in extra.items()} for i, row in enumerate(rows)]


def trl(path: Path, step: int, prompts: list[Any], rewards: dict[str, list[float]]) -> str:
    """Write completions as TRL does, through pandas: one column for each reward function."""
    path.parent.mkdir(parents=True, exist_ok=True)
    messages_of = [[{"role": "assistant", "content": f"It is {i}."}] for i in range(len(prompts))]
    completions = messages_of if isinstance(prompts[0], list) else [messages[0]["content"] for messages in messages_of]
    table = {"step": [step] * len(prompts), "prompt": prompts, "completion": completions, **rewards}
    pq.write_table(pa.table(table | {"advantage": [0.0] * len(prompts)}), path)
    return str(path)


@pytest.fixture
def verl_folder(write: Write) -> str:
    write("val/0.jsonl", verl(0, [0.0, 0.0, 1.0, 0.0]))
    write("val/100.jsonl", verl(100, [1.0, 1.0, 1.0, 0.0]))
    return str(Path(write("val/20.jsonl", verl(20, [0.0, 1.0, 1.0, 0.0]))).parent)


def test_a_folder_of_verl_dumps_is_one_model_at_several_steps(verl_folder: str):
    (last,) = read_models(verl_folder)
    assert (last.name, right(last)) == ("val@100", [(2, 2), (2, 1)])
    (base,) = read_models(f"{verl_folder}@0")
    assert (base.name, right(base)) == ("val@0", [(2, 0), (2, 1)])
    assert base.counts.problems == last.counts.problems
    with pytest.raises(InputError, match="there is no step 7; there is 0, 20, 100"):
        read_models(f"{verl_folder}@7")


def test_a_reward_that_is_named_must_be_there(verl_folder: str):
    with pytest.raises(InputError, match=r"--column score=reward: there is no such column. The file has"):
        read_models(verl_folder, ReadOptions(Columns.parse(["score=reward"])))


def test_one_verl_dump(verl_folder: str):
    (model,) = read_models(f"{verl_folder}/20.jsonl")
    assert (model.name, right(model)) == ("val@20", [(2, 1), (2, 1)]), "called after the run, not after the step"
    (text,) = model.texts(model.counts.problem[1], limit=1)
    assert (text.text, text.answer, text.correct) == ("It is 2.", None, True)


def test_a_problem_is_its_prompt_and_its_gold_answer(write: Write):
    rows = verl(5, [1.0, 0.0])
    (model,) = read_models(write("5.jsonl", rows))
    (problem,) = model.counts.problems
    assert problem.startswith("user What is 0? ")
    assert len(problem.split()[-1]) == 12
    rows[1]["gts"] = ["0", {"also": None}]
    (model,) = read_models(write("5.jsonl", rows))
    assert right(model) == [(1, 1), (1, 0)]
    assert model.counts.problems[0] == problem
    rows[1]["input"] = None
    with pytest.raises(InputError, match=r"5\.jsonl: line 2: 'input' must be there; got None"):
        read_models(write("5.jsonl", rows))


def test_verl_is_right_by_acc_before_score(write: Write):
    path = write("1.jsonl", verl(1, [-1.0, 1.0, 1.0, -1.0], acc=[True, True, False, False]))
    assert right(read_models(path)[0]) == [(2, 2), (2, 0)]
    assert right(read_models(path, ReadOptions(threshold=-5.0))[0]) == [(2, 2), (2, 0)]
    assert right(read_models(path, ReadOptions(Columns.parse(["score=score"]), threshold=0.0))[0]) == [(2, 1), (2, 1)]


def test_rows_without_acc_go_by_their_score(write: Write):
    path = write("1.jsonl", verl(1, [0.2, 0.9, 1.0, 1.0], acc=[None, None, False, True]))
    with pytest.raises(
        InputError,
        match=r"1\.jsonl: line 1: 'score' must be 0 or 1, or --threshold X be given: right is X or more; got 0.2",
    ):
        read_models(path)
    assert right(read_models(path, ReadOptions(threshold=0.5))[0]) == [(2, 1), (2, 1)]
    graded = write("2.jsonl", verl(1, [1.0, 1.0], acc=[1.0, 0.4]))
    with pytest.raises(InputError, match=r"2\.jsonl: line 2: 'acc' must be 0 or 1, .*; got 0.4"):
        read_models(graded)


def test_an_agents_session_counts_once(write: Write):
    prompt, other = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
    keys = [f"{prompt}_0_0", f"{prompt}_0_1", f"{other}_0_0", f"{other}_10_0"]
    (model,) = read_models(write("1.jsonl", verl(1, [1.0, 1.0, 0.0, 1.0], uid=keys)))
    assert right(model) == [(1, 1), (2, 1)]
    (model,) = read_models(write("1.jsonl", verl(1, [1.0, 1.0, 0.0, 1.0], uid=["a_0_0", "a_0_1", "a_0_2", "a_0_3"])))
    assert right(model) == [(2, 2), (2, 1)], "keys that are not verl's own say nothing"


def test_verl_answers_are_its_predictions(write: Write):
    (model,) = read_models(write("1.jsonl", verl(1, [1.0, 0.0], pred=["7", None])))
    answers = model.answers()
    assert answers is not None
    assert answers[1:] == (["7", None], [True, False])


def test_columns_of_a_dump_can_be_mapped(write: Write):
    path = write("1.jsonl", verl(1, [1.0, 0.0], id=["a", "b"], strict=[0, 1], data_source=["x", "x"]))
    (model,) = read_models(path, ReadOptions(Columns.parse(["problem=id", "correct=strict", "cluster=data_source"])))
    assert (model.counts.problem, right(model)) == (("a", "b"), [(1, 0), (1, 1)])
    assert model.counts.cluster == ("x", "x")
    assert model.texts("b")[0].text == "It is 1."


def test_a_folder_of_trl_completions(tmp_path: Path):
    folder = tmp_path / "my-run" / "completions"
    folder.mkdir(parents=True)
    chats = [
        [{"role": "system", "content": "Think."}, {"role": "user", "content": f"What is {i // 2}?"}] for i in range(4)
    ]
    trl(folder / "completions_00010.parquet", 10, chats, {"accuracy": [0.0, 0.0, 0.0, 1.0]})
    trl(folder / "completions_00200.parquet", 200, chats, {"accuracy": [1.0, 0.0, 1.0, 1.0]})
    (last,) = read_models(str(folder))
    assert (last.name, right(last)) == ("my-run@200", [(2, 1), (2, 2)])
    (same,) = read_models(str(tmp_path / "my-run"))
    assert (same.name, right(same)) == (last.name, right(last)), "the run's folder does as well"
    assert [problem.rpartition(" ")[0] for problem in last.counts.problem] == ["What is 0?", "What is 1?"]
    (first,) = read_models(f"{folder}@10")
    assert right(first) == [(2, 0), (2, 1)]
    assert first.counts.problems == last.counts.problems
    assert [text.text for text in last.texts(last.counts.problem[1])] == ["It is 2.", "It is 3."]


def test_a_prompt_is_the_same_whatever_else_its_message_could_hold(tmp_path: Path):
    plain = [{"role": "user", "content": "What?"}]
    one = trl(tmp_path / "completions_1.parquet", 1, [plain, plain], {"accuracy": [0.0, 1.0]})
    named = [{"role": "user", "content": "What?", "name": None}]
    two = trl(tmp_path / "completions_2.parquet", 2, [named, named], {"accuracy": [0.0, 1.0]})
    assert read_models(one)[0].counts.problem == read_models(two)[0].counts.problem


def test_plain_prompts_and_a_choice_of_rewards(tmp_path: Path):
    rewards = {"format": [0.5, 0.5], "accuracy": [0.0, 1.0]}
    path = trl(tmp_path / "completions_00001.parquet", 1, ["What?", "What?"], rewards)
    with pytest.raises(InputError, match=r"these hold numbers: format, accuracy\. Say which: --column score=NAME"):
        read_models(path)
    assert right(read_models(path, ReadOptions(Columns.parse(["score=accuracy"])))[0]) == [(2, 1)]
    with pytest.raises(InputError, match=r"row 1: 'format' must be 0 or 1, .*; got 0.5"):
        read_models(path, ReadOptions(Columns.parse(["score=format"])))
    (model,) = read_models(
        trl(tmp_path / "completions_00002.parquet", 1, ["a", "b"], {"accuracy": [0.0, float("nan")]})
    )
    assert right(model) == [(1, 0)], "a reward that does not apply to a prompt is no sample of it"
    assert model.accounts[0].left_out == {"no accuracy": 1}
    with pytest.raises(InputError, match="none holds numbers"):
        read_models(trl(tmp_path / "completions_00003.parquet", 1, ["a", "b"], {}))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_values_in_a_dump_are_read_or_refused_in_one_line(write: Write, data: st.DataObject):
    names = ("input", "output", "gts", "score", "acc", "uid", "pred")
    rows = [{name: data.draw(VALUES) for name in names} | {"step": 1, "score": data.draw(st.sampled_from([0, 1, 0.5]))}]
    try:
        (model,) = read_models(write("1.jsonl", rows), ReadOptions(threshold=0.5))
    except RlvrscopeError as error:
        message = str(error)
        assert "\n" not in message
        return
    assert len(model.texts(model.counts.problem[0])) == 1
    assert model.answers() is not None
