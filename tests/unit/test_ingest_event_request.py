"""POST /v0/events, as contract 3.1 has it."""

from __future__ import annotations

import re

import pytest

from meterhouse.domain.instant import DAY, render
from tests.ingest_service import NOW, event_request, ingest_service

pytestmark = pytest.mark.anyio


async def test_an_event_is_answered_with_everything_that_was_accepted() -> None:
    sent = event_request(
        externalSubject="acme-1", timestamp="2026-05-01T17:30:00+05:30", idempotencyKey="k", externalId="x_1"
    )
    async with ingest_service() as service:
        response = await service.post_event(sent)
    assert response.status_code == 202
    assert response.headers["content-type"] == "application/json"
    assert response.headers["meterhouse-position"] == "0:1"
    assert response.json() == {
        "object": "event",
        "id": "k",
        "type": "ai.inference",
        "source": "svc",
        "subject": "cus_1",
        "externalSubject": "acme-1",
        "namespace": "org_1",
        "timestamp": "2026-05-01T12:00:00Z",
        "idempotencyKey": "k",
        "externalId": "x_1",
    }


async def test_the_log_gets_the_event_as_it_was_answered() -> None:
    sent = event_request(idempotencyKey="k", timestamp="2026-05-01T10:00:00.1234567")
    async with ingest_service() as service:
        await service.post_event(sent)
    [document] = service.log.documents()
    assert document["id"] == "k"
    assert document["namespace"] == "org_1"
    assert document["time"] == "2026-05-01T10:00:00.123456Z"
    assert document["data"] == {"tokens": 1}


async def test_what_is_absent_is_left_out_of_the_answer_never_null() -> None:
    async with ingest_service() as service:
        response = await service.post_event(event_request(subject=None, externalSubject="acme"))
    answer = response.json()
    assert "subject" not in answer
    assert "externalId" not in answer
    assert None not in answer.values()


async def test_null_for_an_optional_field_is_absent() -> None:
    body = (
        b'{"type":"t","source":"s","subject":"c","externalSubject":null,"data":{},"namespace":null,'
        b'"timestamp":null,"idempotencyKey":null,"externalId":null}'
    )
    async with ingest_service() as service:
        response = await service.post_event(body)
    assert response.status_code == 202
    assert response.json()["timestamp"] == render(NOW)


async def test_generated_ids_differ_and_are_made_of_letters_and_digits() -> None:
    async with ingest_service() as service:
        answers = [(await service.post_event(event_request())).json() for _ in range(50)]
    ids = [answer["id"] for answer in answers]
    assert len(set(ids)) == 50
    assert all(re.fullmatch(r"evt_[0-9A-Z]{26}", id) for id in ids)
    assert [answer["idempotencyKey"] for answer in answers] == ids


async def test_unknown_fields_are_ignored() -> None:
    async with ingest_service() as service:
        response = await service.post_event(event_request(specversion="9", extra={"a": [1]}))
    assert response.status_code == 202


async def test_every_problem_of_an_event_is_listed() -> None:
    body = event_request(type=7, source="", subject=None, data=[1], timestamp="yesterday", externalId="a b")
    async with ingest_service() as service:
        response = await service.post_event(body)
    assert response.status_code == 400
    answer = response.json()
    assert answer["error"] == "validation_error"
    assert answer["message"]
    assert {problem["field"] for problem in answer["errors"]} == {
        "type", "source", "subject", "data", "timestamp", "externalId",
    }  # fmt: skip
    assert all(problem["message"] and problem["code"] for problem in answer["errors"])
    assert service.log.entries == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", None),
        ("type", ""),
        ("type", "a\nb"),
        ("type", "a\x7fb"),
        ("type", "a\x85b"),
        ("type", "a\ufffeb"),
        ("type", True),
        ("source", None),
        ("source", ["s"]),
        ("source", 10**30),
        ("subject", ""),
        ("subject", "c\0"),
        ("externalSubject", "no spaces"),
        ("externalSubject", "x" * 256),
        ("externalSubject", "acme\n"),
        ("data", None),
        ("data", "text"),
        ("data", []),
        ("data", 1),
        ("idempotencyKey", ""),
        ("idempotencyKey", 5),
        ("idempotencyKey", "k\t"),
        ("externalId", "ü"),
        ("externalId", ""),
        ("namespace", ""),
        ("namespace", 1),
        ("timestamp", ""),
        ("timestamp", 1777636800),
        ("timestamp", "2026-02-30T00:00:00Z"),
        ("timestamp", "1969-12-31T23:59:59Z"),
        ("timestamp", "2026-05-02T12:00:01Z"),
    ],
)
async def test_a_wrong_field_is_named(field: str, value: object) -> None:
    async with ingest_service() as service:
        response = await service.post_event(event_request(**{field: value}))
    assert response.status_code == 400
    assert [problem["field"] for problem in response.json()["errors"]] == [field]
    assert service.log.entries == []


