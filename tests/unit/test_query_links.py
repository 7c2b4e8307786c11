"""Usage of a customer is that of its id and of its current externalId (contract, decision 11)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes_query import OTHER_KEY, OTHER_MERCHANT, QueryService, customer_body, event

pytestmark = pytest.mark.anyio

PERIOD = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}


@pytest.fixture
async def service() -> QueryService:
    """Events of two external ids and of a subject, without any customer."""
    service = QueryService()
    service.add(
        event("a", b'{"n":1}', subject="", external_subject="acme"),
        event("b", b'{"n":2}', minute=1, subject="", external_subject="acme"),
        event("c", b'{"n":4}', minute=2, subject="", external_subject="nobody"),
        event("d", b'{"n":8}', minute=3, subject="cus_1", external_subject="acme"),
    )
    return service


async def _customer(service: QueryService, name: str, external_id: str | None) -> str:
    consumer = {"name": name, "email": f"{name}@example.com", "address": {}}
    body = customer_body(consumer=consumer, externalId=... if external_id is None else external_id)
    response = await service.client.post("/v0/customers", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["customerId"])


async def _relink(service: QueryService, customer: str, external_id: str | None) -> None:
    changed = await service.client.patch(f"/v0/customers/{customer}", json={"externalId": external_id})
    assert changed.status_code == 200, changed.text


async def _get(service: QueryService, path: str, **params: str) -> dict[str, Any]:
    response = await service.client.get(path, params=PERIOD | params)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def _total(service: QueryService, metric: str, subject: str) -> int:
    answer = await _get(service, f"/v0/billableMetrics/{metric}/meter", subject=subject)
    return int(answer["totalValue"])


async def test_events_from_before_the_customer_are_its_own(service: QueryService) -> None:
    metric = await service.metric()
    customer = await _customer(service, "acme", "acme")
    assert await _total(service, metric, customer) == 3
    assert await _total(service, metric, "cus_1") == 8
    groups = await _get(service, f"/api/v1/billable-metrics/{metric}/usage", groupBy="subject")
    assert {one["group"]["subject"]: one["value"] for one in groups["groups"]} == {
        "cus_1": "8", customer: "3", "": "4",
    }  # fmt: skip
    subjects = await _get(service, f"/api/v1/billable-metrics/{metric}/subjects")
    assert {one["value"]: one["eventCount"] for one in subjects["data"]} == {"cus_1": 1, customer: 2, "": 1}
    events = await _get(service, f"/v0/billableMetrics/{metric}/events", subject=customer)
    assert [one["id"] for one in events["events"]] == ["b", "a"]
    record = (await service.client.get("/api/v1/events/a")).json()
    assert [(one["value"], one["eventCount"]) for one in record["usage"]] == [("3", 2)]


async def test_the_current_external_id_decides(service: QueryService) -> None:
    metric = await service.metric()
    first = await _customer(service, "first", "acme")
    second = await _customer(service, "second", None)
    await _relink(service, first, None)
    assert (await _total(service, metric, first), await _total(service, metric, second)) == (0, 0)
    await _relink(service, second, "acme")
    assert (await _total(service, metric, first), await _total(service, metric, second)) == (0, 3)
    await _relink(service, first, "nobody")
    assert (await _total(service, metric, first), await _total(service, metric, second)) == (4, 3)


async def test_a_customer_of_another_merchant_links_nothing(service: QueryService) -> None:
    metric = await service.metric()
    async with service.client_of(OTHER_KEY) as stranger:
        body = customer_body(merchantId=OTHER_MERCHANT, externalId="acme")
        created = await stranger.post("/v0/customers", json=body)
        assert created.status_code == 201, created.text
    assert await _total(service, metric, created.json()["customerId"]) == 0
