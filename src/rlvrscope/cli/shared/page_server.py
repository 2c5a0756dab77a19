"""A page on the loopback interface, for a browser on the same machine. Nothing else is served."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from rlvrscope.errors import InputError

HOST = "127.0.0.1"
HOST_NAMES = (HOST, "localhost")
"""Names in the Host header; any other comes from a page of another site that was pointed at this address."""


class PageServer(ThreadingHTTPServer):
    """Serves one page and its later versions. page: (version, text); called with the version that the browser has."""

    daemon_threads = True

    def __init__(self, port: int, page: Callable[[int | None], tuple[int, str]]) -> None:
        self.page = page
        super().__init__((HOST, port), _Handler)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    """GET / gives the page; GET /?since=VERSION gives what has changed since, or 204."""

    server: PageServer  # type: ignore[reportIncompatibleVariableOverride]  # the one that made this handler

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if self.headers.get("Host", "").rpartition(":")[0] not in HOST_NAMES:
            self._reply(403)
        elif address.path != "/":
            self._reply(404)
        else:
            since = parse_qs(address.query).get("since", [""])[0]
            known = int(since) if since.isascii() and since.isdigit() and len(since) < 16 else None
            version, text = self.server.page(known)
            self._reply(204 if version == known else 200, version, text)

    def _reply(self, status: int, version: int = 0, text: str = "") -> None:
        content = text.encode() if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Version", str(version))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name in the base class
        """Log no requests."""


@contextlib.contextmanager
def serving(port: int, page: Callable[[int | None], tuple[int, str]]) -> Iterator[str]:
    """Serve a page inside the block; yield its address. port 0: any free one. Raises InputError for a taken port."""
    try:
        server = PageServer(port, page)
    except OSError as error:
        message = f"port {port} can't be used ({error.strerror}): choose another --port, or 0 for a free one"
        raise InputError(message) from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
