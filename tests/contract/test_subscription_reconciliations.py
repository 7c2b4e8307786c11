"""Reconciling subscriptions with their plans, over HTTP and a real catalog (contract 3.10)."""

from __future__ import annotations

import asyncio

import pytest

from meterhouse.domain.reconciliation import Reconciliation
from tests.fakes_query import MERCHANT
from tests.shop import Json, Shop

pytestmark = pytest.mark.anyio


async def reconciled(shop: Shop, id: str, body: Json | None = None, status: int = 200) -> Json:
    path = f"/v0/subscriptions/{id}/reconciliations"
    response = await (shop.client.post(path) if body is None else shop.posted(path, body))
    assert response.status_code == status, response.text
    answer: Json = response.json()
    return answer


def keys(answer: Json) -> dict[str, list[str]]:
    return {how: [one["featureKey"] for one in some] for how, some in answer["features"].items() if some}


async def held(shop: Shop, id: str) -> dict[str, tuple[str, str]]:
    listed = await shop.get("/v1/entitlements", subscriptionId=id, limit="100")
    return {one["featureKey"]: (one["status"], one["activeFrom"]) for one in listed["data"]}


async def test_a_floating_subscription_follows_the_default_version_of_its_plan(shop: Shop) -> None:
    old, kept, new = [await shop.featured(key) for key in ("old", "kept", "new")]
    clock = await shop.test_clock("2026-05-10T00:00:00Z")
    plan = await shop.plan(prices=[old["id"], kept["id"]])
    made = await shop.subscription(planId=plan["id"], testClockId=clock)
    id = made["id"]
    assert keys(await reconciled(shop, id)) == {"skipped": ["old", "kept"]}
    await shop.changed(f"/v0/plans/{plan['id']}", prices=[kept["id"], new["id"]])
    expected = {"skipped": ["kept"], "added": ["new"], "removed": ["old"]}
    before = await held(shop, id)
    preview = await reconciled(shop, id, {"dryRun": True})
    assert (keys(preview), preview["dryRun"]) == (expected, True)
    assert await held(shop, id) == before
    done = await reconciled(shop, id, {"dryRun": False})
    assert done == preview | {"dryRun": False, "object": "subscriptionReconciliation"}
    assert done["features"]["added"] == [
        {"featureId": new["features"][0]["featureId"], "featureKey": "new", "billed": True}
    ]
    assert done["lineItems"] == {"created": 0, "removed": 0}
    start = "2026-05-01T00:00:00Z"
    assert await held(shop, id) == {
        "old": ("canceled", start),
        "kept": ("active", start),
        "new": ("active", "2026-05-10T00:00:00Z"),
    }
    dark = await shop.get("/v1/entitlements", subscriptionId=id, at="2026-05-05T00:00:00Z")
    [added] = [one for one in dark["data"] if one["featureKey"] == "new"]
    assert (added["currentPeriodStart"], added["currentPeriodEnd"]) == (start, "2026-05-10T00:00:00Z")
    assert (added["hasAccess"], added["balance"]) == (False, 0)
    assert keys(await reconciled(shop, id, {})) == {"skipped": ["kept", "new"]}
    assert (await shop.get(f"/v0/subscriptions/{id}"))["versionNumber"] == 1


async def test_what_is_removed_loses_its_grants_and_may_come_back(shop: Shop) -> None:
    price = await shop.featured("tokens")
    plan = await shop.plan(prices=[price["id"]])
    made = await shop.subscription(planId=plan["id"])
    path = f"/v0/plans/{plan['id']}"
    await shop.changed(path, prices=[])
    assert keys(await reconciled(shop, made["id"])) == {"removed": ["tokens"]}
    [one] = (await shop.get("/v1/entitlements", subscriptionId=made["id"]))["data"]
    grants = await shop.get(f"/v1/entitlements/{one['entitlementId']}/grants", includeVoided="true")
    assert [grant["voidedAt"] is not None for grant in grants["data"]] == [True]
    await shop.changed(path, prices=[price["id"]])
    assert keys(await reconciled(shop, made["id"])) == {"added": ["tokens"]}
    listed = await shop.get("/v1/entitlements", subscriptionId=made["id"])
    assert [(one["status"], one["balance"]) for one in listed["data"]] == [
        ("active", 100),
        ("canceled", 100),  # what there was just before its end
    ]


async def test_a_pinned_subscription_keeps_its_version(shop: Shop) -> None:
    old, new = [await shop.featured(key) for key in ("old", "new")]
    plan = await shop.plan(prices=[old["id"]])
    made = await shop.subscription(planId=plan["id"], versionPolicy="pinned")
    await shop.changed(f"/v0/plans/{plan['id']}", prices=[new["id"]])
    assert keys(await reconciled(shop, made["id"])) == {"skipped": ["old"]}
    await shop.changed(f"/v0/subscriptions/{made['id']}", versionPolicy="floating")
    assert keys(await reconciled(shop, made["id"])) == {"added": ["new"], "removed": ["old"]}
    await shop.changed(f"/v0/subscriptions/{made['id']}", versionPolicy="pinned")
    await shop.changed(f"/v0/plans/{plan['id']}", prices=[old["id"]])
    assert keys(await reconciled(shop, made["id"])) == {"skipped": ["new"]}


