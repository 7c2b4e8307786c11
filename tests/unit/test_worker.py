"""The worker over the in-memory log, catalog and tables."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge

from aggregator.batch import FlushPolicy, backoff, seconds_until_flush
from aggregator.fault import no_fault
from aggregator.insertion import FAULT_POINTS, REPLAY_POINTS, LookTooOld
from aggregator.worker import Worker
from meterhouse.adapters.cloudevents_json import encode
from meterhouse.adapters.memory.ledger import MemoryLedger
from meterhouse.adapters.memory.log import MemoryLog
from meterhouse.adapters.memory.store import MemoryStore
from meterhouse.domain.billable_metric import Aggregation, Definition, VersionState
from meterhouse.domain.block import Block, Seen, Table
from meterhouse.domain.errors import Fenced, LogBroken, StoreUnavailable
from meterhouse.domain.event import Event, IdHash
from meterhouse.domain.instant import MINUTE, SECOND, Instant, parse
from meterhouse.ports.counting import BlockStore
from meterhouse.ports.log import Bounds, Entry
from meterhouse.telemetry.instruments import AggregatorInstruments
from tests.property.stepping import FaultyStore, offload

NOON = parse("2026-05-01T12:00:00Z")
SUM = Definition(
    billable_metric_id="bm_sum",
    version=1,
    namespace="org",
    aggregation=Aggregation.SUM,
    event_type="call",
    value_path=("v",),
)


def _entries(*values: int) -> list[Entry]:
    return [
        encode(
            Event(
                namespace="org",
                source="/s",
                id=f"e{value}",
                type="call",
                time=NOON,
                received_at=NOON,
                subject="cus",
                data=json.dumps({"v": value}).encode(),
            )
        )
        for value in values
    ]


@dataclasses.dataclass(frozen=True, slots=True)
class At:
    """A clock that stands still."""

    instant: Instant

    def now(self) -> Instant:
        return self.instant


@dataclasses.dataclass(slots=True)
class Setting:
    """One partition and everything around it."""

    log: MemoryLog = dataclasses.field(default_factory=MemoryLog)
    ledger: MemoryLedger = dataclasses.field(default_factory=MemoryLedger)
    store: MemoryStore = dataclasses.field(default_factory=MemoryStore)

    def worker(
        self,
        *,
        fault: Callable[[str], None] = no_fault,
        store: BlockStore | None = None,
        max_events: int = 100,
    ) -> Worker:
        return Worker(
            partition=0,
            log_id="log",
            log_reader=self.log,
            dead_letters=self.log,
            ledger=self.ledger,
            definitions=self.ledger,
            store=store or self.store,
            archive=self.store,
            clock=time.monotonic,
            time_of_day=At(NOON),
            policy=FlushPolicy(max_events=max_events, max_age=timedelta(milliseconds=10), backfill_events=2),
            fault=fault,
        )

    async def counted(self, offset: int) -> None:
        async with asyncio.timeout(5):
            while (await self.ledger.counted())[0] < offset:  # noqa: ASYNC110 # the port has no event to wait for
                await asyncio.sleep(0.005)

    async def active(self, version: int) -> None:
        async with asyncio.timeout(5):
            while self.ledger.state("bm_sum", version) is not VersionState.ACTIVE:  # noqa: ASYNC110 # as above
                await asyncio.sleep(0.005)

    def values(self, version: int = 1) -> list[Decimal | None]:
        return [row.value for row in self.store.metered() if row.version == version]


@asynccontextmanager
async def _running(worker: Worker) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        try:
            yield
        finally:
            stop.set()


@pytest.mark.anyio
async def test_events_are_counted_as_they_come() -> None:
    setting = Setting()
    setting.ledger.define(SUM)
    async with _running(setting.worker()):
        await setting.log.append(_entries(1, 2))
        await setting.counted(2)
        await setting.log.append(_entries(3, 2))
        await setting.counted(4)
    assert setting.values() == [Decimal(1), Decimal(2), Decimal(3)]
    assert setting.store.dispositions() == {(0, 0): "counted", (0, 1): "counted", (0, 2): "counted"}


@pytest.mark.anyio
async def test_told_to_stop_it_counts_what_is_still_unread() -> None:
    setting = Setting()
    setting.ledger.define(SUM)
    await setting.log.append(_entries(*range(25)))
    stop = asyncio.Event()

    def stop_after_the_first_batch(point: str) -> None:
        if point == "advanced":
            stop.set()

    await setting.worker(fault=stop_after_the_first_batch, max_events=10).run(stop)
    assert setting.values() == [Decimal(value) for value in range(25)]


@pytest.mark.anyio
async def test_a_metric_without_older_events_becomes_active_without_new_ones() -> None:
    setting = Setting()
    async with _running(setting.worker()):
        setting.ledger.define(SUM)
        await setting.active(1)


@pytest.mark.anyio
async def test_a_new_version_counts_older_events_too_and_then_takes_over() -> None:
    setting = Setting()
    setting.ledger.define(SUM)
    async with _running(setting.worker()):
        await setting.log.append(_entries(1, 2, 3, 4, 5))
        await setting.counted(5)
        setting.ledger.define(dataclasses.replace(SUM, version=2))
        await setting.log.append(_entries(6))
        await setting.active(2)
        await setting.counted(6)
    assert setting.values(version=2) == [Decimal(value) for value in range(1, 7)]
    assert setting.ledger.state("bm_sum", 1) is VersionState.RETIRED


@pytest.mark.anyio
async def test_an_unreadable_record_is_set_aside_and_the_partition_goes_on() -> None:
    setting = Setting()
    setting.ledger.define(SUM)
    await setting.log.append([Entry(b"", b"not json", NOON), *_entries(7)])
    async with _running(setting.worker()):
        await setting.counted(2)
    assert setting.values() == [Decimal(7)]
    assert await setting.log.holds(0, 0)


@dataclasses.dataclass(slots=True)
class Unreliable:
    """A store that is away for a number of calls of every kind."""

    store: MemoryStore
    failures: int

    async def find(self, id_hashes: Sequence[IdHash]) -> Mapping[IdHash, Seen]:
        self._fail()
        return await self.store.find(id_hashes)

    async def landed(self, block: Block) -> bool:
        self._fail()
        return await self.store.landed(block)

    async def insert(self, block: Block, token: str) -> None:
        await self.store.insert(block, token)
        self._fail()

    async def held(self, partition: int, start: int) -> Bounds:
        self._fail()
        return await self.store.held(partition, start)

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")


@pytest.mark.anyio
@pytest.mark.parametrize("failures", [1, 2, 3])
async def test_while_the_store_is_away_it_keeps_its_place(failures: int) -> None:
    setting = Setting()
    setting.ledger.define(SUM)
    await setting.log.append(_entries(1, 2))
    away = Unreliable(setting.store, failures)
    async with _running(setting.worker(store=away)):
        await setting.counted(2)
    assert setting.values() == [Decimal(1), Decimal(2)]


@pytest.mark.anyio
async def test_a_fenced_worker_writes_nothing_and_claims_again() -> None:
    setting = Setting()
    await setting.log.append(_entries(1))
    worker = setting.worker()
    progress = await worker.claim()
    await setting.ledger.claim(0)
    with pytest.raises(Fenced):
        await worker.count(progress)
    assert not any(setting.store.parts.values())
    async with _running(worker):
        await setting.counted(1)


@pytest.mark.anyio
async def test_its_lag_is_the_age_of_the_oldest_record_that_is_not_counted() -> None:
    setting = Setting()
    setting.ledger.define(SUM)
    await setting.log.append(_entries(1, 2))
    worker = dataclasses.replace(setting.worker(), time_of_day=At(NOON + 90 * SECOND))
    progress = await worker.claim()
    assert _shown(worker.instruments.lag_seconds) == {"0": 90}
    async with asyncio.timeout(60):
        while progress.next_offset < 2:
            progress = await worker.turn(progress)
    await worker.turn(progress)
    assert _shown(worker.instruments.lag_seconds) == {"0": 0}


def test_what_is_forgotten_of_a_partition_is_shown_no_more() -> None:
    instruments = AggregatorInstruments(CollectorRegistry())
    gauges = [one for one in vars(instruments).values() if "partition" in one._labelnames]
    for gauge in gauges:
        gauge.labels("0").set(1)
        gauge.labels("1").set(1)
    instruments.forget(0)
    instruments.forget(7)
    assert [_shown(gauge) for gauge in gauges] == [{"1": 1}] * 6


def _shown(gauge: Gauge) -> dict[str, float]:
    """What is shown of each partition."""
    [family] = gauge.collect()
    return {sample.labels["partition"]: sample.value for sample in family.samples}


@pytest.mark.anyio
async def test_a_log_that_was_truncated_stops_it() -> None:
    setting = Setting()
    await setting.log.append(_entries(1, 2))
    await setting.worker().count(await setting.ledger.claim(0))
    setting.log = MemoryLog()
    with pytest.raises(LogBroken, match=r"truncated or made anew.*meterhouse check"):
        await setting.worker().run(asyncio.Event())


@pytest.mark.anyio
async def test_a_log_whose_uncounted_records_were_deleted_stops_it() -> None:
    setting = Setting(log=MemoryLog(first=5))
    with pytest.raises(LogBroken, match="begins at 5"):
        await setting.worker().run(asyncio.Event())


@pytest.mark.anyio
async def test_a_store_behind_the_catalog_stops_it() -> None:
    setting = Setting()
    await setting.log.append(_entries(1, 2))
    await setting.worker().count(await setting.ledger.claim(0))
    setting.store = MemoryStore()
    with pytest.raises(LogBroken, match=r"does not hold offset 1\..*meterhouse rebuild"):
        await setting.worker().run(asyncio.Event())


@pytest.mark.anyio
@pytest.mark.parametrize("planned", [None, 0], ids=["between batches", "within a batch"])
async def test_a_catalog_that_went_back_behind_the_store_stops_the_worker(planned: int | None) -> None:
    setting = Setting()
    setting.ledger.define(SUM)
    await setting.log.append(_entries(1, 2))
    await setting.worker().count(await setting.worker().claim())
    restored = MemoryLedger()
    restored.define(SUM)
    if planned is not None:
        await restored.plan(await restored.claim(0), planned)
    with pytest.raises(LogBroken, match="ClickHouse holds offset 1"):
        await dataclasses.replace(setting, ledger=restored).worker().claim()


@pytest.mark.anyio
async def test_a_log_that_was_made_anew_is_not_counted_from_its_first_record_on() -> None:
    setting = Setting()
    setting.ledger.define(SUM)
    await setting.log.append(_entries(1, 2))
    await setting.worker().count(await setting.worker().claim())
    anew = Setting(store=setting.store)  # another log has progress of its own, none yet
    with pytest.raises(LogBroken, match=r"topic was made anew.*meterhouse check"):
        await anew.worker().claim()


@pytest.mark.anyio
async def test_every_fault_point_is_passed() -> None:
    setting = Setting()
    passed: set[str] = set()
    setting.ledger.define(SUM)
    worker = setting.worker(fault=passed.add)
    async with _running(worker):
        await setting.log.append(_entries(1, 1))
        await setting.counted(2)
        setting.ledger.define(dataclasses.replace(SUM, version=2))
        await setting.active(2)
    assert passed == set(FAULT_POINTS)


class _Died(Exception):
    """The fault hook ended the worker."""


@pytest.mark.anyio
async def test_a_replay_passes_points_of_its_own() -> None:
    setting = Setting()
    passed: set[str] = set()

    def die(point: str) -> None:
        if point.endswith("planned"):
            raise _Died

    setting.ledger.define(SUM)
    await setting.log.append(_entries(1, 1))
    with pytest.raises(_Died):
        await setting.worker(fault=die).count(await setting.worker().claim())
    progress = await setting.worker(fault=passed.add).claim()
    setting.ledger.define(dataclasses.replace(SUM, version=2))
    with pytest.raises(_Died):
        await setting.worker(fault=die).backfill(progress)
    await setting.worker(fault=passed.add).backfill(progress)
    assert {point for point in passed if point.startswith("replay:")} == set(REPLAY_POINTS)
    assert setting.values() == [Decimal(1)]
    assert setting.values(version=2) == [Decimal(1)]


@pytest.mark.anyio
@pytest.mark.parametrize("ours", [True, False])
async def test_a_fenced_worker_claims_again_only_what_is_still_ours(ours: bool) -> None:
    setting = Setting()
    setting.ledger.define(SUM)
    worker = dataclasses.replace(setting.worker(), is_ours=lambda: ours)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    await setting.log.append(_entries(1))
    await setting.counted(1)
    await setting.ledger.claim(0)
    await setting.log.append(_entries(2))
    if ours:
        await setting.counted(2)
        stop.set()
    await asyncio.wait_for(running, 10)
    assert setting.values() == [Decimal(1), Decimal(2)][: 1 + ours]
    assert worker.instruments.failures.labels("Fenced")._value.get() == 1


@pytest.mark.anyio
@pytest.mark.parametrize(("minutes", "waits"), [(14, []), (16, [75.0])])
async def test_a_replay_lets_a_range_settle_unless_it_was_planned_just_now(
    minutes: int, waits: list[float]
) -> None:
    setting = Setting()
    setting.ledger.define(SUM)
    await setting.log.append(_entries(1, 2))
    claimed = await setting.ledger.claim(0)
    await setting.ledger.plan(claimed, 1)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    worker = dataclasses.replace(setting.worker(), time_of_day=At(NOON + minutes * MINUTE), sleep=sleep)
    assert (await worker.claim()).next_offset == 2
    assert slept == waits
    assert setting.values() == [Decimal(1), Decimal(2)]


@pytest.mark.anyio
async def test_a_worker_stalled_beyond_what_tokens_cover_does_not_insert() -> None:
    setting = Setting()
    setting.ledger.define(SUM)
    await setting.log.append(_entries(1))
    now = 0.0
    passed: list[str] = []
    store = FaultyStore(setting.store, lambda: now)
    stalled = dataclasses.replace(
        setting.worker(store=store, fault=passed.append), clock=lambda: now, offload=offload
    )
    counting = stalled.count(await setting.ledger.claim(0))
    while "planned" not in passed:
        counting.send(None)
    await setting.worker().claim()
    now = 4000.0
    store.pass_time(window=3600.0)
    with pytest.raises(LookTooOld):
        _to_the_end(counting)
    assert setting.values() == [Decimal(1)]


class _Committing(MemoryStore):
    """The first INSERT into metered_events has taken its token when its sender dies; its rows come later."""

    withheld: Block | None = None

    async def insert(self, block: Block, token: str) -> None:
        if block.table is Table.METERED_EVENTS and self.withheld is None:
            self.take_token(block.table, token)
            self.withheld = block
            raise _Died
        await super().insert(block, token)


@pytest.mark.anyio
async def test_a_replay_waits_for_an_insert_under_way_only_until_its_rows_are_there() -> None:
    store = _Committing()
    setting = Setting(store=store)
    setting.ledger.define(SUM)
    await setting.log.append(_entries(1, 2))
    with pytest.raises(_Died):
        await setting.worker().count(await setting.ledger.claim(0))
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            assert store.withheld is not None
            store.commit(store.withheld)

    await dataclasses.replace(setting.worker(), sleep=sleep).claim()
    assert setting.values() == [Decimal(1), Decimal(2)]
    assert len(waits) == 3
    assert sum(waits) < 5


def _to_the_end(coroutine: Coroutine[Any, Any, object]) -> None:
    while True:
        coroutine.send(None)


def test_a_batch_is_due_when_it_is_full_or_old_enough() -> None:
    policy = FlushPolicy(max_events=10, max_age=timedelta(milliseconds=200))
    assert seconds_until_flush(policy, unread=0, waited=9.0) is None
    assert seconds_until_flush(policy, unread=10, waited=0.0) == 0
    assert seconds_until_flush(policy, unread=1, waited=0.2) == 0
    assert seconds_until_flush(policy, unread=9, waited=0.05) == pytest.approx(0.15)


def test_pauses_grow_with_failures_and_stay_bounded() -> None:
    assert [backoff(failures, 1.0) for failures in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert backoff(1000, 0.0) == 5.0
    assert backoff(1000, 1.0) == 10.0
