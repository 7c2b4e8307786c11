"""Where the aggregator's blocks go: one INSERT and one part each, dropped when its token is known."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, Literal

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.arrow import arrow_file, arrow_table
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.rollup_sql import METERED_STRUCTURE, MetricVersionKey, insert_rollups
from meterhouse.adapters.clickhouse.staging import Staging
from meterhouse.domain.block import (
    Block,
    FirstSeenColumns,
    IdentityColumns,
    MeteredColumns,
    RepeatColumns,
    Rows,
    Seen,
    Table,
)
from meterhouse.domain.event import IdHash
from meterhouse.domain.instant import month_start
from meterhouse.ports.log import Bounds

# No INSERT runs longer, whoever waits for it; the exactly-once protocol builds on that.
INSERT_TIME_LIMIT: Final = timedelta(seconds=60)

_UNBOUNDED: Final = 1 << 40
_INSERT_SETTINGS: Final[Mapping[str, int | str]] = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "max_execution_time": int(INSERT_TIME_LIMIT.total_seconds()),
    "timeout_overflow_mode": "throw",
    "timeout_before_checking_execution_speed": 0,  # the limit is by the clock, not by an estimate
    # One block and one part, whatever its size: a part is what lands whole or not at all.
    "max_insert_block_size": _UNBOUNDED,
    "min_insert_block_size_rows": _UNBOUNDED,
    "min_insert_block_size_bytes": _UNBOUNDED,
    "max_insert_threads": 1,
    "max_threads": 2,
    # Merging equal keys before the part is written costs a third of the INSERT, and blocks have none.
    "optimize_on_insert": 0,
}

_FIND: Final = """
SELECT id_hash, log_partition, log_offset, payload_hash FROM {event_ids}
WHERE id_hash IN (SELECT id_hash FROM {{staged}})
"""
_HASHES: Final = "id_hash UInt128"
_MARKED: Final = """
SELECT count() FROM {table}
WHERE namespace = '' AND billable_metric_id = '' AND version = 0 AND subject = {{stream:String}}
  AND {time} = fromUnixTimestamp64Micro({{start:Int64}}, 'UTC') AND log_offset >= {{mark:UInt64}}
"""
_PLACED: Final = """
SELECT count() FROM {table} WHERE log_partition = {{partition:UInt32}} AND log_offset = {{offset:UInt64}}
"""
_HELD: Final = """
SELECT count(), min(log_offset), max(log_offset) FROM {table}
WHERE log_partition = {{partition:UInt32}} AND log_offset >= {{start:UInt64}}
"""
_IDENTIFIED: Final = """
SELECT count() FROM {table}
WHERE id_hash = {{id_hash:UInt128}}
  AND log_partition = {{partition:UInt32}} AND log_offset = {{offset:UInt64}}
"""
_DROP: Final = """
DELETE FROM {table}{on_cluster} WHERE namespace = {{namespace:String}}
  AND billable_metric_id = {{billable_metric_id:String}} AND version = {{version:UInt32}}
"""


# Months of one batch that are laid out once; late events rarely spread further.
_KEPT: Final = 4


@dataclass(frozen=True, slots=True)
class _Built:
    """A block's rows as an Arrow file; `rows` is held so that its id stays its own."""

    rows: Rows
    columns: Sequence[str]
    body: bytes


def _latest_of(rows: Rows) -> set[MetricVersionKey]:
    """The metric versions whose rollups keep the newest value."""
    assert isinstance(rows, MeteredColumns), "only metered events are rolled up"
    return {(group.billable_metric_id, group.version) for group in rows.groups if group.shows_latest}


async def empty_tables(pool: ClickHousePool) -> None:
    """Delete every block of every table, tokens and marks with them, on every shard."""

    def empty(client: Client) -> None:
        for table in Table:
            client.command(f"TRUNCATE TABLE {pool.tables.own(table)}{pool.tables.on_cluster} SYNC")

    await pool.run(empty)


