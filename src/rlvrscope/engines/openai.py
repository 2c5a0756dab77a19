"""Servers that speak OpenAI's API (vLLM, Ray Serve, SGLang, llama.cpp ...): several at once, `n` choices a request.

Which draws a server makes is its own affair: seeds are sent, and nothing is promised. A cell is given once or fails.
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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rlvrscope.engines.engine import Completion, Fact, Failure, Request, Result
from rlvrscope.engines.openai_reply import HopelessError, RefusedError, TroubleError, UnreachedError, read_reply
from rlvrscope.errors import InputError, WorkError
from rlvrscope.extras import needs_extra

if TYPE_CHECKING:
    import httpx

    from rlvrscope.engines import Settings

KEY = "RLVRSCOPE_API_KEY"
"""The environment variable with the key, if one is needed: a name of our own, so that no other key goes astray."""
CHUNK, IN_FLIGHT = 64, 8
"""Cells of one request, by default; requests at a time for each server."""
TRIES, LOST, UNREACHED = 8, 3, 4
"""Failures in a row that give a chunk up; problems in a row without any answer that give all up; failures to connect in
a row that do, where no server has ever answered."""
LONGEST_WAIT = 300.0
"""Seconds that a server's Retry-After is believed."""
MEGABYTE, TOKEN_BYTES = 1 << 20, 1 << 10
"""An answer may be as long as the first and so much for each token it may have: its text and its log-probability."""
EXTRAS = "logprobs", "seed"
"""What a request is sent without if the server refuses it."""


@dataclass
class _Server:
    """An endpoint. streak: failures since its last answer; rung: what it refused (1: EXTRAS, 2: n above 1 too)."""

    url: str
    busy: int = 0
    streak: int = 0
    rung: int = 0


@dataclass
class _Line:
    """What the requests of one run share."""

    client: httpx.AsyncClient
    servers: list[_Server]
    answered: bool = False
    lost: set[str] = field(default_factory=set)
    refused: dict[str, set[str]] = field(default_factory=dict)
    """Problems that were refused for the same reason, before anything was answered."""
    fatal: str = ""

    def pick(self) -> _Server:
        """The least busy; one that failed is asked when the others have much more to do."""
        return min(self.servers, key=lambda server: server.busy + 4 * server.streak)

    def lose(self, problem: str, reason: str) -> None:
        self.lost.add(problem)
        if len(self.lost) >= LOST:
            self.fatal = self.fatal or f"{len(self.lost)} problems in a row got no answer; the last: {reason}"

    def refuse(self, problem: str, reason: str) -> None:
        """As of a model that the servers do not have: some say so of each request."""
        if not self.answered:
            self.refused.setdefault(reason, set()).add(problem)
            if len(self.refused[reason]) >= LOST:
                self.fatal = self.fatal or reason


