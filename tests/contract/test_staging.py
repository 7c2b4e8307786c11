"""Data on its way into a statement of the embedded engine: files that no kill leaves behind for good."""

from __future__ import annotations

from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.staging import Staging, clear_staging

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("clickhouse_dsn", ["embedded"], indirect=True)
async def test_staged_data_lies_in_the_engines_folder_and_is_cleared(clickhouse: ClickHousePool) -> None:
    staging = Staging(clickhouse)
    staged: list[Path] = []

    def fail(source: str) -> str:
        staged.append(Path(source.split("'")[1]))
        (staged[0].parent / "left behind").touch()
        return f"SELECT 1 FROM nowhere, {source}"

    def select(client: Client) -> None:
        staging.insert_select(client, fail, b"some bytes", "n UInt8")

    with pytest.raises(Exception, match="nowhere"):
        await clickhouse.run(select)
    [file] = staged
    assert clickhouse.folder is not None
    assert file.is_relative_to(clickhouse.folder)
    assert not file.exists()
    clear_staging(clickhouse)
    assert not file.parent.exists()
    clear_staging(clickhouse)
