"""Timestamps: what is written is read back, and the short way to read them is only a shorter one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meterhouse.domain import instant as instants
from meterhouse.domain.instant import EARLIEST, LATEST, Instant

all_instants = st.integers(EARLIEST, LATEST - 1)
timestamps = st.builds(
    "{:%Y-%m-%d}{}{:%H:%M}:{}{}{}".format,
    st.dates(),
    st.sampled_from("Tt "),
    st.times(),
    st.sampled_from(["00", "59", "60", "6", "-1", "٣٣"]),
    st.sampled_from(["", ".1", ".123", ".123456", ".1234567", "." + "9" * 9, ",123", ".12٣", "."]),
    st.sampled_from(["Z", "z", "", "+00:00", "-23:59", "ZZ"]),
)


def outcome(text: str, *, short: bool) -> Instant | str:
    try:
        return instants.parse(text) if short else instants._parsed(text)
    except ValueError as error:
        return str(error)


@given(all_instants)
def test_what_is_rendered_is_read_back(instant: Instant) -> None:
    assert instants.parse(instants.render(instant)) == instant


@given(timestamps | st.text(alphabet="0123456789-:.TZ", min_size=20, max_size=27))
@example("2026-05-01T12:30:15.123Z")
@example("2026-05-01T12:30:60Z")
@example("2026-02-30T12:30:15Z")
@example("2200-01-01T00:00:00Z")
def test_the_short_way_reads_what_the_long_one_reads(text: str) -> None:
    assert outcome(text, short=True) == outcome(text, short=False)


def test_digits_beyond_microseconds_are_cut() -> None:
    assert instants.parse("1970-01-01T00:00:01.1234569Z") == 1_123_456


def test_a_time_without_an_offset_is_utc() -> None:
    assert instants.parse("1970-01-01T01:00:00") == instants.HOUR
    assert instants.parse("1970-01-01T01:00:00+01:00") == 0


def test_a_time_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="real point in time"):
        instants.parse("2026-02-30T00:00:00Z")
