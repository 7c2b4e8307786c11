"""The aggregator's loop over one log partition: claim, replay, plan, insert, advance."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeVar

import structlog
from prometheus_client import CollectorRegistry

from aggregator.batch import FlushPolicy, backoff, seconds_until_flush
from aggregator.fault import Fault, no_fault
from aggregator.fold import fold
from aggregator.generations import told_apart
from aggregator.insertion import Insertion, LookTooOld
from aggregator.metering import DefinitionsByType, by_type, fold_stored
from aggregator.protocol import REPLAYED, Attempt, InsertRules, first_try
from aggregator.spans import BatchSpans
from meterhouse.adapters.cloudevents_json import decode_columns, parse_data
from meterhouse.adapters.stopping import Stop, wait_for
from meterhouse.domain.block import Block, FirstSeenColumns, RepeatColumns
from meterhouse.domain.errors import Fenced, LogBroken, Unavailable
from meterhouse.domain.event import EventColumns
from meterhouse.domain.instant import SECOND, Instant
from meterhouse.domain.tombstone import Tombstones
from meterhouse.ports.clock import Clock
from meterhouse.ports.counting import (
    Backfill,
    BlockStore,
    Definitions,
    EventArchive,
    Progress,
    ProgressLedger,
)
from meterhouse.ports.log import DeadLetters, LogReader, LogRecord
from meterhouse.telemetry.instruments import AggregatorInstruments

R = TypeVar("R")

# Catalog and ClickHouse contradict each other; the log has everything that either knows.
_RECOUNT: Final = " `meterhouse rebuild` counts the log anew."

_log = structlog.get_logger("aggregator")


class Offload(Protocol):
    """Where work that would hold up the event loop is done: `asyncio.to_thread` or the like."""

    async def __call__(self, work: Callable[[], R], /) -> R: ...


def always() -> bool:
    """A partition that nobody else will ever want."""
    return True


async def pause(stop: Stop, failures: int) -> None:
    """Wait as long as so many failures in a row ask for, or until `stop` is set."""
    await wait_for(stop, backoff(failures, random.random()))  # noqa: S311 # jitter, not a secret


def boot_clock() -> float:
    """Seconds since the machine started, those that it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True, kw_only=True)
