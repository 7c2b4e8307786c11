"""Real ClickHouse for tests, embedded and over HTTP, with a database of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.address import Address
from meterhouse.adapters.clickhouse.client import ANSWER_TIMEOUT, ClickHousePool
from meterhouse.adapters.clickhouse.migrate import migrate
from tests.clickhouse_server import ClickHouseServer
from tests.servers.choice import chosen_server, clickhouse_container


@pytest.fixture(scope="session")
def clickhouse_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over HTTP: what METERHOUSE_TEST_CLICKHOUSE names, else in Docker, else a stand-in."""

    @contextmanager
    def local() -> Iterator[str]:
        server = ClickHouseServer(tmp_path_factory.mktemp("clickhouse-server"))
        server.start()
        yield server.url
        server.stop()

    with chosen_server("METERHOUSE_TEST_CLICKHOUSE", container=clickhouse_container, local=local) as url:
        yield url


@pytest.fixture(scope="session")
def embedded_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One for the whole run, because chDB allows one data directory in a process.

    A client of its own keeps the engine open between tests: each start leaves threads and files behind.
    """
    dsn = f"chdb://{tmp_path_factory.mktemp('clickhouse')}"
    keeper = Address.parse(dsn).connect(ANSWER_TIMEOUT)
    yield dsn
    keeper.close()


@pytest.fixture(scope="session", params=["embedded", "http"])
def clickhouse_dsn(request: pytest.FixtureRequest) -> str:
    """Both ways to ClickHouse; parametrize it indirectly for one of them alone."""
    dsn: str = request.getfixturevalue("embedded_dsn" if request.param == "embedded" else "clickhouse_url")
    return dsn


@pytest.fixture
async def clickhouse(clickhouse_dsn: str) -> AsyncIterator[ClickHousePool]:
    """A pool on an empty, migrated database that is dropped after the test."""
    database = f"test_{uuid4().hex}"
    async with ClickHousePool(clickhouse_dsn, size=2, database=database) as pool:
        await migrate(pool)
        yield pool

        def drop(client: Client) -> None:
            client.command(f"DROP DATABASE {database} SYNC")

        await pool.run(drop)
