"""Events read back: those that a billable metric counted, and one by its id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Final

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.usage_sql import BOUND_TO_VERSION, version_parameters
from meterhouse.adapters.cloudevents_json import event_from_parts
from meterhouse.domain.event import Event, IdHash, id_hash
from meterhouse.domain.event_search import EventLookup
from meterhouse.domain.position import Position
from meterhouse.domain.usage import EventPage, EventPageQuestion, Repeat, StoredEvent

MAX_STORED: Final = 100  # events that one id finds, and repeats listed of each

_COLUMNS: Final = """
    log_partition, log_offset, id_hash, disposition, namespace, source, id, type, subject, external_subject,
    external_id, toUnixTimestamp64Micro(time) AS at, toUnixTimestamp64Micro(received_at) AS received,
    data, attributes
"""

# The same record may lie there twice until parts merge, both times the same.
_ONCE: Final = "LIMIT 1 BY log_partition, log_offset"

_AT_PLACES: Final = f"""
SELECT {_COLUMNS} FROM events
WHERE namespace = {{namespace:String}}
  AND (log_partition, log_offset) IN {{places:Array(Tuple(UInt32, UInt64))}}
{_ONCE}
"""  # noqa: S608 # constants only

_BY_ID: Final = f"""
SELECT {_COLUMNS} FROM events
WHERE namespace = {{namespace:String}} AND id = {{id:String}}
ORDER BY source, received_at DESC, log_partition DESC, log_offset DESC
LIMIT 1 BY source
LIMIT {MAX_STORED}
"""  # noqa: S608 # constants only

_FIRST_SEEN: Final = """
SELECT log_partition, log_offset FROM event_ids WHERE id_hash IN {id_hashes:Array(UInt128)}
ORDER BY log_partition, log_offset LIMIT 1 BY id_hash
"""

# Repeats whose payload differs come first, so that a thousand plain retries do not hide a conflict.
_REPEATS: Final = f"""
SELECT id_hash, log_partition, log_offset, received, payload, count() OVER (PARTITION BY id_hash) AS repeats
FROM (
    SELECT id_hash, log_partition, log_offset, toUnixTimestamp64Micro(received_at) AS received, payload
    FROM event_repeats
    WHERE id_hash IN {{id_hashes:Array(UInt128)}}
    LIMIT 1 BY id_hash, log_partition, log_offset
)
ORDER BY payload = '', received, log_partition, log_offset
LIMIT {MAX_STORED} BY id_hash
"""  # noqa: S608 # constants only

_RAW: Final[dict[str, str | dict[str, str]]] = {"data": "bytes", "attributes": "bytes", "payload": "bytes"}

# When it was received, then its place.
_RECEIVED: Final = itemgetter(12, 0, 1)

Place = tuple[int, int]


def event_page(client: Client, question: EventPageQuestion, settings: Mapping[str, object]) -> EventPage:
    """One page of the events that the definition counts, and how many there are in all.

    Keys first, then only the page's own rows: payloads are most of what an event weighs.
    """
    if question.period.start >= question.period.end:
        return EventPage((), 0)
    conditions, parameters = _conditions(question)
    source = f"FROM metered_events WHERE {' AND '.join(conditions)}"
    page = f"""
        SELECT log_partition, log_offset {source}
        ORDER BY time DESC, received_at DESC, log_partition DESC, log_offset DESC
        LIMIT {{limit:UInt64}} OFFSET {{offset:UInt64}}
    """
    limits = dict(settings)
    total = client.query(f"SELECT count() {source}", parameters, settings=limits).result_rows[0][0]
    bounds = {"limit": question.limit, "offset": question.offset}
    places = client.query(page, parameters | bounds, settings=limits).result_rows
    found = _events_at(client, question.definition.namespace, places)
    return EventPage(tuple([found[row] for row in map(tuple, places) if row in found]), total)


def stored_events(client: Client, asked: EventLookup) -> tuple[StoredEvent, ...]:
    """By source, each with its repeats."""
    namespace, id, source = asked.namespace, asked.id, asked.source
    if source is None:
        parameters = {"namespace": namespace, "id": id}
        rows = client.query(_BY_ID, parameters, column_formats=_RAW).result_rows
    else:
        hashes = [id_hash(namespace, source, id, one) for one in asked.tombstones.instants()]
        places = client.query(_FIRST_SEEN, {"id_hashes": hashes}).result_rows
        rows = sorted(_rows_at(client, namespace, places), key=_RECEIVED)[-1:]
    repeats = _repeats(client, [row[2] for row in rows])
    return tuple([_stored(row, *repeats.get(row[2], ((), 0))) for row in rows])


def stored_at(client: Client, namespace: str, places: Sequence[Place]) -> tuple[StoredEvent, ...]:
    """The namespace's events at these places of the log, in their order, each with its repeats."""
    rows = {(row[0], row[1]): row for row in _rows_at(client, namespace, places)}
    found = [rows[place] for place in places if place in rows]
    repeats = _repeats(client, [row[2] for row in found])  # type: ignore[misc] # the statement's third column is the hash
    return tuple([_stored(row, *repeats.get(row[2], ((), 0))) for row in found])  # type: ignore[call-overload] # as above


