"""Servers with an OpenAI-compatible API (vLLM, Ray Serve, SGLang, llama.cpp ...): several at once, `n` choices a call.

Seeds are sent, but servers promise nothing about them. Each sample is returned once or fails.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import json
import os
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from rlvrscope.engines.engine import Completion, Failure, Request, Result
from rlvrscope.engines.openai_reply import HopelessError, RefusedError, TroubleError, UnreachedError, read_reply
from rlvrscope.errors import InputError, WorkError
from rlvrscope.scoring import Fact

if TYPE_CHECKING:
    from rlvrscope.engines import Settings

API_KEY_VARIABLE = "RLVRSCOPE_API_KEY"
"""The environment variable with the key, if one is needed. The name is our own, so that no other key is sent."""
DEFAULT_CHUNK, MAX_IN_FLIGHT = 64, 8
"""Samples of one HTTP request; HTTP requests at a time to each server."""
MAX_TRIES = 8
"""Failures in a row after which a chunk is given up."""
MAX_LOST_PROBLEMS = 3
"""Problems in a row without any answer, or refused for the same reason, after which the run ends."""
MAX_UNREACHED = 4
"""Failures to connect in a row after which the run ends, if no server has ever answered."""
MAX_RETRY_AFTER = 300.0
"""Seconds that a server's Retry-After is heeded."""
MAX_BACKOFF = 60.0
"""Seconds between two tries."""
BASE_BYTES, TOKEN_BYTES = 1 << 20, 1 << 10
"""Largest accepted reply: a base, plus room for each token's text and log-probability."""
OPTIONAL_FIELDS = "logprobs", "seed"
"""Fields that are left out if the server refuses the request with them."""
CUT_HERE = "the server returned a stop string: cut before it"
"""Note of such a completion."""
WITHOUT_OPTIONAL, ONE_CHOICE = 1, 2
"""Fallback levels after a refusal: without the optional fields, then with n = 1 as well."""


@dataclass
class _Server:
    """An endpoint. failures: in a row; fallback: the level of requests it accepts."""

    url: str
    busy: int = 0
    failures: int = 0
    fallback: int = 0


@dataclass
class _Run:
    """State that the requests of one run share. refused: problems by the reason, before anything was answered."""

    client: httpx.AsyncClient
    servers: list[_Server]
    answered: bool = False
    lost: set[str] = field(default_factory=set)
    refused: dict[str, set[str]] = field(default_factory=dict)
    fatal: str = ""

    def least_busy(self) -> _Server:
        """Choose a server; one that failed is tried when the others have much more to do."""
        return min(self.servers, key=lambda server: server.busy + 4 * server.failures)

    def lose(self, problem: str, reason: str) -> None:
        self.lost.add(problem)
        if len(self.lost) >= MAX_LOST_PROBLEMS:
            self.end(f"{len(self.lost)} problems in a row got no answer; the last: {reason}")

    def refuse(self, problem: str, reason: str) -> None:
        """Count a refusal: some servers answer each request so for a model that they do not have."""
        if not self.answered:
            self.refused.setdefault(reason, set()).add(problem)
            if len(self.refused[reason]) >= MAX_LOST_PROBLEMS:
                self.end(reason)

    def end(self, reason: str) -> None:
        self.fatal = self.fatal or reason


