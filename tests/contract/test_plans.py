"""Plans and their versions over HTTP and a real catalog (contract 3.9)."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from tests.fakes_query import MERCHANT, OTHER_MERCHANT
from tests.servers.catalogs import CatalogStore
from tests.shop import Json, Shop, fields_of, without

pytestmark = pytest.mark.anyio

# What paygentic-sdk 0.6.3 sends whether it was said or not.
DEFAULTS: Json = {
    "defaultTaxCode": "eservice",
    "defaultTaxRate": 0.0,
    "taxBehavior": "exclusive",
    "renewalReminderEnabled": True,
    "renewalReminderDays": 3,
    "billingVersion": 1,
    "stablePriceIds": True,
}


async def prices(shop: Shop, number: int) -> list[str]:
    metric = await shop.metric()
    made = [await shop.price(billableMetricId=metric, invoiceDisplayName=f"p{one}") for one in range(number)]
    return [one["id"] for one in made]


async def test_a_created_plan_has_every_field_and_its_prices(shop: Shop) -> None:
    feature = await shop.feature()
    price = await shop.price(feature={"featureId": feature})
    fee = await shop.price(feeId=(await shop.fee())["id"], billingCadence="P0D")
    plan = await shop.plan(
        **DEFAULTS,
        description="d",
        invoiceDisplayName="i",
        billingCadence="P3M",
        billingInterval="monthly",
        billingAnchor="2026-01-01T00:00:00Z",
        creditAllocations=[
            {"pricingUnitId": "pu_1", "amount": 100.5, "recurrencePeriod": "P1M"},
            {"pricingUnitId": "pu_2", "amount": 1},
        ],
        prices=[price["id"], {"priceId": fee["id"], "key": "setup"}],
        versionTransition={"effectiveDate": "immediate", "proration": "none"},
    )
    assert (plan["id"][:5], plan["defaultVersionId"][:5]) == ("plan_", "pver_")
    assert plan == DEFAULTS | {
        "id": plan["id"],
        "object": "plan",
        "merchantId": MERCHANT,
        "productId": "prod_a",
        "name": "Pro",
        "description": "d",
        "invoiceDisplayName": "i",
        "currency": "USD",
        "billingCadence": "P3M",
        "billingInterval": "quarterly",
        "billingAnchor": "2026-01-01T00:00:00Z",
        "creditAllocations": [
            {"pricingUnitId": "pu_1", "amount": Decimal("100.5"), "recurrencePeriod": "P1M"},
            {"pricingUnitId": "pu_2", "amount": 1},
        ],
        "versionTransition": {"effectiveDate": "immediate", "proration": "none"},
        "defaultVersionId": plan["defaultVersionId"],
        "prices": [price, fee],
        "createdAt": plan["createdAt"],
        "updatedAt": plan["updatedAt"],
    }
    assert await shop.get(f"/v0/plans/{plan['id']}") == plan


async def test_what_is_not_said_of_a_plan_is_what_the_contract_says(shop: Shop) -> None:
    plan = await shop.plan(productId=...)
    assert {name: plan[name] for name in DEFAULTS} == DEFAULTS
    assert (plan["billingCadence"], plan["billingInterval"]) == ("P1M", "monthly")
    assert plan["versionTransition"] == {"effectiveDate": "end_of_current_period", "proration": "none"}
    assert (plan["prices"], plan["creditAllocations"], plan["productId"]) == ([], [], "prod_a")
    assert not plan.keys() & {"description", "invoiceDisplayName", "billingAnchor"}


@pytest.mark.parametrize(
    ("said", "cadence", "interval"),
    [
        ({"billingInterval": "annual"}, "P1Y", "yearly"),
        ({"billingInterval": "yearly"}, "P1Y", "yearly"),
        ({"billingInterval": "quarterly"}, "P3M", "quarterly"),
        ({"billingCadence": "P1Y", "billingVersion": 0}, "P1Y", "yearly"),
    ],
)
async def test_a_plan_is_billed_as_often_as_it_is_said(
    shop: Shop, said: Json, cadence: str, interval: str
) -> None:
    plan = await shop.plan(**said)
    assert (plan["billingCadence"], plan["billingInterval"]) == (cadence, interval)
    assert plan["billingVersion"] == said.get("billingVersion", 1)


async def test_a_wrong_field_is_named(shop: Shop) -> None:
    [price] = await prices(shop, 1)
    wrong: tuple[tuple[Json, str], ...] = (
        ({"name": ...}, "name"),
        ({"currency": "usd"}, "currency"),
        ({"merchantId": ...}, "merchantId"),
        ({"productId": "x"}, "productId"),
        ({"billingCadence": "P2M"}, "billingCadence"),
        ({"billingInterval": "daily"}, "billingInterval"),
        ({"billingVersion": 2}, "billingVersion"),
        ({"billingAnchor": "2026-06-01T00:00:00Z"}, "billingAnchor"),
        ({"defaultTaxRate": 101}, "defaultTaxRate"),
        ({"taxBehavior": "none"}, "taxBehavior"),
        ({"renewalReminderDays": -1}, "renewalReminderDays"),
        ({"versionTransition": {"effectiveDate": "now"}}, "versionTransition.effectiveDate"),
        ({"prices": ["x"]}, "prices.0.priceId"),
        ({"prices": [1]}, "prices.0"),
        ({"prices": [{"key": "a"}]}, "prices.0.priceId"),
        ({"prices": [{"priceId": price, "key": "Platform_Fee"}]}, "prices.0.key"),
        ({"prices": [price, price]}, "prices.1.priceId"),
        ({"creditAllocations": [{"pricingUnitId": "pu_1", "amount": 0}]}, "creditAllocations.0.amount"),
        (
            {"creditAllocations": [{"pricingUnitId": "pu_1", "amount": 1}] * 2},
            "creditAllocations.1.pricingUnitId",
        ),
    )
    good = {"merchantId": MERCHANT, "productId": "prod_a", "name": "Pro", "currency": "USD"}
    for fields, named in wrong:
        response = await shop.client.post("/v0/plans", json=without(good | fields))
        assert fields_of(response) == [named], fields
    for fields in ({"prices": ["price_none"]}, {"productId": "prod_b"}):
        assert (await shop.client.post("/v0/plans", json=good | fields)).status_code == 404


async def test_a_plan_changes_in_the_named_fields_only(shop: Shop) -> None:
    before = await shop.plan(billingAnchor="2026-01-01T00:00:00Z", prices=await prices(shop, 1))
    path = f"/v0/plans/{before['id']}"
    assert await shop.changed(path) == before
    changes: Json = {
        "name": "Prö",
        "description": "d",
        "billingInterval": "yearly",
        "billingAnchor": None,
        "defaultTaxRate": 7.25,
        "taxBehavior": "inclusive",
        "renewalReminderEnabled": False,
        "creditAllocations": [{"pricingUnitId": "pu_1", "amount": 5}],
        "versionTransition": {"effectiveDate": "immediate", "proration": "none"},
    }
    changed = await shop.changed(path, **changes)
    kept = {name: value for name, value in before.items() if name != "billingAnchor"}
    said = {name: value for name, value in changes.items() if name != "billingAnchor"}
    said |= {"billingCadence": "P1Y", "defaultTaxRate": Decimal("7.25"), "updatedAt": changed["updatedAt"]}
    assert changed == kept | said
    assert await shop.get(path) == changed
    for name in ("name", "prices", "defaultTaxRate", "creditAllocations"):
        assert fields_of(await shop.client.patch(path, json={name: None})) == [name]


async def test_other_prices_of_a_plan_are_a_new_version_of_it(shop: Shop) -> None:
    one, two, three = await prices(shop, 3)
    plan = await shop.plan(prices=[{"priceId": one, "key": "api"}, two])
    path = f"/v0/plans/{plan['id']}"
    first = await shop.get(f"{path}/versions/1")
    same = await shop.changed(path, prices=[one, two])
    assert same["defaultVersionId"] == plan["defaultVersionId"]
    changed = await shop.changed(path, prices=[three, one])
    assert [price["id"] for price in changed["prices"]] == [three, one]
    second = await shop.get(f"{path}/versions/2")
    assert (second["id"], second["isDefault"]) == (changed["defaultVersionId"], True)
    assert [line["key"] for line in second["prices"]][1] == "api"
    assert await shop.get(f"{path}/versions/1") == first | {"isDefault": False}
    reordered = await shop.changed(path, prices=[one, three])
    assert [price["id"] for price in reordered["prices"]] == [one, three]
    assert (await shop.changed(path, prices=[]))["prices"] == []
    response = await shop.client.patch(path, json={"name": "half", "prices": ["price_none"]})
    assert response.status_code == 404
    assert (await shop.get(path))["name"] == "Pro"


async def test_a_minted_version_is_the_default_one(shop: Shop) -> None:
    one, two = await prices(shop, 2)
    plan = await shop.plan(prices=[{"priceId": one, "key": "api"}])
    path = f"/v0/plans/{plan['id']}"
    minted = await shop.made(f"{path}/versions", {"prices": [{"priceId": two, "key": "api"}, one]})
    assert minted["id"].startswith("pver_")
    assert minted == {
        "id": minted["id"],
        "object": "plan_version",
        "versionNumber": 2,
        "status": "published",
        "isDefault": True,
        "subscriptionCount": 0,
        "publishedAt": minted["publishedAt"],
        "updatedAt": minted["publishedAt"],
        "prices": [
            await shop.get(f"/v0/prices/{two}") | {"key": "api", "priceDeleted": False},
            await shop.get(f"/v0/prices/{one}") | {"key": minted["prices"][1]["key"], "priceDeleted": False},
        ],
    }
    assert minted["prices"][1]["key"].startswith("line_")
    assert await shop.get(f"{path}/versions/2") == minted
    shown = await shop.get(path)
    assert ([price["id"] for price in shown["prices"]], shown["defaultVersionId"]) == (
        [two, one],
        minted["id"],
    )
    summary = {name: minted[name] for name in minted.keys() - {"prices", "updatedAt"}}
    page = await shop.get(f"{path}/versions")
    assert page["pagination"] == {"limit": 10, "offset": 0, "total": 2}
    assert (page["data"][0], page["data"][1]["versionNumber"]) == (summary, 1)
    assert (await shop.get(f"{path}/versions", limit="1", offset="1"))["data"] == page["data"][1:]


async def test_a_version_that_was_built_on_an_old_one_is_refused(shop: Shop) -> None:
    one, two = await prices(shop, 2)
    plan = await shop.plan(prices=[one])
    path = f"/v0/plans/{plan['id']}/versions"
    seen = plan["defaultVersionId"]
    minted = await shop.made(path, {"prices": [two], "basedOnVersionId": seen})
    assert minted["basedOnVersionId"] == seen
    response = await shop.client.post(path, json={"prices": [one], "basedOnVersionId": seen})
    assert (response.status_code, minted["id"] in response.json()["message"]) == (409, True)
    assert (await shop.get(path))["pagination"]["total"] == 2
    for body, named in (
        ({}, "prices"),
        ({"prices": []}, "prices"),
        ({"prices": [one], "basedOnVersionId": "x"}, "basedOnVersionId"),
    ):
        assert fields_of(await shop.client.post(path, json=body)) == [named]
    assert (await shop.client.post(path, json={"prices": ["price_none"]})).status_code == 404


async def test_of_versions_that_many_build_on_one_at_once_one_is_made(store: CatalogStore) -> None:
    async with Shop.open(store.url) as one, Shop.open(store.url) as two:
        [price] = await prices(one, 1)
        plan = await one.plan(prices=[price])
        body = {"prices": [price], "basedOnVersionId": plan["defaultVersionId"]}
        path = f"/v0/plans/{plan['id']}/versions"
        calls = [(one, two)[number % 2].client.post(path, json=body) for number in range(8)]
        answers = await asyncio.gather(*calls)
        assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
        assert (await one.get(path))["pagination"]["total"] == 2


async def test_a_plan_goes_back_to_an_earlier_version(shop: Shop) -> None:
    one, two = await prices(shop, 2)
    plan = await shop.plan(prices=[one])
    path = f"/v0/plans/{plan['id']}"
    await shop.made(f"{path}/versions", {"prices": [two]})
    for _ in range(2):
        back = await shop.changed(f"{path}/versions/1", default=True)
        assert (back["versionNumber"], back["isDefault"]) == (1, True)
    shown = await shop.get(path)
    assert ([price["id"] for price in shown["prices"]], shown["defaultVersionId"]) == ([one], back["id"])
    assert (await shop.get(f"{path}/versions/2"))["isDefault"] is False
    minted = await shop.made(f"{path}/versions", {"prices": [one, two]})
    assert minted["versionNumber"] == 3
    for body in ({}, {"default": False}, {"default": None}):
        assert fields_of(await shop.client.patch(f"{path}/versions/1", json=body)) == ["default"]
    assert (await shop.client.get(f"{path}/versions/9")).status_code == 404
    assert (await shop.client.patch(f"{path}/versions/9", json={"default": True})).status_code == 404
    assert fields_of(await shop.client.get(f"{path}/versions/x")) == ["versionNumber"]
    assert fields_of(await shop.client.get(f"{path}/versions/0")) == ["versionNumber"]


async def test_a_price_that_a_plan_charges_cannot_be_deleted(shop: Shop) -> None:
    one, two = await prices(shop, 2)
    plan = await shop.plan(prices=[one])
    path = f"/v0/plans/{plan['id']}"
    response = await shop.client.delete(f"/v0/prices/{one}")
    assert (response.status_code, response.json()["error"]) == (409, "conflict")
    assert response.json()["details"] == {
        "blockers": [
            {"type": "plans", "count": 1, "items": [{"id": plan["id"], "name": "Pro", "versionNumber": 1}]}
        ]
    }
    await shop.made(f"{path}/versions", {"prices": [two]})
    assert (await shop.client.delete(f"/v0/prices/{one}")).status_code == 204
    [line] = (await shop.get(f"{path}/versions/1"))["prices"]
    assert (line["id"], line["priceDeleted"]) == (one, True)
    response = await shop.client.patch(f"{path}/versions/1", json={"default": True})
    assert (response.status_code, one in response.json()["message"]) == (409, True)
    assert (await shop.client.post(f"{path}/versions", json={"prices": [one]})).status_code == 404


async def test_plans_are_listed_by_product(shop: Shop) -> None:
    other = await shop.product()
    first = await shop.plan(prices=await prices(shop, 2))
    second = await shop.plan(productId=other, prices=await prices(shop, 1))
    third = await shop.plan(productId=other)
    page = await shop.get("/v0/plans", merchantId=MERCHANT, limit="2", offset="1")
    assert page == {
        "object": "list",
        "data": [second, third],
        "pagination": {"limit": 2, "offset": 1, "total": 3},
    }
    assert (await shop.get("/v0/plans", productId="prod_a"))["data"] == [first]


async def test_plans_that_a_customer_can_have_are_found_by_name(shop: Shop) -> None:
    customer = await shop.customer()
    other = await shop.product()
    pro, team = await shop.plan(name="Größe 100%"), await shop.plan(name="Team", productId=other)

    async def found(**asked: str) -> list[Json]:
        page = await shop.get("/v0/plans/available", customerId=customer, **asked)
        data: list[Json] = page["data"]
        assert page["pagination"]["total"] == len(data)
        return data

    assert await found() == [pro, team]
    assert await found(productId=other) == [team]
    assert await found(search="GRÖSSE") == [pro]
    assert await found(search="0%") == [pro]
    assert await found(search="_") == []
    assert fields_of(await shop.client.get("/v0/plans/available")) == ["customerId"]
    for nobody in ("cus_none", await their_customer(shop)):
        response = await shop.client.get("/v0/plans/available", params={"customerId": nobody})
        assert response.status_code == 404


async def their_customer(shop: Shop) -> str:
    consumer = {"name": "n", "email": "a@b", "address": {}}
    response = await shop.stranger.post(
        "/v0/customers", json={"merchantId": OTHER_MERCHANT, "consumer": consumer}
    )
    return str(response.json()["customerId"])


async def test_another_merchants_plan_is_not_found(shop: Shop) -> None:
    [price] = await prices(shop, 1)
    plan = await shop.plan(prices=[price])
    path = f"/v0/plans/{plan['id']}"
    for address in (path, f"{path}/versions", f"{path}/versions/1"):
        assert (await shop.stranger.get(address)).status_code == 404
    assert (await shop.stranger.patch(path, json={"name": "mine"})).status_code == 404
    assert (await shop.stranger.patch(path, json={})).status_code == 404
    assert (await shop.stranger.patch(f"{path}/versions/1", json={"default": True})).status_code == 404
    assert (await shop.stranger.post(f"{path}/versions", json={"prices": [price]})).status_code == 404
    theirs = {"merchantId": OTHER_MERCHANT, "productId": "prod_b", "name": "n", "currency": "USD"}
    assert (await shop.stranger.post("/v0/plans", json=theirs | {"prices": [price]})).status_code == 404
    assert (await shop.stranger.post("/v0/plans", json=theirs | {"merchantId": MERCHANT})).status_code == 403
    assert (await shop.stranger.get("/v0/plans")).json()["data"] == []
    assert await shop.get(path) == plan
