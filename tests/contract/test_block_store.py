"""The BlockStore contract, on real ClickHouse."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from meterhouse.adapters.clickhouse.archive import ClickHouseArchive
from meterhouse.adapters.clickhouse.blocks import ClickHouseBlocks, empty_tables
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.news import ClickHouseNews
from meterhouse.adapters.clickhouse.rollup_sql import OVERALL, rollups_of
from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.block import (
    Block,
    FirstSeenColumns,
    IdentityColumns,
    MeteredColumns,
    MeteredGroup,
    RepeatColumns,
    Seen,
    Table,
)
from meterhouse.domain.event import EventColumns, Facts, IdHash, id_hash
from meterhouse.domain.instant import HOUR, MINUTE, SECOND, Instant, month_of, parse
from meterhouse.domain.rollup import Latest, RollupState
from meterhouse.domain.tombstone import Tombstone, Tombstones
from meterhouse.domain.window import WindowSize
from meterhouse.ports.log import Bounds
from meterhouse.ports.usage import Changed
from tests.metered import definition

pytestmark = pytest.mark.anyio

NOON = parse("2026-05-01T12:00:00Z")
HUGE = Decimal(10**20) - 1
BY_MONTH = (Table.METERED_EVENTS, Table.ROLLUPS)
Row = Sequence[Any]


@pytest.fixture
def store(clickhouse: ClickHousePool) -> ClickHouseBlocks:
    return ClickHouseBlocks(clickhouse)


async def rows_of(clickhouse: ClickHousePool, question: str) -> Sequence[Row]:
    return await clickhouse.run(lambda client: client.query(question).result_rows)


def group(
    *,
    times: Sequence[Instant],
    values: Sequence[Decimal | None],
    metric: str = "bm_1",
    version: int = 1,
    names: tuple[str, ...] = (),
    dimensions: Sequence[tuple[str, ...]] | None = None,
    hashes: Sequence[IdHash] | None = None,
    subjects: Sequence[str] | None = None,
    first: int = 0,
    shows_latest: bool = False,
) -> MeteredGroup:
    size = len(times)
    return MeteredGroup(
        "org_a",
        metric,
        version,
        names,
        list(subjects or ["cus_1"] * size),
        [""] * size,
        list(times),
        [NOON + HOUR] * size,
        list(range(first, first + size)),
        [list(column) for column in zip(*dimensions, strict=True)] if dimensions else [],
        list(values),
        list(hashes or [0] * size),
        shows_latest,
    )


def metered(*groups: MeteredGroup, table: Table = Table.METERED_EVENTS, mark: int = 99) -> Block:
    return Block(table, "0", month_of(groups[0].times[0]), mark, MeteredColumns(0, groups))


def first_seen(
    size: int, *, first: int = 0, type: str = "ai.request", subject: str = "cus_1", external_subject: str = ""
) -> Block:
    events = EventColumns(
        0,
        offsets=list(range(first, first + size)),
        id_hashes=[id_hash("org_a", "api", f"e{number}") for number in range(first, first + size)],
        payload_hashes=[number + 7 for number in range(first, first + size)],
        namespaces=["org_a"] * size,
        sources=["api"] * size,
        ids=[f"e{number}" for number in range(first, first + size)],
        types=[type] * size,
        subjects=[subject] * size,
        external_subjects=[external_subject] * size,
        external_ids=[""] * size,
        times=[NOON + number for number in range(first, first + size)],
        received_ats=[NOON + SECOND + number for number in range(first, first + size)],
        data=['{"città":"Zürich"}'.encode()] * size,
        attributes=[b"{}"] * size,
    )
    return Block(Table.EVENTS, "0", 0, first + size - 1, FirstSeenColumns(events, ["counted"] * size))


def identities(*, partition: int, offsets: Sequence[int], hashes: Sequence[IdHash]) -> Block:
    rows = IdentityColumns(partition, list(hashes), list(offsets), [hash_ % 2**64 for hash_ in hashes])
    return Block(Table.EVENT_IDS, str(partition), 0, offsets[-1], rows)


def repeats(*, offset: int) -> Block:
    rows = RepeatColumns(0, [5], [offset], [0], [1], [NOON], [b'{"id":"e1"}'])
    return Block(Table.EVENT_REPEATS, "0", 0, offset, rows)


def one_of_each() -> Iterator[Block]:
    rows = group(times=[NOON, NOON + 1], values=[Decimal("1.5"), Decimal(2)])
    yield repeats(offset=3)
    yield first_seen(3)
    for table in BY_MONTH:
        yield metered(rows, table=table)
    yield identities(partition=0, offsets=[4, 5], hashes=[2**128 - 1, 17])


@pytest.mark.parametrize("block", list(one_of_each()), ids=lambda block: str(block.table))
async def test_a_block_lands_once_however_often_it_is_inserted(
    store: ClickHouseBlocks, clickhouse: ClickHousePool, block: Block
) -> None:
    assert not await store.landed(block)
    await store.insert(block, "token")
    assert await store.landed(block)
    before = await rows_of(clickhouse, f"SELECT * FROM {block.table} ORDER BY ALL")
    await store.insert(block, "token")
    assert await rows_of(clickhouse, f"SELECT * FROM {block.table} ORDER BY ALL") == before


@pytest.mark.parametrize("table", BY_MONTH)
async def test_a_mark_proves_its_own_stream_month_and_everything_before(
    store: ClickHouseBlocks, table: Table
) -> None:
    block = metered(group(times=[NOON], values=[Decimal(1)]), table=table, mark=99)
    await store.insert(block, "token")
    assert await store.landed(replace(block, mark=98))
    assert not await store.landed(replace(block, mark=100))
    assert not await store.landed(replace(block, month=202606))
    assert not await store.landed(replace(block, stream="0/bm_1/2"))


async def test_emptied_tables_take_the_same_blocks_under_the_same_tokens(
    store: ClickHouseBlocks, clickhouse: ClickHousePool
) -> None:
    async def everything() -> list[Sequence[Row]]:
        return [await rows_of(clickhouse, f"SELECT * FROM {table} ORDER BY ALL") for table in Table]

    for block in one_of_each():
        await store.insert(block, f"token of {block.table} {block.month}")
    before = await everything()
    assert all(before)
    await empty_tables(clickhouse)
    assert not any(await everything())
    for block in one_of_each():
        assert not await store.landed(block)
        await store.insert(block, f"token of {block.table} {block.month}")
    assert await everything() == before


async def test_a_mark_at_offset_0_is_told_from_none(store: ClickHouseBlocks) -> None:
    block = metered(group(times=[NOON], values=[None]), table=Table.ROLLUPS, mark=0)
    assert not await store.landed(block)
    await store.insert(block, "token")
    assert await store.landed(block)


async def test_every_block_is_one_part_even_when_it_is_large(
    store: ClickHouseBlocks, clickhouse: ClickHousePool
) -> None:
    times = [NOON + number * 72_000 for number in range(50_000)]
    subjects = [f"cus_{number % 1000}" for number in range(50_000)]
    groups = [
        group(
            times=times,
            values=[Decimal(number) for number in range(50_000)],
            metric=f"bm_{metric}",
            names=("model", "region"),
            dimensions=[(f"m{number % 7}", f"r{number % 11}") for number in range(50_000)],
            subjects=subjects,
        )
        for metric in range(6)
    ]
    events = first_seen(50_000)
    assert isinstance(events.rows, FirstSeenColumns)
    columns = events.rows.events
    blocks = [
        events,
        *(metered(*groups, table=table) for table in BY_MONTH),
        identities(partition=0, offsets=columns.offsets, hashes=columns.id_hashes),
    ]
    for block in blocks:
        await store.insert(block, "token")
    parts = await rows_of(
        clickhouse,
        "SELECT table, min_block_number, max_block_number, level FROM system.parts"
        " WHERE database = currentDatabase() AND active AND table != 'schema_migrations' ORDER BY table",
    )
    assert parts == [(table, 1, 1, 0) for table in sorted(block.table for block in blocks)]
    assert await rows_of(clickhouse, "SELECT count() FROM metered_events") == [(300_001,)]


async def test_months_are_partitions_of_their_own(
    store: ClickHouseBlocks, clickhouse: ClickHousePool
) -> None:
    for time in ("2026-01-31T23:59:59.999999Z", "2026-02-01T00:00:00Z"):
        block = metered(group(times=[parse(time)], values=[Decimal(1)]))
        await store.insert(block, f"token:{block.month}")
    found = await rows_of(
        clickhouse,
        "SELECT partition FROM system.parts WHERE database = currentDatabase() AND active"
        " AND table = 'metered_events' ORDER BY partition",
    )
    assert found == [("202601",), ("202602",)]


async def test_metered_events_come_back_as_they_went_in(
    store: ClickHouseBlocks, clickhouse: ClickHousePool
) -> None:
    values = [Decimal("-0.000000000000000001"), HUGE, Decimal("1E+3"), None]
    dimensions = [("", "naïve"), ("m", "r"), ("", "naïve"), ("m", "")]
    rows = group(
        times=[NOON + number for number in range(4)],
        values=values,
        names=("model", "region"),
        dimensions=dimensions,
        hashes=[0, 1, 2**64, 2**128 - 1],
    )
    await store.insert(metered(rows), "token")
    found = await rows_of(
        clickhouse,
        "SELECT toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(received_at), log_offset, dimensions,"
        " value, unique_hash FROM metered_events WHERE namespace = 'org_a' ORDER BY time",
    )
    assert found == [
        (
            NOON + number,
            NOON + HOUR,
            number,
            dict(zip(("model", "region"), dimension, strict=True)),
            value,
            hash_,
        )
        for number, (dimension, value, hash_) in enumerate(
            zip(dimensions, values, rows.unique_hashes, strict=True)
        )
    ]


def awkward_groups() -> tuple[MeteredGroup, ...]:
    numbers = [
        HUGE,
        HUGE,
        HUGE,
        HUGE,
        HUGE,
        -HUGE,
        Decimal("0.000000000000000001"),
        Decimal(-3),
        Decimal("2.50"),
    ]
    size = 300
    times = [NOON + (number * 37 % 180) * MINUTE + number % 3 for number in range(size)]
    dimensions = [(f"m{number % 3}", "") for number in range(size)]
    return (
        group(
            shows_latest=True,
            times=times,
            values=[numbers[number % len(numbers)] for number in range(size)],
            metric="bm_sum",
            names=("model", "region"),
            dimensions=dimensions,
            subjects=[f"cus_{number % 4}" for number in range(size)],
        ),
        group(
            times=[NOON] * 3,
            values=[Decimal(-1), Decimal(-5), Decimal(-2)],
            metric="bm_tie",
            shows_latest=True,
        ),
        group(times=times, values=[None] * size, metric="bm_count"),
        group(
            times=times,
            values=[None] * size,
            metric="bm_unique",
            hashes=[2**128 - 1 - number % 17 for number in range(size)],
        ),
        group(times=[NOON] * 5, values=[HUGE] * 5, metric="bm_huge"),
    )


def recomputed(groups: Iterable[MeteredGroup], size: str) -> dict[tuple[object, ...], RollupState]:
    """The rollups by the domain's own rules, one event at a time."""
    start_of = (WindowSize.HOUR if size == OVERALL else WindowSize(size)).window_of
    states: defaultdict[tuple[object, ...], RollupState] = defaultdict(RollupState)
    for rows in groups:
        for row, time in enumerate(rows.times):
            value = rows.value_of(row)
            dimensions = tuple(zip(rows.dimension_names, rows.dimensions_of(row), strict=True))
            subject = "" if size == OVERALL else rows.subjects[row]
            key = (rows.billable_metric_id, subject, start_of(time).start, dimensions)
            latest = (
                Latest(time, rows.received_ats[row], 0, rows.offsets[row], value)
                if rows.shows_latest and value is not None
                else None
            )
            unique = frozenset(filter(None, [rows.unique_hashes[row]]))
            one = RollupState(1, value or Decimal(0), value, value, latest, unique)
            states[key] = states[key].merge(one)
    return dict(states)