@dataclass(frozen=True, eq=False)
class OpenAIEngine:
    """urls: complete endpoints, all of one kind. pause: seconds before the second try, doubled each time. timeout:
    seconds for one reply."""

    urls: tuple[str, ...]
    settings: Settings
    identity: Mapping[str, Fact]
    chunk: int = DEFAULT_CHUNK
    key: str = field(default="", repr=False)
    pause: float = 1.0
    timeout: float = 1800.0
    honours_seeds: bool = False

    def run(self, requests: Iterator[Request]) -> Iterator[Result]:
        """Raises WorkError where a server refuses the model, the key or the address, or no server answers."""
        with _event_loop() as loop:
            run = asyncio.run_coroutine_threadsafe(self._open(), loop).result()
            waiting: set[concurrent.futures.Future[list[Result]]] = set()
            chunks = self._chunks(requests)
            try:
                while True:
                    free = 0 if run.fatal else MAX_IN_FLIGHT * len(self.urls) - len(waiting)
                    for chunk in itertools.islice(chunks, free):
                        waiting.add(asyncio.run_coroutine_threadsafe(self._fill(run, chunk), loop))
                    if not waiting:
                        break
                    done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                    for future in done:
                        results = future.result()
                        self._report(results)
                        yield from results
            finally:
                for future in waiting:
                    future.cancel()
                with contextlib.suppress(Exception):  # an error raised before matters more
                    asyncio.run_coroutine_threadsafe(run.client.aclose(), loop).result(5.0)
            if run.fatal:
                raise WorkError(f"{run.fatal}. Samples drawn before are kept; the same command resumes")

    def close(self) -> None:
        """Nothing to release: connections end with a run."""

    def _report(self, results: Sequence[Result]) -> None:
        if self.settings.on_tokens is not None:
            self.settings.on_tokens(sum(one.tokens or 0 for _, one in results if isinstance(one, Completion)))

    def _chunks(self, requests: Iterator[Request]) -> Iterator[list[Request]]:
        for _, same_prompt in itertools.groupby(requests, lambda request: (request.problem.id, request.prompt)):
            while chunk := list(itertools.islice(same_prompt, self.chunk)):
                yield chunk

    async def _open(self) -> _Run:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=MAX_IN_FLIGHT * len(self.urls))
        client = httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(None, connect=10.0), limits=limits)
        return _Run(client, [_Server(url) for url in self.urls])

    async def _fill(self, run: _Run, chunk: Sequence[Request]) -> list[Result]:
        """Return a result for each request. If a reply has fewer choices than asked, the rest is asked for again."""
        results: list[Result] = []
        problem = chunk[0].problem.id
        missing, max_choices, tries, fallback, reason = list(chunk), len(chunk), 0, 0, ""
        while missing:
            server = run.least_busy()
            fallback = max(fallback, server.fallback)
            requests = missing[: 1 if fallback == ONE_CHOICE else max_choices]
            try:
                completions = await self._ask(run, server, requests, fallback)
            except RefusedError as error:
                reason, fallback = str(error), fallback + 1
                if fallback > ONE_CHOICE:
                    run.refuse(problem, reason)
                    break
            except HopelessError as error:
                run.end(str(error))
                reason = run.fatal
                break
            except TroubleError as error:
                reason, tries = str(error), tries + 1
                if tries == MAX_UNREACHED and isinstance(error, UnreachedError) and not run.answered:
                    run.end(f"no server can be reached; the last: {reason}")
                if tries == MAX_TRIES:
                    run.lose(problem, reason)
                if tries == MAX_TRIES or run.fatal:
                    break
                backoff = min(MAX_BACKOFF, self.pause * 2 ** (tries - 1)) * random.uniform(0.5, 1.0)
                await asyncio.sleep(max(backoff, min(error.wait, MAX_RETRY_AFTER)))
            else:
                run.answered = True
                run.lost.clear()
                server.fallback, tries, max_choices = fallback, 0, len(completions)
                results += zip(requests, completions, strict=False)
                missing = missing[len(completions) :]
        return results + [(request, Failure(self._redacted(reason))) for request in missing]

    async def _ask(self, run: _Run, server: _Server, requests: Sequence[Request], fallback: int) -> list[Completion]:
        """Send one HTTP request; return at least one completion and at most one for each sample."""
        server.busy += 1
        max_bytes = BASE_BYTES + len(requests) * TOKEN_BYTES * (self.settings.max_tokens or 0)
        try:
            async with asyncio.timeout(self.timeout):
                body = json.dumps(self._body(requests, fallback))
                async with run.client.stream("POST", server.url, content=body) as reply:
                    content = await _read_limited(reply, max_bytes)
            completions = read_reply(reply.status_code, reply.headers, content, len(requests))
        except TroubleError as error:
            server.failures += 1
            raise TroubleError(self._message(server, error), error.wait) from None
        except (RefusedError, HopelessError) as error:
            raise type(error)(self._message(server, error)) from None
        except TimeoutError:
            server.failures += 1
            raise TroubleError(f"{server.url}: no whole answer within {self.timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            server.failures += 1
            kind = UnreachedError if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else TroubleError
            raise kind(self._message(server, f"{type(error).__name__} {error}".strip())) from None
        finally:
            server.busy -= 1
        server.failures = 0
        return [self._cut(completion) for completion in completions]

    def _cut(self, completion: Completion) -> Completion:
        """End it before a stop string, which servers may ignore or return: its tokens and logp are then unknown."""
        text = self.settings.cut(completion.text)
        if text is None:
            return completion
        return replace(completion, text=text, finish="stop", tokens=None, logp=None, note=CUT_HERE)

    def _body(self, requests: Sequence[Request], fallback: int) -> dict[str, Any]:
        chat, prompt = self.settings.chat, requests[0].prompt
        body: dict[str, Any] = {
            "model": self.identity["model"], "temperature": self.settings.temperature, "top_p": self.settings.top_p,
            "max_tokens": self.settings.max_tokens, "n": len(requests), "stream": False, "seed": requests[0].seed,
        }  # fmt: skip
        if self.settings.stop:
            body["stop"] = list(self.settings.stop)
        body |= {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
        if self.identity["logprobs"]:
            body["logprobs"] = True if chat else 1
        return {name: value for name, value in body.items() if fallback == 0 or name not in OPTIONAL_FIELDS}

    def _message(self, server: _Server, error: object) -> str:
        return self._redacted(f"{server.url}: {error}")

    def _redacted(self, text: str) -> str:
        """Remove the key, which a server may quote in its errors."""
        return text.replace(self.key, "***") if self.key else text


def open_engine(model: str, settings: Settings) -> OpenAIEngine:
    """Open servers to draw from; model: the name they know it by. No request is sent yet.

    A URL is a base (".../v1"), to which /completions is added; for chat, where the server applies the model's template,
    /chat/completions. The key, if any, is in the environment variable RLVRSCOPE_API_KEY. Raises InputError.
    """
    if settings.device is not None:
        raise InputError("the openai engine has no device: its servers have")
    if not settings.urls:
        raise InputError("the openai engine needs --url, such as http://localhost:8000/v1 (repeatable)")
    if settings.max_tokens is None:
        raise InputError("the openai engine needs --max-tokens: servers' own limits differ, and some are 16")
    urls = tuple(dict.fromkeys(_endpoint(url, settings.chat) for url in settings.urls))
    plain = settings.temperature == 1.0 and settings.top_p == 1.0
    identity: dict[str, Fact] = {
        "engine": "openai", "model": model, "model_hash": None, "chat": settings.chat,
        "temperature": settings.temperature, "top_p": settings.top_p, "max_tokens": settings.max_tokens,
        "logprobs": "raw" if plain else None,  # the API does not define which: only where both are the same
        **settings.stop_facts,
    }  # fmt: skip
    return OpenAIEngine(urls, settings, identity, settings.batch or DEFAULT_CHUNK, _api_key())


async def _read_limited(reply: httpx.Response, max_bytes: int) -> bytes:
    """Read the reply's bytes. Raises RefusedError beyond `max_bytes`, without reading on."""
    content = bytearray()
    async for part in reply.aiter_bytes():
        content += part
        if len(content) > max_bytes:
            raise RefusedError(f"an answer of more than {max_bytes / BASE_BYTES:.0f} MB, more than its tokens can fill")
    return bytes(content)


def _endpoint(url: str, chat: bool) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise InputError("a --url must be like http://localhost:8000/v1") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InputError(f"a --url must hold no password, query or fragment; a key goes into {API_KEY_VARIABLE}")
    if not valid:
        raise InputError(f"a --url must be like http://localhost:8000/v1; got {url!r}")
    base = url.rstrip("/").removesuffix("/completions")
    if base.endswith("/chat") and not chat:
        raise InputError(f"{url} applies a chat template to prompts: add --chat, or give the base URL")
    return f"{base.removesuffix('/chat')}/{'chat/' if chat else ''}completions"


def _api_key() -> str:
    key = os.environ.get(API_KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"{API_KEY_VARIABLE} holds characters that no key has")
    return key


@contextlib.contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in its own thread: requests continue while a batch is committed, also in a notebook."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="rlvrscope-openai", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5.0)
        if not thread.is_alive():
            loop.close()
