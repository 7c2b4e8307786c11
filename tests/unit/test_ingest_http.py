"""What holds for every request to ingest: keys, methods, sizes, encodings, outages."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, MutableMapping
from datetime import timedelta
from typing import Any

import anyio
import msgspec
import pytest
import structlog
import zstandard

from ingest.failures import Failures
from ingest.limits import Limits
from ingest.openapi import OPENAPI
from ingest.routes import ROUTES
from meterhouse.domain.errors import CatalogUnavailable, LogUnavailable, Overloaded
from meterhouse.telemetry.request_id import add_request_id
from tests.ingest_service import (
    AUTHORIZED,
    BATCHED,
    JSON,
    KEY,
    STRUCTURED,
    Service,
    cloud_event,
    event_request,
    ingest_service,
)

pytestmark = pytest.mark.anyio

BOTH = ["/v0/events", "/api/v1/events"]
RIGHT = msgspec.json.encode({**cloud_event(), **event_request()})


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY} x"]
)
async def test_no_key_and_a_bad_key_are_401(path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    async with ingest_service() as service:
        response = await service.client.post(path, content=RIGHT, headers=headers)
    assert response.status_code == 401
    assert response.json()["error"] == "unauthorized"
    assert response.json()["message"]
    assert KEY not in response.text
    assert service.log.entries == []


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
async def test_the_scheme_is_read_in_any_case(scheme: str) -> None:
    async with ingest_service() as service:
        response = await service.post_event(event_request(), authorization=f"{scheme} {KEY}")
    assert response.status_code == 202


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "TRACE"])
async def test_other_methods_are_405_and_told_which_there_are(path: str, method: str) -> None:
    async with ingest_service() as service:
        response = await service.client.request(method, path, headers=AUTHORIZED)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST, OPTIONS"
    if method == "HEAD":
        assert response.content == b""
    else:
        assert response.json()["error"] == "method_not_allowed"


async def test_options_tells_the_methods() -> None:
    async with ingest_service() as service:
        response = await service.client.options("/v0/events")
    assert (response.status_code, response.headers["allow"]) == (204, "POST, OPTIONS")


async def test_other_paths_are_404_in_the_wires_shape() -> None:
    async with ingest_service() as service:
        response = await service.client.post("/v0/events/", headers=JSON)
    assert response.status_code == 404
    assert response.json()["error"] == "not_found"


async def test_an_event_may_be_as_long_as_the_limit_and_no_longer() -> None:
    body = msgspec.json.encode(event_request())
    async with ingest_service(Limits(max_event_bytes=len(body))) as service:
        fits = await service.post_event(body)
        longer = await service.post_event(body + b" ")
    assert (fits.status_code, longer.status_code) == (202, 413)
    assert longer.json()["error"] == "too_large"


async def test_one_event_in_plain_json_has_the_limit_of_one_event() -> None:
    async with ingest_service(Limits(max_event_bytes=300)) as service:
        response = await service.post(JSON, cloud_event(data="x" * 300))
    assert response.status_code == 413


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "zstd", "identity"])
async def test_compressed_bodies_are_read(coding: str) -> None:
    body = msgspec.json.encode([cloud_event()] * 100)
    encoded = {"zstd": zstandard.compress(body), "identity": body}.get(coding, gzip.compress(body))
    async with ingest_service() as service:
        response = await service.post({**BATCHED, "content-encoding": coding}, encoded)
    assert response.status_code == 202
    assert response.json()["accepted"] == 100


async def test_several_members_and_frames_are_one_body() -> None:
    body = msgspec.json.encode(cloud_event())
    parts = (body[:20], body[20:])
    async with ingest_service() as service:
        members = await service.post(
            {**STRUCTURED, "content-encoding": "gzip"}, b"".join(map(gzip.compress, parts))
        )
        frames = await service.post(
            {**STRUCTURED, "content-encoding": "zstd"}, b"".join(map(zstandard.compress, parts))
        )
    assert (members.status_code, frames.status_code) == (202, 202)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("damage", ["empty", "truncated", "not at all", "trailing"])
async def test_damaged_compression_is_a_400(coding: str, damage: str) -> None:
    body = msgspec.json.encode(cloud_event())
    whole = gzip.compress(body) if coding == "gzip" else zstandard.compress(body)
    damaged = {"empty": b"", "truncated": whole[:-3], "not at all": body, "trailing": whole + b"junk"}[damage]
    async with ingest_service() as service:
        response = await service.post({**STRUCTURED, "content-encoding": coding}, damaged)
    assert response.status_code == 400
    assert service.log.entries == []


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "compress"])
async def test_other_encodings_are_415_and_told_which_there_are(coding: str) -> None:
    async with ingest_service() as service:
        response = await service.post({**STRUCTURED, "content-encoding": coding}, cloud_event())
    assert response.status_code == 415
    assert response.headers["accept-encoding"] == "gzip, zstd"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_bomb_is_refused_at_the_limit(coding: str) -> None:
    size = 300 * 1024 * 1024
    if coding == "gzip":
        packer = zlib.compressobj(wbits=31)
        bomb = b"".join([packer.compress(bytes(2**20)) for _ in range(size // 2**20)]) + packer.flush()
    else:
        squeezer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
        bomb = b"".join([squeezer.compress(bytes(2**20)) for _ in range(size // 2**20)]) + squeezer.flush()
    async with ingest_service() as service:
        response = await service.post({**BATCHED, "content-encoding": coding}, bomb)
    assert response.status_code == 413


async def test_a_log_that_is_away_is_503_with_retry_after() -> None:
    async with ingest_service() as service:
        service.log.failure = LogUnavailable("disk /secret/path is full")
        response = await service.post(STRUCTURED, cloud_event())
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "secret" not in response.text
    assert "meterhouse-position" not in response.headers


async def test_a_full_log_and_a_catalog_that_is_away_are_503() -> None:
    async with ingest_service() as service:
        service.log.failure = Overloaded("the queue is full")
        full = await service.post(STRUCTURED, cloud_event())
        service.keys.failure = CatalogUnavailable("no route to 10.0.0.1")
        unknown = await service.post(STRUCTURED, cloud_event())
    assert (full.status_code, unknown.status_code) == (503, 503)
    assert full.json()["error"] == "overloaded"
    assert full.headers["retry-after"] == unknown.headers["retry-after"] == "1"


async def test_a_bug_is_a_500_that_tells_nothing_and_a_log_line_without_the_key() -> None:
    with structlog.testing.capture_logs(processors=[add_request_id]) as lines:
        async with ingest_service() as service:
            service.log.failure = ZeroDivisionError("inner workings")
            response = await service.post(STRUCTURED, cloud_event())
    assert response.status_code == 500
    assert response.json()["error"] == "internal_error"
    assert "inner" not in response.text
    [line] = lines
    assert line["request_id"] == response.headers["x-request-id"]
    assert line["exc_info"] is service.log.failure
    assert KEY not in str(line)


async def test_every_answer_carries_an_id_of_its_own() -> None:
    async with ingest_service() as service:
        answers = [await service.post(STRUCTURED, cloud_event()) for _ in range(3)]
        answers.append(await service.post({}, b""))
        answers.append(await service.client.get("/nothing"))
    assert [one.status_code for one in answers] == [202, 202, 202, 401, 404]
    assert len({one.headers["x-request-id"] for one in answers}) == 5


@pytest.mark.parametrize("given", ["trace/1-A.b_c~d:e+f=@", "x" * 128])
async def test_a_sane_id_of_the_sender_is_kept(given: str) -> None:
    async with ingest_service() as service:
        response = await service.post({**STRUCTURED, "x-request-id": given}, cloud_event())
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, 'a"b', "a b", "ä", "a\\n"])
async def test_any_other_id_of_the_sender_is_replaced(given: str) -> None:
    headers = {**STRUCTURED, "x-request-id": given.encode("latin-1")}
    async with ingest_service() as service:
        content = msgspec.json.encode(cloud_event())
        response = await service.client.post("/api/v1/events", content=content, headers=headers)  # type: ignore[arg-type] # bytes are headers too
    assert response.status_code == 202
    assert response.headers["x-request-id"] not in (given, "")


async def test_a_log_that_is_away_is_told_with_the_request_and_the_reason() -> None:
    with structlog.testing.capture_logs(processors=[add_request_id]) as lines:
        async with ingest_service() as service:
            service.log.failure = LogUnavailable("no leader")
            response = await service.post(STRUCTURED, cloud_event())
    assert response.status_code == 503
    [line] = lines
    assert line["request_id"] == response.headers["x-request-id"]
    assert (line["status"], line["path"]) == (503, "/api/v1/events")
    assert "no leader" in line["error"]


async def test_an_overload_is_told_once_a_second_with_the_number_of_the_others() -> None:
    seconds = [10.0]
    failures = Failures(clock=lambda: seconds[0])
    scope = {"method": "POST", "path": "/api/v1/events"}
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            failures.tell(scope, 503, Overloaded("full"))
        seconds[0] += 1
        failures.tell(scope, 503, Overloaded("full"))
    assert [line["others_since"] for line in lines] == [0, 4]


async def test_the_openapi_document_describes_exactly_the_routes() -> None:
    assert OPENAPI["paths"].keys() == ROUTES.keys()
    assert all(path.keys() == {"post"} for path in OPENAPI["paths"].values())


Message = MutableMapping[str, Any]


async def _request(
    service: Service, chunks: Iterable[Message], *, headers: dict[str, str] | None = None
) -> list[Message]:
    """What the application sends when these messages are all that ever comes."""
    sent: list[Message] = []
    coming = iter(chunks)

    async def receive() -> Message:
        message = next(coming, None)
        if message is None:
            await anyio.sleep_forever()
            raise AssertionError
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in {**STRUCTURED, **(headers or {})}.items()]
    scope = {"type": "http", "method": "POST", "path": "/api/v1/events", "root_path": "", "headers": raw}
    await service.app(scope, receive, send)
    return sent


def _chunk(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_many_pieces_is_one_body() -> None:
    body = msgspec.json.encode(cloud_event())
    pieces = [_chunk(body[at : at + 1], more=True) for at in range(len(body))]
    async with ingest_service() as service:
        sent = await _request(service, [*pieces, _chunk(b"", more=False)])
    assert sent[0]["status"] == 202


async def test_a_client_that_leaves_within_its_body_writes_nothing() -> None:
    body = msgspec.json.encode(cloud_event())
    async with ingest_service() as service:
        sent = await _request(service, [_chunk(body, more=True), {"type": "http.disconnect"}])
        assert sent == []
        assert service.log.entries == []
        answered = await service.post(STRUCTURED, cloud_event())
    assert answered.status_code == 202


@pytest.mark.parametrize("length", ["5", "9999", "-1", "x", "5, 5"])
async def test_a_wrong_content_length_writes_nothing(length: str) -> None:
    body = msgspec.json.encode(cloud_event())
    async with ingest_service() as service:
        sent = await _request(service, [_chunk(body, more=False)], headers={"content-length": length})
    assert sent[0]["status"] == 400
    assert service.log.entries == []


async def test_a_declared_length_over_the_limit_is_refused_before_the_body_comes() -> None:
    async with ingest_service() as service:
        sent = await _request(service, [], headers={"content-length": "262145"})
    assert sent[0]["status"] == 413


async def test_an_endless_body_is_refused_as_soon_as_it_is_over_the_limit() -> None:
    async with ingest_service(Limits(max_event_bytes=1000)) as service:
        sent = await _request(service, [_chunk(b" " * 400, more=True)] * 3)
    assert sent[0]["status"] == 413


async def test_a_body_that_never_ends_is_408() -> None:
    async with ingest_service(Limits(max_body_wait=timedelta(milliseconds=20))) as service:
        sent = await _request(service, [_chunk(b"{", more=True)])
    assert sent[0]["status"] == 408


async def test_too_many_waiting_requests_are_503_and_only_they() -> None:
    async with ingest_service(Limits(max_waiting_requests=1)) as service, anyio.create_task_group() as tasks:
        tasks.start_soon(_request, service, [_chunk(b"{", more=True)])
        await anyio.wait_all_tasks_blocked()
        refused = await service.post(STRUCTURED, cloud_event())
        tasks.cancel_scope.cancel()
    assert refused.status_code == 503
    assert refused.json()["error"] == "overloaded"
    assert refused.headers["retry-after"] == "1"


async def test_room_is_given_back_after_every_kind_of_answer() -> None:
    body = msgspec.json.encode(cloud_event())
    limits = Limits(max_waiting_requests=1, max_waiting_bytes=2 * len(body))
    async with ingest_service(limits) as service:
        for _ in range(3):
            assert (await service.post(STRUCTURED, body)).status_code == 202
            assert (await service.post(STRUCTURED, b"{")).status_code == 400
            assert (await service.post({**STRUCTURED, "authorization": "x"}, body)).status_code == 401
            assert (await service.post(STRUCTURED, body * 3)).status_code == 503
