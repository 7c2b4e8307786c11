"""The query service over what is opened, by the environment's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import FastAPI
from starlette.types import ASGIApp

from ingest.arrival import Arrival, ReceiveTimes
from ingest.limits import Limits
from ingest.openapi import OPENAPI as INGEST_OPENAPI
from ingest.routes import plan_cloudevents
from meterhouse.adapters.catalog.store import Catalog
from meterhouse.adapters.clickhouse.client import ClickHousePool
from meterhouse.adapters.clickhouse.news import ClickHouseNews
from meterhouse.adapters.clickhouse.phases import ClickHousePhases
from meterhouse.adapters.clickhouse.usage import ClickHouseUsage
from meterhouse.adapters.clock import SystemClock
from meterhouse.adapters.http.health import Check, health_routes
from meterhouse.adapters.http.metrics import Measured, metrics_route
from meterhouse.assembly.holdings import holdings_of, limits_of
from meterhouse.domain.event import Event
from meterhouse.ports.usage import EventReader
from meterhouse.settings import IngestSettings, QuerySettings, WebhookSettings
from meterhouse.telemetry.instruments import QueryInstruments
from meterhouse.telemetry.shown import Telemetry
from query.app import create_app
from query.backend import Sales, Subscribed, Told
from query.entitlements.recent_phases import KEPT_OF_ONE_NODE, KEPT_OF_REPLICAS, RecentPhases
from query.turns import FairReader, Turns


def query_over(catalog: Catalog, clickhouse: ClickHousePool, log_id: str, shown: Telemetry) -> FastAPI:
    """The query service; its OpenAPI document describes ingest's routes too."""
    settings, clock = QuerySettings(), SystemClock()
    limits = limits_of(settings)
    phases, watermark = ClickHousePhases(clickhouse, limits), catalog.watermark(log_id)
    kept = KEPT_OF_REPLICAS if clickhouse.tables.cluster else KEPT_OF_ONE_NODE
    return create_app(
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


def answered(query: FastAPI, checks: Mapping[str, Check], shown: Telemetry) -> ASGIApp:
    """The service as a process answers with it: health and metrics first, and every answer timed."""
    query.router.routes[:0] = [*health_routes(checks), metrics_route(shown.registry)]
    return Measured(query, QueryInstruments(shown.registry))


def told_of(catalog: Catalog) -> Told:
    """The parts of the catalog that what merchants are told is in."""
    return Told(
        webhooks=catalog.webhooks,
        endpoints=catalog.endpoints,
        deliveries=catalog.deliveries,
        urls=WebhookSettings().urls(),
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


def reader_of_events() -> EventReader:
    """Ingest's reading of requests, for those who ask what would become of one."""
    limits, times = Limits(**IngestSettings().model_dump()), ReceiveTimes(SystemClock())

    def read(headers: Mapping[bytes, bytes], body: bytes, merchant: str) -> Sequence[Event]:
        return plan_cloudevents(headers, limits).read(body, Arrival(merchant, limits, times.next))

    return read
