"""CloudEvents 1.0 as JSON (the JSON event format, 1.0.2) into events: one, or a batch.

Almost every event takes the short way: one typed decode, one look for unfit characters. What that way does
not settle (extension attributes, binary data, anything wrong) takes the long one, which reads attribute by
attribute and tells everything that is wrong.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from ingest.arrival import Arrival
from ingest.fields import INT_32, NOT_A_SCALAR, UNFIT, Fields, invalid, plain_time, plainly_fit
from ingest.json_text import MAX_DEPTH, first_deeper, is_deeper
from meterhouse.domain.errors import Forbidden, Invalid, Problem, TooLarge
from meterhouse.domain.event import Event
from meterhouse.domain.instant import Instant

SPECVERSION: Final = "1.0"

# The event itself is a level above its data.
_EVENT_DEPTH: Final = MAX_DEPTH + 1
TOO_DEEP: Final = f"is nested deeper than {MAX_DEPTH} levels"

_EXTENSION_NAME: Final = re.compile(r"[a-z0-9]+")
_READ_BY_NAME: Final = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "namespace", "externalsubject", "externalid"}
)
_CONTEXT: Final = ("datacontenttype", "dataschema")
_RECEIVED_AT: Final = "receivedat"


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event without extension attributes but those of a trace, and without binary data."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str | None = None
    time: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    namespace: str | None = None
    externalsubject: str | None = None
    externalid: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None


_decode_plain: Final = msgspec.json.Decoder(_Plain).decode
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_scalar: Final = msgspec.json.Decoder(str | int | bool | None).decode
_decode_batch: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def read_event(text: bytes, arrival: Arrival) -> Event:
    """The event that `text`, which is UTF-8, holds.

    Raises Invalid with every problem of the event, Forbidden for another merchant's, TooLarge.
    """
    if len(text) > arrival.limits.max_event_bytes:
        raise too_large(arrival)
    if is_deeper(text, _EVENT_DEPTH):
        raise Invalid.field("data", TOO_DEEP, "too_deep")
    received_at = arrival.next_received_at()
    event = _plain_event(text, arrival, received_at)
    return _explained(text, arrival, received_at) if event is None else event


def read_batch(text: bytes, arrival: Arrival) -> list[Event]:
    """The events of a JSON array, all or none.

    Raises Invalid with one problem for every bad event, Forbidden, TooLarge.
    """
    texts = _batch_texts(text)
    if not texts:
        raise Invalid.field("body", "must hold at least one event", "empty")
    if len(texts) > arrival.limits.max_batch_events:
        raise TooLarge(f"a batch may hold {arrival.limits.max_batch_events} events, this one {len(texts)}")
    events: list[Event] = []
    problems: list[Problem] = []
    forbidden: Forbidden | None = None
    for index, one in enumerate(texts):
        try:
            events.append(read_event(bytes(one), arrival))
        except Invalid as error:
            problems.append(_of_event(index, error))
        except Forbidden as error:
            forbidden = forbidden or Forbidden(f"event {index}: {error}")
        except TooLarge as error:
            raise TooLarge(f"event {index}: {error}") from error
    if problems:
        raise invalid(problems)
    if forbidden is not None:
        raise forbidden
    return events


def event_of(attributes: Mapping[str, object], data: bytes, arrival: Arrival, received_at: Instant) -> Event:
    """The event of those attributes, of which `data_base64` may be one; `data` is JSON text or empty.

    Raises Invalid with every problem of the event, Forbidden for another merchant's.
    """
    fields = Fields(attributes)
    if fields.text("specversion", required=True) != SPECVERSION and not fields.refused("specversion"):
        fields.refuse("specversion", f'must be "{SPECVERSION}"', "unsupported")
    id = fields.text("id", required=True)
    source = fields.text("source", required=True)
    type = fields.text("type", required=True)
    subject = fields.text("subject")
    external_subject = fields.external("externalsubject")
    if not (subject or external_subject or fields.refused("subject", "externalsubject")):
        fields.refuse("subject", "is required unless externalsubject is given", "required")
    namespace = fields.text("namespace")
    external_id = fields.external("externalid")
    time = fields.time("time", received_at, arrival.limits.max_ahead)
    kept = _kept(attributes, data, fields)
    fields.check()
    require_own(namespace, arrival)
    return Event(
        namespace=arrival.namespace,
        source=source,
        id=id,
        type=type,
        time=time,
        received_at=received_at,
        subject=subject,
        external_subject=external_subject,
        external_id=external_id,
        data=b"" if "data_base64" in kept else data,
        attributes=kept,
    )


def require_own(namespace: str, arrival: Arrival) -> None:
    """Raise Forbidden where the sender names another merchant than its key's."""
    if namespace and namespace != arrival.namespace:
        raise Forbidden("namespace: the key belongs to another merchant")


def too_large(arrival: Arrival) -> TooLarge:
    return TooLarge(f"an event may be {arrival.limits.max_event_bytes} bytes long")


def not_json(error: Exception) -> Invalid:
    """The refusal of text that is not JSON, with the decoder's reason."""
    return Invalid.field("body", f"is not valid JSON: {error}", "invalid_json")