@pytest.mark.parametrize("size", [WindowSize.MINUTE, WindowSize.HOUR, WindowSize.DAY, OVERALL])
async def test_rollups_hold_what_the_domain_computes(
    store: ClickHouseBlocks, clickhouse: ClickHousePool, size: str
) -> None:
    groups = awkward_groups()
    # In two blocks, so that the table's own merging is part of what is compared.
    await store.insert(metered(*groups[:1], table=Table.ROLLUPS, mark=1), "first")
    moved = [replace(rows, offsets=[offset + 1000 for offset in rows.offsets]) for rows in groups]
    await store.insert(metered(*moved, table=Table.ROLLUPS, mark=2), "second")
    await clickhouse.run(lambda client: client.command("OPTIMIZE TABLE rollups FINAL"))
    found = await rows_of(
        clickhouse,
        "SELECT billable_metric_id, subject, toUnixTimestamp(window_start) * 1000000, dimensions, count, sum,"
        " min, max, toUnixTimestamp64Micro(latest.at), toUnixTimestamp64Micro(latest.received_at),"
        " latest.log_partition, latest.log_offset, latest.value, unique_hashes, log_offset"
        f" FROM rollups WHERE namespace = 'org_a' AND window_size = '{size}'",
    )
    states = {
        (metric, subject, start, tuple(dimensions.items())): RollupState(
            count,
            sum_,
            min_,
            max_,
            None if latest[0] == 0 else Latest(*latest),
            frozenset(unique),
        )
        for metric, subject, start, dimensions, count, sum_, min_, max_, *latest, unique, _ in found
    }
    assert len(states) == len(found)
    assert states == recomputed([*groups[:1], *moved], size)
    assert {row[-1] for row in found} == {0}
    marks = await rows_of(
        clickhouse, f"SELECT subject, count, log_offset FROM {rollups_of(size)} WHERE namespace = ''"
    )
    assert marks == [("0", 0, 2)]


