"""Usage in a period, against all of its events at once."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.period_usage import running_values, usage_phases
from meterhouse.domain.rollup import Latest, RollupState
from tests.phases import phase_readings

LAST = 20
cuts = st.sets(st.integers(1, LAST - 1)).map(lambda inner: (0, *sorted(inner), LAST))
values = st.integers(-50, 50).map(Decimal)
events = st.lists(st.tuples(st.integers(0, LAST - 1), values), max_size=15)


def state(events: list[tuple[int, Decimal]], start: int, end: int) -> RollupState:
    """Of the events in [start, end)."""
    found = [
        RollupState(1, value, value, value, Latest(at, 0, 0, number, value), frozenset({int(value) % 5}))
        for number, (at, value) in enumerate(events)
        if start <= at < end
    ]
    return reduce(RollupState.merge, found, RollupState())


@given(st.sampled_from(Aggregation), events, cuts, st.data())
def test_changes_add_up_to_what_the_aggregation_says_of_the_period(
    aggregation: Aggregation, events: list[tuple[int, Decimal]], cuts: tuple[int, ...], data: st.DataObject
) -> None:
    resets = data.draw(st.sets(st.sampled_from(cuts[1:])))
    states = [state(events, start, end) for start, end in pairwise(cuts)]
    readings = list(phase_readings(states, cuts, resets))
    phases = list(usage_phases(running_values(aggregation, readings, cuts, resets), cuts, resets))
    assert [(phase.start, phase.end) for phase in phases] == list(pairwise(cuts))
    for phase in phases:
        begins = max((reset for reset in resets if reset < phase.end), default=0)
        inside = [one.change for one in phases if begins <= one.start and one.end <= phase.end]
        whole = state(events, begins, phase.end).reading().value(aggregation)
        assert sum(inside, Decimal(0)) == whole
