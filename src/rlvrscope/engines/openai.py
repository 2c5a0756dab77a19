"""Servers with an OpenAI-compatible API (vLLM, Ray Serve, SGLang, llama.cpp ...): several at once, `n` choices a call.

Seeds are sent, but servers promise nothing about them. Each sample is returned once or fails.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import json
import random
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from rlvrscope.engines.engine import Completion, Failure, Request, Result
from rlvrscope.engines.openai_body import TooLargeError, max_bytes, read_body
from rlvrscope.engines.openai_key import API_KEY_VARIABLE, ApiKey, is_loopback
from rlvrscope.engines.openai_reply import HopelessError, RefusedError, TroubleError, UnreachedError, read_reply
from rlvrscope.errors import InputError, WorkError
from rlvrscope.scoring import Fact

if TYPE_CHECKING:
    from rlvrscope.engines import Settings

DEFAULT_CHUNK, MAX_IN_FLIGHT = 64, 8
"""Samples of one HTTP request; HTTP requests at a time to each server."""
DEFAULT_PATIENCE = 120.0
"""Seconds from a failure on after which a request without a success is given up."""
STOP_SECONDS = 10.0
"""Time for open requests to end after Ctrl-C."""
POLL_SECONDS = 0.2
MAX_LOST_PROBLEMS = 3
"""Problems in a row without any answer, or refused for the same reason, after which the run ends."""
MAX_UNREACHED = 4
"""Failures to connect in a row after which the run ends, if no server has ever answered."""
MAX_BACKOFF = 60.0
"""Seconds between two tries."""
MAX_REASON = 300
"""Characters of a failure's reason."""
OPTIONAL_FIELDS = "logprobs", "seed"
"""Fields that are left out if the server refuses the request with them."""
CUT_HERE = "the server returned a stop string: cut before it"
"""Note of such a completion."""
WITHOUT_OPTIONAL, ONE_CHOICE = 1, 2
"""Fallback levels after a refusal: without the optional fields, then with n = 1 as well."""


