"""Fees over HTTP and a real catalog (contract 3.9)."""

from __future__ import annotations

import pytest

from tests.fakes_query import MERCHANT, OTHER_MERCHANT
from tests.shop import Json, Shop, without

pytestmark = pytest.mark.anyio


async def test_a_created_fee_has_every_field(shop: Shop) -> None:
    item = (await shop.item(catalogId="prod_a"))["id"]
    fee = await shop.fee(itemId=item)
    assert fee["id"].startswith("fee_")
    assert fee == {
        "id": fee["id"],
        "object": "fee",
        "name": "Setup",
        "description": "d",
        "merchantId": MERCHANT,
        "productId": "prod_a",
        "itemId": item,
        "createdAt": fee["createdAt"],
        "updatedAt": fee["updatedAt"],
    }
    assert await shop.get(f"/v0/fees/{fee['id']}") == fee
    assert (await shop.fee())["itemId"] is None


async def test_a_fee_without_a_product_is_of_its_items_or_of_the_oldest(shop: Shop) -> None:
    other = await shop.product()
    item = (await shop.item(catalogId=other))["id"]
    unfiled = (await shop.item())["id"]
    assert (await shop.fee(productId=...))["productId"] == "prod_a"
    assert (await shop.fee(productId=..., itemId=unfiled))["productId"] == "prod_a"
    assert (await shop.fee(productId=..., itemId=item))["productId"] == other
    assert (await shop.get(f"/v0/billableMetrics/{await shop.metric(itemId=item)}"))["productId"] == other


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": ...}, "name"),
        ({"name": ""}, "name"),
        ({"description": ...}, "description"),
        ({"merchantId": ...}, "merchantId"),
        ({"productId": "x"}, "productId"),
        ({"itemId": "x"}, "itemId"),
    ],
)
async def test_a_wrong_field_is_named(shop: Shop, fields: Json, named: str) -> None:
    body = {"merchantId": MERCHANT, "productId": "prod_a", "name": "n", "description": "d"} | fields
    response = await shop.client.post("/v0/fees", json=without(body))
    assert response.status_code == 400
    assert [problem["field"] for problem in response.json()["errors"]] == [named]


async def test_fees_are_listed_by_product_and_item(shop: Shop) -> None:
    other = await shop.product()
    item = (await shop.item(catalogId=other))["id"]
    first, second = await shop.fee(), await shop.fee(productId=other, itemId=item)
    third = await shop.fee(productId=other)

    async def found(**asked: str) -> list[Json]:
        page = await shop.get("/v0/fees", merchantId=MERCHANT, **asked)
        data: list[Json] = page["data"]
        return data

    assert await found() == [first, second, third]
    assert await found(productId=other) == [second, third]
    assert await found(itemId=item) == [second]
    assert await found(itemId=item, productId="prod_a") == []
    page = await shop.get("/v0/fees", merchantId=MERCHANT, limit="1", offset="1")
    assert (page["data"], page["pagination"]) == ([second], {"limit": 1, "offset": 1, "total": 3})
    assert (await shop.client.get("/v0/fees")).status_code == 400


async def test_what_is_absent_stays_and_null_takes_the_item_away(shop: Shop) -> None:
    before = await shop.fee(itemId=(await shop.item())["id"])
    path = f"/v0/fees/{before['id']}"
    assert await shop.changed(path) == before
    changed = await shop.changed(path, name="n2", itemId=None)
    assert changed == before | {"name": "n2", "itemId": None, "updatedAt": changed["updatedAt"]}
    response = await shop.client.patch(path, json={"name": None})
    assert [problem["field"] for problem in response.json()["errors"]] == ["name"]


async def test_a_fee_with_prices_cannot_be_deleted(shop: Shop) -> None:
    fee = (await shop.fee())["id"]
    path = f"/v0/fees/{fee}"
    prices = [(await shop.price(feeId=fee, invoiceDisplayName=f"p{number}"))["id"] for number in range(11)]
    response = await shop.client.delete(path)
    assert (response.status_code, response.json()["error"]) == (409, "conflict")
    assert "11 prices" in response.json()["message"]
    [blocker] = response.json()["details"]["blockers"]
    assert (blocker["type"], blocker["count"], len(blocker["items"])) == ("prices", 11, 10)
    assert blocker["items"][0]["id"] in prices
    assert blocker["items"][0]["invoiceDisplayName"].startswith("p")
    for price in prices:
        assert (await shop.client.delete(f"/v0/prices/{price}")).status_code == 204
    response = await shop.client.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert (await shop.client.get(path)).status_code == 404
    assert (await shop.client.delete(path)).status_code == 404
    assert (await shop.get("/v0/fees", merchantId=MERCHANT))["data"] == []


async def test_another_merchants_fee_is_not_found(shop: Shop) -> None:
    fee = await shop.fee()
    path = f"/v0/fees/{fee['id']}"
    assert (await shop.stranger.get(path)).status_code == 404
    assert (await shop.stranger.patch(path, json={"name": "mine"})).status_code == 404
    assert (await shop.stranger.delete(path)).status_code == 404
    body = {"merchantId": MERCHANT, "name": "n", "description": "d"}
    assert (await shop.stranger.post("/v0/fees", json=body)).status_code == 403
    body |= {"productId": "prod_b"}
    assert (await shop.client.post("/v0/fees", json=body)).status_code == 404
    assert (await shop.client.get("/v0/fees", params={"merchantId": OTHER_MERCHANT})).status_code == 403
    assert await shop.get(path) == fee