class Worker:
    """Counts one partition of the log, each event exactly once.

    `clock` is in seconds, monotonic, and counts sleep (CLOCK_BOOTTIME): exactly-once leans on it. It leans on
    `time_of_day` only as far as no clock that received an event runs ahead of it by a quarter of an hour.
    `fault` is called at every point of FAULT_POINTS. While the log is quiet it looks for `stop` every
    `idle_seconds`, and at definitions that are half as old as that at most. Told to stop, it counts what is
    still unread for at most `last_seconds`. Fenced, it claims again only while the partition `is_ours` by
    whoever shares them out: two workers must not take it from each other for ever.
    """

    partition: int
    log_id: str
    log_reader: LogReader
    dead_letters: DeadLetters
    ledger: ProgressLedger
    definitions: Definitions
    store: BlockStore
    archive: EventArchive
    clock: Callable[[], float]
    time_of_day: Clock
    policy: FlushPolicy = field(default_factory=FlushPolicy)
    rules: InsertRules = field(default_factory=InsertRules)
    fault: Fault = no_fault
    idle_seconds: float = 0.1
    last_seconds: float = 5.0
    is_ours: Callable[[], bool] = always
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    offload: Offload = asyncio.to_thread
    instruments: AggregatorInstruments = field(
        default_factory=lambda: AggregatorInstruments(CollectorRegistry())
    )
    spans: BatchSpans = field(default_factory=BatchSpans)
    _insertion: Insertion = field(init=False)
    _known: tuple[int, DefinitionsByType, Mapping[str, Tombstones]] | None = field(init=False, default=None)
    _settled: int | None = field(init=False, default=None)
    _quiet_at: float = field(init=False, default=0.0)
    _oldest_uncounted: Instant | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._insertion = Insertion(
            store=self.store,
            ledger=self.ledger,
            log_id=self.log_id,
            rules=self.rules,
            clock=self.clock,
            sleep=self.sleep,
            fault=self.fault,
            instruments=self.instruments,
            spans=self.spans,
        )

    async def run(self, stop: Stop) -> None:
        """Count until `stop` is set.

        Whatever a retry may help is tried again for ever; raises LogBroken. Cancelling it is safe at any
        moment: like a crash, it leaves a range pending that the next claim replays.
        """
        progress: Progress | None = None
        failures = 0
        while not stop.is_set():
            try:
                progress = await (self.claim() if progress is None else self.turn(progress))
                failures = 0
            except (Fenced, LookTooOld, Unavailable) as error:
                progress = None
                self.instruments.failures.labels(type(error).__name__).inc()
                if isinstance(error, Fenced) and not self.is_ours():
                    _log.info("taken over", partition=self.partition, reason="Fenced", error=str(error))
                    break
                failures += 1
                await self._pause(stop, failures, error)
        if progress is not None:
            await self._last_words(progress)

    async def claim(self) -> Progress:
        """Take the partition over and finish what the one before us began."""
        progress = await self.ledger.claim(self.partition)
        self.fault("claimed")
        _log.info("claimed", partition=self.partition, epoch=progress.epoch, offset=progress.next_offset)
        self._settled = None
        self._quiet_at = self.clock()
        self.instruments.stopped.labels(str(self.partition)).set(0)
        self.instruments.counted_offset.labels(str(self.partition)).set(progress.next_offset)
        self.instruments.lag_seconds.labels(str(self.partition)).set_function(self._lag_seconds)
        await self._check(progress)
        return progress if progress.pending_last is None else await self._replay(progress)

    async def turn(self, progress: Progress) -> Progress:
        """Count a live batch if one is due and a backfill chunk if any is left; else wait for either."""
        unread = await self._unread(progress)
        if unread == 0:
            self._quiet_at = self.clock()
            self._oldest_uncounted = None
        pause = seconds_until_flush(self.policy, unread=unread, waited=self.clock() - self._quiet_at)
        if pause == 0:
            progress = await self.count(progress)
        if await self.backfill(progress) or pause == 0:
            return progress
        if pause is not None:
            await self.sleep(pause)
        elif await self.log_reader.wait(self.partition, progress.next_offset, self.idle_seconds):
            self._quiet_at = self.clock()
        return progress

    async def count(self, progress: Progress) -> Progress:
        """Plan, insert and advance over one live batch."""
        quiet_at, began_at_ns = self.clock(), self.spans.now()
        records = await self.log_reader.read(self.partition, progress.next_offset, self.policy.max_events)
        if not records:
            return progress
        self._quiet_at, read_at_ns = quiet_at, self.spans.now()
        self._oldest_uncounted = records[0].received_at
        events = await self._decode(records)
        with self.spans.batch(events, records, began_at_ns=began_at_ns, read_at_ns=read_at_ns):
            planned_at = self.clock()
            received_until = max(events.received_ats, default=0)
            planned = await self.ledger.plan(progress, records[-1].offset, received_until)
            self.fault("planned")
            return await self._insert(planned, records, events, first_try(planned_at))

    async def backfill(self, progress: Progress) -> bool:
        """Count one chunk of stored events for one metric version; False when nothing is left to do."""
        recent = await self.definitions.recent(self.idle_seconds / 2)
        if recent == self._settled:
            return False
        unfinished = await self.ledger.backfills(progress)
        if not unfinished:
            self._settled = recent
            return False
        await self._backfill(unfinished[0])
        return True

    async def _replay(self, planned: Progress) -> Progress:
        assert planned.pending_last is not None
        records: list[LogRecord] = []
        began_at_ns = self.spans.now()
        start = planned.next_offset
        while start <= planned.pending_last:
            some = await self.log_reader.read(self.partition, start, planned.pending_last + 1 - start)
            if not some:
                raise _broken(planned, f"ends before offset {start}, which is being counted")
            records += some
            start = some[-1].offset + 1
        _log.info("replaying", partition=self.partition, first=planned.next_offset, last=planned.pending_last)
        await self._let_settle([record.received_at for record in records])
        read_at_ns = self.spans.now()
        events = await self._decode(records)
        with self.spans.batch(events, records, began_at_ns=began_at_ns, read_at_ns=read_at_ns):
            return await self._insert(planned, records, events, REPLAYED)

    async def _insert(
        self, planned: Progress, records: Sequence[LogRecord], events: EventColumns, start: Attempt
    ) -> Progress:
        assert planned.pending_last is not None
        partition = str(self.partition)
        self.instruments.pending_since.labels(partition).set_to_current_time()
        definitions, tombstones = await self._definitions_of(planned)
        events = told_apart(events, tombstones)
        with self.spans.step("find"):
            seen = await self.store.find(events.id_hashes) if events.id_hashes else {}
        last = planned.pending_last
        work = partial(fold, events, definitions, seen, last=last, records=records, parse=parse_data)
        with self.spans.step("fold"):
            blocks = await self.offload(work)
        await self._insertion.bring_up(blocks, planned, start)
        with self.spans.step("advance"):
            advanced = await self.ledger.advance(planned)
        self.fault("advanced")
        self.instruments.pending_since.labels(partition).set(0)
        self.instruments.counted_offset.labels(partition).set(advanced.next_offset)
        self.instruments.counted_until.labels(partition).set(records[-1].received_at // SECOND)
        self._measure(records, blocks)
        return advanced

    async def _backfill(self, unfinished: Backfill) -> None:
        progress, definition = unfinished.progress, unfinished.definition
        assert progress.until is not None
        start = REPLAYED
        first, archive = progress.next_offset, self.archive
        if progress.pending_last is None:
            until = min(progress.until, first + self.policy.backfill_records)
            limit = self.policy.backfill_events
            facts = await archive.stored(self.partition, first, until, of=definition, limit=limit)
            planned_at = self.clock()
            last = facts.offsets[-1] if len(facts) == limit else until - 1
            progress = await self.ledger.plan(progress, last)
            self.fault("backfill:planned")
            start = first_try(planned_at)
        else:
            until = progress.pending_last + 1
            facts = await archive.stored(self.partition, first, until, of=definition)
            await self._let_settle(facts.received_ats)
        assert progress.pending_last is not None
        work = partial(
            fold_stored,
            facts,
            definition,
            partition=self.partition,
            stream=progress.stream,
            last=progress.pending_last,
            parse=parse_data,
        )
        with self.spans.backfill(progress):
            blocks = await self.offload(work)
            await self._insertion.bring_up(blocks, progress, start, prefix="backfill:")
            await self.ledger.advance(progress)
        self.fault("backfill:advanced")

    async def _let_settle(self, received_ats: Sequence[Instant]) -> None:
        """Before a replay, wait for what an earlier owner may have on its way, where tokens may not help.

        A range cannot have been planned before its records were received. While that is not long ago, every
        token of it is remembered for as long as the replay takes; later one may be forgotten meanwhile.
        """
        young = int(self.rules.young_age * SECOND)
        if received_ats and self.time_of_day.now() - min(received_ats) > young:
            await self.sleep(self.rules.settle)

    async def _decode(self, records: Sequence[LogRecord]) -> EventColumns:
        events, unreadable = await self.offload(partial(decode_columns, self.partition, records))
        for record, reason in unreadable:
            await self.dead_letters.put(self.partition, record, reason)
            self.instruments.dead_letters.inc()
            _log.warning("dead letter", partition=self.partition, offset=record.offset, reason=reason)
        return events

    async def _definitions_of(self, planned: Progress) -> tuple[DefinitionsByType, Mapping[str, Tombstones]]:
        version = planned.catalog_version
        assert version is not None
        if self._known is None or self._known[0] != version:
            definitions = by_type(await self.definitions.at(version))
            self._known = (version, definitions, await self.definitions.tombstones(version))
        return self._known[1], self._known[2]

    async def _unread(self, progress: Progress) -> int:
        bounds = await self.log_reader.bounds(self.partition)
        if bounds.end < progress.next_offset:
            raise _broken(progress, f"ends at {bounds.end}: it was truncated or made anew")
        if bounds.first > progress.next_offset:
            raise _broken(
                progress, f"begins at {bounds.first}: records were deleted before they were counted"
            )
        unread = bounds.end - progress.next_offset
        self.instruments.unread.labels(str(self.partition)).set(unread)
        return unread

    async def _check(self, progress: Progress) -> None:
        """The log must reach to where we are, and the store must hold the record before it and none after.

        A catalog that goes back, to an older backup for one, would plan other ranges than those that landed;
        and the records of a topic that was made anew would go where those of the old one are.
        """
        unread = await self._unread(progress)
        self._oldest_uncounted = None
        for oldest in await self.log_reader.read(self.partition, progress.next_offset, 1) if unread else ():
            self._oldest_uncounted = oldest.received_at
        before = progress.next_offset - 1
        planned = before if progress.pending_last is None else progress.pending_last
        held = await self.store.held(self.partition, max(0, before))
        if held.end > planned + 1:
            await self.ledger.confirm(progress)  # unless whoever claimed it after us has counted on
            raise _broken(
                progress,
                f"was counted further: ClickHouse holds offset {held.end - 1}. So it is where the topic was "
                "made anew, or where the catalog went back to an older backup",
                f"{_RECOUNT} Of a topic that was made anew, it forgets what only the old one held.",
            )
        if before < 0 or held.first <= before < held.end:
            return
        if not await self.dead_letters.holds(self.partition, before):
            where = f"was counted to here, but ClickHouse does not hold offset {before}"
            raise _broken(progress, where, _RECOUNT)

    async def _pause(self, stop: Stop, failures: int, error: Exception) -> None:
        _log.warning(
            "claiming again",
            partition=self.partition,
            reason=type(error).__name__,
            error=str(error),
            failures=failures,
        )
        await pause(stop, failures)

    async def _last_words(self, progress: Progress) -> None:
        """Leave as little as possible uncounted; a restart would count the rest."""
        deadline = self.clock() + self.last_seconds
        try:
            while self.clock() < deadline and await self._unread(progress):
                progress = await self.count(progress)
        except (Fenced, LookTooOld, Unavailable) as error:
            self.instruments.failures.labels(type(error).__name__).inc()
            _log.warning("stopped early", partition=self.partition, error=str(error))
        _log.info("stopped", partition=self.partition, offset=progress.next_offset)

    def _lag_seconds(self) -> float:
        """As of now, since it is asked for while the loop may hang."""
        oldest = self._oldest_uncounted
        return 0.0 if oldest is None else max(0.0, (self.time_of_day.now() - oldest) / SECOND)

    def _measure(self, records: Sequence[LogRecord], blocks: Sequence[Block]) -> None:
        self.instruments.batch_events.observe(len(records))
        for block in blocks:
            if isinstance(block.rows, RepeatColumns):
                self.instruments.repeats.inc(len(block.rows))
            if isinstance(block.rows, FirstSeenColumns):
                found = block.rows.dispositions
                for disposition, number in _numbers(found).items():
                    self.instruments.events.labels(disposition).inc(number)
                for flaw, number in block.rows.flaws.items():
                    self.instruments.unusable.labels(flaw).inc(number)


def _numbers(dispositions: Sequence[str]) -> Mapping[str, int]:
    return {one: dispositions.count(one) for one in sorted(set(dispositions))}


def _broken(progress: Progress, what: str, remedy: str = "") -> LogBroken:
    return LogBroken(
        f"partition {progress.partition} is counted to offset {progress.next_offset}, but the log or store "
        f"contradicts it: it {what}. Nothing was skipped. `meterhouse check` shows what is missing.{remedy}"
    )
