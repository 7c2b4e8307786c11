"""Read your writes: `after` and `Meterhouse-After` (contract 10.1, decision 15)."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from tests.fakes_query import QueryService, event

pytestmark = pytest.mark.anyio

PERIOD = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-02T00:00:00Z"}


def _questions(id: str) -> dict[str, dict[str, str]]:
    """One that is about a metric's period, and one that is about an event: path → parameters."""
    return {f"/v0/billableMetrics/{id}/meter": PERIOD, "/api/v1/events/e": {}}


async def _meter(service: QueryService, id: str, **params: str) -> httpx.Response:
    return await service.client.get(f"/v0/billableMetrics/{id}/meter", params=PERIOD | params)


async def test_an_answer_waits_for_its_position() -> None:
    service = QueryService()
    id = await service.metric()
    service.watermark.step = 1
    assert (await _meter(service, id, after="0:5")).status_code == 200
    assert service.watermark.asked > 5


async def test_a_position_that_never_comes_is_a_504_on_every_route_that_waits() -> None:
    service = QueryService(after_timeout=timedelta(milliseconds=20))
    id = await service.metric()
    service.add(event("e"))
    questions = _questions(id) | {f"/v0/billableMetrics/{id}/events": PERIOD}
    for path, asked in questions.items():
        by_parameter = await service.client.get(path, params=asked | {"after": "0:9"})
        by_header = await service.client.get(path, params=asked, headers={"meterhouse-after": "0:9"})
        for response in (by_parameter, by_header):
            assert (response.status_code, response.json()["error"]) == (504, "not_yet_counted")
            assert "retry-after" in response.headers
        assert (await service.client.get(path, params=asked | {"after": "0:1"})).status_code == 200


@pytest.mark.parametrize("after", ["7:1", "0:1,7:1", "x", "0:-1", "0", ""])
async def test_a_position_that_cannot_be_is_a_400(after: str) -> None:
    service = QueryService()
    id = await service.metric()
    service.watermark.step = 1
    for path, asked in _questions(id).items():
        response = await service.client.get(path, params=asked | {"after": after})
        assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "after")
        response = await service.client.get(path, params=asked, headers={"meterhouse-after": after})
        assert response.status_code == 400


async def test_an_answer_waits_for_the_definition_that_stands() -> None:
    service = QueryService(after_timeout=timedelta(milliseconds=20))
    id = await service.metric()
    service.add(event("e"))
    service.metrics.building = True
    await service.client.patch(f"/v0/billableMetrics/{id}", json={"valueProperty": "$.m"})
    for path, asked in _questions(id).items():
        assert (await service.client.get(path, params=asked)).status_code == 200
        assert (await service.client.get(path, params=asked | {"after": "0:1"})).status_code == 504
    service.metrics.activate(id)
    for path, asked in _questions(id).items():
        assert (await service.client.get(path, params=asked | {"after": "0:1"})).status_code == 200


async def test_a_look_up_does_not_wait_for_metrics_of_other_types() -> None:
    service = QueryService(after_timeout=timedelta(milliseconds=20))
    service.add(event("e"))
    service.metrics.building = True
    await service.metric(eventType="another")
    assert (await service.client.get("/api/v1/events/e", params={"after": "0:1"})).status_code == 200


async def test_an_answer_says_how_far_the_log_is_counted() -> None:
    service = QueryService()
    id = await service.metric()
    service.watermark.at = {1: 4, 0: 7}
    assert (await _meter(service, id)).headers["meterhouse-counted"] == "0:7,1:4"


async def test_a_first_backfill_is_told_in_a_header() -> None:
    service = QueryService()
    service.metrics.building = True
    id = await service.metric()
    for path in ("meter", "events"):
        response = await service.client.get(f"/v0/billableMetrics/{id}/{path}", params=PERIOD)
        assert (response.status_code, response.headers["meterhouse-version-state"]) == (200, "building")
        service.metrics.activate(id)
        response = await service.client.get(f"/v0/billableMetrics/{id}/{path}", params=PERIOD)
        assert "meterhouse-version-state" not in response.headers
        service.metrics.active.clear()
