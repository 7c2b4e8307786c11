"""Customers over a running server, from the first request to the last."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.api import Api, Json, cloud_event
from tests.running import Server


def body(name: str, **fields: object) -> Json:
    consumer = {"name": name, "email": f"{name}@example.com", "address": {"postalCode": "N1 1AA"}}
    return {"merchantId": "org_dev", "consumer": consumer} | fields


def test_a_customer_lives_until_it_is_deleted(api: Api) -> None:
    created = api.client.post(
        "/v0/customers", json=body("first", externalId="first-1", taxRates={"default": 0.1})
    )
    assert created.status_code == 201, created.text
    path = f"/v0/customers/{created.json()['customerId']}"
    shown = api.get(path)
    assert shown["organization"]["address"] == {"zipCode": "N1 1AA"}
    assert str(shown["taxRates"]["default"]) == "0.1"
    assert shown["validTaxAddress"] == {"valid": False, "message": "the address lacks line1, city, country"}
    again = api.client.post("/v0/customers", json=body("FIRST"))
    assert (again.status_code, again.json()) == (200, created.json())
    found = api.get("/v0/customers", organizationId="org_dev", externalId="first-1")
    assert (found["data"], found["pagination"]["total"]) == ([shown], 1)
    changed = api.client.patch(path, json={"externalId": "first-2", "taxRates": 20})
    assert changed.json() == shown | {
        "externalId": "first-2",
        "taxRates": {"default": 20},
        "updatedAt": changed.json()["updatedAt"],
    }
    assert api.client.delete(path).status_code == 204
    assert api.client.get(path).status_code == 404
    assert api.get("/v0/customers", organizationId="org_dev", name="first")["data"] == []
    assert api.client.post("/v0/customers", json=body("second", externalId="first-2")).status_code == 201


def test_events_of_an_external_id_are_the_customers_that_comes_later(api: Api) -> None:
    metric = api.create_metric("linked.late", "UNIQUE_COUNT", valueProperty="$.user")
    event = cloud_event("linked.late", "linked-1", {"user": "a"}, externalsubject="late-corp")
    del event["subject"]
    api.ingest(event, event | {"id": "linked-2", "data": {"user": "b"}})
    created = api.client.post("/v0/customers", json=body("late", externalId="late-corp"))
    customer = created.json()["customerId"]
    api.ingest(cloud_event("linked.late", "linked-3", {"user": "b"}, subject=customer))
    assert api.total(metric["id"], subject=customer) == 2
    groups = api.meter(metric["id"], groupBy="subject")["groupedValues"]
    assert [(one["groupBy"]["subject"], one["value"]) for one in groups] == [(customer, 2)]
    usage = {one["billableMetricId"]: one["value"] for one in api.record("linked-1")["usage"]}
    assert usage == {metric["id"]: "2"}


def test_requests_at_once_make_one_customer(server: Server) -> None:
    wanted = body("at.once", externalId="at-once")

    def post(_: int) -> httpx.Response:
        with Api.of(server) as api:
            return api.client.post("/v0/customers", json=wanted)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(post, range(16)))
    assert sorted(answer.status_code for answer in answers) == [*[200] * 15, 201]
    assert len({answer.json()["customerId"] for answer in answers}) == 1
