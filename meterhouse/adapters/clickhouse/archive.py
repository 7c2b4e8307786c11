"""Accepted events read back, to be counted again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.block import Table
from meterhouse.domain.event import Facts

# The fields of Facts. Times come as integers: a datetime for each costs more than the rest of the row.
_STORED: Final = """
SELECT
    log_offset, id_hash, subject, if(subject = '', external_subject, ''),
    toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received_at), data
FROM {events}
WHERE log_partition = {{partition:UInt32}}
  AND log_offset >= {{start:UInt64}} AND log_offset < {{until:UInt64}}
  AND namespace = {{namespace:String}} AND type = {{type:String}}
  AND received_at >= fromUnixTimestamp64Micro({{since:Int64}}, 'UTC')
ORDER BY log_offset
LIMIT 1 BY log_offset
LIMIT {{limit:UInt64}}
"""

_TYPES: Final = """
SELECT DISTINCT namespace, type
FROM {events}
WHERE log_partition = {{partition:UInt32}}
  AND log_offset >= {{start:UInt64}} AND log_offset < {{until:UInt64}}
"""


class ClickHouseArchive:
    """An EventArchive over a pool whose database is migrated."""

    def __init__(self, pool: ClickHousePool) -> None:
        self._pool = pool
        # A backfill counts what it reads: on a cluster, its replica first catches up with its shard.
        self._before = pool.tables.before_look(Table.EVENTS)
        self._stored = _STORED.format(events=pool.tables.own(Table.EVENTS))
        self._types = _TYPES.format(events=pool.tables.own(Table.EVENTS))

    async def stored(
        self, partition: int, start: int, until: int, *, of: Definition, limit: int | None = None
    ) -> Facts:
        """See EventArchive."""
        if of.event_type is None:
            return Facts()
        asked: dict[str, object] = {"partition": partition, "start": start, "until": until}
        asked |= {"limit": until - start if limit is None else limit}
        asked |= {"since": of.tombstones.since}
        parameters = asked | {"namespace": of.namespace, "type": of.event_type}

        formats: dict[str, str | dict[str, str]] = {"data": "bytes"}
        return Facts(*map(list, await self._columns(self._stored, parameters, formats)))

    async def types(self, partition: int, start: int, until: int) -> Collection[tuple[str, str]]:
        """The namespaces and types of the events with offsets in [start, until)."""
        parameters: dict[str, object] = {"partition": partition, "start": start, "until": until}
        return set(zip(*await self._columns(self._types, parameters), strict=True))

    async def _columns(
        self,
        statement: str,
        parameters: dict[str, object],
        formats: dict[str, str | dict[str, str]] | None = None,
    ) -> Sequence[Sequence[Any]]:
        def read(client: Client) -> Sequence[Sequence[Any]]:
            for one in self._before:
                client.command(one)
            answer = client.query(statement, parameters, column_formats=formats, column_oriented=True)
            return answer.result_columns

        return await self._pool.run(read)