Reply = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body."""


@dataclass
class _Server:
    """An endpoint. failures: in a row; fallback: the level of requests it accepts."""

    url: str
    busy: int = 0
    failures: int = 0
    fallback: int = 0


@dataclass
class _Run:
    """State that the requests of one run share. refused: problems by the reason, before anything was answered.

    troubled_since: time of the first failure since the last success, None without one. stopping: set after Ctrl-C.
    """

    client: httpx.AsyncClient
    servers: list[_Server]
    answered: bool = False
    lost: set[str] = field(default_factory=set)
    refused: dict[str, set[str]] = field(default_factory=dict)
    fatal: str = ""
    troubled_since: float | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

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
    seconds for one reply. patience: seconds that a request is tried again from its first failure on."""

    urls: tuple[str, ...]
    settings: Settings
    identity: Mapping[str, Fact]
    chunk: int = DEFAULT_CHUNK
    key: ApiKey = field(default_factory=ApiKey)
    pause: float = 1.0
    timeout: float = 1800.0
    patience: float = DEFAULT_PATIENCE
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
                    done, waiting = concurrent.futures.wait(
                        waiting, POLL_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
                    )
                    if self.settings.stopped() and not run.stopping.is_set():
                        loop.call_soon_threadsafe(run.stopping.set)
                    for future in done:
                        results = future.result()
                        self._report(results)
                        yield from results
            finally:
                for future in waiting:
                    future.cancel()
                with contextlib.suppress(Exception):  # an error raised before matters more
                    asyncio.run_coroutine_threadsafe(run.client.aclose(), loop).result(1.0)
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
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip", **self.key.headers}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=MAX_IN_FLIGHT * len(self.urls))
        here = {httpx.URL(url).netloc.decode() for url in self.urls if is_loopback(urlsplit(url).hostname or "")}
        client = httpx.AsyncClient(
            headers=headers, timeout=httpx.Timeout(None, connect=10.0), limits=limits,
            mounts={f"all://{host}": None for host in here},  # no proxy reaches this machine's own servers
        )  # fmt: skip
        return _Run(client, [_Server(url) for url in self.urls])

    async def _fill(self, run: _Run, chunk: Sequence[Request]) -> list[Result]:
        """Return a result for each request. If a reply has fewer choices than asked, the rest is asked for again."""
        results: list[Result] = []
        problem = chunk[0].problem.id
        missing, max_choices, fallback, reason = list(chunk), len(chunk), 0, ""
        trouble = _Trouble(self.patience, self.pause)
        while missing:
            server = run.least_busy()
            fallback = max(fallback, server.fallback)
            requests = missing[: 1 if fallback == ONE_CHOICE else max_choices]
            try:
                completions = await self._ask(run, server, requests, fallback)
            except TooLargeError as error:
                reason, max_choices = str(error), len(requests) // 2
                if not max_choices:
                    break
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
                reason = str(error)
                wait = trouble.next_wait(run, error)
                if run.fatal or run.stopping.is_set():
                    break
                if wait is None:
                    run.lose(problem, reason)
                    break
                self.settings.on_wait(f"{reason}; next try in {wait:.0f} s, given up in {trouble.left:.0f} s")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(run.stopping.wait(), wait)
            else:
                run.answered, run.troubled_since = True, None
                run.lost.clear()
                server.fallback, max_choices = fallback, len(completions)
                trouble = _Trouble(self.patience, self.pause)
                results += zip(requests, completions, strict=False)
                missing = missing[len(completions) :]
        return results + [(request, Failure(reason)) for request in missing]

    async def _ask(self, run: _Run, server: _Server, requests: Sequence[Request], fallback: int) -> list[Completion]:
        """Send one HTTP request; return at least one completion and at most one for each sample."""
        server.busy += 1
        limit = max_bytes(len(requests), self.settings.max_tokens or 0)
        try:
            body = json.dumps(self._body(requests, fallback))
            status, headers, content = await self._unless_stopped(run, self._exchange(run, server, body, limit))
            completions = read_reply(status, headers, content, len(requests))
            completions = [one for one in completions if not self.key.is_in(f"{one.text}\0{one.reasoning}{one.finish}")]
            if not completions:
                raise TroubleError("the answer repeats the key")
        except TroubleError as error:
            server.failures += 1
            raise TroubleError(self._message(server, error), error.wait) from None
        except (RefusedError, HopelessError) as error:
            raise type(error)(self._message(server, error)) from None
        except TimeoutError:
            server.failures += 1
            raise TroubleError(f"{server.url}: no whole answer within {self.timeout:g} s", spent=self.timeout) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            server.failures += 1
            kind = UnreachedError if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else TroubleError
            raise kind(self._message(server, f"{type(error).__name__} {error}".strip())) from None
        finally:
            server.busy -= 1
        server.failures = 0
        return [self._cut(completion) for completion in completions]

    async def _exchange(self, run: _Run, server: _Server, body: str, limit: int) -> Reply:
        async with asyncio.timeout(self.timeout), run.client.stream("POST", server.url, content=body) as reply:
            return reply.status_code, reply.headers, await read_body(reply, limit)

    async def _unless_stopped(self, run: _Run, exchange: Coroutine[Any, Any, Reply]) -> Reply:
        """Wait for a reply; after Ctrl-C, for STOP_SECONDS more."""
        request, stop = asyncio.ensure_future(exchange), asyncio.ensure_future(run.stopping.wait())
        try:
            await asyncio.wait({request, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not request.done():
                await asyncio.wait({request}, timeout=STOP_SECONDS)
            if not request.done():
                raise TroubleError("stopped before it had answered")
            return request.result()
        finally:
            request.cancel()
            stop.cancel()

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
        return f"{server.url}: {self.key.hide(str(error))}"[:MAX_REASON]


@dataclass
class _Trouble:
    """Failures of a chunk since its last success."""

    patience: float
    pause: float
    tries: int = 0
    since: float | None = None
    left: float = 0.0
    """Seconds of patience left."""

    def next_wait(self, run: _Run, error: TroubleError) -> float | None:
        """Seconds to wait before the next try; None where patience is at its end, for this chunk or for all."""
        now = time.monotonic() - error.spent
        self.tries += 1
        self.since = now if self.since is None else self.since
        run.troubled_since = now if run.troubled_since is None else run.troubled_since
        if self.tries == MAX_UNREACHED and isinstance(error, UnreachedError) and not run.answered:
            run.end(f"no server can be reached; the last: {error}")
        self.left = self.patience - (time.monotonic() - min(self.since, run.troubled_since))
        if self.left <= 0.0:
            return None
        backoff = min(MAX_BACKOFF, self.pause * 2.0 ** min(self.tries - 1, 30)) * random.uniform(0.5, 1.0)
        return min(max(backoff, error.wait), self.left)


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
    key = ApiKey.read()
    key.check_proxies(urls)
    patience = DEFAULT_PATIENCE if settings.patience is None else settings.patience
    return OpenAIEngine(urls, settings, identity, settings.batch or DEFAULT_CHUNK, key, patience=patience)


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
        thread.join(2.0)
        if not thread.is_alive():
            loop.close()
