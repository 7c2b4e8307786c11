"""Windows of a time zone's calendar, against the clock on the wall."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterhouse.domain.calendar import period_before, windows_in
from meterhouse.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, from_datetime, parse, to_datetime
from meterhouse.domain.window import Window, WindowSize

# Clocks that shift by 30 minutes, at midnight, just after it, twice for Ramadan, over the date line, never.
NAMES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "America/Sao_Paulo", "America/Havana",
    "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Beirut", "Asia/Kolkata", "Pacific/Apia",
    "Pacific/Chatham", "America/Nuuk",
)  # fmt: skip
zones = st.sampled_from(NAMES).map(ZoneInfo)
moments = st.integers(parse("1975-01-01T00:00:00Z"), parse("2037-01-01T00:00:00Z"))
lengths = st.one_of(st.integers(1, 3 * DAY), st.integers(1, 800 * DAY))
long_sizes = st.sampled_from([WindowSize.DAY, WindowSize.WEEK, WindowSize.MONTH, WindowSize.YEAR])


def wall(zone: ZoneInfo, instant: Instant) -> datetime:
    return to_datetime(instant).astimezone(zone)


def label(size: WindowSize, at: datetime) -> tuple[int, ...]:
    """What stands on the calendar page, or the clock, of that moment."""
    match size:
        case WindowSize.YEAR:
            return (at.year,)
        case WindowSize.MONTH:
            return at.year, at.month
        case WindowSize.WEEK:
            return tuple(at.isocalendar()[:2])
        case WindowSize.DAY:
            return at.year, at.month, at.day
        case WindowSize.HOUR:
            return at.year, at.month, at.day, at.hour
        case WindowSize.MINUTE:
            return at.year, at.month, at.day, at.hour, at.minute


@given(st.sampled_from(WindowSize), zones, moments, lengths)
def test_windows_cover_the_period_without_gap_or_overlap(
    size: WindowSize, zone: ZoneInfo, start: Instant, length: Instant
) -> None:
    if size in (WindowSize.MINUTE, WindowSize.HOUR):
        length %= 3 * DAY
    windows = windows_in(size, zone, Window(start, start + length))
    assert (not windows) == (length == 0)
    if windows:
        assert windows[0].start <= start < windows[0].end
        assert windows[-1].start < start + length <= windows[-1].end
        assert all(one.start < one.end == after.start for one, after in pairwise(windows))


@given(st.sampled_from(WindowSize), zones, moments, st.integers(0, 10**6 - 1))
def test_a_window_holds_what_the_clock_shows(
    size: WindowSize, zone: ZoneInfo, instant: Instant, place: int
) -> None:
    [window] = windows_in(size, zone, Window(instant, instant + 1))
    assert instant in window
    within = window.start + (window.end - window.start) * place // 10**6
    page, other = label(size, wall(zone, instant)), label(size, wall(zone, within))
    # Only where clocks are turned back over midnight does a window show the page before once more.
    if page != other:
        assert _turned_back(zone, window), (window, page, other)


@given(long_sizes, zones, moments)
def test_a_window_begins_when_its_page_is_first_shown(
    size: WindowSize, zone: ZoneInfo, instant: Instant
) -> None:
    [window] = windows_in(size, zone, Window(instant, instant + 1))
    page = label(size, wall(zone, window.start))
    assert label(size, wall(zone, window.start - SECOND)) != page
    assert all(label(size, wall(zone, window.start - hours * HOUR)) != page for hours in range(1, 25))


@given(zones, moments, st.integers(1, 40))
def test_the_windows_of_a_part_are_those_of_the_whole(zone: ZoneInfo, start: Instant, days: int) -> None:
    whole = windows_in(WindowSize.HOUR, zone, Window(start, start + days * DAY))
    assert windows_in(WindowSize.HOUR, zone, whole[len(whole) // 2]) == (whole[len(whole) // 2],)


def _turned_back(zone: ZoneInfo, window: Window) -> bool:
    around = range(window.start - DAY, window.end + DAY, 15 * MINUTE)
    shown = [wall(zone, instant).replace(tzinfo=None) for instant in around]
    return any(after <= before for before, after in pairwise(shown))


def _hours(zone: str, day: str) -> int:
    noon = from_datetime(datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=ZoneInfo(zone)))
    return len(windows_in(WindowSize.HOUR, ZoneInfo(zone), _day(zone, noon)))


def _day(zone: str, instant: Instant) -> Window:
    [day] = windows_in(WindowSize.DAY, ZoneInfo(zone), Window(instant, instant + 1))
    return day


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Europe/Berlin", "2026-05-01", 24),
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("America/Sao_Paulo", "2018-11-04", 23),  # clocks skip midnight
        ("Asia/Kolkata", "2026-05-01", 24),
    ],
)
def test_days_have_as_many_hours_as_their_clocks_show(zone: str, day: str, hours: int) -> None:
    assert _hours(zone, day) == hours


def test_a_day_that_was_skipped_has_no_window() -> None:
    apia = ZoneInfo("Pacific/Apia")
    days = windows_in(
        WindowSize.DAY, apia, Window(parse("2011-12-29T12:00:00Z"), parse("2011-12-31T12:00:00Z"))
    )
    assert [wall(apia, day.start).day for day in days] == [29, 31, 1]


def test_local_windows_begin_where_the_zone_says() -> None:
    berlin, kolkata = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
    at = parse("2026-07-15T10:10:00Z")

    def window(size: WindowSize, zone: ZoneInfo) -> Window:
        [one] = windows_in(size, zone, Window(at, at + 1))
        return one

    assert window(WindowSize.MONTH, berlin) == Window(
        parse("2026-06-30T22:00:00Z"), parse("2026-07-31T22:00:00Z")
    )
    assert window(WindowSize.YEAR, berlin) == Window(
        parse("2025-12-31T23:00:00Z"), parse("2026-12-31T23:00:00Z")
    )
    assert window(WindowSize.WEEK, berlin) == Window(
        parse("2026-07-12T22:00:00Z"), parse("2026-07-19T22:00:00Z")
    )
    assert window(WindowSize.HOUR, kolkata) == Window(
        parse("2026-07-15T09:30:00Z"), parse("2026-07-15T10:30:00Z")
    )


@pytest.mark.parametrize(
    ("zone", "start", "end", "before"),
    [
        ("UTC", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        ("UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ("UTC", "2026-03-03T00:00:00Z", "2026-03-10T00:00:00Z", "2026-02-24T00:00:00Z"),
        ("UTC", "2026-03-01T00:00:00Z", "2026-03-09T12:00:00Z", "2026-02-20T12:00:00Z"),
        ("Europe/Berlin", "2026-03-31T22:00:00Z", "2026-04-30T22:00:00Z", "2026-02-28T23:00:00Z"),
        ("Europe/Berlin", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z", "2026-03-28T23:00:00Z"),
        ("UTC", "1970-01-02T00:00:00Z", "1970-01-04T12:00:00Z", "1970-01-01T00:00:00Z"),
    ],
)
def test_the_period_before_is_as_many_months_or_days_or_as_long(
    zone: str, start: str, end: str, before: str
) -> None:
    period = Window(parse(start), parse(end))
    assert period_before(ZoneInfo(zone), period) == Window(parse(before), period.start)
