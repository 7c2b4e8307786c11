"""Subscriptions that change and end, over HTTP and a real catalog (contract 3.10)."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.test_subscriptions import PATH, featured, held
from tests.fakes_query import MERCHANT
from tests.shop import Json, Shop, fields_of

pytestmark = pytest.mark.anyio


async def test_a_termination_cancels_what_the_subscription_brought(shop: Shop) -> None:
    _, price = await featured(shop, "tokens")
    clock = await shop.test_clock("2026-05-10T00:00:00Z")
    plan = (await shop.plan(prices=[price]))["id"]
    made = await shop.subscription(planId=plan, testClockId=clock)
    path = f"{PATH}/{made['id']}/termination"
    answers = await asyncio.gather(*[shop.posted(path, {"reason": "bye"}) for _ in range(3)])
    assert [one.status_code for one in answers] == [200] * 3
    [ended] = {one.text: one.json() for one in answers}.values()
    assert ended == made | {
        "status": "terminated",
        "terminatedAt": "2026-05-10T00:00:00Z",
        "terminatedBy": MERCHANT,
        "terminationReason": "bye",
        "terminationChangeReason": "unspecified",
        "updatedAt": ended["updatedAt"],
    }
    [one] = await held(shop, made)
    assert (one["status"], one["hasAccess"]) == ("canceled", False)
    guide = await shop.posted(f"{PATH}/{made['id']}/terminate", {"reason": "other"})
    assert guide.json() == ended
    assert fields_of(await shop.posted(path, {})) == ["reason"]


async def test_a_subscription_can_end_before_it_starts(shop: Shop) -> None:
    _, price = await featured(shop, "tokens")
    plan = (await shop.plan(prices=[price]))["id"]
    made = await shop.subscription(planId=plan, startedAt="2099-01-01T00:00:00Z")
    [one] = await held(shop, made)
    assert (one["status"], one["hasAccess"], one["balance"]) == ("active", False, 0)
    assert one["currentPeriodStart"] == one["currentPeriodEnd"] == "2099-01-01T00:00:00Z"
    ended = await shop.posted(
        f"{PATH}/{made['id']}/termination", {"reason": "r", "changeReason": "correction"}
    )
    assert ended.json()["terminationChangeReason"] == "correction"
    for at in ("2098-01-01T00:00:00Z", "2099-06-01T00:00:00Z"):
        [one] = await held(shop, made, at=at)
        assert (one["status"], one["hasAccess"], one["balance"]) == ("canceled", False, 0)


async def test_a_subscription_is_changed_and_what_is_absent_stays(shop: Shop) -> None:
    made = await shop.subscription(renewalReminderDays=5)
    path = f"{PATH}/{made['id']}"
    changed = await shop.changed(
        path, autoCharge=True, taxExempt=True, paymentTermDays=14, renewalReminderDays=None, status="active"
    )
    assert changed == made | {
        "autoCharge": True,
        "taxExempt": True,
        "paymentTermDays": 14,
        "renewalReminderDays": None,
        "updatedAt": changed["updatedAt"],
    }
    assert (await shop.changed(path, versionPolicy="pinned"))["versionPolicy"] == "pinned"
    for wrong, field in (
        ({"autoCharge": None}, "autoCharge"),
        ({"endingAt": None}, "endingAt"),
        ({"endingAt": "2026-05-01T00:00:00Z"}, "endingAt"),
        ({"status": "paused"}, "status"),
        ({"terminatedAt": "2026-06-01T00:00:00Z"}, "terminatedAt"),
        ({"terminationReason": "r"}, "terminationReason"),
        ({"status": "terminated", "terminatedAt": "2026-05-01T00:00:00Z"}, "terminatedAt"),
    ):
        assert fields_of(await shop.patched(path, wrong)) == [field]
    assert (await shop.get(path))["status"] == "active"


async def test_what_ends_with_a_subscription_moves_with_its_end(shop: Shop) -> None:
    _, price = await featured(shop, "tokens")
    plan = (await shop.plan(prices=[price]))["id"]
    made = await shop.subscription(planId=plan)
    extra = await shop.feature(key="extra", type="boolean")
    direct: Json = {"customerId": made["customerId"], "featureId": extra, "template": {"type": "boolean"}}
    direct |= {"subscriptionId": made["id"]}
    await shop.made("/v1/entitlements", direct | {"activeTo": "2098-01-01T00:00:00Z"})

    async def ends() -> dict[str, str | None]:
        return {one["featureKey"]: one["activeTo"] for one in await held(shop, made)}

    assert await ends() == {"tokens": None, "extra": "2098-01-01T00:00:00Z"}
    path = f"{PATH}/{made['id']}"
    assert (await shop.changed(path, endingAt="2099-01-01T00:00:00Z"))["endingAt"] == "2099-01-01T00:00:00Z"
    assert await ends() == {"tokens": "2099-01-01T00:00:00Z", "extra": "2098-01-01T00:00:00Z"}
    await shop.changed(path, endingAt="2097-01-01T00:00:00Z")
    assert await ends() == {"tokens": "2097-01-01T00:00:00Z", "extra": "2097-01-01T00:00:00Z"}


async def test_a_change_can_terminate_at_an_instant_that_has_passed(shop: Shop) -> None:
    _, price = await featured(shop, "tokens")
    clock = await shop.test_clock("2026-06-10T00:00:00Z")
    plan = (await shop.plan(prices=[price]))["id"]
    made = [await shop.subscription(planId=plan, name=name, testClockId=clock) for name in ("a", "b")]
    past = "2026-05-20T00:00:00Z"
    ended = await shop.changed(
        f"{PATH}/{made[0]['id']}",
        status="terminated",
        terminatedAt=past,
        terminatedBy="cus_1",
        terminationReason="moved",
    )
    assert (ended["terminatedAt"], ended["terminatedBy"]) == (past, "cus_1")
    assert (ended["terminationReason"], ended["terminationChangeReason"]) == ("moved", "unspecified")
    statuses = [(await held(shop, made[0], at=at))[0]["status"] for at in ("2026-05-19T23:59:59Z", past)]
    assert statuses == ["active", "canceled"]
    later = await shop.changed(
        f"{PATH}/{made[1]['id']}", status="terminated", terminatedAt="2026-07-01T00:00:00Z"
    )
    assert later["terminatedAt"] == "2026-06-10T00:00:00Z"
    path = f"{PATH}/{made[0]['id']}"
    assert await shop.changed(path, status="terminated", terminationReason="again") == ended
    for asked in ({"status": "active"}, {"autoCharge": True}, {"endingAt": "2099-01-01T00:00:00Z"}):
        assert (await shop.patched(path, asked)).status_code == 409
    assert await shop.get(path) == ended
