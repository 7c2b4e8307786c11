"""A merchant's server for webhooks: it believes nothing that the published library does not verify."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any, Final

from standardwebhooks.webhooks import Webhook

from tests.api import Json, decode
from tests.running import PATIENCE

# What a server needs to tell one that runs on this machine.
ALLOWED: Final = {
    "METERHOUSE_WEBHOOKS_ALLOW_HTTP": "true",
    "METERHOUSE_WEBHOOKS_ALLOW_PRIVATE": "true",
    "METERHOUSE_WEBHOOKS_INTERVAL": "0.2",
}


class Receiver:
    """Keeps every notice by its id, and by path and id how often it came. What is not verified is `forged`.

    By path there are `secrets` to verify with, and `statuses` to answer, 204 unless one is set.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.secrets: dict[str, str] = {}
        self.statuses: dict[str, int] = {}
        self.times: dict[tuple[str, str], int] = {}
        self.notices: dict[str, Json] = {}
        self.forged: list[bytes] = []
        self._news = Condition()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """The status that answers it."""
        with self._news:
            try:
                Webhook(self.secrets[path]).verify(body, headers)
            except Exception:  # noqa: BLE001 - whatever it is, the library does not believe it
                self.forged.append(body)
                return 401
            id = headers["webhook-id"]
            notice = decode(body)
            assert self.notices.setdefault(id, notice) == notice, "one id is one notice"
            self.times[path, id] = self.times.get((path, id), 0) + 1
            self._news.notify_all()
            return self.statuses.get(path, 204)

    def wait(self, type: str, count: int = 1) -> list[Json]:
        """The notices of that type, once there are so many."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.of(type)) >= count, PATIENCE), self.notices
            return self.of(type)

    def of(self, type: str) -> list[Json]:
        return [one for one in self.notices.values() if one["type"] == type]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # the library's name
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(self.path, headers, body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
