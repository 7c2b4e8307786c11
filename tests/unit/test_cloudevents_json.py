"""The log's bytes: what is written there, what is read from it, and what is refused with a reason."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat

from meterhouse.adapters.cloudevents_json import (
    decode_columns,
    encode,
    event_from_parts,
    event_of_columns,
    parse_data,
    payload_document,
    trace_contexts,
)
from meterhouse.adapters.event_documents import differences, document_of
from meterhouse.domain.disposition import Unusable
from meterhouse.domain.event import Event, id_hash
from meterhouse.domain.instant import parse
from meterhouse.domain.matching import MISSING, number_of, text_of
from meterhouse.ports.log import LogRecord

RECEIVED_AT = parse("2026-05-01T12:30:16.000001Z")


def event(**changes: Any) -> Event:
    fields: dict[str, Any] = {
        "namespace": "org_1",
        "source": "/api",
        "id": "e1",
        "type": "llm.tokens",
        "subject": "cus_1",
        "external_subject": "their-1",
        "external_id": "x-1",
        "time": parse("2026-05-01T12:30:15.12Z"),
        "received_at": RECEIVED_AT,
        "data": b'{"tokens": 1.10, "model":"m"}',
        "attributes": {"datacontenttype": "application/json"},
    }
    return Event(**fields | changes)


def record(value: bytes, offset: int = 0) -> LogRecord:
    return LogRecord(offset, RECEIVED_AT, value)


def read(value: bytes) -> Event:
    columns, refused = decode_columns(0, [record(value)])
    assert refused == []
    return event_of_columns(columns, 0)


def reason(value: bytes) -> str:
    columns, refused = decode_columns(0, [record(value)])
    assert len(columns) == 0
    ((_, text),) = refused
    return text


def payload_hash(one: Event) -> int:
    columns, _ = decode_columns(0, [record(encode(one).value)])
    return columns.payload_hashes[0]


def foreign(**members: object) -> bytes:
    """A CloudEvent of another producer, None for an attribute that it leaves out."""
    document = {"specversion": "1.0", "id": "e1", "source": "/s", "type": "t", "namespace": "org_1"} | members
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


def test_an_entry_is_structured_cloudevents_json_keyed_by_identity() -> None:
    entry = encode(event())
    assert entry.key == b"org_1\0/api\0e1"
    assert entry.received_at == RECEIVED_AT
    assert msgspec.json.decode(entry.value) == {
        "specversion": "1.0",
        "id": "e1",
        "source": "/api",
        "type": "llm.tokens",
        "subject": "cus_1",
        "time": "2026-05-01T12:30:15.120000Z",
        "namespace": "org_1",
        "externalsubject": "their-1",
        "externalid": "x-1",
        "receivedat": "2026-05-01T12:30:16.000001Z",
        "datacontenttype": "application/json",
        "data": {"tokens": 1.1, "model": "m"},
    }


def test_the_cloudevents_library_reads_what_the_log_holds() -> None:
    headers = {"content-type": b"application/cloudevents+json"}
    theirs = from_structured_event(KafkaMessage(headers, None, encode(event()).value), JSONFormat())
    assert (theirs.get_id(), theirs.get_source(), theirs.get_type()) == ("e1", "/api", "llm.tokens")
    assert theirs.get_subject() == "cus_1"
    assert theirs.get_extension("namespace") == "org_1"
    assert theirs.get_data() == {"tokens": 1.1, "model": "m"}


def test_data_is_kept_as_the_text_that_was_sent() -> None:
    sent = b'{"b":1.10,  "a":123456789012345678901234567890.5e0,"a":2}'
    assert sent in encode(event(data=sent)).value
    assert read(encode(event(data=sent)).value).data == sent


@pytest.mark.parametrize(
    "one",
    [
        event(),
        event(attributes={}, subject="", external_id="", data=b""),
        event(data=b"null"),
        event(data=b"", attributes={"data_base64": "AAE=", "datacontenttype": "image/png"}),
        event(attributes={"dataschema": "urn:x", "traceparent": "00-1", "sampled": True, "sequence": -7}),
        event(id='quote " backslash \\ newline \n ümlaut \U0001f600'),
        event(time=0, received_at=1),
        event(time=parse("2199-12-31T23:59:59.999999Z")),
    ],
)
def test_an_event_is_read_as_it_was_written(one: Event) -> None:
    assert read(encode(one).value) == one


def test_columns_hold_the_identity_and_the_place_of_each_event() -> None:
    records = [record(encode(event(id=f"e{number}")).value, 40 + number) for number in range(600)]
    columns, refused = decode_columns(3, records)
    assert refused == []
    assert (columns.partition, columns.offsets) == (3, list(range(40, 640)))
    assert columns.id_hashes == [id_hash("org_1", "/api", f"e{number}") for number in range(600)]
    assert set(columns.attributes) == {b'{"datacontenttype":"application/json"}'}


def test_no_records_are_empty_columns() -> None:
    columns, refused = decode_columns(0, [])
    assert (len(columns), columns.ids, refused) == (0, [], [])


def test_one_bad_record_is_set_aside_and_the_others_are_read() -> None:
    good = [record(encode(event(id=str(number))).value, number) for number in (0, 2)]
    bad = record(b"\xff\xfe", 1)
    columns, refused = decode_columns(0, [good[0], bad, good[1]])
    assert columns.offsets == [0, 2]
    assert [one for one, _ in refused] == [bad]


def test_an_event_of_another_producer_gets_the_times_of_its_record() -> None:
    found = read(foreign())
    assert (found.received_at, found.time) == (RECEIVED_AT, RECEIVED_AT)
    assert (found.subject, found.data, found.attributes) == ("", b"", {})


@pytest.mark.parametrize("received_at", [-1000, parse("2199-12-31T23:59:59.999999Z") + 1])
def test_a_record_without_a_receive_time_has_to_bring_one(received_at: int) -> None:
    for value, reasons in ((foreign(), 1), (foreign(receivedat="2026-05-01T12:30:15Z"), 0)):
        _, refused = decode_columns(0, [LogRecord(0, received_at, value)])
        assert ["receivedat: is missing" in reason for _, reason in refused] == [True] * reasons


@pytest.mark.parametrize(
    "time", ["2026-05-01T12:30:15+00:00", "2026-05-01t12:30:15.000000000z", "2026-05-01T14:30:15.0000+02:00"]
)
def test_any_rfc_3339_time_of_another_producer_is_read(time: str) -> None:
    assert read(foreign(time=time)).time == parse("2026-05-01T12:30:15Z")


def test_null_attributes_of_another_producer_are_absent_ones() -> None:
    value = foreign(trace=None)[:-1] + b',"subject":null,"time":null,"dataschema":null,"trace":null}'
    found = read(value)
    assert (found.subject, found.time, found.attributes) == ("", RECEIVED_AT, {})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"", "truncated"),
        (b"\x00\x01", "malformed"),
        (b"[]", "array"),
        (b"null", "null"),
        (b"{}", "specversion"),
        (foreign(specversion="0.3"), "specversion"),
        (foreign(namespace=None), "namespace: is missing"),
        (foreign(namespace=""), "namespace: is missing"),
        (foreign(id=""), "must not be empty"),
        (foreign(id=7), "id"),
        (foreign(id="a\0b"), "NUL"),
        (foreign(id="\ud800"), "surrogate"),
        (foreign(subject="\udc00"), "surrogate"),
        (foreign(time="yesterday"), "time: is not an RFC 3339"),
        (foreign(time="2026-05-01T12:30:+5.000000Z"), "time: is not an RFC 3339"),
        (foreign(time="2026-05-01T12:30:61.000000Z"), "time: is not a real point in time"),
        (foreign(time="2026-99-01T12:30:01.000000Z"), "time: is not a real point in time"),
        (foreign(time="2026-05-01T12:30:15.\u0661\u0661\u0661\u0661\u0661\u0661Z"), "time: is not an RFC"),
        (foreign(time="1912-05-01T12:30:15Z"), "years 1970"),
        (foreign(receivedat="soon"), "receivedat: is not an RFC 3339"),
        (foreign(extension={"a": 1}), "extension: is not text"),
        (foreign(extension=1.5), "extension: is not text"),
        (foreign(data=0)[:-2] + b"[" * 101 + b"]" * 101 + b"}", "nested deeper"),
        (foreign(data=0)[:-2] + b"[" * 100_000 + b"]" * 100_000 + b"}", "recursion|nested"),
        (foreign(data=0)[:-2] + b'"\xff"}', "utf-8"),
        (foreign(data=0)[:-2] + b"NaN}", "malformed"),
        (foreign() + b"{}", "malformed"),
    ],
)
def test_what_is_no_event_gets_a_reason(value: bytes, words: str) -> None:
    assert re.search(words, reason(value))


def test_brackets_inside_strings_are_no_nesting() -> None:
    data = b'{"a":["' + b"[{" * 200 + b'\\"]"]}'
    assert read(encode(event(data=data)).value).data == data


@pytest.mark.parametrize(
    "change",
    [
        {"type": "other"},
        {"subject": "cus_2"},
        {"external_subject": ""},
        {"external_id": "x-2"},
        {"time": RECEIVED_AT - 1},
        {"time": RECEIVED_AT},
        {"data": b'{"tokens": 1.11, "model":"m"}'},
        {"data": b""},
        {"attributes": {}},
        {"attributes": {"datacontenttype": "application/json", "sampled": True}},
    ],
)
def test_another_payload_has_another_hash(change: dict[str, Any]) -> None:
    assert payload_hash(event(**change)) != payload_hash(event())


def test_a_repeat_of_the_same_payload_has_the_same_hash() -> None:
    later = RECEIVED_AT + 5
    assert payload_hash(event(received_at=later)) == payload_hash(event())
    assert payload_hash(event(time=later, received_at=later)) == payload_hash(event(time=RECEIVED_AT))
    one, other = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    assert payload_hash(event(attributes=one)) == payload_hash(event(attributes=other))


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER_TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "others", [{}, {"datacontenttype": "application/json"}, {"ext": 1}, {"data_base64": "eA=="}]
)
def test_a_repeat_in_another_trace_has_the_same_hash_and_keeps_its_own_trace(others: dict[str, Any]) -> None:
    plain = event(attributes=others, data=b"")
    traced = plain._replace(attributes={**others, "traceparent": TRACEPARENT, "tracestate": "a=1"})
    again = plain._replace(attributes={**others, "traceparent": OTHER_TRACEPARENT})
    assert payload_hash(plain) == payload_hash(traced) == payload_hash(again)
    for one in (plain, traced, again):
        assert read(encode(one).value) == one
        assert differences(plain, encode(one).value) == differences(one, encode(plain).value) == []
    other = traced._replace(attributes={**traced.attributes, "more": True})
    assert payload_hash(other) != payload_hash(traced)
    assert differences(traced, encode(other).value) == ["$.more"]


@pytest.mark.parametrize("name", ["traceparent", "tracestate"])
@pytest.mark.parametrize("given", [5, True, "", "no trace at all", "\u00e4"])
def test_a_trace_that_is_none_is_kept_as_it_came(name: str, given: object) -> None:
    found = read(foreign(**{name: given}))
    assert found.attributes == {name: given}


def test_the_trace_contexts_of_columns_are_those_that_events_came_with_each_once() -> None:
    once, odd = {"traceparent": TRACEPARENT}, {"traceparent": "x", "tracestate": "a=1"}
    traces: list[dict[str, str]] = [{}, once, once, odd]
    records = [record(encode(event(id=f"e{n}", attributes=one)).value, n) for n, one in enumerate(traces)]
    columns, _ = decode_columns(0, records)
    assert list(trace_contexts(columns)) == [once, odd]


def test_the_payload_hash_is_stable_because_it_is_stored() -> None:
    assert payload_hash(event()) == 0x28117E0E501FEEAA


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (b"", MISSING),
        (b"null", None),
        (b"1", 1),
        (b"1.10", Decimal("1.10")),
        (b"1e3", Decimal("1e3")),
        (b"true", True),
        (b'{"a":[1,"2"]}', {"a": [1, "2"]}),
        (b"1" * 40, int("1" * 40)),
        (b"0e99999999999999999999999", Decimal(0)),
        (b'[-1.5, 2, "\xc3\xbc", ' + b"9" * 5000 + b"]", [Decimal("-1.5"), 2, "ü", Decimal("9" * 5000)]),
    ],
)
def test_data_is_parsed_exactly(text: bytes, parsed: object) -> None:
    found = parse_data(text)
    assert found == parsed
    assert type(found) is type(parsed)


@pytest.mark.parametrize(
    "text",
    [
        b"1e999999999999999999999",
        b"-1.5E+999999999999999999999",
        b"1e-999999999999999999999",
        b"9" * 5000,
        b"-" + b"9" * 5000,
    ],
)
def test_a_number_that_nothing_can_hold_is_unusable_and_harms_nothing_beside_it(text: bytes) -> None:
    parsed = parse_data(b'{"tokens":' + text + b',"model":"m"}')
    assert isinstance(parsed, dict)
    assert isinstance(number_of(parsed["tokens"]), Unusable)
    assert text_of(parsed["tokens"])
    assert parsed["model"] == "m"


@pytest.mark.parametrize(
    "text",
    [
        *(b"{", b"NaN", b"[1,]", b'"\xff"', b'"\\ud800"', b"[" * 100_000, b"1 2"),
        *(b"[" + b"9" * 5000 + rest for rest in (b"", b",NaN]", b',"\\ud800"]', b',"\xff"]')),
    ],
)
def test_what_is_not_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_data(text)


def test_a_look_up_shows_the_event_as_it_was_accepted() -> None:
    assert document_of(event()) == {
        "specversion": "1.0",
        "id": "e1",
        "source": "/api",
        "type": "llm.tokens",
        "time": "2026-05-01T12:30:15.120000Z",
        "subject": "cus_1",
        "externalsubject": "their-1",
        "externalid": "x-1",
        "datacontenttype": "application/json",
        "data": {"tokens": Decimal("1.10"), "model": "m"},
    }
    bare = document_of(event(subject="", external_subject="", external_id="", data=b"", attributes={}))
    assert set(bare) == {"specversion", "id", "source", "type", "time"}


def test_stored_columns_become_the_event_again() -> None:
    found = event_from_parts(
        namespace="org_1",
        source="/api",
        id="e1",
        type="llm.tokens",
        subject="cus_1",
        external_subject="their-1",
        external_id="x-1",
        time=event().time,
        received_at=RECEIVED_AT,
        data=event().data,
        attributes=b'{"datacontenttype":"application/json"}',
    )
    assert found == event()


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        ({}, []),
        ({"received_at": RECEIVED_AT + 9}, []),
        ({"time": RECEIVED_AT, "received_at": RECEIVED_AT}, []),
        ({"time": RECEIVED_AT - 1}, ["$.time"]),
        ({"type": "other", "subject": ""}, ["$.subject", "$.type"]),
        ({"data": b'{"model":"m","tokens":1.1}'}, []),
        ({"data": b'{"model":"m","tokens":2,"new key":1}'}, ["$.data.tokens", '$.data["new key"]']),
        ({"data": b'{"model":{"name":"m"}}'}, ["$.data.model", "$.data.tokens"]),
        ({"data": b""}, ["$.data"]),
        ({"attributes": {"sampled": True}}, ["$.datacontenttype", "$.sampled"]),
    ],
)
def test_differences_name_the_paths_whose_values_differ(change: dict[str, Any], paths: list[str]) -> None:
    columns, _ = decode_columns(0, [record(encode(event(**change)).value)])
    assert differences(event(), payload_document(columns, 0)) == paths


@pytest.mark.parametrize(
    ("first", "repeat", "paths"),
    [
        (b"[1,2,3]", b"[1,5]", ["$.data[1]", "$.data[2]"]),
        (b"[1,0]", b"[true,false]", ["$.data[0]", "$.data[1]"]),
        (b'{"a":null}', b"{}", ["$.data.a"]),
        (b'{"a":[{"b":1}]}', b'{"a":[{"b":"1"}]}', ["$.data.a[0].b"]),
        (b"1", b"1.00", []),
    ],
)
def test_differences_look_into_arrays_and_tell_types_apart(
    first: bytes, repeat: bytes, paths: list[str]
) -> None:
    assert differences(event(data=first), encode(event(data=repeat)).value) == paths
