"""Servers on loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from answering_server import Behave, Server


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(behave: Behave = lambda handler: False) -> Server:
        servers.append(server := Server(behave))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
