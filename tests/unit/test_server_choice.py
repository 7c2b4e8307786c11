"""Which server a test gets: the one that is given, else one in Docker, else one of this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

import pytest

from tests.servers.choice import chosen_server, engine_answers

_VARIABLE: Final = "METERHOUSE_TEST_NOTHING"


@contextmanager
def in_docker() -> Iterator[str]:
    yield "in Docker"


@contextmanager
def of_this_machine() -> Iterator[str]:
    yield "of this machine"


@pytest.mark.parametrize(
    ("given", "engine", "expected"),
    [
        ("given", True, "given"),
        ("given", False, "given"),
        ("", True, "in Docker"),
        ("", False, "of this machine"),
    ],
)
def test_the_nearest_server_is_chosen(
    monkeypatch: pytest.MonkeyPatch, given: str, engine: bool, expected: str
) -> None:
    monkeypatch.setenv(_VARIABLE, given)
    with chosen_server(
        _VARIABLE, container=in_docker, local=of_this_machine, engine=lambda: engine
    ) as address:
        assert address == expected


def test_no_engine_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert not engine_answers()


def test_an_engine_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        assert not engine_answers()


class _Engine(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert self.path == "/_ping"
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


def test_an_engine_that_answers_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Engine) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
        assert engine_answers()
        server.shutdown()
