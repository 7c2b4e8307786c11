"""Events as the log's bytes and back: CloudEvents 1.0 in structured JSON mode.

What CloudEvents has no attribute for travels in extension attributes: `namespace`, `externalsubject`,
`externalid`, `receivedat`. `data` is embedded as the very text that was sent, so that no number loses a
digit on the way. Other producers may write to the same log; what cannot be read gets a reason, never an
exception.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from hashlib import blake2b
from importlib import import_module
from itertools import accumulate
from typing import Final

import msgspec

from meterhouse.domain import instant as instants
from meterhouse.domain.event import Event, EventColumns, id_hash
from meterhouse.domain.instant import SECOND, Instant
from meterhouse.domain.matching import MISSING
from meterhouse.ports.log import Entry, LogRecord, LogRecords
from meterhouse.telemetry.spans import TRACE_CONTEXT

MAX_DEPTH: Final = 100  # contract, decision 16

# Events are objects only this many at a time, and columns after that: what survives into the garbage
# collector's older generations costs half as much again as the decoding.
_CHUNK: Final = 1024

_NO_DATA: Final = msgspec.Raw(b"")

Attributes = dict[str, str | int | bool]


class _Wire(msgspec.Struct, omit_defaults=True, gc=False):
    specversion: str
    id: str
    source: str
    type: str
    time: str | None = None
    subject: str | None = None
    namespace: str | None = None
    externalsubject: str | None = None
    externalid: str | None = None
    receivedat: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    data_base64: str | None = None
    data: msgspec.Raw = _NO_DATA


class _Known(_Wire, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """An event without extension attributes but those of a trace, as almost every one is."""

    traceparent: str | None = None
    tracestate: str | None = None


_NAMES_OF_COLUMNS: Final = frozenset(_Wire.__struct_fields__) - {
    "datacontenttype",
    "dataschema",
    "data_base64",
}
_encode: Final = msgspec.json.Encoder().encode
_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode
_decode_known: Final = msgspec.json.Decoder(_Known).decode
_decode_wire: Final = msgspec.json.Decoder(_Wire).decode
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_attribute: Final = msgspec.json.Decoder(str | int | bool | None).decode
_decode_attributes: Final = msgspec.json.Decoder(Attributes).decode
_check_json: Final = msgspec.json.Decoder(msgspec.Raw).decode


def encode(event: Event) -> Entry:
    """The log entry of `event`; its key is the identity, so that repeats meet in one partition."""
    wire = _Wire(
        "1.0",
        event.id,
        event.source,
        event.type,
        _render(event.time),
        event.subject or None,
        event.namespace,
        event.external_subject or None,
        event.external_id or None,
        _render(event.received_at),
        data=msgspec.Raw(event.data) if event.data else _NO_DATA,
    )
    value = _encode(wire)
    if event.attributes:
        value = value[:-1] + b"," + _encode(event.attributes)[1:]
    return Entry(_key(event.namespace, event.source, event.id), value, event.received_at)


def key_of(record: LogRecord) -> bytes | None:
    """The key that `encode` gives to the event in `record`; None where it holds no event."""
    columns, refused = decode_columns(0, [record])
    return None if refused else _key(columns.namespaces[0], columns.sources[0], columns.ids[0])


def _key(namespace: str, source: str, id: str) -> bytes:
    return f"{namespace}\0{source}\0{id}".encode()


def decode_columns(
    partition: int, records: Sequence[LogRecord]
) -> tuple[EventColumns, list[tuple[LogRecord, str]]]:
    """The records' events column by column, and those that hold no event with the reason."""
    columns = EventColumns(partition)
    refused: list[tuple[LogRecord, str]] = []
    whole = LogRecords.of(records)
    for start in range(0, len(whole), _CHUNK):
        refused += _add(columns, whole[start : start + _CHUNK])
    return columns, refused


def _add(columns: EventColumns, records: LogRecords) -> list[tuple[LogRecord, str]]:
    """Add the records' events; those that hold none, with the reason, by their offsets."""
    places: list[int] = []
    wires: list[_Wire] = []
    attributes: list[bytes] = []
    compared: list[bytes] = []
    refused: list[tuple[LogRecord, str]] = []
    for place, value in enumerate(records.values):
        try:
            wire, kept, comparing = _read(value)
        except (ValueError, RecursionError) as error:
            refused.append((records[place], str(error)))
            continue
        places.append(place)
        wires.append(wire)
        attributes.append(kept)
        compared.append(comparing)

    instants_of = _reader_of_times()
    received_ats = instants_of([wire.receivedat for wire in wires])
    times = instants_of([wire.time for wire in wires])
    if received_ats is None or times is None:
        read = _instants_of(wires, [records.received_ats[place] for place in places])
        good = [row for row, found in enumerate(read) if isinstance(found, tuple)]
        refused += [
            (records[places[row]], str(found))
            for row, found in enumerate(read)
            if isinstance(found, ValueError)
        ]
        refused.sort(key=lambda one: one[0].offset)
        places, wires = [places[row] for row in good], [wires[row] for row in good]
        attributes, compared = [attributes[row] for row in good], [compared[row] for row in good]
        pairs = [found for found in read if isinstance(found, tuple)]
        received_ats, times = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    data = [bytes(wire.data) for wire in wires]
    columns.offsets += [records.offsets[place] for place in places]
    columns.id_hashes += [id_hash(wire.namespace or "", wire.source, wire.id) for wire in wires]
    columns.payload_hashes += map(_payload_hash, wires, compared, data, times, received_ats)
    columns.namespaces += [wire.namespace or "" for wire in wires]
    columns.sources += [wire.source for wire in wires]
    columns.ids += [wire.id for wire in wires]
    columns.types += [wire.type for wire in wires]
    columns.subjects += [wire.subject or "" for wire in wires]
    columns.external_subjects += [wire.externalsubject or "" for wire in wires]
    columns.external_ids += [wire.externalid or "" for wire in wires]
    columns.times += times
    columns.received_ats += received_ats
    columns.data += data
    columns.attributes += attributes
    return refused


