"""Each service in processes of its own, over a log on Kafka, a catalog and a ClickHouse that they share.

Where those are, the environment says (meterhouse.settings). Loaded only by the commands that need it, since
Kafka's driver is an extra.
"""

from __future__ import annotations

import asyncio
from asyncio import Task, TaskGroup
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from aggregator.protocol import InsertRules
from aggregator.worker import Worker, pause
from meterhouse.adapters.clickhouse.tables import TOKEN_WINDOW
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.http.errors import error_body
from meterhouse.adapters.http.health import Check, health_routes
from meterhouse.adapters.http.metrics import Measured, metrics_route
from meterhouse.adapters.http.server import (
    Server,
    listening,
    serve_until_stopped,
    share_the_interpreter,
    spare_the_collector,
    url_of,
)
from meterhouse.adapters.kafka.assignment import GroupAssignment, Membership, members
from meterhouse.adapters.kafka.log import KafkaLog
from meterhouse.adapters.kafka.topic import Topic
from meterhouse.assembly import (
    answers,
    ingest_beside,
    notifier_over,
    publisher_over,
    query_over,
    retirement_over,
    worker_over,
)
from meterhouse.domain.errors import Conflict, LogBroken, NotFound, Unavailable
from meterhouse.ports import Watermark
from meterhouse.settings import AggregatorSettings, KafkaSettings
from meterhouse.stores import Stores, open_telemetry, shared_catalog, shared_clickhouse
from meterhouse.telemetry.instruments import (
    AggregatorInstruments,
    QueryInstruments,
)
from meterhouse.telemetry.shown import Telemetry
from meterhouse.telemetry.spans import Spans

Say = Callable[[str], None]
Work = Callable[[asyncio.Event], Coroutine[Any, Any, None]]

# What a client of ours waits for; ClickHouse is told to give up sooner still.
_QUERY_TIMEOUT: Final = timedelta(seconds=5)

# Into one table, by one flush: a batch may span two months, or a backfill be inserted beside it.
_INSERTS_A_FLUSH: Final = 2
_LONGEST_MEMORY: Final = timedelta(hours=1)

# Each of a process's partitions asks Kafka and the catalog that often while nothing arrives.
_IDLE: Final = 0.5  # seconds

_REPORT_SECONDS: Final = 5.0  # between two looks at what lag monitors are shown

_log: Final = structlog.get_logger("meterhouse")


# --- what the processes share ---


@asynccontextmanager
async def open_stores(telemetry: Telemetry | None = None) -> AsyncIterator[Stores]:
    """Everything, for `meterhouse check`. Raises LogUnavailable, CatalogUnavailable, NotMigrated and more."""
    shown = telemetry or Telemetry()
    async with (
        _log_of() as log,
        shared_catalog(shown) as catalog,
        shared_clickhouse(telemetry=shown) as clickhouse,
        Stores.over(log, catalog, clickhouse) as stores,
    ):
        yield stores


async def require_idle() -> None:
    """Raise Conflict while an aggregator belongs to the group, or has died so lately that it still does."""
    kafka = KafkaSettings()
    if count := await members(kafka.servers(), kafka.group):
        raise Conflict(f"the group {kafka.group} has {count} members: stop every aggregator first")


def _log_of() -> AbstractAsyncContextManager[KafkaLog]:
    settings = KafkaSettings()
    return KafkaLog.open(settings.servers(), settings.topic, SystemClock(), settings.limits())


