"""Events found by what they are and by what became of them.

What became of an event is asked of `metered_events`, where the fold has put every event that counted; no
definition is applied a second time here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.binding import Binding
from meterhouse.adapters.clickhouse.events import places_of, stored_at
from meterhouse.adapters.clickhouse.window_sql import window_start, windows_by_start
from meterhouse.domain.disposition import Disposition
from meterhouse.domain.event_search import (
    DUPLICATE,
    EVER,
    TEXT_COLUMNS,
    EventCount,
    EventFilter,
    EventSearch,
    EventStatistics,
)
from meterhouse.domain.usage import StoredEvent
from meterhouse.domain.window import Window

_PLACE: Final = "log_partition, log_offset"

# What is put in below are these constants' like and bound names, nothing of a question.
_PAGE: Final = """
SELECT {place} FROM events WHERE {conditions}
ORDER BY received_at DESC, log_partition DESC, log_offset DESC
LIMIT 1 BY {place} LIMIT {limit}
"""
_COUNTS: Final = """
SELECT {start} AS window, type, {disposition} AS became, count() AS events
FROM events FINAL WHERE {conditions} GROUP BY window, type, became
"""
_REPEATS: Final = """
UNION ALL
SELECT {start} AS window, type, '{duplicate}' AS became, count() AS events
FROM (
    SELECT received_at, first_partition AS log_partition, first_offset AS log_offset
    FROM event_repeats FINAL WHERE {received}
) AS repeats
INNER JOIN (SELECT {place}, type FROM events FINAL WHERE {first}) AS firsts USING ({place})
GROUP BY window, type
"""
_ORDERED: Final = "SELECT window, type, became, events FROM ({counts}) ORDER BY window, type, became"
_METERED: Final = "SELECT {place} FROM metered_events WHERE {conditions}"


def found_events(
    client: Client, search: EventSearch, settings: Mapping[str, object]
) -> tuple[StoredEvent, ...]:
    """The events of one page, newest first. Places first, then only the page's own rows: payloads are big."""
    binding = Binding()
    conditions = _conditions(search.filter, binding)
    before = search.before
    if before is not None:
        at = _instant(before.received_at, binding)
        partition, offset = binding.bind(before.partition, "UInt32"), binding.bind(before.offset, "UInt64")
        conditions.append(f"received_at <= {at}")
        conditions.append(f"(received_at, {_PLACE}) < ({at}, {partition}, {offset})")
    text = _PAGE.format(
        place=_PLACE, conditions=" AND ".join(conditions), limit=binding.bind(search.limit, "UInt64")
    )
    rows = client.query(text, binding.parameters, settings=dict(settings)).result_rows
    return stored_at(client, search.filter.namespace, places_of(rows))


def event_counts(
    client: Client, asked: EventStatistics, settings: Mapping[str, object]
) -> tuple[EventCount, ...]:
    """Counts by window, type and disposition, in this order; those of repeats among them."""
    binding = Binding()
    start = window_start("received_at", asked.window_size, asked.local_windows, binding)
    counts = _COUNTS.format(
        start=start,
        disposition=_disposition(asked.filter, binding),
        conditions=" AND ".join(_conditions(asked.filter, binding)),
    )
    if asked.filter.disposition is None:
        counts += _REPEATS.format(
            start=start,
            duplicate=DUPLICATE,
            place=_PLACE,
            received=" AND ".join(_within("received_at", asked.filter.received, binding)) or "true",
            # under what their first event is, whenever that was received
            first=" AND ".join(_conditions(replace(asked.filter, received=EVER), binding)),
        )
    text = _ORDERED.format(counts=counts)
    rows = client.query(text, binding.parameters, settings=dict(settings)).result_rows
    windows = windows_by_start({row[0] for row in rows}, asked.window_size, asked.local_windows)
    return tuple([EventCount(windows.get(start), *rest) for start, *rest in rows])


