"""The PostgreSQL that tests and `deploy/local` start without Docker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from deploy.local.postgres import LocalPostgres, PostgresFailed
from tests.servers.postgres import own_server


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with own_server() as server:
        yield server


@pytest.mark.parametrize("way", ["kill", "stop"])
def test_what_was_committed_is_there_after_a_restart(server: LocalPostgres, way: str) -> None:
    server.start()
    with psycopg.connect(server.url()) as connection:
        connection.execute(f"CREATE TABLE after_{way} AS SELECT 7 AS kept")
    handle = replace(server)  # another process that knows the folder
    getattr(handle, way)()
    assert (server.pid, server.is_ready) == (None, False)
    getattr(handle, way)()  # again changes nothing
    server.start()
    for url in (server.url(), server.socket_url()):
        with psycopg.connect(url) as connection:
            assert connection.execute(f"SELECT kept FROM after_{way}").fetchone() == (7,)


def test_starting_it_again_changes_nothing(server: LocalPostgres) -> None:
    server.start()
    pid = server.pid
    server.start()
    assert server.pid == pid


def test_the_port_asks_for_the_password(server: LocalPostgres) -> None:
    server.start()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(replace(server, password="guessed").url())
    assert server.password not in repr(server)


def test_a_port_that_is_taken_is_said_with_the_servers_own_words(server: LocalPostgres) -> None:
    server.start()
    with own_server() as other:
        other.stop()
        with pytest.raises(PostgresFailed, match="could not"):
            replace(other, port=server.port).start()
