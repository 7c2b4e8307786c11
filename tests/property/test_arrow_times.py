"""Arrow reads the timestamps of our own log as the domain does, and no others."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meterhouse.adapters.arrow_times import instants_of
from meterhouse.domain import instant as instants

ours = st.integers(instants.EARLIEST, instants.LATEST - 1).map(
    lambda at: f"{instants.to_datetime(at):%Y-%m-%dT%H:%M:%S}.{at % instants.SECOND:06}Z"
)
# Text of the same length that is nearly one of ours.
nearly = st.builds(
    lambda text, place, char: text[:place] + char + text[place + 1 :],
    ours,
    st.integers(0, 26),
    st.sampled_from("0123456789:-+.,TtZz Ω٣\ud800\0"),
)
offsets = st.builds(
    lambda text, tenths, hours: f"{text[:19]}.{tenths}+{hours:02}:30",
    ours,
    st.integers(0, 9),
    st.integers(0, 25),
)


@settings(deadline=None)
@given(st.lists(ours, max_size=20))
def test_our_own_texts_are_read(texts: list[str]) -> None:
    found = instants_of(texts)
    assert found == [instants.parse(text) for text in texts] or (not texts and found is None)


@settings(deadline=None)
@given(st.one_of(nearly, offsets))
@example("2026-02-29T00:00:00.000000Z")
@example("1969-12-31T23:59:59.999999Z")
@example("2200-01-01T00:00:00.000000Z")
@example("2026-05-01T24:00:00.000000Z")
@example("2026-05-01T23:59:60.000000Z")
@example("2026-05-01T12:00:00,000000Z")
@example("2026-05-01T12:00:00.0+05:30")
def test_whatever_arrow_reads_means_the_same_to_the_domain(text: str) -> None:
    found = instants_of([text])
    if found is not None:
        assert found == [instants.parse(text)]


@pytest.mark.parametrize(
    "texts", [[], [None], ["2026-05-01T12:30:15Z"], ["2026-05-01T12:30:15.123456Z", None]]
)
def test_what_others_wrote_is_left_to_the_domain(texts: list[str | None]) -> None:
    assert instants_of(texts) is None
