"""The services over what is opened, by the environment's settings: the same parts in one process or many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from aggregator.batch import FlushPolicy
from aggregator.fault import fault_of
from aggregator.protocol import InsertRules
from aggregator.publication import Publisher
from aggregator.retirement import Retirement
from aggregator.spans import BatchSpans
from aggregator.worker import Worker, always, boot_clock
from ingest.app import create_app as create_ingest
from ingest.arrival import Arrival, ReceiveTimes
from ingest.limits import Limits
from ingest.openapi import OPENAPI as INGEST_OPENAPI
from ingest.routes import PATHS, plan_cloudevents
from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.clickhouse.archive import ClickHouseArchive
from meterhouse.adapters.clickhouse.blocks import ClickHouseBlocks
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.publication import ClickHousePublication
from meterhouse.adapters.clickhouse.usage import ClickHouseUsage, UsageLimits
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.http.health import Check
from meterhouse.domain.event import Event
from meterhouse.ports import EventReader, LogWriter
from meterhouse.settings import AggregatorSettings, FaultSettings, IngestSettings, QuerySettings
from meterhouse.stores import Stores
from meterhouse.telemetry.instruments import AggregatorInstruments, IngestInstruments
from meterhouse.telemetry.shown import Telemetry
from meterhouse.telemetry.spans import NO_SPANS, Spans
from query.app import create_app as create_query
from query.turns import FairReader

# Reading is always a question, also of the paths that events are sent to.
_READING = ("GET", "HEAD")


def ingest_beside(rest: ASGIApp, log: LogWriter, catalog: Catalog, shown: Telemetry) -> ASGIApp:
    """Ingest on its own paths, and `rest` on every other."""
    limits = Limits(**IngestSettings().model_dump())
    instruments = IngestInstruments(shown.registry)
    ingest = create_ingest(log, catalog.keys, SystemClock(), limits, instruments, spans=shown.spans)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        is_event = scope["type"] == "http" and scope["path"] in PATHS and scope["method"] not in _READING
        chosen = ingest if is_event else rest
        await chosen(scope, receive, send)

    return application


def query_over(catalog: Catalog, clickhouse: ClickHousePool, log_id: str, shown: Telemetry) -> FastAPI:
    """The query service; its OpenAPI document describes ingest's routes too."""
    settings = QuerySettings()
    limits = UsageLimits(
        max_cells=settings.max_cells,
        max_rows=settings.max_rows,
        max_bytes=settings.max_bytes,
        max_time=settings.max_time,
    )
    return create_query(
        products=catalog.products,
        customers=catalog.customers,
        metrics=catalog.metrics,
        directory=catalog.metrics,
        versions=catalog.versions(log_id),
        watermark=catalog.watermark(log_id),
        usage=FairReader(ClickHouseUsage(clickhouse, limits), settings.at_once, settings.max_waiting),
        read_events=reader_of_events(),
        keys=catalog.keys,
        clock=SystemClock(),
        settings=settings,
        extra_openapi=INGEST_OPENAPI,
        spans=shown.spans,
    )


def reader_of_events() -> EventReader:
    """Ingest's reading of requests, for those who ask what would become of one."""
    limits, times = Limits(**IngestSettings().model_dump()), ReceiveTimes(SystemClock())

    def read(headers: Mapping[bytes, bytes], body: bytes, merchant: str) -> Sequence[Event]:
        return plan_cloudevents(headers, limits).read(body, Arrival(merchant, limits, times.next))

    return read


async def worker_over(
    stores: Stores,
    partition: int,
    *,
    of: Sequence[int],
    rules: InsertRules,
    instruments: AggregatorInstruments,
    spans: Spans = NO_SPANS,
    idle_seconds: float = 0.1,
    last_seconds: float = 5.0,
    is_ours: Callable[[], bool] = always,
) -> Worker:
    """Whoever counts that partition, one `of` all that the log has. Raises Unavailable."""
    settings, clickhouse = AggregatorSettings(), await stores.shards.of(partition)
    return Worker(
        partition=partition,
        log_id=stores.log.log_id,
        log_reader=stores.log,
        dead_letters=stores.log,
        ledger=stores.catalog.ledger(stores.log.log_id, of),
        definitions=stores.catalog,
        store=ClickHouseBlocks(clickhouse),
        archive=ClickHouseArchive(clickhouse),
        policy=FlushPolicy(max_events=settings.flush_events, max_age=settings.flush_age),
        clock=boot_clock,
        time_of_day=SystemClock(),
        rules=rules,
        fault=fault_of(FaultSettings().fault),
        instruments=instruments,
        spans=BatchSpans(spans),
        idle_seconds=idle_seconds,
        last_seconds=last_seconds,
        is_ours=is_ours,
    )


def publisher_over(stores: Stores) -> Publisher:
    """Whoever tells readers of the tables which billable metrics there are."""
    return Publisher(stores.catalog.metrics, ClickHousePublication(stores.clickhouse))


def retirement_over(stores: Stores) -> Retirement:
    """Whoever deletes what versions of billable metrics have counted that are read no more."""
    return Retirement(
        stores.catalog.versions(stores.log.log_id),
        ClickHouseBlocks(stores.clickhouse),
        ClickHousePublication(stores.clickhouse),
    )


def answers(clickhouse: ClickHousePool) -> Check:
    """A check of readiness: whether ClickHouse answers at all."""
    return lambda: clickhouse.run(lambda client: client.command("SELECT 1"))