def places_of(rows: Sequence[Sequence[int]]) -> list[Place]:
    """Rows of partition and offset."""
    return [(partition, offset) for partition, offset in rows]


def _conditions(question: EventPageQuestion) -> tuple[list[str], dict[str, object]]:
    definition, period = question.definition, question.period
    conditions = [
        BOUND_TO_VERSION,
        "time >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')",
        "time < fromUnixTimestamp64Micro({end:Int64}, 'UTC')",
    ]
    parameters = version_parameters(definition) | {"start": period.start, "end": period.end}
    if question.subject is not None:
        own = "subject = {subject:String}"
        parameters["subject"] = question.subject
        if question.linked is not None:
            own = f"({own} OR subject = '' AND external_subject = {{linked:String}})"
            parameters["linked"] = question.linked
        conditions.append(own)
    if question.external_subject is not None:
        conditions.append("external_subject = {external_subject:String}")
        parameters["external_subject"] = question.external_subject
    if question.external_id is not None:
        conditions.append(
            "(log_partition, log_offset) IN (SELECT log_partition, log_offset FROM events"
            " WHERE namespace = {namespace:String} AND external_id = {external_id:String})"
        )
        parameters["external_id"] = question.external_id
    return conditions, parameters


def _rows_at(client: Client, namespace: str, places: Sequence[Sequence[int]]) -> Sequence[Sequence[object]]:
    if not places:
        return []
    parameters = {"namespace": namespace, "places": list(places)}
    return client.query(_AT_PLACES, parameters, column_formats=_RAW).result_rows


def _events_at(client: Client, namespace: str, places: Sequence[Sequence[int]]) -> dict[Place, Event]:
    return {(row[0], row[1]): _event(row) for row in _rows_at(client, namespace, places)}  # type: ignore[misc] # the statement's first columns are integers


def _event(row: Sequence[object]) -> Event:
    names = ("namespace", "source", "id", "type", "subject", "external_subject", "external_id")
    times = ("time", "received_at")
    texts = ("data", "attributes")
    return event_from_parts(**dict(zip((*names, *times, *texts), row[4:], strict=True)))  # type: ignore[arg-type] # the statement's columns are the parts


def _repeats(client: Client, id_hashes: Iterable[IdHash]) -> dict[IdHash, tuple[tuple[Repeat, ...], int]]:
    """For each identity its repeats, oldest first, at most MAX_STORED of them, and their full number."""
    asked = list(id_hashes)
    if not asked:
        return {}
    listed: dict[IdHash, list[Repeat]] = defaultdict(list)
    counts: dict[IdHash, int] = {}
    rows = client.query(_REPEATS, {"id_hashes": asked}, column_formats=_RAW).result_rows
    for identity, partition, offset, received_at, payload, count in rows:
        listed[identity].append(Repeat(received_at, Position(partition, offset + 1), payload))
        counts[identity] = count
    order = attrgetter("received_at", "position")
    return {identity: (tuple(sorted(ones, key=order)), counts[identity]) for identity, ones in listed.items()}


def _stored(row: Sequence[object], repeats: tuple[Repeat, ...], count: int) -> StoredEvent:
    partition, offset, _, disposition, *_ = row
    assert isinstance(partition, int)
    assert isinstance(offset, int)
    return StoredEvent(_event(row), Position(partition, offset + 1), str(disposition), repeats, count)
