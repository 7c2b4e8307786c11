"""Every accepted event folded anew and compared with what `metered_events` holds of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from aggregator.metering import fold_stored
from meterhouse.adapters.clickhouse.archive import ClickHouseArchive
from meterhouse.adapters.clickhouse.metered import metered
from meterhouse.adapters.clickhouse.reconcile import Difference
from meterhouse.adapters.cloudevents_json import parse_data
from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.block import MeteredColumns, Table
from meterhouse.ports import StoredRow
from meterhouse.stores import Stores

CHUNK = 50_000

Row = tuple[object, ...]


async def recount(stores: Stores, definitions: Sequence[Definition]) -> AsyncIterator[Difference]:
    """Yield each event that a metric version counts otherwise than the fold does now."""
    for partition in await stores.log.partitions():
        archive = ClickHouseArchive(await stores.shards.of(partition))
        end = (await stores.log.bounds(partition)).end
        start = 0
        while start < end:
            rows = await archive.stored(partition, start, end, CHUNK)
            until = rows[-1].offset + 1 if len(rows) == CHUNK else end
            for definition in definitions:
                found = await metered(
                    stores.clickhouse, definition, partition=partition, start=start, until=until
                )
                for difference in _compare(definition, partition, _expected(definition, rows), found):
                    yield difference
            start = until


def _expected(definition: Definition, rows: Sequence[StoredRow]) -> Mapping[int, Row]:
    if not rows or definition.event_type is None:
        return {}
    last = rows[-1].offset
    blocks = fold_stored(rows, definition, partition=0, stream="", last=last, parse=parse_data)
    expected: dict[int, Row] = {}
    for block in blocks:
        if block.table is Table.METERED_EVENTS and isinstance(block.rows, MeteredColumns):
            for group in block.rows.groups:
                dimensions = [list(group.dimensions_of(row)) for row in range(len(group))]
                columns = (group.subjects, group.external_subjects, group.times, group.values)
                expected |= dict(
                    zip(
                        group.offsets,
                        zip(*columns, group.unique_hashes, dimensions, strict=True),
                        strict=True,
                    )
                )
    return expected


def _compare(
    definition: Definition, partition: int, expected: Mapping[int, Row], found: Mapping[int, Row]
) -> Iterator[Difference]:
    for offset in sorted(expected.keys() | found.keys()):
        should, does = expected.get(offset), found.get(offset)
        if should != does:
            counted_by = f"{definition.billable_metric_id} version {definition.version}"
            key = f"{counted_by} partition {partition} offset {offset}"
            yield Difference(Table.METERED_EVENTS, key, _text(should), _text(does))


def _text(row: Row | None) -> str:
    return "not counted" if row is None else f"counted as {', '.join(map(str, row))}"
