"""Whose usage changed, read from the events as they lie in the log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from meterhouse.adapters.clickhouse.binding import Binding
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.ports.usage import Changed

# The key's order is the log's, so that only the span is read. An external subject alone is kept as that.
_STATEMENT: Final = """
SELECT DISTINCT namespace, subject, if(subject = '', external_subject, '') AS external
FROM events
WHERE log_partition = {partition} AND log_offset >= {start} AND log_offset < {end}
    AND namespace IN {namespaces}
"""


class ClickHouseNews:
    """Implements UsageNews."""

    def __init__(self, pool: ClickHousePool) -> None:
        self._pool = pool

    async def changed(
        self, partition: int, start: int, end: int, namespaces: Collection[str]
    ) -> Sequence[Changed]:
        binding = Binding()
        text = _STATEMENT.format(
            partition=binding.bind(partition, "UInt32"),
            start=binding.bind(start, "UInt64"),
            end=binding.bind(end, "UInt64"),
            namespaces=binding.bind(sorted(namespaces), "Array(String)"),
        )
        rows = await self._pool.run(lambda client: client.query(text, binding.parameters).result_rows)
        return sorted(Changed(*row) for row in rows)