def _instants_of(
    wires: Sequence[_Wire], logged: Sequence[Instant]
) -> list[tuple[Instant, Instant] | ValueError]:
    """When each event was received and when it happened, or why that cannot be told.

    `logged` is when the log says that it was received.
    """
    found: list[tuple[Instant, Instant] | ValueError] = []
    for wire, at in zip(wires, logged, strict=True):
        try:
            received_at = _instant("receivedat", wire.receivedat) if wire.receivedat else _recorded_at(at)
            found.append((received_at, _instant("time", wire.time) if wire.time else received_at))
        except ValueError as error:
            found.append(error)
    return found


def _read(value: bytes) -> tuple[_Wire, bytes, bytes]:
    if not value.isascii():
        value.decode()  # msgspec does not look at the UTF-8 of what it leaves raw
    wire: _Wire
    try:
        wire = known = _decode_known(value)
    except msgspec.ValidationError:
        wire = _decode_wire(value)
        attributes, compared = _attributes(value)
    else:
        if wire.data_base64 is not None:
            attributes, compared = _attributes(value)
        else:
            attributes = compared = _usual_attributes(wire.datacontenttype, wire.dataschema)
            if known.traceparent is not None or known.tracestate is not None:
                attributes = _traced(compared, known.traceparent, known.tracestate)
    namespace, source, id = wire.namespace, wire.source, wire.id
    if wire.specversion != "1.0":
        raise ValueError("specversion: is not 1.0")
    if not namespace:
        raise ValueError("namespace: is missing, so the event belongs to nobody")
    if not (id and source and wire.type):
        raise ValueError("id, source and type must not be empty")
    if "\0" in id or "\0" in source or "\0" in namespace:
        raise ValueError("namespace, source and id must not hold a NUL character")
    if len(wire.data) > 2 * MAX_DEPTH:
        _check_depth(bytes(wire.data))
    return wire, attributes, compared


# Copying a hash that is begun costs less than beginning it.
_begun: Final = blake2b(digest_size=8).copy


def _payload_hash(wire: _Wire, compared: bytes, data: bytes, time: Instant, received_at: Instant) -> int:
    """What a repeat is told by that has another payload; a time that the server gave is no part of it."""
    subject, external_subject, external_id = (
        wire.subject or "",
        wire.externalsubject or "",
        wire.externalid or "",
    )
    sent_time = time if time != received_at else ""
    head = f"{wire.type}\0{subject}\0{external_subject}\0{external_id}\0{sent_time}\0\0"
    digest = _begun()
    digest.update(b"%b%b\0%b" % (head.encode(), compared, data))
    return int.from_bytes(digest.digest(), "big")


def _recorded_at(logged: Instant) -> Instant:
    if not instants.EARLIEST <= logged < instants.LATEST:
        raise ValueError("receivedat: is missing, and the record has no receive time either")
    return logged


@lru_cache(maxsize=1024)
def _usual_attributes(datacontenttype: str | None, dataschema: str | None) -> bytes:
    attributes: Attributes = {}
    if datacontenttype is not None:
        attributes["datacontenttype"] = datacontenttype
    if dataschema is not None:
        attributes["dataschema"] = dataschema
    return _encode_sorted(attributes)


def _traced(attributes: bytes, traceparent: str | None, tracestate: str | None) -> bytes:
    """`attributes` and those of a trace."""
    found = _decode_attributes(attributes)
    for name, text in zip(TRACE_CONTEXT, (traceparent, tracestate), strict=True):
        if text is not None:
            found[name] = text
    return _encode_sorted(found)


