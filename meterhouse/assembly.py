"""The services over what is opened, by the environment's settings: the same parts in one process or many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

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
from meterhouse.adapters.clickhouse.news import ClickHouseNews
from meterhouse.adapters.clickhouse.phases import ClickHousePhases
from meterhouse.adapters.clickhouse.publication import ClickHousePublication
from meterhouse.adapters.clickhouse.usage import ClickHouseUsage, UsageLimits
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.http.health import Check
from meterhouse.adapters.receivers.carrier import HttpCarrier
from meterhouse.adapters.receivers.urls import UrlRules
from meterhouse.domain.event import Event
from meterhouse.domain.instant import microseconds
from meterhouse.entitlement_ports import Holdings
from meterhouse.ports import EventReader, LogWriter, PhaseReader
from meterhouse.settings import (
    AggregatorSettings,
    FaultSettings,
    IngestSettings,
    QuerySettings,
    WebhookSettings,
)
from meterhouse.stores import Stores
from meterhouse.telemetry.instruments import AggregatorInstruments, IngestInstruments, NotifierInstruments
from meterhouse.telemetry.shown import Telemetry
from meterhouse.telemetry.spans import NO_SPANS, Spans
from notifier.delivery import Courier
from notifier.watch import Watch
from query.app import create_app as create_query
from query.backend import Sales, Subscribed, Told
from query.recent_phases import KEPT_OF_ONE_NODE, KEPT_OF_REPLICAS, RecentPhases
from query.sightings import BalanceObserver
from query.turns import FairReader, Turns

Duty = Callable[[asyncio.Event], Coroutine[Any, Any, None]]

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
    settings, clock = QuerySettings(), SystemClock()
    limits = _limits(settings)
    phases, watermark = ClickHousePhases(clickhouse, limits), catalog.watermark(log_id)
    kept = KEPT_OF_REPLICAS if clickhouse.tables.cluster else KEPT_OF_ONE_NODE
    return create_query(
        products=catalog.products,
        features=catalog.features,
        sales=sales_of(catalog),
        customers=catalog.customers,
        subscribed=subscribed_of(catalog),
        holdings=holdings_of(catalog, phases),
        recent=RecentPhases(phases, ClickHouseNews(clickhouse), watermark, clock, kept),
        told=told_of(catalog),
        resets=catalog.resets,
        metrics=catalog.metrics,
        directory=catalog.metrics,
        versions=catalog.versions(log_id),
        watermark=watermark,
        usage=FairReader(ClickHouseUsage(clickhouse, limits), Turns(settings.at_once, settings.max_waiting)),
        read_events=reader_of_events(),
        keys=catalog.keys,
        links=catalog.links,
        clock=clock,
        settings=settings,
        extra_openapi=INGEST_OPENAPI,
        spans=shown.spans,
    )


def _limits(settings: QuerySettings) -> UsageLimits:
    return UsageLimits(
        max_cells=settings.max_cells,
        max_rows=settings.max_rows,
        max_bytes=settings.max_bytes,
        max_time=settings.max_time,
    )


def told_of(catalog: Catalog) -> Told:
    """The parts of the catalog that what merchants are told is in."""
    settings = WebhookSettings()
    return Told(
        webhooks=catalog.webhooks,
        endpoints=catalog.endpoints,
        deliveries=catalog.deliveries,
        urls=UrlRules(settings.allow_http, settings.allow_private),
    )


def sales_of(catalog: Catalog) -> Sales:
    """The parts of the catalog that what is sold is in."""
    return Sales(
        items=catalog.items,
        references=catalog.references,
        fees=catalog.fees,
        prices=catalog.prices,
        costs=catalog.costs,
        plans=catalog.plans,
        plan_versions=catalog.plan_versions,
    )


def subscribed_of(catalog: Catalog) -> Subscribed:
    """The parts of the catalog that subscriptions are in."""
    return Subscribed(
        subscriptions=catalog.subscriptions,
        reconciliation=catalog.reconciliation,
        price_intervals=catalog.price_intervals,
        version_migrations=catalog.version_migrations,
        test_clocks=catalog.test_clocks,
    )


def holdings_of(catalog: Catalog, phases: PhaseReader) -> Holdings:
    """What customers hold, and the usage it is burned down by."""
    return Holdings(
        entitlements=catalog.entitlements, grants=catalog.grants, purchases=catalog.grants, phases=phases
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


@asynccontextmanager
async def notifier_over(stores: Stores, shown: Telemetry) -> AsyncIterator[Sequence[Duty]]:
    """Whoever tells merchants of what happens: one finds what there is to tell, another delivers it."""
    settings, fault = WebhookSettings(), fault_of(FaultSettings().fault)
    clock, instruments = SystemClock(), NotifierInstruments(shown.registry)
    phases = ClickHousePhases(stores.clickhouse, _limits(QuerySettings()))
    watch = Watch(
        looks=stores.catalog.looks,
        news=ClickHouseNews(stores.clickhouse),
        watermark=stores.catalog.watermark(stores.log.log_id),
        observer=BalanceObserver(holdings_of(stores.catalog, phases), stores.catalog.metrics),
        clock=clock,
        log_id=stores.log.log_id,
        instruments=instruments,
        every_seconds=settings.interval.total_seconds(),
        at_most=settings.looks,
        sweep=microseconds(settings.sweep),
        fault=fault,
    )
    async with HttpCarrier.open(
        clock,
        timeout=settings.timeout,
        allow_http=settings.allow_http,
        allow_private=settings.allow_private,
    ) as carrier:
        courier = Courier(
            outbox=stores.catalog.deliveries,
            carrier=carrier,
            clock=clock,
            instruments=instruments,
            every_seconds=settings.interval.total_seconds(),
            timeout=microseconds(settings.timeout),
            at_once=settings.at_once,
            retention=microseconds(settings.retention),
            fault=fault,
        )
        yield watch.run, courier.run


def answers(clickhouse: ClickHousePool) -> Check:
    """A check of readiness: whether ClickHouse answers at all."""
    return lambda: clickhouse.run(lambda client: client.command("SELECT 1"))
