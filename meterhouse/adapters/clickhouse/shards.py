"""Which servers hold which shard of a cluster, and pools of clients for one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.domain.errors import StoreUnavailable

_SERVERS: Final = """
SELECT shard_num, groupArray(host_name) FROM (
    SELECT shard_num, host_name FROM system.clusters WHERE cluster = {cluster:String}
    ORDER BY shard_num, replica_num
)
GROUP BY shard_num ORDER BY shard_num
"""


async def shards(pool: ClickHousePool) -> Mapping[int, tuple[str, ...]]:
    """The hosts of each shard's replicas, in their order, by the number of the shard, from 1.

    One node is one shard. `pool.at(host)` is a pool for one of them: the port, user and password are the
    same on every server. Raises StoreUnavailable where the server does not know the cluster.
    """
    cluster = pool.tables.cluster
    if not cluster:
        return {1: (pool.host,)}

    def ask(client: Client) -> Mapping[int, tuple[str, ...]]:
        rows = client.query(_SERVERS, {"cluster": cluster}).result_rows
        return {shard: tuple(hosts) for shard, hosts in rows}

    found = await pool.run(ask)
    if not found:
        raise StoreUnavailable(f"ClickHouse knows no cluster {cluster!r}; see system.clusters there")
    return found
