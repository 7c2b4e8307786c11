"""`meterhouse check`: tables that agree are clean, and each way of disagreeing is found and named."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.reconcile import Difference, missing_offsets, reconcile
from meterhouse.adapters.clickhouse.rollup_sql import insert_rollups
from meterhouse.domain.billable_metric import Aggregation, Definition

ONE = Definition(billable_metric_id="bm_1", version=1, namespace="org_1", aggregation=Aggregation.LATEST)
COUNTED = Definition(billable_metric_id="bm_2", version=4, namespace="org_1", aggregation=Aggregation.COUNT)

# 60 events, 25 s apart; the first metric counts values and hashes, the second only counts.
FILL = [
    """
    INSERT INTO events SELECT 0, number, number * 7 + 1, 'org_1', 'api', toString(number), 'call',
        'cus', '', '',
        toDateTime64('2026-05-01 10:50:00', 6, 'UTC') + number * 25, now64(6), '{}', '{}',
        'counted'
    FROM numbers(60)
    """,
    "INSERT INTO event_ids SELECT id_hash, log_partition, log_offset, 1 FROM events",
    """
    INSERT INTO metered_events SELECT namespace, 'bm_1', 1, subject, '', time, received_at,
        log_partition, log_offset, map('model', if(log_offset % 2, 'a', 'it\\'s')),
        log_offset / 8, log_offset % 5 FROM events
    """,
    """
    INSERT INTO metered_events SELECT namespace, 'bm_2', 4, subject, '', time, received_at, log_partition,
        log_offset, map(), NULL, 0 FROM events
    """,
    "INSERT INTO metered_events (subject, time, log_offset) VALUES ('0', '2026-05-01', 59)",
    "INSERT INTO event_repeats SELECT 1, 0, number, 0, 0, now64(6), '' FROM numbers(60, 5)",
    insert_rollups("rollups", "metered_events", {"max_threads": 2}, [("bm_1", 1)]),
]


async def run(pool: ClickHousePool, *statements: str) -> None:
    def work(client: Client) -> None:
        for statement in statements:
            client.command(statement, settings={"mutations_sync": 1})

    await pool.run(work)


@pytest.mark.anyio
async def test_tables_that_agree_are_clean(clickhouse: ClickHousePool) -> None:
    await run(clickhouse, *FILL)
    found = await reconcile(clickhouse, [ONE, COUNTED])
    assert (found.differences, found.total) == ((), 0)
    assert [
        (one.definition, one.metered_events, set(one.rolled_up.values()), one.differences)
        for one in found.metrics
    ] == [(ONE, 60, {60}, 0), (COUNTED, 60, {60}, 0)]


@pytest.mark.anyio
async def test_empty_tables_are_clean(clickhouse: ClickHousePool) -> None:
    found = await reconcile(clickhouse, [ONE])
    assert (found.differences, found.total, found.metrics[0].rolled_up["DAY"]) == ((), 0, 0)


@dataclass(frozen=True, slots=True)
class Damage:
    """A statement that breaks something, and what must be said of it (parts of each text)."""

    statement: str
    table: str
    key: str
    expected: str
    found: str


BM_1 = "org_1 bm_1 version 1 subject cus external  window 2026-05-01 "
BM_2 = "org_1 bm_2 version 4 subject cus external  window 2026-05-01 "
PLACE_7 = "partition 0 offset 7"
HOUR_1 = "ALTER TABLE rollups UPDATE {} WHERE window_size = 'HOUR' AND version = 1"

DAMAGE = [
    Damage(
        "INSERT INTO rollups SELECT * FROM rollups"
        " WHERE window_size = 'HOUR' AND billable_metric_id = 'bm_2' LIMIT 1",
        "rollups_hour",
        BM_2 + "10:00:00 dimensions {}",
        "count 24",
        "count 48",
    ),
    Damage(
        "ALTER TABLE metered_events DELETE WHERE log_offset = 0 AND version = 4",
        "rollups_minute",
        BM_2 + "10:50:00 dimensions {}",
        "count 2",
        "count 3",
    ),
    Damage(
        "ALTER TABLE rollups DELETE"
        " WHERE window_size = 'MINUTE' AND window_start = '2026-05-01 11:14:00' AND version = 1",
        "rollups_minute",
        BM_1 + "11:14:00 dimensions {'model':'a'}",
        "count 1",
        "count 0",
    ),
    Damage(
        HOUR_1.format("sum = sum + toDecimal256('0.000000000000000001', 18)"),
        "rollups_hour",
        BM_1 + "10:00:00 dimensions {'model':'a'}",
        "sum 18 ",
        "sum 18.000000000000000001",
    ),
    Damage(HOUR_1.format("min = NULL"), "rollups_hour", BM_1, "min 0.125", "min none"),
    Damage(HOUR_1.format("max = 1000"), "rollups_hour", BM_1, "max 2.875", "max 1000"),
    Damage(HOUR_1.format("unique_hashes = [1, 2, 3, 4, 9]"), "rollups_hour", BM_1, "unique 4", "unique 5"),
    Damage(HOUR_1.format("latest = (latest.1, latest.2, 0, 999, 0)"), "rollups_hour", BM_1, ",23,", ",999,"),
    Damage("ALTER TABLE event_ids DELETE WHERE log_offset = 7", "event_ids", PLACE_7, "an entry", "no entry"),
    Damage(
        "INSERT INTO event_ids VALUES (12345, 0, 700, 1)",
        "event_ids",
        "partition 0 offset 700",
        "no entry",
        "an entry",
    ),
    Damage(
        "INSERT INTO event_ids VALUES (8, 0, 700, 1)",
        "event_ids",
        "identity 08",
        "one place",
        "[(0,1),(0,700)]",
    ),
    Damage(
        "INSERT INTO events SELECT * REPLACE ('{1}' AS data) FROM events WHERE log_offset = 7",
        "events",
        PLACE_7,
        "one event",
        "1 identities, 2 contents",
    ),
    Damage(
        "INSERT INTO event_repeats VALUES (1, 0, 7, 0, 0, now64(6), '')",
        "event_repeats",
        PLACE_7,
        "an event or a repeat",
        "both",
    ),
    Damage(
        "INSERT INTO metered_events SELECT * FROM metered_events WHERE log_offset = 7 AND version = 4",
        "metered_events",
        "org_1 bm_2 version 4 " + PLACE_7,
        "counted once",
        "counted 2 times",
    ),
    Damage(
        "ALTER TABLE events DELETE WHERE log_offset = 7",
        "metered_events",
        PLACE_7,
        "an event there",
        "none",
    ),
]


@pytest.mark.anyio
@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.statement)
async def test_a_damaged_row_is_named(clickhouse: ClickHousePool, damage: Damage) -> None:
    await run(clickhouse, *FILL, damage.statement)
    result = await reconcile(clickhouse, [ONE, COUNTED])

    def named(one: Difference) -> bool:
        texts = (damage.key in one.key, damage.expected in one.expected, damage.found in one.found)
        return one.table == damage.table and all(texts)

    assert [one for one in result.differences if named(one)], result.differences
    assert result.total >= len(result.differences)


@pytest.mark.anyio
async def test_more_differences_than_are_listed_are_still_counted(clickhouse: ClickHousePool) -> None:
    await run(clickhouse, "INSERT INTO event_ids SELECT number, 0, number, 1 FROM numbers(250)")
    result = await reconcile(clickhouse, [])
    assert (len(result.differences), result.total) == (100, 250)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("end", "dead", "missing"),
    [
        (65, [], []),
        (60, [], []),
        (70, [], [range(65, 70)]),
        (70, [66, 67, 69, 3], [range(65, 66), range(68, 69)]),
        (70, [65, 66, 67, 68, 69, 70, 99], []),
        (0, [], []),
    ],
)
async def test_offsets_that_nothing_holds_are_missing(
    clickhouse: ClickHousePool, end: int, dead: list[int], missing: list[range]
) -> None:
    await run(clickhouse, *FILL)
    assert await missing_offsets(clickhouse, 0, end, dead) == tuple(missing)
    assert await missing_offsets(clickhouse, 1, 2, []) == (range(2),)


@pytest.mark.anyio
async def test_a_hole_in_the_middle_is_missing(clickhouse: ClickHousePool) -> None:
    await run(clickhouse, *FILL, "ALTER TABLE events DELETE WHERE log_offset IN (0, 7, 8, 20)")
    assert await missing_offsets(clickhouse, 0, 65, {8}) == (range(1), range(7, 8), range(20, 21))
