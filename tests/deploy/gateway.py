"""nginx as deploy/gateway configures it, before upstreams on the loopback that record what arrives."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from deploy.local.machine import listens
from tests.deploy.tools import ROOT, tool
from tests.running import free_port

SOURCE: Final = ROOT / "deploy" / "gateway"
_START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request as an upstream got it."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What an upstream answers; None instead of one closes the connection without a word."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


class Upstream(ThreadingHTTPServer):
    """A process behind the gateway: it keeps every request, and answers each with `reply`."""

    daemon_threads = True

    def __init__(self, reply: Callable[[Arrived], Reply | None] = lambda _: Reply()) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = reply
        self.arrived: list[Arrived] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @contextmanager
    def serving(self) -> Iterator[Upstream]:
        thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        arrived = Arrived(self.command, self.path, headers, body)
        self.server.arrived.append(arrived)
        reply = self.server.reply(arrived)
        self.close_connection = True
        if reply is None:
            return
        self.send_response(reply.status)
        ours = {"content-length": str(len(reply.body)), "connection": "close"}
        for name, value in {**reply.headers, **ours}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - as http.server calls them

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def running(folder: Path, *, ingest: Sequence[str], query: Sequence[str]) -> Iterator[str]:
    """The URL of the gateway to these addresses, host:port. Skips where there is no nginx."""
    nginx, port = tool("nginx"), free_port()
    text = (SOURCE / "nginx.conf").read_text("utf-8")
    assert text.count("listen 8080;") == 1
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};").replace("/tmp/nginx", f"{folder}/nginx")
    (folder / "nginx.conf").write_text(text)
    (folder / "upstreams.conf").write_text(_group("ingest", ingest) + _group("query", query) + _MAP)
    command = [nginx, "-c", str(folder / "nginx.conf"), "-g", "daemon off; master_process off;"]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait(process, port, folder / "output")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


_MAP: Final = "map $service $upstream { ingest ingest_processes; query query_processes; }\n"


def _group(name: str, addresses: Sequence[str]) -> str:
    # As with addresses from a name server, a failure is not remembered for the next request.
    servers = " ".join(f"server {address} max_fails=0;" for address in addresses)
    return f"upstream {name}_processes {{ {servers} }}\n"


def _wait(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    expired = threading.Event()
    timer = threading.Timer(_START_SECONDS, expired.set)
    timer.start()
    try:
        while not listens(port):
            assert process.poll() is None, output.read_text()
            assert not expired.is_set(), "nginx listens nowhere"
    finally:
        timer.cancel()
