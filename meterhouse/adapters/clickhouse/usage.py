"""Usage and events, read from ClickHouse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

from clickhouse_connect.driver.client import Client

from meterhouse.adapters.clickhouse.client import ClickHousePool, EngineError
from meterhouse.adapters.clickhouse.event_search import event_counts, found_events
from meterhouse.adapters.clickhouse.events import event_page, stored_events
from meterhouse.adapters.clickhouse.usage_sql import (
    STATES,
    Statement,
    dimensions_statement,
    texts_statement,
    usage_statement,
    usages_statement,
)
from meterhouse.adapters.clickhouse.window_sql import windows_by_start
from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.errors import Invalid
from meterhouse.domain.event_search import EventCount, EventLookup, EventSearch, EventStatistics
from meterhouse.domain.rollup import Reading, Readings
from meterhouse.domain.usage import (
    Cells,
    DimensionCount,
    EventPage,
    EventPageQuestion,
    GroupTotal,
    StoredEvent,
    TextCount,
    TextsQuestion,
    Usage,
    UsageQuestion,
)
from meterhouse.domain.window import Window

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLimits:
    """What one question may cost; see QuerySettings."""

    max_cells: int = 250_000
    max_rows: int = 2_000_000_000
    max_bytes: int = 4 * 1024**3
    max_time: timedelta = timedelta(seconds=4)

    def settings(self) -> dict[str, object]:
        """The limits as ClickHouse's settings."""
        return {
            "max_execution_time": self.max_time.total_seconds(),
            "max_result_rows": self.max_cells,
            "result_overflow_mode": "throw",
            "max_rows_to_read": self.max_rows,
            "read_overflow_mode": "throw",
            "max_memory_usage": self.max_bytes,
        }

    def refusal(self, error: EngineError) -> Exception:
        """The caller's fault where the question asked for too much, else the engine's."""
        match error.code:
            case 396:  # TOO_MANY_ROWS_OR_BYTES
                field, reason = "windowSize", f"gives more than {self.max_cells} windows and groups"
            case 158:  # TOO_MANY_ROWS
                field, reason = "from", f"reads more than {self.max_rows} rows"
            case 159:  # TIMEOUT_EXCEEDED
                field, reason = "from", f"reads more than {self.max_time.total_seconds():g} seconds can"
            # MEMORY_LIMIT_EXCEEDED; of the server's whole memory it is not the question's fault
            case 241 if "(total)" not in str(error):
                field, reason = "groupBy", f"takes more than {self.max_bytes} bytes of memory"
            case _:
                return error
        return Invalid.field(field, f"{reason}; ask for a shorter period, or less at a time", "too_large")


