"""The query service: ClickHouse and the catalog in, HTTP out."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from meterhouse.adapters.http.request_id import Identified
from meterhouse.ports.catalog import CustomerCatalog, KeyRing, ProductCatalog
from meterhouse.ports.clock import Clock
from meterhouse.ports.counting import Watermark
from meterhouse.ports.entitlements import Holdings
from meterhouse.ports.links import LinkCatalog
from meterhouse.ports.metrics import MetricCatalog, MetricDirectory, VersionCatalog
from meterhouse.ports.resets import ResetCatalog
from meterhouse.ports.sales import FeatureCatalog
from meterhouse.ports.usage import EventReader, PhaseReader, UsageReader
from meterhouse.settings import QuerySettings
from meterhouse.telemetry.spans import NO_SPANS, Spans
from query import signed_pages
from query.backend import Backend, Sales, Subscribed, Told
from query.failures import handle_failures
from query.metering.linked import LinkingReader
from query.not_offered import not_offered
from query.openapi import describe
from query.routes import PAGES, ROUTERS
from query.snapshots import Snapshots
from query.stale import Earlier
from query.turns import Turns


def create_app(
    *,
    products: ProductCatalog,
    features: FeatureCatalog,
    sales: Sales,
    customers: CustomerCatalog,
    subscribed: Subscribed,
    holdings: Holdings,
    told: Told,
    resets: ResetCatalog,
    metrics: MetricCatalog,
    directory: MetricDirectory,
    versions: VersionCatalog,
    watermark: Watermark,
    recent: PhaseReader,
    usage: UsageReader,
    read_events: EventReader,
    keys: KeyRing,
    links: LinkCatalog,
    clock: Clock,
    settings: QuerySettings,
    extra_openapi: Mapping[str, Any] | None = None,
    spans: Spans = NO_SPANS,
) -> FastAPI:
    """The service over these ports. `extra_openapi` describes routes that are served beside it."""
    app = FastAPI(
        title="meterhouse",
        version=version("meterhouse"),
        description="Event-streaming usage metering: CloudEvents in, exact usage out.",
        telemetry=_telemetry(spans),
        redirect_slashes=False,  # a redirect is neither an answer nor a failure that the contract knows
    )
    app.state.backend = Backend(
        products=products,
        features=features,
        sales=sales,
        customers=customers,
        subscribed=subscribed,
        holdings=holdings,
        told=told,
        resets=resets,
        metrics=metrics,
        directory=directory,
        versions=versions,
        watermark=watermark,
        usage=LinkingReader(usage, customers, resets),
        read_events=read_events,
        keys=keys,
        links=links,
        public_url=settings.public_url,
        clock=clock,
        after_timeout=settings.after_timeout,
        max_windows=settings.max_windows,
        recent=recent,
        snapshots=Snapshots(),
        earlier=Earlier(),
        page_turns=Turns(*signed_pages.AT_ONCE_AND_WAITING),
    )
    for router in (*ROUTERS, not_offered(ROUTERS), *PAGES):
        app.include_router(router)
    handle_failures(app)
    app.add_middleware(Identified)
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(describe(app, extra_openapi or {}))
        return document

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend it
    return app


def _telemetry(spans: Spans) -> TelemetryConfig:
    """FastAPI's own server spans; its metrics and logs would be ours once more."""
    return {
        "tracer_provider": spans.provider,
        "tracing": spans.are_made,
        "operation_spans": False,
        "metrics": False,
        "logs": False,
        "auto_configure": False,
        "exclude": lambda scope: (
            scope["path"] in _OF_OPERATORS or scope["path"].startswith(signed_pages.PATH)
        ),
    }


# Asked every few seconds by machines; their answers are seen elsewhere. The path of a page lets
# whoever reads it in, so it must not be kept either.
_OF_OPERATORS = frozenset({"/healthz", "/readyz", "/metrics"})
