"""The answer to a question about usage as a table: a row a window and group."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from meterhouse.adapters.tables import Column, Kind
from meterhouse.domain.matching import plain
from meterhouse.domain.rollup import EXACT, Reading
from meterhouse.domain.window import Window
from query.metering.usage_answer import Figures, UsageAnswer, window_of
from query.metering.usage_asked import UsageAsked, moment
from query.metering.usage_groups import Group


class _Row(NamedTuple):
    window: Window | None
    group: Group
    is_other: bool
    reading: Reading
    previous: Reading | None


def usage_table(answer: UsageAnswer, asked: UsageAsked) -> list[Column]:
    """Columns `windowStart`, `windowEnd`, the groups' names, `other`, `value`, `eventCount` and the period
    before, as far as they were asked for. Without windows and groups it is one row.
    """
    rows = list(_rows(answer, asked))
    aggregation = answer.definition.aggregation
    columns: list[Column] = []
    if asked.window_size is not None:
        windows = [row.window for row in rows if row.window is not None]
        columns.append(_instants("windowStart", [window.start for window in windows], asked))
        columns.append(_instants("windowEnd", [window.end for window in windows], asked))
    for place, name in enumerate(asked.group_by):
        columns.append(Column(name, Kind.TEXT, [row.group[place] for row in rows]))
    if answer.other is not None:
        others = [row.is_other for row in rows]
        columns.append(Column("other", Kind.BOOL, others, [str(one).lower() for one in others]))
    values = [row.reading.value(aggregation) for row in rows]
    columns.append(_decimals("value", values))
    columns.append(Column("eventCount", Kind.COUNT, [row.reading.count for row in rows]))
    if answer.before is not None and asked.window_size is None:
        past = [(row.previous or Reading()).value(aggregation) for row in rows]
        columns.append(_decimals("previousValue", past))
        changes = [EXACT.subtract(now, then) for now, then in zip(values, past, strict=True)]
        columns.append(_decimals("change", changes))
    return columns


def _rows(answer: UsageAnswer, asked: UsageAsked) -> Iterator[_Row]:
    if answer.page is None:
        yield from _of(answer.whole, (), asked)
    for group, figures in answer.groups.items():
        yield from _of(figures, group, asked)
    if answer.other is not None:
        yield from _of(answer.other, ("",) * len(asked.group_by), asked, is_other=True)


def _of(figures: Figures, group: Group, asked: UsageAsked, *, is_other: bool = False) -> Iterator[_Row]:
    if asked.window_size is None:
        yield _Row(None, group, is_other, figures.reading, figures.previous)
    for cell in figures.cells:
        yield _Row(window_of(cell), group, is_other, cell.reading, None)


def _instants(name: str, instants: list[int], asked: UsageAsked) -> Column:
    texts = [moment(asked.time_zone, instant) for instant in instants]
    return Column(name, Kind.INSTANT, instants, texts, asked.time_zone.key)


def _decimals(name: str, values: list[Decimal]) -> Column:
    return Column(name, Kind.DECIMAL, values, [plain(value) for value in values])