class ClickHouseBlocks:
    """A BlockStore over a pool whose database is migrated."""

    def __init__(self, pool: ClickHousePool) -> None:
        self._pool = pool
        self._tables = pool.tables
        self._staging = Staging(pool)
        # Less than half the bytes on the wire for 0.15 µs an event; a local file is read as fast without.
        self._compression: Literal["lz4"] | None = "lz4" if pool.folder is None else None
        # metered_events and the rollups take the same rows, so they are laid out once for both.
        self._built: OrderedDict[int, _Built] = OrderedDict()

    async def find(self, id_hashes: Sequence[IdHash]) -> Mapping[IdHash, Seen]:
        """See BlockStore. One query, whatever the number of hashes, over every shard."""
        return await self._pool.run(lambda client: self._find(client, id_hashes)) if id_hashes else {}

    async def insert(self, block: Block, token: str) -> None:
        """See BlockStore. On the server it ends, one way or the other, within INSERT_TIME_LIMIT."""
        await self._pool.run(lambda client: self._insert(client, block, token))

    async def landed(self, block: Block) -> bool:
        """See BlockStore. On a cluster its replica first catches up with what its shard accepted."""
        return await self._pool.run(lambda client: self._landed(client, block))

    async def held(self, partition: int, start: int) -> Bounds:
        """See BlockStore."""
        parameters = {"partition": partition, "start": start}

        def look(client: Client) -> Bounds:
            found = [
                self._asked(client, table, _HELD, parameters) for table in (Table.EVENTS, Table.EVENT_REPEATS)
            ]
            some = [(first, last) for count, first, last in found if count]
            firsts, lasts = zip(*some, strict=True) if some else ((start,), (start - 1,))
            return Bounds(min(firsts), max(lasts) + 1)

        return await self._pool.run(look)

    async def drop_version(self, namespace: str, billable_metric_id: str, version: int) -> None:
        """Delete what a retired version counted, on every shard. Doing it again changes nothing."""
        parameters = {"namespace": namespace, "billable_metric_id": billable_metric_id, "version": version}

        def drop(client: Client) -> None:
            for table in (Table.METERED_EVENTS, Table.ROLLUPS):
                statement = _DROP.format(table=self._tables.own(table), on_cluster=self._tables.on_cluster)
                client.command(statement, parameters=parameters)

        await self._pool.run(drop)

    def _insert(self, client: Client, block: Block, token: str) -> None:
        built = self._layout(block)
        table = self._tables.own(block.table)
        settings = {**_INSERT_SETTINGS, **self._tables.insert_settings(block.table)}
        settings["insert_deduplication_token"] = token
        if block.table is Table.ROLLUPS:
            rollups = partial(insert_rollups, table, settings=settings, latest_of=_latest_of(block.rows))
            self._staging.insert_select(client, rollups, built.body, METERED_STRUCTURE)
            self._built.pop(id(block.rows), None)
        else:
            self._staging.insert(client, table, built.columns, built.body, settings)

    def _find(self, client: Client, id_hashes: Sequence[IdHash]) -> Mapping[IdHash, Seen]:
        body = b"".join([id_hash.to_bytes(16, "little") for id_hash in id_hashes])
        statement = _FIND.format(event_ids=self._tables.everywhere(Table.EVENT_IDS))
        rows = self._staging.query(
            client, statement, body, kind="RowBinary", structure=_HASHES, settings=self._tables.look_settings
        )
        found: dict[IdHash, Seen] = {}
        for id_hash, partition, offset, payload_hash in rows:
            earlier = found.get(id_hash)
            if earlier is None or (partition, offset) < (earlier.partition, earlier.offset):
                found[id_hash] = Seen(partition, offset, payload_hash)
        return found

    def _landed(self, client: Client, block: Block) -> bool:
        match block.rows:
            case FirstSeenColumns(events):
                return self._placed(client, block.table, events.partition, block.mark)
            case RepeatColumns(partition):
                return self._placed(client, block.table, partition, block.mark)
            case IdentityColumns(partition, id_hashes, offsets):
                last = {"id_hash": id_hashes[-1], "partition": partition, "offset": offsets[-1]}
                return self._any(client, block.table, _IDENTIFIED, last)
            case MeteredColumns():
                time = "time" if block.table is Table.METERED_EVENTS else "window_start"
                mark = {"stream": block.stream, "start": month_start(block.month), "mark": block.mark}
                return self._any(client, block.table, _MARKED.replace("{time}", time), mark)

    def _placed(self, client: Client, table: Table, partition: int, offset: int) -> bool:
        return self._any(client, table, _PLACED, {"partition": partition, "offset": offset})

    def _any(self, client: Client, table: Table, question: str, parameters: Mapping[str, object]) -> bool:
        (count,) = self._asked(client, table, question, parameters)
        return count > 0

    def _asked(
        self, client: Client, table: Table, question: str, parameters: Mapping[str, object]
    ) -> Sequence[int]:
        for statement in self._tables.before_look(table):
            client.command(statement)
        row: Sequence[int]
        asked = question.format(table=self._tables.own(table))
        [row] = client.query(asked, parameters=dict(parameters)).result_rows
        return row

    def _layout(self, block: Block) -> _Built:
        kept = self._built.get(id(block.rows))
        if kept is not None:
            return kept
        table = arrow_table(block)
        built = _Built(block.rows, table.column_names, arrow_file(table, self._compression))
        if isinstance(block.rows, MeteredColumns):
            self._built[id(block.rows)] = built
            if len(self._built) > _KEPT:
                self._built.popitem(last=False)
        return built