async def test_a_day_ahead_is_accepted_and_a_moment_more_is_not() -> None:
    async with ingest_service() as service:
        at_the_limit = await service.post_event(event_request(timestamp=render(NOW + DAY)))
        service.clock.instant = NOW + 1  # receive times never stand still
        beyond = await service.post_event(event_request(timestamp=render(NOW + 1 + DAY + 1)))
    assert at_the_limit.status_code == 202
    assert beyond.status_code == 400


async def test_the_merchant_of_the_key_may_be_named_and_no_other() -> None:
    async with ingest_service() as service:
        own = await service.post_event(event_request(namespace="org_1"))
        other = await service.post_event(event_request(namespace="org_2"))
    assert own.status_code == 202
    assert other.status_code == 403
    assert other.json()["error"] == "forbidden"
    assert len(service.log.entries) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"text"', b'{"type":"t"} x', b'{"data":{"a":"\xff"}}', b'{"data":{"a":1e}}'],
)
async def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    async with ingest_service() as service:
        response = await service.post_event(body)
    assert response.status_code == 400
    assert response.json()["errors"]


@pytest.mark.parametrize(
    "escape", [b'"\\ud800"', b'"\\udc00x"', b'"\\ud800\\u0041"'], ids=["high", "low", "pair"]
)
async def test_lone_surrogates_are_refused_in_data_and_in_attributes(escape: bytes) -> None:
    async with ingest_service() as service:
        in_data = await service.post_event(
            b'{"type":"t","source":"s","subject":"c","data":{"a":%b,"b":"long enough"}}' % escape
        )
        in_type = await service.post_event(b'{"type":%b,"source":"s","subject":"c","data":{}}' % escape)
    assert in_data.status_code == 400
    assert in_type.status_code == 400


async def test_invalid_utf_8_is_refused_even_where_nobody_reads_it() -> None:
    async with ingest_service() as service:
        response = await service.post_event(
            b'{"type":"t","source":"s","subject":"c","data":{},"unread":"\xff"}'
        )
    assert response.status_code == 400


async def test_control_characters_inside_data_are_kept() -> None:
    body = b'{"type":"t","source":"s","subject":"c","data":{"a":"\\u0000\\n"}}'
    async with ingest_service() as service:
        response = await service.post_event(body)
    assert response.status_code == 202
    assert b'{"a":"\\u0000\\n"}' in service.log.entries[0].value


async def test_data_keeps_every_digit_and_every_escape() -> None:
    data = b'{"a": 1.10, "b":123456789012345678901234567890.000000000000000001, "c":1E+999, "\\u00e9":"\\/"}'
    async with ingest_service() as service:
        await service.post_event(b'{"type":"t","source":"s","subject":"c","data":%b}' % data)
    assert data in service.log.entries[0].value


@pytest.mark.parametrize(("levels", "status"), [(100, 202), (101, 400), (5_000, 400), (60_000, 400)])
async def test_data_may_be_nested_a_hundred_levels(levels: int, status: int) -> None:
    nested = b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
    async with ingest_service() as service:
        response = await service.post_event(b'{"type":"t","source":"s","subject":"c","data":%b}' % nested)
    assert response.status_code == status


async def test_brackets_within_text_are_no_nesting() -> None:
    async with ingest_service() as service:
        response = await service.post_event(event_request(data={"a": '[{"\\' * 500}))
    assert response.status_code == 202
