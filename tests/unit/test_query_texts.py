"""Subjects, dimensions and their values (docs/queries.md), over usage in memory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes_query import QueryService, event

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service() -> QueryService:
    service = QueryService()
    service.add(
        event("a", b'{"n":1,"model":"gpt-4","region":"eu"}', minute=0, subject="cus_1"),
        event("b", b'{"n":2,"model":"gpt-5"}', minute=1, subject="cus_2"),
        event("c", b'{"n":3,"model":"opus","region":"us"}', minute=61, subject="cus_1"),
        event("d", b'{"n":4}', minute=62, subject=""),
        event("e", b'{"n":5}', minute=0, subject="theirs", namespace="org_b"),
    )
    await service.metric(groupBy={"model": "$.model", "region": "$.region"})
    return service


async def _list(service: QueryService, what: str, **params: str) -> dict[str, Any]:
    id = next(iter(service.metrics.rows))
    response = await service.client.get(f"/api/v1/billable-metrics/{id}/{what}", params=params)
    assert response.status_code == 200, response.text
    assert response.headers["meterhouse-counted"] == "0:5"
    answer: dict[str, Any] = response.json()
    return answer


async def test_subjects_come_by_text_with_their_events(service: QueryService) -> None:
    assert await _list(service, "subjects") == {
        "object": "list",
        "data": [
            {"value": "", "eventCount": 1},
            {"value": "cus_1", "eventCount": 2},
            {"value": "cus_2", "eventCount": 1},
        ],
        "nextCursor": None,
    }


async def test_a_period_and_a_prefix_narrow_them(service: QueryService) -> None:
    hour = {"from": "2026-05-01T13:00:00Z", "to": "2026-05-01T14:00:00Z"}
    assert [one["value"] for one in (await _list(service, "subjects", **hour))["data"]] == ["", "cus_1"]
    found = await _list(service, "dimensions/model/values", prefix="gpt")
    assert [one["value"] for one in found["data"]] == ["gpt-4", "gpt-5"]


async def test_pages_hold_everything_once(service: QueryService) -> None:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await _list(service, "dimensions/model/values", limit="1", **cursor)
        found += [one["value"] for one in page["data"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert found == ["", "gpt-4", "gpt-5", "opus"]


async def test_dimensions_say_how_many_values_they_have(service: QueryService) -> None:
    assert (await _list(service, "dimensions"))["data"] == [
        {"key": "model", "valueCount": 3, "eventCount": 3},
        {"key": "region", "valueCount": 2, "eventCount": 2},
    ]


@pytest.mark.parametrize(
    ("what", "params", "status"),
    [
        ("dimensions/colour/values", {}, 404),
        ("dimensions/subject/values", {}, 404),
        ("subjects", {"cursor": "%"}, 400),
        ("subjects", {"cursor": "_w"}, 400),
        ("subjects", {"limit": "0"}, 400),
        ("subjects", {"from": "2026-05-02T00:00:00Z", "to": "2026-05-01T00:00:00Z"}, 400),
        ("subjects", {"after": "9:1"}, 400),
    ],
)
async def test_what_cannot_be_asked(
    service: QueryService, what: str, params: dict[str, str], status: int
) -> None:
    id = next(iter(service.metrics.rows))
    response = await service.client.get(f"/api/v1/billable-metrics/{id}/{what}", params=params)
    assert response.status_code == status, response.text


async def test_another_merchants_metric_is_not_there(service: QueryService) -> None:
    id = next(iter(service.metrics.rows))
    for what in ("subjects", "dimensions", "dimensions/model/values"):
        response = await service.client_of("key_b").get(f"/api/v1/billable-metrics/{id}/{what}")
        assert response.status_code == 404
