"""The query service: ClickHouse and the catalog in, HTTP out."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from meterhouse.adapters.http.request_id import Identified
from meterhouse.ports import (
    Clock,
    KeyRing,
    MetricCatalog,
    MetricDirectory,
    ProductCatalog,
    UsageReader,
    Watermark,
)
from meterhouse.settings import QuerySettings
from query import billable_metrics, event_record, meter, metric_events, products
from query.backend import Backend
from query.failures import handle_failures
from query.openapi import describe


def create_app(
    *,
    products: ProductCatalog,
    metrics: MetricCatalog,
    directory: MetricDirectory,
    watermark: Watermark,
    usage: UsageReader,
    keys: KeyRing,
    clock: Clock,
    settings: QuerySettings,
    extra_openapi: Mapping[str, Any] | None = None,
) -> FastAPI:
    """The service over these ports. `extra_openapi` describes routes that are served beside it."""
    app = FastAPI(
        title="meterhouse",
        version=version("meterhouse"),
        description="Event-streaming usage metering: CloudEvents in, exact usage out.",
        redirect_slashes=False,  # a redirect is neither an answer nor a failure that the contract knows
    )
    app.state.backend = Backend(
        products=products,
        metrics=metrics,
        directory=directory,
        watermark=watermark,
        usage=usage,
        keys=keys,
        clock=clock,
        after_timeout=settings.after_timeout,
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


_ROUTERS = (
    billable_metrics.router,
    meter.router,
    metric_events.router,
    products.router,
    event_record.router,
)
