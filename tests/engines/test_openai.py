"""The openai engine against real servers on loopback, most of which misbehave."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("zstandard")

from answering_server import Server
from rlvrscope.engines import Completion, Failure, Request, Settings, open_engine
from rlvrscope.engines.openai import CUT_HERE, OpenAIEngine
from rlvrscope.engines.openai_key import API_KEY_VARIABLE
from rlvrscope.engines.openai_reply import HopelessError, RefusedError, TroubleError, read_reply, retry_after
from rlvrscope.errors import InputError, WorkError
from rlvrscope.problem import Problem
from rlvrscope.sampling import SampleStore, fill


def engine_of(
    *urls: str,
    temperature: float = 1.0,
    batch: int = 4,
    timeout: float = 10.0,
    chat: bool = False,
    patience: float = 1.0,
) -> OpenAIEngine:
    settings = Settings(temperature, max_tokens=16, chat=chat, batch=batch, urls=urls)
    opened: Any = open_engine("openai", "tiny", settings)
    return dataclasses.replace(opened, pause=0.001, timeout=timeout, patience=patience)


def requests_of(problems: int = 3, samples: int = 10) -> list[Request]:
    return [
        Request(Problem(f"p{number}", f"{number}?", "1"), index, f"{number}?", 1000 * number + index)
        for number in range(problems) for index in range(samples)
    ]  # fmt: skip


def check_complete(requests: Sequence[Request], results: Sequence[tuple[Request, Completion | Failure]]) -> None:
    """Each cell once, each filled, no text twice."""
    assert Counter((r.problem.id, r.index) for r, _ in results) == Counter((r.problem.id, r.index) for r in requests)
    texts = [completion.text for _, completion in results if isinstance(completion, Completion)]
    assert len(texts) == len(set(texts)) == len(requests)


def test_request_bodies_and_completions(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
    server, requests = serve(), requests_of()
    results = list(engine_of(server.url).run(iter(requests)))
    check_complete(requests, results)
    assert all(
        completion == Completion(completion.text, 2, "stop", -0.75)
        for _, completion in results
        if isinstance(completion, Completion)
    )
    assert sorted((body["prompt"], body["seed"], body["n"]) for body in server.bodies) == [
        (f"{number}?", 1000 * number + first, n) for number in range(3) for first, n in ((0, 4), (4, 4), (8, 2))
    ]
    first = {name: server.bodies[0][name] for name in ("path", "model", "temperature", "top_p", "max_tokens", "stream")}
    assert first == {
        "path": "/v1/completions", "model": "tiny", "temperature": 1.0, "top_p": 1.0, "max_tokens": 16, "stream": False,
    }  # fmt: skip
    assert set(server.keys) == {None}


@pytest.mark.parametrize("chat", [True, False])
def test_stop_strings_are_sent_and_cut_off_if_a_server_returns_them(serve: Callable[..., Server], chat: bool) -> None:
    """Texts are "http://127.0.0.1:PORT/v1 NUMBER"."""
    server, requests, reported = serve(), requests_of(1, 8), list[int]()
    settings = Settings(max_tokens=16, urls=(server.url,), chat=chat, stop=(" 5", "\n"), on_tokens=reported.append)
    engine = open_engine("openai", "tiny", settings)
    assert engine.identity["stop"] == '["\\n", " 5"]'
    completions = [completion for _, completion in engine.run(iter(requests)) if isinstance(completion, Completion)]
    assert server.bodies[0]["stop"] == [" 5", "\n"]
    cut = Completion(server.url, None, "stop", None, CUT_HERE)
    assert [one for one in completions if one.note] == [cut]
    assert len(completions) == 8
    assert all(one.tokens == 2 for one in completions if one is not cut and not one.note)
    assert sum(reported) == 14
    assert "stop" not in open_engine("openai", "tiny", dataclasses.replace(settings, stop=())).identity


@pytest.mark.parametrize("end", ["", "/", "/completions", "/chat/completions"])
def test_a_chat_endpoint_gets_messages(serve: Callable[..., Server], end: str) -> None:
    server, requests = serve(), requests_of(1, 3)
    results = list(engine_of(f"{server.url}{end}", chat=True).run(iter(requests)))
    check_complete(requests, results)
    assert {completion.logp for _, completion in results if isinstance(completion, Completion)} == {-0.75}
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "0?"}]
    assert server.bodies[0]["path"] == "/v1/chat/completions"


def test_an_answer_without_end_is_cut_off(serve: Callable[..., Server]) -> None:
    """16 tokens a choice can't fill a megabyte: with fewer wishes it is asked again, and then given up."""

    def flood(handler: Any) -> bool:
        with contextlib.suppress(OSError):
            handler.reply(200, b'{"choices": [', length=10**12)
            for _ in range(1000):
                handler.wfile.write(b" " * 100_000)
        return handler.hang_up()

    server = serve(flood)
    results = list(engine_of(server.url).run(iter(requests_of(1, 4))))
    assert [type(completion) for _, completion in results] == [Failure] * 4
    assert all("more than 1 MB" in completion.reason for _, completion in results if isinstance(completion, Failure))
    assert [body["n"] for body in server.bodies] == [4, 2, 1]


