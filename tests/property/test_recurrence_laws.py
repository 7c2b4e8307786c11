"""Durations and recurrences, against the calendar of the standard library."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterhouse.domain.duration import Duration
from meterhouse.domain.instant import (
    DAY,
    EARLIEST,
    LATEST,
    Instant,
    from_datetime,
    parse,
    render,
    to_datetime,
)
from meterhouse.domain.recurrence import Recurrence
from meterhouse.domain.window import Window

instants = st.integers(EARLIEST, LATEST - 1)
# Ends of months, where days are cut off, more often than chance would have them.
anchors = instants | st.builds(
    lambda year, month, time: from_datetime(
        datetime(year, month, monthrange(year, month)[1], tzinfo=UTC) + timedelta(microseconds=time)
    ),
    st.integers(1970, 2199),
    st.integers(1, 12),
    st.integers(0, DAY - 1),
)
parts = st.lists(st.integers(0, 40), min_size=7, max_size=7)
durations = parts.filter(any).map(lambda numbers: Duration(*numbers))
# Few enough in 230 years to be counted one by one.
long_durations = parts.filter(lambda numbers: any(numbers[:3])).map(lambda numbers: Duration(*numbers))
recurrences = st.builds(Recurrence, anchors, durations)


def by_the_calendar(anchor: Instant, interval: Duration, k: int) -> Instant:
    """Anchor + k · interval by the standard library, which knows the years 1 to 9999."""
    moment = to_datetime(anchor)
    years, month = divmod(moment.year * 12 + moment.month - 1 + k * interval.calendar_months, 12)
    day = min(moment.day, monthrange(years, month + 1)[1])
    return from_datetime(
        moment.replace(year=years, month=month + 1, day=day) + k * timedelta(microseconds=interval.rest)
    )


@given(anchors, durations, st.integers(-12, 40))
def test_so_many_durations_later_is_what_the_calendar_says(
    anchor: Instant, interval: Duration, k: int
) -> None:
    assert interval.after(anchor, k) == by_the_calendar(anchor, interval, k)


@given(anchors, durations, st.integers(-(10**9), 10**9))
def test_recurrences_increase_strictly(anchor: Instant, interval: Duration, k: int) -> None:
    assert interval.after(anchor, k) < interval.after(anchor, k + 1)


@given(st.integers(-LATEST, 2 * LATEST), long_durations, instants, instants)
def test_the_instants_of_a_window_are_those_that_counting_finds(
    anchor: Instant, interval: Duration, one: Instant, other: Instant
) -> None:
    start, end = sorted((one, other))
    window = Window(start, min(end, start + 3000 * DAY))
    k = 0
    while interval.after(anchor, k) >= window.start:
        k -= 1
    counted: list[Instant] = []
    while (instant := interval.after(anchor, k)) < window.end:
        counted += [instant] if instant >= window.start else []
        k += 1
    assert Recurrence(anchor, interval).within(window) == tuple(counted)


@given(recurrences, instants)
def test_an_instant_lies_between_its_neighbours_and_nothing_else_does(
    recurrence: Recurrence, instant: Instant
) -> None:
    last, first = recurrence.last_at_or_before(instant), recurrence.first_after(instant)
    assert last is None or last <= instant
    assert first is None or first > instant
    between = Window(EARLIEST if last is None else last + 1, LATEST if first is None else first)
    assert recurrence.within(between) == ()
    for found in (last, first):
        assert found is None or recurrence.within(Window(found, found + 1)) == (found,)


@given(recurrences, st.integers(-LATEST, 2 * LATEST))
def test_nothing_recurs_outside_1970_to_2199(recurrence: Recurrence, instant: Instant) -> None:
    found = (recurrence.last_at_or_before(instant), recurrence.first_after(instant))
    assert all(one is None or EARLIEST <= one < LATEST for one in found)
    assert recurrence.within(Window(-LATEST, EARLIEST)) == recurrence.within(Window(LATEST, 2 * LATEST)) == ()


@given(durations)
def test_a_duration_is_read_as_it_is_written(duration: Duration) -> None:
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize(
    "text", ["P1D", "P1W", "P1M", "P3M", "P1Y", "PT1H", "P1M2DT3H", "P1Y2M3W4DT5H6M7S", "PT90M", "P12M"]
)
def test_a_duration_is_written_as_it_was_sent(text: str) -> None:
    assert str(Duration.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not an ISO 8601 duration"),
        ("P", "is not an ISO 8601 duration"),
        ("PT", "is not an ISO 8601 duration"),
        ("P1DT", "is not an ISO 8601 duration"),
        ("1D", "is not an ISO 8601 duration"),
        ("p1d", "is not an ISO 8601 duration"),
        ("P1D ", "is not an ISO 8601 duration"),
        ("P-1D", "is not an ISO 8601 duration"),
        ("P0.5D", "in whole numbers"),
        ("P1D1M", "is not an ISO 8601 duration"),
        ("P1H", "is not an ISO 8601 duration"),
        ("P1234567890D", "is not an ISO 8601 duration"),
        ("P\u0661D", "is not an ISO 8601 duration"),
        ("P0D", "must be longer than zero"),
        ("P0Y0MT0S", "must be longer than zero"),
    ],
)
def test_what_is_no_duration_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("anchor", "interval", "start", "end", "instants"),
    [
        ("2026-01-31", "P1M", "2026-02-01", "2026-06-01",
         ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
        ("2028-01-31", "P1M", "2028-02-01", "2028-04-01", ["2028-02-29", "2028-03-31"]),
        ("2028-02-29", "P1Y", "2028-01-01", "2033-01-01",
         ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]),
        ("2026-08-31", "P1M", "2026-02-01", "2026-05-01", ["2026-02-28", "2026-03-31", "2026-04-30"]),
        ("2026-01-31", "P1M1D", "2026-01-01", "2026-05-01", ["2026-01-31", "2026-03-01", "2026-04-02"]),
        ("2100-01-31", "P1M", "2100-02-01", "2100-03-01", ["2100-02-28"]),
        ("2026-01-05", "P2W", "2026-01-05", "2026-02-02", ["2026-01-05", "2026-01-19"]),
    ],
)  # fmt: skip
def test_months_end_where_the_calendar_ends_them(
    anchor: str, interval: str, start: str, end: str, instants: list[str]
) -> None:
    def midnight(day: str) -> Instant:
        return parse(f"{day}T00:00:00Z")

    recurrence = Recurrence(midnight(anchor), Duration.parse(interval))
    found = recurrence.within(Window(midnight(start), midnight(end)))
    assert [render(one)[:10] for one in found] == instants


def test_an_anchor_of_long_ago_costs_nothing() -> None:
    """Counted one by one, the minutes of 225 years would take minutes, a million times over."""
    recurrence = Recurrence(parse("1971-03-04T05:06:07Z"), Duration.parse("PT1M"))
    at = parse("2196-01-01T00:00:00Z")
    for _ in range(1000):
        assert recurrence.last_at_or_before(at) == parse("2195-12-31T23:59:07Z")
        assert recurrence.first_after(at) == parse("2196-01-01T00:00:07Z")
