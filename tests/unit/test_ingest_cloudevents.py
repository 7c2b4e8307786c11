"""POST /api/v1/events: CloudEvents as JSON, one or many."""

from __future__ import annotations

import pytest

from ingest.limits import Limits
from tests.ingest_service import BATCHED, JSON, NOW, STRUCTURED, cloud_event, ingest_service

pytestmark = pytest.mark.anyio


async def test_a_structured_event_is_answered_with_its_position() -> None:
    async with ingest_service() as service:
        response = await service.post(STRUCTURED, cloud_event())
    assert response.status_code == 202
    assert response.headers["meterhouse-position"] == "0:1"
    assert response.json() == {"object": "ingest", "accepted": 1, "position": "0:1"}


async def test_a_batch_is_kept_in_its_order_with_growing_receive_times() -> None:
    batch = [cloud_event(id=f"e{number}") for number in range(5)]
    async with ingest_service() as service:
        response = await service.post(BATCHED, batch)
    assert response.json() == {"object": "ingest", "accepted": 5, "position": "0:5"}
    assert [document["id"] for document in service.log.documents()] == ["e0", "e1", "e2", "e3", "e4"]
    assert [entry.received_at for entry in service.log.entries] == [NOW + step for step in range(5)]


async def test_receive_times_grow_although_the_clock_goes_back() -> None:
    async with ingest_service() as service:
        for instant in (NOW, NOW, NOW - 5_000_000, NOW + 10):
            service.clock.instant = instant
            await service.post(STRUCTURED, cloud_event())
    assert [entry.received_at for entry in service.log.entries] == [NOW, NOW + 1, NOW + 2, NOW + 10]


async def test_plain_json_may_hold_one_event_or_an_array() -> None:
    async with ingest_service() as service:
        one = await service.post(JSON, cloud_event())
        several = await service.post(JSON, [cloud_event(), cloud_event(id="e2")])
    assert one.json()["accepted"] == 1
    assert several.json()["accepted"] == 2


@pytest.mark.parametrize(
    "content_type",
    [
        "Application/CloudEvents+JSON",
        "application/cloudevents+json; charset=UTF-8",
        'application/cloudevents+json;charset="utf-8";x=y',
        "application/cloudevents+json ; charset=utf-8",
    ],
)
async def test_media_types_are_parsed_not_compared(content_type: str) -> None:
    async with ingest_service() as service:
        response = await service.post({**STRUCTURED, "content-type": content_type}, cloud_event())
    assert response.status_code == 202


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/cloudevents+xml",
        "application/cloudevents",
        "application/jsonp",
        "application/json; charset=utf-16",
        "application/cloudevents+json; charset=latin-1",
        "nonsense",
        "",
    ],
)
async def test_other_media_types_are_415_in_the_wires_shape(content_type: str) -> None:
    async with ingest_service() as service:
        response = await service.post({**STRUCTURED, "content-type": content_type}, cloud_event())
    assert response.status_code == 415
    assert response.json()["error"] == "unsupported_media_type"
    assert service.log.entries == []


async def test_context_attributes_and_extensions_are_kept() -> None:
    sent = cloud_event(
        datacontenttype="application/json",
        dataschema="https://example.com/schema",
        traceparent="00-abc-01",
        attempt=2,
        sampled=False,
        empty="",
    )
    async with ingest_service() as service:
        response = await service.post(STRUCTURED, sent)
    assert response.status_code == 202
    [document] = service.log.documents()
    assert document.items() >= sent.items()


async def test_extensions_that_are_the_services_own_words_are_read() -> None:
    sent = cloud_event(subject=None, externalsubject="acme", externalid="x-1", namespace="org_1")
    async with ingest_service() as service:
        response = await service.post(STRUCTURED, sent)
    assert response.status_code == 202
    [document] = service.log.documents()
    assert (document["externalsubject"], document["externalid"]) == ("acme", "x-1")
    assert "subject" not in document


async def test_data_may_be_absent_null_or_any_json() -> None:
    without = b'{"specversion":"1.0","id":"e","source":"s","type":"t","subject":"c"%b}'
    async with ingest_service() as service:
        for text in (b"", b',"data":null', b',"data":"text"', b',"data":[1.0]', b',"data":0'):
            response = await service.post(STRUCTURED, without % text)
            assert response.status_code == 202, text
    assert ["data" in document for document in service.log.documents()] == [False, True, True, True, True]