def _attributes(value: bytes) -> tuple[bytes, bytes]:
    """Those that have no column, all of them and those by which a repeat is compared with its first."""
    found: Attributes = {}
    for name, text in _decode_members(value).items():
        if name in _NAMES_OF_COLUMNS:
            continue
        try:
            attribute = _decode_attribute(text)
        except msgspec.ValidationError as error:
            raise ValueError(f"{name}: is not text, a whole number or a bool") from error
        if attribute is not None:
            found[name] = attribute
    # A trace tells how an event was sent, not what happened: a repeat in another one is no conflict.
    compared = {name: attribute for name, attribute in found.items() if name not in TRACE_CONTEXT}
    return _encode_sorted(found), _encode_sorted(compared)


_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BRACKETS: Final = b"[]{}"
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(_BRACKETS))
_STEPS: Final = bytes.maketrans(_BRACKETS, b"\x01\xff\x01\xff")  # as signed bytes: one level up, one down


def _check_depth(data: bytes) -> None:
    """Refuse what parsing could not recurse into; strings are cut out only where there are many brackets."""
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return
    steps = memoryview(_STRING.sub(b"", data).translate(_STEPS, _NOT_BRACKETS)).cast("b")
    if max(accumulate(steps), default=0) > MAX_DEPTH:
        raise ValueError(f"data: is nested deeper than {MAX_DEPTH} levels")


# --- times: our own text has always the same shape, and most events of a batch share their seconds ---


@lru_cache(maxsize=100_000)
def _second_text(second: int) -> str:
    return instants.to_datetime(second * SECOND).strftime("%Y-%m-%dT%H:%M:%S")


def _render(instant: Instant) -> str:
    second, micro = divmod(instant, SECOND)
    return f"{_second_text(second)}.{str(SECOND + micro)[1:]}Z"  # format() takes twice as long


@cache
def _reader_of_times() -> Callable[[Sequence[str | None]], list[Instant] | None]:
    """Arrow's, for whoever reads events; who only writes them does without its weight."""
    read: Callable[[Sequence[str | None]], list[Instant] | None]
    read = import_module("meterhouse.adapters.arrow_times").instants_of
    return read


def _instant(name: str, text: str) -> Instant:
    try:
        return instants.parse(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


# --- data ---


def parse_data(text: bytes) -> object:
    """The parsed data, its numbers `int` or `Decimal` and exact; MISSING for no data at all.

    Raises ValueError for what is not JSON or is nested deeper than Python recurses.
    """
    if not text:
        return MISSING
    try:
        return _decode_data(text)
    except InvalidOperation:
        return _decode_far_data(text)
    except msgspec.ValidationError:
        # Only one thing in untyped JSON is invalid and yet well-formed: an integer of over 4,300 digits.
        _check_json(text)
        return json.loads(text.decode(), parse_float=_number, parse_int=_integer, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


_FAR: Final = 10**9  # an exponent that no mantissa is long enough to make up for


def _number(text: str) -> Decimal:
    """`text` exactly; where its exponent is beyond Decimal's own, a number as hopelessly out of range.

    A metered event holds 38 digits, so this number meets the same refusal as the one that was sent.
    """
    try:
        return Decimal(text)
    except InvalidOperation:
        mantissa, _, exponent = text.lower().partition("e")
        if not Decimal(mantissa):
            return Decimal(0)
        return Decimal(f"{mantissa}e-{_FAR}" if exponent.startswith("-") else f"{mantissa}e{_FAR}")


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= 4300 else Decimal(text)


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


_decode_data: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_decode_far_data: Final = msgspec.json.Decoder(float_hook=_number).decode


# --- traces ---


def trace_contexts(columns: EventColumns) -> Iterator[Attributes]:
    """The attributes of events that came with a trace context; those of one request often share theirs."""
    for attributes in dict.fromkeys(columns.attributes):
        if b'"traceparent"' in attributes:
            yield _decode_attributes(attributes)


# --- look-ups ---


def event_from_parts(
    *,
    namespace: str,
    source: str,
    id: str,
    type: str,
    subject: str,
    external_subject: str,
    external_id: str,
    time: Instant,
    received_at: Instant,
    data: bytes,
    attributes: bytes,
) -> Event:
    """The event that stored columns hold."""
    return Event(
        namespace=namespace,
        source=source,
        id=id,
        type=type,
        subject=subject,
        external_subject=external_subject,
        external_id=external_id,
        time=time,
        received_at=received_at,
        data=data,
        attributes=_decode_attributes(attributes) if attributes else {},
    )


def event_of_columns(columns: EventColumns, row: int) -> Event:
    """Row `row` of `columns`."""
    return event_from_parts(
        namespace=columns.namespaces[row],
        source=columns.sources[row],
        id=columns.ids[row],
        type=columns.types[row],
        subject=columns.subjects[row],
        external_subject=columns.external_subjects[row],
        external_id=columns.external_ids[row],
        time=columns.times[row],
        received_at=columns.received_ats[row],
        data=columns.data[row],
        attributes=columns.attributes[row],
    )


def payload_document(columns: EventColumns, row: int) -> bytes:
    """Row `row` as the JSON that is kept of a repeat whose payload differs from the first event's."""
    return encode(event_of_columns(columns, row)).value
