"""The transformers engine: a text depends on its seed alone, and follows the model's own distribution; its scorer."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from random_weights import with_random_weights
from rlvrscope.engines import Completion, Failure, Request, ScoreRequest, Settings, open_engine, open_scorer
from rlvrscope.engines.memory import rows_that_fit
from rlvrscope.engines.samplers import PaddedRows, TreeRows
from rlvrscope.engines.transformers import TransformersEngine
from rlvrscope.errors import InputError, WorkError
from rlvrscope.problem import Problem
from rlvrscope.sampling.fill import sample_seed

PROMPTS = ["1 2 3", "4", "5 " * 63, "6 " * 64, "7 8 " * 40, "9 boxed 0"]
"""Below, at and above the widths that prompts are padded to."""


def engine_of(folder: Path, **settings: Any) -> TransformersEngine:
    engine = open_engine("transformers", str(folder), Settings(**{"max_tokens": 12, "batch": 8} | settings))
    assert isinstance(engine, TransformersEngine)
    return engine


def padded_engine_of(folder: Path, **settings: Any) -> TransformersEngine:
    """The same with padded rows, as for a model that can't read token trees."""
    engine = engine_of(folder, **settings)
    engine.sampler = PaddedRows(engine.pretrained, engine.endings)
    return engine


MAKERS = pytest.mark.parametrize("make", [engine_of, padded_engine_of], ids=["tree", "padded"])
Make = Callable[..., TransformersEngine]


def requests_for(prompts: list[str], count: int) -> list[Request]:
    problems = [Problem(f"p{place}", prompt, "1") for place, prompt in enumerate(prompts)]
    return [Request(p, index, p.prompt, sample_seed(0, p.id, index)) for p in problems for index in range(count)]


def drawn(engine: TransformersEngine, requests: list[Request]) -> dict[tuple[str, int], Completion]:
    results = {}
    for request, completion in engine.run(iter(requests)):
        assert isinstance(completion, Completion), completion
        results[request.problem.id, request.index] = completion
    return results


def same(first: Completion, second: Completion, tolerance: float) -> bool:
    """Whether two completions are equal, log-probabilities up to a tolerance."""
    assert first.logp is not None
    assert second.logp is not None
    return replace(first, logp=0.0) == replace(second, logp=0.0) and abs(first.logp - second.logp) <= tolerance


@pytest.mark.parametrize(("make", "tolerance"), [(engine_of, 1e-4), (padded_engine_of, 0.0)])
def test_a_sample_is_the_same_in_any_batch(tiny_model: Path, make: Make, tolerance: float):
    """Alone, in any order, with other prompts, in another engine: padded rows are equal to the last bit of logp."""
    requests = requests_for(PROMPTS, 11)
    whole = drawn(make(tiny_model), requests)
    assert len(whole) == len(requests)
    assert len({completion.text for completion in whole.values()}) > 50
    assert {completion.finish for completion in whole.values()} == {"stop", "length"}
    order = np.random.default_rng(0).permutation(len(requests))
    engine = make(tiny_model)
    for again in (requests[::-1], [requests[place] for place in order], requests[20:21], requests[3:60:7]):
        results = drawn(engine, again)
        assert len(results) == len(again)
        assert all(same(whole[cell], completion, tolerance) for cell, completion in results.items())


@pytest.mark.parametrize("limit", [12, 40])
def test_a_tree_draws_what_padded_rows_draw(tiny_model: Path, limit: int):
    """With the same random numbers: the same texts, those of long rows too, which leave the tree."""
    requests = requests_for(PROMPTS, 24)
    tree, padded = (
        drawn(make(tiny_model, max_tokens=limit, batch=64), requests) for make in (engine_of, padded_engine_of)
    )
    assert max(completion.tokens or 0 for completion in tree.values()) == limit
    assert all(
        same(padded[cell], replace(completion, note=padded[cell].note), 1e-4) for cell, completion in tree.items()
    )


