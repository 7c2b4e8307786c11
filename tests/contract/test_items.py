"""Items and external references over HTTP and a real catalog (contract 2.4 and 3.12)."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes_query import MERCHANT, OTHER_MERCHANT
from tests.servers.catalogs import CatalogStore
from tests.shop import Json, Shop, fields_of

pytestmark = pytest.mark.anyio


async def test_a_created_item_has_every_field(shop: Shop) -> None:
    item = await shop.item(catalogId="prod_a", metadata={"a": [1, {"b": None}], "c": "ü"})
    assert item["id"].startswith("itm_")
    assert item == {
        "id": item["id"],
        "object": "item",
        "merchantId": MERCHANT,
        "name": "Item",
        "catalogId": "prod_a",
        "metadata": {"a": [1, {"b": None}], "c": "ü"},
        "externalReferences": [],
        "archivedAt": None,
        "createdAt": item["createdAt"],
        "updatedAt": item["updatedAt"],
    }
    bare = await shop.item()
    assert (bare["catalogId"], bare["metadata"]) == (None, {})
    assert await shop.get(f"/v0/items/{item['id']}") == item


async def test_items_are_listed_by_product(shop: Shop) -> None:
    first = await shop.item(catalogId="prod_a")
    second = await shop.item()
    page = await shop.get("/v0/items")
    assert page == {
        "object": "list",
        "data": [first, second],
        "pagination": {"limit": 50, "offset": 0, "total": 2},
    }
    assert (await shop.get("/v0/items", catalogId="prod_a"))["data"] == [first]
    assert (await shop.get("/v0/items", merchantId=MERCHANT, limit="1", offset="1"))["data"] == [second]


async def test_an_archived_item_is_listed_only_if_it_is_asked_for(shop: Shop) -> None:
    item = await shop.item()
    path = f"/v0/items/{item['id']}"
    archived = await shop.changed(path, archived=True)
    assert archived["archivedAt"] is not None
    assert (await shop.changed(path, archived=True))["archivedAt"] == archived["archivedAt"]
    assert (await shop.get("/v0/items"))["data"] == []
    assert [one["id"] for one in (await shop.get("/v0/items", includeArchived="true"))["data"]] == [
        item["id"]
    ]
    assert (await shop.changed(path, archived=False))["archivedAt"] is None
    assert len((await shop.get("/v0/items"))["data"]) == 1


async def test_an_item_with_charges_cannot_be_archived(shop: Shop) -> None:
    item = (await shop.item())["id"]
    fee = await shop.fee(itemId=item)
    metric = await shop.metric(itemId=item)
    response = await shop.client.patch(f"/v0/items/{item}", json={"archived": True})
    assert (response.status_code, response.json()["error"]) == (409, "conflict")
    assert response.json()["details"] == {
        "blockers": [
            {"type": "billableMetrics", "count": 1, "items": [{"id": metric, "name": "Tokens"}]},
            {"type": "fees", "count": 1, "items": [{"id": fee["id"], "name": "Setup"}]},
        ]
    }
    assert (await shop.get(f"/v0/items/{item}"))["archivedAt"] is None
    await shop.client.delete(f"/v0/fees/{fee['id']}")
    await shop.changed(f"/v0/billableMetrics/{metric}", itemId=None)
    assert (await shop.changed(f"/v0/items/{item}", archived=True))["archivedAt"] is not None


async def test_charges_follow_their_item_into_another_product(shop: Shop) -> None:
    item = (await shop.item(catalogId="prod_a"))["id"]
    fee, metric = await shop.fee(itemId=item, productId=...), await shop.metric(itemId=item)
    other = await shop.product()
    assert (await shop.changed(f"/v0/items/{item}", catalogId=other))["catalogId"] == other
    assert (await shop.get(f"/v0/fees/{fee['id']}"))["productId"] == other
    assert (await shop.get(f"/v0/billableMetrics/{metric}"))["productId"] == other
    assert (await shop.changed(f"/v0/items/{item}", catalogId=None))["catalogId"] is None
    assert (await shop.get(f"/v0/fees/{fee['id']}"))["productId"] == other


async def test_a_charge_is_filed_under_a_live_item_of_its_own_product(shop: Shop) -> None:
    elsewhere = (await shop.item(catalogId=await shop.product()))["id"]
    archived = (await shop.item())["id"]
    await shop.changed(f"/v0/items/{archived}", archived=True)
    fee = await shop.fee()
    body = {"name": "n", "description": "d", "merchantId": MERCHANT, "productId": "prod_a"}
    for id, code in ((elsewhere, "ITEM_PRODUCT_MISMATCH"), (archived, "ITEM_ARCHIVED")):
        for response in (
            await shop.client.post("/v0/fees", json=body | {"itemId": id}),
            await shop.client.patch(f"/v0/fees/{fee['id']}", json={"itemId": id}),
            await shop.client.patch(f"/v0/billableMetrics/{await shop.metric()}", json={"itemId": id}),
        ):
            assert fields_of(response) == ["itemId"]
            assert response.json()["errors"][0]["code"] == code
    response = await shop.client.post("/v0/fees", json=body | {"itemId": "itm_none"})
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"name": ""}, ["name"]),
        ({"merchantId": "x"}, ["merchantId"]),
        ({"catalogId": "x"}, ["catalogId"]),
        ({"metadata": None}, ["metadata"]),
        ({"metadata": [1]}, ["metadata"]),
    ],
)
async def test_a_wrong_field_of_an_item_is_named(shop: Shop, body: Json, named: list[str]) -> None:
    wanted = {"merchantId": MERCHANT, "name": "n"} | body
    assert fields_of(await shop.client.post("/v0/items", json=wanted)) == named


async def test_metadata_that_json_cannot_say_is_refused(shop: Shop) -> None:
    headers = {"content-type": "application/json"}
    deep = "[" * 25 + "]" * 25
    for value in ("NaN", "-Infinity", "1e500", r'"\ud800"', r'{"\ud800":1}', deep):
        content = f'{{"merchantId":"{MERCHANT}","name":"n","metadata":{{"a":{value}}}}}'
        response = await shop.client.post("/v0/items", content=content, headers=headers)
        assert fields_of(response) == ["metadata"], value


async def test_half_a_code_is_no_question(shop: Shop) -> None:
    for half, missing in (("provider", "externalId"), ("externalId", "provider")):
        assert fields_of(await shop.client.get("/v0/items", params={half: "x"})) == [missing]


async def test_a_reference_has_every_field_and_is_shown_with_its_item(shop: Shop) -> None:
    item = (await shop.item())["id"]
    reference = await shop.reference(entityId=item, externalLabel="L", metadata={"a": 1})
    assert reference["id"].startswith("xrf_")
    assert reference == {
        "id": reference["id"],
        "object": "externalReference",
        "merchantId": MERCHANT,
        "entityType": "item",
        "entityId": item,
        "provider": "netsuite",
        "externalId": "X-1",
        "externalLabel": "L",
        "metadata": {"a": 1},
        "isPrimary": True,
        "isDefault": True,
        "createdAt": reference["createdAt"],
        "updatedAt": reference["updatedAt"],
    }
    assert (await shop.get(f"/v0/items/{item}"))["externalReferences"] == [reference]
    assert await shop.get(f"/v0/externalReferences/{reference['id']}") == reference
    assert (await shop.reference(entityId=item, externalId="X-2"))["externalLabel"] is None


async def test_a_code_leads_to_one_entity(shop: Shop) -> None:
    first, second = [(await shop.item())["id"] for _ in range(2)]
    held = await shop.reference(entityId=first)
    wanted = {"merchantId": MERCHANT, "entityType": "item", "entityId": second, "provider": "netsuite"}
    wanted["externalId"] = "X-1"
    response = await shop.client.post("/v0/externalReferences", json=wanted)
    assert (response.status_code, first in response.json()["message"]) == (409, True)
    alias = await shop.made("/v0/externalReferences", wanted | {"isPrimary": False})
    assert (await shop.client.post("/v0/externalReferences", json=wanted)).status_code == 409
    path = f"/v0/externalReferences/{alias['id']}"
    assert (await shop.client.patch(path, json={"isPrimary": True})).status_code == 409
    found = await shop.get("/v0/items", provider="netsuite", externalId="X-1")
    assert [one["id"] for one in found["data"]] == [first, second]
    await shop.changed(f"/v0/externalReferences/{held['id']}", isPrimary=False)
    assert (await shop.changed(path, isPrimary=True))["isPrimary"] is True
    found = await shop.get("/v0/items", provider="netsuite", externalId="X-1")
    assert [one["id"] for one in found["data"]] == [second, first]
    assert (await shop.get("/v0/items", provider="netsuite", externalId="X-2"))["data"] == []


async def test_a_claim_may_be_moved(shop: Shop) -> None:
    first, second = [(await shop.item())["id"] for _ in range(2)]
    held = await shop.reference(entityId=first)
    moved = await shop.reference(entityId=second, moveClaim=True)
    assert moved["isPrimary"] is True
    held = await shop.get(f"/v0/externalReferences/{held['id']}")
    assert (held["isPrimary"], held["isDefault"]) == (False, True)


async def test_an_entity_has_one_default_code_for_a_provider(shop: Shop) -> None:
    item = (await shop.item())["id"]
    made = [
        await shop.reference(entityId=item, externalId="1"),
        await shop.reference(entityId=item, externalId="2"),
        await shop.reference(entityId=item, externalId="3", isDefault=True),
        await shop.reference(entityId=item, externalId="4", provider="sage", isDefault=False),
    ]
    assert [one["isDefault"] for one in made] == [True, False, True, False]
    await shop.changed(f"/v0/externalReferences/{made[1]['id']}", isDefault=True)
    page = await shop.get("/v0/externalReferences", entityId=item, provider="netsuite")
    assert [one["isDefault"] for one in page["data"]] == [False, True, False]


async def test_an_archived_item_releases_its_codes(shop: Shop) -> None:
    old, new = [(await shop.item())["id"] for _ in range(2)]
    held = await shop.reference(entityId=old)
    await shop.changed(f"/v0/items/{old}", archived=True)
    assert (await shop.get(f"/v0/externalReferences/{held['id']}"))["isPrimary"] is False
    response = await shop.client.patch(f"/v0/externalReferences/{held['id']}", json={"isPrimary": True})
    assert response.status_code == 409
    await shop.reference(entityId=new)
    found = await shop.get("/v0/items", provider="netsuite", externalId="X-1")
    assert [one["id"] for one in found["data"]] == [new, old]


async def test_customers_have_codes_until_they_are_deleted(shop: Shop) -> None:
    customer = await shop.customer()
    reference = await shop.reference(entityType="customer", entityId=customer)
    page = await shop.get("/v0/externalReferences", entityType="customer", externalId="X-1")
    assert page["data"] == [reference]
    assert (await shop.client.delete(f"/v0/customers/{customer}")).status_code == 204
    assert (await shop.client.get(f"/v0/externalReferences/{reference['id']}")).status_code == 404
    assert (await shop.get("/v0/externalReferences"))["pagination"]["total"] == 0


async def test_a_reference_changes_and_goes(shop: Shop) -> None:
    item = (await shop.item())["id"]
    before = await shop.reference(entityId=item, externalLabel="L", metadata={"a": 1})
    path = f"/v0/externalReferences/{before['id']}"
    assert await shop.changed(path) == before
    changed = await shop.changed(path, externalLabel=None, metadata={"b": 2})
    assert changed == before | {
        "externalLabel": None,
        "metadata": {"b": 2},
        "updatedAt": changed["updatedAt"],
    }
    assert fields_of(await shop.client.patch(path, json={"isPrimary": None})) == ["isPrimary"]
    response = await shop.client.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert (await shop.client.delete(path)).status_code == 404
    assert (await shop.get(f"/v0/items/{item}"))["externalReferences"] == []
    await shop.reference(entityId=item)


async def test_a_reference_points_at_what_the_merchant_has(shop: Shop) -> None:
    theirs = {"merchantId": OTHER_MERCHANT, "name": "n"}
    item = (await shop.stranger.post("/v0/items", json=theirs)).json()["id"]
    customer = await shop.customer()
    wanted = {"merchantId": MERCHANT, "provider": "sage", "externalId": "x"}
    for type, id in (
        ("item", item),
        ("item", "itm_none"),
        ("item", customer),
        ("customer", "cus_none"),
        ("customer", item),
    ):
        body = wanted | {"entityType": type, "entityId": id}
        assert (await shop.client.post("/v0/externalReferences", json=body)).status_code == 404
    body = wanted | {"entityType": "customer", "entityId": customer}
    for change, field in (
        ({"provider": "Net Suite"}, "provider"),
        ({"entityType": "fee"}, "entityType"),
        ({"externalId": ""}, "externalId"),
        ({"isPrimary": "yes"}, "isPrimary"),
    ):
        response = await shop.client.post("/v0/externalReferences", json=body | change)
        assert fields_of(response) == [field]


async def test_a_stranger_finds_nothing(shop: Shop) -> None:
    item = await shop.item()
    reference = await shop.reference(entityId=item["id"])
    for path in (f"/v0/items/{item['id']}", f"/v0/externalReferences/{reference['id']}"):
        assert (await shop.stranger.get(path)).status_code == 404
        assert (await shop.stranger.patch(path, json={"metadata": {}})).status_code == 404
    path = f"/v0/externalReferences/{reference['id']}"
    assert (await shop.stranger.delete(path)).status_code == 404
    for path in ("/v0/items", "/v0/externalReferences"):
        asked = {"provider": "netsuite", "externalId": "X-1"}
        assert (await shop.stranger.get(path, params=asked)).json()["data"] == []
        assert (await shop.client.get(path, params={"merchantId": OTHER_MERCHANT})).status_code == 403
    theirs = {"merchantId": OTHER_MERCHANT, "name": "n"}
    own = (await shop.stranger.post("/v0/items", json=theirs)).json()["id"]
    wanted = {"merchantId": OTHER_MERCHANT, "entityType": "item", "entityId": own}
    wanted |= {"provider": "netsuite", "externalId": "X-1"}
    response = await shop.stranger.post("/v0/externalReferences", json=wanted)
    assert (response.status_code, response.json()["isPrimary"]) == (201, True)


async def test_a_code_that_many_claim_at_once_is_given_once(store: CatalogStore) -> None:
    async with Shop.open(store.url) as one, Shop.open(store.url) as two:
        items = [(await one.item())["id"] for _ in range(8)]
        wanted = {"merchantId": MERCHANT, "entityType": "item", "provider": "sage", "externalId": "x"}
        calls = [
            (one, two)[number % 2].client.post("/v0/externalReferences", json=wanted | {"entityId": item})
            for number, item in enumerate(items)
        ]
        answers = await asyncio.gather(*calls)
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
