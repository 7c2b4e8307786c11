"""CloudEvents in binary mode (HTTP binding 1.0.2, 3.1)."""

from __future__ import annotations

import base64

import httpx
import pytest

from ingest.limits import Limits
from tests.ingest_service import AUTHORIZED, Service, ingest_service

pytestmark = pytest.mark.anyio

ATTRIBUTES = {
    "ce-specversion": "1.0", "ce-id": "e1", "ce-source": "svc", "ce-type": "t", "ce-subject": "cus_1",
}  # fmt: skip


async def _post(service: Service, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return await service.post({**AUTHORIZED, **ATTRIBUTES, **(headers or {})}, body)


async def test_json_is_kept_as_json_text() -> None:
    async with ingest_service() as service:
        response = await _post(service, b' {"a": 1.10} ', {"content-type": "application/json; charset=utf-8"})
    assert response.status_code == 202
    assert b'{"a": 1.10}' in service.log.entries[0].value
    assert service.log.documents()[0]["datacontenttype"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("content_type", ["text/json", "application/vnd.acme+json", "APPLICATION/JSON"])
async def test_every_json_media_type_is_json(content_type: str) -> None:
    async with ingest_service() as service:
        await _post(service, b"[1]", {"content-type": content_type})
    assert service.log.documents()[0]["data"] == [1]


async def test_anything_else_is_kept_as_base64() -> None:
    async with ingest_service() as service:
        await _post(service, b"\x00\xff", {"content-type": "application/octet-stream"})
        await _post(service, b'{"a":1}', {"content-type": "text/plain"})
    kept = [base64.b64decode(document["data_base64"]) for document in service.log.documents()]
    assert kept == [b"\x00\xff", b'{"a":1}']


async def test_without_a_content_type_what_can_be_json_is() -> None:
    async with ingest_service() as service:
        await _post(service, b'{"a":1}')
        await _post(service, b"{a")
        await _post(service, b"")
    first, second, third = service.log.documents()
    assert first["data"] == {"a": 1}
    assert second["data_base64"] == base64.b64encode(b"{a").decode()
    assert not {"data", "data_base64"} & third.keys()


async def test_header_values_are_percent_decoded_once() -> None:
    headers = {"ce-subject": "Euro%20%E2%82%AC%20%2541", "ce-note": '"quoted \\"word\\""', "ce-plain": "100%"}
    async with ingest_service() as service:
        response = await _post(service, b"", headers)
    assert response.status_code == 202
    [document] = service.log.documents()
    assert document["subject"] == "Euro € %41"
    assert document["note"] == 'quoted "word"'
    assert document["plain"] == "100%"


async def test_structured_mode_ignores_ce_headers() -> None:
    body = b'{"specversion":"1.0","id":"inner","source":"s","type":"t","subject":"c"}'
    async with ingest_service() as service:
        await _post(service, body, {"content-type": "application/cloudevents+json"})
    assert service.log.documents()[0]["id"] == "inner"


@pytest.mark.parametrize(
    ("header", "value", "field"),
    [
        ("ce-specversion", "0.3", "specversion"),
        ("ce-id", "", "id"),
        ("ce-subject", "%00", "subject"),
        ("ce-subject", "%ff", "subject"),
        ("ce-time", "soon", "time"),
        ("ce-receivedat", "2026-05-01T00:00:00Z", "receivedat"),
        ("ce-datacontenttype", "application/json", "datacontenttype"),
        ("ce-data", "1", "data"),
        ("ce-data_base64", "AA==", "ce-data_base64"),
        ("ce-", "x", "ce-"),
        ("ce-odd-name", "x", "ce-odd-name"),
    ],
)
async def test_a_wrong_header_is_named(header: str, value: str, field: str) -> None:
    async with ingest_service() as service:
        response = await _post(service, b"1", {"content-type": "application/json", header: value})
    assert response.status_code == 400
    assert [problem["field"] for problem in response.json()["errors"]] == [field]
    assert service.log.entries == []


@pytest.mark.parametrize("body", [b"{", b'"\xff"', b"[" * 101 + b"]" * 101, b"[" * 9000 + b"]" * 9000])
async def test_a_body_that_says_it_is_json_has_to_be(body: bytes) -> None:
    async with ingest_service() as service:
        response = await _post(service, body, {"content-type": "application/json"})
    assert response.status_code == 400


async def test_json_in_another_encoding_is_415() -> None:
    async with ingest_service() as service:
        response = await _post(service, b"1", {"content-type": "application/json; charset=utf-16"})
    assert response.status_code == 415


async def test_headers_count_for_the_size_of_the_event() -> None:
    async with ingest_service(Limits(max_event_bytes=200)) as service:
        small = await _post(service, b"1")
        large = await _post(service, b"1", {"ce-note": "x" * 200})
    assert (small.status_code, large.status_code) == (202, 413)
