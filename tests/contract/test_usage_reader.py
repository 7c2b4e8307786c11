"""The UsageReader port: ClickHouse's answers against an independent recomputation from the same rows."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.usage import ClickHouseUsage, UsageLimits
from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.calendar import windows_in
from meterhouse.domain.condition import ALWAYS, AllOf, AnyOf, Condition, Not, OneOf, Prefix, holds, one_of
from meterhouse.domain.errors import Invalid
from meterhouse.domain.event import Event, id_hash
from meterhouse.domain.event_search import EventLookup
from meterhouse.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, parse, to_datetime
from meterhouse.domain.matching import plain
from meterhouse.domain.position import Position
from meterhouse.domain.rollup import Latest, Numerals, Reading, RollupState
from meterhouse.domain.usage import (
    Cells,
    DimensionCount,
    EventPageQuestion,
    GroupTotal,
    TextCount,
    TextsQuestion,
    Usage,
    UsageCell,
    UsageQuestion,
)
from meterhouse.domain.window import Window, WindowSize
from tests.fakes_usage import window_in
from tests.metered import (
    LINKS,
    METERED_COLUMNS,
    ODD,
    T0,
    Metered,
    definition,
    metered_events,
    store,
)


def recomputed(question: UsageQuestion, events: Iterable[Metered]) -> Usage:
    """The answer by the definition of usage: every event looked at, one state a cell."""
    total = RollupState()
    cells: dict[tuple[Window | None, tuple[str, ...]], RollupState] = defaultdict(RollupState)
    groups: dict[tuple[str, ...], RollupState] = defaultdict(RollupState)
    for event in events:
        text_of = partial(event.group, links=question.links)
        if event.time not in question.period or not holds(question.condition, text_of):
            continue
        latest = Latest(event.time, event.received_at, 0, event.offset, event.value)
        value = event.value
        state = RollupState(1, value, value, value, latest, frozenset([event.unique]))
        window = window_in(question, event.time)
        group = tuple(map(text_of, question.group_by))
        total = total.merge(state)
        cells[window, group] = cells[window, group].merge(state)
        groups[group] = groups[group].merge(state)
    cell_order = sorted(cells, key=lambda key: (key[0].start if key[0] else 0, key[1]))
    keyed = question.has_windows or bool(question.group_by)
    return Usage(
        total.reading(),
        Cells.of([UsageCell(*key, cells[key].reading()) for key in cell_order] if keyed else []),
        tuple(GroupTotal(key, groups[key].reading()) for key in sorted(groups)) if question.group_by else (),
    )


def shown(aggregation: Aggregation, usage: Usage) -> object:
    """What a reader of that aggregation sees, and the number of events behind each figure."""

    def figures(reading: Reading) -> tuple[int, Decimal]:
        return reading.count, reading.value(aggregation)

    return (
        figures(usage.total),
        [(cell.window, cell.group, figures(cell.reading)) for cell in usage.cells],
        [(total.group, figures(total.reading)) for total in usage.groups],
    )


PERIODS = [
    Window(T0, T0 + 5 * DAY),
    Window(T0 + 30 * MINUTE + 17 * SECOND + 3, T0 + 3 * DAY + 2 * HOUR + 59 * MINUTE + 1),
    Window(T0 + 2 * MINUTE + 1, T0 + 2 * MINUTE + 2 * SECOND),
    Window(T0 + HOUR - 1, T0 + HOUR + 1),
    Window(T0 + 59 * MINUTE, T0 + 2 * HOUR + MINUTE),
    Window(0, parse("2199-12-31T23:59:59.999999Z")),
]
ASKED: list[tuple[tuple[str, ...], Condition]] = [
    ((), ALWAYS),
    (("model",), ALWAYS),
    (("subject", "region"), one_of("model", ODD)),
    (("region",), one_of("subject", "")),
    ((), AllOf((one_of("region", "a"), one_of("model", ""), one_of("subject", "cus_1")))),
    (("model",), one_of("subject", ODD)),
]
CONDITIONS: list[Condition] = [
    one_of("model", "gpt", "", "none"),
    one_of("model"),
    Not(one_of("model", "")),
    Not(one_of("subject", "cus_1", ODD)),
    Prefix("model", "c"),
    Prefix("subject", "o'd"),
    Prefix("model", "%"),
    AnyOf((one_of("region", "a"), AllOf((Prefix("subject", "cus"), Not(one_of("model", "gpt")))))),
    AnyOf(()),
    Not(AllOf(())),
    one_of("subject", "cus_9", ODD),
    one_of("subject", "cus_9", ""),
    OneOf(("subject", "region"), frozenset({("cus_1", "a"), (ODD, "b"), ("", "none")})),
    Not(OneOf(("model", "subject"), frozenset({(ODD, ODD), ("gpt", "")}))),
]


@pytest.mark.anyio
@pytest.mark.parametrize("aggregation", Aggregation)
async def test_usage_equals_a_recomputation_from_every_event(
    clickhouse: ClickHousePool, aggregation: Aggregation
) -> None:
    events, one = metered_events(seed=len(aggregation)), definition(aggregation)
    older = Definition(
        billable_metric_id=one.billable_metric_id, version=2, namespace="org_1", aggregation=aggregation
    )
    await store(clickhouse, [(one, events), (definition(aggregation, "org_2"), events), (older, events[:50])])
    reader = ClickHouseUsage(clickhouse)
    some = random.Random(aggregation).sample([*product(PERIODS, ASKED, [None, *WindowSize])], 60)
    for period, (group_by, condition), size in some:
        question = UsageQuestion(
            definition=one, period=period, condition=condition, window_size=size, group_by=group_by
        )
        found = await reader.usage(question)
        assert shown(aggregation, found) == shown(aggregation, recomputed(question, events)), question


@pytest.mark.anyio
async def test_sums_come_as_the_plain_text_of_their_numbers(clickhouse: ClickHousePool) -> None:
    events, one = metered_events(seed=6), definition(Aggregation.SUM)
    await store(clickhouse, [(one, events)])
    question = UsageQuestion(
        definition=one, period=PERIODS[0], window_size=WindowSize.MINUTE, group_by=("model",)
    )
    sums = (await ClickHouseUsage(clickhouse).usage(question)).cells.readings.values(Aggregation.SUM)
    assert isinstance(sums, Numerals)
    assert any("." in text for text in sums.texts)
    assert list(sums.texts) == list(map(plain, sums))


@pytest.mark.anyio
async def test_every_kind_of_condition_means_the_same_in_sql(clickhouse: ClickHousePool) -> None:
    events, one = metered_events(seed=8), definition(Aggregation.SUM)
    await store(clickhouse, [(one, events)])
    for condition, period, links in product(CONDITIONS, PERIODS[:2], ({}, LINKS)):
        question = UsageQuestion(
            definition=one, period=period, condition=condition, group_by=("subject",), links=links
        )
        found = await ClickHouseUsage(clickhouse).usage(question)
        assert shown(one.aggregation, found) == shown(one.aggregation, recomputed(question, events)), question


@pytest.mark.anyio
async def test_one_answer_for_many_metrics_is_the_answer_of_each(clickhouse: ClickHousePool) -> None:
    """One of each aggregation twice, and one that has counted nothing."""
    counted = []
    for number, aggregation in enumerate([*Aggregation, *Aggregation]):
        one = replace(definition(aggregation), billable_metric_id=f"cst_{number}", version=1 + number % 3)
        counted.append((one, metered_events(seed=20 + number, size=120)))
    nothing = replace(definition(Aggregation.SUM), billable_metric_id="cst_nothing")
    foreign = replace(counted[0][0], namespace="org_2")
    older = replace(counted[0][0], version=9)
    await store(clickhouse, [*counted, (foreign, metered_events(seed=3)), (older, metered_events(seed=4))])
    reader = ClickHouseUsage(clickhouse)
    some = random.Random("many").sample([*product(PERIODS, ASKED, [None, *WindowSize])], 12)
    for period, (group_by, condition), size in some:
        questions = [
            UsageQuestion(
                definition=one,
                period=period,
                condition=condition,
                window_size=size,
                group_by=group_by,
                links=LINKS,
            )
            for one in [*[one for one, _ in counted], nothing]
        ]
        found = await reader.usages(questions)
        for question, usage in zip(questions, found, strict=True):
            aggregation = question.definition.aggregation
            expected = await reader.usage(question)
            assert shown(aggregation, usage) == shown(aggregation, expected), question
    assert await reader.usages([]) == []


@pytest.mark.anyio
async def test_questions_that_differ_in_more_than_their_definitions_are_not_asked_at_once(
    clickhouse: ClickHousePool,
) -> None:
    one = UsageQuestion(definition=definition(Aggregation.SUM), period=PERIODS[0])
    with pytest.raises(ValueError, match="more than their definitions"):
        await ClickHouseUsage(clickhouse).usages([one, replace(one, period=PERIODS[1])])


# A shift of the clocks in the middle, half-hour offsets, and offsets of seconds, which no rollup fits.
ZONES = {
    "Europe/Berlin": parse("2026-03-27T00:00:00Z"),
    "America/St_Johns": parse("2026-03-06T00:00:00Z"),
    "Australia/Lord_Howe": parse("2026-04-03T00:00:00Z"),
    "Asia/Kolkata": T0,
    "Africa/Monrovia": parse("1972-01-05T00:00:00Z"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("zone", ZONES)
async def test_local_windows_hold_what_lies_in_them(clickhouse: ClickHousePool, zone: str) -> None:
    moved = ZONES[zone] - T0
    events = [replace(one, time=one.time + moved) for one in metered_events(seed=9)]
    one = definition(Aggregation.UNIQUE_COUNT)
    await store(clickhouse, [(one, events)])
    periods = [Window(period.start + moved, period.end + moved) for period in PERIODS[:-1]]
    for period, size in product(periods, WindowSize):
        windows = windows_in(size, ZoneInfo(zone), period)
        question = UsageQuestion(definition=one, period=period, local_windows=windows, group_by=("model",))
        found = await ClickHouseUsage(clickhouse).usage(question)
        assert shown(one.aggregation, found) == shown(one.aggregation, recomputed(question, events)), question


@pytest.mark.anyio
@pytest.mark.parametrize("group_by", [(), ("model",)])
@pytest.mark.parametrize("size", [None, WindowSize.DAY])
async def test_usage_of_nothing_is_zero_without_cells(
    clickhouse: ClickHousePool, size: WindowSize | None, group_by: tuple[str, ...]
) -> None:
    reader = ClickHouseUsage(clickhouse)
    for period in (Window(T0, T0), Window(T0, T0 + DAY), Window(T0 + 1, T0 + 2)):
        for aggregation in Aggregation:
            question = UsageQuestion(
                definition=definition(aggregation), period=period, window_size=size, group_by=group_by
            )
            found = await reader.usage(question)
            assert shown(aggregation, found) == ((0, Decimal(0)), [], [])


@pytest.mark.anyio
async def test_sums_beyond_38_digits_are_exact(clickhouse: ClickHousePool) -> None:
    largest = Decimal("99999999999999999999.999999999999999999")
    events = [Metered("cus_1", T0 + i, T0, i, "gpt", "a", largest, 0) for i in range(50)]
    one = definition(Aggregation.SUM)
    await store(clickhouse, [(one, events)])
    for period in (Window(T0, T0 + DAY), Window(T0, T0 + 50)):
        found = await ClickHouseUsage(clickhouse).usage(UsageQuestion(definition=one, period=period))
        assert found.total.sum == Decimal("4999999999999999999999.999999999999999950")


@pytest.mark.anyio
async def test_a_question_for_too_many_windows_is_refused_by_name(clickhouse: ClickHousePool) -> None:
    one = definition(Aggregation.COUNT)

    def insert(client: Client) -> None:
        client.command(
            "INSERT INTO rollups (namespace, billable_metric_id, version, window_size, window_start, count) "
            "SELECT 'org_1', {metric:String}, 3, 'MINUTE', toDateTime({start:Int64} + number * 60, 'UTC'), 1 "
            "FROM numbers({cells:UInt64}) SETTINGS max_partitions_per_insert_block = 0",
            parameters={
                "metric": one.billable_metric_id,
                "start": T0 // SECOND,
                "cells": UsageLimits().max_cells + 1,
            },
        )

    await clickhouse.run(insert)
    period = Window(T0, T0 + 400 * DAY)
    question = UsageQuestion(definition=one, period=period, window_size=WindowSize.MINUTE)
    with pytest.raises(Invalid, match="windowSize"):
        await ClickHouseUsage(clickhouse).usage(question)


@pytest.mark.anyio
async def test_texts_are_listed_in_order_with_their_events(clickhouse: ClickHousePool) -> None:
    events, one = metered_events(seed=10), definition(Aggregation.MAX)
    others = metered_events(seed=11)
    await store(clickhouse, [(one, events), (definition(Aggregation.MAX, "org_2"), others)])
    reader = ClickHouseUsage(clickhouse)
    possible = product(
        PERIODS,
        ("model", "subject", "region"),
        ("", "c", "o'd", "%"),
        (None, "", "claude", ODD),
        (1, 9),
        ({}, LINKS),
    )
    asked = random.Random("texts").sample([*possible], 150)
    for period, name, prefix, after, limit, links in asked:
        question = TextsQuestion(
            definition=one, period=period, name=name, prefix=prefix, after=after, limit=limit, links=links
        )
        counts = Counter(event.group(name, links) for event in events if event.time in period)
        expected = [
            TextCount(text, counts[text])
            for text in sorted(counts, key=str.encode)
            if text.startswith(prefix) and (after is None or text.encode() > after.encode())
        ]
        assert await reader.texts(question) == expected[:limit], question
    for period in PERIODS:
        within = [event for event in events if event.time in period]
        assert await reader.dimensions(one, period) == [
            DimensionCount(name, len({*texts}), len(texts))
            for name in ("model", "region")
            if (texts := [event.group(name, {}) for event in within if event.group(name, {})]) or True
        ]
    assert (
        await reader.texts(
            TextsQuestion(definition=one, period=Window(T0, T0), name="model", prefix="", after=None, limit=9)
        )
        == []
    )


# --- events ---

EVENT_COLUMNS = [
    "log_partition", "log_offset", "id_hash", "namespace", "source", "id", "type", "subject",
    "external_subject", "external_id", "time", "received_at", "data", "attributes", "disposition",
]  # fmt: skip


def event(id: str, *, namespace: str = "org_1", source: str = "api", at: Instant = T0, **rest: str) -> Event:
    return Event(
        namespace=namespace,
        source=source,
        id=id,
        type="call",
        time=at,
        received_at=T0 + 5,
        data=b'{"tokens": 1.10, "note": "\xc3\xa9"}',
        attributes={"datacontenttype": "application/json", "retries": 3, "test": True},
        **rest,
    )


async def keep(pool: ClickHousePool, events: Sequence[Event], one: Definition) -> None:
    """Store the events at offsets 0, 1, … (each twice, as before a merge), all counted by `one`."""
    rows = [
        [
            0, offset, id_hash(e.namespace, e.source, e.id), e.namespace, e.source, e.id, e.type, e.subject,
            e.external_subject, e.external_id, to_datetime(e.time), to_datetime(e.received_at), e.data,
            b'{"datacontenttype":"application/json","retries":3,"test":true}', "counted",
        ]
        for offset, e in enumerate(events)
    ]  # fmt: skip
    metered: list[list[object]] = [
        [
            e.namespace, one.billable_metric_id, one.version, e.subject, e.external_subject,
            to_datetime(e.time), to_datetime(e.received_at), 0, offset, {}, None, 0,
        ]
        for offset, e in enumerate(events)
    ]  # fmt: skip

    def insert(client: Client) -> None:
        client.insert("events", rows, EVENT_COLUMNS)
        client.insert("events", rows, EVENT_COLUMNS)
        client.insert("event_ids", [[row[2], 0, row[1], 1] for row in rows])
        client.insert("metered_events", metered, METERED_COLUMNS)

    await pool.run(insert)


def page_question(one: Definition, **changes: object) -> EventPageQuestion:
    question = EventPageQuestion(
        definition=one,
        period=Window(T0, T0 + DAY),
        subject=None,
        external_id=None,
        external_subject=None,
        limit=10,
        offset=0,
    )
    return replace(question, **changes)  # type: ignore[arg-type] # a test's shorthand


@pytest.mark.anyio
async def test_events_are_listed_newest_first_and_only_of_the_namespace(clickhouse: ClickHousePool) -> None:
    one = definition(Aggregation.COUNT)
    events = [event(f"e{i}", at=T0 + i % 5 * SECOND, subject="cus_1") for i in range(12)]
    strange = event("strange", namespace="org_2", at=T0 + 1)
    await keep(clickhouse, [*events, strange], one)
    reader = ClickHouseUsage(clickhouse)
    expected = sorted(events, key=lambda e: (e.time, int(e.id[1:])), reverse=True)
    first = await reader.events(page_question(one))
    second = await reader.events(page_question(one, offset=10))
    assert [*first.events, *second.events] == expected
    assert (first.total, second.total) == (12, 12)
    inner = await reader.events(page_question(one, period=Window(T0 + SECOND, T0 + 2 * SECOND)))
    assert [e.id for e in inner.events] == ["e11", "e6", "e1"]
    none = await reader.events(page_question(one, period=Window(T0, T0)))
    assert (none.events, none.total) == ((), 0)


@pytest.mark.anyio
async def test_events_are_filtered_by_subject_and_external_names(clickhouse: ClickHousePool) -> None:
    one = definition(Aggregation.COUNT)
    linked = event("linked", subject="cus_1", external_id=ODD)
    both = event("both", subject="cus_1", external_subject=ODD)
    unlinked = event("unlinked", external_subject="cus_1")
    await keep(clickhouse, [linked, both, unlinked], one)
    reader = ClickHouseUsage(clickhouse)

    async def found(**changes: object) -> set[str]:
        page = await reader.events(page_question(one, **changes))
        assert page.total == len(page.events)
        return {e.id for e in page.events}

    assert await found(subject="cus_1") == {"linked", "both"}
    assert await found(subject="") == {"unlinked"}
    assert await found(subject="cus_1", linked="cus_1") == {"linked", "both", "unlinked"}
    assert await found(subject="cus_2", linked=ODD) == set()
    assert await found(external_subject=ODD) == {"both"}
    assert await found(external_id=ODD) == {"linked"}
    assert await found(external_id=ODD, subject="cus_2") == set()


@pytest.mark.anyio
async def test_an_event_is_found_by_its_id_with_its_repeats(clickhouse: ClickHousePool) -> None:
    one = definition(Aggregation.COUNT)
    mine = event(ODD, subject="cus_1")
    elsewhere = event(ODD, source="worker")
    await keep(clickhouse, [mine, elsewhere, event(ODD, namespace="org_2"), event("other")], one)
    identity = id_hash("org_1", "api", ODD)
    conflict = 140  # after more plain repeats than are listed

    def repeat(client: Client) -> None:
        columns = [
            "id_hash",
            "log_partition",
            "log_offset",
            "first_partition",
            "first_offset",
            "received_at",
            "payload",
        ]
        rows = [
            [identity, 0, 10 + i, 0, 0, to_datetime(T0 + i), b'{"tokens": 2}' if i == conflict else b""]
            for i in range(150)
        ]
        client.insert("event_repeats", rows, columns)
        client.insert("event_repeats", rows[:3], columns)

    await clickhouse.run(repeat)
    reader = ClickHouseUsage(clickhouse)

    def odd(namespace: str, source: str | None) -> EventLookup:
        return EventLookup(namespace=namespace, id=ODD, source=source)

    (found,) = await reader.lookup(odd("org_1", "api"))
    assert found.event == mine
    assert (found.position, found.disposition, found.repeat_count) == (Position(0, 1), "counted", 150)
    listed = [repeated.position.offset for repeated in found.repeats]
    assert listed == [*range(11, 110), 11 + conflict]
    assert [one.payload for one in found.repeats if one.payload] == [b'{"tokens": 2}']
    assert [stored.event for stored in await reader.lookup(odd("org_1", None))] == [mine, elsewhere]
    assert await reader.lookup(odd("org_1", "nobody")) == ()
    assert await reader.lookup(odd("org_3", None)) == ()