@dataclass(frozen=True, eq=False)
class OpenAIEngine:
    """urls: whole endpoints, all of one kind. pause: seconds before a second try, doubled each time. timeout: too."""

    urls: tuple[str, ...]
    settings: Settings
    identity: Mapping[str, Fact]
    chunk: int = CHUNK
    key: str = field(default="", repr=False)
    pause: float = 1.0
    timeout: float = 1800.0
    honours_seeds: bool = False

    def run(self, requests: Iterator[Request]) -> Iterator[Result]:
        """Raises WorkError where a server refuses the model, the key or the address, or nothing is answered at all."""
        with _loop() as loop:
            line = asyncio.run_coroutine_threadsafe(self._open(), loop).result()
            waiting: set[concurrent.futures.Future[list[Result]]] = set()
            chunks = self._chunks(requests)
            try:
                while True:
                    free = 0 if line.fatal else IN_FLIGHT * len(self.urls) - len(waiting)
                    for cells in itertools.islice(chunks, free):
                        waiting.add(asyncio.run_coroutine_threadsafe(self._fill(line, cells), loop))
                    if not waiting:
                        break
                    done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                    for future in done:
                        yield from future.result()
            finally:
                for future in waiting:
                    future.cancel()
                with contextlib.suppress(Exception):  # what came before it matters more
                    asyncio.run_coroutine_threadsafe(line.client.aclose(), loop).result(5.0)
            if line.fatal:
                raise WorkError(f"{line.fatal}. What had come is kept; the same command goes on")

    def close(self) -> None:
        """Connections are those of a run, and end with it."""

    def _chunks(self, requests: Iterator[Request]) -> Iterator[list[Request]]:
        for _, cells in itertools.groupby(requests, lambda request: (request.problem.id, request.prompt)):
            while chunk := list(itertools.islice(cells, self.chunk)):
                yield chunk

    async def _open(self) -> _Line:
        import httpx

        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=IN_FLIGHT * len(self.urls))
        client = httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(None, connect=10.0), limits=limits)
        return _Line(client, [_Server(url) for url in self.urls])

    async def _fill(self, line: _Line, cells: Sequence[Request]) -> list[Result]:
        """A result for each cell. Fewer choices than asked are kept, and the rest is asked for again."""
        results: list[Result] = []
        left, most, tries, rung, reason = list(cells), len(cells), 0, 0, ""
        while left:
            server = line.pick()
            rung = max(rung, server.rung)
            asked = left[: 1 if rung == 2 else most]
            try:
                said = await self._ask(line, server, asked, rung)
            except RefusedError as error:
                reason, rung = str(error), rung + 1
                if rung > 2:
                    line.refuse(cells[0].problem.id, reason)
                    break
            except HopelessError as error:
                reason = line.fatal = line.fatal or str(error)
                break
            except TroubleError as error:
                reason, tries = str(error), tries + 1
                if tries == UNREACHED and isinstance(error, UnreachedError) and not line.answered:
                    line.fatal = line.fatal or f"no server can be reached; the last: {reason}"
                if tries == TRIES:
                    line.lose(cells[0].problem.id, reason)
                if tries == TRIES or line.fatal:
                    break
                backoff = min(60.0, self.pause * 2 ** (tries - 1)) * random.uniform(0.5, 1.0)
                await asyncio.sleep(max(backoff, min(error.wait, LONGEST_WAIT)))
            else:
                line.answered = True
                line.lost.clear()
                server.rung, tries, most = rung, 0, len(said)
                results += zip(asked, said, strict=False)
                left = left[len(said) :]
        return results + [(request, Failure(self._hidden(reason))) for request in left]

    async def _ask(self, line: _Line, server: _Server, cells: Sequence[Request], rung: int) -> list[Completion]:
        """One exchange: from one completion to as many as there are cells."""
        import httpx

        server.busy += 1
        try:
            async with asyncio.timeout(self.timeout):
                asked = json.dumps(self._body(cells, rung))
                async with line.client.stream("POST", server.url, content=asked) as reply:
                    content = await _limited(
                        reply, MEGABYTE + len(cells) * TOKEN_BYTES * (self.settings.max_tokens or 0)
                    )
            found = read_reply(reply.status_code, reply.headers, content, len(cells))
        except TroubleError as error:
            server.streak += 1
            raise TroubleError(self._told(server, error), error.wait) from None
        except (RefusedError, HopelessError) as error:
            raise type(error)(self._told(server, error)) from None
        except TimeoutError:
            server.streak += 1
            raise TroubleError(f"{server.url}: no whole answer within {self.timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            server.streak += 1
            kind = UnreachedError if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else TroubleError
            raise kind(self._told(server, f"{type(error).__name__} {error}".strip())) from None
        finally:
            server.busy -= 1
        server.streak = 0
        return found

    def _body(self, cells: Sequence[Request], rung: int) -> dict[str, Any]:
        chat, prompt = self.settings.chat, cells[0].prompt
        body: dict[str, Any] = {
            "model": self.identity["model"], "temperature": self.settings.temperature, "top_p": self.settings.top_p,
            "max_tokens": self.settings.max_tokens, "n": len(cells), "stream": False, "seed": cells[0].seed,
        }  # fmt: skip
        body |= {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
        if self.identity["logprobs"]:
            body["logprobs"] = True if chat else 1
        return {name: value for name, value in body.items() if rung == 0 or name not in EXTRAS}

    def _told(self, server: _Server, error: object) -> str:
        return self._hidden(f"{server.url}: {error}")

    def _hidden(self, text: str) -> str:
        """A server may quote the key in what it complains of."""
        return text.replace(self.key, "***") if self.key else text


def open_engine(model: str, settings: Settings) -> OpenAIEngine:
    """model: the name that the servers know it by. No server is asked yet.

    A URL is a base (".../v1"), and /completions is added; for chat, where the server puts its own template around the
    prompt, /chat/completions. The key, if any, is in the environment variable RLVRSCOPE_API_KEY. Raises InputError.
    """
    with needs_extra("sample", "the openai engine"):
        import httpx  # noqa: F401
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
        "logprobs": "raw" if plain else None,  # the API does not say which it means: only where both are the same
    }  # fmt: skip
    return OpenAIEngine(urls, settings, identity, settings.batch or CHUNK, _key())


async def _limited(reply: httpx.Response, most: int) -> bytes:
    """The answer's bytes. Raises RefusedError for more than `most`: no more of it is held than that."""
    content = bytearray()
    async for part in reply.aiter_bytes():
        content += part
        if len(content) > most:
            raise RefusedError(f"an answer of more than {most / MEGABYTE:.0f} MB, which no such request has")
    return bytes(content)


def _endpoint(url: str, chat: bool) -> str:
    try:
        found = urlsplit(url)
        right = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:
        raise InputError("a --url must be like http://localhost:8000/v1") from None
    if found.username is not None or found.password is not None or found.query or found.fragment:
        raise InputError(f"a --url must hold no password, query or fragment; a key goes into {KEY}")
    if not right:
        raise InputError(f"a --url must be like http://localhost:8000/v1; got {url!r}")
    base = url.rstrip("/").removesuffix("/completions")
    if base.endswith("/chat") and not chat:
        raise InputError(f"{url} puts a chat's template around prompts: say --chat, or name its base")
    return f"{base.removesuffix('/chat')}/{'chat/' if chat else ''}completions"


def _key() -> str:
    key = os.environ.get(KEY, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"{KEY} holds characters that no key has")
    return key


@contextlib.contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own: requests go on while a batch is committed, also in a notebook."""
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
