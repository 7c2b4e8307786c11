"""Balances over a running server: issued, used, granted, reset, read at any instant."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import count, pairwise
from typing import Any, Final

import httpx
import pytest

from meterhouse.domain.allowance import cuts
from meterhouse.domain.balance import burn_down
from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.entitlement import Entitlement, template_grant
from meterhouse.domain.grant import Grant
from meterhouse.domain.instant import DAY, HOUR, MINUTE, Instant, parse, render
from meterhouse.domain.period_usage import running_values, usage_phases
from meterhouse.domain.rollup import Latest, RollupState
from meterhouse.domain.template_document import template_of
from tests.api import Api, Json, cloud_event
from tests.phases import phase_readings

_numbers: Final = count(1)
_MAY: Final = parse("2026-05-01T00:00:00Z")


def customer(api: Api, **fields: object) -> str:
    name = f"holder-{next(_numbers)}"
    consumer = {"name": name, "email": f"{name}@example.com", "address": {}}
    wanted = {"merchantId": "org_dev", "consumer": consumer} | fields
    return str(made(api, "/v0/customers", wanted)["customerId"])


def feature(api: Api, type: str = "metered", **metadata: str) -> str:
    number = next(_numbers)
    wanted = {"key": f"feature-{number}", "name": "f", "merchantId": "org_dev", "productId": "prod_dev"}
    return str(made(api, "/v0/features", wanted | {"type": type, "metadata": metadata})["id"])


def made(api: Api, path: str, body: Json) -> Json:
    answer = api.client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    created: Json = answer.json()
    return created


def metered(api: Api, metric: str, customer_id: str, template: Json, **fields: object) -> Json:
    wanted = {"customerId": customer_id, "featureId": feature(api, billableMetricId=metric)}
    template = {"type": "metered"} | template
    return made(api, "/v1/entitlements", wanted | {"template": template} | fields)


def figures(shown: Json) -> tuple[Any, ...]:
    return shown["balance"], shown["usageInPeriod"], shown["overage"], shown["hasAccess"]


MONTHLY: Final = {"usagePeriod": {"interval": "P1M", "anchor": render(_MAY)}, "issueAfterReset": 1000}


def test_a_balance_is_exact_right_after_an_accepted_event(api: Api) -> None:
    metric, whom = api.create_metric("used", "SUM", valueProperty="$.n")["id"], customer(api)
    issued = metered(api, metric, whom, MONTHLY, activeFrom=render(_MAY))
    assert figures(issued) == (1000, 0, 0, True)
    path = f"/v1/entitlements/{issued['id']}"
    at = {"at": "2026-05-31T00:00:00Z"}
    for number in range(5):
        api.ingest(cloud_event("used", f"u{number}", {"n": Decimal("250.25")}, subject=whom))
        used = Decimal("250.25") * (number + 1)
        expected = (max(1000 - used, 0), used, max(used - 1000, 0), used < 1000)
        assert figures(api.get(path, **at)) == expected
    assert figures(api.get(path, at="2026-05-01T12:00:00Z")) == (1000, 0, 0, True)  # not at, but before it
    june = api.get(path, at="2026-06-01T00:00:00Z")
    assert figures(june) == (1000, 0, 0, True)
    assert (june["currentPeriodStart"], june["currentPeriodEnd"]) == (
        "2026-06-01T00:00:00Z",
        "2026-07-01T00:00:00Z",
    )


def test_events_under_an_external_id_burn_the_customer_s_balance(api: Api) -> None:
    metric = api.create_metric("named", "COUNT")["id"]
    event = cloud_event("named", "n1", externalsubject="named-later")
    del event["subject"]
    api.ingest(event)
    whom = customer(api, externalId="named-later")
    issued = metered(api, metric, whom, MONTHLY, activeFrom=render(_MAY))
    listed = api.get("/v1/entitlements", externalCustomerId="named-later", at="2026-05-20T00:00:00Z")
    [shown] = listed["data"]
    assert (shown["entitlementId"], *figures(shown)) == (issued["id"], 999, 1, 0, True)


def test_grants_are_added_voided_and_bought(api: Api) -> None:
    metric, whom = api.create_metric("granted", "COUNT")["id"], customer(api)
    issued = metered(api, metric, whom, {}, activeFrom=render(_MAY))
    path = f"/v1/entitlements/{issued['id']}"
    assert figures(issued) == (0, 0, 0, False)
    given = made(api, f"{path}/grants", {"amount": 2.5, "idempotencyKey": "k", "priority": -1})
    assert made(api, f"{path}/grants", {"amount": 2.50, "idempotencyKey": "k", "priority": -1}) == given
    assert figures(api.get(path)) == (2.5, 0, 0, True)
    voided = api.client.delete(f"{path}/grants/{given['id']}").json()
    assert api.client.delete(f"{path}/grants/{given['id']}").json() == voided
    assert figures(api.get(path)) == (0, 0, 0, False)
    wanted = {"amount": 10, "price": "5.00", "idempotencyKey": "p"}
    bought = made(api, f"{path}/grants/purchase", wanted)
    assert made(api, f"{path}/grants/purchase", wanted) == bought
    assert figures(api.get(path)) == (0, 0, 0, False)
    pay = f"/api/v1/grant-purchases/{bought['invoiceId']}/payment"
    paid = [api.client.post(pay, json={}) for _ in range(2)]
    assert [one.status_code for one in paid] == [200, 200]
    assert paid[0].json() == paid[1].json()
    assert figures(api.get(path)) == (10, 0, 0, True)
    listed = api.get(f"{path}/grants", includeVoided="true")
    assert [one["id"] for one in listed["data"]] == [given["id"], paid[0].json()["id"]]
    assert api.get(f"{path}/grants")["pagination"]["total"] == 1


def test_requests_at_once_make_one_entitlement_and_one_grant(api: Api) -> None:
    metric, whom = api.create_metric("at.once", "COUNT")["id"], customer(api)
    wanted = {
        "customerId": whom,
        "featureId": feature(api, billableMetricId=metric),
        "template": {"type": "metered"},
    }

    def post(path: str, body: Json) -> httpx.Response:
        return api.client.post(path, json=body)

    with ThreadPoolExecutor(8) as threads:
        issued = list(threads.map(lambda _: post("/v1/entitlements", wanted), range(8)))
        assert sorted(one.status_code for one in issued) == [201, *[409] * 7]
        [id] = [one.json()["id"] for one in issued if one.status_code == 201]
        body = {"amount": 5, "idempotencyKey": "one"}
        given = list(threads.map(lambda _: post(f"/v1/entitlements/{id}/grants", body), range(8)))
    assert {one.status_code for one in given} == {201}
    assert len({one.json()["id"] for one in given}) == 1
    assert figures(api.get(f"/v1/entitlements/{id}"))[0] == 5


VALUES: Final = (Decimal("0.000000000000000001"), Decimal(3), Decimal("-1.5"), Decimal("250.125"))


def state(events: list[tuple[Instant, Decimal]], start: Instant, end: Instant) -> RollupState:
    found = RollupState()
    for number, (time, value) in enumerate(events):
        if start <= time < end:
            latest = Latest(time, number, 0, number, value)
            found = found.merge(RollupState(1, value, value, value, latest, frozenset({hash(value)})))
    return found


@pytest.mark.parametrize("aggregation", Aggregation)
def test_balances_equal_a_recomputation_from_every_event(api: Api, aggregation: Aggregation) -> None:
    dice = random.Random(aggregation)
    kind = f"burned.{aggregation.lower()}"
    metric = api.create_metric(kind, aggregation, valueProperty="$.n")["id"]
    whom = customer(api)
    template: Json = {
        "type": "metered",
        "usagePeriod": {"interval": "P1W", "anchor": "2026-05-03T06:30:00.000001Z"},
        "issueAfterReset": 300,
        "preserveOverageAtReset": True,
        "resetMaxRollover": 100,
    }
    issued = metered(api, metric, whom, template, activeFrom="2026-05-02T03:04:05.000006Z")
    path = f"/v1/entitlements/{issued['id']}"
    entitlement = Entitlement(
        id="ent_1",
        merchant_id="org_dev",
        customer_id=whom,
        feature_id="feat_1",
        template=template_of(template),
        active_from=parse(issued["activeFrom"]),
        created_at=0,
    )
    first = template_grant(entitlement, id="grt_0")
    assert first is not None
    grants: list[Grant] = [first]
    events: list[tuple[Instant, Decimal]] = []
    for turn in range(4):
        batch = [(_MAY + dice.randrange(30 * DAY), dice.choice(VALUES)) for _ in range(60)]
        batch += [(_MAY + dice.randrange(30 * 24) * HOUR, dice.choice(VALUES)) for _ in range(20)]
        events += batch
        api.ingest(
            *[
                cloud_event(kind, f"{kind}.{turn}.{n}", {"n": value}, subject=whom, time=render(time))
                for n, (time, value) in enumerate(batch)
            ]
        )
        effective = _MAY + dice.randrange(28 * DAY) // MINUTE * MINUTE
        body = {
            "amount": dice.randrange(1, 90),
            "priority": dice.randrange(-1, 2),
            "idempotencyKey": f"{turn}",
        }
        until = {
            "effectiveAt": render(effective),
            "expiresAt": render(effective + dice.randrange(1, 9 * DAY)),
        }
        given = made(api, f"{path}/grants", body | until)
        grants.append(
            Grant(
                id=given["id"],
                amount=Decimal(given["amount"]),
                priority=given["priority"],
                effective_at=effective,
                expires_at=parse(given["expiresAt"]),
                created_at=parse(given["createdAt"]),
            )
        )
        for at in [_MAY + dice.randrange(33 * DAY) for _ in range(8)]:
            allowance = entitlement.allowance(tuple(grants), at)
            instants, resets = cuts(allowance, at), allowance.resets_by(at)
            states = [state(events, *bounds) for bounds in pairwise(instants)]
            readings = list(phase_readings(states, instants, resets))
            running = running_values(aggregation, readings, instants, resets)
            expected = burn_down(allowance, tuple(usage_phases(running, instants, resets)), at)
            shown = api.get(path, at=render(at))
            assert (shown["balance"], shown["usageInPeriod"], shown["overage"]) == (
                expected.balance,
                expected.usage_in_period,
                expected.overage,
            ), (aggregation, render(at))
