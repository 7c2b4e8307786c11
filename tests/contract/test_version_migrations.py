"""Moving a subscription to a version of its plan, over HTTP and a real catalog (contract 2.3)."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
import pytest

from tests.shop import METERED, Json, Shop

pytestmark = pytest.mark.anyio

START = "2024-01-31T00:00:00Z"
NOW = "2024-02-10T00:00:00Z"
FEBRUARY, MARCH = "2024-02-29T00:00:00Z", "2024-03-31T00:00:00Z"
NOTHING: Json = {"effectiveAt": None, "entitlementsEffectiveAt": None}


@dataclass(kw_only=True)
class Moving:
    """A subscription since 31 January of the first of two versions of a plan; its clock stands at 10
    February.

    In arrears the first charges `api` and entitles to `old`, the second `calls` and `new`; in advance both
    charge `seats`, at another price. Both entitle to `kept`.
    """

    shop: Shop
    id: str
    plan: str
    fee: str
    versions: list[str]
    clock: str

    @classmethod
    async def of(cls, shop: Shop, policy: str = "pinned", **fields: object) -> Moving:
        old, new, kept = [await shop.featured(key) for key in ("old", "new", "kept")]
        fee = (await shop.fee())["id"]
        seats, dearer = [await shop.price(feeId=fee, paymentTerm="in_advance") for _ in range(2)]
        lines = [
            [line("api", old), line("seats", seats), line("kept", kept)],
            [line("calls", new), line("seats", dearer), line("kept", kept)],
        ]
        plan = await shop.plan(prices=lines[0], **fields)
        clock = await shop.test_clock(NOW)
        wanted = {"planId": plan["id"], "startedAt": START, "testClockId": clock, "versionPolicy": policy}
        id = (await shop.subscription(**wanted))["id"]
        second = await shop.made(f"/v0/plans/{plan['id']}/versions", {"prices": lines[1]})
        versions = [plan["defaultVersionId"], second["id"]]
        return cls(shop=shop, id=id, plan=plan["id"], fee=fee, versions=versions, clock=clock)

    async def migrated(self, number: int = 2, **fields: object) -> Json:
        response = await self.migrate(number, **fields)
        assert response.status_code == 200, response.text
        answer: Json = response.json()
        assert answer["lineItems"] == {"syncFailed": False}
        assert answer["subscription"] == await self.shop.get(f"/v0/subscriptions/{self.id}")
        assert answer["subscription"]["versionPolicy"] == "pinned"
        found: Json = answer["migration"]
        return found

    async def migrate(self, number: int = 2, **fields: object) -> httpx.Response:
        body = {"targetVersionNumber": number} | fields
        return await self.shop.posted(f"/v0/subscriptions/{self.id}/versionMigration", body)

    async def refused(self, number: int = 2, **fields: object) -> str:
        """The code of the conflict that it is refused with."""
        response = await self.migrate(number, **fields)
        assert response.status_code == 409, response.text
        return str(response.json()["code"])

    async def intervals(self) -> list[Json]:
        found: list[Json] = (await self.shop.get(f"/v0/subscriptions/{self.id}/intervals"))["intervals"]
        return found

    async def times(self) -> list[tuple[str, str, str | None, int]]:
        """Key, start and end of each interval, as days, and its version."""
        found = await self.intervals()
        assert len({one["id"] for one in found}) == len(found)
        return [
            (
                one["priceKey"],
                one["startDate"][5:10],
                one["endDate"] and one["endDate"][5:10],
                self.versions.index(one["planVersionId"]) + 1,
            )
            for one in found
        ]

    async def held(self) -> list[tuple[str, str, str, str | None]]:
        """Feature, status, begin and end of each entitlement."""
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

    async def edited(self, **fields: object) -> None:
        wanted: Json = {
            "unitPrice": "3",
            "baseQuantity": "1",
            "billingCadence": "P1M",
            "billingMode": "advance",
            "startDate": FEBRUARY,
        }
        body = {"add": [wanted | fields]}
        response = await self.shop.posted(f"/v0/subscriptions/{self.id}/intervals", body)
        assert response.status_code == 200, response.text


def line(key: str, price: Json) -> Json:
    return {"priceId": price["id"], "key": key}


FIRST = [("api", "01-31", None, 1), ("seats", "01-31", None, 1), ("kept", "01-31", None, 1)]
MOVED = [
    ("api", "01-31", "02-29", 1),
    ("seats", "01-31", "02-29", 1),
    ("kept", "01-31", "02-29", 1),
    ("seats", "02-29", None, 2),
    ("kept", "02-29", None, 2),
    ("calls", "02-29", None, 2),
]
KEPT = ("kept", "active", START, None)


async def test_all_moves_with_the_next_period(shop: Shop) -> None:
    made = await Moving.of(shop)
    assert await made.times() == FIRST
    assert await made.migrated() == {
        "fromVersionNumber": 1,
        "toVersionNumber": 2,
        "effectiveAt": FEBRUARY,
        "entitlementsEffectiveAt": FEBRUARY,
        "changed": True,
    }
    assert await made.times() == MOVED
    to_come = [KEPT, ("new", "active", FEBRUARY, None), ("old", "active", START, FEBRUARY)]
    assert await made.held() == to_come
    assert await made.reconciled() == {"skipped": ["old", "kept", "new"]}
    assert await made.held() == to_come
    again = await made.migrated()
    assert again == {"fromVersionNumber": 1, "toVersionNumber": 2, "changed": False} | NOTHING
    assert await made.times() == MOVED
    await made.move(FEBRUARY)
    assert await made.held() == [
        KEPT,
        ("new", "active", FEBRUARY, None),
        ("old", "expired", START, FEBRUARY),
    ]
    assert await made.reconciled() == {"skipped": ["kept", "new"]}
    assert (await made.migrated(1))["fromVersionNumber"] == 2


async def test_what_is_not_billed_moves_at_once(shop: Shop) -> None:
    made = await Moving.of(shop)
    assert await made.migrated(timing="immediate") == {
        "fromVersionNumber": 1,
        "toVersionNumber": 2,
        "effectiveAt": FEBRUARY,
        "entitlementsEffectiveAt": NOW,
        "changed": True,
    }
    assert sorted(await made.times()) == [
        ("calls", "01-31", "02-29", 2),
        ("calls", "02-29", None, 2),
        ("kept", "01-31", "02-29", 2),
        ("kept", "02-29", None, 2),
        ("seats", "01-31", "02-29", 1),
        ("seats", "02-29", None, 2),
    ]
    assert await made.held() == [KEPT, ("new", "active", NOW, None), ("old", "canceled", START, None)]
    assert await made.reconciled() == {"skipped": ["new", "kept"]}
    assert (await made.migrated(timing="immediate"))["changed"] is False
    await made.migrated(1, timing="immediate")
    assert await made.times() == FIRST


async def test_the_past_stays_when_something_moves_at_once(shop: Shop) -> None:
    made = await Moving.of(shop)
    await made.move("2024-03-10T00:00:00Z")
    await made.migrated(timing="immediate")
    assert sorted(await made.times()) == [
        ("api", "01-31", "02-29", 1),
        ("calls", "02-29", "03-31", 2),
        ("calls", "03-31", None, 2),
        ("kept", "01-31", "02-29", 1),
        ("kept", "02-29", "03-31", 2),
        ("kept", "03-31", None, 2),
        ("seats", "01-31", "02-29", 1),
        ("seats", "02-29", "03-31", 1),
        ("seats", "03-31", None, 2),
    ]


async def test_a_second_migration_takes_the_place_of_the_first(shop: Shop) -> None:
    made = await Moving.of(shop)
    await made.migrated()
    back = await made.migrated(1)
    assert (back["fromVersionNumber"], back["toVersionNumber"], back["changed"]) == (1, 1, True)
    assert await made.times() == FIRST
    assert [one for one in await made.held() if one[1] == "active"] == [KEPT, ("old", "active", START, None)]
    await made.migrated()
    sooner = await made.migrated(timing="immediate")
    assert (sooner["fromVersionNumber"], sooner["entitlementsEffectiveAt"]) == (1, NOW)
    assert ("calls", "01-31", "02-29", 2) in await made.times()


async def test_without_timing_it_is_as_the_plan_says(shop: Shop) -> None:
    made = await Moving.of(shop, versionTransition={"effectiveDate": "immediate", "proration": "none"})
    assert (await made.migrated())["entitlementsEffectiveAt"] == NOW


async def test_one_that_floats_is_pinned_where_it_is(shop: Shop) -> None:
    made = await Moving.of(shop, policy="floating")
    expected = {"fromVersionNumber": 2, "toVersionNumber": 2, "changed": True} | NOTHING
    assert await made.migrated() == expected
    assert await made.migrated() == expected | {"changed": False}
    await shop.changed(f"/v0/subscriptions/{made.id}", versionPolicy="floating")
    await made.migrated(1)
    assert await made.times() == FIRST
    await shop.changed(f"/v0/subscriptions/{made.id}", versionPolicy="floating")
    assert await made.times() == MOVED


async def test_one_that_is_to_come_moves_whole(shop: Shop) -> None:
    made = await Moving.of(shop)
    wanted = {"planId": made.plan, "startedAt": MARCH, "testClockId": made.clock, "name": "to come"}
    made.id = (await shop.subscription(**wanted))["id"]
    await made.migrated(1, timing="immediate")
    assert await made.times() == [(key, "03-31", None, 1) for key in ("api", "seats", "kept")]
    active = [one for one in await made.held() if one[1] == "active"]
    assert active == [("kept", "active", MARCH, None), ("old", "active", MARCH, None)]


async def test_what_was_written_over_a_line_is_kept(shop: Shop) -> None:
    made = await Moving.of(shop)
    await made.edited(priceKey="seats")
    await made.migrated()
    assert [one for one in await made.times() if one[0] == "seats"] == [
        ("seats", "01-31", "02-29", 1),
        ("seats", "02-29", None, 2),
    ]
    assert [one["unitPrice"] for one in await made.intervals() if one["priceKey"] == "seats"] == [None, "3"]


async def test_what_would_mean_something_else_is_refused(shop: Shop) -> None:
    made = await Moving.of(shop)
    path = f"/v0/plans/{made.plan}/versions"
    feature = (await shop.get("/v0/features", productId="prod_a", limit="100"))["data"]
    kept = next(one["id"] for one in feature if one["key"] == "kept")
    yearly = METERED | {"usagePeriod": {"interval": "P1Y"}}
    price = await shop.price(feature={"featureId": kept, "entitlementTemplate": yearly})
    await shop.made(path, {"prices": [line("kept", price)]})
    assert await made.refused(3) == "FEATURE_CHANGES"
    other = await shop.price()
    await shop.made(path, {"prices": [line("seats", other)]})
    await made.edited(priceKey="seats")
    assert await made.refused(4) == "OVERRIDE_RATE_CHANGES"
    extra = await shop.price(feeId=made.fee)
    await shop.made(path, {"prices": [line("extra", extra)]})
    await made.edited(priceKey="mine", priceId=extra["id"])
    assert await made.refused(5) == "PRICE_ALREADY_COVERED"
    assert (await made.migrate(9)).status_code == 404
    assert (await made.migrate(0)).status_code == 400
    assert (await made.migrate(2, timing="tomorrow")).status_code == 400
    theirs = await shop.stranger.post(
        f"/v0/subscriptions/{made.id}/versionMigration", json={"targetVersionNumber": 2}
    )
    assert theirs.status_code == 404
    assert (await shop.get(f"/v0/subscriptions/{made.id}"))["versionPolicy"] == "pinned"
    await shop.changed(f"/v0/subscriptions/{made.id}", endingAt="2024-02-20T00:00:00Z")
    assert await made.refused() == "SUBSCRIPTION_ENDS_BEFORE_BOUNDARY"
    await shop.posted(f"/v0/subscriptions/{made.id}/termination", {"reason": "r"})
    assert await made.refused() == "SUBSCRIPTION_NOT_LIVE"


async def test_one_that_floats_again_before_it_moves_is_entitled_by_the_default(shop: Shop) -> None:
    made = await Moving.of(shop)
    await made.migrated()
    await shop.changed(f"/v0/subscriptions/{made.id}", versionPolicy="floating")
    assert await made.reconciled() == {"added": ["new"], "skipped": ["kept"], "removed": ["old"]}
    assert [one for one in await made.held() if one[1] == "active"] == [KEPT, ("new", "active", NOW, None)]


async def test_a_version_with_deleted_prices_is_refused(shop: Shop) -> None:
    made = await Moving.of(shop, policy="floating")
    [price] = [one["priceId"] for one in await made.intervals() if one["priceKey"] == "api"]
    assert (await shop.client.delete(f"/v0/prices/{price}")).status_code == 204
    assert (await made.migrate(1)).status_code == 409
    assert (await shop.get(f"/v0/subscriptions/{made.id}"))["versionPolicy"] == "floating"
