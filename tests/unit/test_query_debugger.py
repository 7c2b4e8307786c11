"""The event debugger: the list, the counts and the dry run (docs/queries.md), over events in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meterhouse.domain.position import Position
from meterhouse.domain.usage import Repeat
from tests.fakes_query import NOW, QueryService, event

pytestmark = pytest.mark.anyio

HOUR = 3_600_000_000


@pytest.fixture
async def service() -> QueryService:
    service = QueryService()
    service.add(
        event("a", b'{"n":1,"model":"x"}', minute=0, received_at=NOW),
        event("b", b'{"n":"many"}', minute=1, subject="cus_2", received_at=NOW + 1),
        event("c", b'{"n":3}', minute=2, type="other", received_at=NOW + HOUR),
        event("d", b'{"n":4}', minute=3, source="worker", received_at=NOW + HOUR),
        event("e", b'{"n":5}', minute=4, namespace="org_b", received_at=NOW + HOUR),
    )
    service.usage.repeats["a"] = (Repeat(NOW + HOUR, Position(0, 6), b""),)
    await service.metric(groupBy={"model": "$.model"})
    return service


async def _get(service: QueryService, path: str, **params: object) -> dict[str, Any]:
    response = await service.client.get(path, params=params)  # type: ignore[arg-type] # lists repeat
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def _ids(service: QueryService, **params: object) -> list[str]:
    return [one["event"]["id"] for one in (await _get(service, "/api/v1/events", **params))["data"]]


# --- the list ---


async def test_events_come_newest_first_with_what_became_of_them(service: QueryService) -> None:
    answer = await _get(service, "/api/v1/events")
    assert [(one["event"]["id"], one["disposition"]) for one in answer["data"]] == [
        ("d", "counted"),
        ("c", "unmatched"),
        ("b", "unusable"),
        ("a", "counted"),
    ]
    assert answer["nextCursor"] is None
    first = answer["data"][-1]
    record = await _get(service, "/api/v1/events/a")
    assert record.pop("usage")
    assert first == record
    assert (first["metrics"][0]["value"], first["repeats"]["count"]) == ("1", 1)


async def test_filters_of_the_list(service: QueryService) -> None:
    metric = next(iter(service.metrics.rows))
    assert await _ids(service, type="other") == ["c"]
    assert await _ids(service, type=["other", "t"], subject="cus_2") == ["b"]
    assert await _ids(service, source="worker") == ["d"]
    assert await _ids(service, id=["a", "d", "e"]) == ["d", "a"]
    assert await _ids(service, disposition="unusable") == ["b"]
    assert await _ids(service, billableMetricId=metric) == ["d", "a"]
    received = {"receivedFrom": "2026-05-01T12:00:00.000001Z", "receivedTo": "2026-05-01T13:00:00Z"}
    assert await _ids(service, **received) == ["b"]
    assert await _ids(service, **{"from": "2026-05-01T12:02:00Z", "to": "2026-05-01T12:03:00Z"}) == ["c"]


async def test_pages_stay_in_place_while_events_arrive(service: QueryService) -> None:
    first = await _get(service, "/api/v1/events", limit=2)
    service.add(event("f", b'{"n":1}', received_at=NOW + 2 * HOUR))
    second = await _get(service, "/api/v1/events", limit=2, cursor=first["nextCursor"])
    assert [one["event"]["id"] for one in second["data"]] == ["b", "a"]
    assert second["nextCursor"] is None


@pytest.mark.parametrize(
    ("params", "status", "field"),
    [
        ({"cursor": "%"}, 400, "cursor"),
        ({"cursor": "WzEsMl0"}, 400, "cursor"),
        ({"cursor": "Wy0xLDAsMF0"}, 400, "cursor"),
        ({"disposition": "lost"}, 400, "disposition"),
        ({"limit": "201"}, 400, "limit"),
        ({"from": "2026-05-02T00:00:00Z", "to": "2026-05-01T00:00:00Z"}, 400, "from"),
        ({"receivedFrom": "2026-05-02T00:00:00Z", "receivedTo": "2026-05-01T00:00:00Z"}, 400, "receivedFrom"),
        ({"billableMetricId": "bm_none"}, 404, None),
        ({"billableMetricId": "../etc"}, 404, None),
        ({"after": "9:1"}, 400, "after"),
    ],
)
async def test_what_cannot_be_asked(
    service: QueryService, params: dict[str, str], status: int, field: str | None
) -> None:
    response = await service.client.get("/api/v1/events", params=params)
    assert response.status_code == status, response.text
    if field is not None:
        assert response.json()["errors"][0]["field"] == field


async def test_events_of_another_merchant_are_not_there(service: QueryService) -> None:
    theirs = service.client_of("key_b")
    answer = (await theirs.get("/api/v1/events")).json()
    assert [one["event"]["id"] for one in answer["data"]] == ["e"]
    metric = next(iter(service.metrics.rows))
    assert (await theirs.get("/api/v1/events", params={"billableMetricId": metric})).status_code == 404


# --- counts ---


async def test_counts_by_type_and_disposition(service: QueryService) -> None:
    assert (await _get(service, "/api/v1/events/stats"))["data"] == [
        {"type": "other", "disposition": "unmatched", "count": 1},
        {"type": "t", "disposition": "counted", "count": 2},
        {"type": "t", "disposition": "duplicate", "count": 1},
        {"type": "t", "disposition": "unusable", "count": 1},
    ]


async def test_counts_by_window_of_receive_time(service: QueryService) -> None:
    day = {"receivedFrom": "2026-05-01T00:00:00Z", "receivedTo": "2026-05-02T00:00:00Z"}
    answer = await _get(service, "/api/v1/events/stats", windowSize="HOUR", timeZone="Asia/Kolkata", **day)
    assert [(one["windowStart"], one["disposition"], one["count"]) for one in answer["data"]] == [
        ("2026-05-01T17:00:00+05:30", "counted", 1),
        ("2026-05-01T17:00:00+05:30", "unusable", 1),
        ("2026-05-01T18:00:00+05:30", "unmatched", 1),
        ("2026-05-01T18:00:00+05:30", "counted", 1),
        ("2026-05-01T18:00:00+05:30", "duplicate", 1),
    ]


async def test_windows_of_everything_are_too_many(service: QueryService) -> None:
    response = await service.client.get("/api/v1/events/stats", params={"windowSize": "HOUR"})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "windowSize")


# --- the dry run ---


def cloudevent(id: str, **changes: object) -> dict[str, object]:
    """A CloudEvent of the wire."""
    return {
        "specversion": "1.0",
        "id": id,
        "source": "test",
        "type": "t",
        "subject": "cus_1",
        "time": "2026-05-01T12:00:00Z",
        "data": {"n": 1, "model": "x"},
        **changes,
    }


async def _try(
    service: QueryService, body: object, content_type: str = "application/json"
) -> list[dict[str, Any]]:
    response = await service.client.post(
        "/api/v1/events/dry-run", content=json.dumps(body), headers={"content-type": content_type}
    )
    assert response.status_code == 200, response.text
    data: list[dict[str, Any]] = response.json()["data"]
    return data


async def test_a_dry_run_says_what_would_count_and_writes_nothing(service: QueryService) -> None:
    before = list(service.usage.events_of_log)
    [tried] = await _try(service, cloudevent("new", data={"n": 2.50, "model": "y"}))
    assert tried["identity"] == {"state": "first"}
    assert tried["disposition"] == "counted"
    [metric] = tried["metrics"]
    assert (metric["outcome"], metric["value"], metric["dimensions"]) == ("counted", "2.5", {"model": "y"})
    assert tried["event"]["data"] == {"n": 2.50, "model": "y"}
    assert service.usage.events_of_log == before


async def test_a_dry_run_says_why_an_event_would_not_count(service: QueryService) -> None:
    unusable, unmatched = await _try(
        service, [cloudevent("u", data={"n": "x"}), cloudevent("v", type="none")]
    )
    assert (unusable["disposition"], unusable["metrics"][0]["outcome"]) == ("unusable", "unusable")
    assert unusable["metrics"][0]["reason"]
    assert (unmatched["disposition"], unmatched["metrics"]) == ("unmatched", [])


async def test_a_dry_run_knows_repeats(service: QueryService) -> None:
    service.add(event("known", b'{"n":1,"model":"x"}', minute=0))
    source = service.usage.events_of_log[-1].source
    same, other, again, first, second = await _try(
        service,
        [
            cloudevent("known", source=source),
            cloudevent("known", source=source, data={"n": 2, "model": "x"}),
            cloudevent("known", source="elsewhere"),
            cloudevent("twice"),
            cloudevent("twice", data={"n": 7}),
        ],
    )
    assert (same["identity"]["state"], same["identity"]["firstPosition"]) == ("duplicate", "0:6")
    assert "metrics" not in same
    assert (other["identity"]["state"], other["identity"]["differences"]) == ("conflict", ["$.data.n"])
    assert again["identity"] == first["identity"] == {"state": "first"}
    assert second["identity"]["state"] == "conflict"
    assert second["identity"]["firstPosition"] is None


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (json.dumps(cloudevent("")), {"content-type": "application/json"}, 400),
        (json.dumps(cloudevent("a", namespace="org_b")), {"content-type": "application/json"}, 403),
        ("{", {"content-type": "application/cloudevents+json"}, 400),
        (json.dumps(cloudevent("a")), {"content-type": "text/plain"}, 415),
        (json.dumps(cloudevent("a")), {"content-type": "application/json", "content-encoding": "gzip"}, 415),
        (json.dumps([cloudevent(str(i)) for i in range(101)]), {"content-type": "application/json"}, 413),
        (json.dumps([cloudevent("a"), cloudevent("b", time="x")]), {"content-type": "application/json"}, 400),
    ],
)
async def test_a_dry_run_refuses_what_ingest_refuses(
    service: QueryService, body: str, headers: dict[str, str], status: int
) -> None:
    response = await service.client.post("/api/v1/events/dry-run", content=body, headers=headers)
    assert response.status_code == status, response.text
    assert {"error", "message"} <= response.json().keys()


async def test_a_binary_event_can_be_tried(service: QueryService) -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "bin",
        "ce-source": "test",
        "ce-type": "t",
        "ce-subject": "cus_1",
        "content-type": "application/json",
    }
    response = await service.client.post("/api/v1/events/dry-run", content=b'{"n":3}', headers=headers)
    assert response.json()["data"][0]["metrics"][0]["value"] == "3"