async def test_the_newest_value_is_kept_by_the_version_that_shows_it(
    store: ClickHouseBlocks, clickhouse: ClickHousePool
) -> None:
    both = [
        group(times=[NOON], values=[Decimal(5)], version=version, shows_latest=version == 2)
        for version in (1, 2)
    ]
    await store.insert(metered(*both, table=Table.ROLLUPS), "token")
    kept = "SELECT DISTINCT version, latest.value FROM rollups WHERE namespace != '' ORDER BY version"
    assert await rows_of(clickhouse, kept) == [(1, Decimal(0)), (2, Decimal(5))]


async def test_the_first_place_of_an_identity_is_found(store: ClickHouseBlocks) -> None:
    twice, once, never = id_hash("org_a", "api", "twice"), id_hash("org_a", "api", "once"), 12345
    await store.insert(identities(partition=1, offsets=[7, 8], hashes=[twice, once]), "a")
    await store.insert(identities(partition=1, offsets=[3], hashes=[twice]), "b")
    await store.insert(identities(partition=2, offsets=[1], hashes=[twice]), "c")
    assert await store.find([twice, once, never]) == {
        twice: Seen(1, 3, twice % 2**64),
        once: Seen(1, 8, once % 2**64),
    }
    assert await store.find([]) == {}


