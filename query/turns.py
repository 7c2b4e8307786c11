"""Merchants take turns at ClickHouse, so that none of them waits for all that another one asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.errors import TooManyRequests
from meterhouse.domain.event_search import EventCount, EventLookup, EventSearch, EventStatistics
from meterhouse.domain.usage import (
    DimensionCount,
    EventPage,
    EventPageQuestion,
    StoredEvent,
    TextCount,
    TextsQuestion,
    Usage,
    UsageQuestion,
)
from meterhouse.domain.window import Window
from meterhouse.ports.usage import UsageReader


@dataclass(slots=True)
class _Line:
    """The questions of one merchant: those that are worked on, and those that wait."""

    turns: anyio.Semaphore
    present: int = 0


@dataclass(slots=True)
class Turns:
    """Works on `at_once` questions of a merchant; up to `max_waiting` more wait."""

    at_once: int
    max_waiting: int
    _lines: defaultdict[str, _Line] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = defaultdict(lambda: _Line(anyio.Semaphore(self.at_once)))

    @asynccontextmanager
    async def turn(self, merchant: str) -> AsyncIterator[None]:
        """One of the merchant's questions, when it is its turn. Raises TooManyRequests for one too many."""
        line = self._lines[merchant]
        if line.present >= self.at_once + self.max_waiting:
            raise TooManyRequests(f"{self.max_waiting} questions of this merchant are waiting already")
        line.present += 1
        try:
            async with line.turns:
                yield
        finally:
            line.present -= 1
            if not line.present:
                self._lines.pop(merchant, None)


@dataclass(frozen=True, slots=True)
class FairReader:
    """A UsageReader whose questions take turns. Raises TooManyRequests."""

    reader: UsageReader
    turns: Turns

    async def usage(self, question: UsageQuestion) -> Usage:
        async with self.turns.turn(question.definition.namespace):
            return await self.reader.usage(question)

    async def usages(self, questions: Sequence[UsageQuestion]) -> Sequence[Usage]:
        if not questions:
            return []
        async with self.turns.turn(questions[0].definition.namespace):
            return await self.reader.usages(questions)

    async def texts(self, question: TextsQuestion) -> Sequence[TextCount]:
        async with self.turns.turn(question.definition.namespace):
            return await self.reader.texts(question)

    async def dimensions(self, definition: Definition, period: Window) -> Sequence[DimensionCount]:
        async with self.turns.turn(definition.namespace):
            return await self.reader.dimensions(definition, period)

    async def events(self, question: EventPageQuestion) -> EventPage:
        async with self.turns.turn(question.definition.namespace):
            return await self.reader.events(question)

    async def search(self, search: EventSearch) -> Sequence[StoredEvent]:
        async with self.turns.turn(search.filter.namespace):
            return await self.reader.search(search)

    async def count(self, asked: EventStatistics) -> Sequence[EventCount]:
        async with self.turns.turn(asked.filter.namespace):
            return await self.reader.count(asked)

    async def lookup(self, asked: EventLookup) -> Sequence[StoredEvent]:
        async with self.turns.turn(asked.namespace):
            return await self.reader.lookup(asked)
