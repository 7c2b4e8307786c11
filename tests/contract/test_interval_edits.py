"""Editing the intervals that charge a subscription, over HTTP and a real catalog (contract 2.3)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from tests.shop import Json, Shop

pytestmark = pytest.mark.anyio

START = "2024-01-31T00:00:00Z"
NOW = "2024-02-10T00:00:00Z"
FEBRUARY, MARCH, APRIL = "2024-02-29T00:00:00Z", "2024-03-31T00:00:00Z", "2024-04-30T00:00:00Z"


@dataclass(kw_only=True)
class Contract:
    """A subscription since 31 January of a plan with the lines `api`, metered and in arrears, and `seats`,
    five in advance; its clock stands at 10 February.
    """

    shop: Shop
    subscription: Json
    plan: Json
    lines: list[Json]
    fee: str
    clock: str

    @property
    def path(self) -> str:
        return f"/v0/subscriptions/{self.subscription['id']}/intervals"

    @classmethod
    async def of(cls, shop: Shop, **fields: object) -> Contract:
        fee = (await shop.fee())["id"]
        api = await shop.price()
        seats = await shop.price(feeId=fee, quantity=5, paymentTerm="in_advance")
        lines = [{"priceId": api["id"], "key": "api"}, {"priceId": seats["id"], "key": "seats"}]
        plan = await shop.plan(prices=lines)
        clock = await shop.test_clock(NOW)
        wanted = {"planId": plan["id"], "startedAt": START, "testClockId": clock} | fields
        made = await shop.subscription(**wanted)
        return cls(shop=shop, subscription=made, plan=plan, lines=lines, fee=fee, clock=clock)

    async def intervals(self) -> list[Json]:
        found: list[Json] = (await self.shop.get(self.path))["intervals"]
        return found

    async def times(self, key: str) -> list[tuple[str, str | None]]:
        """Start and end of each interval of a key, as days."""
        found = [one for one in await self.intervals() if one["priceKey"] == key]
        return [(one["startDate"][:10], one["endDate"] and one["endDate"][:10]) for one in found]

    async def one(self, key: str, start: str = START) -> Json:
        [found] = [
            one for one in await self.intervals() if (one["priceKey"], one["startDate"]) == (key, start)
        ]
        return found

    async def edited(self, **body: object) -> Json:
        response = await self.shop.posted(self.path, body)
        assert response.status_code == 200, response.text
        answer: Json = response.json()
        assert answer["intervals"] == await self.intervals()
        return answer

    async def refused(self, status: int, **body: object) -> Json:
        """What an edit is refused with, which changes nothing."""
        before = await self.intervals()
        response = await self.shop.posted(self.path, body)
        assert response.status_code == status, response.text
        assert await self.intervals() == before
        assert await self.changes() == []
        answer: Json = response.json()
        return answer

    async def refused_field(self, **body: object) -> str:
        """The field that an edit is refused for."""
        [error] = (await self.refused(400, **body))["errors"]
        return str(error["field"])

    async def refused_code(self, **body: object) -> str:
        """The code of the conflict that an edit is refused with."""
        return str((await self.refused(409, **body))["code"])

    async def changes(self) -> list[Json]:
        path = f"/v0/subscriptions/{self.subscription['id']}/intervalChanges"
        found: list[Json] = (await self.shop.get(path, limit="100"))["data"]
        return found

    async def move(self, at: str) -> None:
        await self.shop.changed(f"/v0/testClocks/{self.clock}", currentTime=at)


def seats(**fields: object) -> Json:
    """Nine seats at 3.50 in advance from the next period on, but for `fields`."""
    wanted: Json = {
        "priceKey": "seats",
        "unitPrice": "3.50",
        "baseQuantity": "9",
        "billingCadence": "P1M",
        "billingMode": "advance",
        "startDate": FEBRUARY,
    }
    return wanted | fields


def api(**fields: object) -> Json:
    """A hundredth of a cent for each call from the next period on, but for `fields`."""
    return seats(priceKey="api", unitPrice="0.0001", baseQuantity="1", billingMode="arrears") | fields


async def test_an_addition_takes_the_place_of_the_line_while_it_lasts(shop: Shop) -> None:
    made = await Contract.of(shop)
    line = await made.one("seats")
    steps = [{"effectiveDate": "2024-03-10T00:00:00Z", "quantity": "12"}]
    added = await made.edited(add=[seats(endDate=APRIL, quantityTransitions=steps)])
    assert (added["unchanged"], added["lineItems"]) == (False, {"created": 0, "removed": 0})
    before, override, after = [one for one in added["intervals"] if one["priceKey"] == "seats"]
    assert before == line | {"endDate": FEBRUARY}
    assert override == {
        "id": override["id"],
        "priceId": line["priceId"],
        "priceKey": "seats",
        "kind": "plan_line",
        "planVersionId": made.plan["defaultVersionId"],
        "unitPrice": "3.50",
        "baseQuantity": "9",
        "quantityTransitions": steps,
        "billingCadence": "P1M",
        "billingMode": "advance",
        "billDate": None,
        "startDate": FEBRUARY,
        "endDate": APRIL,
    }
    assert after == line | {"id": after["id"], "startDate": APRIL}
    assert await made.times("api") == [("2024-01-31", None)]
    again = await shop.posted(made.path, {"add": [seats(endDate=APRIL)]})
    assert (again.status_code, again.json()["code"]) == (409, "INTERVALS_OVERLAP")
    removed = await made.edited(remove=[{"id": override["id"]}])
    assert [one for one in removed["intervals"] if one["priceKey"] == "seats"] == [line]


async def test_a_change_keeps_a_record_of_what_was_and_what_is(shop: Shop) -> None:
    made = await Contract.of(shop)
    line = await made.one("seats")
    done = await made.edited(
        add=[seats()],
        changeReason="commercial",
        description="Twelve months more",
        metadata={"deal": "D-1", "size": 9, "signed": True},
    )
    override = await made.one("seats", FEBRUARY)
    change = done["intervalChange"]
    assert change == {
        "id": change["id"],
        "merchantId": "org_a",
        "subscriptionId": made.subscription["id"],
        "changeReason": "commercial",
        "description": "Twelve months more",
        "metadata": {"deal": "D-1", "size": 9, "signed": True},
        "createdAt": change["createdAt"],
        "intervals": change["intervals"],
    }
    shortened, added = change["intervals"]
    copy = {name: value for name, value in line.items() if name not in ("id", "kind")}
    rate = {"resolvedUnitPrice": "0.01"}
    assert shortened == {
        "intervalId": line["id"],
        "before": copy | rate,
        "after": copy | rate | {"endDate": FEBRUARY},
    }
    assert (added["intervalId"], added["before"]) == (override["id"], None)
    assert (added["after"]["unitPrice"], added["after"]["resolvedUnitPrice"]) == ("3.50", "3.50")
    assert await made.changes() == [change]
    removed = (await made.edited(remove=[{"id": override["id"]}]))["intervalChange"]
    assert [(one["before"] is None, one["after"] is None) for one in removed["intervals"]] == [
        (False, False),
        (False, True),
    ]
    assert (removed["changeReason"], removed["description"], removed["metadata"]) == ("unspecified", None, {})
    assert await made.changes() == [change, removed]


async def test_changes_are_listed_by_time_and_reason(shop: Shop) -> None:
    made, other = await Contract.of(shop), await Contract.of(shop, name="other")
    first = (await made.edited(add=[seats()], changeReason="migration"))["intervalChange"]
    shop.clock.advance(5_000_000)
    second = (await other.edited(add=[seats()], changeReason="correction"))["intervalChange"]
    path = "/v0/intervalChanges"
    listed = await shop.get(path)
    assert listed["data"] == [first, second]
    assert listed["pagination"] == {"limit": 10, "offset": 0, "total": 2}
    assert (await shop.get(path, changeReason="correction"))["data"] == [second]
    assert (await shop.get(path, **{"from": second["createdAt"]}))["data"] == [second]
    assert (await shop.get(path, to=second["createdAt"]))["data"] == [first]
    assert (await shop.get(path, limit="1", offset="1"))["data"] == [second]
    assert await other.changes() == [second]
    assert (await shop.stranger.get(path)).json()["data"] == []
    theirs = f"/v0/subscriptions/{made.subscription['id']}/intervalChanges"
    assert (await shop.stranger.get(theirs)).status_code == 404
    assert (await shop.client.get(path, params={"changeReason": "whim"})).status_code == 400


async def test_an_interval_as_it_was_read_changes_nothing(shop: Shop) -> None:
    made = await Contract.of(shop, endingAt="2025-01-01T00:00:00Z")
    for answer in (
        await made.edited(edit=await made.intervals()),
        await made.edited(add=[]),
        await made.edited(edit=[{"id": (await made.one("api"))["id"]}]),
    ):
        assert (answer["unchanged"], answer["intervalChange"]) == (True, None)
    assert await made.changes() == []


async def test_a_line_is_closed_and_opened_again(shop: Shop) -> None:
    made = await Contract.of(shop)
    line = await made.one("seats")
    await made.edited(edit=[{"id": line["id"], "endDate": MARCH}])
    assert await made.times("seats") == [("2024-01-31", "2024-03-31")]
    await made.edited(edit=[{"id": line["id"], "endDate": APRIL}])
    assert await made.times("seats") == [("2024-01-31", "2024-04-30")]
    price = await shop.price(feeId=made.fee)
    path = f"/v0/plans/{made.plan['id']}/versions"
    await shop.made(path, {"prices": [made.lines[0], {"priceId": price["id"], "key": "seats"}]})
    assert await made.times("seats") == [("2024-01-31", "2024-02-29"), ("2024-02-29", "2024-04-30")]
    [_, closed] = [one for one in await made.intervals() if one["priceKey"] == "seats"]
    await made.edited(edit=[{"id": closed["id"], "endDate": None}])
    assert await made.times("seats") == [("2024-01-31", "2024-02-29"), ("2024-02-29", None)]


async def test_a_line_that_is_to_come_is_written_over_as_a_whole(shop: Shop) -> None:
    made = await Contract.of(shop, startedAt="2024-05-01T00:00:00Z", name="to come")
    line = await made.one("seats", "2024-05-01T00:00:00Z")
    done = await made.edited(edit=[{"id": line["id"], "unitPrice": "-2", "baseQuantity": "0.5"}])
    expected = line | {"unitPrice": "-2", "baseQuantity": "0.5"}
    assert await made.one("seats", line["startDate"]) == expected
    [entry] = done["intervalChange"]["intervals"]
    assert (entry["before"]["unitPrice"], entry["after"]["unitPrice"]) == (None, "-2")
    await made.edited(edit=[{"id": line["id"], "unitPrice": None, "baseQuantity": "5"}])
    assert await made.one("seats", line["startDate"]) == line
    await made.edited(edit=[{"id": line["id"], "baseQuantity": "6"}])
    await made.edited(remove=[{"id": line["id"]}])
    assert await made.one("seats", line["startDate"]) == line
    await made.edited(remove=[{"id": line["id"]}])
    assert await made.times("seats") == []
    await made.edited(add=[seats(startDate="2024-06-01T00:00:00Z")])
    assert await made.times("seats") == [("2024-06-01", None)]


async def test_a_subscription_has_intervals_of_its_own(shop: Shop) -> None:
    made = await Contract.of(shop)
    extra = await shop.price(feeId=made.fee, properties={"unitPrice": "7"})
    wanted = seats(priceKey="support", priceId=extra["id"], unitPrice=None, startDate=NOW)
    await made.edited(add=[wanted])
    owned = await made.one("support", NOW)
    assert (owned["kind"], owned["unitPrice"]) == ("subscription_owned", "7")
    refused = await shop.patched(f"/v0/prices/{extra['id']}", {"properties": {"unitPrice": "8"}})
    assert refused.json()["code"] == "PRICE_HAS_SUBSCRIPTIONS"
    path = f"/v0/plans/{made.plan['id']}/versions"
    await shop.made(path, {"prices": made.lines[:1]})
    assert await made.one("support", NOW) == owned
    taken = [*made.lines, {"priceId": (await shop.price())["id"], "key": "support"}]
    refused = await shop.posted(path, {"prices": taken})
    assert (refused.status_code, refused.json()["code"]) == (409, "PRICE_KEY_TAKEN")
    [blocker] = refused.json()["details"]["blockers"]
    item = {"id": made.subscription["id"], "intervalId": owned["id"], "priceKey": "support"}
    assert blocker == {"type": "subscriptions", "count": 1, "items": [item]}
    assert len((await shop.get(path))["data"]) == 2
    await made.edited(edit=[{"id": owned["id"], "endDate": FEBRUARY}])
    await shop.made(path, {"prices": taken})
    assert await made.times("support") == [("2024-02-10", "2024-02-29"), ("2024-02-29", None)]


async def test_a_pinned_subscription_floats_again_once_its_keys_are_free(shop: Shop) -> None:
    made = await Contract.of(shop, versionPolicy="pinned")
    extra = await shop.price(feeId=made.fee)
    await made.edited(add=[seats(priceKey="support", priceId=extra["id"])])
    taken = [{"priceId": extra["id"], "key": "support"}]
    await shop.made(f"/v0/plans/{made.plan['id']}/versions", {"prices": taken})
    path = f"/v0/subscriptions/{made.subscription['id']}"
    refused = await shop.patched(path, {"versionPolicy": "floating"})
    assert (refused.status_code, refused.json()["code"]) == (409, "PRICE_KEY_TAKEN")
    assert (await shop.get(path))["versionPolicy"] == "pinned"


async def test_what_is_written_over_a_line_lasts_as_long_as_the_line(shop: Shop) -> None:
    made = await Contract.of(shop)
    await made.edited(add=[seats()])
    override = await made.one("seats", FEBRUARY)
    dearer = await shop.price(feeId=made.fee)
    path = f"/v0/plans/{made.plan['id']}/versions"
    await shop.made(path, {"prices": [{"priceId": dearer["id"], "key": "seats"}]})
    version = (await shop.get(f"{path}/2"))["id"]
    assert await made.one("seats", FEBRUARY) == override | {"planVersionId": version}
    await made.move(FEBRUARY)
    await shop.made(path, {"prices": made.lines[:1]})
    assert await made.times("seats") == [("2024-01-31", "2024-02-29"), ("2024-02-29", "2024-03-31")]


async def test_what_is_billed_stays(shop: Shop) -> None:
    made = await Contract.of(shop)
    line, metered = await made.one("seats"), await made.one("api")
    billed = "BILLING_PERIOD_EXISTS"
    # In advance: the period that has begun.
    assert await made.refused_code(add=[seats(startDate="2024-02-20T00:00:00Z")]) == billed
    assert await made.refused_code(edit=[{"id": line["id"], "endDate": "2024-02-28T00:00:00Z"}]) == billed
    assert await made.refused_code(edit=[{"id": line["id"], "baseQuantity": "6"}]) == billed
    assert await made.refused_code(remove=[{"id": line["id"]}]) == billed
    steps = [{"effectiveDate": "2024-02-20T00:00:00Z", "quantity": "6"}]
    assert await made.refused_code(edit=[{"id": line["id"], "quantityTransitions": steps}]) == billed
    own = seats(priceKey="own", priceId=line["priceId"])
    assert await made.refused_code(add=[own | {"startDate": "2024-02-05T00:00:00Z"}]) == billed
    # In arrears: those that are over.
    await made.move("2024-03-10T00:00:00Z")
    assert await made.refused_code(add=[api(startDate="2024-02-20T00:00:00Z")]) == billed
    assert await made.refused_code(edit=[{"id": metered["id"], "unitPrice": "0.02"}]) == billed
    await made.edited(add=[api(startDate=FEBRUARY)])
    assert await made.times("api") == [("2024-01-31", "2024-02-29"), ("2024-02-29", None)]
    later = [{"effectiveDate": "2024-04-10T00:00:00Z", "quantity": "6"}]
    await made.edited(edit=[{"id": line["id"], "quantityTransitions": later}])
    assert (await made.one("seats"))["quantityTransitions"] == later


async def test_the_period_that_begins_just_now_is_not_billed_yet(shop: Shop) -> None:
    made = await Contract.of(shop)
    await made.move(FEBRUARY)
    await made.edited(add=[seats()])
    assert await made.times("seats") == [("2024-01-31", "2024-02-29"), ("2024-02-29", None)]


async def test_what_charges_once_does_so_once(shop: Shop) -> None:
    made = await Contract.of(shop)
    fee = await shop.price(feeId=made.fee)
    once = seats(priceKey="setup", priceId=fee["id"], billingCadence="one_off", billDate=MARCH)
    assert await made.refused_field(add=[once | {"billDate": None}]) == "add.0.billDate"
    assert await made.refused_field(add=[seats(billDate=MARCH)]) == "add.0.billDate"
    assert await made.refused_field(add=[once | {"billDate": NOW}]) == "add.0.billDate"
    twice = [once, once | {"priceKey": "more"}]
    assert await made.refused_code(add=twice) == "ONE_OFF_BILLED_TWICE"
    await made.edited(add=[once])
    owned = await made.one("setup", FEBRUARY)
    assert (owned["billingCadence"], owned["billDate"], owned["endDate"]) == ("one_off", MARCH, None)
    assert (await made.edited(edit=[owned]))["unchanged"]
    await made.move("2024-04-01T00:00:00Z")
    refused = await shop.posted(made.path, {"remove": [{"id": owned["id"]}]})
    assert (refused.status_code, refused.json()["code"]) == (409, "BILLING_PERIOD_EXISTS")
    await made.edited(edit=[{"id": owned["id"], "endDate": APRIL}])


async def test_gaps_and_overlaps_are_refused(shop: Shop) -> None:
    made = await Contract.of(shop)
    line = await made.one("seats")
    overlap, gap = "INTERVALS_OVERLAP", "INTERVALS_GAP"
    assert await made.refused_code(add=[seats(endDate=APRIL), seats(startDate=MARCH)]) == overlap
    own = seats(priceKey="own", priceId=line["priceId"], endDate=MARCH)
    assert await made.refused_code(add=[own, own | {"startDate": APRIL, "endDate": None}]) == gap
    closed = {"id": line["id"], "endDate": MARCH}
    assert await made.refused_code(edit=[closed], add=[seats(startDate=APRIL)]) == gap
    await made.edited(edit=[closed], add=[seats(startDate=MARCH)])
    assert await made.times("seats") == [("2024-01-31", "2024-03-31"), ("2024-03-31", None)]
    refused = await shop.posted(made.path, {"edit": [{"id": line["id"], "endDate": APRIL}]})
    assert (refused.status_code, refused.json()["code"]) == (409, overlap)


async def test_fields_that_cannot_be_are_refused_by_name(shop: Shop) -> None:
    made = await Contract.of(shop, endingAt="2024-12-01T00:00:00Z")
    line, metered = await made.one("seats"), await made.one("api")
    tiers = [{"upTo": None, "unitPrice": "1"}]
    volume = await shop.price(model="volume", properties={"tiers": tiers})
    field = made.refused_field
    assert await field(add=[seats(endDate=FEBRUARY)]) == "add.0.endDate"
    assert await field(add=[seats(startDate="2024-01-01T00:00:00Z")]) == "add.0.startDate"
    assert await field(add=[seats(startDate="2024-12-01T00:00:00Z")]) == "add.0.startDate"
    assert await field(add=[seats(endDate="2025-01-01T00:00:00Z")]) == "add.0.endDate"
    assert await field(edit=[{"id": line["id"], "endDate": "2025-01-01T00:00:00Z"}]) == "edit.0.endDate"
    assert await field(edit=[{"id": line["id"], "endDate": START}]) == "edit.0.endDate"
    assert await field(edit=[{"id": line["id"], "billingCadence": "P1Y"}]) == "edit.0.billingCadence"
    assert await field(edit=[{"id": line["id"], "billingMode": "arrears"}]) == "edit.0.billingMode"
    assert await field(edit=[{"id": line["id"], "baseQuantity": None}]) == "edit.0.baseQuantity"
    assert await field(edit=[line], remove=[{"id": line["id"]}]) == "edit.0.id"
    assert await field(add=[seats(priceId=metered["priceId"])]) == "add.0.priceId"
    assert await field(add=[seats(priceKey="new")]) == "add.0.priceId"
    assert await field(add=[seats(priceKey="New", priceId=line["priceId"])]) == "add.0.priceKey"
    assert await field(add=[api(baseQuantity="2")]) == "add.0.baseQuantity"
    assert await field(add=[api(priceKey="v", priceId=volume["id"])]) == "add.0.unitPrice"
    assert await field(add=[seats(baseQuantity="-1")]) == "add.0.baseQuantity"
    assert await field(add=[seats(unitPrice="much")]) == "add.0.unitPrice"
    unpriced = {name: value for name, value in seats().items() if name != "unitPrice"}
    assert await field(add=[unpriced]) == "add.0.unitPrice"
    step = {"effectiveDate": FEBRUARY, "quantity": "1"}
    assert await field(add=[seats(quantityTransitions=[step])]) == "add.0.quantityTransitions.0.effectiveDate"
    assert await field(changeReason="correction") == "body"
    other = seats(planVersionId="pver_other")
    assert await made.refused_code(add=[other]) == "PLAN_VERSION_MISMATCH"
    await made.refused(404, remove=[{"id": "int_other"}])
    await made.refused(404, add=[seats(priceKey="new", priceId="price_other")])


async def test_only_the_merchant_edits_and_only_what_is_not_over(shop: Shop) -> None:
    made = await Contract.of(shop)
    response = await shop.stranger.post(made.path, json={"add": [seats()]})
    assert response.status_code == 404
    strangers = await shop.stranger.post(
        "/v0/fees", json={"name": "n", "description": "d", "merchantId": "org_b", "productId": "prod_b"}
    )
    theirs = await shop.stranger.post(
        "/v0/prices",
        json={
            "invoiceDisplayName": "p",
            "paymentTerm": "in_advance",
            "properties": {"unitPrice": "1"},
            "feeId": strangers.json()["id"],
        },
    )
    await made.refused(404, add=[seats(priceKey="new", priceId=theirs.json()["id"])])
    await shop.posted(f"/v0/subscriptions/{made.subscription['id']}/termination", {"reason": "r"})
    await made.refused(409, add=[seats()])


async def test_of_two_edits_at_once_one_sees_the_other(shop: Shop) -> None:
    made = await Contract.of(shop)
    answers = await asyncio.gather(*[shop.posted(made.path, {"add": [seats()]}) for _ in range(2)])
    assert sorted(one.status_code for one in answers) == [200, 409]
    assert len(await made.changes()) == 1
