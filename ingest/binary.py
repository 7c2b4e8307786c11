"""CloudEvents in binary mode (HTTP binding 1.0.2, 3.1): attributes as `ce-` headers, data as the body."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from ingest.arrival import Arrival
from ingest.cloudevents import TOO_DEEP, event_of, not_json, too_large
from ingest.fields import invalid
from ingest.json_text import MAX_DEPTH, is_deeper
from ingest.media_type import MediaType
from meterhouse.adapters.http.errors import UnsupportedMediaType
from meterhouse.domain.errors import Invalid, Problem
from meterhouse.domain.event import Event

PREFIX: Final = b"ce-"

_QUOTED_PAIR: Final = re.compile(rb"\\(.)", re.DOTALL)
_NAME: Final = re.compile(r"[a-z0-9]+")

# Theirs is the body and the Content-Type header; as headers they would contradict it.
_IN_THE_MESSAGE: Final = frozenset({"data", "datacontenttype"})

_decode_raw: Final = msgspec.json.Decoder(msgspec.Raw).decode


def is_binary(headers: Mapping[bytes, bytes]) -> bool:
    return any(name.startswith(PREFIX) for name in headers)


def read_binary(
    headers: Mapping[bytes, bytes], media_type: MediaType | None, body: bytes, arrival: Arrival
) -> Event:
    """The event of those headers and that body; `media_type` is their Content-Type, None for none.

    Raises Invalid with every problem, Forbidden for another merchant's, TooLarge, UnsupportedMediaType.
    """
    given = {name: value for name, value in headers.items() if name.startswith(PREFIX)}
    if len(body) + sum(map(len, given)) + sum(map(len, given.values())) > arrival.limits.max_event_bytes:
        raise too_large(arrival)
    attributes = _attributes(given)
    if media_type is not None:
        attributes["datacontenttype"] = headers[b"content-type"].decode("latin-1").strip(" \t")
    data = b""
    if body:
        if _is_json(body, media_type):
            data = bytes(_decode_raw(body))
        else:
            attributes["data_base64"] = base64.b64encode(body).decode()
    return event_of(attributes, data, arrival, arrival.next_received_at())


def _attributes(given: Mapping[bytes, bytes]) -> dict[str, object]:
    attributes: dict[str, object] = {}
    problems: list[Problem] = []
    for header, value in given.items():
        name = header[len(PREFIX) :].decode("latin-1")
        if name in _IN_THE_MESSAGE:
            problems.append(Problem(name, "comes as body or Content-Type in binary mode", "reserved"))
        elif not _NAME.fullmatch(name):
            problems.append(
                Problem(
                    header.decode("latin-1"), "names are lower-case letters and digits", "unknown_attribute"
                )
            )
        else:
            try:
                attributes[name] = _unescaped(value).decode()
            except UnicodeDecodeError:
                problems.append(Problem(name, "is not UTF-8 after percent-decoding", "invalid_encoding"))
    if problems:
        raise invalid(problems)
    return attributes


def _unescaped(value: bytes) -> bytes:
    """Section 3.1.3.2: undo a quoted string, then percent-decode once."""
    value = value.strip(b" \t")
    if len(value) >= 2 and value[:1] == value[-1:] == b'"':
        value = _QUOTED_PAIR.sub(rb"\1", value[1:-1])
    return unquote_to_bytes(value)


def _is_json(body: bytes, media_type: MediaType | None) -> bool:
    """Whether the body is kept as JSON; without a Content-Type it is if it can be.

    Raises Invalid for a body that says it is JSON and is not, UnsupportedMediaType for JSON in another
    encoding than UTF-8.
    """
    if media_type is not None and not media_type.is_json:
        return False
    if media_type is not None and not media_type.is_utf_8:
        raise UnsupportedMediaType("JSON has to be UTF-8")
    if is_deeper(body, MAX_DEPTH):
        if media_type is None:
            return False
        raise Invalid.field("body", TOO_DEEP, "too_deep")
    try:
        body.decode()
        _decode_raw(body)
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        if media_type is None:
            return False
        raise not_json(error) from error
    return True
