"""Data on its way into a statement of the embedded engine: files that nothing is left of."""

from __future__ import annotations

from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.staging import Staging

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("clickhouse_dsn", ["embedded"], indirect=True)
async def test_staged_data_is_there_for_the_statement_alone(clickhouse: ClickHousePool) -> None:
    staging = Staging(clickhouse)
    body = bytes(range(256)) * 5000  # more than a pipe or a page holds
    staged: list[Path] = []

    def fail(source: str) -> str:
        staged.append(Path(source.split("'")[1]))
        assert staged[0].read_bytes() == body
        return f"SELECT 1 FROM nowhere, {source}"

    def select(client: Client) -> None:
        staging.insert_select(client, fail, body, "n UInt8")

    with pytest.raises(Exception, match="nowhere"):
        await clickhouse.run(select)
    [file] = staged
    assert not file.exists()
