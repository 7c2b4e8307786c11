"""The usage answer: which cells are shown, in which order (contract 3.2 and 10.2, decision 26)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.instant import render
from meterhouse.domain.usage import GroupTotal, Usage, UsageCell
from meterhouse.domain.window import WindowSize
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
        "totalValue": msgspec.Raw(exact(usage.total.value(aggregation))),
    }
    groups = ranked(usage.groups, aggregation)
    shown = groups if page is None else groups[page.offset : page.offset + page.limit]
    if window_size is not None:
        cells = only(usage.cells, None if page is None else {one.group for one in shown})
        values = [exact(cell.reading.value(aggregation)) for cell in cells]
        body["windowedValues"] = _windowed(cells, values)
        if group_by:
            body["groupedValues"] = _grouped(group_by, cells, values)
    elif group_by:
        values = [exact(one.reading.value(aggregation)) for one in shown]
        body["groupedValues"] = _grouped(group_by, shown, values)
    if page is not None:
        body["groupCount"] = len(groups)
    return body


def ranked(groups: tuple[GroupTotal, ...], aggregation: Aggregation) -> list[GroupTotal]:
    """By value over the whole period, descending, then by dimension text."""
    return sorted(groups, key=lambda one: (one.reading.value(aggregation).copy_negate(), one.group))


def only(cells: Sequence[UsageCell], groups: set[Group] | None) -> Sequence[UsageCell]:
    """Those of the groups, where any are given."""
    return cells if groups is None else [cell for cell in cells if cell.group in groups]


# An answer has tens of thousands of cells: as objects to encode they would take four times as long.


def _windowed(cells: Sequence[UsageCell], values: Sequence[bytes]) -> msgspec.Raw:
    window, head = None, b""
    rows: list[bytes] = []
    for cell, value in zip(cells, values, strict=True):
        if cell.window is not window:  # many cells share one
            window = cell.window
            assert window is not None, "windows were asked for"
            bounds = {"windowStart": render(window.start), "windowEnd": render(window.end)}
            head = _open(bounds)
        rows.append(b'%b,"value":%b}' % (head, value))
    return _array(rows)


def _grouped(
    group_by: Group, cells: Sequence[UsageCell | GroupTotal], values: Sequence[bytes]
) -> msgspec.Raw:
    heads = {
        group: _open({"groupBy": dict(zip(group_by, group, strict=True))})
        for group in {cell.group for cell in cells}
    }
    return _array(
        [
            b'%b,"value":%b,"eventCount":%d}' % (heads[cell.group], value, cell.reading.count)
            for cell, value in zip(cells, values, strict=True)
        ]
    )


def _open(fields: Mapping[str, object]) -> bytes:
    """A JSON object of these fields that more may follow in."""
    return msgspec.json.encode(fields).removesuffix(b"}")


def _array(rows: Sequence[bytes]) -> msgspec.Raw:
    return msgspec.Raw(b"[%b]" % b",".join(rows))
