"""Metered events read back by log place, to be compared with what they should be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.domain.billable_metric import Definition

_METERED: Final = """
SELECT namespace, billable_metric_id, version, log_offset,
    subject, external_subject, toUnixTimestamp64Micro(time), value, unique_hash, dimensions
FROM metered_events
WHERE log_partition = {partition:UInt32} AND log_offset >= {start:UInt64} AND log_offset < {until:UInt64}
"""


class Version(NamedTuple):
    """A version of a merchant's billable metric."""

    namespace: str
    billable_metric_id: str
    version: int

    @classmethod
    def of(cls, definition: Definition) -> Version:
        return cls(definition.namespace, definition.billable_metric_id, definition.version)


async def metered(
    pool: ClickHousePool, *, partition: int, start: int, until: int
) -> Mapping[Version, Mapping[int, tuple[object, ...]]]:
    """What each version counted of the offsets [start, until).

    By offset: subject, external subject, time (µs), value, unique hash, and the dimensions by name.
    """
    parameters = {"partition": partition, "start": start, "until": until}

    def read(client: Client) -> Mapping[Version, Mapping[int, tuple[object, ...]]]:
        found: defaultdict[Version, dict[int, tuple[object, ...]]] = defaultdict(dict)
        for namespace, metric, version, offset, *row in client.query(_METERED, parameters).result_rows:
            found[Version(namespace, metric, version)][offset] = tuple(row)
        return found

    return await pool.run(read)
