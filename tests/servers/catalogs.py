"""The databases that every catalog test runs on."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
from psycopg import sql

from meterhouse.adapters.catalog.schema import migrate
from meterhouse.domain.billable_metric import Aggregation, BillableMetric
from tests.servers.postgres import PostgresServer


class CatalogStore(Protocol):
    """A database for a catalog: `url` opens it."""

    @property
    def url(self) -> str: ...

    def contents(self) -> bytes:
        """All that is stored, in some form."""

    def away(self) -> AbstractContextManager[None]:
        """Let the database fail until the end."""


@dataclass(frozen=True, slots=True)
class SqliteStore:
    """Implements CatalogStore over a file."""

    path: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def contents(self) -> bytes:
        return b"".join([file.read_bytes() for file in sorted(self.path.parent.iterdir())])

    @contextmanager
    def away(self) -> Iterator[None]:
        self._run("ALTER TABLE api_keys RENAME TO gone")
        try:
            yield
        finally:
            self._run("ALTER TABLE gone RENAME TO api_keys")

    def _run(self, statement: str) -> None:
        with sqlite3.connect(self.path) as connection:
            connection.execute(statement)
        connection.close()


@dataclass(frozen=True, slots=True)
class PostgresStore:
    """Implements CatalogStore over a database of the shared server."""

    server: PostgresServer
    url: str

    def contents(self) -> bytes:
        with psycopg.connect(self.url) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            rows = [
                row
                for (table,) in tables.fetchall()
                for row in connection.execute(
                    sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table))
                )
            ]
        return repr(rows).encode()

    def away(self) -> AbstractContextManager[None]:
        return self.server.away(self.url)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated catalog without rows, for others to be copies of: to migrate each takes 0.2 s."""
    path = tmp_path_factory.mktemp("migrated") / "catalog.sqlite3"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated catalog without rows, in a file."""
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'catalog.sqlite3')}"


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CatalogStore:
    """A migrated catalog without rows, on each kind of database."""
    if request.param == "sqlite":
        request.getfixturevalue("sqlite_url")
        return SqliteStore(tmp_path / "catalog.sqlite3")
    server: PostgresServer = request.getfixturevalue("postgres")
    url: str = request.getfixturevalue("postgres_url")
    return PostgresStore(server, url)


def metric(id: str = "bm_a", event_type: str | None = "call") -> BillableMetric:
    """A metric of org_a and prod_a that counts events."""
    return BillableMetric(
        id=id,
        merchant_id="org_a",
        product_id="prod_a",
        item_id=None,
        name="calls",
        description="",
        unit="call",
        aggregation=Aggregation.COUNT,
        event_type=event_type,
        value_property=None,
        group_by=None,
        event_from=None,
        version=1,
        created_at=1,
        updated_at=1,
    )
