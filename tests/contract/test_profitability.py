"""What was billed and what is left of it, over HTTP and a real catalog."""

from __future__ import annotations

from decimal import Decimal

import pytest

from meterhouse.domain.instant import parse
from query.costs.revenue_wire import ProfitabilityBody, RevenueBody
from tests.fakes_query import MERCHANT, event
from tests.shop import Json, Shop

pytestmark = pytest.mark.anyio

# Every look at the clock is a second later than the one before: all that is bought here is on this day.
DAY = {"startTime": "2026-05-01T00:00:00Z", "endTime": "2026-05-02T00:00:00Z"}
PERIOD = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z", "merchantId": MERCHANT}


class Market:
    """Customers of a shop, and what they buy."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def customer(self, name: str) -> str:
        consumer = {"name": name, "email": f"{name}@example.com", "address": {}}
        return await self.shop.customer(consumer=consumer)

    async def entitlement(self, customer: str, **fields: object) -> str:
        metric = await self.shop.metric()
        feature = await self.shop.feature(
            key=customer.replace("_", "-").lower(), metadata={"billableMetricId": metric}
        )
        body = {"customerId": customer, "featureId": feature, "template": {"type": "metered"}}
        return str((await self.shop.made("/v1/entitlements", body | fields))["id"])

    async def buys(self, entitlement: str, price: str, *, paid: bool = False) -> None:
        body = {"amount": 1, "price": price, "idempotencyKey": f"{entitlement} {price}"}
        bought = await self.shop.made(f"/v1/entitlements/{entitlement}/grants/purchase", body)
        if paid:
            path = f"/api/v1/grant-purchases/{bought['invoiceId']}/payment"
            assert (await self.shop.posted(path, {})).status_code == 200


async def test_revenue_is_what_was_invoiced(shop: Shop) -> None:
    market = Market(shop)
    acme, blue = await market.customer("Acme"), await market.customer("Blue")
    await market.buys(await market.entitlement(acme), "10.25")
    of_blue = await market.entitlement(blue)
    await market.buys(of_blue, "5.00", paid=True)
    await market.buys(of_blue, "1.005")
    answer = await shop.get("/v0/revenue", **DAY, groupBy="customer")
    assert answer == {
        "object": "revenue_summary",
        "currency": "USD",
        "netRevenue": "16.26",
        "invoices": {
            "issued": {"count": 3, "amount": "16.26"},
            "outstanding": {"count": 2, "amount": "11.26"},
            "paid": {"count": 1, "amount": "5.00"},
            "writtenOff": {"count": 0, "amount": "0.00"},
        },
        "trend": [
            {
                "timestamp": "2026-05-01T00:00:00Z",
                "revenue": "16.26",
                "issuedInvoices": "16.26",
                "writtenOffInvoices": "0.00",
                "completedPayments": "0.00",
                "rebates": "0.00",
                "groupBreakdown": [
                    {"groupKey": acme, "groupLabel": "Acme", "revenue": "10.25", "issuedInvoices": "10.25"},
                    {"groupKey": blue, "groupLabel": "Blue", "revenue": "6.00", "issuedInvoices": "6.00"},
                ],
            }
        ],
        "groupBreakdown": [
            {
                "groupKey": acme,
                "groupLabel": "Acme",
                "outstanding": {"count": 1, "amount": "10.25"},
                "paid": {"count": 0, "amount": "0.00"},
                "writtenOff": {"count": 0, "amount": "0.00"},
            },
            {
                "groupKey": blue,
                "groupLabel": "Blue",
                "outstanding": {"count": 1, "amount": "1.00"},
                "paid": {"count": 1, "amount": "5.00"},
                "writtenOff": {"count": 0, "amount": "0.00"},
            },
        ],
    }
    RevenueBody.model_validate(answer)
    one = await shop.get("/v0/revenue", **DAY, customerId=blue, bucketWidth="hour")
    assert (one["netRevenue"], one["trend"][0]["timestamp"]) == ("6.00", "2026-05-01T12:00:00Z")
    nobody = await shop.get("/v0/revenue", **DAY, subscriptionIds="sub_none")
    assert (nobody["netRevenue"], nobody["trend"]) == ("0.00", [])
    by_plan = await shop.get("/v0/revenue", **DAY, groupBy="plan")
    assert [one["groupKey"] for one in by_plan["groupBreakdown"]] == ["other"]
    other_day = await shop.get(
        "/v0/revenue", startTime="2026-05-02T00:00:00Z", endTime="2026-06-01T00:00:00Z"
    )
    assert other_day["invoices"]["issued"]["count"] == 0


async def test_revenue_of_subscriptions_is_grouped_by_their_plans(shop: Shop) -> None:
    market = Market(shop)
    acme = await market.customer("Acme")
    await market.buys(await market.entitlement(acme), "3.00")
    plans = {}
    for name, price in (("Small", "5.00"), ("Large", "9.00")):
        plans[name] = (await shop.plan(name=name))["id"]
        of_plan = await shop.subscription(planId=plans[name], customerId=acme)
        metric = await shop.metric()
        feature = await shop.feature(key=name.lower(), metadata={"billableMetricId": metric})
        body = {"customerId": acme, "featureId": feature, "template": {"type": "metered"}}
        held = await shop.made("/v1/entitlements", body | {"subscriptionId": of_plan["id"]})
        await market.buys(held["id"], price)
    answer = await shop.get("/v0/revenue", **DAY, groupBy="plan")
    groups = [(one["groupKey"], one["groupLabel"], one["outstanding"]) for one in answer["groupBreakdown"]]
    assert groups == [
        (plans["Large"], "Large", {"count": 1, "amount": "9.00"}),
        (plans["Small"], "Small", {"count": 1, "amount": "5.00"}),
        ("other", "Other", {"count": 1, "amount": "3.00"}),
    ]
    RevenueBody.model_validate(answer)


async def test_revenue_by_currency_stands_alone(shop: Shop) -> None:
    market = Market(shop)
    await market.buys(await market.entitlement(await market.customer("Acme")), "7.00")
    answer = await shop.get("/v0/revenue", **DAY, groupBy="currency")
    assert answer.keys() == {"object", "currencyBreakdown"}
    [dollars] = answer["currencyBreakdown"]
    assert (dollars["currency"], dollars["netRevenue"]) == ("USD", "7.00")
    assert (await shop.get("/v0/revenue", **DAY, groupBy="currency", currency="EUR"))[
        "currencyBreakdown"
    ] == []
    assert (await shop.get("/v0/revenue", **DAY, currency="EUR"))["netRevenue"] == "0.00"


async def test_profit_is_what_was_billed_less_what_it_cost(shop: Shop) -> None:
    market = Market(shop)
    rich, poor, idle = [await market.customer(name) for name in ("Rich", "Poor", "Idle")]
    gone = await market.customer("Gone")
    await market.buys(await market.entitlement(rich), "10.00", paid=True)
    await market.buys(await market.entitlement(gone, activeTo="2026-05-01T12:02:00Z"), "3.00")
    while shop.clock.now() < parse("2026-05-01T12:02:00Z"):
        pass  # each look is a second later; who is entitled to something stays
    assert (await shop.client.delete(f"/v0/customers/{gone}")).status_code == 204
    await shop.cost(unitCost=Decimal("0.25"))
    await shop.cost(unitCost=Decimal("0.001"), aggregation="COUNT", valueProperty=...)
    await shop.cost(unitCost=Decimal("9"), currency="EUR")
    shop.usage.events_of_log += [
        event("a", b'{"n":10}', subject=rich),
        event("b", b'{"n":2}', subject=poor),
        event("c", b'{"n":1000}', subject="nobody"),
    ]

    def row(id: str, name: str, *figures: str | None) -> Json:
        names = ("netRevenue", "totalCost", "profit", "marginPct", "costData")
        return {"customerId": id, "customerName": name, **dict(zip(names, figures, strict=True))}

    rows = [
        row(rich, "Rich", "10.00", "2.50", "7.50", "75.00", "recorded"),
        row(idle, "Idle", "0.00", "0.00", "0.00", None, "none"),
        row(poor, "Poor", "0.00", "0.50", "-0.50", None, "recorded"),
        row("deleted", "Deleted customers", "3.00", "0.00", "3.00", None, "none"),
    ]
    answer = await shop.get("/v0/profitability", **PERIOD)
    assert answer == {
        "object": "profitability_summary",
        "currency": "USD",
        "rows": rows,
        "customerCount": 3,
        "emptyCustomerCount": 1,
        "warnings": [],
    }
    ProfitabilityBody.model_validate(answer)
    folded = await shop.get("/v0/profitability", **PERIOD, topN="1")
    other = row("other", "Other", "0.00", "0.50", "-0.50", None, "partial")
    assert folded["rows"] == [rows[0], other, rows[3]]
    kept = await shop.get("/v0/profitability", **PERIOD, excludeEmpty="true", includeEmpty="true")
    assert (kept["rows"], kept["emptyCustomers"]) == ([rows[0], rows[2], rows[3]], [rows[1]])
    assert (await shop.get("/v0/profitability", **PERIOD, includeEmpty="true"))["emptyCustomers"] == []


async def test_another_merchant_learns_nothing(shop: Shop) -> None:
    market = Market(shop)
    await market.buys(await market.entitlement(await market.customer("Acme")), "7.00")
    assert (await shop.stranger.get("/v0/profitability", params=PERIOD)).status_code == 403
    assert (await shop.stranger.get("/v0/revenue", params=DAY | {"merchantId": MERCHANT})).status_code == 403
    theirs = (await shop.stranger.get("/v0/profitability", params=PERIOD | {"merchantId": "org_b"})).json()
    assert (theirs["rows"], theirs["customerCount"]) == ([], 0)
    assert (await shop.stranger.get("/v0/revenue", params=DAY)).json()["netRevenue"] == "0.00"


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("/v0/revenue", {"startTime": DAY["endTime"], "endTime": DAY["startTime"]}, "startTime"),
        ("/v0/revenue", {"startTime": DAY["startTime"]}, "endTime"),
        ("/v0/revenue", DAY | {"bucketWidth": "month"}, "bucketWidth"),
        ("/v0/revenue", DAY | {"groupBy": "country"}, "groupBy"),
        ("/v0/profitability", {"merchantId": MERCHANT, "from": PERIOD["from"]}, "to"),
        ("/v0/profitability", PERIOD | {"to": "2026-04-01T00:00:00Z"}, "from"),
        ("/v0/profitability", PERIOD | {"topN": "0"}, "topN"),
    ],
)
async def test_what_cannot_be_answered_is_refused(shop: Shop, path: str, params: Json, field: str) -> None:
    response = await shop.client.get(path, params=params)
    assert response.status_code == 400, response.text
    assert [problem["field"] for problem in response.json()["errors"]] == [field]
