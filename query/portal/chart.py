"""Usage by day as bars: whole numbers of a drawing that is stretched to whatever width there is."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from meterhouse.domain.instant import Instant
from query.page_words import day_of, grouped
from query.portal.days import UsageByDay, cuts_of

HEIGHT: Final = 1_000
SLOT: Final = 100  # the width of a day, of which a bar takes the middle
BAR: Final = SLOT * 3 // 4
_LEAST: Final = 12  # of the height, so that what is little is not taken for nothing


@dataclass(frozen=True, slots=True)
class Bar:
    """A day: where it is in the drawing, and what it says in a table."""

    x: int
    y: int
    height: int
    day: str
    value: str
    is_some: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """All days of the period, also those that are yet to come. `zero` is the height of the line at 0."""

    name: str
    unit: str
    width: int
    zero: int
    bars: tuple[Bar, ...]
    first: str
    last: str
    greatest: str
    has_usage: bool


def chart_of(usage: UsageByDay) -> Chart:
    """The bars of the days: up from the line at 0, down from it where corrections outweigh usage."""
    cuts = cuts_of(usage.span, usage.span.end)
    top, bottom = max([*usage.values, Decimal(0)]), min([*usage.values, Decimal(0)])
    scale = (top - bottom) or Decimal(1)
    zero = _share(top, scale)
    days = enumerate(zip(usage.cuts[:-1], usage.values, strict=True)) if usage.values else ()
    bars = [_bar(number, start, value, scale, zero) for number, (start, value) in days]
    return Chart(
        name=usage.name,
        unit=usage.unit,
        width=SLOT * max(len(cuts) - 1, 1),
        zero=zero,
        bars=tuple(bars),
        first=day_of(usage.span.start),
        last=day_of(usage.span.end - 1),
        greatest=grouped(top),
        has_usage=any(usage.values),
    )


def _bar(number: int, start: Instant, value: Decimal, scale: Decimal, zero: int) -> Bar:
    height = max(_share(abs(value), scale), _LEAST) if value else 0
    return Bar(
        x=number * SLOT + SLOT // 8,
        y=zero if value < 0 else max(zero - height, 0),
        height=height,
        day=day_of(start),
        value=grouped(value),
        is_some=bool(value),
    )


def _share(value: Decimal, scale: Decimal) -> int:
    """How high the value is in the drawing."""
    return int(value * HEIGHT // scale)