def distribution(
    folder: Path, prompt: str, length: int, temperature: float, top_p: float
) -> dict[str, tuple[float, float]]:
    """Every completion of up to `length` tokens: its probability, and its log-probability under the model itself.

    Read from the model row by row, unpadded, without a cache. The end of the text is the word "</s>".
    """
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    results: dict[str, tuple[float, float]] = {}
    open_rows: list[tuple[list[int], float, float]] = [([], 1.0, 0.0)]
    start = tokenizer(prompt)["input_ids"]
    for step in range(length):
        grown = []
        for tokens, mass, logp in open_rows:
            with torch.no_grad():
                logits = model(torch.tensor([start + tokens])).logits[0, -1].double()
            plain = logits.log_softmax(0).tolist()
            tempered = (logits / temperature).softmax(0).numpy()
            order = np.argsort(-tempered)
            nucleus = order[np.cumsum(tempered[order]) - tempered[order] < top_p]
            for token in nucleus:
                share = tempered[token] / tempered[nucleus].sum()
                grown.append(([*tokens, int(token)], mass * share, logp + plain[token]))
        for tokens, mass, logp in grown:
            if tokens[-1] == 2 or step == length - 1:
                words = " ".join(tokenizer.convert_ids_to_tokens(tokens))
                results[words] = (mass, logp)
        open_rows = [row for row in grown if row[0][-1] != 2]
    return results


@MAKERS
@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.8)])
def test_samples_follow_the_models_distribution(tiny_model: Path, make: Make, temperature: float, top_p: float):
    """Every completion of two tokens, enumerated: shares of 2,000 samples within 5 standard errors, and logp exact.

    The model's own settings (top-k 3, a penalty, temperature .8) would give another distribution.
    """
    exact = distribution(tiny_model, "1 2 3", 2, temperature, top_p)
    assert sum(mass for mass, _ in exact.values()) == pytest.approx(1.0)
    engine = make(tiny_model, max_tokens=2, batch=64, temperature=temperature, top_p=top_p)
    count = 2000
    seen: Counter[str] = Counter()
    for completion in drawn(engine, requests_for(["1 2 3"], count)).values():
        words = f"{completion.text} </s>".strip() if completion.finish == "stop" else completion.text
        # special words do not show in a text: "<s>" and "<unk>" are distinguished by logp
        fitting = [
            name for name in exact if _shown(name) == words and abs(exact[name][1] - (completion.logp or 0.0)) < 1e-4
        ]
        assert len(fitting) == 1, (completion, words)
        assert completion.tokens == len(fitting[0].split())
        seen[fitting[0]] += 1
    for name, (mass, _) in exact.items():
        assert abs(seen[name] - count * mass) <= 5 * np.sqrt(count * mass * (1 - mass)) + 1, name
    if top_p == 1.0:
        assert len([name for name in exact if seen[name]]) > 40


@MAKERS
@pytest.mark.parametrize("stop", [("5",), ("7 8", "3"), ("boxed 4", "9", "0 1")])
def test_a_completion_ends_before_a_stop_string(tiny_model: Path, make: Make, stop: tuple[str, ...]):
    """The same texts as without stops, cut at the first of them; no token is drawn after a row has ended."""
    requests, reported = requests_for(PROMPTS[:3], 20), list[int]()
    plain = drawn(make(tiny_model), requests)
    engine = make(tiny_model, stop=stop, on_tokens=reported.append)
    reported.clear()  # of the check at the start
    stopped = drawn(engine, requests)
    assert sum(reported) == sum(completion.tokens or 0 for completion in stopped.values())
    ends = Counter[str]()
    for cell, whole in plain.items():
        cut, place = stopped[cell], min((whole.text.find(text) for text in stop if text in whole.text), default=None)
        ends[cut.finish] += place is not None
        if place is None:
            assert same(cut, whole, 1e-4)
            continue
        assert (cut.text, cut.finish) == (whole.text[:place], "stop")
        assert cut.tokens is not None
        assert cut.tokens < (whole.tokens or 0) or whole.finish == "length"
        assert (cut.logp or 0.0) > (whole.logp or 0.0) or cut.tokens == whole.tokens
    assert ends["stop"] > 5
    assert len(set(stopped.values())) > 10


