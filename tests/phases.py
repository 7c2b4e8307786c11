"""Readings of phases as a PhaseReader gives them, from the states of the events of each phase."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from meterhouse.domain.instant import Instant
from meterhouse.domain.rollup import Reading, RollupState


def phase_readings(
    states: Sequence[RollupState], cuts: Sequence[Instant], resets: Collection[Instant]
) -> Iterator[Reading]:
    """One for each state; what is unique is counted in the first phase of its period that has it."""
    known: frozenset[int] = frozenset()
    for start, state in zip(cuts[:-1], states, strict=True):
        known = frozenset() if start in resets else known
        yield state.reading()._replace(unique=len(state.unique - known))
        known |= state.unique
