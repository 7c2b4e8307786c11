"""Usage in a period: one value that runs from reset to reset, and by how much it changes in each phase.

U(t) is what the aggregation says of the events from the period's start up to, not including, t; 0 of none.
SUM and COUNT run on with every event, UNIQUE_COUNT with every text that is new in the period, MAX and MIN
with every new extreme; LATEST is the newest value, AVG the average so far. LATEST, AVG, MIN and sums of
negative values may fall. The change of a phase is U(its end) - U(its start); U of a period's start is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise

from meterhouse.domain.balance import Phase
from meterhouse.domain.billable_metric import Aggregation
from meterhouse.domain.instant import Instant
from meterhouse.domain.rollup import EXACT, Reading


def running_values(
    aggregation: Aggregation,
    readings: Sequence[Reading],
    cuts: Sequence[Instant],
    resets: Iterable[Instant],
) -> Iterator[Decimal]:
    """U at the end of every phase, from the readings that a PhaseReader has of each."""
    running, begins = Reading(), frozenset(resets)
    for start, of_phase in zip(cuts[:-1], readings, strict=True):
        running = of_phase if start in begins else running.then(of_phase)
        yield running.value(aggregation)


def usage_phases(
    running: Iterable[Decimal], cuts: Sequence[Instant], resets: Iterable[Instant]
) -> Iterator[Phase]:
    """The phases between `cuts` as `burn_down` takes them; `running` has U at the end of each."""
    before, begins = Decimal(0), frozenset(resets)
    for (start, end), value in zip(pairwise(cuts), running, strict=True):
        since = Decimal(0) if start in begins else before
        yield Phase(start, end, EXACT.subtract(value, since))
        before = value
