"""Servers that answer nonsense, for ever, too much, too slowly, or with the key in it."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("zstandard")

from answering_server import Server
from rlvrscope.engines import Completion, Failure, Request, Settings, open_engine
from rlvrscope.engines.openai_body import MAX_REPLY_BYTES, max_bytes
from rlvrscope.engines.openai_key import API_KEY_VARIABLE, ApiKey
from rlvrscope.engines.openai_reply import TroubleError, read_reply
from rlvrscope.errors import InputError, WorkError
from rlvrscope.problem import Problem
from rlvrscope.sampling import SampleStore, fill

KEY = "sk-Very/Secret+0123456789abcdef"


def engine_of(*urls: str, patience: float = 0.3, **settings: Any) -> Any:
    opened: Any = open_engine("openai", "tiny", Settings(max_tokens=16, batch=4, urls=urls, **settings))
    return dataclasses.replace(opened, pause=0.001, timeout=5.0, patience=patience)


def requests_of(problems: int = 1, samples: int = 4) -> list[Request]:
    return [Request(Problem(f"p{p}", f"{p}?", "1"), at, f"{p}?", at) for p in range(problems) for at in range(samples)]


def failures(engine: Any, requests: list[Request]) -> list[str]:
    """Reasons of failures, all requests having one; what ends the run is the last."""
    reasons: list[str] = []
    try:
        for _, result in engine.run(iter(requests)):
            assert isinstance(result, Failure)
            reasons.append(result.reason)
    except WorkError as error:
        reasons.append(str(error))
    return reasons


def answered(content: bytes, status: int = 200, length: int | None = None, **headers: str) -> Callable[[Any], bool]:
    def behave(handler: Any) -> bool:
        handler.reply(status, content, {name.replace("_", "-"): value for name, value in headers.items()}, length)
        return True

    return behave


def choice(**facts: Any) -> bytes:
    return json.dumps({"choices": [{"index": 0, "text": "1", "finish_reason": "stop", **facts}]}).encode()


NONSENSE: dict[str, Callable[[Any], bool]] = {
    "empty": answered(b""),
    "null": answered(b"null"),
    "a number": answered(b"5"),
    "a number of 5000 digits": answered(b"9" * 5000),
    "wrong types": answered(b'{"choices": {"0": "text"}, "usage": []}'),
    "choices that are texts": answered(b'{"choices": ["1", "2"]}'),
    "html": answered(b"<html>welcome</html>"),
    "server-sent events": answered(b'data: {"choices": [{"text": "1", "finish_reason": "stop"}]}\n\ndata: [DONE]\n'),
    "an error with 200": answered(b'{"error": {"message": "overloaded", "code": 503}}'),
    "nested": answered(b'{"choices": ' + b"[" * 10_000),
    "not UTF-8": answered(b"\xff\xfe{}"),
    "filtered": answered(choice(finish_reason="content_filter")),
    "no end": answered(choice(finish_reason=None)),
    "2^63 tokens": answered(json.dumps({**json.loads(choice()), "usage": {"completion_tokens": 2**63}}).encode()),
    "a log-probability of -1e308": answered(choice(logprobs={"token_logprobs": [-1e308, -1e308]})),
    "a log-probability of 400 digits": answered(choice(logprobs={"token_logprobs": [-(10**400)]})),
    "half an answer": answered(choice()[:-30], length=len(choice())),
    "an absurd length": answered(choice(), length=10**30),
    "an unknown encoding": answered(choice(), Content_Encoding="br, gzip"),
    "compressed twice": answered(gzip.compress(gzip.compress(choice())), Content_Encoding="gzip, gzip"),
    "compressed and damaged": answered(gzip.compress(choice())[:-12] + b"x" * 12, Content_Encoding="gzip"),
    **{
        f"Retry-After: {value}": answered(b"busy", 429, Retry_After=value)
        for value in ("1e308", "nan", "-5", "inf", "soon", "Thu, 01 Jan 9999 00:00:00 GMT", "9" * 400)
    },
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_for_ever_ends_within_patience(serve: Callable[..., Server], name: str):
    waited: list[str] = []
    engine = dataclasses.replace(engine_of(serve(NONSENSE[name]).url, on_wait=waited.append), timeout=0.5)
    started = time.monotonic()
    reasons = failures(engine, requests_of(20, 8))
    assert time.monotonic() - started < 5.0
    assert len(reasons) > 1
    assert "problems in a row got no answer" in reasons[-1] or "stopped" in reasons[-1]
    if name != "half an answer":  # the rest of it is waited for as long as patience lasts
        assert "next try in 0 s, given up in 0 s" in waited[0]


@pytest.mark.parametrize(
    "facts",
    [{"logprobs": {"token_logprobs": [-1e308]}}, {"text": 5}, {"finish_reason": "content_filter"}],
)
def test_an_odd_choice_fails_alone(facts: dict[str, Any]):
    good = {"index": 1, "text": "2", "finish_reason": "stop"}
    odd = {"index": 0, "text": "1", "finish_reason": "stop", **facts}
    assert read_reply(200, {}, json.dumps({"choices": [odd, good]}).encode(), 2) == [Completion("2")]


def test_surrogates_are_stored(serve: Callable[..., Server], tmp_path: Path):
    content = choice(text="a\ud800", finish_reason="\udfff stop")
    with SampleStore(tmp_path) as store:
        progress = fill(store, [Problem("p", "?", "1")], engine_of(serve(answered(content)).url), 3)
        assert (progress.new, progress.failed) == (3, 0)
        assert {one.completion.finish for one in store.samples("samples")} == {"\ufffd stop"}


@pytest.mark.parametrize("flood", [bytes(1 << 27), b" " * (1 << 27), b"[" + b"{}," * (1 << 25)])
def test_a_reply_is_bounded_after_it_is_decompressed(serve: Callable[..., Server], flood: bytes):
    resource = pytest.importorskip("resource")
    packed = gzip.compress(flood, 6)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    server = serve(answered(packed, Content_Encoding="gzip"))
    reasons = failures(engine_of(server.url), requests_of(1, 4))
    assert all("an answer of more than 1 MB" in reason for reason in reasons)
    assert [body["n"] for body in server.bodies] == [4, 2, 1]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert max_bytes(64, 10**6) == MAX_REPLY_BYTES


def test_a_compressed_reply_is_read(serve: Callable[..., Server]):
    server = serve(answered(gzip.compress(choice()), Content_Encoding="gzip"))
    assert [result for _, result in engine_of(server.url).run(iter(requests_of()))] == [Completion("1")] * 4


@pytest.mark.parametrize("patience", [0.0, -1.0, float("nan"), 1e9])
def test_patience_has_bounds(patience: float):
    with pytest.raises(InputError, match="patience must be above 0"):
        Settings(patience=patience)


ECHOES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "in other letters": str.swapcase,
    "spaced": " ".join,
    "in lines": "\n".join,
    "escaped": lambda key: "".join(f"\\u{ord(character):04x}" for character in key),
    "escaped twice": lambda key: json.dumps(json.dumps("".join(f"\\u{ord(c):04x}" for c in key))),
    "per cent": lambda key: "".join(f"%{ord(character):02X}" for character in key),
    "html": lambda key: "".join(f"&#{ord(character)};" for character in key),
    "hex": lambda key: key.encode().hex(),
    "base64": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "base64, shifted": lambda key: base64.b64encode(f"key: {key}!".encode()).decode(),
    "base64, shifted again": lambda key: base64.urlsafe_b64encode(f"k={key}".encode()).decode(),
    "reversed": lambda key: key[::-1],
    "its first half": lambda key: key[: len(key) // 2],
    "its second half": lambda key: key[len(key) // 2 :],
    "bytes": lambda key: str(list(key.encode())),
    "after a long preface": lambda key: "x" * 190 + key,
}


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", [200, 401, 500])
def test_an_echo_of_the_key_is_never_shown_or_stored(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, echo: str, status: int
):
    monkeypatch.setenv(API_KEY_VARIABLE, KEY)
    said = ECHOES[echo](KEY)
    waited: list[str] = []
    server = serve(answered(choice(text=said) if status == 200 else said.encode(), status))
    with SampleStore(tmp_path) as store:
        try:
            progress = fill(
                store, [Problem("p", "?", "1")], engine_of(server.url, patience=0.05, on_wait=waited.append), 4
            )
            shown = str(progress.failures)
        except WorkError as error:
            shown = str(error)
        assert not list(store.samples("samples"))
    shown += "".join(waited)
    assert "***" in shown or "repeats the key" in shown
    assert not ApiKey(KEY).is_in(shown)
    assert said[-8:] not in shown.replace("\\\\", "\\")
    assert server.keys[0] == f"Bearer {KEY}"


def test_a_short_key_hides_itself_alone():
    key = ApiKey("EMPTY")
    assert key.hide("status 500: EMPTY is empty") == "status 500: *** is empty"
    assert ApiKey().hide("anything") == "anything"
    assert ApiKey(KEY).hide("status 500: overloaded") == "status 500: overloaded"


def test_a_proxy_is_not_used_for_this_machine(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch):
    proxy, server = serve(answered(b"I am the proxy", 500)), serve()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv(API_KEY_VARIABLE, KEY)
    results = [result for _, result in engine_of(server.url).run(iter(requests_of()))]
    assert all(isinstance(result, Completion) for result in results)
    assert not proxy.bodies
    with pytest.raises(InputError, match=r"the key would go to example\.org through a proxy in clear text"):
        engine_of("http://example.org/v1")
    engine_of("https://example.org/v1")
    monkeypatch.setenv("no_proxy", "example.org")
    engine_of("http://example.org/v1")


@pytest.mark.skipif(os.name != "posix", reason="SIGINT")
@pytest.mark.parametrize("kind", ["waiting", "dripping"])
def test_ctrl_c_is_heard_while_a_server_is_waited_for(serve: Callable[..., Server], tmp_path: Path, kind: str):
    """At once while it pauses between two tries; a reply that drips has STOP_SECONDS, here less."""

    def drip(handler: Any) -> bool:
        handler.reply(200, b"{", length=10**6)
        for _ in range(600):
            time.sleep(0.1)
            handler.wfile.write(b" ")
        return True

    server = serve(answered(b"busy", 503, Retry_After="1000") if kind == "waiting" else drip)
    (tmp_path / "one.jsonl").write_text('{"id": "p", "prompt": "?", "answer": "1"}\n')
    code = (
        "import rlvrscope.engines.openai as o; o.STOP_SECONDS = 0.5; import rlvrscope.__main__ as m; m.main()"
        if kind == "dripping"
        else "import rlvrscope.__main__ as m; m.main()"
    )
    words = ["sample", "one.jsonl", "--engine", "openai", "--model", "m", "--samples", "4", "--max-tokens", "8"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words, "--out", "out", "--url", server.url, "--patience", "900"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60.0
    while not server.bodies and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - started < 8.0
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    if kind == "waiting":
        assert "status 503: busy; next try in 900 s, given up in 900 s (--patience)" in errors


def test_what_a_reply_repeats_is_trouble_with_a_reason():
    with pytest.raises(TroubleError, match="no choices: "):
        read_reply(200, {}, b'{"error": "x"}', 1)