def _plain_app(checks: Mapping[str, Check], registry: CollectorRegistry) -> Starlette:
    """Health and metrics, and for every other path a 404 in the contract's shape."""

    async def absent(_: Request, __: Exception) -> Response:
        status, body, headers = error_body(NotFound("there is nothing at this path"))
        return JSONResponse(body, status, headers)

    routes = [*health_routes(checks), metrics_route(registry)]
    return Starlette(routes=routes, exception_handlers={404: absent})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process listens, and how it tells."""

    host: str
    port: int
    say: Say


async def _serve(name: str, app: ASGIApp, place: Place, *work: Work) -> None:
    with listening(place.host, place.port) as listener:

        def ready() -> None:
            place.say(f"meterhouse {name} is ready at {url_of(listener)}")

        spare_the_collector()
        await serve_until_stopped([Server(app, listener)], ready, work)


# --- ingest ---


async def serve_ingest(place: Place) -> None:
    """Accept events until SIGTERM. Raises OSError where the port is taken, and what opening raises."""
    async with (
        open_telemetry("meterhouse-ingest") as shown,
        _log_of() as log,
        shared_catalog(shown) as catalog,
    ):
        checks = {"event log": log.partitions, "catalog": catalog.newest}
        rest = _plain_app(checks, shown.registry)
        await _serve("ingest", ingest_beside(rest, log, catalog, shown), place)


# --- query ---


async def serve_query(place: Place) -> None:
    """Answer questions until SIGTERM. Kafka is asked once, for the identity of the log."""
    kafka = KafkaSettings()
    async with Topic.open(kafka.servers(), kafka.topic, timeout=kafka.delivery_timeout) as topic:
        log_id = topic.rendered_id
    async with (
        open_telemetry("meterhouse-query") as shown,
        shared_catalog(shown) as catalog,
        shared_clickhouse(_QUERY_TIMEOUT, shown) as clickhouse,
    ):
        query = query_over(catalog, clickhouse, log_id, shown)
        checks = {"catalog": catalog.newest, "ClickHouse": answers(clickhouse)}
        query.router.routes[:0] = [*health_routes(checks), metrics_route(shown.registry)]
        share_the_interpreter()
        await _serve("query", Measured(query, QueryInstruments(shown.registry)), place)


# --- aggregator ---


async def serve_aggregator(place: Place) -> None:
    """Count the partitions that the group gives us until SIGTERM."""
    kafka = KafkaSettings()
    async with open_telemetry("meterhouse-aggregator") as shown, open_stores(shown) as stores:
        instruments = AggregatorInstruments(shown.registry)
        crew = Crew(stores, instruments, shown.spans, AggregatorSettings())
        checks = {
            "event log": stores.log.partitions,
            "catalog": stores.catalog.newest,
            "ClickHouse": answers(stores.clickhouse),
            "partitions": crew.require_whole,
        }

        async def work(stop: asyncio.Event) -> None:
            membership = Membership(
                topic=kafka.topic, group=kafka.group, session_timeout=kafka.session_timeout
            )
            async with notifier_over(stores, shown) as duties, TaskGroup() as tasks:
                crew.work_in(tasks)
                for duty in duties:
                    tasks.create_task(duty(stop))
                tasks.create_task(publisher_over(stores).run(stop))
                tasks.create_task(retirement_over(stores).run(stop))
                async with GroupAssignment.open(
                    kafka.servers(), membership, gained=crew.start, lost=crew.stop
                ) as assignment:
                    reporting = tasks.create_task(_report(assignment, stores))
                    await stop.wait()
                    await crew.finish()  # before others take over what we are in the middle of
                    reporting.cancel()

        await _serve("aggregator", _plain_app(checks, shown.registry), place, work)


@dataclass(slots=True)
class Crew:
    """A worker for each partition that is ours. One that meets a broken log stops; the others go on."""

    stores: Stores
    instruments: AggregatorInstruments
    spans: Spans
    settings: AggregatorSettings
    _tasks: TaskGroup | None = None
    _running: dict[int, tuple[asyncio.Event, Task[None]]] = field(default_factory=dict)
    _broken: dict[int, str] = field(default_factory=dict)

    def work_in(self, tasks: TaskGroup) -> None:
        self._tasks = tasks

    async def finish(self) -> None:
        """Stop every worker, and begin with none from now on."""
        self._tasks = None
        await self.stop(frozenset(self._running))

    async def start(self, partitions: frozenset[int]) -> None:
        """Begin to count these."""
        if self._tasks is None:
            return
        for partition in sorted(partitions):
            stop = asyncio.Event()
            self._running[partition] = (stop, self._tasks.create_task(self._count(partition, stop)))

    async def stop(self, partitions: frozenset[int]) -> None:
        """Finish the batch that each of these is in, and return when all have."""
        ending = [self._running.pop(partition) for partition in partitions if partition in self._running]
        for stop, _ in ending:
            stop.set()
        for _, task in ending:
            await task
        for partition in partitions:
            self._broken.pop(partition, None)
            self.instruments.forget(partition)

    async def require_whole(self) -> None:
        """Raise LogBroken while a partition of ours cannot be counted."""
        if self._broken:
            raise LogBroken("; ".join(self._broken.values()))

    async def _count(self, partition: int, stop: asyncio.Event) -> None:
        try:
            worker = await self._worker(partition, stop)
            if worker is not None:
                await worker.run(stop)
        except LogBroken as error:
            self._broken[partition] = str(error)
            self.instruments.stopped.labels(str(partition)).set(1)
            _log.error("partition stopped", partition=partition, error=str(error))

    async def _worker(self, partition: int, stop: asyncio.Event) -> Worker | None:
        """Whoever counts that partition, once it is known where its rows lie; None if told to stop first."""
        failures = 0
        while not stop.is_set():
            try:
                return await self._made(partition)
            except Unavailable as error:
                failures += 1
                _log.warning("not begun yet", partition=partition, error=str(error), failures=failures)
                await pause(stop, failures)
        return None

    async def _made(self, partition: int) -> Worker:
        every = await self.stores.log.partitions()
        return await worker_over(
            self.stores,
            partition,
            of=every,
            rules=rules_of(self.settings, len(every)),
            instruments=self.instruments,
            spans=self.spans,
            idle_seconds=_IDLE,
            last_seconds=0.0,  # whoever takes the partition over goes on at once
            is_ours=lambda: partition in self._running,
        )


def rules_of(settings: AggregatorSettings, partitions: int) -> InsertRules:
    """Times that fit the tables' token windows, which the aggregators of that many partitions share."""
    windows_last = TOKEN_WINDOW * settings.flush_age / (partitions * _INSERTS_A_FLUSH)
    memory = settings.token_memory or min(_LONGEST_MEMORY, windows_last)
    return InsertRules.within(memory.total_seconds(), settle=settings.settle.total_seconds())


async def _report(assignment: GroupAssignment, stores: Stores) -> None:
    """Keep lag monitors up to date; what they show counts for nothing else."""
    watermark: Watermark = stores.catalog.watermark(stores.log.log_id)
    while True:
        await asyncio.sleep(_REPORT_SECONDS)
        try:
            await assignment.report(await watermark.counted())
        except Unavailable as error:
            _log.info("progress not shown to lag monitors", error=str(error))