class ClickHouseUsage:
    """The UsageReader over ClickHouse. Every question is Invalid that goes beyond `limits`."""

    def __init__(self, pool: ClickHousePool, limits: UsageLimits = UsageLimits()) -> None:
        self._pool = pool
        self._limits = limits

    async def usage(self, question: UsageQuestion) -> Usage:
        """Exact usage."""
        usage = await self._read(usage_statement(question), partial(_usage, question))
        return usage or Usage(Reading())

    async def usages(self, questions: Sequence[UsageQuestion]) -> Sequence[Usage]:
        """See UsageReader. Raises ValueError for questions that differ in more than their definitions."""
        if any(replace(one, definition=questions[0].definition) != questions[0] for one in questions):
            raise ValueError("the questions differ in more than their definitions")
        found: dict[str, Usage] = {}
        for aggregation in sorted({one.definition.aggregation for one in questions}):
            found |= await self._of_metrics([q for q in questions if q.definition.aggregation is aggregation])
        return [found.get(one.definition.billable_metric_id, Usage(Reading())) for one in questions]

    async def _of_metrics(self, questions: Sequence[UsageQuestion]) -> dict[str, Usage]:
        """What there is of each billable metric; the questions share their aggregation."""
        return await self._read(usages_statement(questions), partial(_by_metric, questions[0])) or {}

    async def texts(self, question: TextsQuestion) -> Sequence[TextCount]:
        def counts(found: Sequence[Sequence[Any]]) -> list[TextCount]:
            return list(map(TextCount, *found))

        return await self._read(texts_statement(question), counts) or []

    async def dimensions(self, definition: Definition, period: Window) -> Sequence[DimensionCount]:
        names = definition.dimension_names
        found = await self._read(dimensions_statement(definition, period), list)
        figures = [one for (one,) in found] if found else [0] * (2 * len(names))
        return [
            DimensionCount(name, *pair)
            for name, pair in zip(names, zip(figures[::2], figures[1::2], strict=True), strict=True)
        ]

    async def events(self, question: EventPageQuestion) -> EventPage:
        return await self._run(lambda client: event_page(client, question, self._limits.settings()))

    async def search(self, search: EventSearch) -> Sequence[StoredEvent]:
        return await self._run(lambda client: found_events(client, search, self._limits.settings()))

    async def count(self, asked: EventStatistics) -> Sequence[EventCount]:
        return await self._run(lambda client: event_counts(client, asked, self._limits.settings()))

    async def lookup(self, asked: EventLookup) -> Sequence[StoredEvent]:
        return await self._pool.run(lambda client: stored_events(client, asked))

    async def _read(
        self, statement: Statement | None, read: Callable[[Sequence[Sequence[Any]]], R]
    ) -> R | None:
        """What `read` makes of the answer's columns; None where there are no rows.

        Of 100,000 rows it takes longer than others should wait for, so it is done on the client's thread.
        """
        if statement is None:
            return None
        text, parameters, settings = statement.text, statement.parameters, self._limits.settings()

        def ask(client: Client) -> R | None:
            found = client.query(text, parameters, settings=settings, column_oriented=True).result_set
            return read(found) if found else None

        return await self._run(ask)

    async def _run(self, work: Callable[[Client], R]) -> R:
        try:
            return await self._pool.run(work)
        except EngineError as error:
            raise self._limits.refusal(error) from error


def _by_metric(question: UsageQuestion, found: Sequence[Sequence[Any]]) -> dict[str, Usage]:
    """An answer for each billable metric; the rows of one are together."""
    metrics, *columns = found
    usages, end = {}, 0
    for metric, rows in groupby(metrics):
        start, end = end, end + len(list(rows))
        usages[metric] = _usage(question, [column[start:end] for column in columns])
    return usages


def _usage(question: UsageQuestion, found: Sequence[Sequence[Any]]) -> Usage:
    """The answer in the columns of a statement, of which there is at least one row."""
    columns = list(found)
    levels = columns.pop(0)
    windows = columns.pop(0) if question.has_windows else None
    groups = [columns.pop(0) for _ in question.group_by]
    readings = _readings(question, columns)

    keyed = list(zip(*groups, strict=True)) if groups else [()] * len(readings)
    cells_end, totals_end = levels.count(0), len(levels) - levels.count(levels[-1])
    if windows is None and not groups:
        return Usage(readings[0])
    cells = Cells(_windows(question, windows, cells_end), keyed[:cells_end], readings[:cells_end])
    first_total = cells_end if windows is not None else 0
    totals = map(GroupTotal, keyed[first_total:totals_end], readings[first_total:totals_end])
    return Usage(readings[-1], cells, tuple(totals) if groups else ())


def _readings(question: UsageQuestion, columns: Sequence[Sequence[object]]) -> Readings:
    """One for each row."""
    states = STATES[question.definition.aggregation]
    return Readings({state.field: state.read(column) for state, column in zip(states, columns, strict=True)})


def _windows(question: UsageQuestion, starts: Sequence[int] | None, cells: int) -> list[Window | None]:
    if starts is None:
        return [None] * cells
    known = windows_by_start(set(starts[:cells]), question.window_size, question.local_windows)
    return [known[start] for start in starts[:cells]]
