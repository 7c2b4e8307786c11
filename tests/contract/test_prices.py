"""Prices over HTTP and a real catalog (contract 3.9)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.fakes_query import MERCHANT, OTHER_MERCHANT, feature_body
from tests.servers.catalogs import CatalogStore
from tests.shop import Json, Shop, fields_of

pytestmark = pytest.mark.anyio

LADDER: Json = {"tiers": [{"upTo": "100", "unitPrice": "5.00"}, {"upTo": None, "unitPrice": "3"}]}
METERED = {"type": "metered", "issueAfterReset": 1000, "usagePeriod": {"interval": "P1M"}}


async def refused(shop: Shop, **fields: object) -> list[str]:
    """The fields that a price of them is refused for."""
    return fields_of(await shop.client.post("/v0/prices", json=await shop.price_body(**fields)))


async def test_a_price_of_a_metric_is_answered_with_every_field(shop: Shop) -> None:
    metric, feature = await shop.metric(), await shop.feature()
    template = METERED | {"isSoftLimit": True}
    price = await shop.price(
        billableMetricId=metric,
        model="standard",
        feature={"featureId": feature, "entitlementTemplate": template},
        grantDiscountEnabled=True,
        isObligation=False,
        billingCadence=None,
    )
    assert (price["id"][:6], price["features"][0]["id"][:3]) == ("price_", "pf_")
    assert price == {
        "id": price["id"],
        "object": "price",
        "merchantId": MERCHANT,
        "billableMetricId": metric,
        "invoiceDisplayName": "API",
        "paymentTerm": "in_arrears",
        "model": "standard",
        "properties": {"unitPrice": "0.01"},
        "features": [
            {
                "id": price["features"][0]["id"],
                "featureId": feature,
                "entitlementTemplate": template,
                "feature": {"key": "api-calls", "name": "API calls", "type": "metered"},
            }
        ],
        "grantDiscountEnabled": True,
        "isObligation": False,
        "rateType": "amount",
        "tax": {"supplyScope": "IN_SCOPE"},
        "quantity": 1,
        "createdAt": price["createdAt"],
        "updatedAt": price["updatedAt"],
    }
    assert await shop.get(f"/v0/prices/{price['id']}") == price


async def test_a_price_of_a_fee_says_how_often_and_how_many(shop: Shop) -> None:
    fee = (await shop.fee())["id"]
    price = await shop.price(
        feeId=fee,
        billingCadence="P0D",
        quantity=3,
        isObligation=True,
        paymentTerm="instant",
        invoiceDisplayGroup="Fees",
    )
    assert (price["feeId"], price["billingCadence"], price["quantity"]) == (fee, "P0D", 3)
    assert (price["isObligation"], price["paymentTerm"], price["features"]) == (True, "instant", [])
    assert price["invoiceDisplayGroup"] == "Fees"
    assert not price.keys() & {"billableMetricId", "pricingUnitId"}


@pytest.mark.parametrize(
    ("properties", "model"),
    [
        ({"unitPrice": "0.010"}, "standard"),
        ({"unitPrice": "-0.5"}, "standard"),
        ({"unitPrice": "123456789012345678901234567890.123456789012345678"}, "standard"),
        (LADDER, "volume"),
        ({"tiers": [{"upTo": None, "unitPrice": "0"}]}, "volume"),
        ({"maxPrice": "0.10", "minPrice": "0.01"}, "dynamic"),
        ({"maxCharge": "500.00", "minCharge": "5.00", "percentage": "0.03"}, "percentage"),
    ],
)
async def test_each_shape_of_properties_keeps_its_digits(
    shop: Shop, properties: dict[str, Any], model: str
) -> None:
    metric = await shop.metric()
    for named in ({"model": model}, {}):
        price = await shop.price(billableMetricId=metric, properties=properties, **named)
        assert (price["model"], price["properties"]) == (model, properties)
        assert await shop.get(f"/v0/prices/{price['id']}") == price


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"billableMetricId": ...}, ["billableMetricId"]),
        ({"billableMetricId": "fee_1"}, ["billableMetricId"]),
        ({"invoiceDisplayName": ...}, ["invoiceDisplayName"]),
        ({"paymentTerm": "later"}, ["paymentTerm"]),
        ({"properties": ...}, ["properties"]),
        ({"properties": {}}, ["properties"]),
        ({"properties": None}, ["properties"]),
        ({"properties": {"unitPrice": 0.01}}, ["properties.unitPrice"]),
        ({"properties": {"unitPrice": "1e2"}}, ["properties.unitPrice"]),
        ({"properties": {"unitPrice": "1,5"}}, ["properties.unitPrice"]),
        ({"properties": {"unitPrice": "0." + "1" * 19}}, ["properties.unitPrice"]),
        ({"properties": {"unitPrice": None}}, ["properties.unitPrice"]),
        ({"properties": {"minPrice": "1"}}, ["properties.maxPrice"]),
        ({"properties": {"minPrice": "2", "maxPrice": "1"}}, ["properties.minPrice"]),
        ({"properties": {"percentage": "0.1"}}, ["properties.maxCharge", "properties.minCharge"]),
        ({"properties": {"tiers": []}}, ["properties.tiers"]),
        ({"properties": {"tiers": [{"unitPrice": "1"}]}}, ["properties.tiers.0.upTo"]),
        ({"properties": {"tiers": [{"upTo": "1", "unitPrice": "1"}]}}, ["properties.tiers.0.upTo"]),
        ({"model": "volume"}, ["properties"]),
        ({"model": "other"}, ["model"]),
        ({"billingCadence": "monthly"}, ["billingCadence"]),
        ({"billingCadence": "P"}, ["billingCadence"]),
        ({"quantity": 0}, ["quantity"]),
        ({"quantity": 2}, ["quantity"]),
        ({"isObligation": True}, ["isObligation"]),
        ({"pricingUnitId": "x"}, ["pricingUnitId"]),
        ({"tax": {}}, ["tax.supplyScope"]),
        ({"feature": {}}, ["feature.featureId"]),
        ({"feature": {"featureId": "x"}}, ["feature.featureId"]),
    ],
)
async def test_a_wrong_field_is_named(quick: Shop, fields: dict[str, object], named: list[str]) -> None:
    assert await refused(quick, **fields) == named


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ({"type": "metered", "issueAfterReset": -1}, "issueAfterReset"),
        ({"type": "metered", "issueAfterReset": "5"}, "issueAfterReset"),
        ({"type": "metered", "issueAfterReset": 1e20}, "issueAfterReset"),
        ({"type": "metered", "issueAfterReset": 1e-19}, "issueAfterReset"),
        ({"type": "metered", "usagePeriod": {}}, "usagePeriod.interval"),
        ({"type": "metered", "usagePeriod": {"interval": "1M"}}, "usagePeriod.interval"),
        ({"type": "metered", "usagePeriod": {"interval": "P1M", "anchor": "May"}}, "usagePeriod.anchor"),
        ({"type": "metered", "isSoftLimit": "yes"}, "isSoftLimit"),
        ({"type": "metered", "issueAfterResetPriority": 40_000}, "issueAfterResetPriority"),
        ({"type": "metered", "resetMaxRollover": 1e12}, "resetMaxRollover"),
        ({"type": "static"}, "config"),
        ({"type": "static", "config": [1]}, "config"),
    ],
)
async def test_a_template_is_what_its_type_says(quick: Shop, template: Json, named: str) -> None:
    feature = {"featureId": await quick.feature(), "entitlementTemplate": template}
    assert await refused(quick, feature=feature) == [f"feature.entitlementTemplate.{named}"]


@pytest.mark.parametrize(
    "template",
    [{}, {"a": 1}, {"type": "other", "issueAfterReset": -1}, {"type": ["metered"]}, {"type": None}],
)
async def test_a_template_of_no_type_is_kept_as_it_came(quick: Shop, template: Json) -> None:
    feature = {"featureId": await quick.feature(), "entitlementTemplate": template}
    price = await quick.price(feature=feature)
    assert price["features"][0]["entitlementTemplate"] == template


async def test_numbers_in_a_template_keep_their_digits(shop: Shop) -> None:
    body = await shop.price_body(feature={"featureId": await shop.feature(), "entitlementTemplate": {"n": 1}})
    number = "1234567890.12345678901234567890"
    text = json.dumps(body, separators=(",", ":"))
    content = text.replace('"n":1', f'"n":{number},"m":[1E+2,{{"x":10000000000000000000000}}]')
    headers = {"content-type": "application/json"}
    response = await shop.client.post("/v0/prices", content=content, headers=headers)
    assert response.status_code == 201, response.text
    answer = await shop.client.get(f"/v0/prices/{response.json()['id']}")
    assert f'"entitlementTemplate":{{"n":{number},"m":[1E+2,{{"x":10000000000000000000000}}]}}' in answer.text


async def test_what_a_price_names_has_to_be_the_merchants(shop: Shop) -> None:
    theirs = feature_body(merchantId=OTHER_MERCHANT, productId="prod_b")
    feature = (await shop.stranger.post("/v0/features", json=theirs)).json()["id"]
    gone = await shop.feature()
    await shop.client.delete(f"/v0/features/{gone}")
    named: tuple[Json, ...] = (
        {"billableMetricId": "bm_none"},
        {"feeId": "fee_none"},
        *[{"feature": {"featureId": id}} for id in ("feat_none", feature, gone)],
    )
    for fields in named:
        body = await shop.price_body(**fields)
        assert (await shop.client.post("/v0/prices", json=body)).status_code == 404, fields
    body = await shop.price_body()
    assert (await shop.stranger.post("/v0/prices", json=body)).status_code == 404


async def test_another_merchants_price_is_not_found(shop: Shop) -> None:
    price = await shop.price()
    path = f"/v0/prices/{price['id']}"
    assert (await shop.stranger.get(path)).status_code == 404
    assert (await shop.stranger.patch(path, json={"quantity": 1})).status_code == 404
    assert (await shop.stranger.patch(path, json={})).status_code == 404
    assert (await shop.stranger.delete(path)).status_code == 404
    assert (await shop.stranger.get("/v0/prices")).json()["data"] == []
    assert (await shop.client.get("/v0/prices", params={"merchantId": OTHER_MERCHANT})).status_code == 403
    assert await shop.get(path) == price


async def test_prices_are_listed_by_billable_metric(shop: Shop) -> None:
    metric = await shop.metric()
    prices = [await shop.price(billableMetricId=metric) for _ in range(3)]
    other = await shop.price()
    page = await shop.get("/v0/prices", billableMetricId=metric, limit="2", offset="1")
    assert page == {
        "object": "list",
        "data": prices[1:],
        "pagination": {"limit": 2, "offset": 1, "total": 3},
    }
    assert (await shop.get("/v0/prices", merchantId=MERCHANT))["data"] == [*prices, other]


async def test_what_is_absent_stays_and_null_clears(shop: Shop) -> None:
    feature = {"featureId": await shop.feature(), "entitlementTemplate": METERED}
    before = await shop.price(feature=feature, billingCadence="P1M", pricingUnitId="pu_1")
    path = f"/v0/prices/{before['id']}"
    assert await shop.changed(path) == before
    changed = await shop.changed(path, invoiceDisplayName="n2", properties=LADDER, model="volume")
    assert changed == before | {
        "invoiceDisplayName": "n2",
        "properties": LADDER,
        "model": "volume",
        "updatedAt": changed["updatedAt"],
    }
    again = await shop.changed(path, feature={"featureId": feature["featureId"]})
    assert (again["features"][0]["id"], again["features"][0]["entitlementTemplate"]) == (
        before["features"][0]["id"],
        {},
    )
    cleared = await shop.changed(path, feature=None, billingCadence=None, pricingUnitId=None)
    assert (cleared["features"], cleared.keys() & {"billingCadence", "pricingUnitId"}) == ([], set())
    assert await shop.get(path) == cleared


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"invoiceDisplayName": None}, "invoiceDisplayName"),
        ({"properties": None}, "properties"),
        ({"tax": None}, "tax"),
        ({"billableMetricId": None}, "billableMetricId"),
        ({"model": "volume"}, "properties"),
        ({"quantity": 5}, "quantity"),
        ({"properties": LADDER, "model": "standard"}, "properties"),
        ({"tax": {"supplyScope": "OUTSIDE_SCOPE", "outsideScopeLabel": "CASHBACK"}}, "tax.supplyScope"),
    ],
)
async def test_a_change_that_makes_no_price_changes_nothing(shop: Shop, changes: Json, named: str) -> None:
    before = await shop.price()
    path = f"/v0/prices/{before['id']}"
    response = await shop.client.patch(path, json=changes | {"paymentTerm": "in_advance"})
    assert response.status_code == 400
    assert [problem["field"] for problem in response.json()["errors"]] == [named]
    assert await shop.get(path) == before


async def test_changes_at_once_do_not_make_together_what_neither_made(store: CatalogStore) -> None:
    """A ladder has no discount by grants: whichever change is second is refused."""
    async with Shop.open(store.url) as one, Shop.open(store.url) as two:
        for price in [await one.price() for _ in range(5)]:
            path = f"/v0/prices/{price['id']}"
            answers = await asyncio.gather(
                one.client.patch(path, json={"properties": LADDER}),
                two.client.patch(path, json={"grantDiscountEnabled": True}),
            )
            assert sorted(answer.status_code for answer in answers) == [200, 400]
            stands = await one.get(path)
            assert (stands["model"], stands["grantDiscountEnabled"]) in {
                ("volume", False),
                ("standard", True),
            }


async def test_a_price_goes_on_to_name_a_feature_that_is_deleted(shop: Shop) -> None:
    feature = await shop.feature()
    price = await shop.price(feature={"featureId": feature})
    await shop.client.delete(f"/v0/features/{feature}")
    path = f"/v0/prices/{price['id']}"
    assert await shop.get(path) == price
    assert (await shop.changed(path, invoiceDisplayName="n2"))["features"] == price["features"]


async def test_a_deleted_price_is_gone(shop: Shop) -> None:
    price = await shop.price()
    path = f"/v0/prices/{price['id']}"
    response = await shop.client.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert (await shop.client.get(path)).status_code == 404
    assert (await shop.client.patch(path, json={"quantity": 1})).status_code == 404
    assert (await shop.client.delete(path)).status_code == 404
    assert (await shop.get("/v0/prices"))["pagination"]["total"] == 0
