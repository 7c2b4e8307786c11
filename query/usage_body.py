"""The usage answer: which cells are shown, in which order (contract 3.2 and 10.2, decision 26)."""

from __future__ import annotations

from dataclasses import dataclass

from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.instant import render
from meterhouse.domain.rollup import Reading
from meterhouse.domain.usage import GroupTotal, Usage, UsageCell
from meterhouse.domain.window import Window, WindowSize
from query.answers import exact

Group = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupPage:
    """The groups in places [offset, offset + limit) by value, largest first."""

    limit: int
    offset: int


def usage_body(
    definition: Definition,
    usage: Usage,
    window_size: WindowSize | None,
    group_by: Group,
    page: GroupPage | None,
) -> dict[str, object]:
    """The JSON of `usage`. The total covers every group, shown or not."""
    aggregation = definition.aggregation
    body: dict[str, object] = {
        "object": "meter",
        "billableMetricId": definition.billable_metric_id,
        "totalValue": exact(usage.total.value(aggregation)),
    }
    groups = ranked(usage.groups, aggregation)
    shown = groups if page is None else groups[page.offset : page.offset + page.limit]
    if window_size is not None:
        cells = in_order(usage.cells, None if page is None else {one.group for one in shown})
        body["windowedValues"] = _windowed(cells, aggregation)
        if group_by:
            body["groupedValues"] = [
                _grouped(group_by, cell.group, cell.reading, aggregation) for cell in cells
            ]
    elif group_by:
        body["groupedValues"] = [_grouped(group_by, one.group, one.reading, aggregation) for one in shown]
    if page is not None:
        body["groupCount"] = len(groups)
    return body


def ranked(groups: tuple[GroupTotal, ...], aggregation: Aggregation) -> list[GroupTotal]:
    """By value over the whole period, descending, then by dimension text."""
    return sorted(groups, key=lambda one: (one.reading.value(aggregation).copy_negate(), one.group))


def in_order(cells: tuple[UsageCell, ...], only: set[Group] | None) -> list[UsageCell]:
    """By window, then by dimension text; `only` these groups, where given."""
    kept = cells if only is None else [cell for cell in cells if cell.group in only]
    return sorted(kept, key=lambda cell: (_window(cell), cell.group))


def _window(cell: UsageCell) -> Window:
    assert cell.window is not None, "windows were asked for"
    return cell.window


def _windowed(cells: list[UsageCell], aggregation: Aggregation) -> list[dict[str, object]]:
    texts: dict[Window, tuple[str, str]] = {}  # many cells share a window
    values: list[dict[str, object]] = []
    for cell in cells:
        window = _window(cell)
        if window not in texts:
            texts[window] = render(window.start), render(window.end)
        start, end = texts[window]
        value = exact(cell.reading.value(aggregation))
        values.append({"windowStart": start, "windowEnd": end, "value": value})
    return values


def _grouped(group_by: Group, group: Group, reading: Reading, aggregation: Aggregation) -> dict[str, object]:
    return {
        "groupBy": dict(zip(group_by, group, strict=True)),
        "value": exact(reading.value(aggregation)),
        "eventCount": reading.count,
    }