def test_stop_strings_of_bytes(tmp_path: Path):
    """A byte-level tokenizer: stop strings across tokens, and characters of several bytes; tokens are the fewest."""
    pytest.importorskip("gguf")
    from rlvrscope.engines.gguf import convert
    from tiny_gguf import gguf_fields, gguf_tensors, tiny_llama, write_gguf

    convert(write_gguf(tmp_path / "tiny.gguf", gguf_fields(), gguf_tensors(tiny_llama())), tmp_path / "tiny")
    requests = requests_for(["12 the"], 24)
    plain = drawn(engine_of(tmp_path / "tiny", max_tokens=40), requests)
    pairs = Counter(one.text[at : at + 2] for one in plain.values() for at in range(len(one.text) - 1))
    stop = tuple(pair for pair, _ in pairs.most_common() if "\ufffd" not in pair)[:3]
    engine = engine_of(tmp_path / "tiny", max_tokens=40, stop=stop)
    cut_short = 0
    for cell, cut in drawn(engine, requests).items():
        places = [plain[cell].text.find(text) for text in stop if text in plain[cell].text]
        assert cut.text == plain[cell].text[: min(places, default=None)]
        cut_short += bool(places)
    assert cut_short > 5
    tokenizer = engine.pretrained.tokenizer
    for text in stop:
        assert engine.endings.length(tokenizer(f"漢{text}漢")["input_ids"]) == 3 + len(tokenizer(text)["input_ids"])


@pytest.mark.parametrize(("requested", "note"), [(5, "8 rows on cpu"), (16, "16 rows on cpu"), (65, ""), (None, "")])
def test_a_batch_is_no_larger_than_what_is_requested(tiny_model: Path, requested: int | None, note: str):
    """Also where a part of it is drawn already."""
    engine = padded_engine_of(tiny_model, batch=None, max_tokens=100, requested=requested)
    engine.batches.max_rows = min(engine.batches.max_rows, 64)
    assert {one.note for one in drawn(engine, requests_for(["1 2 3"], 3)).values()} == {note}


def _shown(name: str) -> str:
    return " ".join(word for word in name.split() if word not in ("<s>", "<unk>"))


def test_a_chat_is_the_models_own(tiny_model: Path):
    """The fixture's template: "<s> PROMPT 0"."""
    plain = drawn(engine_of(tiny_model), requests_for(["<s> 4 5 0"], 4))
    assert drawn(engine_of(tiny_model, chat=True), requests_for(["4 5"], 4)) == plain
    assert drawn(engine_of(tiny_model), requests_for(["4 5"], 4)) != plain


def test_what_does_not_fit_fails_alone(tiny_model: Path):
    requests = requests_for(["1", "2 " * 245, "3 " * 244, ""], 2)
    results = {(r.problem.id, r.index): completion for r, completion in engine_of(tiny_model).run(iter(requests))}
    assert len(results) == 8
    failure = results["p1", 1]
    assert isinstance(failure, Failure)
    assert failure.reason == "its prompt has 245 tokens and the completion up to 12; the model holds 256"
    assert results["p3", 0] == Failure("its prompt has no tokens")
    assert all(isinstance(results[name, index], Completion) for name in ("p0", "p2") for index in range(2))


def test_requests_that_end_early_leave_nothing_behind(tiny_model: Path):
    requests = requests_for(PROMPTS, 3)
    results = list(engine_of(tiny_model).run(itertools.islice(iter(requests), 13)))
    assert {(r.problem.id, r.index) for r, _ in results} == {(r.problem.id, r.index) for r in requests[:13]}