async def test_binary_data_is_kept_as_it_came() -> None:
    async with ingest_service() as service:
        response = await service.post(STRUCTURED, cloud_event(data=None, data_base64="AP8="))
    assert response.status_code == 202
    assert service.log.documents()[0]["data_base64"] == "AP8="


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"specversion": None}, "specversion"),
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": 1}, "specversion"),
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": 5}, "id"),
        ({"id": "a\x00"}, "id"),
        ({"source": None}, "source"),
        ({"type": ""}, "type"),
        ({"subject": None}, "subject"),
        ({"subject": ""}, "subject"),
        ({"time": "now"}, "time"),
        ({"time": 1}, "time"),
        ({"time": "2026-05-02T12:00:00.000001Z"}, "time"),
        ({"time": "1969-12-31T23:59:59Z"}, "time"),
        ({"datacontenttype": ""}, "datacontenttype"),
        ({"dataschema": 1}, "dataschema"),
        ({"data_base64": "AP8="}, "data_base64"),
        ({"data": None, "data_base64": "AP8"}, "data_base64"),
        ({"data": None, "data_base64": "ü"}, "data_base64"),
        ({"data": None, "data_base64": 1}, "data_base64"),
        ({"camelCase": "x"}, "camelCase"),
        ({"with_underscore": "x"}, "with_underscore"),
        ({"": "x"}, ""),
        ({"attempt": 1.5}, "attempt"),
        ({"attempt": 2**31}, "attempt"),
        ({"attempt": 10**40}, "attempt"),
        ({"attempt": {"a": 1}}, "attempt"),
        ({"attempt": [1]}, "attempt"),
        ({"note": "a\nb"}, "note"),
        ({"receivedat": "2026-05-01T00:00:00Z"}, "receivedat"),
        ({"externalid": "a b"}, "externalid"),
        ({"subject": None, "externalsubject": "a b"}, "externalsubject"),
        ({"namespace": 5}, "namespace"),
    ],
)
async def test_a_wrong_attribute_is_named(changes: dict[str, object], field: str) -> None:
    async with ingest_service() as service:
        response = await service.post(STRUCTURED, cloud_event(**changes))
    assert response.status_code == 400
    assert [problem["field"] for problem in response.json()["errors"]] == [field]
    assert service.log.entries == []


async def test_every_problem_of_one_event_is_listed() -> None:
    async with ingest_service() as service:
        response = await service.post(STRUCTURED, {"specversion": "1.0", "Odd": 1})
    fields = [problem["field"] for problem in response.json()["errors"]]
    assert fields == ["id", "source", "type", "subject", "Odd"]


async def test_one_bad_event_refuses_the_batch_and_every_bad_index_is_listed() -> None:
    batch: list[object] = [
        cloud_event(), cloud_event(id="", type=None), cloud_event(), 5, cloud_event(time="now"),
    ]  # fmt: skip
    async with ingest_service() as service:
        response = await service.post(BATCHED, batch)
    assert response.status_code == 400
    errors = response.json()["errors"]
    assert [(problem["index"], problem["field"]) for problem in errors] == [
        (1, "id"), (3, "event"), (4, "time"),
    ]  # fmt: skip
    assert "type" in errors[0]["message"]
    assert service.log.entries == []


@pytest.mark.parametrize("levels", [200, 50_000])
async def test_a_batch_names_the_event_that_is_nested_too_deeply(levels: int) -> None:
    deep = b'{"specversion":"1.0","id":"e","source":"s","type":"t","subject":"c","data":%b%b}'
    good = b'{"specversion":"1.0","id":"[,]","source":"s","type":"t","subject":"c","data":[1,2]}'
    bad = deep % (b"[" * levels, b"]" * levels)
    async with ingest_service() as service:
        response = await service.post(BATCHED, b"[" + b",".join([good, good, bad, good]) + b"]")
    assert response.status_code == 400
    assert [problem["index"] for problem in response.json()["errors"]] == [2]


@pytest.mark.parametrize("body", [b"[]", b" [ ] ", b"{}", b"[1", b"", b"null"])
async def test_a_batch_holds_at_least_one_event(body: bytes) -> None:
    async with ingest_service() as service:
        response = await service.post(BATCHED, body)
    assert response.status_code == 400
    assert response.json()["errors"]


async def test_another_merchants_event_anywhere_in_a_batch_is_forbidden() -> None:
    async with ingest_service() as service:
        response = await service.post(BATCHED, [cloud_event(), cloud_event(namespace="org_2")])
    assert response.status_code == 403
    assert service.log.entries == []


async def test_a_batch_has_a_largest_number_of_events_and_each_a_largest_size() -> None:
    limits = Limits(max_batch_events=3, max_event_bytes=300)
    async with ingest_service(limits) as service:
        full = await service.post(BATCHED, [cloud_event()] * 3)
        more = await service.post(BATCHED, [cloud_event()] * 4)
        large = await service.post(BATCHED, [cloud_event(), cloud_event(data="x" * 300)])
    assert (full.status_code, more.status_code, large.status_code) == (202, 413, 413)
    assert len(service.log.entries) == 3
