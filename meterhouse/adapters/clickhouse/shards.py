"""Which servers hold which shard of a cluster, and the shard that a log partition lies on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.domain.errors import StoreUnavailable
from meterhouse.ports.counting import Placement

_SERVERS: Final = """
SELECT shard_num, groupArray(host_name) FROM (
    SELECT shard_num, host_name FROM system.clusters WHERE cluster = {cluster:String}
    ORDER BY shard_num, replica_num
)
GROUP BY shard_num ORDER BY shard_num
"""


async def shards(pool: ClickHousePool) -> Mapping[int, Sequence[str]]:
    """The hosts of each shard's replicas, in their order, by the number of the shard, from 1.

    One node is one shard. `pool.at(hosts)` is a pool for one of them: the port, user and password are the
    same on every server. Raises StoreUnavailable where the server does not know the cluster.
    """
    cluster = pool.tables.cluster
    if not cluster:
        return {1: pool.hosts}

    def ask(client: Client) -> Mapping[int, Sequence[str]]:
        rows = client.query(_SERVERS, {"cluster": cluster}).result_rows
        return {shard: tuple(hosts) for shard, hosts in rows}

    found = await pool.run(ask)
    if not found:
        raise StoreUnavailable(f"ClickHouse knows no cluster {cluster!r}; see system.clusters there")
    return found


class ShardPools:
    """A pool of clients for the shard of each partition that is asked for, opened then and kept.

    All rows of a log partition lie on one shard, on which `placement` decides, so that a batch stays one
    block. Use it as an async context manager. One node needs no decision, and no pool but the first.
    """

    def __init__(
        self,
        pool: ClickHousePool,
        placement: Placement,
        *,
        shards_of: Callable[[ClickHousePool], Awaitable[Mapping[int, Sequence[str]]]] = shards,
    ) -> None:
        self._pool = pool
        self._shards_of = shards_of
        self._placement = placement
        self._opened: dict[int, ClickHousePool] = {}
        self._opening = asyncio.Lock()
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.aclose()

    async def of(self, partition: int) -> ClickHousePool:
        """Where the partition's rows are written, and looked for. Raises StoreUnavailable."""
        if not self._pool.tables.cluster:
            return self._pool
        known = await self._shards_of(self._pool)
        shard = await self._placement.shard_of(partition, sorted(known))
        if shard not in known:
            cluster = self._pool.tables.cluster
            raise StoreUnavailable(
                f"partition {partition} lies on shard {shard}, which the cluster {cluster!r} does not have: "
                "see system.clusters there"
            )
        async with self._opening:
            if shard not in self._opened:
                pool = await self._closing.enter_async_context(self._pool.at(known[shard]))
                self._opened[shard] = pool
        return self._opened[shard]
