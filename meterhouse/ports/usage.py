"""Usage and events, as they are asked for. Every docstring says what a repeated call does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.event import Event
from meterhouse.domain.event_search import EventCount, EventLookup, EventSearch, EventStatistics
from meterhouse.domain.phases import PhasesQuestion
from meterhouse.domain.rollup import Reading
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


class UsageReader(Protocol):
    """What the query service asks of ClickHouse. All of it is bound to the definition's namespace."""

    async def usage(self, question: UsageQuestion) -> Usage: ...

    async def usages(self, questions: Sequence[UsageQuestion]) -> Sequence[Usage]:
        """Of each question in turn: all of one merchant, they differ in their definitions alone.

        However many there are, it takes a statement for each aggregation among them.
        """

    async def texts(self, question: TextsQuestion) -> Sequence[TextCount]: ...

    async def dimensions(self, definition: Definition, period: Window) -> Sequence[DimensionCount]:
        """Of every dimension of the definition, in its order."""

    async def events(self, question: EventPageQuestion) -> EventPage: ...

    async def search(self, search: EventSearch) -> Sequence[StoredEvent]:
        """First-seen events, newest first."""

    async def count(self, asked: EventStatistics) -> Sequence[EventCount]:
        """By window, then type, then disposition; what there is none of is left out."""

    async def lookup(self, asked: EventLookup) -> Sequence[StoredEvent]:
        """With their repeats, by source; at most 100."""


class PhaseReader(Protocol):
    """Usage phase by phase: what balances are burned down from."""

    async def phases(self, questions: Sequence[PhasesQuestion]) -> Sequence[Sequence[Reading]]:
        """For each question, all of one merchant, a reading of each of its phases.

        Each is of the events of its phase alone. `unique` is how many texts are new there since the reset
        before, so that the readings of a period add up to the period's.
        """


@dataclass(frozen=True, slots=True, order=True)
class Changed:
    """A merchant's subject of events; `subject` is "" where only an external one is known."""

    namespace: str
    subject: str
    external_subject: str


class UsageNews(Protocol):
    """Whose usage changed."""

    async def changed(
        self, partition: int, start: int, end: int, namespaces: Collection[str]
    ) -> Sequence[Changed]:
        """The subjects of the events at offsets [start, end), each once, as far as these merchants' go."""


class EventReader(Protocol):
    """Reads a request's events as ingest does."""

    def __call__(self, headers: Mapping[bytes, bytes], body: bytes, merchant: str) -> Sequence[Event]:
        """At least one event; names of headers are lower-case. Raises Rejected."""
