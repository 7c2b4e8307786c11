"""Entitlements and grants as a merchant's program asks for them, over a real catalog and made-up usage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import anyio
import httpx
import pytest

from meterhouse.domain.errors import StoreUnavailable
from meterhouse.domain.instant import DAY, render
from meterhouse.domain.rollup import Reading
from tests.fakes_query import NOW, FakeClock
from tests.shop import METERED, Json, Shop

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(sqlite_url: str) -> AsyncIterator[Shop]:
    async with Shop.open(sqlite_url) as shop:
        yield shop


async def asked(shop: Shop, **fields: object) -> Json:
    """A good request for a metered entitlement of a new customer, but for `fields`."""
    wanted: Json = {"template": METERED}
    if "customerId" not in fields:
        wanted["customerId"] = await shop.customer(consumer=_consumer(shop))
    if "featureId" not in fields:
        metric = await shop.metric()
        key = f"key-{metric[3:].lower()}"
        wanted["featureId"] = await shop.feature(
            key=key, type="metered", metadata={"billableMetricId": metric}
        )
    return wanted | fields


def _consumer(shop: Shop) -> Json:
    name = f"c{shop.clock.now()}"
    return {"name": name, "email": f"{name}@example.com", "address": {}}


async def issued(shop: Shop, **fields: object) -> Json:
    return await shop.made("/v1/entitlements", await asked(shop, **fields))


async def refused(shop: Shop, path: str, body: Json, status: int = 400) -> Json:
    response = await shop.client.post(path, json=body)
    assert response.status_code == status, response.text
    told: Json = response.json()
    return told


def fields_of(told: Json) -> list[str]:
    return [one["field"] for one in told["errors"]]


async def test_a_metered_entitlement_shows_what_is_left(shop: Shop) -> None:
    made = await issued(shop)
    shop.phases.reading = Reading(count=3, sum=Decimal("99.5"))
    shown = await shop.get(f"/v1/entitlements/{made['id']}")
    assert (shown["balance"], shown["usageInPeriod"], shown["overage"]) == (
        Decimal("0.5"),
        Decimal("99.5"),
        0,
    )
    assert shown["hasAccess"] is True
    shop.phases.reading = Reading(count=3, sum=Decimal(101))
    shown = await shop.get(f"/v1/entitlements/{made['id']}")
    assert (shown["balance"], shown["overage"], shown["hasAccess"]) == (0, 1, False)


async def test_a_soft_limit_gives_access_without_a_balance(shop: Shop) -> None:
    made = await issued(shop, template=METERED | {"isSoftLimit": True})
    shop.phases.reading = Reading(count=1, sum=Decimal(101))
    shown = await shop.get(f"/v1/entitlements/{made['id']}")
    assert (shown["balance"], shown["hasAccess"], shown["isSoftLimit"]) == (0, True, True)


async def test_a_page_is_read_by_one_question(shop: Shop) -> None:
    customer = await shop.customer()
    for _ in range(5):
        await issued(shop, customerId=customer)
    shop.phases.asked.clear()
    listed = await shop.get("/v1/entitlements", customerId=customer)
    assert [len(questions) for questions in shop.phases.asked] == [5]
    assert listed["pagination"] == {"limit": 10, "offset": 0, "total": 5}


@pytest.mark.parametrize(
    ("type", "template"),
    [("static", {"type": "static", "config": {"a": [1.50]}}), ("boolean", {"type": "boolean"})],
)
async def test_what_is_not_metered_asks_nothing_of_usage(shop: Shop, type: str, template: Json) -> None:
    made = await issued(shop, featureId=await shop.feature(type=type), template=template)
    assert made["featureType"] == type
    assert made["config"] == template.get("config")
    assert "balance" not in made
    assert shop.phases.asked == []


async def test_the_metric_is_found_where_the_contract_looks(shop: Shop) -> None:
    own, of_feature, priced = [await shop.metric() for _ in range(3)]
    bare = await shop.feature(key="bare", type="metered")
    named = await shop.feature(key="named", type="metered", metadata={"billableMetricId": of_feature})
    told = await refused(shop, "/v1/entitlements", await asked(shop, featureId=bare))
    assert fields_of(told) == ["metadata.billableMetricId"]
    assert "no live price" in told["message"]
    await shop.price(billableMetricId=priced, feature={"featureId": bare})

    async def metric_of(**fields: object) -> str:
        made = await issued(shop, **fields)
        return (await shop.catalog.entitlements.get("org_a", made["id"])).billable_metric_id or ""

    assert await metric_of(featureId=bare) == priced
    assert await metric_of(featureId=named) == of_feature
    assert await metric_of(featureId=named, metadata={"billableMetricId": own}) == own
    await shop.price(billableMetricId=own, feature={"featureId": bare})
    told = await refused(shop, "/v1/entitlements", await asked(shop, featureId=bare))
    assert "2 live prices" in told["message"]
    wrong = await asked(shop, featureId=named, metadata={"billableMetricId": "bm_nothing"})
    assert fields_of(await refused(shop, "/v1/entitlements", wrong)) == ["metadata.billableMetricId"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"template": {"type": "metred"}}, "template.type"),
        ({"template": {}}, "template.type"),
        ({"template": {"type": "boolean"}}, "template.type"),
        ({"template": METERED | {"usagePeriod": {"interval": "P0D"}}}, "template.usagePeriod.interval"),
        ({"template": METERED | {"issueAfterReset": -1}}, "template.issueAfterReset"),
        ({"template": METERED | {"resetMaxRollover": 10**12}}, "template.resetMaxRollover"),
        ({"activeFrom": "2026-05-02T00:00:00Z", "activeTo": "2026-05-02T00:00:00Z"}, "activeTo"),
        (
            {
                "activeFrom": "1971-01-01T00:00:00Z",
                "template": METERED | {"usagePeriod": {"interval": "P1D"}},
            },
            "activeFrom",
        ),
        ({"customerId": "cus 1"}, "customerId"),
    ],
)
async def test_what_cannot_be_issued_is_refused_by_field(shop: Shop, fields: Json, wrong: str) -> None:
    assert fields_of(await refused(shop, "/v1/entitlements", await asked(shop, **fields))) == [wrong]


async def test_what_does_not_exist_is_not_found(shop: Shop) -> None:
    for fields in (
        {"customerId": "cus_9"},
        {"featureId": "feat_9"},
        {"subscriptionId": "sub_9"},
    ):
        await refused(shop, "/v1/entitlements", await asked(shop, **fields), 404)
    for path in (
        "/v1/entitlements/ent_9",
        "/v1/entitlements?customerId=cus_9",
        "/v1/entitlements?externalCustomerId=nobody",
        "/v1/entitlements?customerId=cus_9&merchantId=org_b",
    ):
        assert (await shop.client.get(path)).status_code == 404


@pytest.mark.parametrize("query", ["", "customerId=cus_1&externalCustomerId=x", "merchantId=org_a"])
async def test_a_list_is_of_one_customer(shop: Shop, query: str) -> None:
    response = await shop.client.get(f"/v1/entitlements?{query}")
    assert response.status_code == 400
    assert fields_of(response.json()) == ["customerId"]


async def test_too_many_usage_periods_are_refused(shop: Shop) -> None:
    made = await issued(shop, template=METERED | {"usagePeriod": {"interval": "P1D"}})
    response = await shop.client.get(f"/v1/entitlements/{made['id']}?at=2199-01-01T00:00:00Z")
    assert (response.status_code, fields_of(response.json())) == (400, ["at"])


async def test_a_list_is_an_earlier_one_while_usage_cannot_be_read(shop: Shop) -> None:
    customer = await shop.customer()
    made = await issued(shop, customerId=customer)
    path = f"/v1/entitlements?customerId={customer}"
    shop.phases.failure = StoreUnavailable("away")
    assert (await shop.client.get(path)).status_code == 503
    shop.phases.failure = None
    fresh = await shop.get("/v1/entitlements", customerId=customer)
    assert "stale" not in fresh
    shop.phases.failure = StoreUnavailable("away")
    stale = await shop.get("/v1/entitlements", customerId=customer)
    assert stale.pop("stale")["computedAt"].startswith(render(NOW)[:10])
    assert stale == fresh
    assert (await shop.client.get(f"{path}&limit=1")).status_code == 503  # another question
    assert (await shop.client.get(f"/v1/entitlements/{made['id']}")).status_code == 503


async def test_an_earlier_list_is_at_most_an_hour_old(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = await shop.customer()
    await issued(shop, customerId=customer)
    path = f"/v1/entitlements?customerId={customer}"
    await shop.get("/v1/entitlements", customerId=customer)
    shop.phases.failure = StoreUnavailable("away")
    later = shop.clock.now() + DAY
    monkeypatch.setattr(shop.clock, "now", lambda: later)
    assert (await shop.client.get(path)).status_code == 503


async def test_a_slow_look_is_answered_by_an_earlier_list(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await shop.customer()
    await issued(shop, customerId=customer)
    await shop.get("/v1/entitlements", customerId=customer)

    async def phases(questions: object) -> Any:
        await anyio.sleep(60)

    monkeypatch.setattr(shop.phases, "phases", phases)
    with anyio.fail_after(20):
        assert "stale" in await shop.get("/v1/entitlements", customerId=customer)


async def given(shop: Shop, id: str, **fields: object) -> httpx.Response:
    body = {"amount": 5, "idempotencyKey": "k"} | fields
    return await shop.client.post(f"/v1/entitlements/{id}/grants", json=body)


async def test_a_grant_is_answered_with_all_its_digits(shop: Shop) -> None:
    made = await issued(shop, template={"type": "metered"})
    response = await given(shop, made["id"], amount=0.5, resetMaxRollover=1.25, priority=-32768)
    assert response.status_code == 201
    body = response.json()
    assert (body["amount"], body["resetMaxRollover"], body["resetMinRollover"]) == (0.5, 1.25, 0)
    assert (body["expiresAt"], body["voidedAt"], body["recurrencePeriod"]) == (None, None, None)
    assert await shop.get(f"/v1/entitlements/{made['id']}/grants/{body['id']}") == body


async def test_the_template_s_grant_is_listed_as_recurring(shop: Shop) -> None:
    made = await issued(shop, template=METERED | {"issueAfterResetPriority": 7})
    [first] = (await shop.get(f"/v1/entitlements/{made['id']}/grants"))["data"]
    assert (first["amount"], first["priority"], first["recurrencePeriod"]) == (100, 7, "P1M")
    assert (first["idempotencyKey"], first["resetMaxRollover"]) == (None, 0)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": "5"}, "amount"),
        ({"amount": 1e-19}, "amount"),
        ({"idempotencyKey": ""}, "idempotencyKey"),
        ({"idempotencyKey": "k" * 256}, "idempotencyKey"),
        ({"priority": 32768}, "priority"),
        ({"resetMinRollover": -1}, "resetMinRollover"),
        ({"effectiveAt": "2026-05-01T00:00:00Z", "expiresAt": "2026-05-01T00:00:00Z"}, "expiresAt"),
    ],
)
async def test_what_cannot_be_granted_is_refused_by_field(shop: Shop, fields: Json, wrong: str) -> None:
    made = await issued(shop)
    response = await given(shop, made["id"], **fields)
    assert (response.status_code, fields_of(response.json())) == (400, [wrong])


async def test_nothing_is_granted_where_it_could_not_be_used(shop: Shop) -> None:
    boolean = await issued(shop, featureId=await shop.feature(type="boolean"), template={"type": "boolean"})
    over = await issued(shop, activeFrom="2020-01-01T00:00:00Z", activeTo="2020-02-01T00:00:00Z")
    for one in (boolean, over):
        assert (await given(shop, one["id"])).status_code == 409


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"amount": 0.000000001}, "amount"),
        ({"amount": 10**12}, "amount"),
        ({"price": "0.49"}, "price"),
        ({"price": "4503599.63"}, "price"),
        ({"price": "5"}, None),
        ({"price": "5.0000000001"}, "price"),
        ({"price": 5}, "price"),
    ],
)
async def test_a_purchase_has_bounds(shop: Shop, fields: Json, wrong: str | None) -> None:
    made = await issued(shop)
    body = {"amount": 5, "price": "5.00", "idempotencyKey": "p"} | fields
    response = await shop.client.post(f"/v1/entitlements/{made['id']}/grants/purchase", json=body)
    assert response.status_code == (201 if wrong is None else 400)
    if wrong is not None:
        assert fields_of(response.json()) == [wrong]


async def test_one_key_of_two_purchases_is_a_conflict(shop: Shop) -> None:
    made = await issued(shop)
    path = f"/v1/entitlements/{made['id']}/grants/purchase"
    body: Json = {"amount": 5, "price": "5.00", "idempotencyKey": "p"}
    await shop.made(path, body)
    assert "price" in (await refused(shop, path, body | {"price": "6.00"}, 409))["message"]


async def test_a_version_that_is_being_built_is_read_every_time(shop: Shop) -> None:
    held = await issued(shop)
    assert isinstance(shop.clock, FakeClock)
    shop.clock.step = 0
    before = len(shop.phases.asked)
    for _ in range(3):
        (await shop.client.get(f"/v1/entitlements/{held['id']}")).raise_for_status()
    assert len(shop.phases.asked) == before + 3
