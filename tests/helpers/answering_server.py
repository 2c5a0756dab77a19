"""Servers of OpenAI's completions API on loopback that answer as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behave = Callable[[Any], bool]
"""Handles a request by itself and returns True, or returns False for the default reply."""


class Server(ThreadingHTTPServer):
    """Answers each choice with a different text, so that a repeated one shows. sent: choices sent so far."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, behave: Behave = lambda handler: False) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave, self.lock = behave, threading.Lock()
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the test."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: Any = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.bodies.append({**body, "path": self.path})
            server.keys.append(self.headers["Authorization"])
            self.body, self.number = body, len(server.bodies)
        if not server.behave(self):
            self.choices(body["n"])

    def choices(self, count: int, same_index: bool = False) -> None:
        server: Any = self.server
        with server.lock:
            first, server.sent = server.sent, server.sent + count
        choices = [
            {"index": 0 if same_index else place, "finish_reason": "stop"} | self.text(f"{server.url} {first + place}")
            for place in range(count)
        ]  # fmt: skip
        self.reply(200, json.dumps({"choices": choices[::-1]}).encode())

    def text(self, text: str) -> dict[str, Any]:
        if "messages" in self.body:
            logps = {"content": [{"logprob": -0.5}, {"logprob": -0.25}]}
            return {"message": {"role": "assistant", "content": text}, "logprobs": logps}
        return {"text": text, "logprobs": {"token_logprobs": [-0.5, -0.25]} if "logprobs" in self.body else None}

    def reply(
        self, status: int, content: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def hang_up(self) -> bool:
        self.close_connection = True
        return True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Silent."""
