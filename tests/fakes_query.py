"""The query service's ports in memory, over events that a test hands in, and the service on top of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import httpx

from meterhouse.adapters.catalog.database import Database
from meterhouse.adapters.catalog.store import Catalog
from meterhouse.assembly.holdings import holdings_of
from meterhouse.assembly.query import reader_of_events, sales_of, subscribed_of, told_of
from meterhouse.domain.billable_metric import (
    BillableMetric,
    Definition,
    MetricVersion,
    Product,
    VersionState,
)
from meterhouse.domain.customer import Consumer, Customer, CustomerFilter, caseless
from meterhouse.domain.errors import Conflict, NotFound
from meterhouse.domain.event import Event
from meterhouse.domain.feature import Feature
from meterhouse.domain.instant import Instant
from meterhouse.domain.reset import ResetScope
from meterhouse.domain.tombstone import NO_TOMBSTONES, Tombstones
from meterhouse.ports.catalog import Page
from meterhouse.ports.metrics import Serving, VersionProgress
from meterhouse.settings import QuerySettings
from query.app import create_app
from tests.fakes_usage import FakePhases, FakeUsage, definition_of

KEY = "key_a"
MERCHANT = "org_a"
OTHER_KEY = "key_b"
OTHER_MERCHANT = "org_b"
NOW = 1_777_636_800_000_000  # 2026-05-01T12:00:00Z

# What is sold is tested over real databases (tests/contract); here it cannot be reached.
_NOWHERE = "sqlite:////nowhere/catalog.sqlite3"


class FakeProducts:
    """Implements ProductCatalog."""

    def __init__(self) -> None:
        self.rows: dict[str, Product] = {}

    async def create(self, product: Product) -> Product:
        self.rows[product.id] = product
        return product

    async def get(self, merchant_id: str, id: str) -> Product:
        product = self.rows.get(id)
        if product is None or product.merchant_id != merchant_id:
            raise NotFound(f"there is no product {id}")
        return product

    async def page(self, merchant_id: str, limit: int, offset: int) -> Page[Product]:
        own = tuple(product for product in self.rows.values() if product.merchant_id == merchant_id)
        return Page(own[offset : offset + limit], len(own))

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, Any]) -> Product:
        self.rows[id] = replace(await self.get(merchant_id, id), **changes)
        return self.rows[id]


class FakeFeatures:
    """Implements FeatureCatalog."""

    def __init__(self, products: FakeProducts) -> None:
        self.products = products
        self.rows: dict[str, Feature] = {}

    async def create(self, feature: Feature) -> Feature:
        await self.products.get(feature.merchant_id, feature.product_id)
        self._require_free(feature)
        self.rows[feature.id] = feature
        return feature

    async def get(self, merchant_id: str, id: str) -> Feature:
        feature = self.rows.get(id)
        if feature is None or feature.merchant_id != merchant_id:
            raise NotFound(f"there is no feature {id}")
        return feature

    async def page(
        self, merchant_id: str, product_id: str, key: str | None, limit: int, offset: int
    ) -> Page[Feature]:
        await self.products.get(merchant_id, product_id)
        found = tuple(
            one for one in self.rows.values() if one.product_id == product_id and key in (None, one.key)
        )
        return Page(found[offset : offset + limit], len(found))

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, Any]) -> Feature:
        changed = replace(await self.get(merchant_id, id), **changes)
        self._require_free(changed)
        self.rows[id] = changed
        return changed

    async def delete(self, merchant_id: str, id: str, at: Instant) -> None:
        await self.get(merchant_id, id)
        del self.rows[id]

    def _require_free(self, feature: Feature) -> None:
        for other in self.rows.values():
            same = (other.product_id, other.key) == (feature.product_id, feature.key)
            if same and other.id != feature.id:
                raise Conflict(f"the key {feature.key} is taken by the feature {other.id}")


class FakeCustomers:
    """Implements CustomerCatalog."""

    def __init__(self) -> None:
        self.rows: dict[str, Customer] = {}
        self.consumers: dict[tuple[str, str], Consumer] = {}

    async def create(self, customer: Customer) -> Customer:
        key = (customer.merchant_id, caseless(customer.consumer.email))
        consumer = self.consumers.setdefault(key, customer.consumer)
        known = [one for one in self._own(customer.merchant_id) if one.consumer.id == consumer.id]
        new = known[0] if known else replace(customer, consumer=consumer)
        self._require_free(customer.merchant_id, customer.external_id, new.id)
        return self.rows.setdefault(new.id, new)

    async def consumer(self, merchant_id: str, id: str) -> Consumer:
        for (owner, _), consumer in self.consumers.items():
            if (owner, consumer.id) == (merchant_id, id):
                return consumer
        raise NotFound(f"there is no consumer {id}")

    async def get(self, merchant_id: str, id: str) -> Customer:
        customer = self.rows.get(id)
        if customer is None or customer.merchant_id != merchant_id:
            raise NotFound(f"there is no customer {id}")
        return customer

    async def page(self, merchant_id: str, wanted: CustomerFilter, limit: int, offset: int) -> Page[Customer]:
        found = tuple(
            customer
            for customer in self._own(merchant_id)
            if caseless(wanted.name or "") in caseless(customer.consumer.name)
            and caseless(wanted.email or "") in caseless(customer.consumer.email)
            and wanted.external_id in (None, customer.external_id)
        )
        return Page(found[offset : offset + limit], len(found))

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, Any]) -> Customer:
        customer = await self.get(merchant_id, id)
        self._require_free(merchant_id, changes.get("external_id"), id)
        settings = {name: value for name, value in changes.items() if hasattr(customer.notifications, name)}
        others = {name: value for name, value in changes.items() if name not in settings}
        wanted = replace(customer.notifications, **settings)
        self.rows[id] = replace(customer, notifications=wanted, **others)
        return self.rows[id]

    async def delete(self, merchant_id: str, id: str, at: Instant) -> None:
        await self.get(merchant_id, id)
        del self.rows[id]

    async def linked(self, merchant_id: str) -> Mapping[str, str]:
        return {one.external_id: one.id for one in self._own(merchant_id) if one.external_id is not None}

    async def names(self, merchant_id: str, ids: Sequence[str] | None) -> Mapping[str, str]:
        own = self._own(merchant_id)
        return {one.id: one.consumer.name for one in own if ids is None or one.id in ids}

    async def external_ids(self, merchant_id: str, ids: Sequence[str]) -> Mapping[str, str]:
        linked = await self.linked(merchant_id)
        return {id: external_id for external_id, id in linked.items() if id in ids}

    def _own(self, merchant_id: str) -> list[Customer]:
        return [customer for customer in self.rows.values() if customer.merchant_id == merchant_id]

    def _require_free(self, merchant_id: str, external_id: str | None, id: str) -> None:
        for other in self._own(merchant_id):
            if external_id is not None and other.external_id == external_id and other.id != id:
                raise Conflict(f"the externalId {external_id} is taken by the customer {other.id}")


class FakeMetrics:
    """Implements MetricCatalog and MetricDirectory.

    A version is active at once, unless `building` is set; then `activate` makes the newest one active.
    """

    def __init__(self) -> None:
        self.rows: dict[str, BillableMetric] = {}
        self.active: dict[str, Definition] = {}
        self.building = False

    def activate(self, id: str) -> None:
        self.active[id] = definition_of(self.rows[id])

    async def create(self, metric: BillableMetric) -> BillableMetric:
        self.rows[metric.id] = metric
        if not self.building:
            self.activate(metric.id)
        return metric

    async def get(self, merchant_id: str, id: str) -> Serving:
        metric = self.rows.get(id)
        if metric is None or metric.merchant_id != merchant_id:
            raise NotFound(f"there is no billable metric {id}")
        definition = definition_of(metric)
        active = self.active.get(id)
        state = VersionState.ACTIVE if active == definition else VersionState.BUILDING
        newest = MetricVersion(definition=definition, state=state)
        if active is None:
            return Serving(metric, newest, newest)
        return Serving(metric, MetricVersion(definition=active, state=VersionState.ACTIVE), newest)

    async def page(
        self, merchant_id: str, product_id: str | None, item_id: str | None, limit: int, offset: int
    ) -> Page[BillableMetric]:
        own = tuple(
            metric
            for metric in self.rows.values()
            if metric.merchant_id == merchant_id
            and product_id in (None, metric.product_id)
            and item_id in (None, metric.item_id)
        )
        return Page(own[offset : offset + limit], len(own))

    async def update(self, merchant_id: str, id: str, changes: Mapping[str, Any]) -> BillableMetric:
        old = (await self.get(merchant_id, id)).metric
        new = replace(old, **changes)
        if replace(definition_of(new), version=0) != replace(definition_of(old), version=0):
            new = replace(new, version=old.version + 1)
        self.rows[id] = new
        if not self.building:
            self.activate(id)
        return new

    async def serving(self, merchant_id: str) -> Sequence[Serving]:
        return [one for one in await self.all_serving() if one.metric.merchant_id == merchant_id]

    async def all_serving(self) -> Sequence[Serving]:
        return [await self.get(metric.merchant_id, metric.id) for metric in self.rows.values()]


@dataclass
class FakeVersions:
    """Implements VersionCatalog over metrics whose versions are counted as soon as they are activated."""

    metrics: FakeMetrics

    async def of(self, merchant_id: str, id: str) -> Sequence[VersionProgress]:
        serving = await self.metrics.get(merchant_id, id)
        versions = {one.definition.version: one for one in (serving.shown, serving.newest)}
        return [
            VersionProgress(version=one, name=serving.metric.name, counted=0, total=0)
            for one in versions.values()
        ]

    async def building(self) -> Sequence[VersionProgress]:
        raise NotImplementedError

    async def cancel(self, merchant_id: str, id: str, version: int) -> None:
        found = {one.version.definition.version: one.version for one in await self.of(merchant_id, id)}
        if version not in found:
            raise NotFound(f"there is no version {version} of {id}")
        if found[version].state is not VersionState.BUILDING:
            raise Conflict(f"version {version} of {id} is {found[version].state}")
        rows = self.metrics.rows
        active = self.metrics.active[id]
        rows[id] = replace(rows[id], version=active.version, event_type=active.event_type)


class FakeWatermark:
    """Implements Watermark. Each question finds `step` more of the log counted."""

    def __init__(self) -> None:
        self.at: dict[int, int] = {0: 0}
        self.step = 0
        self.asked = 0

    async def counted(self) -> Mapping[int, int]:
        self.asked += 1
        self.at = {partition: offset + self.step for partition, offset in self.at.items()}
        return dict(self.at)


class FakeKeys:
    """Implements KeyRing."""

    async def merchant_of(self, key: str) -> str | None:
        return {KEY: MERCHANT, OTHER_KEY: OTHER_MERCHANT}.get(key)


class FakeClock:
    """Implements Clock; each look is `step` later."""

    def __init__(self) -> None:
        self._now = NOW
        self.step = 1_000_000

    def advance(self, length: Instant) -> None:
        """Let so many microseconds pass."""
        self._now += length

    def now(self) -> Instant:
        self._now += self.step
        return self._now


class FakeResets:
    """Implements ResetCatalog over the tombstones that a test puts there."""

    def __init__(self) -> None:
        self.placed: dict[str, Tombstones] = {}

    async def reset(self, merchant_id: str, scope: ResetScope, now: Instant) -> Instant:
        raise NotImplementedError

    async def tombstones(self, merchant_id: str) -> Tombstones:
        return self.placed.get(merchant_id, NO_TOMBSTONES)


@dataclass
class QueryService:
    """The service over fakes, and a client of merchant `org_a`, which has the product `prod_a`."""

    products: FakeProducts = field(default_factory=FakeProducts)
    customers: FakeCustomers = field(default_factory=FakeCustomers)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)
    usage: FakeUsage = field(default_factory=FakeUsage)
    resets: FakeResets = field(default_factory=FakeResets)
    watermark: FakeWatermark = field(default_factory=FakeWatermark)
    after_timeout: timedelta = timedelta(seconds=10)
    extra_openapi: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unreachable = Catalog(Database(_NOWHERE), FakeClock())
        self.app = create_app(
            products=self.products,
            features=FakeFeatures(self.products),
            sales=sales_of(unreachable),
            customers=self.customers,
            subscribed=subscribed_of(unreachable),
            holdings=holdings_of(unreachable, FakePhases()),
            recent=FakePhases(),
            told=told_of(unreachable),
            resets=self.resets,
            metrics=self.metrics,
            directory=self.metrics,
            versions=FakeVersions(self.metrics),
            watermark=self.watermark,
            usage=self.usage,
            read_events=reader_of_events(),
            keys=FakeKeys(),
            links=unreachable.links,
            clock=FakeClock(),
            settings=QuerySettings(after_timeout=self.after_timeout),
            extra_openapi=self.extra_openapi,
        )
        self.client = self.client_of(KEY)
        for merchant, id in ((MERCHANT, "prod_a"), (OTHER_MERCHANT, "prod_b")):
            self.products.rows[id] = Product(
                id=id,
                merchant_id=merchant,
                name=id,
                description="",
                metadata={},
                created_at=NOW,
                updated_at=NOW,
            )

    def client_of(self, key: str | None) -> httpx.AsyncClient:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://query.test", headers=headers)

    def add(self, *events: Event) -> None:
        """Put events into the log, counted at once."""
        self.usage.events_of_log.extend(events)
        self.watermark.at[0] = len(self.usage.events_of_log)

    async def metric(self, **fields: object) -> str:
        """A SUM of `$.n` over events of type `t`, but for `fields`; answers its id."""
        response = await self.client.post("/v0/billableMetrics", json=metric_body(**fields))
        assert response.status_code == 201, response.text
        return str(response.json()["id"])


def metric_body(**fields: object) -> dict[str, object]:
    """A good request for a billable metric, but for `fields`; those that are `...` are left out."""
    body: dict[str, object] = {
        "aggregation": "SUM",
        "name": "Tokens",
        "description": "d",
        "unit": "tokens",
        "merchantId": MERCHANT,
        "eventType": "t",
        "valueProperty": "$.n",
    }
    return {name: value for name, value in (body | fields).items() if value is not ...}


def feature_body(**fields: object) -> dict[str, object]:
    """A good request for a feature, but for `fields`; those that are `...` are left out."""
    body: dict[str, object] = {
        "key": "api-calls",
        "name": "API calls",
        "merchantId": MERCHANT,
        "productId": "prod_a",
        "type": "metered",
    }
    return {name: value for name, value in (body | fields).items() if value is not ...}


def customer_body(**fields: object) -> dict[str, object]:
    """A good request for a customer, but for `fields`; those that are `...` are left out."""
    consumer = {"name": "Acme", "email": "billing@acme.example", "address": {}}
    body: dict[str, object] = {"merchantId": MERCHANT, "consumer": consumer}
    return {name: value for name, value in (body | fields).items() if value is not ...}


def event(id: str, data: bytes = b"{}", *, minute: int = 0, subject: str = "cus_1", **fields: Any) -> Event:
    """An event of type `t` so many minutes after NOW."""
    time = NOW + minute * 60_000_000
    standard: dict[str, Any] = {"namespace": MERCHANT, "source": "s", "type": "t", "received_at": time}
    return Event(id=id, data=data, time=time, subject=subject, **(standard | fields))
