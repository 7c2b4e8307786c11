"""The query service: ClickHouse and the catalog in, HTTP out."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from meterhouse.adapters.http.request_id import Identified
from meterhouse.ports import (
    Clock,
    CustomerCatalog,
    EventReader,
    KeyRing,
    MetricCatalog,
    MetricDirectory,
    ProductCatalog,
    UsageReader,
    VersionCatalog,
    Watermark,
)
from meterhouse.settings import QuerySettings
from meterhouse.telemetry.spans import NO_SPANS, Spans
from query import (
    billable_metrics,
    customers,
    dry_run,
    event_list,
    event_record,
    event_stats,
    meter,
    metric_events,
    products,
    texts,
)
from query import usage as usage_routes
from query import versions as version_routes
from query.backend import Backend
from query.failures import handle_failures
from query.linked import LinkingReader
from query.openapi import describe


def create_app(
    *,
    products: ProductCatalog,
    customers: CustomerCatalog,
    metrics: MetricCatalog,
    directory: MetricDirectory,
    versions: VersionCatalog,
    watermark: Watermark,
    usage: UsageReader,
    read_events: EventReader,
    keys: KeyRing,
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
        customers=customers,
        metrics=metrics,
        directory=directory,
        versions=versions,
        watermark=watermark,
        usage=LinkingReader(usage, customers),
        read_events=read_events,
        keys=keys,
        clock=clock,
        after_timeout=settings.after_timeout,
        max_windows=settings.max_windows,
    )
    for router in _ROUTERS:
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
        "exclude": lambda scope: scope["path"] in _OF_OPERATORS,
    }


# Asked every few seconds by machines; their answers are seen elsewhere.
_OF_OPERATORS = frozenset({"/healthz", "/readyz", "/metrics"})

_ROUTERS = (
    billable_metrics.router,
    version_routes.router,
    meter.router,
    usage_routes.router,
    texts.router,
    metric_events.router,
    products.router,
    customers.router,
    event_list.router,
    event_stats.router,
    dry_run.router,
    event_record.router,  # last, because any text may be the id of an event
)
