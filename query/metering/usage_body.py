"""The usage answer: which cells are shown, in which order (contract 3.2 and 10.2, decision 26)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from operator import itemgetter

import msgspec

from meterhouse.domain.billable_metric import Aggregation, Definition
from meterhouse.domain.instant import render
from meterhouse.domain.matching import plain
from meterhouse.domain.rollup import Numerals
from meterhouse.domain.usage import Cells, GroupTotal, Usage
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
        "totalValue": msgspec.Raw(exact(usage.total.value(aggregation))),
    }
    groups = ranked(usage.groups, aggregation)
    shown = groups if page is None else groups[page.offset : page.offset + page.limit]
    if window_size is not None:
        cells = only(usage.cells, None if page is None else {one.group for one in shown})
        values = _texts(cells.readings.values(aggregation))
        body["windowedValues"] = _windowed(cells.windows, values)
        if group_by:
            body["groupedValues"] = _grouped(group_by, cells.groups, values, cells.readings.counts)
    elif group_by:
        values = [plain(one.reading.value(aggregation)) for one in shown]
        counts = [one.reading.count for one in shown]
        body["groupedValues"] = _grouped(group_by, [one.group for one in shown], values, counts)
    if page is not None:
        body["groupCount"] = len(groups)
    return body


def ranked(groups: tuple[GroupTotal, ...], aggregation: Aggregation) -> list[GroupTotal]:
    """By value over the whole period, descending, then by dimension text."""
    return sorted(groups, key=lambda one: (one.reading.value(aggregation).copy_negate(), one.group))


def only(cells: Cells, groups: set[Group] | None) -> Cells:
    """Those of the groups, where any are given."""
    return cells if groups is None else Cells.of([cell for cell in cells if cell.group in groups])


# An answer has tens of thousands of cells: as objects to encode they would take four times as long.


def _texts(values: Sequence[Decimal]) -> Sequence[str]:
    return values.texts if isinstance(values, Numerals) else list(map(plain, values))


def _windowed(windows: Sequence[Window | None], values: Sequence[str]) -> msgspec.Raw:
    rows: list[str] = []
    for window, run in groupby(zip(windows, values, strict=True), itemgetter(0)):
        assert window is not None, "windows were asked for"
        head = _open({"windowStart": render(window.start), "windowEnd": render(window.end)})
        rows += [f'{head},"value":{value}}}' for _, value in run]
    return _array(rows)


def _grouped(
    group_by: Group, groups: Sequence[Group], values: Sequence[str], counts: Sequence[int]
) -> msgspec.Raw:
    heads = {group: _open({"groupBy": dict(zip(group_by, group, strict=True))}) for group in set(groups)}
    rows = zip(groups, values, counts, strict=True)
    return _array([f'{heads[group]},"value":{value},"eventCount":{count}}}' for group, value, count in rows])


def _open(fields: Mapping[str, object]) -> str:
    """A JSON object of these fields that more may follow in."""
    return msgspec.json.encode(fields).decode().removesuffix("}")


def _array(rows: Sequence[str]) -> msgspec.Raw:
    return msgspec.Raw(f"[{','.join(rows)}]".encode())
