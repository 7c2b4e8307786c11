"""Subscriptions over a running server: months that pass by a test clock, and what a crash leaves of them."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any, Final

from tests.api import Api, Json, cloud_event
from tests.running import Server

_numbers: Final = count(1)
_START: Final = "2024-01-31T00:00:00Z"  # of a leap year, on a day that most months do not have
_TEMPLATE: Final[Json] = {
    "type": "metered",
    "issueAfterReset": 100,
    "resetMaxRollover": 30,
    "usagePeriod": {"interval": "P1M"},
}


def made(api: Api, path: str, body: Json) -> Json:
    answer = api.client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    created: Json = answer.json()
    return created


def subscribed(api: Api, kind: str, clock: str | None, **fields: object) -> Json:
    """A new customer's subscription of a new plan with a monthly allowance of events of that type."""
    number = next(_numbers)
    own = {"merchantId": "org_dev", "productId": "prod_dev"}
    metric = api.create_metric(kind, "SUM", valueProperty="$.n")["id"]
    feature = made(api, "/v0/features", own | {"key": f"sold-{number}", "name": "f", "type": "metered"})["id"]
    price: Json = {"invoiceDisplayName": "p", "paymentTerm": "in_arrears", "billableMetricId": metric}
    price |= {"properties": {"unitPrice": "1"}}
    price |= {"feature": {"featureId": feature, "entitlementTemplate": _TEMPLATE}}
    plan = own | {"name": "Pro", "currency": "USD", "prices": [made(api, "/v0/prices", price)["id"]]}
    customer = {"name": "s", "email": f"subscriber-{number}@example.com"}
    wanted: Json = {"name": "s", "startedAt": _START, "planId": made(api, "/v0/plans", plan)["id"]}
    wanted |= {"customer": customer | {"address": {"country": "DE", "zipCode": "10115"}}}
    return made(api, "/v0/subscriptions", wanted | ({} if clock is None else {"testClockId": clock}) | fields)


def entitled(api: Api, subscription: Json, **params: str) -> Json:
    [one] = api.get("/v1/entitlements", subscriptionId=subscription["id"], **params)["data"]
    found: Json = api.get(f"/v1/entitlements/{one['entitlementId']}", **params)
    without_id = {name: value for name, value in one.items() if name != "entitlementId"}
    assert without_id.items() <= found.items(), "a list says the same as one entitlement"
    return found


def figures(shown: Json) -> tuple[Any, ...]:
    return shown["balance"], shown["usageInPeriod"], shown["overage"], shown["hasAccess"]


def advance(api: Api, clock: str, **by: str) -> str:
    answer = api.client.patch(f"/v0/testClocks/{clock}", json=by)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["currentTime"])


def test_months_pass_by_the_clock_over_month_ends_and_a_leap_day(api: Api) -> None:
    clock = made(api, "/v0/testClocks", {"currentTime": _START})["id"]
    subscription = subscribed(api, "months", clock)
    whom = subscription["customerId"]

    def use(id: str, n: int, at: str) -> None:
        api.ingest(cloud_event("months", id, {"n": n}, subject=whom, time=at))

    use("m1", 50, "2024-02-10T00:00:00Z")
    shown = entitled(api, subscription)
    assert figures(shown) == (100, 0, 0, True)  # by the clock it is January still
    assert shown["currentPeriodEnd"] == "2024-02-29T00:00:00Z"
    assert advance(api, clock, advanceBy="P10DT1S") == "2024-02-10T00:00:01Z"
    assert figures(entitled(api, subscription)) == (50, 50, 0, True)
    assert advance(api, clock, currentTime="2024-02-29T00:00:00Z") == "2024-02-29T00:00:00Z"
    assert figures(entitled(api, subscription)) == (130, 0, 0, True)  # 30 of 50 rolled over
    use("m2", 200, "2024-03-05T00:00:00Z")
    advance(api, clock, currentTime="2024-03-30T23:59:59.999999Z")
    assert figures(entitled(api, subscription)) == (0, 200, 70, False)
    use("m3", 30, "2024-02-20T00:00:00Z")  # late: 20 rolled over, not 30
    assert figures(entitled(api, subscription)) == (0, 200, 80, False)
    assert figures(entitled(api, subscription, at="2024-02-29T00:00:00Z")) == (120, 0, 0, True)
    advance(api, clock, currentTime="2024-03-31T00:00:00Z")
    shown = entitled(api, subscription)
    assert figures(shown) == (100, 0, 0, True)
    assert (shown["currentPeriodStart"], shown["currentPeriodEnd"]) == (
        "2024-03-31T00:00:00Z",
        "2024-04-30T00:00:00Z",
    )
    advance(api, clock, advanceBy="P1Y")
    shown = entitled(api, subscription)
    assert figures(shown) == (130, 0, 0, True)
    assert shown["currentPeriodStart"] == "2025-03-31T00:00:00Z"