def _conditions(filter: EventFilter, binding: Binding) -> list[str]:
    """Which rows of `events`."""
    conditions = [f"namespace = {binding.text(filter.namespace)}"]
    for column, texts in filter.texts.items():
        assert column in TEXT_COLUMNS
        conditions.append(f"{column} IN {binding.bind(list(texts), 'Array(String)')}")
    conditions += _within("received_at", filter.received, binding)
    conditions += _within("time", filter.time, binding)
    if filter.counted_by is not None:
        one = (filter.counted_by.billable_metric_id, filter.counted_by.version)
        conditions.append(_counted(filter, [one], binding))
    if filter.disposition is not None and filter.tombstones:
        hidden = _hidden(filter, binding)
        conditions.append(hidden if filter.disposition is Disposition.HIDDEN else f"NOT {hidden}")
    match filter.disposition:
        case Disposition.COUNTED:
            conditions.append(_counted(filter, _versions(filter), binding))
        case Disposition.UNUSABLE:
            conditions.append(
                f"{_concerned(filter, binding)} AND NOT {_counted(filter, _versions(filter), binding)}"
            )
        case Disposition.UNMATCHED:
            conditions.append(f"NOT {_concerned(filter, binding)}")
        case Disposition.HIDDEN if not filter.tombstones:
            conditions.append("false")
    return conditions


def _hidden(filter: EventFilter, binding: Binding) -> str:
    """Whether a tombstone hides the event."""
    tombstones = filter.tombstones
    last = binding.bind(tombstones.since, "Int64")
    own = tombstones.lasting
    if own:
        series = binding.bind(["\n".join(whose) for whose in own], "Array(String)")
        instants = binding.bind(list(own.values()), "Array(Int64)")
        whose = "concat(subject, '\n', if(subject = '', external_subject, ''))"
        last = f"transform({whose}, {series}, {instants}, {last})"
    return f"(toUnixTimestamp64Micro(received_at) < {last})"


def _disposition(filter: EventFilter, binding: Binding) -> str:
    concerned, counted = _concerned(filter, binding), _counted(filter, _versions(filter), binding)
    hidden = f"{_hidden(filter, binding)}, '{Disposition.HIDDEN.value}', " if filter.tombstones else ""
    return (
        f"multiIf({hidden}NOT {concerned}, '{Disposition.UNMATCHED.value}',"
        f" {counted}, '{Disposition.COUNTED.value}', '{Disposition.UNUSABLE.value}')"
    )


def _versions(filter: EventFilter) -> list[tuple[str, int]]:
    return [(one.billable_metric_id, one.version) for one in filter.definitions]


def _counted(filter: EventFilter, versions: Sequence[tuple[str, int]], binding: Binding) -> str:
    """Whether one of these metric versions counted the event."""
    conditions = [
        f"namespace = {binding.text(filter.namespace)}",
        f"(billable_metric_id, version) IN {binding.bind(list(versions), 'Array(Tuple(String, UInt32))')}",
        *_within("received_at", filter.received, binding),
        *_within("time", filter.time, binding),
    ]
    return f"(({_PLACE}) IN ({_METERED.format(place=_PLACE, conditions=' AND '.join(conditions))}))"


def _concerned(filter: EventFilter, binding: Binding) -> str:
    """Whether some definition counts events of that type and time."""
    found = []
    for one in filter.definitions:
        if one.event_type is None:
            continue
        condition = f"type = {binding.text(one.event_type)}"
        if one.event_from is not None:
            condition += f" AND time >= {_instant(one.event_from, binding)}"
        found.append(f"({condition})")
    return f"({' OR '.join(found) or 'false'})"


def _within(column: str, window: Window, binding: Binding) -> list[str]:
    if window == EVER:
        return []
    return [f"{column} >= {_instant(window.start, binding)}", f"{column} < {_instant(window.end, binding)}"]


def _instant(at: int, binding: Binding) -> str:
    return f"fromUnixTimestamp64Micro({binding.bind(at, 'Int64')}, 'UTC')"
