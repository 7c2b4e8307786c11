"""What a reader of the published examples puts in the place of their ids: objects of his own."""

from __future__ import annotations

import secrets
from typing import Any, Final

from tests.api import Api, decode


class Own:
    """Makes an object whenever it is asked for one, so that no example meets what another one left."""

    def __init__(self, api: Api, merchant: str = "org_dev") -> None:
        self._api = api
        self.merchant: Final = merchant

    def mark(self) -> str:
        """A name that nothing else has."""
        return f"own{secrets.token_hex(8)}"

    def product(self) -> str:
        return self._made("/v0/products", name="Product", description="d", merchantId=self.merchant)

    def metric(self, **fields: object) -> str:
        named = {"productId": self.product()} | fields
        return str(self._api.create_metric(self.mark(), "SUM", valueProperty="$.tokens", **named)["id"])

    def customer(self) -> str:
        mark = self.mark()
        consumer = {"name": mark, "email": f"{mark}@example.com", "address": {}}
        wanted = {"merchantId": self.merchant, "consumer": consumer}
        return str(self._posted("/v0/customers", wanted)["customerId"])

    def feature(self, type: str = "boolean") -> str:
        product = self.product()
        named = {"billableMetricId": self.metric(productId=product)} if type == "metered" else {}
        wanted = {"key": self.mark(), "name": "Feature", "merchantId": self.merchant, "productId": product}
        return self._made("/v0/features", **wanted, type=type, metadata=named)

    def entitlement(self) -> str:
        """A metered one."""
        wanted = {"customerId": self.customer(), "featureId": self.feature("metered")}
        template = {"type": "metered", "usagePeriod": {"interval": "P1M"}, "issueAfterReset": 10}
        return self._made("/v1/entitlements", **wanted, template=template)

    def grant(self) -> dict[str, str]:
        """The ids of a grant and of its entitlement."""
        entitlement = self.entitlement()
        path = f"/v1/entitlements/{entitlement}/grants"
        return {
            "entitlement_id": entitlement,
            "grant_id": self._made(path, amount=5, idempotencyKey=self.mark()),
        }

    def fee(self) -> str:
        named = {"merchantId": self.merchant, "productId": self.product()}
        return self._made("/v0/fees", name="Fee", description="d", **named)

    def price(self, product: str | None = None) -> str:
        """One of a billable metric of `product`, with a feature of it."""
        product = product or self.product()
        key = {"key": self.mark(), "name": "Feature", "merchantId": self.merchant, "productId": product}
        template = {"type": "metered", "usagePeriod": {"interval": "P1M"}, "issueAfterReset": 10}
        featured = {
            "featureId": self._made("/v0/features", **key, type="metered"),
            "entitlementTemplate": template,
        }
        priced = {"billableMetricId": self.metric(productId=product), "properties": {"unitPrice": "0.01"}}
        return self._made(
            "/v0/prices", invoiceDisplayName="Price", paymentTerm="in_arrears", feature=featured, **priced
        )

    def plan(self, product: str | None = None) -> str:
        product = product or self.product()
        sold = {"merchantId": self.merchant, "productId": product, "prices": [self.price(product)]}
        return self._made("/v0/plans", name="Plan", currency="USD", billingCadence="P1M", **sold)

    def next_version(self) -> dict[str, Any]:
        """A plan, and the prices that another version of it may have."""
        product = self.product()
        return {"id": self.plan(product), "prices": [self.price(product)]}

    def cost(self) -> str:
        counted = {"aggregation": "SUM", "eventType": self.mark(), "valueProperty": "$.tokens"}
        priced = {"type": "metered", "unitCost": 2, "currency": "USD", "productId": self.product()}
        return self._made("/v0/costs", name="Cost", groupBy={"model": "$.model"}, **counted, **priced)

    def item(self) -> str:
        return self._made("/v0/items", name="Item", merchantId=self.merchant)

    def reference(self) -> str:
        named = {"merchantId": self.merchant, "entityType": "item", "entityId": self.item()}
        return self._made("/v0/externalReferences", **named, provider="netsuite", externalId=self.mark())

    def clock(self) -> str:
        return self._made("/v0/testClocks", currentTime="2026-01-31T00:00:00Z")

    def subscription(self) -> str:
        named = {"customerId": self.customer(), "planId": self.plan()}
        return self._made("/v0/subscriptions", name="Subscription", startedAt="2026-05-01T00:00:00Z", **named)

    def webhooks(self) -> None:
        """The merchant's webhooks are on."""
        self._api.client.post("/v0/webhooks")
        self._api.client.patch("/v0/webhooks", json={"enabled": True})

    def no_webhooks(self) -> None:
        """The merchant's webhooks are off."""
        self._api.client.delete("/v0/webhooks")

    def _made(self, path: str, **body: object) -> str:
        return str(self._posted(path, body)["id"])

    def _posted(self, path: str, body: object) -> dict[str, Any]:
        response = self._api.client.post(path, json=body)
        assert response.status_code == 201, f"{path}: {response.status_code} {response.text}"
        answer: dict[str, Any] = decode(response.content)
        return answer
