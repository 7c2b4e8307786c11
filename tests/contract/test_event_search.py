"""The UsageReader port: accepted events found and counted, against the same looked for in Python."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.usage import ClickHouseUsage
from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.calendar import windows_in
from meterhouse.domain.disposition import Disposition
from meterhouse.domain.event import Event, id_hash
from meterhouse.domain.event_search import EventCount, EventFilter, EventPlace, EventSearch, EventStatistics
from meterhouse.domain.instant import DAY, HOUR, Instant, to_datetime
from meterhouse.domain.tombstone import Tombstone, Tombstones
from meterhouse.domain.window import Window, WindowSize
from tests.contract.test_usage_reader import event, keep
from tests.fakes_usage import window_in
from tests.metered import METERED_COLUMNS, ODD, T0, definition


@dataclass(frozen=True, slots=True)
class Kept:
    """An event as the test made it up, with the metrics that counted it."""

    event: Event
    counted_by: tuple[Definition, ...]
    repeats: tuple[Instant, ...] = ()


CALLS = replace(definition(Aggregation.COUNT), billable_metric_id="bm_calls", version=2)
LATE_CALLS = replace(CALLS, billable_metric_id="bm_late", event_from=T0 + DAY)
JOBS = replace(CALLS, billable_metric_id="bm_jobs", event_type="job")
DEFINITIONS = (CALLS, LATE_CALLS, JOBS, replace(CALLS, billable_metric_id="bm_none", event_type=None))


def kept_events(seed: int, size: int = 120) -> list[Kept]:
    """Events of two namespaces, received in bursts, some of a type that nothing counts."""
    dice = random.Random(seed)
    found = []
    for number in range(size):
        type = dice.choice(("call", "job", "ping"))
        at = T0 + dice.randrange(3 * DAY)
        made = event(
            f"e{number % 100}",
            namespace=dice.choice(("org_1", "org_1", "org_2")),
            source=f"s{number}",
            at=at,
            subject=dice.choice(("cus_1", "cus_2", ODD)),
        )._replace(type=type, received_at=T0 + number // 7 * HOUR)
        concerned = [one for one in DEFINITIONS if one.event_type == type and at >= (one.event_from or 0)]
        counted = (
            tuple([one for one in concerned if dice.random() < 0.6]) if made.namespace == "org_1" else ()
        )
        repeats = tuple([made.received_at + dice.randrange(DAY) for _ in range(dice.choice((0, 0, 2)))])
        found.append(Kept(made, counted, repeats))
    return found


async def keep_all(pool: ClickHousePool, kept: Sequence[Kept]) -> None:
    await keep(pool, [one.event for one in kept], replace(CALLS, version=1))  # a version that nobody reads
    metered: list[list[object]] = [
        [
            e.namespace, by.billable_metric_id, by.version, e.subject, e.external_subject,
            to_datetime(e.time), to_datetime(e.received_at), 0, offset, {}, None, 0,
        ]
        for offset, (e, counted_by) in enumerate([(one.event, one.counted_by) for one in kept])
        for by in counted_by
    ]  # fmt: skip
    repeats = [
        [id_hash(one.event.namespace, one.event.source, one.event.id), 0, 1000 + 10 * offset + n, 0, offset,
         to_datetime(at), b""]
        for offset, one in enumerate(kept)
        for n, at in enumerate(one.repeats)
    ]  # fmt: skip
    columns = [
        "id_hash",
        "log_partition",
        "log_offset",
        "first_partition",
        "first_offset",
        "received_at",
        "payload",
    ]

    def insert(client: Client) -> None:
        client.insert("metered_events", metered, METERED_COLUMNS)
        for _ in range(2):  # each twice, as before a merge
            client.insert("event_repeats", repeats, columns)

    await pool.run(insert)


def became(one: Kept, filter: EventFilter) -> Disposition:
    e = one.event
    if filter.tombstones.hidden_by(e.subject, e.external_subject, e.received_at) is not None:
        return Disposition.HIDDEN
    if one.counted_by:
        return Disposition.COUNTED
    concerned = any(d.event_type == e.type and e.time >= (d.event_from or 0) for d in DEFINITIONS)
    return Disposition.UNUSABLE if concerned else Disposition.UNMATCHED


def matches(one: Kept, filter: EventFilter, *, whenever: bool = False) -> bool:
    return (
        one.event.namespace == filter.namespace
        and (whenever or one.event.received_at in filter.received)
        and one.event.time in filter.time
        and all(getattr(one.event, name) in texts for name, texts in filter.texts.items())
        and filter.disposition in (None, became(one, filter))
        and filter.counted_by in (None, *one.counted_by)
    )


# Over some of those that came under a subject, or under an external one; then over all, and once more.
PLACED = Tombstones.of(
    [
        Tombstone(T0 + HOUR, ("cus_1", "")),
        Tombstone(T0 + 4 * HOUR),
        Tombstone(T0 + 9 * HOUR, (ODD, "")),
        Tombstone(T0 + 11 * HOUR, ("", "acme")),
    ]
)
BY_DAY = Window(T0 + 5 * HOUR, T0 + 11 * HOUR)
EVENT_FILTERS: list[dict[str, Any]] = [
    {},
    {"texts": {"type": ("call", "job")}},
    {"texts": {"subject": (ODD,), "source": tuple(f"s{i}" for i in range(60))}},
    {"texts": {"id": ("e7",)}},
    {"texts": {"external_subject": ("",), "external_id": ("none",)}},
    {"received": BY_DAY, "time": Window(T0 + HOUR, T0 + 2 * DAY)},
    {"counted_by": LATE_CALLS},
    *[{"disposition": one} for one in Disposition],
    *[{"disposition": one, "tombstones": PLACED} for one in (None, *Disposition)],
    {"disposition": Disposition.HIDDEN, "tombstones": Tombstones.of([Tombstone(T0 + 8 * HOUR)])},
    {"disposition": Disposition.UNUSABLE, "received": BY_DAY, "texts": {"type": ("call",)}},
]


@pytest.mark.anyio
async def test_events_are_found_by_what_they_are_and_became(clickhouse: ClickHousePool) -> None:
    kept = kept_events(seed=1)
    await keep_all(clickhouse, kept)
    reader = ClickHouseUsage(clickhouse)
    for changes in EVENT_FILTERS:
        filter = EventFilter(namespace="org_1", definitions=DEFINITIONS, **changes)
        places = [
            EventPlace(one.event.received_at, 0, offset)
            for offset, one in enumerate(kept)
            if matches(one, filter)
        ]
        expected = sorted(places, reverse=True)
        found: list[EventPlace] = []
        while True:
            before = found[-1] if found else None
            page = await reader.search(EventSearch(filter=filter, before=before, limit=9))
            for stored in page:
                offset = stored.position.offset - 1
                assert stored.event == kept[offset].event
                assert stored.repeat_count == len(kept[offset].repeats)
                found.append(EventPlace(stored.event.received_at, 0, offset))
            if len(page) < 9:
                break
        assert found == expected, changes


@pytest.mark.anyio
@pytest.mark.parametrize("windows", [None, WindowSize.HOUR, "Asia/Kolkata"])
async def test_events_are_counted_by_type_and_disposition(
    clickhouse: ClickHousePool, windows: WindowSize | str | None
) -> None:
    kept = kept_events(seed=2)
    await keep_all(clickhouse, kept)
    reader = ClickHouseUsage(clickhouse)
    size = windows if isinstance(windows, WindowSize) else None
    zoned = isinstance(windows, str) and size is None
    local = windows_in(WindowSize.DAY, ZoneInfo(str(windows)), Window(T0, T0 + 9 * DAY)) if zoned else ()
    for changes in EVENT_FILTERS:
        filter = EventFilter(namespace="org_1", definitions=DEFINITIONS, **changes)
        asked = EventStatistics(filter=filter, window_size=size, local_windows=local)
        counts: Counter[tuple[Window | None, str, str]] = Counter()
        for one in kept:
            if matches(one, filter):
                counts[window_in(asked, one.event.received_at), one.event.type, became(one, filter)] += 1
            if matches(one, filter, whenever=True) and filter.disposition is None:
                for at in one.repeats:
                    if at in filter.received:
                        counts[window_in(asked, at), one.event.type, "duplicate"] += 1
        expected = [EventCount(*key, number) for key, number in counts.items()]
        expected.sort(key=lambda one: (one.window or Window(0, 0), one.type, one.disposition))
        assert await reader.count(asked) == tuple(expected), changes
