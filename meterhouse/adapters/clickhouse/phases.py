"""Usage phase by phase, read from ClickHouse."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

from meterhouse.adapters.clickhouse.client import ClickHousePool, EngineError
from meterhouse.adapters.clickhouse.phases_sql import (
    SPAN,
    Numbered,
    counts_unique,
    phases_statement,
    states_of,
    unique_statement,
)
from meterhouse.adapters.clickhouse.usage import UsageLimits
from meterhouse.adapters.clickhouse.usage_sql import UNIQUE, State, Statement
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.rollup import Reading


class ClickHousePhases:
    """The PhaseReader over ClickHouse. What goes beyond `limits` is Invalid."""

    def __init__(self, pool: ClickHousePool, limits: UsageLimits) -> None:
        self._pool = pool
        self._limits = limits

    async def phases(self, questions: Sequence[PhasesQuestion]) -> Sequence[Sequence[Reading]]:
        """See PhaseReader. At most two statements, whatever the number of questions."""
        readings = [[Reading()] * max(len(one.cuts) - 1, 0) for one in questions]
        asked = [(number, one) for number, one in enumerate(questions) if readings[number]]
        added_up = [one for one in asked if not counts_unique(one[1])]
        if added_up:
            found = await self._columns(phases_statement(added_up))
            _place(readings, added_up, states_of(added_up), found)
        unique = [one for one in asked if counts_unique(one[1])]
        if unique:
            _place(readings, unique, (UNIQUE,), await self._columns(unique_statement(unique)))
        return readings

    async def _columns(self, statement: Statement) -> Sequence[Sequence[Any]]:
        text, parameters, settings = statement.text, statement.parameters, self._limits.settings()
        try:
            return await self._pool.run(
                lambda client: (
                    client.query(text, parameters, settings=settings, column_oriented=True).result_set
                )
            )
        except EngineError as error:
            raise self._limits.refusal(error) from error


def _place(
    readings: list[list[Reading]],
    asked: Iterable[Numbered],
    states: Sequence[State],
    columns: Sequence[Sequence[Any]],
) -> None:
    """Set the readings of the phases that have rows; what lies outside the cuts belongs to no phase."""
    if not columns:
        return
    cuts = {number: one.cuts for number, one in asked}
    places, *figures_of = columns
    fields = [state.field for state in states]
    read = [state.read(column) for state, column in zip(states, figures_of, strict=True)]
    for place, *figures in zip(places, *read, strict=True):
        number, at = divmod(place, SPAN)
        phase = bisect_right(cuts.get(number, ()), at) - 1
        if 0 <= phase < len(readings[number]):
            readings[number][phase] = Reading(**dict(zip(fields, figures, strict=True)))