def _plain_event(text: bytes, arrival: Arrival, received_at: Instant) -> Event | None:
    """The event, if nothing about it is unusual; None sends it the long way."""
    try:
        wire = _decode_plain(text)
    except msgspec.DecodeError:
        return None
    subject, external_subject, external_id = wire.subject, wire.externalsubject, wire.externalid
    if not plainly_fit(
        wire.id, wire.source, wire.type, subject, external_subject=external_subject, external_id=external_id
    ):
        return None
    if wire.namespace is not None and wire.namespace != arrival.namespace:
        return None
    time = plain_time(wire.time, received_at, arrival.limits.max_ahead)
    if time is None:
        return None
    attributes: dict[str, str | int | bool] = {}
    for name, value in (
        ("datacontenttype", wire.datacontenttype),
        ("dataschema", wire.dataschema),
        ("traceparent", wire.traceparent),
        ("tracestate", wire.tracestate),
    ):
        if value is not None:
            if not value or UNFIT.search(value):
                return None
            attributes[name] = value
    return Event(
        namespace=arrival.namespace,
        source=wire.source,
        id=wire.id,
        type=wire.type,
        time=time,
        received_at=received_at,
        subject=subject or "",
        external_subject=external_subject or "",
        external_id=external_id or "",
        data=bytes(wire.data),
        attributes=attributes,
    )


def _explained(text: bytes, arrival: Arrival, received_at: Instant) -> Event:
    """The long way: any event that is right, and every reason why another is not."""
    try:
        members = _decode_members(text)
    except msgspec.ValidationError as error:
        raise Invalid.field("body", "must be a JSON object", "invalid_type") from error
    except msgspec.DecodeError as error:
        raise not_json(error) from error
    data = bytes(members.pop("data", b""))
    attributes = {name: _scalar(raw) for name, raw in members.items()}
    return event_of(attributes, data, arrival, received_at)


def _scalar(raw: msgspec.Raw) -> object:
    try:
        return _decode_scalar(raw)
    except msgspec.ValidationError:
        return NOT_A_SCALAR


def _kept(attributes: Mapping[str, object], data: bytes, fields: Fields) -> dict[str, str | int | bool]:
    """Every attribute that has no place of its own in an event."""
    kept: dict[str, str | int | bool] = {}
    for name in _CONTEXT:
        if text := fields.text(name):
            kept[name] = text
    encoded = attributes.get("data_base64")
    if encoded is not None:
        if data and data != b"null":
            fields.refuse("data_base64", "must not come together with data", "conflict")
        kept["data_base64"] = _base64(encoded, fields)
    for name, value in attributes.items():
        if name in _READ_BY_NAME or name in _CONTEXT or name == "data_base64" or value is None:
            continue
        extension = _extension(name, value, fields)
        if extension is not None:
            kept[name] = extension
    return kept


def _base64(encoded: object, fields: Fields) -> str:
    if not isinstance(encoded, str):
        fields.refuse("data_base64", "must be text", "invalid_type")
        return ""
    try:
        base64.b64decode(encoded, validate=True)
    except ValueError:  # what is not ASCII raises it itself, the rest its subclass binascii.Error
        fields.refuse("data_base64", "must be base64 (RFC 4648, 4)", "invalid_format")
    return encoded


def _extension(name: str, value: object, fields: Fields) -> str | int | bool | None:
    """An extension attribute (CloudEvents 1.0, 3: names; 3.1: types); None where it is refused."""
    if not _EXTENSION_NAME.fullmatch(name):
        shown = name if len(name) <= 64 and not UNFIT.search(name) else "(an attribute)"
        fields.refuse(shown, "names of attributes are lower-case letters and digits", "unknown_attribute")
    elif name == _RECEIVED_AT:
        fields.refuse(name, "is set by the service, not by senders", "reserved")
    elif isinstance(value, str):
        if not UNFIT.search(value):
            return value
        fields.refuse(name, "must not contain control characters or noncharacters", "invalid_characters")
    elif isinstance(value, bool) or (isinstance(value, int) and value in INT_32):
        return value
    else:
        fields.refuse(name, "must be text, a 32-bit whole number, true or false", "invalid_type")
    return None


def _batch_texts(text: bytes) -> list[msgspec.Raw]:
    try:
        return _decode_batch(text)
    except msgspec.ValidationError as error:
        raise Invalid.field("body", "must be a JSON array of events", "invalid_type") from error
    except msgspec.DecodeError as error:
        raise not_json(error) from error
    except RecursionError:
        index = first_deeper(text, _EVENT_DEPTH)
        raise invalid([Problem("data", TOO_DEEP, "too_deep", index)]) from None


def _of_event(index: int, error: Invalid) -> Problem:
    """One problem that stands for all of one event's (contract, decision 16: an item for each bad event)."""
    first = error.problems[0]
    others = "".join([f"; {other.field}: {other.message}" for other in error.problems[1:]])
    field = "event" if first.field == "body" else first.field
    return Problem(field, f"{first.message}{others}", first.code, index)
