"""Usage and events, read from ClickHouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool, EngineError
from meterhouse.adapters.clickhouse.events import event_page, stored_events
from meterhouse.adapters.clickhouse.usage_sql import STATES, Statement, usage_statement
from meterhouse.domain.errors import Invalid
from meterhouse.domain.instant import SECOND
from meterhouse.domain.rollup import Reading
from meterhouse.domain.usage import (
    EventPage,
    EventPageQuestion,
    GroupTotal,
    StoredEvent,
    Usage,
    UsageCell,
    UsageQuestion,
)
from meterhouse.domain.window import Window, WindowSize

# The published clients give up after 5 seconds; an answer must be read, built and sent within that.
MAX_CELLS: Final = 250_000
MAX_SECONDS: Final = 4

_TOO_SLOW: Final = 159  # TIMEOUT_EXCEEDED
_TOO_MANY: Final = 396  # TOO_MANY_ROWS_OR_BYTES

_LIMITS: Final = {
    "max_execution_time": MAX_SECONDS,
    "max_result_rows": MAX_CELLS,
    "result_overflow_mode": "throw",
}


class ClickHouseUsage:
    """The UsageReader over ClickHouse."""

    def __init__(self, pool: ClickHousePool) -> None:
        self._pool = pool

    async def usage(self, question: UsageQuestion) -> Usage:
        """Exact usage; Invalid when it would take more than MAX_CELLS cells or MAX_SECONDS seconds."""
        statement = usage_statement(question)
        if statement is None:
            return Usage(Reading())
        try:
            return await self._pool.run(lambda client: _usage(client, statement, question))
        except EngineError as error:
            raise _refusal(error) from error

    async def events(self, question: EventPageQuestion) -> EventPage:
        try:
            return await self._pool.run(lambda client: event_page(client, question, _LIMITS))
        except EngineError as error:
            raise _refusal(error) from error

    async def lookup(self, namespace: str, event_id: str, source: str | None) -> Sequence[StoredEvent]:
        return await self._pool.run(lambda client: stored_events(client, namespace, event_id, source))


def _refusal(error: EngineError) -> Exception:
    """The caller's fault where the question asked for too much, else the engine's."""
    if error.code == _TOO_MANY:
        return Invalid.field(
            "windowSize",
            f"gives more than {MAX_CELLS} windows and groups; ask for less at a time",
            "too_large",
        )
    if error.code == _TOO_SLOW:
        return Invalid.field(
            "from", f"reads more than {MAX_SECONDS} seconds can; ask for a shorter period", "too_large"
        )
    return error


def _usage(client: Client, statement: Statement, question: UsageQuestion) -> Usage:
    answer = client.query(statement.text, statement.parameters, settings=dict(_LIMITS), column_oriented=True)
    columns = list(answer.result_set)
    if not columns:
        return Usage(Reading())
    levels = columns.pop(0)
    windows = columns.pop(0) if question.window_size is not None else None
    groups = [columns.pop(0) for _ in question.group_by]
    readings = _readings(question, columns)

    keyed = list(zip(*groups, strict=True)) if groups else [()] * len(readings)
    cells_end, totals_end = levels.count(0), len(levels) - levels.count(levels[-1])
    if windows is None and not groups:
        return Usage(readings[0])
    cells = map(UsageCell, _windows(question.window_size, windows, cells_end), keyed[:cells_end], readings)
    first_total = cells_end if windows is not None else 0
    totals = map(GroupTotal, keyed[first_total:totals_end], readings[first_total:totals_end])
    return Usage(readings[-1], tuple(cells), tuple(totals) if groups else ())


def _readings(question: UsageQuestion, columns: Sequence[Sequence[object]]) -> list[Reading]:
    fields = [state.field for state in STATES[question.definition.aggregation]]
    return [Reading(**dict(zip(fields, row, strict=True))) for row in zip(*columns, strict=True)]


def _windows(size: WindowSize | None, starts: Sequence[int] | None, cells: int) -> list[Window | None]:
    if size is None or starts is None:
        return [None] * cells
    known = {start: size.window_of(start * SECOND) for start in set(starts[:cells])}
    return [known[start] for start in starts[:cells]]