def test_log_probabilities_are_asked_for_only_where_their_kind_is_known(serve: Callable[..., Server]) -> None:
    server = serve()
    engine = engine_of(server.url, temperature=0.7)
    results = list(engine.run(iter(requests_of(1, 2))))
    assert engine.identity["logprobs"] is None
    assert "logprobs" not in server.bodies[0]
    assert all(isinstance(completion, Completion) and completion.logp is None for _, completion in results)


def test_several_servers_share_the_work_and_a_dead_one_is_skipped(serve: Callable[..., Server]) -> None:
    one, two, requests = serve(), serve(), requests_of(8, 12)
    check_complete(requests, list(engine_of(one.url, two.url).run(iter(requests))))
    assert one.sent > 0
    assert two.sent > 0
    two.shutdown()
    two.server_close()
    check_complete(requests, list(engine_of(two.url, one.url).run(iter(requests))))


HTML = b"<html><body>502 Bad Gateway</body></html>"
MISDEEDS: dict[str, Callable[[Any], Any]] = {
    "html": lambda handler: handler.reply(200, HTML),
    "half json": lambda handler: handler.reply(200, b'{"choices": [{"index": 0, "te'),
    "cut off": lambda handler: handler.reply(200, b'{"choices"', length=500) or handler.hang_up(),
    "no choices": lambda handler: handler.reply(200, b'{"choices": []}'),
    "no text": lambda handler: handler.reply(200, b'{"choices": [{"text": null, "finish_reason": "stop"}]}'),
    "aborted": lambda handler: handler.reply(200, b'{"choices": [{"text": "so", "finish_reason": "abort"}]}'),
    "unfinished": lambda handler: handler.reply(200, b'{"choices": [{"text": "", "finish_reason": null}]}'),
    "429": lambda handler: handler.reply(429, b"slow down", {"Retry-After": "0.01"}),
    "500": lambda handler: handler.reply(500, b'{"error": "boom"}'),
    "dropped": lambda handler: handler.hang_up(),
    "fewer": lambda handler: handler.choices(max(1, handler.body["n"] - 3)),
    "more": lambda handler: handler.choices(handler.body["n"] + 3),
    "one index": lambda handler: handler.choices(handler.body["n"], same_index=True),
}


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_every_second_answer_is_bad_and_nothing_is_lost_or_doubled(serve: Callable[..., Server], misdeed: str) -> None:
    def behave(handler: Any) -> bool:
        if handler.number % 2:
            MISDEEDS[misdeed](handler)
        return bool(handler.number % 2)

    server, requests = serve(behave), requests_of()
    check_complete(requests, list(engine_of(server.url).run(iter(requests))))
    assert len(server.bodies) > 9 or misdeed == "more"


