"""A TCP proxy that fails in the ways that a network does, at the moment a test chooses."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self
from urllib.parse import urlsplit

_NO_LINGER: Final = struct.pack("ii", 1, 0)  # closing sends a reset

_LAST_CHUNK: Final = b"0\r\n\r\n"

BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nbusy\n"


class CuttingProxy:
    """Forwards to `url`, and does to each answer whatever `fault` says: None passes it on.

    A fault is given the whole request and a function that fetches its answer (and so lets it happen), and
    returns the bytes to send before the connection is cut, by a reset where `reset` is True. `requests` are
    the heads of all that came.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._connections: set[socket.socket] = set()
        self._address = self._listener.getsockname()
        self.url = f"http://127.0.0.1:{self._address[1]}"
        self.fault: Callable[[bytes, Callable[[], bytes]], bytes | None] | None = None
        self.reset = False
        self.requests: list[bytes] = []

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        for thread in self._threads:
            thread.join(10)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nobody listens, and every connection is cut, until the end."""
        self._leave()
        try:
            yield
        finally:
            self._listener = socket.create_server(self._address)
            self._run(self._accept)

    def _leave(self) -> None:
        for one in (self._listener, *self._connections):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _run(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        listener = self._listener
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self._run(self._serve, connection)

    def _serve(self, client: socket.socket) -> None:
        self._connections.add(client)
        try:
            with client, suppress(OSError):
                self._pass_on(client)
        finally:
            self._connections.discard(client)

    def _pass_on(self, client: socket.socket) -> None:
        while request := _message(client):
            self.requests.append(request.partition(b"\r\n\r\n")[0])
            fault = self.fault
            answer = fault(request, lambda: self._ask(request)) if fault else None
            if fault is not None and answer is not None:
                client.sendall(answer)
                if self.reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                return
            client.sendall(self._ask(request))

    def _ask(self, request: bytes) -> bytes:
        with socket.create_connection(self._upstream) as upstream:
            upstream.sendall(request)
            return _message(upstream)


def _message(source: socket.socket) -> bytes:
    """One HTTP message, chunked or as long as its header tells; empty at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = source.recv(1 << 16)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        while not body.endswith(_LAST_CHUNK) and (more := source.recv(1 << 16)):
            body += more
        return head + b"\r\n\r\n" + body
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2]) if lengths else 0
    chunks = [body]
    missing = length - len(body)
    while missing > 0 and (more := source.recv(min(missing, 1 << 20))):
        chunks.append(more)
        missing -= len(more)
    return head + b"\r\n\r\n" + b"".join(chunks)