async def test_a_whole_batch_of_identities_is_found_at_once(store: ClickHouseBlocks) -> None:
    hashes = [id_hash("org_a", "api", str(number)) for number in range(50_000)]
    await store.insert(identities(partition=0, offsets=range(50_000), hashes=hashes), "a")
    found = await store.find(hashes)
    assert found == {hash_: Seen(0, offset, hash_ % 2**64) for offset, hash_ in enumerate(hashes)}


async def test_records_are_held_by_events_or_repeats(store: ClickHouseBlocks) -> None:
    assert await store.held(0, 0) == Bounds(0, 0)
    await store.insert(first_seen(2), "a")
    assert await store.held(0, 0) == Bounds(0, 2)
    await store.insert(repeats(offset=3), "b")
    assert [await store.held(0, start) for start in range(5)] == [
        Bounds(0, 4),
        Bounds(1, 4),
        Bounds(3, 4),
        Bounds(3, 4),
        Bounds(4, 4),
    ]
    assert await store.held(1, 0) == Bounds(0, 0)


async def test_dropping_a_version_leaves_every_other_row(
    store: ClickHouseBlocks, clickhouse: ClickHousePool
) -> None:
    groups = [
        group(times=[NOON], values=[Decimal(1)], version=1),
        group(times=[NOON], values=[Decimal(1)], version=2),
        group(times=[NOON], values=[Decimal(1)], version=1, metric="bm_2"),
    ]
    for table in BY_MONTH:
        await store.insert(metered(*groups, table=table), "token")
    for _ in range(2):
        await store.drop_version("org_a", "bm_1", 1)
        for table in BY_MONTH:
            kept = await rows_of(
                clickhouse, f"SELECT DISTINCT billable_metric_id, version FROM {table} ORDER BY ALL"
            )
            assert kept == [("", 0), ("bm_1", 2), ("bm_2", 1)]
            assert await store.landed(metered(*groups, table=table))


