"""Files of other tools: rows of the same schema as theirs, with texts of our own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlvrscope import InputError
from rlvrscope.readers import Columns, ModelCounts, ReadOptions, read_models

Rows = list[dict[str, Any]]
WORD = "must be a verdict; say which values mean right: --right VALUE"
ITEM = "must hold one item for each item of 'correct' in its row"
Write = Callable[[str, Rows], str]


def counts(model: ModelCounts) -> dict[str, tuple[int, int]]:
    """(n, c) by problem, without the digits that a prompt's id ends with."""
    names = [name.rpartition(" ")[0] or name for name in model.counts.problem]
    return dict(zip(names, zip(model.counts.n.tolist(), model.counts.c.tolist(), strict=True), strict=True))


def document(tmp_path: Path, name: str, content: Any) -> str:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(json.dumps(content))
    return str(tmp_path / name)


def only(source: str, **options: Any) -> ModelCounts:
    (model,) = read_models(source, ReadOptions(**options))
    return model


QWEN = [
    {
        "idx": 0,
        "question": "1+1?",
        "gt_cot": "None",
        "gt": "2",
        "level": 3,
        "answer": "2",
        "code": ["\\boxed{2}", "\\boxed{3}"],
        "pred": ["2", "3"],
        "report": [None, None],
        "score": [True, False],
    },
    {
        "idx": 1,
        "question": "2+2?",
        "gt_cot": "None",
        "gt": "4",
        "level": 1,
        "answer": "4",
        "code": ["\\boxed{4}", ""],
        "pred": ["4", None],
        "report": [None, None],
        "score": [True, False],
    },
]


def test_qwen_math(write: Write):
    model = only(write("aime24/test_cot_-1_seed0_t0.6_s0_e-1.jsonl", QWEN))
    assert counts(model) == {"1+1?": (2, 1), "2+2?": (2, 1)}
    first, second = model.counts.problems
    assert [text.text for text in model.texts(first)] == ["\\boxed{2}", "\\boxed{3}"]
    assert [text.answer for text in model.texts(second)] == ["4", None]
    assert model.answers() == ([first, first, second, second], ["2", "3", "4", None], [True, False, True, False])
    line = model.accounts[0].line
    assert line.endswith("(Qwen2.5-Math): 2 problems, 2 samples each, 2 of 2 rows used; right by 'score'")


def test_qwen_math_in_its_folders_beside_its_metrics(write: Write, tmp_path: Path):
    write("out/model/aime24/test_cot_s0_e-1.jsonl", QWEN)
    document(tmp_path, "out/model/aime24/test_cot_s0_e-1_cot_metrics.json", {"num_samples": 2, "acc": 50.0})
    model = only(str(tmp_path / "out"))
    assert (model.name, counts(model)) == ("out", {"1+1?": (2, 1), "2+2?": (2, 1)})
    assert model.accounts[0].files == ("test_cot_s0_e-1_cot_metrics.json",)
    write("out/model/math/test_cot_s0_e-1.jsonl", QWEN)
    with pytest.raises(InputError, match=r"2 folders inside hold tables: model/aime24, model/math\. Name one of them"):
        read_models(str(tmp_path / "out"))


def test_qwen_math_numbers_the_rows_of_every_data_set_from_0(write: Write, tmp_path: Path):
    write("out/one.jsonl", QWEN)
    write("out/two.jsonl", [{**row, "question": f"another {row['question']}"} for row in QWEN])
    assert set(counts(only(str(tmp_path / "out"))).values()) == {(2, 1)}
    assert len(only(str(tmp_path / "out")).counts.problems) == 4
    no_prompts = [{name: value for name, value in row.items() if name != "question"} for row in QWEN]
    assert counts(only(write("plain.jsonl", no_prompts))) == {"0": (2, 1), "1": (2, 1)}


