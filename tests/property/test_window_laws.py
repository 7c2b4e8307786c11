"""Windows tile the line; instants and positions survive their text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterhouse.domain import instant as instants
from meterhouse.domain.position import Position, parse_positions, render_positions
from meterhouse.domain.window import Window, WindowSize

# A week after the beginning and a year before the end leave room for the windows around.
moments = st.integers(7 * instants.DAY, instants.LATEST - 367 * instants.DAY)
sizes = st.sampled_from(WindowSize)


@given(sizes, moments)
def test_a_window_holds_its_instant(size: WindowSize, instant: int) -> None:
    assert instant in size.window_of(instant)


@given(sizes, moments)
def test_every_instant_of_a_window_has_that_window(size: WindowSize, instant: int) -> None:
    window = size.window_of(instant)
    assert size.window_of(window.start) == window == size.window_of(window.end - 1)


@given(sizes, moments)
def test_windows_meet_without_gap_or_overlap(size: WindowSize, instant: int) -> None:
    window = size.window_of(instant)
    assert size.window_of(window.end).start == window.end
    assert window.end not in window


@given(moments)
def test_smaller_windows_nest_in_larger_ones(instant: int) -> None:
    nested = [
        size.window_of(instant)
        for size in (WindowSize.MINUTE, WindowSize.HOUR, WindowSize.DAY, WindowSize.MONTH, WindowSize.YEAR)
    ]
    for inner, outer in pairwise(nested):
        assert outer.start <= inner.start < inner.end <= outer.end


@given(moments)
def test_months_are_those_of_the_calendar(instant: int) -> None:
    window = WindowSize.MONTH.window_of(instant)
    first = instants.to_datetime(instant).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=32)).replace(day=1)
    assert window == Window(instants.from_datetime(first), instants.from_datetime(following))
    assert instants.month_start(instants.month_of(instant)) == window.start


@given(moments)
def test_an_instant_survives_its_text(instant: int) -> None:
    assert instants.parse(instants.render(instant)) == instant


@given(moments)
def test_an_instant_survives_a_datetime(instant: int) -> None:
    assert instants.from_datetime(instants.to_datetime(instant)) == instant


@given(moments, st.integers(-14 * 60 + 1, 14 * 60 - 1))
def test_an_offset_names_the_same_instant(instant: int, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)).astimezone(zone).isoformat()
    assert instants.parse(text) == instant


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-05-01T12:30:15", "2026-05-01T12:30:15Z"),
        ("2026-05-01t12:30:15z", "2026-05-01T12:30:15Z"),
        ("2026-05-01 12:30:15+00:00", "2026-05-01T12:30:15Z"),
        ("2026-05-01T12:30:15.1Z", "2026-05-01T12:30:15.100000Z"),
        ("2026-05-01T12:30:15.123456999999999999Z", "2026-05-01T12:30:15.123456Z"),
        ("2026-05-01T12:30:00+05:30", "2026-05-01T07:00:00Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
    ],
)
def test_timestamps_that_are_read(text: str, same: str) -> None:
    assert instants.render(instants.parse(text)) == same or instants.parse(text) == instants.parse(same)


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-05-01", "20260501T123015Z", "2026-05-01T12:30Z", "2026-5-1T12:30:15Z", "1777638615",
        "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-05-01T24:00:01Z", "2026-05-01T12:60:00Z",
        "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "2026-05-01T12:30:15.Z",
        "2026-05-01T12:30:15+25:00",
        "٢٠٢٦-05-01T12:30:15Z", " 2026-05-01T12:30:15Z", "2026-05-01T12:30:15Z\n",
    ],
)  # fmt: skip
def test_timestamps_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is not|lies outside)"):
        instants.parse(text)


positions = st.builds(Position, st.integers(0, 10**9 - 1), st.integers(0, 10**18 - 1))


@given(st.lists(positions, min_size=1, unique_by=lambda one: one.partition).map(sorted))
def test_positions_survive_their_text(some: list[Position]) -> None:
    assert parse_positions(render_positions(tuple(some))) == tuple(some)


@given(st.lists(positions, min_size=1))
def test_the_furthest_position_of_a_partition_counts(some: list[Position]) -> None:
    furthest: dict[int, int] = {}
    for one in some:
        furthest[one.partition] = max(one.offset, furthest.get(one.partition, 0))
    assert {one.partition: one.offset for one in parse_positions(render_positions(tuple(some)))} == furthest


@pytest.mark.parametrize(
    "text", ["", "0", ":", "0:", ":1", "-1:2", "0:-2", "0:1,", "a:b", "0:1:2", "²:1", "0:" + "9" * 19]
)
def test_positions_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="partition:offset"):
        parse_positions(text)
