"""What every route may ask, and who is asking."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The ports behind the query service.

    `after_timeout` is how long a question waits for a position, `max_windows` how many it may ask for.
    """

    products: ProductCatalog
    customers: CustomerCatalog
    metrics: MetricCatalog
    directory: MetricDirectory
    versions: VersionCatalog
    watermark: Watermark
    usage: UsageReader
    read_events: EventReader
    keys: KeyRing
    clock: Clock
    after_timeout: timedelta
    max_windows: int


def backend_of(request: Request) -> Backend:
    """The one that `create_app` was given."""
    backend: Backend = request.app.state.backend
    return backend


def merchant_of(request: Request) -> str:
    """The merchant whose key the request carries; the route has authenticated it already."""
    merchant: str = request.state.merchant
    return merchant


Ports = Annotated[Backend, Depends(backend_of)]
Merchant = Annotated[str, Depends(merchant_of)]