def test_limo(write: Write):
    rows = [
        {
            "question": "1+1?",
            "generated_responses": ["a", "b", "c"],
            "id": 60,
            "generated_answers": ["2", "3", "2"],
            "gold_answer": "2",
            "is_correct": True,
            "answers_correctness": [True, False, True],
        },
    ]
    assert counts(only(write("x.jsonl", rows))) == {"1+1?": (3, 2)}


def lm_eval(filters: dict[str, list[float]], **more: Any) -> Rows:
    return [
        {
            "doc_id": number,
            "doc": {"question": f"q{number}", "level": number % 2},
            "target": "0",
            "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": {"until": ["Q:"]}}},
            "resps": [[f"It is {number}."]],
            "filtered_resps": [str(number)],
            "filter": name,
            "metrics": ["exact_match"],
            "doc_hash": f"d{number}",
            "exact_match": score,
            **more,
        }
        for name, scores in filters.items()
        for number, score in enumerate(scores)
    ]


def test_lm_eval_has_a_row_for_each_filter(write: Write):
    path = write(
        "out/Qwen__Q/samples_gsm8k_cot_2025-01-02T03-04-05.123.jsonl",
        lm_eval({"strict": [1.0, 0.0], "flexible": [1.0, 1.0]}),
    )
    with pytest.raises(InputError, match=r"graded 2 times, by filter: strict, flexible\. Choose one: --where"):
        read_models(path)
    flexible = only(path, where=(("filter", "flexible"),))
    assert counts(flexible) == {"gsm8k_cot/0": (1, 1), "gsm8k_cot/1": (1, 1)}
    strict = only(path, where=(("filter", "strict"),))
    assert counts(strict) == {"gsm8k_cot/0": (1, 1), "gsm8k_cot/1": (1, 0)}
    assert strict.accounts[0].left_out == {"not filter=strict": 2}
    assert strict.texts("gsm8k_cot/1")[0].text == "It is 1."
    mapped = Columns.parse(["problem=doc_id", "correct=exact_match"])
    with pytest.raises(InputError, match="graded 2 times"):
        read_models(path, ReadOptions(mapped))


def test_lm_eval_before_it_named_its_filters(write: Write):
    rows = lm_eval({"a": [1.0, 0.0], "b": [1.0, 1.0]})
    for row in rows:
        del row["filter"], row["metrics"]
    with pytest.raises(InputError, match="problem 's/0' has several rows: lm-eval writes one for each way"):
        read_models(write("samples_s_1.jsonl", rows))
    assert counts(only(write("samples_t_1.jsonl", rows[:2]))) == {"t/0": (1, 1), "t/1": (1, 0)}


def test_lm_eval_tasks_keep_their_problems_apart(write: Write, tmp_path: Path):
    rows = lm_eval({"none": [1.0, 0.0]})
    for task in ("one", "two_b"):
        write(f"out/samples_{task}_2025-01-02.jsonl", rows)
    document(tmp_path, "out/results_2025-01-02.json", {"results": {"one": {"alias": "one"}}})
    model = only(str(tmp_path / "out"))
    assert list(counts(model)) == ["one/0", "one/1", "two_b/0", "two_b/1"]
    write("out/samples_one_2025-02-02.jsonl", rows)
    with pytest.raises(InputError, match="2 files hold one, each from a run of its own: samples_one_2025-01-02"):
        read_models(str(tmp_path / "out"))


def test_lm_eval_repeats_have_one_verdict(write: Write):
    rows = lm_eval({"maj@3": [1.0, 0.0]}, resps=[["a", "b", "c"]])
    model = only(write("x.jsonl", rows))
    assert counts(model) == {"0": (1, 1), "1": (1, 0)}
    assert "a row has up to 3 completions and one verdict" in model.accounts[0].warnings[0]
    texts = [["a", "b", "c"]]
    rates = lm_eval({"t": [0.0, 0.0]}, resps=texts, filtered_resps=texts, metrics=["pass@1"], **{"pass@1": 2 / 3})
    assert counts(only(write("y.jsonl", rates))) == {"0": (3, 2), "1": (3, 2)}
    rates[1]["pass@1"] = 0.5
    with pytest.raises(InputError, match="line 2: 'pass@1' must be a share of the row's completions"):
        read_models(write("z.jsonl", rates))


