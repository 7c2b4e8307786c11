"""Parameters that nobody knows: refused where the question is ours, ignored where it is the contract's."""

from __future__ import annotations

import pytest

from tests.fakes_query import QueryService, event

pytestmark = pytest.mark.anyio

_MAY: dict[str, str] = {"from": "2026-05-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"}


@pytest.fixture
async def service() -> QueryService:
    service = QueryService()
    service.add(event("a", b'{"n":1,"model":"gpt-4"}'))
    await service.metric(groupBy={"model": "$.model"})
    return service


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/api/v1/billable-metrics/{id}/usage", _MAY),
        ("/api/v1/billable-metrics/{id}/subjects", _MAY),
        ("/api/v1/billable-metrics/{id}/dimensions", _MAY),
        ("/api/v1/billable-metrics/{id}/dimensions/model/values", _MAY),
        ("/api/v1/events", _MAY),
        ("/api/v1/events/stats", _MAY),
        ("/api/v1/events/a", {}),
    ],
)
async def test_a_misspelt_parameter_is_refused_where_it_would_answer_for_everything(
    service: QueryService, path: str, parameters: dict[str, str]
) -> None:
    url = path.format(id=next(iter(service.metrics.rows)))
    response = await service.client.get(url, params=parameters | {"subjct": "cus_1"})
    assert response.status_code == 400
    [error] = response.json()["errors"]
    assert (error["field"], error["message"]) == ("subjct", "is not known here; look at how it is written")


async def test_the_contracts_questions_ignore_what_they_do_not_know(service: QueryService) -> None:
    url = f"/v0/billableMetrics/{next(iter(service.metrics.rows))}/meter"
    response = await service.client.get(url, params=_MAY | {"subjct": "cus_1"})
    assert (response.status_code, response.json()["totalValue"]) == (200, 1)
