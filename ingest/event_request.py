"""`POST /v0/events` (contract 3.1): its body into an event, and an event into its answer."""

from __future__ import annotations

import base64
import secrets
from typing import Final

import msgspec

from ingest.arrival import Arrival
from ingest.cloudevents import TOO_DEEP, not_json, require_own, too_large
from ingest.fields import NOT_A_SCALAR, Fields, plain_time, plainly_fit
from ingest.json_text import MAX_DEPTH, is_deeper
from meterhouse.domain import instant as instants
from meterhouse.domain.errors import Invalid
from meterhouse.domain.event import Event
from meterhouse.domain.instant import Instant

_MILLISECOND: Final = 1000


class _EventRequest(msgspec.Struct, gc=False, rename="camel"):
    type: str
    source: str
    data: msgspec.Raw
    subject: str | None = None
    external_subject: str | None = None
    namespace: str | None = None
    timestamp: str | None = None
    idempotency_key: str | None = None
    external_id: str | None = None


class _EventAnswer(
    msgspec.Struct, tag_field="object", tag="event", omit_defaults=True, gc=False, rename="camel"
):
    """Fields are left out, never null: the TypeScript client rejects null (contract 1)."""

    id: str
    type: str
    source: str
    namespace: str
    timestamp: str
    idempotency_key: str
    subject: str = ""
    external_subject: str = ""
    external_id: str = ""


_decode_request: Final = msgspec.json.Decoder(_EventRequest).decode
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text: Final = msgspec.json.Decoder(str | None).decode
_encode_answer: Final = msgspec.json.Encoder().encode


def read_request(text: bytes, arrival: Arrival) -> Event:
    """The event that `text`, which is UTF-8, holds; fields that are not the contract's are ignored.

    Raises Invalid with every problem of the event, Forbidden for another merchant's, TooLarge.
    """
    if len(text) > arrival.limits.max_event_bytes:
        raise too_large(arrival)
    if is_deeper(text, MAX_DEPTH + 1):
        raise Invalid.field("data", TOO_DEEP, "too_deep")
    received_at = arrival.next_received_at()
    event = _plain_event(text, arrival, received_at)
    return _explained(text, arrival, received_at) if event is None else event


def answer_body(event: Event) -> bytes:
    """The EventResponse of an accepted event."""
    return _encode_answer(
        _EventAnswer(
            event.id,
            event.type,
            event.source,
            event.namespace,
            instants.render(event.time),
            event.id,
            event.subject,
            event.external_subject,
            event.external_id,
        )
    )


def generated_id(received_at: Instant) -> str:
    """A new id: `evt_` and 26 letters and digits, which sort by the millisecond, then are random."""
    unique = (received_at // _MILLISECOND).to_bytes(6) + secrets.token_bytes(10)
    return "evt_" + base64.b32hexencode(unique)[:26].decode()


def _plain_event(text: bytes, arrival: Arrival, received_at: Instant) -> Event | None:
    """The event, if nothing is wrong with it; None sends it the long way, which says what is."""
    try:
        wire = _decode_request(text)
    except msgspec.DecodeError:
        return None
    data = bytes(wire.data)
    subject, external_subject, external_id = wire.subject, wire.external_subject, wire.external_id
    id = generated_id(received_at) if wire.idempotency_key is None else wire.idempotency_key
    if not plainly_fit(
        id, wire.source, wire.type, subject, external_subject=external_subject, external_id=external_id
    ):
        return None
    if not data.startswith(b"{"):
        return None
    if wire.namespace is not None and wire.namespace != arrival.namespace:
        return None
    time = plain_time(wire.timestamp, received_at, arrival.limits.max_ahead)
    if time is None:
        return None
    return Event(
        namespace=arrival.namespace,
        source=wire.source,
        id=id,
        type=wire.type,
        time=time,
        received_at=received_at,
        subject=subject or "",
        external_subject=external_subject or "",
        external_id=external_id or "",
        data=data,
    )


def _explained(text: bytes, arrival: Arrival, received_at: Instant) -> Event:
    """The long way, field by field; it accepts exactly what the short one accepts."""
    try:
        members = _decode_members(text)
    except msgspec.ValidationError as error:
        raise Invalid.field("body", "must be a JSON object", "invalid_type") from error
    except msgspec.DecodeError as error:
        raise not_json(error) from error
    data = bytes(members.pop("data", b"null"))
    fields = Fields({name: _text(raw) for name, raw in members.items()})
    type = fields.text("type", required=True)
    source = fields.text("source", required=True)
    subject = fields.text("subject")
    external_subject = fields.external("externalSubject")
    if not (subject or external_subject or fields.refused("subject", "externalSubject")):
        fields.refuse("subject", "is required unless externalSubject is given", "required")
    if data == b"null":
        fields.refuse("data", "is required", "required")
    elif not data.startswith(b"{"):
        fields.refuse("data", "must be a JSON object", "invalid_type")
    namespace = fields.text("namespace")
    time = fields.time("timestamp", received_at, arrival.limits.max_ahead)
    id = fields.text("idempotencyKey")
    external_id = fields.external("externalId")
    fields.check()
    require_own(namespace, arrival)
    return Event(
        namespace=arrival.namespace,
        source=source,
        id=id or generated_id(received_at),
        type=type,
        time=time,
        received_at=received_at,
        subject=subject,
        external_subject=external_subject,
        external_id=external_id,
        data=data,
    )


def _text(raw: msgspec.Raw) -> object:
    try:
        return _decode_text(raw)
    except msgspec.ValidationError:
        return NOT_A_SCALAR