def test_lm_eval_with_several_metrics(write: Write):
    rows = lm_eval({"none": [1.0]}, metrics=["acc", "acc_norm"], acc=0, acc_norm=1)
    with pytest.raises(InputError, match="these hold numbers: acc, acc_norm"):
        read_models(write("x.jsonl", rows))
    assert counts(only(write("x.jsonl", rows), columns=Columns.parse(["score=acc_norm"]))) == {"0": (1, 1)}


def test_lighteval(write: Write):
    def rows(metric: dict[str, float]) -> Rows:
        doc = {"query": "Solve 1+1", "choices": ["2"], "gold_index": 0, "id": "0", "task_name": "aime24|0"}
        response = {"text": ["..2", "..3", "..2", "..2"], "output_tokens": [[5], [6], [7], [8]], "input_tokens": [1]}
        return [{"doc": {**doc, "id": str(i)}, "metric": metric, "model_response": response} for i in range(2)]

    name = "out/details/Qwen/Q/2025-01-02T03-04-05.6/details_aime24|0_2025-01-02T03-04-05.6.parquet"
    write(name, rows({"avg@n:n=4": 0.75}))
    model = only(str(Path(write(name, rows({"avg@n:n=4": 0.75}))).parents[4]))
    assert counts(model) == {"aime24|0/0": (4, 3), "aime24|0/1": (4, 3)}
    assert not model.has_texts, "which texts are right is not known"
    one = only(write("details_x_1.parquet", rows({"extractive_match": 1.0})))
    assert counts(one) == {"x/0": (1, 1), "x/1": (1, 1)}
    with pytest.raises(InputError, match=r"these hold numbers: metric\.a, metric\.b"):
        read_models(write("y.parquet", rows({"a": 1.0, "b": 0.0})))


def test_evalplus(tmp_path: Path):
    def sample(base: str | None, plus: str | None) -> dict[str, Any]:
        return {
            "task_id": "HumanEval/0",
            "solution": "def f(): ...",
            "base_status": base,
            "plus_status": plus,
            "base_fail_tests": [],
            "plus_fail_tests": [],
        }

    results = {
        "date": "2025-01-02",
        "hash": "0",
        "eval": {
            "HumanEval/0": [
                sample("pass", "pass"),
                sample("pass", "fail"),
                sample("fail", "pass"),
                sample("timeout", "fail"),
            ]
        },
        "pass_at_k": {"base": {"pass@1": 0.5}, "plus": {"pass@1": 0.25}},
    }
    path = document(tmp_path, "m_eval_results.json", results)
    assert counts(only(path)) == {"HumanEval/0": (4, 1)}
    assert counts(only(path, columns=Columns.parse(["correct=base_status"]))) == {"HumanEval/0": (4, 2)}
    results["eval"]["HumanEval/0"] = [sample("pass", None), sample("fail", None)]
    assert counts(only(document(tmp_path, "base_only.json", results))) == {"HumanEval/0": (2, 1)}


def test_human_eval(write: Write):
    rows = [
        {"task_id": "HumanEval/0", "completion": f"return {i}", "result": "passed", "passed": i > 0} for i in range(3)
    ]
    assert counts(only(write("samples.jsonl_results.jsonl", rows))) == {"HumanEval/0": (3, 2)}


