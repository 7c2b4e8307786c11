"""Webhooks as a merchant's program asks for them, over a real catalog."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from tests.notified import Receiver, courier_of, deliver_all, held, listen, told
from tests.shop import Json, Shop, fields_of

pytestmark = pytest.mark.anyio

ENDPOINTS = "/api/v1/webhooks/endpoints"
DELIVERIES = "/api/v1/webhooks/deliveries"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with Shop.open(f"sqlite:///{tmp_path}/catalog.sqlite3") as shop:
        yield shop


async def test_webhooks_are_enabled_once(shop: Shop) -> None:
    assert (await shop.client.get("/v0/webhooks")).status_code == 404
    made = await shop.client.post("/v0/webhooks")
    assert made.status_code == 201
    body = made.json()
    assert body.keys() == {"object", "applicationId", "merchantId", "enabled", "createdAt", "updatedAt"}
    assert (body["object"], body["merchantId"], body["enabled"]) == ("webhooks", "org_a", True)
    again = await shop.client.post("/v0/webhooks", params={"merchantId": "org_a"})
    assert (again.status_code, again.json()["code"]) == (400, "DUPLICATE_RESOURCE")
    assert await shop.get("/v0/webhooks") == body


async def test_two_at_once_enable_one(shop: Shop) -> None:
    statuses: list[int] = []

    async def enable() -> None:
        statuses.append((await shop.client.post("/v0/webhooks")).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(enable)
    assert sorted(statuses) == [201] + [400] * 7


async def test_webhooks_are_paused_and_go_on(shop: Shop) -> None:
    assert (await shop.patched("/v0/webhooks", {"enabled": True})).status_code == 404
    assert (await shop.client.delete("/v0/webhooks")).status_code == 404
    await listen(shop)
    assert (await shop.changed("/v0/webhooks", enabled=False))["enabled"] is False
    assert (await shop.changed("/v0/webhooks", enabled=True))["enabled"] is True
    deleted = await shop.client.delete("/v0/webhooks")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await shop.get("/v0/webhooks"))["enabled"] is False
    assert len((await shop.get(ENDPOINTS))["data"]) == 1
    for body in ({}, {"enabled": None}, {"enabled": "true"}, {"enabled": 1}):
        assert fields_of(await shop.patched("/v0/webhooks", body)) == ["enabled"]


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
async def test_another_merchant_cannot_be_spoken_for(shop: Shop, method: str) -> None:
    body = {"enabled": True} if method == "PATCH" else None
    asked = await shop.client.request(method, "/v0/webhooks", params={"merchantId": "org_b"}, json=body)
    assert asked.status_code == 403
    bad = await shop.client.request(method, "/v0/webhooks", params={"merchantId": "x"}, json=body)
    assert fields_of(bad) == ["merchantId"]


async def test_an_endpoint_shows_its_secret_once(shop: Shop) -> None:
    made = await listen(shop, description="d", eventTypes=["grant.created", "grant.created"])
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made == {
        "id": made["id"], "object": "webhookEndpoint", "merchantId": "org_a", "enabled": True, "gone": False,
        "url": "https://example.com/hooks", "description": "d", "eventTypes": ["grant.created"],
        "createdAt": made["createdAt"], "updatedAt": made["createdAt"],
    }  # fmt: skip
    assert await shop.get(f"{ENDPOINTS}/{made['id']}") == made
    listed = await shop.get(ENDPOINTS)
    assert (listed["data"], listed["pagination"]) == ([made], {"limit": 10, "offset": 0, "total": 1})
    replaced = await shop.client.post(f"{ENDPOINTS}/{made['id']}/secret")
    assert replaced.json()["secret"] not in ("", secret)
    changed = await shop.changed(f"{ENDPOINTS}/{made['id']}", eventTypes=[], enabled=False, description="")
    assert (changed["eventTypes"], changed["enabled"], changed["description"]) == ([], False, "")
    assert "secret" not in changed
    assert await shop.changed(f"{ENDPOINTS}/{made['id']}") == changed
    assert (await shop.client.delete(f"{ENDPOINTS}/{made['id']}")).status_code == 204
    for response in (
        await shop.client.get(f"{ENDPOINTS}/{made['id']}"),
        await shop.client.delete(f"{ENDPOINTS}/{made['id']}"),
        await shop.client.post(f"{ENDPOINTS}/{made['id']}/secret"),
        await shop.patched(f"{ENDPOINTS}/{made['id']}", {"enabled": True}),
    ):
        assert response.status_code == 404, response.text


async def test_what_is_wrong_with_an_endpoint_is_said(shop: Shop) -> None:
    url = {"url": "https://example.com/2"}
    assert (await shop.posted(ENDPOINTS, url)).status_code == 404  # webhooks were never enabled
    made = await listen(shop)
    for wrong, field in (
        ({}, "url"),
        ({"url": "http://example.com"}, "url"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "url"),
        (url | {"eventTypes": ["grant.exploded"]}, "eventTypes.0"),
        (url | {"description": None}, "description"),
    ):
        assert fields_of(await shop.posted(ENDPOINTS, wrong)) == [field]
    path = f"{ENDPOINTS}/{made['id']}"
    for change, field in (
        ({"url": "https://10.0.0.1"}, "url"),
        ({"url": None}, "url"),
        ({"eventTypes": None}, "eventTypes"),
        ({"enabled": "yes"}, "enabled"),
    ):
        assert fields_of(await shop.patched(path, change)) == [field]


async def test_a_url_is_told_once(shop: Shop) -> None:
    first = await listen(shop)
    assert (await shop.posted(ENDPOINTS, {"url": first["url"]})).status_code == 409
    other = await shop.made(ENDPOINTS, {"url": "https://example.com/other"})
    assert (await shop.patched(f"{ENDPOINTS}/{other['id']}", {"url": first["url"]})).status_code == 409
    await shop.changed(f"{ENDPOINTS}/{first['id']}", url=first["url"])
    for number in range(48):
        await shop.made(ENDPOINTS, {"url": f"https://example.com/{number}"})
    assert (await shop.posted(ENDPOINTS, {"url": "https://example.com/more"})).status_code == 409


async def test_what_became_of_a_grant_is_told_with_it(shop: Shop) -> None:
    await listen(shop)
    one = await held(shop)
    path = f"/v1/entitlements/{one['id']}/grants"
    grant = await shop.made(path, {"amount": 5, "idempotencyKey": "k"})
    await shop.made(path, {"amount": 5, "idempotencyKey": "k"})
    voided = (await shop.client.delete(f"{path}/{grant['id']}")).json()
    await shop.client.delete(f"{path}/{grant['id']}")
    first, created, ended = await told(shop)
    assert [first["type"], created["type"], ended["type"]] == [
        "grant.created",
        "grant.created",
        "grant.voided",
    ]
    assert first["data"]["grant"]["recurrencePeriod"] == "P1M"
    assert created == {
        "type": "grant.created",
        "timestamp": grant["createdAt"],
        "data": {"customerId": one["customerId"], "featureId": one["featureId"], "grant": grant},
    }
    assert (ended["timestamp"], ended["data"]["grant"]) == (voided["voidedAt"], voided)


async def test_a_paid_purchase_is_told_once(shop: Shop) -> None:
    await listen(shop, eventTypes=["grant.created"])
    one = await held(shop, template={"type": "metered"})
    bought = {"amount": 5, "price": "5.00", "idempotencyKey": "k"}
    invoice = (await shop.made(f"/v1/entitlements/{one['id']}/grants/purchase", bought))["invoiceId"]
    assert await told(shop) == []
    for _ in range(2):
        paid = (await shop.client.post(f"/api/v1/grant-purchases/{invoice}/payment")).json()
    assert [notice["data"]["grant"] for notice in await told(shop)] == [paid]


async def test_nothing_is_told_to_whom_nothing_is_wanted(shop: Shop) -> None:
    await held(shop)
    assert (await shop.client.post("/v0/webhooks")).status_code == 201
    await held(shop)
    assert await told(shop) == []
    await shop.made(ENDPOINTS, {"url": "https://example.com/voids", "eventTypes": ["grant.voided"]})
    off = await shop.made(ENDPOINTS, {"url": "https://example.com/off"})
    await shop.changed(f"{ENDPOINTS}/{off['id']}", enabled=False)
    await held(shop)
    assert await told(shop) == []


async def test_deliveries_are_listed_and_replayed(shop: Shop) -> None:
    endpoint = await listen(shop)
    await held(shop)
    [pending] = (await shop.get(DELIVERIES))["data"]
    assert pending == {
        "id": pending["id"], "object": "webhookDelivery", "endpointId": endpoint["id"],
        "webhookId": pending["webhookId"], "eventType": "grant.created", "timestamp": pending["timestamp"],
        "state": "pending", "attempts": 0, "nextAttemptAt": pending["createdAt"],
        "createdAt": pending["createdAt"],
    }  # fmt: skip
    receiver = Receiver()
    await deliver_all(courier_of(shop, receiver))
    done = await shop.get(f"{DELIVERIES}/{pending['id']}")
    assert (done["state"], done["attempts"], done["lastStatus"]) == ("delivered", 1, 200)
    assert "nextAttemptAt" not in done
    assert done["payload"].encode() == receiver.got[0][2]
    replayed = (await shop.client.post(f"{DELIVERIES}/{pending['id']}/replay")).json()
    assert (replayed["state"], replayed["attempts"]) == ("pending", 0)
    assert done["history"] == [{"at": done["lastAttemptAt"], "status": 200}]
    assert replayed["history"] == done["history"]
    await deliver_all(courier_of(shop, receiver))
    ids = [headers["webhook-id"] for _, headers, _ in receiver.got]
    assert ids == [pending["webhookId"]] * 2
    for wanted, total in (
        ({"state": "delivered"}, 1),
        ({"state": "dead"}, 0),
        ({"endpointId": endpoint["id"]}, 1),
        ({"endpointId": "ep_other"}, 0),
        ({"webhookId": pending["webhookId"]}, 1),
        ({"webhookId": "msg_other"}, 0),
        ({"limit": "1", "offset": "1"}, 1),
    ):
        assert (await shop.get(DELIVERIES, **wanted))["pagination"]["total"] == total
    for wrong in ({"state": "lost"}, {"endpointId": "x"}, {"limit": "101"}, {"limit": "0"}, {"offset": "-1"}):
        assert fields_of(await shop.client.get(DELIVERIES, params=wrong)) == [*wrong]
    assert (await shop.client.get(f"{DELIVERIES}/dlv_other")).status_code == 404
    assert (await shop.client.get(f"{DELIVERIES}/x")).status_code == 404


async def test_another_merchant_s_are_not_found(shop: Shop) -> None:
    endpoint = await listen(shop)
    await held(shop)
    [delivery] = (await shop.get(DELIVERIES))["data"]
    stranger = shop.stranger
    assert (await stranger.post("/v0/webhooks")).status_code == 201
    answers = [
        await stranger.get(f"{ENDPOINTS}/{endpoint['id']}"),
        await stranger.patch(f"{ENDPOINTS}/{endpoint['id']}", json={"enabled": False}),
        await stranger.post(f"{ENDPOINTS}/{endpoint['id']}/secret"),
        await stranger.delete(f"{ENDPOINTS}/{endpoint['id']}"),
        await stranger.get(f"{DELIVERIES}/{delivery['id']}"),
        await stranger.post(f"{DELIVERIES}/{delivery['id']}/replay"),
    ]
    assert [one.status_code for one in answers] == [404] * 6
    assert (await stranger.get(ENDPOINTS)).json()["data"] == []
    assert (await stranger.get(DELIVERIES)).json()["data"] == []
    # and the same URL is free for each merchant
    assert (await stranger.post(ENDPOINTS, json={"url": endpoint["url"]})).status_code == 201


@pytest.mark.parametrize("metadata", [{"balanceThresholds": "80%,x"}, {"balanceThresholds": "101%"}])
async def test_thresholds_that_cannot_be_are_refused(shop: Shop, metadata: Json) -> None:
    wanted = {"key": "k", "name": "n", "merchantId": "org_a", "productId": "prod_a", "metadata": metadata}
    assert fields_of(await shop.posted("/v0/features", wanted)) == ["metadata.balanceThresholds"]
    feature = await shop.feature()
    changed = await shop.patched(f"/v0/features/{feature}", {"metadata": metadata})
    assert fields_of(changed) == ["metadata.balanceThresholds"]
    customer = await shop.customer()
    issued = {"customerId": customer, "featureId": feature, "template": {"type": "metered"}}
    asked = await shop.posted("/v1/entitlements", issued | {"metadata": metadata})
    assert fields_of(asked) == ["metadata.balanceThresholds"]
