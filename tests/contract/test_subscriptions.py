"""Subscriptions over HTTP and a real catalog (contract 3.10)."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes_query import MERCHANT, OTHER_MERCHANT, customer_body, metric_body
from tests.shop import METERED, Json, Shop, fields_of

pytestmark = pytest.mark.anyio

PATH = "/v0/subscriptions"

# What paygentic-sdk 0.6.3 sends whether it was said or not.
DEFAULTS: Json = {"autoCharge": False, "taxExempt": False, "elapsedPeriodBilling": "none"}


async def featured(shop: Shop, key: str, **template: object) -> tuple[str, str]:
    """A metered feature, and a price of a metric that brings it."""
    feature = await shop.feature(key=key, type="metered")
    price = await shop.price(feature={"featureId": feature, "entitlementTemplate": METERED | template})
    return feature, price["id"]


async def held(shop: Shop, subscription: Json, **params: str) -> list[Json]:
    listed = await shop.get("/v1/entitlements", subscriptionId=subscription["id"], limit="100", **params)
    data: list[Json] = listed["data"]
    return data


async def test_a_subscription_has_every_field(shop: Shop) -> None:
    plan = await shop.plan(billingCadence="P3M")
    made = await shop.subscription(
        planId=plan["id"],
        **DEFAULTS,
        endingAt="2027-05-01T00:00:00Z",
        metadata={"a": 1.50, "b": True, "c": "x", "d": 7},
        renewalReminderEnabled=False,
        renewalReminderDays=None,
        paymentTermDays=30,
        changeReason="migration",
        redirectUrls={"onSuccess": "https://example.com"},
        sessionExpiryMinutes=5,
    )
    assert made == DEFAULTS | {
        "id": made["id"],
        "object": "subscription",
        "merchantId": MERCHANT,
        "customerId": made["customerId"],
        "name": "Pro",
        "planId": plan["id"],
        "planVersionId": plan["defaultVersionId"],
        "versionNumber": 1,
        "versionPolicy": "floating",
        "status": "active",
        "startedAt": "2026-05-01T00:00:00Z",
        "endingAt": "2027-05-01T00:00:00Z",
        "billingStartsAt": "2026-05-01T00:00:00Z",
        "billingAnchor": "2026-05-01T00:00:00Z",
        "billingCadence": "P3M",
        "paymentTermDays": 30,
        "renewalReminderEnabled": False,
        "renewalReminderDays": None,
        "terminationChangeReason": None,
        "metadata": {"a": made["metadata"]["a"], "b": True, "c": "x", "d": 7},
        "createdAt": made["createdAt"],
        "updatedAt": made["createdAt"],
    }
    assert made["id"].startswith("sub_")
    assert made["metadata"]["b"] is True
    assert await shop.get(f"{PATH}/{made['id']}") == made


async def test_a_subscription_entitles_to_every_feature_of_its_plan(shop: Shop) -> None:
    tokens, priced = await featured(shop, "tokens", isSoftLimit=True)
    seats = await shop.feature(key="seats", type="static")
    fee = (await shop.fee())["id"]
    template = {"type": "static", "config": {"seats": 5}}
    of_fee = await shop.price(feeId=fee, feature={"featureId": seats, "entitlementTemplate": template})
    bare = await shop.feature(key="bare", type="boolean")
    of_bare = await shop.price(feeId=fee, feature={"featureId": bare})
    plain = await shop.price()
    plan = await shop.plan(prices=[priced, of_fee["id"], of_bare["id"], plain["id"]])
    made = await shop.subscription(planId=plan["id"], endingAt="2027-05-01T00:00:00Z")
    found = {one["featureKey"]: one for one in await held(shop, made, at="2026-06-15T00:00:00Z")}
    assert found.keys() == {"tokens", "seats", "bare"}
    assert {one["subscriptionId"] for one in found.values()} == {made["id"]}
    assert {one["activeFrom"] for one in found.values()} == {"2026-05-01T00:00:00Z"}
    assert {one["activeTo"] for one in found.values()} == {"2027-05-01T00:00:00Z"}
    assert {one["hasAccess"] for one in found.values()} == {True}
    assert found["seats"]["config"] == {"seats": 5}
    metered = found["tokens"]
    assert (metered["balance"], metered["isSoftLimit"]) == (100, True)
    assert metered["currentPeriodStart"] == "2026-06-01T00:00:00Z"
    grants = await shop.get(f"/v1/entitlements/{metered['entitlementId']}/grants")
    assert [(one["amount"], one["recurrencePeriod"]) for one in grants["data"]] == [(100, "P1M")]
    metric = (await shop.get(f"/v0/prices/{priced}"))["billableMetricId"]
    holding = await shop.catalog.entitlements.get(MERCHANT, metered["entitlementId"])
    assert (holding.billable_metric_id, holding.entitlement.feature_id) == (metric, tokens)


async def test_a_metered_feature_without_a_template_waits_for_grants(shop: Shop) -> None:
    feature = await shop.feature(key="bare", type="metered")
    price = await shop.price(feature={"featureId": feature})
    made = await shop.subscription(planId=(await shop.plan(prices=[price["id"]]))["id"])
    [one] = await held(shop, made)
    assert (one["balance"], one["hasAccess"], one["isSoftLimit"]) == (0, False, False)
    granted = {"amount": 5, "idempotencyKey": "k"}
    await shop.made(f"/v1/entitlements/{one['entitlementId']}/grants", granted)
    [one] = await held(shop, made)
    assert (one["balance"], one["hasAccess"]) == (5, True)


async def test_what_cannot_be_provisioned_makes_no_subscription(shop: Shop) -> None:
    feature = await shop.feature(key="counted", type="metered")
    price = await shop.price(feeId=(await shop.fee())["id"], feature={"featureId": feature})
    plan = await shop.plan(prices=[price["id"]])
    new = customer_body()["consumer"]
    assert isinstance(new, dict)
    somebody = new | {"address": {"country": "DE", "zipCode": "10115"}}
    body = await shop.subscription_body(planId=plan["id"], customer=somebody)
    response = await shop.posted(PATH, body)
    assert fields_of(response) == ["planId"]
    assert "no one billable metric" in response.json()["message"]
    assert (await shop.get(PATH))["pagination"]["total"] == 0
    assert (await shop.get("/v0/customers", merchantId=MERCHANT))["pagination"]["total"] == 0


async def test_nothing_is_measured_by_a_metric_of_another_merchant(shop: Shop) -> None:
    feature, price = await featured(shop, "tokens")
    theirs = metric_body(merchantId=OTHER_MERCHANT, productId="prod_b")
    metric = (await shop.stranger.post("/v0/billableMetrics", json=theirs)).json()["id"]
    named = {"metadata": {"billableMetricId": metric}}  # which no request could say
    await shop.catalog.features.update(MERCHANT, feature, named)
    plan = await shop.plan(prices=[price])
    response = await shop.posted(PATH, await shop.subscription_body(planId=plan["id"]))
    assert fields_of(response) == ["planId"]
    assert metric in response.json()["message"]


async def test_a_template_of_another_type_than_the_feature_makes_no_subscription(shop: Shop) -> None:
    feature, price = await featured(shop, "tokens")
    await shop.changed(f"/v0/features/{feature}", type="boolean")
    plan = await shop.plan(prices=[price])
    response = await shop.posted(PATH, await shop.subscription_body(planId=plan["id"]))
    assert fields_of(response) == ["planId"]


async def test_the_very_same_request_is_the_same_subscription(shop: Shop) -> None:
    _, price = await featured(shop, "tokens")
    body = await shop.subscription_body(planId=(await shop.plan(prices=[price]))["id"], metadata={"a": 1})
    answers = await asyncio.gather(*[shop.posted(PATH, body) for _ in range(4)])
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 201]
    [id] = {one.json()["id"] for one in answers}
    assert len(await held(shop, {"id": id})) == 1
    assert (await shop.posted(PATH, body | {"metadata": {"a": 1.0}})).status_code == 200
    for other in ({"metadata": {"a": 2}}, {"autoCharge": True}, {"endingAt": "2099-01-01T00:00:00Z"}):
        response = await shop.posted(PATH, body | other)
        assert response.status_code == 409, response.text
        assert next(iter(other)) in response.json()["message"]
    for beside in ({"name": "other"}, {"startedAt": "2026-05-01T00:00:00.000001Z"}):
        assert (await shop.posted(PATH, body | beside)).status_code == 201


async def test_what_is_over_can_be_subscribed_to_again(shop: Shop) -> None:
    body = await shop.subscription_body()
    made = await shop.made(PATH, body)
    await shop.posted(f"{PATH}/{made['id']}/termination", {"reason": "r"})
    again = await shop.made(PATH, body)
    assert again["id"] != made["id"]


async def test_a_consumer_becomes_a_customer_or_is_one(shop: Shop) -> None:
    plan = (await shop.plan())["id"]
    address = {"country": "DE", "zipCode": "10115", "city": "Berlin"}
    somebody = {"name": "New", "email": "NEW@example.com", "address": address, "taxRates": {"default": 19}}
    bodies = [
        await shop.subscription_body(planId=plan, name=f"s{number}", customer=somebody) for number in range(3)
    ]
    answers = await asyncio.gather(*[shop.posted(PATH, body) for body in bodies])
    assert [one.status_code for one in answers] == [201] * 3
    [customer] = {one.json()["customerId"] for one in answers}
    shown = await shop.get(f"/v0/customers/{customer}")
    assert shown["organization"]["address"] == address
    assert shown["taxRates"] == {"default": 19}
    other = somebody | {"name": "Newer", "email": "new@example.com"}
    known = await shop.subscription(planId=plan, name="s9", customer=other)
    assert known["customerId"] == customer
    assert await shop.get(f"/v0/customers/{customer}") == shown


async def test_a_wrong_field_is_named(shop: Shop) -> None:
    good = await shop.subscription_body()
    somebody = {"name": "n", "email": "e@example.com", "address": {"country": "DE", "zipCode": "1"}}
    wrong: tuple[tuple[Json, str], ...] = (
        ({"name": ""}, "name"),
        ({"planId": "x"}, "planId"),
        ({"startedAt": 5}, "startedAt"),
        ({"customerId": "x"}, "customerId"),
        ({"customer": somebody}, "customerId"),
        ({"customerId": None}, "customerId"),
        (
            {"customerId": None, "customer": somebody | {"address": {"zipCode": "1"}}},
            "customer.address.country",
        ),
        ({"customerId": None, "customer": somebody | {"email": "x"}}, "customer.email"),
        ({"endingAt": "2026-05-01T00:00:00Z"}, "endingAt"),
        ({"testClockId": "tc_1"}, "testClockId"),
        ({"elapsedPeriodBilling": "some"}, "elapsedPeriodBilling"),
        ({"versionPolicy": "free"}, "versionPolicy"),
        ({"autoCharge": "yes"}, "autoCharge"),
        ({"paymentTermDays": 366}, "paymentTermDays"),
        ({"paymentTermDays": -1}, "paymentTermDays"),
        ({"renewalReminderDays": 1.5}, "renewalReminderDays"),
        ({"metadata": {"a": [1]}}, "metadata.a"),
        ({"metadata": {"a": None}}, "metadata.a"),
        ({"sessionExpiryMinutes": 0}, "sessionExpiryMinutes"),
        ({"changeReason": "mood"}, "changeReason"),
    )
    for fields, name in wrong:
        found = fields_of(await shop.posted(PATH, good | fields))
        assert {one[: len(name)] for one in found} == {name}, (fields, found)
    assert (await shop.get(PATH))["pagination"]["total"] == 0


async def test_elapsed_periods_are_billed_where_that_is_said(shop: Shop) -> None:
    clock = await shop.test_clock("2026-05-10T00:00:00Z")
    plan = (await shop.plan(billingAnchor="2026-01-15T00:00:00Z"))["id"]

    async def starts(at: str, **fields: object) -> str:
        made = await shop.subscription(planId=plan, testClockId=clock, startedAt=at, **fields)
        assert made["billingAnchor"] == "2026-01-15T00:00:00Z"
        return str(made["billingStartsAt"])

    now = "2026-05-10T00:00:00Z"
    assert await starts("2026-05-09T00:00:00Z") == "2026-05-09T00:00:00Z"  # a day is not back yet
    assert await starts("2026-05-08T23:59:59Z") == now
    assert await starts("2026-07-01T00:00:00Z") == "2026-07-01T00:00:00Z"
    assert await starts("2025-05-10T00:00:00Z", elapsedPeriodBilling="per_period") == "2025-05-10T00:00:00Z"
    body = await shop.subscription_body(
        planId=plan, testClockId=clock, startedAt="2025-05-09T23:59:59Z", elapsedPeriodBilling="per_period"
    )
    assert fields_of(await shop.posted(PATH, body)) == ["startedAt"]


async def test_too_many_usage_periods_before_now_are_refused(shop: Shop) -> None:
    _, price = await featured(shop, "tokens", usagePeriod={"interval": "P1D"})
    plan = await shop.plan(prices=[price])
    body = await shop.subscription_body(planId=plan["id"], startedAt="1980-01-01T00:00:00Z")
    assert fields_of(await shop.posted(PATH, body)) == ["startedAt"]


async def test_subscriptions_are_listed_by_whose_they_are_and_how_they_stand(shop: Shop) -> None:
    clock = await shop.test_clock("2026-05-10T00:00:00Z")
    plan = (await shop.plan())["id"]
    other = await shop.customer(consumer={"name": "B", "email": "b@example.com", "address": {}})
    first = await shop.subscription(planId=plan, name="first")
    second = await shop.subscription(planId=plan, name="second", startedAt="2026-05-02T00:00:00Z")
    ending = {"testClockId": clock, "endingAt": "2026-06-01T00:00:00Z"}
    third = await shop.subscription(planId=plan, name="third", customerId=other, **ending)
    await shop.posted(f"{PATH}/{second['id']}/termination", {"reason": "r"})

    async def names(*pairs: tuple[str, str]) -> list[str]:
        response = await shop.client.get(PATH, params=[*pairs])
        assert response.status_code == 200, response.text
        return [one["name"] for one in response.json()["data"]]

    assert await names() == ["first", "second", "third"]
    assert await names(("merchantId", MERCHANT), ("status", "active")) == ["first", "third"]
    assert await names(("status", "terminated")) == ["second"]
    assert await names(("status", "pending_payment")) == []
    everyone = ["first", "second", "third"]
    assert await names(("status", "active"), ("status", "terminated")) == everyone
    assert await names(("customerId", other)) == ["third"]
    assert await names(("startedBefore", "2026-05-01T00:00:00Z")) == ["first", "third"]
    assert await names(("startedBefore", "2026-04-30T23:59:59Z")) == []
    consumer = (await shop.get(f"/v0/customers/{other}"))["consumerId"]
    assert await names(("consumerId", consumer), ("merchantId", MERCHANT)) == ["third"]
    assert await names(("limit", "1"), ("offset", "1")) == ["second"]
    await shop.changed(f"/v0/testClocks/{clock}", currentTime="2026-06-01T00:00:00Z")
    assert await names(("status", "terminated")) == ["second", "third"]
    over = await shop.get(f"{PATH}/{third['id']}")
    assert (over["status"], over["terminatedAt"]) == ("terminated", "2026-06-01T00:00:00Z")
    with_customer = await shop.get(PATH, include="customer", customerId=other)
    assert [one["customer"] for one in with_customer["data"]] == [
        {
            "id": other,
            "merchantId": MERCHANT,
            "consumer": {"id": consumer, "name": "B", "email": "b@example.com"},
        }
    ]
    assert "customer" not in first
    assert with_customer["pagination"] == {"limit": 10, "offset": 0, "total": 1}


async def test_a_list_that_cannot_be_is_refused(shop: Shop) -> None:
    customer = await shop.customer()
    for asked, field in (
        ({"status": "ended"}, "status"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"include": "plan"}, "include"),
        ({"startedBefore": "soon"}, "startedBefore"),
        ({"customerId": customer, "merchantId": MERCHANT}, "customerId"),
        ({"customerId": customer, "consumerId": "org_1"}, "customerId"),
    ):
        [found] = fields_of(await shop.client.get(PATH, params=asked))
        assert found.split(".")[0] == field
    for nobody in ({"customerId": "cus_1"}, {"consumerId": "org_1"}):
        assert (await shop.client.get(PATH, params=nobody)).status_code == 404
    assert (await shop.client.get(PATH, params={"merchantId": OTHER_MERCHANT})).status_code == 403


async def test_an_entitlement_may_be_of_a_subscription(shop: Shop) -> None:
    feature, _ = await featured(shop, "tokens")
    clock = await shop.test_clock("2026-05-10T00:00:00Z")
    plan = (await shop.plan(prices=[]))["id"]
    made = await shop.subscription(planId=plan, testClockId=clock, endingAt="2027-01-01T00:00:00Z")
    other = await shop.customer(consumer={"name": "B", "email": "b@example.com", "address": {}})
    body: Json = {"customerId": made["customerId"], "featureId": feature, "template": METERED}
    body["subscriptionId"] = made["id"]
    issued = await shop.made("/v1/entitlements", body)
    assert (issued["activeFrom"], issued["activeTo"]) == ("2026-05-10T00:00:00Z", "2027-01-01T00:00:00Z")
    assert issued["subscriptionId"] == made["id"]
    assert (await shop.posted("/v1/entitlements", body)).status_code == 409
    assert fields_of(await shop.posted("/v1/entitlements", body | {"customerId": other})) == [
        "subscriptionId"
    ]
    outlasting = body | {"activeFrom": "2026-06-01T00:00:00Z", "activeTo": "2027-01-01T00:00:00.000001Z"}
    assert fields_of(await shop.posted("/v1/entitlements", outlasting)) == ["activeTo"]
    missing = body | {"subscriptionId": "sub_1"}
    assert (await shop.posted("/v1/entitlements", missing)).status_code == 404
    await shop.posted(f"{PATH}/{made['id']}/termination", {"reason": "r"})
    assert (await shop.posted("/v1/entitlements", body)).status_code == 409


async def test_a_plan_says_what_measures_a_feature_of_a_subscription(shop: Shop) -> None:
    feature, price = await featured(shop, "tokens")
    await shop.price(feature={"featureId": feature})  # beside the plan, with another billable metric
    plan = (await shop.plan(prices=[price]))["id"]
    made = await shop.subscription(planId=plan, startedAt="2099-01-01T00:00:00Z")
    [one] = await held(shop, made)
    body: Json = {"customerId": made["customerId"], "featureId": feature, "template": METERED}
    assert fields_of(await shop.posted("/v1/entitlements", body)) == ["metadata.billableMetricId"]
    before = body | {"subscriptionId": made["id"], "activeTo": "2099-01-01T00:00:00Z"}
    issued = await shop.made("/v1/entitlements", before)
    metrics = {
        (await shop.catalog.entitlements.get(MERCHANT, id)).billable_metric_id
        for id in (issued["id"], one["entitlementId"])
    }
    assert metrics == {(await shop.get(f"/v0/prices/{price}"))["billableMetricId"]}


async def test_nobody_else_can_use_or_see_what_is_the_merchant_s(shop: Shop) -> None:
    made = await shop.subscription(testClockId=await shop.test_clock("2026-05-10T00:00:00Z"))
    path = f"{PATH}/{made['id']}"
    for asked in (
        shop.stranger.get(path),
        shop.stranger.patch(path, json={"autoCharge": True}),
        shop.stranger.post(f"{path}/termination", json={"reason": "r"}),
        shop.stranger.post(f"{path}/terminate", json={"reason": "r"}),
        shop.stranger.get(PATH, params={"customerId": made["customerId"]}),
    ):
        assert (await asked).status_code == 404
    assert (await shop.stranger.get(PATH)).json()["data"] == []
    theirs = {"name": "B", "email": "b@example.com", "address": {}}
    response = await shop.stranger.post(
        "/v0/customers", json={"merchantId": OTHER_MERCHANT, "consumer": theirs}
    )
    their_customer = response.json()["customerId"]
    their_plan = (
        await shop.stranger.post(
            "/v0/plans",
            json={"merchantId": OTHER_MERCHANT, "productId": "prod_b", "name": "p", "currency": "USD"},
        )
    ).json()["id"]
    good: Json = {"name": "n", "startedAt": "2026-05-01T00:00:00Z"}
    good |= {"planId": their_plan, "customerId": their_customer}
    for wrong in (
        {"planId": made["planId"]},
        {"customerId": made["customerId"]},
        {"testClockId": made["testClockId"]},
    ):
        assert (await shop.stranger.post(PATH, json=good | wrong)).status_code == 404
    assert (await shop.stranger.post(PATH, json=good)).status_code == 201
    assert await shop.get(path) == made