def test_what_is_done_is_done_by_the_clock(api: Api) -> None:
    clock = made(api, "/v0/testClocks", {"currentTime": _START})["id"]
    subscription = subscribed(api, "done", clock)
    path = f"/v1/entitlements/{entitled(api, subscription)['id']}"
    now = advance(api, clock, advanceBy="P1D")
    granted = made(api, f"{path}/grants", {"amount": 5, "idempotencyKey": "k"})
    assert granted["effectiveAt"] == now
    assert figures(api.get(path))[0] == 105
    now = advance(api, clock, advanceBy="P1D")
    assert api.client.delete(f"{path}/grants/{granted['id']}").json()["voidedAt"] == now
    bought = made(api, f"{path}/grants/purchase", {"amount": 7, "price": "5.00", "idempotencyKey": "p"})
    now = advance(api, clock, advanceBy="P1D")
    paid = api.client.post(f"/api/v1/grant-purchases/{bought['invoiceId']}/payment", json={})
    assert paid.json()["effectiveAt"] == now
    assert figures(api.get(path))[0] == 107
    period = {"startTime": _START, "endTime": "2024-02-29T00:00:00Z", "subscriptionIds": subscription["id"]}
    assert api.get("/v0/revenue", **period)["invoices"]["paid"]["count"] == 1
    now = advance(api, clock, advanceBy="P1D")
    ended = api.client.post(f"/v0/subscriptions/{subscription['id']}/termination", json={"reason": "r"})
    assert ended.json()["terminatedAt"] == now
    advance(api, clock, advanceBy="P1Y")
    shown = api.get(path)
    assert (shown["status"], shown["hasAccess"], shown["balance"]) == ("canceled", False, 107)
    refused = api.client.post(f"{path}/grants", json={"amount": 1, "idempotencyKey": "late"})
    assert refused.status_code == 409
    assert api.client.delete(f"/v0/testClocks/{clock}").status_code == 200


def test_each_of_a_list_has_the_time_of_its_own_clock(api: Api) -> None:
    clocks = [made(api, "/v0/testClocks", {"currentTime": _START})["id"] for _ in range(2)]
    first = subscribed(api, "own", clocks[0])
    same: Json = {name: first[name] for name in ("customerId", "planId", "startedAt")}
    made(api, "/v0/subscriptions", same | {"name": "s2", "testClockId": clocks[1]})
    ending = {"testClockId": clocks[1], "endingAt": "2024-03-01T00:00:00Z"}
    made(api, "/v0/subscriptions", same | {"name": "s3"} | ending)
    made(api, "/v0/subscriptions", same | {"name": "s4"})
    advance(api, clocks[1], currentTime="2024-04-01T00:00:00Z")
    listed = api.get("/v1/entitlements", customerId=first["customerId"])["data"]
    assert [(one["status"], one["currentPeriodStart"][:7]) for one in listed[:2]] == [
        ("active", "2024-01"),
        ("active", "2024-03"),
    ]
    assert listed[2]["currentPeriodStart"] > "2026-10"  # no clock but the real one
    assert (listed[3]["status"], listed[3]["hasAccess"]) == ("expired", False)
    then = api.get("/v1/entitlements", customerId=first["customerId"], at="2024-02-10T00:00:00Z")["data"]
    assert {(one["status"], one["currentPeriodStart"]) for one in then} == {("active", _START)}


def test_a_crash_leaves_a_whole_subscription(tmp_path: Path) -> None:
    with Server(tmp_path) as server, Api.of(server) as api:
        clock = made(api, "/v0/testClocks", {"currentTime": _START})["id"]
        subscription = subscribed(api, "crash", clock)
        advance(api, clock, advanceBy="P1M")
        before = entitled(api, subscription)
        server.kill()
    with Server(tmp_path) as server, Api.of(server) as api:
        assert api.get(f"/v0/subscriptions/{subscription['id']}") == subscription
        assert entitled(api, subscription) == before
        assert api.get(f"/v0/testClocks/{clock}")["currentTime"] == "2024-02-29T00:00:00Z"
