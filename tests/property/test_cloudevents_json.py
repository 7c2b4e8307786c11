"""Laws of the log's bytes: nothing is lost on the way, and no bytes can do harm."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from meterhouse.adapters.cloudevents_json import (
    decode_columns,
    encode,
    event_of_columns,
    parse_data,
)
from meterhouse.adapters.event_documents import differences
from meterhouse.domain import instant
from meterhouse.domain.event import Event
from meterhouse.ports.log import LogRecord

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_name = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
_instant = st.integers(instant.EARLIEST, instant.LATEST - 1)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)
_data = st.just(b"") | _json.map(json.dumps).map(str.encode) | _json.map(msgspec.json.encode)
_attribute = st.sampled_from(["datacontenttype", "dataschema", "data_base64", "sequence", "x1"])
_attributes = st.dictionaries(_attribute, _text, max_size=3) | st.dictionaries(
    st.just("ext"), st.booleans() | st.integers(-(2**31), 2**31 - 1)
)
_events = st.builds(
    Event,
    namespace=_name,
    source=_name,
    id=_name,
    type=_name,
    subject=_text,
    external_subject=_text,
    external_id=_text,
    time=_instant,
    received_at=_instant,
    data=_data,
    attributes=_attributes,
)


@given(_events)
def test_an_event_is_read_as_it_was_written(event: Event) -> None:
    columns, refused = decode_columns(0, [LogRecord(0, 1, encode(event).value)])
    assert refused == []
    assert event_of_columns(columns, 0) == event


@given(_events)
def test_an_event_does_not_differ_from_itself(event: Event) -> None:
    assert differences(event, encode(event).value) == []


@given(st.lists(_events, max_size=20))
def test_events_are_decoded_together_as_they_are_one_by_one(events: list[Event]) -> None:
    records = [LogRecord(offset, 1, encode(event).value) for offset, event in enumerate(events)]
    together, _ = decode_columns(0, records)
    alone = [decode_columns(0, [record])[0] for record in records]
    assert together.payload_hashes == [columns.payload_hashes[0] for columns in alone]
    assert [event_of_columns(together, row) for row in range(len(together))] == events


@given(st.data(), _events)
def test_damaged_records_are_read_or_refused_but_never_raise(data: st.DataObject, event: Event) -> None:
    value = bytearray(encode(event).value)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(value) - 1))
        value[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not value:
            break
    columns, refused = decode_columns(0, [LogRecord(0, 1, bytes(value))])
    assert len(columns) + len(refused) == 1
    for text in columns.data:
        parse_data(text)
    for column in (columns.ids, columns.sources, columns.types, columns.subjects, columns.external_ids):
        for found in column:
            found.encode()


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_but_never_raise(value: bytes) -> None:
    columns, refused = decode_columns(0, [LogRecord(0, 1, value)])
    assert len(columns) + len(refused) == 1


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_every_digit(number: Decimal) -> None:
    text = str(number).replace("E", "e")
    found = parse_data(text.encode())
    assert isinstance(found, int | Decimal)
    assert Decimal(found) == number