def test_retry_after_is_waited_for(serve: Callable[..., Server]) -> None:
    def behave(handler: Any) -> bool:
        if handler.number == 1:
            handler.reply(429, b"", {"Retry-After": "0.3"})
        return handler.number == 1

    requests, started = requests_of(1, 2), time.monotonic()
    check_complete(requests, list(engine_of(serve(behave).url).run(iter(requests))))
    assert time.monotonic() - started >= 0.3


def test_a_server_that_is_too_slow_is_asked_again(serve: Callable[..., Server]) -> None:
    def behave(handler: Any) -> bool:
        if handler.number == 1:
            time.sleep(1.5)
            return handler.hang_up()
        return False

    server, requests = serve(behave), requests_of(1, 2)
    check_complete(requests, list(engine_of(server.url, timeout=0.5).run(iter(requests))))
    assert len(server.bodies) == 2


def test_an_empty_text_is_a_sample(serve: Callable[..., Server]) -> None:
    def behave(handler: Any) -> bool:
        usage = b'"usage": {"completion_tokens": 1}'
        handler.reply(200, b'{"choices": [{"text": "", "finish_reason": "stop"}], ' + usage + b"}")
        return True

    results = list(engine_of(serve(behave).url).run(iter(requests_of(1, 3))))
    assert [completion for _, completion in results] == [Completion("", 1, "stop")] * 3


@pytest.mark.parametrize("name", ["logprobs", "seed", "n"])
def test_fields_that_a_server_refuses_are_left_out(serve: Callable[..., Server], name: str) -> None:
    def behave(handler: Any) -> bool:
        refused = handler.body["n"] > 1 if name == "n" else name in handler.body
        if refused:
            handler.reply(422, b"unexpected")
        return refused

    requests = requests_of(2, 5)
    check_complete(requests, list(engine_of(serve(behave).url).run(iter(requests))))


def test_a_problem_that_is_refused_fails_alone(serve: Callable[..., Server]) -> None:
    def behave(handler: Any) -> bool:
        if handler.body["prompt"] == "1?":
            handler.reply(400, b"the prompt is too long")
        return handler.body["prompt"] == "1?"

    results = list(engine_of(serve(behave).url).run(iter(requests_of())))
    failed = {
        request.problem.id: completion.reason for request, completion in results if isinstance(completion, Failure)
    }
    assert list(failed) == ["p1"]
    assert "the prompt is too long" in failed["p1"]
    assert len(results) == 30


def test_a_server_that_is_gone_ends_it_in_bounded_time(serve: Callable[..., Server]) -> None:
    server = serve()
    server.shutdown()
    server.server_close()
    taken: list[Request] = []
    results: list[tuple[Request, Any]] = []
    run = engine_of(server.url).run(taken.append(request) or request for request in requests_of(200, 8))
    with pytest.raises(WorkError, match=r"no server can be reached.*ConnectError"):
        results.extend(run)
    assert len(results) == len(taken) < 1600
    assert all(isinstance(completion, Failure) for _, completion in results)


def test_a_server_that_goes_away_ends_it_in_bounded_time(serve: Callable[..., Server]) -> None:
    """It has answered, so it may come back: three problems in a row without an answer are waited for."""
    server = serve(lambda handler: handler.number > 4 and handler.hang_up())
    results: list[tuple[Request, Any]] = []
    with pytest.raises(WorkError, match="problems in a row got no answer"):
        results.extend(engine_of(server.url).run(iter(requests_of(200, 8))))
    assert 0 < len(results) < 1600


def test_the_same_refusal_of_all_ends_it(serve: Callable[..., Server]) -> None:
    """Some servers answer status 400 for a model that they do not have."""

    def refuse(handler: Any) -> bool:
        handler.reply(400, b'{"error": {"message": "no such model"}}')
        return True

    server = serve(refuse)
    results: list[tuple[Request, Any]] = []
    with pytest.raises(WorkError, match="no such model"):
        results.extend(engine_of(server.url).run(iter(requests_of(200, 4))))
    assert len(results) < 100


