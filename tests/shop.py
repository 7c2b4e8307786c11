"""The query service over a real catalog: what is sold, asked for as a merchant's program asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import httpx
import msgspec

from meterhouse.adapters.catalog.store import Catalog
from meterhouse.assembly.holdings import holdings_of
from meterhouse.assembly.query import reader_of_events, sales_of, subscribed_of, told_of
from meterhouse.settings import QuerySettings
from query.app import create_app
from tests.api import decode
from tests.fakes_query import (
    KEY,
    MERCHANT,
    OTHER_KEY,
    OTHER_MERCHANT,
    FakeClock,
    FakeKeys,
    customer_body,
    feature_body,
    metric_body,
)
from tests.fakes_usage import FakePhases, FakeUsage

Json = dict[str, Any]

# What an entitlement of a metered feature is issued from.
METERED: Final[Json] = {"type": "metered", "issueAfterReset": 100, "usagePeriod": {"interval": "P1M"}}

_LOG: Final = "log"
_JSON: Final = {"content-type": "application/json"}
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class Shop:
    """The merchant `org_a` with the product `prod_a`, and beside it `org_b` with `prod_b`.

    Every method posts, and answers what was made; `fields` replace those of a good request.
    """

    def __init__(self, catalog: Catalog, clock: FakeClock) -> None:
        self.catalog = catalog
        self.phases = FakePhases()
        self.clock = clock
        self.usage = FakeUsage()
        self.holdings = holdings_of(catalog, self.phases)
        self.app = create_app(
            products=catalog.products,
            features=catalog.features,
            sales=sales_of(catalog),
            customers=catalog.customers,
            subscribed=subscribed_of(catalog),
            holdings=self.holdings,
            told=told_of(catalog),
            resets=catalog.resets,
            metrics=catalog.metrics,
            directory=catalog.metrics,
            versions=catalog.versions(_LOG),
            watermark=catalog.watermark(_LOG),
            recent=self.phases,
            usage=self.usage,
            read_events=reader_of_events(),
            keys=FakeKeys(),
            links=catalog.links,
            clock=clock,
            settings=QuerySettings(),
        )
        self.client = self.client_of(KEY)
        self.stranger = self.client_of(OTHER_KEY)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Shop]:
        clock = FakeClock()
        async with Catalog.open(url, clock) as catalog:
            await catalog.ensure_product(MERCHANT, "prod_a")
            await catalog.ensure_product(OTHER_MERCHANT, "prod_b")
            yield cls(catalog, clock)

    def client_of(self, key: str) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {key}"}
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://query.test", headers=headers)

    async def get(self, path: str, **params: str) -> Json:
        response = await self.client.get(path, params=params)
        assert response.status_code == 200, response.text
        body: Json = decode(response.content)
        return body

    async def made(self, path: str, body: Mapping[str, object]) -> Json:
        response = await self.posted(path, body)
        assert response.status_code == 201, response.text
        answer: Json = decode(response.content)
        return answer

    async def posted(self, path: str, body: Mapping[str, object]) -> httpx.Response:
        return await self.client.post(path, content=_encode(body), headers=_JSON)

    async def patched(self, path: str, body: Mapping[str, object]) -> httpx.Response:
        return await self.client.patch(path, content=_encode(body), headers=_JSON)

    async def changed(self, path: str, **changes: object) -> Json:
        response = await self.patched(path, changes)
        assert response.status_code == 200, response.text
        answer: Json = decode(response.content)
        return answer

    async def product(self) -> str:
        wanted = {"name": "n", "description": "d", "merchantId": MERCHANT}
        return str((await self.made("/v0/products", wanted))["id"])

    async def metric(self, **fields: object) -> str:
        return str((await self.made("/v0/billableMetrics", metric_body(**fields)))["id"])

    async def feature(self, **fields: object) -> str:
        return str((await self.made("/v0/features", feature_body(**fields)))["id"])

    async def customer(self, **fields: object) -> str:
        return str((await self.made("/v0/customers", customer_body(**fields)))["customerId"])

    async def item(self, **fields: object) -> Json:
        return await self.made("/v0/items", without({"merchantId": MERCHANT, "name": "Item"} | fields))

    async def reference(self, **fields: object) -> Json:
        wanted: Json = {"merchantId": MERCHANT, "entityType": "item", "provider": "netsuite"}
        return await self.made("/v0/externalReferences", without(wanted | {"externalId": "X-1"} | fields))

    async def fee(self, **fields: object) -> Json:
        wanted: Json = {"merchantId": MERCHANT, "productId": "prod_a", "name": "Setup", "description": "d"}
        return await self.made("/v0/fees", without(wanted | fields))

    async def price(self, **fields: object) -> Json:
        return await self.made("/v0/prices", await self.price_body(**fields))

    async def featured(self, key: str, **fields: object) -> Json:
        """A price that brings a metered feature of that key."""
        feature = await self.feature(key=key, type="metered")
        return await self.price(feature={"featureId": feature, "entitlementTemplate": METERED}, **fields)

    async def cost(self, **fields: object) -> Json:
        return await self.made("/v0/costs", cost_body(**fields))

    async def plan(self, **fields: object) -> Json:
        wanted: Json = {"merchantId": MERCHANT, "productId": "prod_a", "name": "Pro", "currency": "USD"}
        return await self.made("/v0/plans", without(wanted | fields))

    async def test_clock(self, at: str) -> str:
        return str((await self.made("/v0/testClocks", {"currentTime": at}))["id"])

    async def subscription(self, **fields: object) -> Json:
        return await self.made("/v0/subscriptions", await self.subscription_body(**fields))

    async def subscription_body(self, **fields: object) -> Json:
        """A good request for a subscription of a new plan, unless `fields` name one, by the one customer."""
        wanted: Json = {"name": "Pro", "startedAt": "2026-05-01T00:00:00Z"}
        if not fields.keys() & {"customerId", "customer"}:
            response = await self.posted("/v0/customers", customer_body())
            wanted["customerId"] = response.json()["customerId"]
        if "planId" not in fields:
            wanted["planId"] = (await self.plan())["id"]
        return without(wanted | fields)

    async def price_body(self, **fields: object) -> Json:
        """A good request for a price of a new billable metric, unless `fields` name one, or a fee."""
        wanted: Json = {
            "invoiceDisplayName": "API",
            "paymentTerm": "in_arrears",
            "properties": {"unitPrice": "0.01"},
        }
        if not fields.keys() & {"billableMetricId", "feeId"}:
            wanted["billableMetricId"] = await self.metric()
        return without(wanted | fields)


def cost_body(**fields: object) -> Json:
    """A good request for a cost, but for `fields`; those that are `...` are left out."""
    body: Json = {
        "type": "metered",
        "name": "Compute",
        "unitCost": Decimal("0.002"),
        "currency": "USD",
        "productId": "prod_a",
        "aggregation": "SUM",
        "eventType": "t",
        "valueProperty": "$.n",
    }
    return without(body | fields)


def fields_of(response: httpx.Response) -> list[str]:
    """The fields that a request is refused for."""
    assert response.status_code == 400, response.text
    return [one["field"] for one in response.json()["errors"]]


def without(body: Json) -> Json:
    """The body, but for what is `...`."""
    return {name: value for name, value in body.items() if value is not ...}
