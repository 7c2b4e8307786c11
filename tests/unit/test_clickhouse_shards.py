"""Pools for shards: one for each that a partition lies on, and another replica when one gives no answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from meterhouse.adapters.clickhouse.client import ClickHousePool, EngineError
from meterhouse.adapters.clickhouse.shards import ShardPools
from meterhouse.domain.errors import StoreUnavailable
from tests.clickhouse_server import ClickHouseServer

pytestmark = pytest.mark.anyio

NOBODY = "127.0.0.3"  # a loopback address like the others, at which nothing listens
HERE = "127.0.0.1"


class Placed:
    """Implements Placement by a table."""

    def __init__(self, shard_by_partition: Mapping[int, int]) -> None:
        self._shards = shard_by_partition

    async def shard_of(self, partition: int, shards: Sequence[int]) -> int:
        return self._shards[partition]


async def two_shards(_: ClickHousePool) -> Mapping[int, tuple[str, ...]]:
    """The one server under two names."""
    return {1: (HERE,), 2: (NOBODY, "localhost")}


async def number(pool: ClickHousePool) -> object:
    return await pool.run(lambda client: client.command("SELECT 7"))


async def test_one_node_needs_no_decision(clickhouse: ClickHousePool) -> None:
    async with ShardPools(clickhouse, Placed({})) as pools:
        assert await pools.of(0) is clickhouse


async def test_partitions_of_one_shard_share_a_pool(clickhouse_url: str) -> None:
    async with (
        ClickHousePool(clickhouse_url, size=1, cluster="main") as pool,
        ShardPools(pool, Placed({0: 1, 1: 2, 2: 1}), shards_of=two_shards) as pools,
    ):
        first, second = await pools.of(0), await pools.of(1)
        assert await pools.of(2) is first
        assert first is not second
        assert [await number(first), await number(second)] == [7, 7]


async def test_a_shard_that_the_cluster_lost_is_named(clickhouse_url: str) -> None:
    async with (
        ClickHousePool(clickhouse_url, size=1, cluster="main") as pool,
        ShardPools(pool, Placed({5: 3}), shards_of=two_shards) as pools,
    ):
        with pytest.raises(StoreUnavailable, match="partition 5 lies on shard 3, which the cluster 'main'"):
            await pools.of(5)


async def test_a_replica_that_is_not_there_is_passed_over(clickhouse_url: str) -> None:
    pool = ClickHousePool(clickhouse_url, size=2)
    async with pool.at((NOBODY, HERE)) as found:
        assert await number(found) == 7
    with pytest.raises(StoreUnavailable):
        async with pool.at((NOBODY,)):
            pytest.fail("nobody listens there")


async def test_another_replica_is_asked_once_one_gave_no_answer(clickhouse_url: str, tmp_path: Path) -> None:
    replica = ClickHouseServer(tmp_path, "--host", "127.0.0.2")
    replica._port = str(urlsplit(clickhouse_url).port)
    replica.start()
    try:
        async with ClickHousePool(clickhouse_url, size=1).at(("127.0.0.2", HERE)) as pool:
            await pool.run(lambda client: client.command("CREATE TABLE here (n UInt8) ENGINE = Memory"))
            with pytest.raises(EngineError):  # an answer, so it is asked again
                await pool.run(lambda client: client.command("SELECT nope"))
            assert await pool.run(lambda client: client.command("SELECT count() FROM here")) == 0
            replica.kill()
            with pytest.raises(StoreUnavailable) as lost:
                await number(pool)
            assert not isinstance(lost.value, EngineError)
            assert await number(pool) == 7
    finally:
        replica.kill()