async def test_stored_events_of_a_type_are_read_by_offset(
    store: ClickHouseBlocks, clickhouse: ClickHousePool
) -> None:
    await store.insert(first_seen(5), "a")
    await store.insert(first_seen(1), "a lost token")  # the same place twice is one event
    await store.insert(first_seen(2, first=5, type="other", subject="", external_subject="ext_1"), "b")
    await store.insert(first_seen(2, first=7, external_subject="ext_1"), "c")
    archive = ClickHouseArchive(clickhouse)
    of = replace(definition(Aggregation.COUNT, "org_a"), event_type="ai.request")

    def facts(*offsets: int, subject: str = "cus_1", alias: str = "") -> Facts:
        return Facts(
            offsets=list(offsets),
            id_hashes=[id_hash("org_a", "api", f"e{offset}") for offset in offsets],
            subjects=[subject] * len(offsets),
            aliases=[alias] * len(offsets),
            times=[NOON + offset for offset in offsets],
            received_ats=[NOON + SECOND + offset for offset in offsets],
            data=['{"città":"Zürich"}'.encode()] * len(offsets),
        )

    assert await archive.stored(0, 0, 100, of=of, limit=3) == facts(0, 1, 2)
    assert await archive.stored(0, 3, 8, of=of) == facts(3, 4, 7)  # known by its subject, it has no alias
    assert await archive.stored(0, 1, 2, of=of) == facts(1)
    assert await archive.stored(1, 0, 100, of=of) == Facts()
    other = replace(of, event_type="other")
    assert await archive.stored(0, 0, 100, of=other) == facts(5, 6, subject="", alias="ext_1")
    assert await archive.stored(0, 0, 100, of=replace(of, namespace="org_b")) == Facts()
    assert await archive.stored(0, 0, 100, of=replace(of, event_type=None)) == Facts()
    buried = replace(of, tombstones=Tombstones.of([Tombstone(NOON + SECOND + 2)]))
    assert await archive.stored(0, 0, 100, of=buried, limit=2) == facts(2, 3)


async def test_news_tell_of_whom_the_events_of_a_span_are(
    store: ClickHouseBlocks, clickhouse: ClickHousePool
) -> None:
    await store.insert(first_seen(4), "a")
    await store.insert(first_seen(2, first=4, subject="", external_subject="ext_1"), "b")
    await store.insert(first_seen(2, first=6, subject="cus_2", external_subject="ext_2"), "c")
    news = ClickHouseNews(clickhouse)
    one, external, other = (
        Changed("org_a", "cus_1", ""),
        Changed("org_a", "", "ext_1"),
        Changed("org_a", "cus_2", ""),  # known by its subject, it is of nobody else
    )
    assert await news.changed(0, 0, 8, ["org_a", "org_b"]) == [external, one, other]
    assert await news.changed(0, 3, 5, ["org_a"]) == [external, one]
    assert await news.changed(0, 4, 4, ["org_a"]) == []
    assert await news.changed(1, 0, 8, ["org_a"]) == []
    assert await news.changed(0, 0, 8, ["org_b"]) == []
