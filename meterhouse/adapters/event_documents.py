"""Events as documents that a person reads, and where two of them differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from typing import Final

from meterhouse.adapters.cloudevents_json import decode_columns, event_of_columns, parse_data
from meterhouse.domain import instant as instants
from meterhouse.domain.event import Event
from meterhouse.domain.matching import MISSING
from meterhouse.ports.log import LogRecord
from meterhouse.telemetry.spans import TRACE_CONTEXT

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_]+")


def document_of(event: Event) -> dict[str, object]:
    """The CloudEvent as it was accepted, its data parsed; data that cannot be parsed stays text."""
    document: dict[str, object] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": instants.render(event.time),
    }
    optional = {
        "subject": event.subject,
        "externalsubject": event.external_subject,
        "externalid": event.external_id,
    }
    document.update({name: text for name, text in optional.items() if text})
    document.update(event.attributes)
    if event.data:
        try:
            document["data"] = parse_data(event.data)
        except ValueError:
            document["data"] = event.data.decode(errors="replace")
    return document


def differences(first: Event, payload: bytes) -> list[str]:
    """The JSON paths at which the stored payload of a repeat differs from the first event, sorted.

    Values are compared, not text: 1 equals 1.0 and the order of keys does not matter. The time does not
    count where the repeat has only the one that the server gave it, and in which trace it was sent never.
    """
    columns, refused = decode_columns(0, [LogRecord(0, first.received_at, payload)])
    if refused:
        return ["$"]
    repeat = event_of_columns(columns, 0)
    ours, theirs = document_of(first), document_of(repeat)
    for document, name in product((ours, theirs), TRACE_CONTEXT):
        document.pop(name, None)
    if repeat.time == repeat.received_at:
        del ours["time"], theirs["time"]
    return sorted(_differing("$", ours, theirs))


def _differing(path: str, one: object, other: object) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            step = f".{key}" if _PLAIN_NAME.fullmatch(key) else f"[{json.dumps(key, ensure_ascii=False)}]"
            yield from _differing(path + step, one.get(key, MISSING), other.get(key, MISSING))
    elif isinstance(one, list) and isinstance(other, list):
        for index in range(max(len(one), len(other))):
            yield from _differing(f"{path}[{index}]", _item(one, index), _item(other, index))
    elif isinstance(one, bool) or isinstance(other, bool):
        if one is not other:  # True == 1 in Python
            yield path
    elif one != other:
        yield path


def _item(items: list[object], index: int) -> object:
    return items[index] if index < len(items) else MISSING
