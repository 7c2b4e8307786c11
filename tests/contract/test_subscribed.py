"""What stands while it is subscribed to, over HTTP and a real catalog (contract 3.10)."""

from __future__ import annotations

import pytest

from tests.contract.test_subscriptions import PATH, featured
from tests.shop import Shop

pytestmark = pytest.mark.anyio


async def test_what_subscriptions_need_stays_while_they_live(shop: Shop) -> None:
    clock = await shop.test_clock("2026-05-10T00:00:00Z")
    made = await shop.subscription(testClockId=clock, endingAt="2026-06-01T00:00:00Z")
    for path in (f"/v0/testClocks/{clock}", f"/v0/customers/{made['customerId']}"):
        response = await shop.client.delete(path)
        assert response.status_code == 409, response.text
        [blocker] = response.json()["details"]["blockers"]
        assert blocker == {
            "type": "subscriptions",
            "count": 1,
            "items": [{"id": made["id"], "status": "active"}],
        }
    await shop.changed(f"/v0/testClocks/{clock}", advanceBy="P1M")
    assert (await shop.client.delete(f"/v0/testClocks/{clock}")).status_code == 200
    assert (await shop.client.delete(f"/v0/customers/{made['customerId']}")).status_code == 204
    left = await shop.get(PATH, include="customer")
    assert [(one["id"], one["status"]) for one in left["data"]] == [(made["id"], "terminated")]
    assert "customer" not in left["data"][0]
    fresh = {"name": "n", "email": "n@example.com", "address": {"country": "DE", "zipCode": "1"}}
    body = await shop.subscription_body(customer=fresh, testClockId=clock)
    assert (await shop.posted(PATH, body)).status_code == 404


async def test_a_price_that_subscriptions_are_charged_by_costs_the_same(shop: Shop) -> None:
    _, price = await featured(shop, "tokens")
    pinned_plan, plan = await shop.plan(prices=[price]), await shop.plan(prices=[price])
    pinned = await shop.subscription(planId=pinned_plan["id"], versionPolicy="pinned")
    floating = await shop.subscription(planId=plan["id"])
    for one in (pinned_plan, plan):
        await shop.changed(f"/v0/plans/{one['id']}", prices=[])
    await shop.changed(f"/v0/plans/{plan['id']}", prices=[price])
    path = f"/v0/prices/{price}"
    wanted = {"properties": {"unitPrice": "0.02"}, "billingCadence": "P1Y", "invoiceDisplayName": "new"}
    response = await shop.patched(path, wanted)
    assert response.status_code == 409, response.text
    told = response.json()
    assert (told["error"], told["code"]) == ("conflict", "PRICE_HAS_SUBSCRIPTIONS")
    assert told["details"] == {
        "priceId": price,
        "fields": ["properties", "billingCadence"],
        "subscriptionCount": 2,
    }
    assert (await shop.get(path))["invoiceDisplayName"] == "API"
    same = {"properties": {"unitPrice": "0.01"}, "invoiceDisplayName": "new", "feature": None}
    assert (await shop.changed(path, **same))["invoiceDisplayName"] == "new"
    await shop.changed(f"/v0/subscriptions/{pinned['id']}", versionPolicy="floating")
    assert (await shop.patched(path, wanted)).json()["details"]["subscriptionCount"] == 1
    await shop.posted(f"{PATH}/{floating['id']}/termination", {"reason": "r"})
    assert (await shop.changed(path, **wanted))["billingCadence"] == "P1Y"


async def test_plans_of_a_product_that_is_subscribed_to_are_not_available(shop: Shop) -> None:
    other = await shop.product()
    pro, _ = await shop.plan(name="Pro"), await shop.plan(name="Basic")
    team = await shop.plan(name="Team", productId=other)
    made = await shop.subscription(planId=pro["id"])

    async def names(customer: str) -> list[str]:
        found = await shop.get("/v0/plans/available", customerId=customer)
        assert found["pagination"]["total"] == len(found["data"])
        return [one["name"] for one in found["data"]]

    assert await names(made["customerId"]) == ["Team"]
    somebody = await shop.customer(consumer={"name": "B", "email": "b@example.com", "address": {}})
    assert await names(somebody) == ["Pro", "Basic", "Team"]
    await shop.subscription(planId=team["id"], customerId=made["customerId"])
    assert await names(made["customerId"]) == []
    await shop.posted(f"{PATH}/{made['id']}/termination", {"reason": "r"})
    assert await names(made["customerId"]) == ["Pro", "Basic"]


async def test_a_version_counts_the_live_subscriptions_that_began_with_it(shop: Shop) -> None:
    plan = await shop.plan(prices=[])
    made = [await shop.subscription(planId=plan["id"], name=name) for name in ("a", "b")]
    path = f"/v0/plans/{plan['id']}/versions"
    price = await shop.price()
    await shop.made(path, {"prices": [price["id"]]})
    await shop.subscription(planId=plan["id"], name="c")

    async def counts() -> list[int]:
        listed = await shop.get(path)
        numbers = [one["versionNumber"] for one in listed["data"]]
        singly = [(await shop.get(f"{path}/{number}"))["subscriptionCount"] for number in numbers]
        assert singly == [one["subscriptionCount"] for one in listed["data"]]
        return singly

    assert await counts() == [1, 2]
    await shop.posted(f"{PATH}/{made[0]['id']}/termination", {"reason": "r"})
    assert await counts() == [1, 1]
