"""The versions of a billable metric over HTTP (docs/queries.md)."""

from __future__ import annotations

import pytest

from tests.fakes_query import QueryService

pytestmark = pytest.mark.anyio


async def test_versions_come_newest_first(service: QueryService) -> None:
    id = await service.metric(groupBy={"model": "$.model"})
    service.metrics.building = True
    await service.client.patch(f"/v0/billableMetrics/{id}", json={"eventType": "u"})
    response = await service.client.get(f"/api/v1/billable-metrics/{id}/versions")
    assert response.status_code == 200, response.text
    newest, active = response.json()["data"]
    assert newest == {
        "object": "billableMetricVersion",
        "version": 2,
        "state": "building",
        "eventType": "u",
        "valueProperty": "$.n",
        "groupBy": {"model": "$.model"},
        "eventFrom": None,
        "recordsCounted": 0,
        "recordsTotal": 0,
    }
    assert (active["version"], active["state"], active["eventType"]) == (1, "active", "t")


async def test_a_building_version_can_be_cancelled(service: QueryService) -> None:
    id = await service.metric()
    service.metrics.building = True
    await service.client.patch(f"/v0/billableMetrics/{id}", json={"eventType": "u"})
    url = f"/api/v1/billable-metrics/{id}/versions"
    assert (await service.client_of("key_b").post(f"{url}/2/cancel")).status_code == 404
    assert (await service.client.post(f"{url}/1/cancel")).status_code == 409
    assert (await service.client.post(f"{url}/7/cancel")).status_code == 404
    assert (await service.client.post(f"{url}/0/cancel")).status_code == 400
    assert (await service.client.post(f"{url}/2/cancel")).status_code == 200
    assert (await service.client.get(f"/v0/billableMetrics/{id}")).json()["eventType"] == "t"


@pytest.fixture
def service() -> QueryService:
    return QueryService()
