"""Rollups: the laws that let usage be kept in pieces, and sums stay exact."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import reduce
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.rollup import Latest, Reading, RollupState, average

# Whatever a metered event can hold: 20 digits before the point and 18 after.
values = st.integers(-(10**38) + 1, 10**38 - 1).map(
    lambda number: Decimal(number).scaleb(-18)
) | st.sampled_from([Decimal(0), Decimal("-0"), Decimal("1.10"), Decimal("1.1"), Decimal("1E+3")])


@st.composite
def states(draw: st.DrawFn) -> RollupState:
    """The state of one event; equal places in the log mean the same event, so the offset decides the rest."""
    value = draw(values)
    offset = draw(st.integers(0, 2**63))
    at = draw(st.integers(0, 3))
    return RollupState(1, value, value, value, Latest(at, at, 0, offset, value), frozenset({offset % 7}))


events = st.lists(states(), max_size=12, unique_by=lambda state: state.latest and state.latest.offset)


def merged(parts: list[RollupState]) -> RollupState:
    return reduce(RollupState.merge, parts, RollupState())


@given(states(), states())
def test_merging_is_commutative(a: RollupState, b: RollupState) -> None:
    assert a.merge(b) == b.merge(a)


@given(events, events, events)
def test_merging_is_associative(a: list[RollupState], b: list[RollupState], c: list[RollupState]) -> None:
    x, y, z = merged(a), merged(b), merged(c)
    assert x.merge(y).merge(z) == x.merge(y.merge(z))


@given(events)
def test_the_empty_state_changes_nothing(some: list[RollupState]) -> None:
    state = merged(some)
    assert state.merge(RollupState()) == state == RollupState().merge(state)


@given(events, st.data())
def test_splits_do_not_matter(some: list[RollupState], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(some)))
    assert merged(some[:cut]).merge(merged(some[cut:])) == merged(some)


@given(events, st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_change_a_rollup(some: list[RollupState], random: Random) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)
    assert merged(shuffled) == merged(some)


@given(st.lists(values, max_size=200))
def test_sums_are_exact(some: list[Decimal]) -> None:
    total = merged([RollupState(1, value, value, value) for value in some])
    assert Fraction(total.sum) == sum(map(Fraction, some), Fraction(0))
    assert total.count == len(some)


@given(st.lists(values, min_size=1))
def test_least_and_greatest_are_among_the_values(some: list[Decimal]) -> None:
    reading = merged([RollupState(1, value, value, value) for value in some]).reading()
    assert reading.value(Aggregation.MIN) == min(some)
    assert reading.value(Aggregation.MAX) == max(some)


@given(events.filter(bool))
def test_the_latest_has_the_greatest_place(some: list[RollupState]) -> None:
    places = [state.latest for state in some if state.latest is not None]
    newest = max(places, key=lambda one: (one.at, one.received_at, one.partition, one.offset))
    assert merged(some).reading().value(Aggregation.LATEST) == newest.value


@given(events)
def test_uniques_are_counted_as_a_set(some: list[RollupState]) -> None:
    expected = len(frozenset().union(*[state.unique for state in some]))
    assert merged(some).reading().value(Aggregation.UNIQUE_COUNT) == expected


@given(st.integers(-(10**57), 10**57), st.integers(1, 2**63))
def test_an_average_is_the_exact_quotient_rounded_half_even(units: int, count: int) -> None:
    total = Decimal(f"{units}E-18")
    exact = Fraction(units, count)
    assert Fraction(average(total, count)) * 10**18 == round(exact)


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        ("1", 3, "0.333333333333333333"),
        ("2", 3, "0.666666666666666667"),
        ("0.000000000000000001", 2, "0"),
        ("0.000000000000000003", 2, "0.000000000000000002"),
        ("-0.000000000000000003", 2, "-0.000000000000000002"),
        ("0", 0, "0"),
    ],
)
def test_averages_of_small_things(total: str, count: int, expected: str) -> None:
    assert average(Decimal(total), count) == Decimal(expected)


@pytest.mark.parametrize("aggregation", Aggregation)
def test_the_usage_of_nothing_is_zero(aggregation: Aggregation) -> None:
    assert Reading().value(aggregation) == 0
