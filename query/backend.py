"""What every route may ask, and who is asking."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Protocol

from fastapi import Depends, Request

from meterhouse.adapters.receivers.urls import UrlRules
from meterhouse.ports.catalog import CustomerCatalog, KeyRing, ProductCatalog
from meterhouse.ports.clock import Clock
from meterhouse.ports.counting import Watermark
from meterhouse.ports.entitlements import Holdings
from meterhouse.ports.links import LinkCatalog
from meterhouse.ports.metrics import MetricCatalog, MetricDirectory, VersionCatalog
from meterhouse.ports.resets import ResetCatalog
from meterhouse.ports.sales import (
    CostCatalog,
    FeatureCatalog,
    FeeCatalog,
    ItemCatalog,
    PlanCatalog,
    PlanVersionCatalog,
    PriceCatalog,
    ReferenceCatalog,
)
from meterhouse.ports.subscriptions import (
    PriceIntervalCatalog,
    ReconciliationCatalog,
    SubscriptionCatalog,
    TestClockCatalog,
    VersionMigrationCatalog,
)
from meterhouse.ports.usage import EventReader, PhaseReader, UsageReader
from meterhouse.ports.webhooks import DeliveryCatalog, EndpointCatalog, WebhookCatalog
from query.snapshots import Snapshots
from query.stale import Earlier
from query.turns import Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Sales:
    """What is sold, what others call it, at what price, and what it costs the merchant itself."""

    items: ItemCatalog
    references: ReferenceCatalog
    fees: FeeCatalog
    prices: PriceCatalog
    costs: CostCatalog
    plans: PlanCatalog
    plan_versions: PlanVersionCatalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """Who subscribes to what, and the clocks that drive some of it."""

    subscriptions: SubscriptionCatalog
    reconciliation: ReconciliationCatalog
    price_intervals: PriceIntervalCatalog
    version_migrations: VersionMigrationCatalog
    test_clocks: TestClockCatalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Whether merchants are told of what happens, where, and what became of it."""

    webhooks: WebhookCatalog
    endpoints: EndpointCatalog
    deliveries: DeliveryCatalog
    urls: UrlRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The ports behind the query service.

    `after_timeout` is how long a question waits for a position, `max_windows` how many it may ask for;
    `public_url` is where people find the service, "" where whoever asks knows that.
    """

    products: ProductCatalog
    features: FeatureCatalog
    sales: Sales
    customers: CustomerCatalog
    subscribed: Subscribed
    holdings: Holdings
    told: Told
    resets: ResetCatalog
    metrics: MetricCatalog
    directory: MetricDirectory
    versions: VersionCatalog
    watermark: Watermark
    usage: UsageReader
    read_events: EventReader
    keys: KeyRing
    links: LinkCatalog
    public_url: str
    clock: Clock
    after_timeout: timedelta
    max_windows: int
    recent: PhaseReader
    snapshots: Snapshots
    earlier: Earlier
    page_turns: Turns


class Measuring(Protocol):
    """As much of it as balances are worked out from."""

    @property
    def holdings(self) -> Holdings: ...

    @property
    def metrics(self) -> MetricCatalog: ...

    @property
    def recent(self) -> PhaseReader: ...

    @property
    def snapshots(self) -> Snapshots: ...


async def backend_of(request: Request) -> Backend:
    """The one that `create_app` was given."""
    backend: Backend = request.app.state.backend
    return backend


async def merchant_of(request: Request) -> str:
    """The merchant whose key the request carries; the route has authenticated it already."""
    merchant: str = request.state.merchant
    return merchant


Ports = Annotated[Backend, Depends(backend_of)]
Merchant = Annotated[str, Depends(merchant_of)]