def test_the_hash_is_of_the_model_and_not_of_where_it_lies(tiny_model: Path, tmp_path: Path):
    first = engine_of(tiny_model).identity["model_hash"]
    copy = Path(shutil.copytree(tiny_model, tmp_path / "moved"))
    (copy / "README.md").write_text("about it")
    assert engine_of(copy).identity["model_hash"] == first
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert engine_of(copy).identity["model_hash"] != first


def changed(tiny_model: Path, folder: Path, change: Callable[[dict[str, torch.Tensor]], None], **config: Any) -> Path:
    """A copy of the model with other weights and settings."""
    shutil.copytree(tiny_model, folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    change(weights)
    safetensors.torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    settings = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def test_a_model_that_would_say_something_else_is_refused(tiny_model: Path, tmp_path: Path):
    """Weights that are missing, which transformers would initialise at random; NaN; an adapter; code of the model."""
    headless = changed(tiny_model, tmp_path / "headless", lambda weights: [weights.pop("lm_head.weight")])
    with pytest.raises(InputError, match=r"1 are missing, such as 'lm_head\.weight'"):
        engine_of(headless)
    nan = changed(tiny_model, tmp_path / "nan", lambda weights: weights["model.norm.weight"].fill_(torch.nan))
    with pytest.raises(InputError, match="are no numbers"):
        engine_of(nan)
    adapted = changed(tiny_model, tmp_path / "adapted", lambda weights: None)
    (adapted / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="merge it into its base"):
        engine_of(adapted)
    own = {"auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}, "model_type": "own"}
    remote = changed(tiny_model, tmp_path / "remote", lambda weights: None, **own)
    mark = tmp_path / "ran"
    (remote / "own.py").write_text(f"open({str(mark)!r}, 'w')\n")
    with pytest.raises(InputError, match="can't load a causal model"):
        engine_of(remote)
    assert not mark.exists()


def saved(made: Any, tiny_model: Path, folder: Path) -> Path:
    """A model of another architecture, with the tiny one's tokenizer."""
    with_random_weights(made).save_pretrained(folder)
    for path in (*tiny_model.glob("tokenizer*"), *tiny_model.glob("*.jinja")):
        shutil.copy(path, folder)
    return folder


SIZES = {"vocab_size": 14, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def test_a_model_that_looks_ahead_is_refused(tiny_model: Path, tmp_path: Path):
    """An encoder loads as a causal model, and reads what follows."""
    made = transformers.BertLMHeadModel(transformers.BertConfig(**SIZES))
    with pytest.raises(InputError, match="change by"):
        engine_of(saved(made, tiny_model, tmp_path / "bert"))


@MAKERS
def test_samples_of_a_mixture_of_experts(tiny_model: Path, tmp_path: Path, make: Make):
    """An expert's rows depend on the whole batch, and so does the rounding of its sums."""
    made = transformers.MixtralForCausalLM(
        transformers.MixtralConfig(**SIZES, num_key_value_heads=2, num_local_experts=4)
    )
    engine = make(saved(made, tiny_model, tmp_path / "mixtral"))
    requests = requests_for(PROMPTS, 4)
    whole = drawn(engine, requests)
    assert all(same(whole[cell], completion, 1e-4) for cell, completion in drawn(engine, requests[5:20:3]).items())


def test_layers_with_a_window_are_drawn_from_in_padded_rows(tiny_model: Path, tmp_path: Path):
    made = transformers.MistralForCausalLM(transformers.MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=8))
    engine = engine_of(saved(made, tiny_model, tmp_path / "mistral"))
    assert isinstance(engine.sampler, PaddedRows)
    assert isinstance(engine_of(tiny_model).sampler, TreeRows)
    assert len(drawn(engine, requests_for(PROMPTS, 3))) == 3 * len(PROMPTS)


def test_positions_are_those_of_the_text_and_not_of_the_row(tiny_model: Path, tmp_path: Path):
    """GPT-2 learns a vector for each position: padding must not shift them."""
    made = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=14, n_positions=128, n_embd=32, n_layer=2, n_head=4)
    )
    engine = engine_of(saved(made, tiny_model, tmp_path / "gpt2"), max_tokens=4)
    for completion in drawn(engine, requests_for(["1 2 3"], 4)).values():
        assert completion.logp is not None
        assert completion.logp < 0.0


