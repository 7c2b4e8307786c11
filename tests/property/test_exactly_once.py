"""Whatever crashes, stalls, is answered wrongly or is forgotten: each event counts once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from aggregator.batch import FlushPolicy
from aggregator.insertion import LookTooOld
from aggregator.protocol import InsertRules
from aggregator.worker import Worker
from meterhouse.adapters.cloudevents_json import decode_columns, encode, parse_data
from meterhouse.adapters.memory.ledger import MemoryLedger
from meterhouse.adapters.memory.log import MemoryLog
from meterhouse.adapters.memory.store import MemoryStore, Metered, RollupKey
from meterhouse.domain.billable_metric import Aggregation, Definition, VersionState
from meterhouse.domain.block import FirstSeenColumns, RepeatColumns, Table
from meterhouse.domain.disposition import Counted
from meterhouse.domain.errors import Fenced, Unavailable
from meterhouse.domain.event import Event, value_hash
from meterhouse.domain.instant import MINUTE, SECOND, Instant, parse
from meterhouse.domain.matching import outcome_of
from meterhouse.domain.rollup import RollupState
from meterhouse.domain.tombstone import EVERYBODY, Tombstone, Whose
from meterhouse.domain.window import WindowSize
from meterhouse.ports.counting import Progress
from tests.property.stepping import FaultyStore, SteppedLedger, SteppedLog, at_once, checkpoint, offload

START: Final = parse("2026-04-30T23:58:00Z")
RULES: Final = InsertRules(look_age=1800.0, settle=75.0)
POLICY: Final = FlushPolicy(max_events=4, backfill_events=3)
SLOTS: Final = st.integers(0, 1)


def _event(number: int, value: int, minute: int, received_at: Instant) -> Event:
    return Event(
        namespace="org",
        source="/s",
        id=str(number),
        type="call" if number % 7 else "other",
        time=START + minute * MINUTE,
        received_at=received_at,
        subject=f"cus_{number % 2}",
        data=b'{"v":%d,"model":"m%d"}' % (value, value % 2) if value else b"{}",
    )


def _definition(metric: int, version: int) -> Definition:
    aggregation = [Aggregation.SUM, Aggregation.COUNT, Aggregation.UNIQUE_COUNT][metric]
    return Definition(
        billable_metric_id=f"bm_{metric}",
        version=version,
        namespace="org",
        aggregation=aggregation,
        event_type="call",
        value_path=None if aggregation is Aggregation.COUNT else ("v",),
        dimensions=(("model", ("model",)),) if version % 2 else (),
    )


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """A Clock that began at START."""

    seconds: Callable[[], float]

    def now(self) -> Instant:
        return START + int(self.seconds() * SECOND)


class ExactlyOnce(RuleBasedStateMachine):
    """Two workers on one partition, each believing at times that it owns it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.log = MemoryLog()
        self.ledger = MemoryLedger()
        self.tables = MemoryStore()
        self.store = FaultyStore(self.tables, lambda: self.now)
        self.workers: list[Coroutine[Any, Any, None] | None] = [None, None]
        self.versions: dict[int, int] = {}
        self.tombstones: list[Tombstone] = []

    # --- the world outside ---

    @rule(
        sent=st.lists(
            st.tuples(st.integers(0, 15), st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=5
        )
    )
    def send(self, sent: list[tuple[int, int, int]]) -> None:
        at_once(self.log.append([encode(_event(*one, self._time())) for one in sent]))

    def _time(self) -> Instant:
        return START + int(self.now * SECOND)

    @rule(metric=st.integers(0, 2))
    def define(self, metric: int) -> None:
        self.versions[metric] = self.versions.get(metric, 0) + 1
        self.ledger.define(_definition(metric, self.versions[metric]))

    @rule(
        whose=st.sampled_from([EVERYBODY, ("cus_0", ""), ("cus_1", "")]), behind=st.sampled_from([0, 0, 100])
    )
    def reset(self, whose: Whose, behind: int) -> None:
        """By a clock that is behind, so many seconds, it may stand before events that are counted."""
        wanted = Tombstone(self._time() - behind * SECOND, whose)
        self.tombstones.append(replace(wanted, at=self.ledger.bury("org", wanted)))
        for metric in self.versions:
            self.define(metric)
        self.now += 0.01  # it is not answered before its position is past

    @rule(seconds=st.sampled_from([1.0, 80.0, 80.0, 1700.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.store.pass_time(window=2 * RULES.look_age)

    # --- workers ---

    @rule(slot=SLOTS)
    def start(self, slot: int) -> None:
        self.kill(slot)
        self.workers[slot] = self._drive()

    @rule(slot=SLOTS, steps=st.integers(1, 15))
    def step(self, slot: int, steps: int) -> None:
        worker = self.workers[slot]
        if worker is None:
            worker = self.workers[slot] = self._drive()
        for _ in range(steps):
            self.now += 0.05
            worker.send(None)

    @rule(slot=SLOTS, inserts=st.integers(1, 12))
    def work(self, slot: int, inserts: int) -> None:
        """Run it while everything goes well for it, up to its next INSERT on the wire."""
        for left in reversed(range(inserts)):
            others = list(self.store.requests)
            for _ in range(60):
                self.step(slot, 1)
                if len(self.store.requests) > len(others):
                    break
            mine = [request for request in self.store.requests if request not in others]
            if left:
                for request in mine:
                    self.store.commit(request, answer=True)

    @rule(slot=SLOTS)
    def kill(self, slot: int) -> None:
        worker = self.workers[slot]
        if worker is not None:
            worker.close()
        self.workers[slot] = None

    # --- the server ---

    @precondition(lambda self: self.store.requests)
    @rule(which=st.integers(0, 3), how=st.sampled_from(["begin", "begin", "land", "cut", "give up", "lose"]))
    def deliver(self, which: int, how: str) -> None:
        request = self.store.requests[which % len(self.store.requests)]
        match how:
            case "begin":
                self.store.begin(request)
            case "land":
                self.store.commit(request, answer=True)
            case "cut":
                self.store.commit(request, answer=False)
            case "give up":
                self.store.give_up(request)
            case _:
                self.store.lose(request)

    @precondition(lambda self: self.store.requests)
    @rule()
    def server_crashes(self) -> None:
        self.store.crash()

    # --- the end ---

    def teardown(self) -> None:
        for slot in range(2):
            self.kill(slot)
        self._finish()
        self._check_places()
        self._check_usage()

    def _finish(self) -> None:
        """A fresh worker and a store in good health bring everything to its end."""
        worker = self._drive()
        for _ in range(20_000):
            worker.send(None)
            self.now += 1.0
            for request in list(self.store.requests):
                self.store.commit(request, answer=True)
            states = [self.ledger.state(f"bm_{one}", version) for one, version in self.versions.items()]
            end = at_once(self.log.bounds(0)).end
            if at_once(self.ledger.counted()) == {0: end} and set(states) <= {VersionState.ACTIVE}:
                worker.close()
                return
        raise AssertionError("it never came to an end")

    def _check_places(self) -> None:
        """Every record is in `events` or in `event_repeats`, once."""
        places: list[int] = []
        for part in self.tables.parts[Table.EVENTS] + self.tables.parts[Table.EVENT_REPEATS]:
            assert isinstance(part.rows, FirstSeenColumns | RepeatColumns)
            rows = part.rows
            places += rows.events.offsets if isinstance(rows, FirstSeenColumns) else rows.offsets
        assert sorted(places) == list(range(at_once(self.log.bounds(0)).end))

    def _check_usage(self) -> None:
        expected = sorted(
            row for metric, version in self.versions.items() for row in self._recomputed(metric, version)
        )
        active = {(f"bm_{metric}", version) for metric, version in self.versions.items()}
        assert [
            row for row in self.tables.metered() if (row.billable_metric_id, row.version) in active
        ] == expected
        for size in (WindowSize.MINUTE, WindowSize.HOUR, WindowSize.DAY):
            rollups: dict[RollupKey, RollupState] = {}
            for row in expected:
                window = size.window_of(row.time).start
                key = (
                    row.namespace,
                    row.billable_metric_id,
                    row.version,
                    row.subject,
                    "",
                    window,
                    row.dimensions,
                )
                rollups[key] = rollups.get(key, RollupState()).merge(row.state())
            found = self.tables.rollups(size)
            assert {key: state for key, state in found.items() if key[1:3] in active} == rollups

    def _recomputed(self, metric: int, version: int) -> list[Metered]:
        """The metered events of one version, event by event, without fold, columns or blocks."""
        definition = _definition(metric, version)
        events, _ = decode_columns(0, at_once(self.log.read(0, 0, 10_000)))
        met: set[tuple[str, Instant]] = set()
        rows: list[Metered] = []
        for row, id in enumerate(events.ids):
            received_at = events.received_ats[row]
            over = [one.at for one in self.tombstones if one.whose in (EVERYBODY, (events.subjects[row], ""))]
            identity = (id, max([at for at in over if at <= received_at], default=0))
            if identity in met:
                continue
            met.add(identity)
            if any(received_at < at for at in over):
                continue
            outcome = outcome_of(definition, events.times[row], parse_data(events.data[row]))
            if events.types[row] != "call" or not isinstance(outcome, Counted):
                continue
            value = outcome.value
            rows.append(
                Metered(
                    0,
                    events.offsets[row],
                    "org",
                    definition.billable_metric_id,
                    version,
                    events.subjects[row],
                    "",
                    events.times[row],
                    received_at,
                    outcome.dimensions,
                    value if isinstance(value, Decimal) else None,
                    value_hash(value) if isinstance(value, str) else 0,
                )
            )
        return rows

    async def _drive(self) -> None:
        ledger = SteppedLedger(self.ledger)
        worker = Worker(
            partition=0,
            log_id="log",
            log_reader=SteppedLog(self.log),
            dead_letters=self.log,
            ledger=ledger,
            definitions=ledger,
            store=self.store,
            archive=self.store,
            clock=lambda: self.now,
            time_of_day=TimeOfDay(lambda: self.now),
            policy=POLICY,
            rules=RULES,
            sleep=self._sleep,
            offload=offload,
        )
        progress: Progress | None = None
        while True:
            await checkpoint()
            try:
                progress = await (worker.claim() if progress is None else worker.turn(progress))
            except (Fenced, LookTooOld, Unavailable):
                progress = None

    async def _sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            await checkpoint()


TestExactlyOnce = ExactlyOnce.TestCase
TestExactlyOnce.settings = settings(
    max_examples=100,
    stateful_step_count=60,
    deadline=None,  # a run is one long story
    suppress_health_check=[HealthCheck.too_slow],
)
