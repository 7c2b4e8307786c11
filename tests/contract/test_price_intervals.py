"""Which prices charge a subscription over time, over HTTP and a real catalog (contract 2.3 and 3.10)."""

from __future__ import annotations

import pytest

from meterhouse.adapters.catalog import subscription_versions
from tests.shop import Json, Shop

pytestmark = pytest.mark.anyio

START = "2024-01-31T00:00:00Z"


async def intervals(shop: Shop, subscription: Json) -> list[Json]:
    found: list[Json] = (await shop.get(f"/v0/subscriptions/{subscription['id']}/intervals"))["intervals"]
    assert found == (await shop.get(f"/v0/subscriptions/{subscription['id']}/intervals"))["intervals"]
    assert len({one["id"] for one in found}) == len(found)
    return found


async def times(shop: Shop, subscription: Json) -> list[tuple[str, str, str | None]]:
    """Key, start and end of each, as days."""
    found = await intervals(shop, subscription)
    return [(one["priceKey"], one["startDate"][:10], one["endDate"] and one["endDate"][:10]) for one in found]


async def test_an_interval_has_every_field(shop: Shop) -> None:
    fee = (await shop.fee())["id"]
    metered = await shop.price(billingCadence="P1Y")
    seats = await shop.price(feeId=fee, quantity=5, paymentTerm="in_advance")
    setup = await shop.price(feeId=fee, billingCadence="P0D", paymentTerm="in_advance")
    lines = [
        {"priceId": one["id"], "key": key}
        for one, key in ((metered, "api"), (seats, "seats"), (setup, "setup"))
    ]
    plan = await shop.plan(prices=lines, billingCadence="P3M")
    made = await shop.subscription(planId=plan["id"], startedAt=START, endingAt="2099-01-01T00:00:00Z")
    api, of_seats, once = await intervals(shop, made)
    assert api == {
        "id": api["id"],
        "priceId": metered["id"],
        "priceKey": "api",
        "kind": "plan_line",
        "planVersionId": plan["defaultVersionId"],
        "unitPrice": None,
        "baseQuantity": "1",
        "quantityTransitions": [],
        "billingCadence": "P1Y",
        "billingMode": "arrears",
        "billDate": None,
        "startDate": START,
        "endDate": "2099-01-01T00:00:00Z",
    }
    assert of_seats == api | {
        "id": of_seats["id"],
        "priceId": seats["id"],
        "priceKey": "seats",
        "baseQuantity": "5",
        "billingCadence": "P3M",
        "billingMode": "advance",
    }
    assert (once["billingCadence"], once["billDate"], once["priceKey"]) == ("one_off", START, "setup")


async def test_a_floating_subscription_is_charged_by_a_new_default_from_its_next_period_on(
    shop: Shop,
) -> None:
    fee = (await shop.fee())["id"]
    setup = await shop.price(feeId=fee, billingCadence="P0D")
    old, new, newest = [await shop.price(feeId=fee) for _ in range(3)]
    clock = await shop.test_clock("2024-02-10T00:00:00Z")
    lines = [{"priceId": setup["id"], "key": "setup"}, {"priceId": old["id"], "key": "base"}]
    plan = await shop.plan(prices=lines)
    made = await shop.subscription(planId=plan["id"], startedAt=START, testClockId=clock)
    pinned = await shop.subscription(
        planId=plan["id"], startedAt=START, testClockId=clock, name="p", versionPolicy="pinned"
    )
    to_come = await shop.subscription(
        planId=plan["id"], startedAt="2024-05-01T00:00:00Z", testClockId=clock, name="t"
    )
    path = f"/v0/plans/{plan['id']}/versions"
    await shop.made(path, {"prices": [lines[0], {"priceId": new["id"], "key": "base"}]})
    setup_once = ("setup", "2024-01-31", "2024-02-29")
    assert await times(shop, made) == [
        setup_once,
        ("base", "2024-01-31", "2024-02-29"),
        ("base", "2024-02-29", None),
    ]
    assert [one["priceId"] for one in (await intervals(shop, made))[1:]] == [old["id"], new["id"]]
    await shop.made(path, {"prices": [{"priceId": newest["id"], "key": "base"}]})  # before the boundary
    assert [one["priceId"] for one in (await intervals(shop, made))[1:]] == [old["id"], newest["id"]]
    await shop.changed(f"/v0/testClocks/{clock}", currentTime="2024-02-29T00:00:00Z")
    await shop.changed(f"{path}/1", default=True)
    assert await times(shop, made) == [
        setup_once,
        ("base", "2024-01-31", "2024-02-29"),
        ("base", "2024-02-29", "2024-03-31"),
        ("base", "2024-03-31", None),
    ]
    assert await times(shop, pinned) == [("setup", "2024-01-31", None), ("base", "2024-01-31", None)]
    assert await times(shop, to_come) == [("setup", "2024-05-01", None), ("base", "2024-05-01", None)]
    await shop.changed(f"{path}/2", default=True)
    assert [one["priceId"] for one in await intervals(shop, to_come)] == [setup["id"], new["id"]]
    await shop.changed(f"/v0/subscriptions/{pinned['id']}", versionPolicy="floating")
    assert await times(shop, pinned) == [
        ("setup", "2024-01-31", "2024-03-31"),
        ("base", "2024-01-31", "2024-03-31"),
        ("base", "2024-03-31", None),
    ]


async def test_intervals_end_with_their_subscription(shop: Shop) -> None:
    price = await shop.price()
    clock = await shop.test_clock("2024-02-10T00:00:00Z")
    plan = await shop.plan(prices=[{"priceId": price["id"], "key": "api"}])
    made = await shop.subscription(planId=plan["id"], startedAt=START, testClockId=clock)
    await shop.changed(f"/v0/plans/{plan['id']}", prices=[])
    assert await times(shop, made) == [("api", "2024-01-31", "2024-02-29")]
    await shop.posted(f"/v0/subscriptions/{made['id']}/termination", {"reason": "r"})
    assert await times(shop, made) == [("api", "2024-01-31", "2024-02-10")]
    await shop.changed(f"/v0/plans/{plan['id']}", prices=[price["id"]])
    assert await times(shop, made) == [("api", "2024-01-31", "2024-02-10")]
    early = await shop.subscription(planId=plan["id"], startedAt="2099-01-01T00:00:00Z", name="e")
    await shop.posted(f"/v0/subscriptions/{early['id']}/termination", {"reason": "r"})
    assert await times(shop, early) == []


async def test_intervals_of_others_are_not_there(shop: Shop) -> None:
    made = await shop.subscription()
    path = f"/v0/subscriptions/{made['id']}/intervals"
    assert await intervals(shop, made) == []
    assert (await shop.stranger.get(path)).status_code == 404
    assert (await shop.client.get("/v0/subscriptions/sub_1/intervals")).status_code == 404


async def test_all_that_follow_a_plan_are_switched_however_many(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_versions, "_AT_ONCE", 2)
    old, new = [await shop.price() for _ in range(2)]
    plan = await shop.plan(prices=[{"priceId": old["id"], "key": "api"}])
    made = [
        await shop.subscription(planId=plan["id"], startedAt=START, name=f"s{number}") for number in range(5)
    ]
    path = f"/v0/plans/{plan['id']}/versions"
    await shop.made(path, {"prices": [{"priceId": new["id"], "key": "api"}]})
    for one in made:
        assert [each["priceId"] for each in await intervals(shop, one)] == [old["id"], new["id"]]
    await shop.changed(f"{path}/1", default=True)
    for one in made:
        assert [each["priceId"] for each in await intervals(shop, one)] == [old["id"]]
