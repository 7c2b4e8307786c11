"""Calendar windows of a time zone, whose days may have 23 or 25 hours.

A window begins when the clock on the wall first shows its beginning. Where clocks skip that moment, it
begins with the skip; where they are turned back over it, the hour that comes again belongs to the later
window. Hours go by the clock too: an hour that comes twice is two windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise

from meterhouse.domain.instant import (
    EARLIEST,
    HOUR,
    MINUTE,
    SECOND,
    Instant,
    from_datetime,
    to_datetime,
)
from meterhouse.domain.window import Window, WindowSize

_DAY = timedelta(days=1)


def windows_in(size: WindowSize, zone: tzinfo, period: Window) -> tuple[Window, ...]:
    """The windows of `zone` that have a part in `period`, whole and in order; none of an empty period."""
    if period.start >= period.end:
        return ()
    return tuple(
        Window(start, end)
        for start, end in pairwise(_starts(size, zone, period))
        if end > period.start and start < period.end
    )


def period_before(zone: tzinfo, period: Window) -> Window:
    """The one that ends where `period` starts: as many whole months, or days, if it is made of them; else as
    long.
    """
    for size in (WindowSize.MONTH, WindowSize.DAY):
        windows = windows_in(size, zone, period)
        if windows and Window(windows[0].start, windows[-1].end) == period:
            day = _local_date(zone, period.start)
            for _ in windows:
                day = _first_day(size, day - _DAY)
            return _since(_midnight(zone, day), period.start)
    return _since(2 * period.start - period.end, period.start)


def _since(start: Instant, end: Instant) -> Window:
    return Window(max(start, EARLIEST), end)


def _starts(size: WindowSize, zone: tzinfo, period: Window) -> Iterator[Instant]:
    """Ascending, from at or before the period's start to at or after its end."""
    if size in (WindowSize.MINUTE, WindowSize.HOUR):
        length = MINUTE if size is WindowSize.MINUTE else HOUR
        for day in windows_in(WindowSize.DAY, zone, period):
            yield from _within(day, length, zone)
        yield day.end
        return
    # Turned back, a clock may show yesterday again after midnight: begin a day earlier.
    day_of_window = _first_day(size, _local_date(zone, period.start) - _DAY)
    last: Instant | None = None
    while last is None or last < period.end:
        start = _midnight(zone, day_of_window)
        if last is None or start > last:  # a zone that changes sides of the date line skips a day
            yield start
            last = start
        day_of_window = _following(size, day_of_window)


def _first_day(size: WindowSize, day: date) -> date:
    match size:
        case WindowSize.WEEK:
            return day - _DAY * day.weekday()
        case WindowSize.MONTH:
            return day.replace(day=1)
        case WindowSize.YEAR:
            return day.replace(month=1, day=1)
        case _:
            return day


def _following(size: WindowSize, day: date) -> date:
    """The first day of the window after the one that begins on `day`."""
    longest = {WindowSize.WEEK: 7, WindowSize.MONTH: 31, WindowSize.YEAR: 366}.get(size, 1)
    return _first_day(size, day + _DAY * longest)


def _local_date(zone: tzinfo, instant: Instant) -> date:
    return to_datetime(instant).astimezone(zone).date()


def _midnight(zone: tzinfo, day: date) -> Instant:
    """When the clock first shows the beginning of `day`, or skips it."""
    wall = datetime(day.year, day.month, day.day, tzinfo=zone)
    before, after = from_datetime(wall.astimezone(UTC)), from_datetime(wall.replace(fold=1).astimezone(UTC))
    if before <= after:
        return before
    # The clock skips midnight somewhere in (after, before]; the date changes there.
    while before - after > SECOND:
        middle = (before + after) // (2 * SECOND) * SECOND
        if _local_date(zone, middle) < day:
            after = middle
        else:
            before = middle
    return before


def _within(day: Window, length: Instant, zone: tzinfo) -> Iterator[Instant]:
    """The beginnings of the day's hours or minutes."""
    if _offset(zone, day.start) == _offset(zone, day.end - 1):
        yield from range(day.start, day.end, length)
        return
    shown: Instant | None = None
    for instant in range(day.start, day.end, MINUTE):
        wall = instant + _offset(zone, instant)
        if wall % length == 0 or wall // length != shown:
            yield instant
        shown = wall // length


def _offset(zone: tzinfo, instant: Instant) -> Instant:
    offset = to_datetime(instant).astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)
