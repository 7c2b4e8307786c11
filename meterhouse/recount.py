"""Every accepted event folded anew and compared with what `metered_events` holds of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import groupby

from aggregator.metering import fold_stored
from meterhouse.adapters.clickhouse.archive import ClickHouseArchive
from meterhouse.adapters.clickhouse.metered import Version, metered
from meterhouse.adapters.clickhouse.reconcile import Difference
from meterhouse.adapters.cloudevents_json import parse_data
from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.block import MeteredColumns, Table
from meterhouse.domain.event import Facts
from meterhouse.domain.instant import Instant
from meterhouse.stores import Stores

CHUNK = 50_000

Row = tuple[object, ...]


async def recount(stores: Stores, definitions: Sequence[Definition]) -> AsyncIterator[Difference]:
    """Yield each event that a metric version counts otherwise than the fold does now."""
    for partition in await stores.log.partitions():
        archive = ClickHouseArchive(await stores.shards.of(partition))
        end = (await stores.log.bounds(partition)).end
        for start in range(0, end, CHUNK):
            until = min(start + CHUNK, end)
            found = await metered(stores.clickhouse, partition=partition, start=start, until=until)
            types = await archive.types(partition, start, until)
            for (namespace, event_type, _), same in groupby(sorted(definitions, key=_read), key=_read):
                together = list(same)
                facts = Facts()
                if (namespace, event_type) in types:
                    facts = await archive.stored(partition, start, until, of=together[0])
                for definition in together:
                    rows = found.get(Version.of(definition), {})
                    for difference in _compare(definition, partition, _expected(definition, facts), rows):
                        yield difference


def _read(definition: Definition) -> tuple[str, str, Instant]:
    """What the archive goes by: definitions that have it in common look at the same events."""
    return definition.namespace, definition.event_type or "", definition.tombstones.since


def _expected(definition: Definition, facts: Facts) -> Mapping[int, Row]:
    if not facts:
        return {}
    last = facts.offsets[-1]
    blocks = fold_stored(facts, definition, partition=0, stream="", last=last, parse=parse_data)
    expected: dict[int, Row] = {}
    for block in blocks:
        if block.table is Table.METERED_EVENTS and isinstance(block.rows, MeteredColumns):
            for group in block.rows.groups:
                names = group.dimension_names
                texts = map(group.dimensions_of, range(len(group)))
                dimensions = [dict(zip(names, one, strict=True)) for one in texts]
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
