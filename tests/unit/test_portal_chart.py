"""Bars of a page's chart, and the days that they stand for."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import pytest

from meterhouse.domain.instant import DAY, HOUR, Instant, parse
from meterhouse.domain.window import Window
from query.portal.chart import HEIGHT, chart_of
from query.portal.days import UsageByDay, cuts_of

_MAY: Final = parse("2026-05-01T00:00:00Z")


def _usage(*values: str, start: Instant = _MAY, end: Instant = _MAY + 4 * DAY) -> UsageByDay:
    span = Window(start, end)
    cuts = cuts_of(span, start - start % DAY + len(values) * DAY)
    return UsageByDay("Pages", "page", span, cuts, tuple(map(Decimal, values)))


def test_days_are_cut_at_midnight_and_at_both_ends() -> None:
    start, end = _MAY + 6 * HOUR, _MAY + 2 * DAY + HOUR
    assert cuts_of(Window(start, end), end) == (start, _MAY + DAY, _MAY + 2 * DAY, end)
    assert cuts_of(Window(start, end), start + HOUR) == (start, start + HOUR)
    assert cuts_of(Window(_MAY, _MAY + DAY), end) == (_MAY, _MAY + DAY)


def test_the_greatest_day_is_as_high_as_the_drawing() -> None:
    chart = chart_of(_usage("1", "4", "0", "2"))
    assert [(bar.y, bar.height) for bar in chart.bars] == [(750, 250), (0, 1000), (1000, 0), (500, 500)]
    assert (chart.zero, chart.greatest, chart.has_usage) == (HEIGHT, "4", True)


def test_days_that_are_yet_to_come_have_their_place() -> None:
    chart = chart_of(_usage("1", "2"))
    assert (len(chart.bars), chart.width) == (2, 400)
    assert (chart.first, chart.last) == ("1 May 2026", "4 May 2026")


def test_corrections_go_down_from_the_line_at_zero() -> None:
    chart = chart_of(_usage("3", "-1"))
    assert chart.zero == 750
    assert [(bar.y, bar.height) for bar in chart.bars] == [(0, 750), (750, 250)]


def test_what_is_little_is_seen() -> None:
    tiny, huge = chart_of(_usage("0.000000000000000001", "1e20")).bars
    assert tiny.height > 0
    assert (tiny.value, huge.value) == ("0.000000000000000001", "100,000,000,000,000,000,000")


@pytest.mark.parametrize("values", [(), ("0", "0")])
def test_nothing_is_no_usage(values: tuple[str, ...]) -> None:
    assert not chart_of(_usage(*values)).has_usage