def test_live_code_bench(tmp_path: Path):
    rows = [
        {
            "question_title": "t",
            "question_content": "..",
            "platform": "atcoder",
            "question_id": "abc_a",
            "difficulty": "easy",
            "output_list": ["x", "y"],
            "code_list": ["print(1)", ""],
            "graded_list": [True, False],
            "pass@1": 0.5,
            "metadata": ["{}", "{}"],
        },
        {
            "question_title": "u",
            "question_content": "..",
            "platform": "atcoder",
            "question_id": "abc_b",
            "difficulty": "hard",
            "output_list": ["x", "y"],
            "code_list": ["", ""],
            "graded_list": [False, False],
            "pass@1": 0.0,
            "metadata": ["{}", "{}"],
        },
    ]
    model = only(document(tmp_path, "Scenario.codegeneration_2_0.2_eval_all.json", rows), by="difficulty")
    assert counts(model) == {"abc_a": (2, 1), "abc_b": (2, 0)}
    assert model.groups == {"abc_a": "easy", "abc_b": "hard"}
    assert [text.text for text in model.texts("abc_a", correct=True)] == ["x"]


def test_nemo_skills_has_a_file_for_each_seed(write: Write, tmp_path: Path):
    for seed, right in enumerate([True, False, True]):
        row = {
            "generation": f"so {seed}",
            "num_generated_tokens": 9,
            "finish_reason": "stop",
            "id": "aime24-0",
            "problem": "1+1?",
            "expected_answer": "2",
            "predicted_answer": "2",
            "symbolic_correct": right,
        }
        write(f"eval-results/aime24/output-rs{seed}.jsonl", [row])
    assert counts(only(str(tmp_path / "eval-results"))) == {"aime24-0": (3, 2)}


def test_open_compass(tmp_path: Path):
    details = [{"example_abbr": "aime_0", "pred": ["2", "3"], "answer": ["2", "2"], "correct": [True, False]}]
    assert counts(only(document(tmp_path, "aime.json", {"accuracy": 50.0, "details": details}))) == {"aime_0": (2, 1)}


def test_sky_rl_scores_tokens(write: Write):
    rows = [
        {
            "input_prompt": "1+1?",
            "output_response": text,
            "score": score,
            "stop_reason": "stop",
            "env_class": "aime",
            "env_extras": {},
            "data_source": "aime",
        }
        for text, score in [("2", [0.0, 0.0, 1.0]), ("3", [0.0, 0.0]), ("4", 1.0)]
    ]
    assert counts(only(write("aime.jsonl", rows))) == {"1+1?": (3, 2)}


def test_verifiers(write: Write):
    rows = [
        {
            "example_id": 0,
            "prompt": [{"role": "user", "content": "1+1?"}],
            "completion": [{"role": "assistant", "content": text}],
            "answer": "2",
            "reward": reward,
            "error": None,
            "metrics": {"correct_answer": reward},
        }
        for text, reward in [("2", 1.0), ("3", 0.0)]
    ]
    model = only(write("results.jsonl", rows))
    assert counts(model) == {"0": (2, 1)}
    assert [text.text for text in model.texts("0")] == ["2", "3"]


def test_nemo_rl_and_rllm(tmp_path: Path):
    rows = [
        {"prompt": "1+1?", "response": text, "reward": reward, "sample_index": 0}
        for text, reward in [("2", 1.0), ("3", 0.0)]
    ]
    assert counts(only(document(tmp_path, "evaluation_data.json", {"evaluation_data": rows}))) == {"1+1?": (2, 1)}
    items = [
        {"idx": 0, "attempt": i, "reward": 1.0, "is_correct": i == 1, "error": None, "signals": {}} for i in range(3)
    ]
    results = {"dataset_name": "d", "score": 0.3, "items": items, "pass_at": {"1": 0.3}}
    assert counts(only(document(tmp_path, "rllm.json", results))) == {"0": (3, 1)}


def test_reports_beside_samples_are_left_out_with_a_word(tmp_path: Path):
    rows = [{"prompt": "1+1?", "response": "2", "reward": 1.0, "sample_index": 0}]
    document(tmp_path, "out/evaluation_data.json", {"evaluation_data": rows})
    document(tmp_path, "out/config.json", {"model_name": "m"})
    model = only(str(tmp_path / "out"))
    assert (counts(model), model.accounts[0].files) == ({"1+1?": (1, 1)}, ("config.json",))
    (tmp_path / "out" / "evaluation_data.json").unlink()
    with pytest.raises(InputError, match="needs the columns problem, n and c"):
        read_models(str(tmp_path / "out"))


