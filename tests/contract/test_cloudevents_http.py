"""What the `cloudevents` library writes, ingest reads the same (HTTP binding 1.0.2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import msgspec
import pytest
from cloudevents.core.bindings import http
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from meterhouse.domain import instant as instants
from tests.ingest_service import AUTHORIZED, BATCHED, Service, ingest_service

pytestmark = pytest.mark.anyio

REQUIRED: dict[str, Any] = {
    "specversion": "1.0", "id": "e1", "source": "/svc", "type": "com.example.t", "subject": "cus_1",
}  # fmt: skip

EVENTS: dict[str, tuple[dict[str, Any], dict[str, Any] | bytes | None]] = {
    "an object": ({"datacontenttype": "application/json"}, {"tokens": 15, "nested": {"a": [1, None, "é"]}}),
    "an object of no stated type": ({}, {"tokens": 15}),
    "nothing": ({}, None),
    "bytes": ({"datacontenttype": "application/octet-stream"}, b"\x00\xff\x80"),
    "a time in UTC": ({"time": datetime(2026, 5, 1, 1, 2, 3, 456789, tzinfo=UTC)}, {"a": 1}),
    "a time elsewhere": (
        {"time": datetime(2026, 5, 1, 1, 2, tzinfo=timezone(timedelta(hours=5.5)))},
        {"a": 1},
    ),
    "extensions": ({"traceparent": "00-4bf92f-01", "dataschema": "https://example.com/s#x"}, {"a": 1}),
    "text beyond ASCII": ({"subject": "Euro € 😀", "note": '50% "quoted" \\ back'}, {"a": 1}),
}


def _event(name: str) -> CloudEvent:
    changes, data = EVENTS[name]
    given = {"time": datetime(2026, 5, 1, tzinfo=UTC), **REQUIRED, **changes}
    return CloudEvent(attributes=given, data=data)


def _expected(event: CloudEvent) -> dict[str, Any]:
    document = msgspec.json.decode(JSONFormat().write(event))
    document["time"] = instants.parse(document["time"])
    assert isinstance(document, dict)
    return document


def _read(service: Service) -> list[dict[str, Any]]:
    documents = service.log.documents()
    for document in documents:
        document["time"] = instants.parse(document["time"])
        del document["namespace"], document["receivedat"]
    return documents


async def _send(service: Service, message: http.HTTPMessage) -> httpx.Response:
    # httpx would encode text beyond ASCII by itself; the library's header values are ASCII already.
    return await service.client.post(
        "/api/v1/events", content=message.body, headers={**AUTHORIZED, **message.headers}
    )


@pytest.mark.parametrize("name", EVENTS)
async def test_structured_mode_is_read_as_it_was_written(name: str) -> None:
    event = _event(name)
    async with ingest_service() as service:
        response = await _send(service, http.to_structured_event(event))
    assert response.status_code == 202, response.text
    assert _read(service) == [_expected(event)]


@pytest.mark.parametrize("name", EVENTS)
async def test_binary_mode_is_read_as_it_was_written(name: str) -> None:
    event = _event(name)
    async with ingest_service() as service:
        response = await _send(service, http.to_binary_event(event))
    assert response.status_code == 202, response.text
    assert _read(service) == [_expected(event)]


async def test_batched_mode_is_read_as_it_was_written() -> None:
    events = [_event(name) for name in EVENTS]
    body = b"[" + b",".join([JSONFormat().write(event) for event in events]) + b"]"
    async with ingest_service() as service:
        response = await service.post(BATCHED, body)
    assert response.status_code == 202, response.text
    assert _read(service) == [_expected(event) for event in events]
