"""What a subscription is entitled to while its intervals are edited, over HTTP and a real catalog (2.3)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.shop import METERED, Json, Shop

pytestmark = pytest.mark.anyio

START = "2024-01-31T00:00:00Z"
NOW = "2024-02-10T00:00:00Z"
MARCH, APRIL = "2024-03-31T00:00:00Z", "2024-04-30T00:00:00Z"

Held = list[tuple[str, str, str, str | None]]


@dataclass(kw_only=True)
class Entitled:
    """A subscription since 31 January of a plan with the line `calls`; its clock stands at 10 February.
    `extra` is a price of another feature.
    """

    shop: Shop
    id: str
    calls: Json
    extra: Json
    plan: Json
    clock: str

    @classmethod
    async def of(cls, shop: Shop, **fields: object) -> Entitled:
        calls, extra = [await shop.featured(key) for key in ("calls", "extra")]
        plan = await shop.plan(prices=[{"priceId": calls["id"], "key": "calls"}])
        clock = await shop.test_clock(NOW)
        wanted = {"planId": plan["id"], "startedAt": START, "testClockId": clock} | fields
        id = (await shop.subscription(**wanted))["id"]
        return cls(shop=shop, id=id, calls=calls, extra=extra, plan=plan, clock=clock)

    def addition(self, **fields: object) -> Json:
        wanted: Json = {
            "priceKey": "extra",
            "priceId": self.extra["id"],
            "unitPrice": None,
            "baseQuantity": "1",
            "billingCadence": "P1M",
            "billingMode": "arrears",
            "startDate": MARCH,
        }
        return wanted | fields

    async def edited(self, **body: object) -> Json:
        response = await self.shop.posted(f"/v0/subscriptions/{self.id}/intervals", body)
        assert response.status_code == 200, response.text
        answer: Json = response.json()
        return answer

    async def interval(self, key: str) -> Json:
        listed = (await self.shop.get(f"/v0/subscriptions/{self.id}/intervals"))["intervals"]
        return next(one for one in listed if one["priceKey"] == key)

    async def held(self) -> Held:
        """Feature, status, begin and end of each entitlement, by its feature and begin."""
        listed = (await self.shop.get("/v1/entitlements", subscriptionId=self.id, limit="100"))["data"]
        return sorted(
            (one["featureKey"], one["status"], one["activeFrom"], one["activeTo"]) for one in listed
        )

    async def reconciled(self) -> dict[str, list[str]]:
        response = await self.shop.posted(f"/v0/subscriptions/{self.id}/reconciliations", {})
        found = response.json()["features"]
        return {how: [one["featureKey"] for one in some] for how, some in found.items() if some}

    async def move(self, at: str) -> None:
        await self.shop.changed(f"/v0/testClocks/{self.clock}", currentTime=at)


CALLS = ("calls", "active", START, None)


async def test_a_feature_begins_and_ends_with_its_interval(shop: Shop) -> None:
    made = await Entitled.of(shop)
    await made.edited(add=[made.addition(endDate=APRIL)])
    assert await made.held() == [CALLS, ("extra", "active", MARCH, APRIL)]
    [_, dark] = (await shop.get("/v1/entitlements", subscriptionId=made.id))["data"]
    assert (dark["hasAccess"], dark["balance"]) == (False, 0)
    await made.move(MARCH)
    [_, begun] = (await shop.get("/v1/entitlements", subscriptionId=made.id))["data"]
    assert (begun["hasAccess"], begun["balance"]) == (True, 100)
    await made.move(APRIL)
    assert await made.held() == [CALLS, ("extra", "expired", MARCH, APRIL)]
    assert await made.reconciled() == {"skipped": ["calls"]}


async def test_reconciling_leaves_what_was_written(shop: Shop) -> None:
    made = await Entitled.of(shop)
    await made.edited(add=[made.addition(endDate=APRIL)])
    await made.edited(edit=[{"id": (await made.interval("calls"))["id"], "endDate": MARCH}])
    expected = [("calls", "active", START, MARCH), ("extra", "active", MARCH, APRIL)]
    assert await made.held() == expected
    assert await made.reconciled() == {"skipped": ["calls", "extra"]}
    assert await made.held() == expected
    await shop.changed(f"/v0/plans/{made.plan['id']}", prices=[])
    assert await made.reconciled() == {"skipped": ["extra"], "removed": ["calls"]}


async def test_a_line_that_is_opened_again_goes_on_entitling(shop: Shop) -> None:
    made = await Entitled.of(shop)
    id = (await made.interval("calls"))["id"]
    [before] = (await shop.get("/v1/entitlements", subscriptionId=made.id))["data"]
    await made.edited(edit=[{"id": id, "endDate": MARCH}])
    await made.edited(edit=[{"id": id, "endDate": None}])
    [after] = (await shop.get("/v1/entitlements", subscriptionId=made.id))["data"]
    assert after == before
    await made.edited(edit=[{"id": id, "endDate": MARCH}])
    await made.move(MARCH)
    await made.edited(edit=[{"id": id, "endDate": None}])
    assert await made.held() == [("calls", "active", MARCH, None), ("calls", "expired", START, MARCH)]


async def test_an_override_goes_on_entitling(shop: Shop) -> None:
    made = await Entitled.of(shop)
    override = made.addition(priceKey="calls", priceId=made.calls["id"], unitPrice="0.5", endDate=APRIL)
    await made.edited(add=[override])
    assert await made.held() == [CALLS]


async def test_what_is_removed_before_it_begins_is_canceled(shop: Shop) -> None:
    made = await Entitled.of(shop)
    await made.edited(add=[made.addition()])
    await made.edited(remove=[{"id": (await made.interval("extra"))["id"]}])
    assert await made.held() == [CALLS, ("extra", "canceled", MARCH, None)]
    [gone] = [
        one
        for one in (await shop.get("/v1/entitlements", subscriptionId=made.id))["data"]
        if one["featureKey"] == "extra"
    ]
    grants = await shop.get(f"/v1/entitlements/{gone['entitlementId']}/grants", includeVoided="true")
    assert [grant["voidedAt"] for grant in grants["data"]] == [NOW]


async def test_entitlements_of_intervals_end_with_the_subscription(shop: Shop) -> None:
    made = await Entitled.of(shop)
    await made.edited(add=[made.addition(startDate=NOW, endDate=APRIL)])
    path = f"/v0/subscriptions/{made.id}"
    await shop.changed(path, endingAt=MARCH)
    assert await made.held() == [("calls", "active", START, MARCH), ("extra", "active", NOW, MARCH)]
    await shop.changed(path, endingAt="2025-01-01T00:00:00Z")
    assert await made.held() == [
        ("calls", "active", START, "2025-01-01T00:00:00Z"),
        ("extra", "active", NOW, APRIL),
    ]
    await shop.posted(f"{path}/termination", {"reason": "r"})
    assert [one[1] for one in await made.held()] == ["canceled", "canceled"]
    assert [one["endDate"] for one in (await shop.get(f"{path}/intervals"))["intervals"]] == [NOW]


async def test_what_cannot_be_provisioned_is_refused(shop: Shop) -> None:
    made = await Entitled.of(shop)
    feature = await shop.feature(key="unmeasured", type="metered")
    fee = (await shop.fee())["id"]
    price = await shop.price(feeId=fee, feature={"featureId": feature})
    body = {"add": [made.addition(priceKey="u", priceId=price["id"])]}
    response = await shop.posted(f"/v0/subscriptions/{made.id}/intervals", body)
    assert response.status_code == 400, response.text
    assert (await shop.get(f"/v0/subscriptions/{made.id}/intervalChanges"))["data"] == []
    assert await made.held() == [CALLS]


async def test_what_was_issued_beside_the_plan_stays(shop: Shop) -> None:
    made = await Entitled.of(shop)
    subscription = await shop.get(f"/v0/subscriptions/{made.id}")
    issued = {
        "customerId": subscription["customerId"],
        "featureId": made.extra["features"][0]["featureId"],
        "subscriptionId": made.id,
        "template": METERED,
        "activeFrom": NOW,
    }
    await shop.made("/v1/entitlements", issued)
    expected = [CALLS, ("extra", "active", NOW, None)]
    assert await made.held() == expected
    await made.edited(add=[made.addition(endDate=APRIL)])
    assert await made.held() == expected
    assert await made.reconciled() == {"skipped": ["calls", "extra"]}
    assert await made.held() == expected