async def test_what_was_issued_beside_the_plan_stays(shop: Shop) -> None:
    plan = await shop.plan(prices=[])
    made = await shop.subscription(planId=plan["id"])
    extra = await shop.feature(key="extra", type="boolean")
    issued: Json = {"customerId": made["customerId"], "featureId": extra, "subscriptionId": made["id"]}
    await shop.made("/v1/entitlements", issued | {"template": {"type": "boolean"}})
    assert keys(await reconciled(shop, made["id"])) == {}
    price = await shop.price(feature={"featureId": extra})
    await shop.changed(f"/v0/plans/{plan['id']}", prices=[price["id"]])
    assert keys(await reconciled(shop, made["id"])) == {"skipped": ["extra"]}


async def test_what_cannot_be_provisioned_fails_alone_and_can_be_mended(shop: Shop) -> None:
    good, bad = [await shop.featured(key) for key in ("good", "bad")]
    plan = await shop.plan(prices=[])
    made = await shop.subscription(planId=plan["id"])
    feature = bad["features"][0]["featureId"]
    await shop.changed(f"/v0/features/{feature}", type="static")
    await shop.changed(f"/v0/plans/{plan['id']}", prices=[bad["id"], good["id"]])
    answer = await reconciled(shop, made["id"])
    assert keys(answer) == {"added": ["good"], "failed": ["bad"]}
    assert [one["reason"] for one in answer["features"]["failed"]] == ["entitlement_failed"]
    await shop.changed(f"/v0/features/{feature}", type="metered")
    assert keys(await reconciled(shop, made["id"])) == {"added": ["bad"], "skipped": ["good"]}


async def test_a_price_that_is_charged_once_or_in_credits_is_not_billed_by_the_period(shop: Shop) -> None:
    fee = (await shop.fee())["id"]
    once = await shop.feature(key="once", type="boolean")
    credits = await shop.featured("credits", pricingUnitId="pu_1")
    paid_once = await shop.price(feeId=fee, billingCadence="P0D", feature={"featureId": once})
    plan = await shop.plan(prices=[])
    made = await shop.subscription(planId=plan["id"])
    await shop.changed(f"/v0/plans/{plan['id']}", prices=[credits["id"], paid_once["id"]])
    answer = await reconciled(shop, made["id"])
    assert [(one["featureKey"], one["billed"]) for one in answer["features"]["added"]] == [
        ("credits", False),
        ("once", False),
    ]


async def test_reconciling_at_once_adds_a_feature_once(shop: Shop) -> None:
    price = await shop.featured("tokens")
    plan = await shop.plan(prices=[])
    made = await shop.subscription(planId=plan["id"])
    await shop.changed(f"/v0/plans/{plan['id']}", prices=[price["id"]])
    answers = await asyncio.gather(*[reconciled(shop, made["id"]) for _ in range(4)])
    assert sorted(list(keys(one)) for one in answers) == [["added"], *[["skipped"]] * 3]
    assert len(await held(shop, made["id"])) == 1


async def test_who_had_to_wait_for_another_finds_nothing_left_to_do(shop: Shop) -> None:
    """Its time, taken before it waited, is before what the other did."""
    price = await shop.featured("tokens")
    plan = await shop.plan(prices=[])
    made = await shop.subscription(planId=plan["id"])
    reconcile = shop.catalog.reconciliation.reconcile
    await shop.changed(f"/v0/plans/{plan['id']}", prices=[price["id"]])
    early = shop.clock.now()
    assert keys(await reconciled(shop, made["id"])) == {"added": ["tokens"]}
    issued = await shop.get("/v1/entitlements", subscriptionId=made["id"])
    late = await reconcile(MERCHANT, made["id"], early)
    assert (late.added, [one.key for one in late.skipped]) == ((), ["tokens"])
    assert await shop.get("/v1/entitlements", subscriptionId=made["id"]) == issued
    await shop.changed(f"/v0/plans/{plan['id']}", prices=[])
    early = shop.clock.now()
    assert keys(await reconciled(shop, made["id"])) == {"removed": ["tokens"]}
    assert await reconcile(MERCHANT, made["id"], early) == Reconciliation()


async def test_a_deleted_feature_is_offered_no_more(shop: Shop) -> None:
    price = await shop.featured("tokens")
    plan = await shop.plan(prices=[price["id"]])
    made = await shop.subscription(planId=plan["id"])
    await shop.client.delete(f"/v0/features/{price['features'][0]['featureId']}")
    assert keys(await reconciled(shop, made["id"])) == {"removed": ["tokens"]}


async def test_what_is_over_or_not_there_is_not_reconciled(shop: Shop) -> None:
    made = await shop.subscription()
    await shop.posted(f"/v0/subscriptions/{made['id']}/termination", {"reason": "r"})
    for body in ({}, {"dryRun": True}):
        await reconciled(shop, made["id"], body, 409)
    await reconciled(shop, "sub_1", {}, 404)
    await reconciled(shop, made["id"], {"dryRun": "yes"}, 400)
    path = f"/v0/subscriptions/{made['id']}/reconciliations"
    assert (await shop.stranger.post(path, json={})).status_code == 404