def test_what_can_not_be_loaded_is_refused(tiny_model: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    pickled = Path(shutil.copytree(tiny_model, tmp_path / "pickled"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    cut = Path(shutil.copytree(tiny_model, tmp_path / "cut"))
    (cut / "model.safetensors").write_bytes(b"\xff" * 100)
    mute = Path(shutil.copytree(tiny_model, tmp_path / "mute"))
    for path in mute.glob("*.jinja"):
        path.unlink()
    for folder, message in (("empty", "no settings"), ("pickled", "no weights"), ("cut", "can't load a causal model")):
        with pytest.raises(InputError, match=message) as refused:
            engine_of(tmp_path / folder)
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="no such folder"):
        engine_of(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no chat template"):
        engine_of(mute, chat=True)
    with pytest.raises(InputError, match="needs --max-tokens"):
        engine_of(tiny_model, max_tokens=None)
    with pytest.raises(InputError, match="must leave room for a prompt"):
        engine_of(tiny_model, max_tokens=256)
    with pytest.raises(InputError, match="leave --url out"):
        engine_of(tiny_model, urls=("http://h/v1",))


STARVED = """
import json, resource, sys
from rlvrscope.engines import Request, Settings, open_engine
from rlvrscope.engines.samplers import PaddedRows
from rlvrscope.problem import Problem

engine = open_engine("transformers", sys.argv[1], Settings(max_tokens=8, batch=4096))
engine.sampler = PaddedRows(engine.pretrained, engine.endings)
requests = [Request(Problem("p", "1 2 3", "1"), index, "1 2 3", index) for index in range(32)]
engine.batches.sizes = {64: 32}
list(engine.run(iter(requests)))  # what a first batch needs once is there
engine.batches.sizes = {64: 4096}  # as if the estimate had been too high
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, -1))
results = list(engine.run(iter(requests)))
rows = [[request.index, completion.text, completion.note] for request, completion in results]
print(json.dumps([engine.batches.sizes[64], rows]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_without_memory_batches_are_halved_and_say_so(tiny_model: Path):
    """A process that may take 100 MB more, and a batch of 4,096 rows: the same stream, and a note on each cell."""
    done = subprocess.run([sys.executable, "-c", STARVED, tiny_model], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    size, results = json.loads(done.stdout)
    assert 1 <= size < 4096
    requests = [Request(Problem("p", "1 2 3", "1"), index, "1 2 3", index) for index in range(32)]
    plain = drawn(engine_of(tiny_model, max_tokens=8), requests)
    note = f"{size} rows on cpu, for lack of memory for 4096"
    assert results == [[index, plain["p", index].text, note] for index in range(32)]


def test_the_estimate_of_rows_falls_with_their_length(tiny_model: Path):
    model = engine_of(tiny_model).pretrained.model
    fitting = [
        rows_that_fit(model, width, limit) for width, limit in ((64, 10), (4096, 10), (4096, 10**6), (64, 10**12))
    ]
    assert sorted(fitting, reverse=True) == fitting
    assert fitting[0] > 1000
    assert fitting[-1] == 1
    assert all(rows & (rows - 1) == 0 for rows in fitting)


def score_request(prompt: str, completion: str, ended: bool = False) -> ScoreRequest:
    return ScoreRequest(Problem("p", "?", "1"), prompt, completion, ended)


def one_by_one(folder: Path, prompt: str, completion: str) -> list[float]:
    """Log-probability of each token of the completion: one unpadded forward pass for each."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    before, logps = tokenizer(prompt)["input_ids"], []
    for token in tokenizer(completion, add_special_tokens=False)["input_ids"]:
        with torch.no_grad():
            logps.append(model(torch.tensor([before])).logits[0, -1].double().log_softmax(0)[token].item())
        before = [*before, token]
    return logps


def test_scores_are_those_of_single_forward_passes(tiny_model: Path):
    """Prompts and completions of very different lengths in one call, in batches of two rows."""
    pairs = [("1 2 3", "4 5"), ("5 " * 70, "1"), ("4", "9 boxed 0 " * 5), ("7 8", "1 2 3"), ("9", "")]
    scores = open_scorer("transformers", str(tiny_model), Settings(batch=2)).score([score_request(*p) for p in pairs])
    for pair, score in zip(pairs, scores, strict=True):
        assert score.token_logps == pytest.approx(one_by_one(tiny_model, *pair), abs=1e-5)
        assert score.tokens == len(pair[1].split())
    assert scores[-1].logp == 0.0


def test_scores_of_drawn_completions_are_their_log_probabilities(tiny_model: Path):
    """With the end token where the completion finished by "stop"; texts that hide a special token are left out."""
    for chat in (False, True):
        results = drawn(engine_of(tiny_model, chat=chat), requests_for(PROMPTS, 20))
        completions = [
            (PROMPTS[int(problem[1:])], completion)
            for (problem, _), completion in results.items()
            if len(completion.text.split()) + (completion.finish == "stop") == completion.tokens
        ]
        assert {completion.finish for _, completion in completions} == {"stop", "length"}
        requests = [
            score_request(prompt, completion.text, completion.finish == "stop") for prompt, completion in completions
        ]
        scores = open_scorer("transformers", str(tiny_model), Settings(chat=chat)).score(requests)
        assert [score.logp for score in scores] == pytest.approx(
            [completion.logp for _, completion in completions], abs=1e-5
        )
        assert [score.tokens for score in scores] == [completion.tokens for _, completion in completions]


def test_padding_does_not_change_a_score(tiny_model: Path):
    scorer = open_scorer("transformers", str(tiny_model))
    short, long = score_request("1 2 3", "4 5"), score_request("6 " * 50, "7 8")
    (alone,) = scorer.score([short])
    assert scorer.score([long, short])[1].token_logps == pytest.approx(alone.token_logps, abs=1e-6)
    assert scorer.score([]) == []


def test_texts_that_can_not_be_scored_are_refused(tiny_model: Path, tmp_path: Path):
    scorer = open_scorer("transformers", str(tiny_model))
    with pytest.raises(InputError, match="have 257 tokens; the model holds 256"):
        scorer.score([score_request("1", "2 " * 256)])
    with pytest.raises(InputError, match="its prompt has no tokens"):
        scorer.score([score_request("", "2")])
    with pytest.raises(InputError, match="leave max_tokens and stop out"):
        open_scorer("transformers", str(tiny_model), Settings(max_tokens=5))
    made = transformers.BertLMHeadModel(transformers.BertConfig(**SIZES))
    with pytest.raises(InputError, match="change by"):
        open_scorer("transformers", str(saved(made, tiny_model, tmp_path / "bert")))


def test_a_score_without_memory_halves_the_batch(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    """A model that holds no more than three rows: batches of 8, 4, then 2."""
    scorer: Any = open_scorer("transformers", str(tiny_model), Settings(batch=8))
    requests = [score_request("1 2 3", f"{number} {number}") for number in range(8)]
    plain = scorer.score(requests)
    forward = scorer.pretrained.model.forward

    def small(input_ids: torch.Tensor, **options: Any) -> Any:
        if len(input_ids) > 3:
            raise torch.OutOfMemoryError("no memory")
        return forward(input_ids=input_ids, **options)

    monkeypatch.setattr(scorer.pretrained.model, "forward", small)
    for score, whole in zip(scorer.score(requests), plain, strict=True):
        assert score.token_logps == pytest.approx(whole.token_logps, abs=1e-6)
    assert scorer.batches.sizes == {64: 2}
    monkeypatch.setattr(scorer.pretrained.model, "forward", lambda **_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(WorkError, match="memory does not suffice"):
        scorer.score(requests)
