"""Metered events read back by log place, to be compared with what they should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.domain.billable_metric import Definition

_METERED: Final = """
SELECT log_offset, tuple(
    subject, external_subject, toUnixTimestamp64Micro(time), value, unique_hash,
    arrayMap(name -> dimensions[name], {names:Array(String)})
)
FROM metered_events
WHERE namespace = {namespace:String} AND billable_metric_id = {metric:String} AND version = {version:UInt32}
    AND log_partition = {partition:UInt32} AND log_offset >= {start:UInt64} AND log_offset < {until:UInt64}
"""


async def metered(
    pool: ClickHousePool, definition: Definition, *, partition: int, start: int, until: int
) -> Mapping[int, tuple[object, ...]]:
    """What `definition` counted of the offsets [start, until).

    By offset: subject, external subject, time (µs), value, unique hash, and a list of dimension values.
    """
    parameters = {
        "namespace": definition.namespace,
        "metric": definition.billable_metric_id,
        "version": definition.version,
        "partition": partition,
        "start": start,
        "until": until,
        "names": list(definition.dimension_names),
    }

    def read(client: Client) -> Mapping[int, tuple[object, ...]]:
        return {offset: tuple(row) for offset, row in client.query(_METERED, parameters).result_rows}

    return await pool.run(read)