def test_passk_inference(write: Write):
    assert counts(only(write("x.jsonl", [{"id": "a", "c": 1, "n": 8}]))) == {"a": (8, 1)}


INSPECT = [
    {
        "sample_id": f"u{i}{epoch}",
        "eval_id": "e",
        "id": f"q{i}",
        "epoch": epoch,
        "input": "1+1?",
        "target": "2",
        "metadata_level": i,
        "score_match": value,
        "model_usage": "{}",
        "total_tokens": 14,
        "error": None,
    }
    for i, values in enumerate([["C", "I"], ["N", "C"]])
    for epoch, value in enumerate(values, start=1)
]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_inspect_tables(write: Write, suffix: str):
    path = write(f"samples.{suffix}", INSPECT)
    model = only(path, by="metadata_level")
    assert counts(model) == {"q0": (2, 1), "q1": (2, 1)}
    assert model.groups == {"q0": "0", "q1": "1"}
    partial = write(f"partial.{suffix}", [*INSPECT, {**INSPECT[0], "sample_id": "v", "epoch": 3, "score_match": "P"}])
    with pytest.raises(InputError, match=f"'score_match' {WORD}; got 'P'"):
        read_models(partial)
    strict = only(partial, right=("C",))
    assert counts(strict) == {"q0": (3, 1), "q1": (2, 1)}
    assert "count as wrong: I (1), N (1), P (1)" in strict.accounts[0].warnings[0]
    assert counts(only(partial, right=("C", "P"))) == {"q0": (3, 2), "q1": (2, 1)}
    several = write(f"several.{suffix}", [*INSPECT, *({**row, "eval_id": "f"} for row in INSPECT)])
    with pytest.raises(
        InputError, match=r"2 evaluations of 1 models and tasks .*: e, f\. Choose one: --where eval_id=e"
    ):
        read_models(several)
    assert counts(only(several, where=(("eval_id", "f"),))) == {"q0": (2, 1), "q1": (2, 1)}


def test_lists_of_verdicts_in_own_tables(write: Write):
    rows = [
        {"problem": "p", "correct": ["pass", "fail", "pass"], "text": ["a", "b", "c"], "answer": [["1"], ["2"], ["3"]]}
    ]
    model = only(write("x.jsonl", rows))
    assert counts(model) == {"p": (3, 2)}
    assert [(text.text, text.answer) for text in model.texts("p")] == [("a", "1"), ("b", "2"), ("c", "3")]
    chats = [[{"role": "assistant", "content": "a"}], [{"role": "assistant", "content": "b"}]]
    model = only(write("y.parquet", [{"problem": "p", "score": [1.0, 0.25], "text": chats}]), threshold=0.5)
    assert [(text.text, text.correct) for text in model.texts("p")] == [("a", True), ("b", False)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"correct": [True, False], "text": ["a"]}, rf"'text' {ITEM}; got \['a'\]"),
        ({"correct": [True, False], "text": "a"}, f"'text' {ITEM}; got 'a'"),
        ({"correct": []}, r"'correct' must hold a verdict or a score for each sample; got \[\]"),
        ({"correct": [True, "maybe"]}, f"'correct' {WORD}; got 'maybe'"),
        ({"correct": [True, None]}, "'correct' must be true, false, 0 or 1; got None"),
        ({"score": [1.0, 0.5]}, "'score' must be 0 or 1, or --threshold X be given"),
    ],
)
def test_lists_that_can_not_be_samples(write: Write, row: dict[str, Any], message: str):
    first = {name: [value[0]] if isinstance(value, list) and value else [True] for name, value in row.items()}
    with pytest.raises(InputError, match=rf"x\.jsonl: line 2: {message}"):
        read_models(write("x.jsonl", [{"problem": "p", **first}, {"problem": "q", **row}]))


