"""Answers to verify: files, folders, labels, and refused input."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvrscope.errors import InputError
from rlvrscope.problems.answer_files import read_answers

ROW = {"id": "q", "text": "\\boxed{1}", "answer": "1"}


def jsonl(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_folder_is_read_in_the_order_of_its_files(tmp_path: Path):
    jsonl(tmp_path / "b.jsonl", {**ROW, "id": "b"})
    pq.write_table(pa.Table.from_pylist([{**ROW, "id": "c"}]), tmp_path / "c.parquet")
    (tmp_path / "d.csv").write_text("id,text,answer\nd,\\boxed{1},1\n")
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(json.dumps({**ROW, "id": "a"}) + "\n")
    jsonl(tmp_path / ".hidden.jsonl", ROW)
    (tmp_path / "notes.txt").write_text("no table")
    answers = read_answers(tmp_path)
    assert [problem.id for problem in answers.problems] == ["a", "b", "c", "d"]
    assert [labels["problem"] for labels in answers.labels] == ["a", "b", "c", "d"]
    assert [problem.id for problem in read_answers(tmp_path, only=3).problems] == ["c"]
    with pytest.raises(InputError, match="there is no item 5"):
        read_answers(tmp_path, only=5)


@pytest.mark.parametrize(
    ("row", "labels"),
    [
        (ROW, {"problem": "q"}),
        ({**ROW, "problem": "p", "model": "m", "step": 3}, {"problem": "p", "model": "m", "step": 3}),
        ({**ROW, "problem": None, "cluster": "", "seed": 0}, {"problem": "q", "seed": 0}),
        ({"text": "", "answer": "1"}, {}),
    ],
)
def test_labels(tmp_path: Path, row: dict, labels: dict):
    answers = read_answers(jsonl(tmp_path / "a.jsonl", row))
    assert answers.labels == [labels]
    assert answers.problems[0].id == labels.get("problem", answers.problems[0].id)


def test_a_prompt_identifies_its_problem(tmp_path: Path):
    rows = [{"prompt": prompt, "text": "", "answer": "1"} for prompt in ("a?", "b?", "a?")]
    answers = read_answers(jsonl(tmp_path / "a.jsonl", *rows))
    a, b, again = (labels["problem"] for labels in answers.labels)
    assert a == again != b
    assert answers.problems[0] is answers.problems[2]


def test_only_the_last_turn_of_the_model_in_a_chat_counts(tmp_path: Path):
    question = {"role": "user", "content": "Is it \\boxed{1}?"}
    reply = {"role": "assistant", "content": "I can't say."}
    turn = [{**reply, "content": "Yes."}, {**reply, "content": "It is."}]
    chats = [[reply], [question, reply], [question, reply, question, *turn]]
    answers = read_answers(jsonl(tmp_path / "a.jsonl", *({**ROW, "text": chat} for chat in chats)))
    assert answers.texts == ["I can't say.", "I can't say.", "Yes.\nIt is."]


def test_a_list_holds_one_answer_each(tmp_path: Path):
    rows = [
        {"id": 0, "code": ["\\boxed{4}", "\\boxed{5}"], "gt": "4"},
        {"id": 1, "code": [["\\boxed{6}"], ["\\boxed{7}", "\\boxed{8}"]], "gt": ["6", "6", "6"]},
        {"id": 2, "code": ["\\boxed{9}"], "gt": ["9"]},
        {"id": 3, "code": "\\boxed{1}", "gt": 1},
    ]
    path = jsonl(tmp_path / "a.jsonl", *rows)
    answers = read_answers(path, ["text=code", "answer=gt"])
    assert answers.texts == [f"\\boxed{{{n}}}" for n in (4, 5, 6, 7, 8, 9, 1)]
    assert [labels["problem"] for labels in answers.labels] == ["0", "0", "1", "1", "1", "2", "3"]
    assert [problem.answer for problem in answers.problems] == ["4", "4", "6", "6", "6", "9", "1"]
    assert answers.notes[0] == "7 completions, in lists in 3 rows"
    assert read_answers(path, ["text=code", "answer=gt"], only=5).texts == ["\\boxed{8}"]
    with pytest.raises(InputError, match="there is no item 8"):
        read_answers(path, ["text=code", "answer=gt"], only=8)


def test_a_list_of_chats_holds_one_answer_each(tmp_path: Path):
    chats = [[{"role": "user", "content": "?"}, {"role": "assistant", "content": f"\\boxed{{{n}}}"}] for n in range(2)]
    assert read_answers(jsonl(tmp_path / "a.jsonl", {**ROW, "text": chats})).texts == ["\\boxed{0}", "\\boxed{1}"]
    pq.write_table(pa.Table.from_pylist([{**ROW, "text": chats}]), tmp_path / "a.parquet")
    assert read_answers(tmp_path / "a.parquet").texts == ["\\boxed{0}", "\\boxed{1}"]


LAYOUT_ROWS = {
    "verl: prompt from 'input', answer from 'gts', text from 'output'": {
        "input": "user 1+1? assistant", "output": "\\boxed{2}", "gts": "2", "score": 1.0, "step": 10
    },
    "verl's data sets: answer from 'reward_model.ground_truth', text from 'responses'": {
        "prompt": [{"role": "user", "content": "1+1?"}], "reward_model": {"ground_truth": "2"},
        "responses": ["\\boxed{2}"], "data_source": "sums",
    },
    "Qwen2.5-Math: prompt from 'question', answer from 'gt', text from 'code'": {
        "idx": 0, "question": "1+1?", "prompt": "<|im_start|>1+1?", "gt_cot": "...", "gt": "2", "answer": "$2$, so",
        "code": ["\\boxed{2}"], "pred": ["2"], "score": [True], "level": 1,
    },
    "LIMO: prompt from 'question', answer from 'gold_answer', text from 'generated_responses'": {
        "question": "1+1?", "generated_responses": ["\\boxed{2}"], "gold_answer": "2", "answers_correctness": [True]
    },
}  # fmt: skip


@pytest.mark.parametrize("note", LAYOUT_ROWS)
def test_files_of_other_tools(tmp_path: Path, note: str):
    row = LAYOUT_ROWS[note]
    answers = read_answers(jsonl(tmp_path / "a.jsonl", row))
    assert (answers.texts, answers.problems[0].answer) == (["\\boxed{2}"], "2")
    assert "1+1?" in answers.problems[0].prompt
    assert answers.notes[0] == f"read like {note}"
    assert answers.labels[0].get("step") == row.get("step")
    named = read_answers(jsonl(tmp_path / "a.jsonl", {**row, "gold": "3"}), ["answer=gold"])
    assert named.problems[0].answer == "3"
    assert "answer" not in named.notes[0]


def test_one_problem_under_several_ids_is_named(tmp_path: Path):
    rows = [{**ROW, "id": n, "prompt": f"{n % 2}?"} for n in range(8)]
    (note,) = read_answers(jsonl(tmp_path / "a.jsonl", *rows)).notes
    assert note.startswith("8 ids name 2 different problems")
    rows = [{**ROW, "id": n} for n in range(8)]  # without prompts, the same gold answer says nothing
    assert read_answers(jsonl(tmp_path / "a.jsonl", *rows)).notes == []


def test_why_a_completion_ended_and_its_length(tmp_path: Path):
    rows = [
        {**ROW, "text": ["a", None, "b"], "finish": ["stop", "length", "stop"], "tokens": [1, 2, 3]},
        {**ROW, "text": None, "finish": "length"},
    ]
    answers = read_answers(jsonl(tmp_path / "a.jsonl", *rows))
    assert answers.texts == ["a", "", "b", ""]
    assert [labels.get("finish") for labels in answers.labels] == ["stop", "length", "stop", "length"]
    assert [labels.get("tokens") for labels in answers.labels] == [1, 2, 3, None]


def test_facts_of_the_problem_are_labels(tmp_path: Path):
    row = {**ROW, "level": 5, "subject": "Algebra", "model": "m"}
    (labels,) = read_answers(jsonl(tmp_path / "a.jsonl", row)).labels
    assert labels == {"problem": "q", "model": "m", "level": "5", "subject": "Algebra"}


def test_two_solutions_with_one_answer_agree(tmp_path: Path):
    rows = [{**ROW, "answer": f"{work}\n#### 1"} for work in ("2-1=1", "3-2=1")]
    answers = read_answers(jsonl(tmp_path / "a.jsonl", *rows))
    assert {problem.answer for problem in answers.problems} == {"1"}
    assert answers.notes == ["1 of 1 gold answers are worked solutions: the part after #### is used"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**ROW, "text": None}], "line 1, column 'text': there is no text"),
        ([ROW, {"id": "q", "answer": "1"}], "line 2, column 'text': there is no text"),
        ([{**ROW, "text": float("nan")}], "line 1, column 'text': there is no text"),
        (
            [{**ROW, "text": [{"role": "user", "content": "?"}]}],
            "column 'text': the chat ends with a message of",
        ),
        ([{**ROW, "text": []}], "line 1, column 'text': an empty list where completions are needed"),
        ([{**ROW, "text": ["\\boxed{1}", None]}], "line 1, column 'text': there is no text"),
        (
            [{**ROW, "text": [{"content": "a"}]}],
            "line 1, column 'text': text must be a text, or chat messages with roles",
        ),
        ([{**ROW, "text": ["a", "b", "c"], "answer": ["1", "2"]}], "column 'answer': 2 values for 3 completions"),
        ([{**ROW, "text": ["a", "b"], "finish": ["stop"]}], "column 'finish': 1 values for 2 completions"),
        ([{**ROW, "text": ["a", "b"], "answer": ["1", "2"]}], "problem 'q' has the gold answer '2' here, but '1'"),
        ([{**ROW, "prompt": ["a", "b"]}], "line 1, column 'prompt': a prompt is a text, or chat messages with roles"),
        ([{**ROW, "answer": "Z", "verifier": "choice", "choices": ["x", "y"]}], "must be one of AB; got 'Z'"),
        ([{**ROW, "text": {"a": 1}}], "line 1, column 'text': text must be a text, or chat messages with roles"),
        ([{**ROW, "answer": ["1", "2"]}], "line 1, column 'answer': the gold answer is a list of 2"),
        ([ROW, {**ROW, "answer": "2"}], r"line 2: problem 'q' has the gold answer '2' here, but '1' at .*line 1"),
        (
            [ROW, {**ROW, "id": "r", "answer": float("nan")}],
            "line 2, column .*no gold answer; it is nan",
        ),
        ([{**ROW, "answer": "NaN"}], "line 1, column 'answer': there is no gold answer; it is NaN"),
        ([{**ROW, "answer": float("inf")}], "line 1, column 'answer': the gold answer must be finite"),
        ([{**ROW, "forms": ["bogus"]}], "line 1: problem 'q': unknown answer form 'bogus'"),
        ([{**ROW, "forms": ["boxd"]}], r"Did you mean 'boxed'\?"),
        ([{**ROW, "forms": []}], "line 1: problem 'q': forms must be a list of one or more of boxed, answer, hashes"),
        ([{**ROW, "forms": "bogus"}], "line 1: forms must be a list, as JSON; got 'bogus'"),
        ([{**ROW, "evaluated": "maybe"}], "line 1: evaluated must be true or false; got 'maybe'"),
        (
            [{**ROW, "verifier": "countdown", "numbers": [1], "use": "al"}],
            "line 1: problem 'q': use must be .all. or left out; got 'al'",
        ),
    ],
)
def test_refused_input_is_named_with_its_row(tmp_path: Path, rows: list[dict], message: str):
    with pytest.raises(InputError, match=message):
        read_answers(jsonl(tmp_path / "a.jsonl", *rows))


def test_a_gold_answer_that_can_not_be_read_is_compared_as_text(tmp_path: Path):
    answers = read_answers(jsonl(tmp_path / "a.jsonl", {**ROW, "answer": "7" * 5_000}))
    assert "1 of 1 gold answers are compared as text: `rlvrscope verify --list-golds` shows them" in answers.notes


def test_an_empty_folder(tmp_path: Path):
    with pytest.raises(InputError, match=r"there is no \.csv, .* file in this folder"):
        read_answers(tmp_path)


def lm_eval_row(number: int, text: str, **more: object) -> dict:
    return {
        "doc_id": number, "doc": {"question": f"q{number}"}, "target": "1", "resps": [[text]],
        "filtered_resps": ["1"], "metrics": ["exact_match"], "exact_match": 1.0, **more,
    }  # fmt: skip


def test_tasks_of_a_folder_keep_their_problems_apart(tmp_path: Path):
    for task in ("one", "two"):
        jsonl(tmp_path / f"samples_{task}_2025.jsonl", *(lm_eval_row(n, f"{task} \\boxed{{1}}") for n in range(2)))
    answers = read_answers(tmp_path)
    assert [labels["problem"] for labels in answers.labels] == ["one/0", "one/1", "two/0", "two/1"]
    jsonl(tmp_path / "samples_one_2026.jsonl", lm_eval_row(0, "again"))
    with pytest.raises(InputError, match=r"2 files hold one, each from a run of its own: samples_one_2025\.jsonl"):
        read_answers(tmp_path)


def test_gradings_of_one_completion_are_one_answer(tmp_path: Path):
    rows = [lm_eval_row(n, "\\boxed{1}", filter=name) for name in ("strict", "flexible") for n in range(2)]
    assert len(read_answers(jsonl(tmp_path / "a.jsonl", *rows)).texts) == 2
    for row in rows:
        del row["filter"]
    with pytest.raises(InputError, match="problem '0' has several rows: lm-eval writes one for each way of grading"):
        read_answers(jsonl(tmp_path / "b.jsonl", *rows))


def test_an_agents_session_is_one_answer(tmp_path: Path):
    uid = "00000000-0000-0000-0000-00000000000"
    rows = [
        {
            "input": "1+1?",
            "output": f"\\boxed{{{n}}}",
            "gts": "2",
            "score": 1.0,
            "step": 1,
            "uid": f"{uid}{n // 2}_0_{n % 2}",
        }
        for n in range(4)
    ]
    answers = read_answers(jsonl(tmp_path / "1.jsonl", *rows))
    assert answers.texts == ["\\boxed{0}", "\\boxed{2}"]
    assert "1.jsonl: left out: later outputs of a session: 2" in answers.notes


def test_one_id_for_two_prompts(tmp_path: Path):
    jsonl(tmp_path / "aime.jsonl", {**ROW, "prompt": "1?"})
    jsonl(tmp_path / "amc.jsonl", {**ROW, "prompt": "2 - 1?"})
    with pytest.raises(
        InputError, match=r"amc\.jsonl: line 1: problem 'q' has the prompt '2 - 1\?' here, but '1\?' at"
    ):
        read_answers(tmp_path)


def test_one_fact_for_several_completions(tmp_path: Path):
    row = {**ROW, "text": ["\\boxed{1}", "\\boxed{2}"], "finish": "length"}
    with pytest.raises(InputError, match="column 'finish': 1 values for 2 completions: give one for each"):
        read_answers(jsonl(tmp_path / "a.jsonl", row))
    row["text"] = ["\\boxed{1}"]
    assert read_answers(jsonl(tmp_path / "a.jsonl", row)).labels[0]["finish"] == "length"


def test_only_tables_of_completions_are_read_from_a_folder(tmp_path: Path):
    jsonl(tmp_path / "a.jsonl", ROW)
    (tmp_path / "b.json").write_text(json.dumps([{**ROW, "id": "b"}]))
    jsonl(tmp_path / "aggregated_results.jsonl", {"eval/all/avg_score": 0.5})
    (tmp_path / "metrics.json").write_text(json.dumps({"acc": 0.5}))
    answers = read_answers(tmp_path)
    assert [problem.id for problem in answers.problems] == ["q", "b"]
    assert "2 files: a.jsonl, b.json" in answers.notes
    assert "files left out: aggregated_results.jsonl, metrics.json" in answers.notes


@pytest.mark.parametrize("text", ["['\\boxed{1}', '\\boxed{2}']", '["\\boxed{1}", "\\boxed{2}"]'])
def test_lists_written_as_text_are_refused(tmp_path: Path, text: str):
    quoted = text.replace('"', '""')
    (tmp_path / "a.csv").write_text(f'id,text,answer\nq,"{quoted}",1\nq,"{quoted}",1\n')
    with pytest.raises(InputError, match=r"every 'text' is a list written as text, such as .*CSV has no lists"):
        read_answers(tmp_path / "a.csv")


def test_log_likelihoods_of_choices_are_no_texts(tmp_path: Path):
    row = {"doc_id": 0, "doc": {"q": "?"}, "target": "1", "resps": [[["-1.5", "True"]], [["-2.5", "False"]]]}
    with pytest.raises(InputError, match="has no column 'text'"):
        read_answers(jsonl(tmp_path / "samples_arc_2025-01-01.jsonl", row))


@pytest.mark.parametrize("label", ["model", "seed", "cluster"])
def test_a_list_is_no_label(tmp_path: Path, label: str):
    with pytest.raises(InputError, match=f"column '{label}': {label} must be a text or a number"):
        read_answers(jsonl(tmp_path / "a.jsonl", {**ROW, label: ["x"]}))
