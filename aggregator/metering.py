"""What metrics make of first-seen events, laid out as blocks by month of event time.

The live fold and a backfill both come through here, so an event counts the same whenever it is counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from aggregator.extraction import Counting, extract, needs_data
from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.block import Block, MeteredColumns, MeteredGroup, Table
from meterhouse.domain.event import Facts
from meterhouse.domain.instant import DAY, Instant, month_of
from meterhouse.domain.matching import MISSING

T = TypeVar("T")
Parse = Callable[[bytes], object]
DefinitionsByType = Mapping[tuple[str, str], Sequence[Definition]]
_BY_MONTH = (Table.METERED_EVENTS, Table.ROLLUPS)


def by_type(definitions: Iterable[Definition]) -> DefinitionsByType:
    """Definitions under the (namespace, event type) they count, in an order that never varies."""
    found: defaultdict[tuple[str, str], list[Definition]] = defaultdict(list)
    for one in sorted(definitions, key=lambda one: (one.namespace, one.billable_metric_id, one.version)):
        if one.event_type is not None:
            found[one.namespace, one.event_type].append(one)
    return dict(found)


def fold_stored(
    facts: Facts, definition: Definition, *, partition: int, stream: str, last: int, parse: Parse
) -> list[Block]:
    """The blocks of one backfill chunk: what `definition` counts of events of its type, stored earlier."""
    [counting] = count([definition], facts, parse)
    groups = metered_groups(definition, facts, counting)
    return blocks_by_month(groups, partition=partition, stream=stream, mark=last)


def count(definitions: Sequence[Definition], facts: Facts, parse: Parse) -> list[Counting]:
    """What each definition makes of the events; their data is parsed once, and only if one looks at it."""
    data: Sequence[object] = ()
    if any(map(needs_data, definitions)):
        data = [_parsed(text, parse) for text in facts.data]
    return [extract(definition, facts, data) for definition in definitions]


def _parsed(text: bytes, parse: Parse) -> object:
    try:
        return parse(text)
    except (ValueError, RecursionError):
        return MISSING  # unusable data must not stop everybody else's events behind it


def metered_groups(
    definition: Definition, facts: Facts, counting: Counting
) -> list[tuple[int, MeteredGroup]]:
    if not counting.rows:
        return []
    times = picked(facts.times, counting.rows)
    whole = MeteredGroup(
        definition.namespace,
        definition.billable_metric_id,
        definition.version,
        definition.dimension_names,
        picked(facts.subjects, counting.rows),
        picked(facts.aliases, counting.rows),
        times,
        picked(facts.received_ats, counting.rows),
        picked(facts.offsets, counting.rows),
        counting.dimensions,
        counting.values,
        counting.unique_hashes,
        definition.aggregation is Aggregation.LATEST,
    )
    months = _rows_by_month(times)
    return [(month, _part(whole, rows)) for month, rows in months.items()]


def _rows_by_month(times: Sequence[Instant]) -> dict[int, Sequence[int]]:
    earliest, latest = month_of(min(times)), month_of(max(times))
    if earliest == latest:
        return {earliest: range(len(times))}
    month_of_day: dict[int, int] = {}
    found: defaultdict[int, list[int]] = defaultdict(list)
    for row, time in enumerate(times):
        month = month_of_day.get(time // DAY) or month_of_day.setdefault(time // DAY, month_of(time))
        found[month].append(row)
    return dict(found)


def _part(group: MeteredGroup, rows: Sequence[int]) -> MeteredGroup:
    if len(rows) == len(group):
        return group
    return MeteredGroup(
        group.namespace,
        group.billable_metric_id,
        group.version,
        group.dimension_names,
        picked(group.subjects, rows),
        picked(group.external_subjects, rows),
        picked(group.times, rows),
        picked(group.received_ats, rows),
        picked(group.offsets, rows),
        [picked(column, rows) for column in group.dimensions],
        picked(group.values, rows),
        picked(group.unique_hashes, rows),
        group.shows_latest,
    )


def blocks_by_month(
    groups: Iterable[tuple[int, MeteredGroup]], *, partition: int, stream: str, mark: int
) -> list[Block]:
    months: defaultdict[int, list[MeteredGroup]] = defaultdict(list)
    for month, group in groups:
        months[month].append(group)
    columns = {
        month: MeteredColumns(partition, tuple(sorted(months[month], key=_order))) for month in sorted(months)
    }
    return [Block(table, stream, month, mark, rows) for table in _BY_MONTH for month, rows in columns.items()]


def _order(group: MeteredGroup) -> tuple[str, str, int]:
    return group.namespace, group.billable_metric_id, group.version


def picked(column: list[T], rows: Sequence[int]) -> list[T]:
    return column if len(rows) == len(column) else [column[row] for row in rows]