def test_filters_that_leave_nothing(write: Write):
    path = write("x.jsonl", [{"problem": "p", "correct": 1, "kind": "a"}])
    with pytest.raises(InputError, match=r"no rows: there is nothing to count \(not kind=b: 1\)"):
        only(path, where=(("kind", "b"),))
    with pytest.raises(InputError, match=r"there is no column 'kin'\. Did you mean 'kind'\?"):
        only(path, where=(("kin", "b"),))


def test_a_problem_is_in_one_group(write: Write):
    rows = [{"problem": "p", "correct": 1, "meta": {"level": level}} for level in (1, 2)]
    with pytest.raises(InputError, match=r"line 2: problem 'p' must be in one meta\.level; it is in '1'"):
        only(write("x.jsonl", rows), by="meta.level")


@pytest.fixture
def copied(write: Write) -> str:
    rows = [
        {"problem": f"p{p}", "correct": i < 2, "text": f"attempt {i} at {p}"}
        for p in range(5)
        for _ in range(8)
        for i in range(4)
    ]
    return write("copies.jsonl", rows)


def test_copies_are_told_and_can_be_dropped(copied: str):
    model = only(copied)
    assert set(counts(model).values()) == {(32, 16)}
    (warning,) = model.accounts[0].warnings
    assert "of 32 samples of a problem only 4 are different" in warning
    assert "n is 4, not 32" in warning
    dropped = only(copied, drop_copies=True)
    assert set(counts(dropped).values()) == {(4, 2)}
    assert dropped.accounts[0].left_out == {"copies": 140}


def test_equal_texts_after_different_reasoning_are_no_copies(write: Write):
    """As in exports of stores of reasoning models."""
    rows = [
        {"problem": f"p{p}", "correct": i < 16, "text": f"\\boxed{{{i // 16}}}", "reasoning": f"thought {i} on {p}"}
        for p in range(12)
        for i in range(32)
    ]
    assert only(write("x.jsonl", rows)).accounts[0].warnings == []
    assert set(counts(only(write("x.jsonl", rows), drop_copies=True)).values()) == {(32, 16)}
    copied = [{**row, "reasoning": row["reasoning"][:9]} for row in rows]
    assert "copies" in only(write("y.jsonl", copied), drop_copies=True).accounts[0].left_out
    lists = {"problem": "p", "correct": [1, 0], "text": ["a", "a"], "reasoning": ["x", "y"]}
    assert counts(only(write("z.jsonl", [lists]), drop_copies=True)) == {"p": (2, 1)}


def test_short_texts_that_repeat_by_chance_are_no_copies(write: Write):
    draws = np.random.default_rng(0).integers(4, size=(10, 32))
    rows = [
        {"problem": f"p{p}", "correct": bool(i), "text": str(i)} for p, row in enumerate(draws.tolist()) for i in row
    ]
    assert only(write("x.jsonl", rows)).accounts[0].warnings == []


def test_long_texts_that_repeat_are_told(write: Write):
    texts = [f"{number} {'so ' * 100}" for number in range(20)]
    rows = [{"problem": "p", "correct": True, "text": text} for text in [*texts, *texts[:7]]]
    assert "7 of 27 samples repeat a long text" in only(write("x.jsonl", rows)).accounts[0].warnings[0]
    alike = [{"problem": f"p{i}", "correct": True, "text": f"same {i}"} for i in range(3) for _ in range(4)]
    assert (
        "all samples of a problem are the same text (4 each)" in only(write("y.jsonl", alike)).accounts[0].warnings[0]
    )


def test_a_source_can_be_named(write: Write):
    path = write("x/results.csv", [{"problem": "p", "n": 2, "c": 1}])
    assert only(f"my model={path}").name == "my model"
    odd = write("a=b/results.csv", [{"problem": "p", "n": 2, "c": 1}])
    assert only(odd).name == "results", "a path that exists is a path"
