"""Real ClickHouse for tests: chDB in this process, a database of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count

import pytest
from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.migrate import migrate

_numbers = count(1)


@pytest.fixture(scope="session")
def clickhouse_dsn(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One for the whole run, because chDB allows one data directory in a process."""
    return f"chdb://{tmp_path_factory.mktemp('clickhouse')}"


@pytest.fixture
async def clickhouse(clickhouse_dsn: str) -> AsyncIterator[ClickHousePool]:
    """A pool on an empty, migrated database that is dropped after the test."""
    database = f"test_{next(_numbers)}"
    async with ClickHousePool(clickhouse_dsn, size=2, database=database) as pool:
        await migrate(pool)
        yield pool

        def drop(client: Client) -> None:
            client.command(f"DROP DATABASE {database} SYNC")

        await pool.run(drop)
