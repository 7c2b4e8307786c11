"""Accepted events read back, to be counted again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.domain.block import Table
from meterhouse.ports import StoredRow

# Times come as integers, because a datetime for each costs more than the rest of the row.
_STORED: Final = """
SELECT
    log_offset, id_hash, namespace, type, subject, external_subject,
    toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received_at), data
FROM {events}
WHERE log_partition = {{partition:UInt32}}
  AND log_offset >= {{start:UInt64}} AND log_offset < {{until:UInt64}}
ORDER BY log_offset
LIMIT 1 BY log_offset
LIMIT {{limit:UInt64}}
"""


class ClickHouseArchive:
    """An EventArchive over a pool whose database is migrated."""

    def __init__(self, pool: ClickHousePool) -> None:
        self._pool = pool
        # A backfill counts what it reads: on a cluster, its replica first catches up with its shard.
        self._before = pool.tables.before_look(Table.EVENTS)
        self._stored = _STORED.format(events=pool.tables.own(Table.EVENTS))

    async def stored(self, partition: int, start: int, until: int, limit: int) -> Sequence[StoredRow]:
        """See EventArchive."""
        parameters = {"partition": partition, "start": start, "until": until, "limit": limit}

        def read(client: Client) -> Sequence[StoredRow]:
            for statement in self._before:
                client.command(statement)
            answer = client.query(self._stored, parameters=parameters, column_formats={"data": "bytes"})
            return [StoredRow(*row) for row in answer.result_rows]

        return await self._pool.run(read)