def test_the_key_is_sent_and_never_shown(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, "sk-very-secret")

    def behave(handler: Any) -> bool:
        refused = handler.body["prompt"] != "0?"
        if refused:
            handler.reply(401, f"bad key {handler.headers['Authorization']}".encode())
        return refused

    server = serve(behave)
    engine = engine_of(server.url)
    problems = [Problem(f"p{number}", f"{number}?", "1") for number in range(2)]
    with SampleStore(tmp_path) as store, pytest.raises(WorkError, match=r"401: bad key Bearer \*\*\*") as caught:
        fill(store, problems, engine, 4)
    assert set(server.keys) == {"Bearer sk-very-secret"}
    assert "secret" not in str(caught.value) + repr(engine) + repr(engine.identity)
    assert all(b"secret" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_store_is_filled_through_trouble_and_resumed(serve: Callable[..., Server], tmp_path: Path) -> None:
    kinds = list(MISDEEDS)

    def behave(handler: Any) -> bool:
        if handler.number % 3:
            MISDEEDS[kinds[handler.number % len(kinds)]](handler)
        return bool(handler.number % 3)

    problems = [Problem(f"p{number}", f"{number}?", "1") for number in range(4)]
    engine = engine_of(serve(behave).url, serve().url)
    with SampleStore(tmp_path) as store:
        for samples in (6, 15):
            progress = fill(store, problems, engine, samples)
            assert (progress.done, progress.failed) == (4 * samples, 0)
        rows = list(store.samples("samples"))
    assert (
        len(rows) == len({(row.problem, row.index) for row in rows}) == len({row.completion.text for row in rows}) == 60
    )


def test_closing_midway_releases_connections_at_once(serve: Callable[..., Server]) -> None:
    release = threading.Event()

    def behave(handler: Any) -> bool:
        return release.wait(20.0) and handler.hang_up() if handler.number > 1 else False

    run: Any = engine_of(serve(behave).url, timeout=60.0).run(iter(requests_of()))
    next(run)
    started = time.monotonic()
    run.close()
    release.set()
    assert time.monotonic() - started < 10.0
    assert not [thread for thread in threading.enumerate() if thread.name == "rlvrscope-openai"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(max_tokens=8), "needs --url"),
        (Settings(urls=("http://h/v1",)), "needs --max-tokens"),
        (Settings(max_tokens=8, urls=("http://h/v1",), device="cuda"), "no device"),
        (Settings(max_tokens=8, urls=("ftp://h/v1",)), "must be like"),
        (Settings(max_tokens=8, urls=("localhost:8000",)), "must be like"),
        (Settings(max_tokens=8, urls=("http://h:port/v1",)), "must be like"),
        (Settings(max_tokens=8, urls=("http://me:hidden@h/v1",)), "no password"),
        (Settings(max_tokens=8, urls=("http://h/v1", "http://h/v1/chat/completions")), "add --chat"),
    ],
)
def test_settings_that_cannot_be(settings: Settings, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        open_engine("openai", "tiny", settings)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, HopelessError),
        (401, HopelessError),
        (404, HopelessError),
        (400, RefusedError),
        (422, RefusedError),
        (503, TroubleError),
    ],
)
def test_kinds_of_trouble(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"status {status}: no"):
        read_reply(status, {}, b"no", 1)


def test_replies_that_are_nearly_right() -> None:
    choice = {"text": "a\ud800", "finish_reason": "length", "logprobs": {"token_logprobs": [None, -1.0]}}
    body = json.dumps({"choices": [7, choice | {"index": [0]}, choice | {"index": 3}]}).encode()
    assert read_reply(200, {}, body, 3) == [Completion("a\ufffd", 2, "length")]
    with pytest.raises(TroubleError, match="no JSON"):
        read_reply(200, {}, b"[" * 100_000, 1)
    assert retry_after("-3") == retry_after("nan") == retry_after("inf") == retry_after("") == 0.0
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", now=50.0) == 10.0


PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "two "}, {"type": "text", "text": "and two"}]},
    {"type": "text", "text": "It is "},
    {"type": "text", "text": "4."},
]
MESSAGES: dict[str, tuple[dict[str, Any], str, Completion | None]] = {
    "vLLM, cut off": (
        {"content": None, "reasoning_content": "two and"},
        "length",
        Completion("", finish="length", reasoning="two and"),
    ),
    "vLLM from 0.11.2 on": (
        {"content": None, "reasoning": "two and"},
        "length",
        Completion("", finish="length", reasoning="two and"),
    ),
    "both fields": (
        {"content": "4", "reasoning": "two", "reasoning_content": "two"},
        "stop",
        Completion("4", reasoning="two"),
    ),
    "SGLang, cut off": (
        {"content": "", "reasoning_content": "two and", "tool_calls": None},
        "length",
        Completion("", finish="length", reasoning="two and"),
    ),
    "finished": (
        {"content": "4", "reasoning_content": "two and two"},
        "stop",
        Completion("4", reasoning="two and two"),
    ),
    "no reasoning": (
        {"content": "4", "reasoning_content": None, "refusal": None, "tool_calls": []},
        "stop",
        Completion("4"),
    ),
    "reasoning withheld": ({"content": None}, "length", Completion("", finish="length")),
    "nothing but the end": ({"content": None}, "stop", Completion("")),
    "all in the reasoning": (
        {"content": "\n", "reasoning": "It is 4."},
        "stop",
        Completion("\n", reasoning="It is 4.", note="reasoning without a text"),
    ),
    "Mistral, parts": ({"content": PARTS}, "stop", Completion("It is 4.", reasoning="two and two")),
    "Mistral, end of the context": ({"content": "It"}, "model_length", Completion("It", finish="length")),
    "a gateway's limit": ({"content": "It"}, "MAX_TOKENS", Completion("It", finish="length")),
    "refusal": ({"content": None, "refusal": "I can't."}, "stop", Completion("I can't.", note="refusal")),
    "filtered": ({"content": "It"}, "content_filter", None),
    "filtered by Gemini": ({"content": "It"}, "SAFETY", None),
    "a finish that is half a pair": ({"content": "It"}, "stop\ud800", Completion("It", finish="stop\ufffd")),
    "tool calls": (
        {"content": None, "tool_calls": [{"type": "function"}]},
        "tool_calls",
        Completion("", finish="tool_calls", note="tool calls, not kept"),
    ),
    "repetition": ({"content": "4 4 4"}, "repetition", Completion("4 4 4", finish="repetition")),
    "aborted": ({"content": None, "reasoning_content": "two and"}, "abort", None),
    "DeepSeek, overloaded": ({"content": "It"}, "insufficient_system_resource", None),
    "unfinished": ({"content": None, "reasoning_content": "two and"}, "", None),
    "no message": ({}, "stop", None),
    "a number": ({"content": 4}, "stop", None),
    "a text in a list": ({"content": ["4"]}, "stop", None),
    "an image": ({"content": [*PARTS, {"type": "image_url", "image_url": {}}]}, "stop", None),
    "thoughts that are no texts": ({"content": [{"type": "thinking", "thinking": [[]]}]}, "stop", None),
    "thoughts in thoughts": ({"content": [{"type": "thinking", "thinking": PARTS[:1]}]}, "stop", None),
}
"""What servers put into a chat's message, the finish reason, and the sample that it is; None: trouble."""


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_a_sample(name: str) -> None:
    message, finish, expected = MESSAGES[name]
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish}]}).encode()
    if expected is None:
        with pytest.raises(TroubleError, match="no choice that is finished and can be read"):
            read_reply(200, {}, body, 1)
    else:
        assert read_reply(200, {}, body, 1) == [expected]


def test_tokens_and_log_probabilities_include_the_reasoning() -> None:
    logps = {"content": [{"logprob": -0.5}, {"logprob": -0.25}, {"logprob": -0.25}]}
    message = {"content": None, "reasoning": "two and\ud800"}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "length", "logprobs": logps}]}).encode()
    assert read_reply(200, {}, body, 1) == [Completion("", 3, "length", -1.0, reasoning="two and\ufffd")]
