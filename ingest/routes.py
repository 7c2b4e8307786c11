"""The two routes of ingest: what a request's headers ask for, how its body is read, what the 202 says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from ingest.arrival import Arrival
from ingest.binary import is_binary, read_binary
from ingest.cloudevents import read_batch, read_event
from ingest.event_request import answer_body, read_request
from ingest.json_text import require_utf_8
from ingest.limits import Limits
from ingest.media_type import MediaType, parse
from meterhouse.adapters.http.errors import UnsupportedMediaType
from meterhouse.domain.event import Event

Headers = Mapping[bytes, bytes]
Read = Callable[[bytes, Arrival], Sequence[Event]]

JSON: Final = "application/json"
STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"

# Whatever begins so is structured or batched in some format, never binary (HTTP binding, 3).
_FORMATS: Final = "application/cloudevents"
_JSON_WHITESPACE: Final = b" \t\n\r"

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Plan:
    """How one request's body is read: `limit` bytes at most, by `read`.

    `read` gives at least one event, or raises Invalid, Forbidden, TooLarge or UnsupportedMediaType.
    """

    limit: int
    read: Read


@dataclass(frozen=True, slots=True)
class Route:
    """One way in: the plan for a request's headers, and the body of the 202."""

    plan: Callable[[Headers, Limits], Plan]
    answer: Callable[[Sequence[Event], str], bytes]


def plan_event(headers: Headers, limits: Limits) -> Plan:
    """`POST /v0/events`: one event in the contract's own shape (3.1). Raises UnsupportedMediaType."""
    media_type = _media_type(headers)
    if media_type is None or media_type.essence != JSON:
        raise UnsupportedMediaType(f"Content-Type must be {JSON}")
    _require_charset(media_type)
    return Plan(limits.max_event_bytes, _read_request)


def plan_cloudevents(headers: Headers, limits: Limits) -> Plan:
    """`POST /api/v1/events`: CloudEvents structured, batched, binary or as plain JSON.

    Raises UnsupportedMediaType.
    """
    media_type = _media_type(headers)
    essence = "" if media_type is None else media_type.essence
    if not essence.startswith(_FORMATS) and is_binary(headers):
        return Plan(limits.max_event_bytes, partial(_read_binary, headers, media_type))
    _require_charset(media_type)
    if essence == STRUCTURED:
        return Plan(limits.max_event_bytes, _read_structured)
    if essence == BATCHED:
        return Plan(limits.max_batch_bytes, _read_batched)
    if essence == JSON:
        return Plan(limits.max_batch_bytes, _read_either)
    raise UnsupportedMediaType(
        f"Content-Type must be {STRUCTURED}, {BATCHED} or {JSON}, or the event must come in ce- headers"
    )


def _read_request(body: bytes, arrival: Arrival) -> Sequence[Event]:
    require_utf_8(body)
    return (read_request(body, arrival),)


def _read_structured(body: bytes, arrival: Arrival) -> Sequence[Event]:
    require_utf_8(body)
    return (read_event(body, arrival),)


def _read_batched(body: bytes, arrival: Arrival) -> Sequence[Event]:
    require_utf_8(body)
    return read_batch(body, arrival)


def _read_either(body: bytes, arrival: Arrival) -> Sequence[Event]:
    holds_array = body.lstrip(_JSON_WHITESPACE).startswith(b"[")
    return _read_batched(body, arrival) if holds_array else _read_structured(body, arrival)


def _read_binary(
    headers: Headers, media_type: MediaType | None, body: bytes, arrival: Arrival
) -> Sequence[Event]:
    return (read_binary(headers, media_type, body, arrival),)


def _answer_event(events: Sequence[Event], position: str) -> bytes:
    return answer_body(events[0])


def _answer_cloudevents(events: Sequence[Event], position: str) -> bytes:
    return _encode({"object": "ingest", "accepted": len(events), "position": position})


def _media_type(headers: Headers) -> MediaType | None:
    """The parsed Content-Type; None where there is none. One that cannot be read is no media type we know."""
    text = headers.get(b"content-type")
    if text is None:
        return None
    media_type = parse(text.decode("latin-1"))
    if media_type is None:
        raise UnsupportedMediaType("Content-Type is not a media type")
    return media_type


def _require_charset(media_type: MediaType | None) -> None:
    if media_type is not None and not media_type.is_utf_8:
        raise UnsupportedMediaType("JSON has to be UTF-8")


ROUTES: Final[Mapping[str, Route]] = {
    "/v0/events": Route(plan_event, _answer_event),
    "/api/v1/events": Route(plan_cloudevents, _answer_cloudevents),
}

PATHS: Final = frozenset(ROUTES)
