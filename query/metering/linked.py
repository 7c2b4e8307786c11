"""A customer's usage is that of its id and of its current externalId (contract, decision 11).

An event may come under an external id before there is a customer of that name. Which customer it is for is
decided whenever usage is read, so that nothing has to be counted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from meterhouse.domain.billable_metric import Definition
from meterhouse.domain.condition import SUBJECT, names_in, subjects_in
from meterhouse.domain.event_search import EventCount, EventLookup, EventSearch, EventStatistics
from meterhouse.domain.instant import Instant
from meterhouse.domain.tombstone import Tombstones
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
from meterhouse.ports.catalog import CustomerCatalog
from meterhouse.ports.resets import ResetCatalog
from meterhouse.ports.usage import UsageReader


@dataclass(frozen=True, slots=True)
class LinkingReader:
    """A UsageReader that tells another one which external subjects stand for which customers, and which
    events are hidden.
    """

    reader: UsageReader
    customers: CustomerCatalog
    resets: ResetCatalog

    async def usage(self, question: UsageQuestion) -> Usage:
        return await self.reader.usage(replace(question, links=await self._links(question)))

    async def usages(self, questions: Sequence[UsageQuestion]) -> Sequence[Usage]:
        if not questions:
            return []
        links = await self._links(questions[0])
        return await self.reader.usages([replace(question, links=links) for question in questions])

    async def texts(self, question: TextsQuestion) -> Sequence[TextCount]:
        if question.name == SUBJECT:
            links = await self.customers.linked(question.definition.namespace)
            question = replace(question, links=links)
        return await self.reader.texts(question)

    async def dimensions(self, definition: Definition, period: Window) -> Sequence[DimensionCount]:
        return await self.reader.dimensions(definition, period)

    async def events(self, question: EventPageQuestion) -> EventPage:
        if question.subject:
            merchant = question.definition.namespace
            found = await self.customers.external_ids(merchant, [question.subject])
            question = replace(question, linked=found.get(question.subject))
        return await self.reader.events(question)

    async def search(self, search: EventSearch) -> Sequence[StoredEvent]:
        tombstones = await self.resets.tombstones(search.filter.namespace)
        told = replace(search.filter, tombstones=tombstones)
        return _hiding(await self.reader.search(replace(search, filter=told)), tombstones)

    async def count(self, asked: EventStatistics) -> Sequence[EventCount]:
        tombstones = await self.resets.tombstones(asked.filter.namespace)
        return await self.reader.count(replace(asked, filter=replace(asked.filter, tombstones=tombstones)))

    async def lookup(self, asked: EventLookup) -> Sequence[StoredEvent]:
        tombstones = await self.resets.tombstones(asked.namespace)
        return _hiding(await self.reader.lookup(replace(asked, tombstones=tombstones)), tombstones)

    async def _links(self, question: UsageQuestion) -> Mapping[str, str]:
        """Those that matter to the question."""
        merchant = question.definition.namespace
        if SUBJECT not in {*question.group_by, *names_in(question.condition)}:
            return {}
        subjects = subjects_in(question.condition)
        if subjects is None:
            return await self.customers.linked(merchant)
        found = await self.customers.external_ids(merchant, sorted(subjects))
        return {external: subject for subject, external in found.items()}


def _hiding(found: Sequence[StoredEvent], tombstones: Tombstones) -> Sequence[StoredEvent]:
    """Those events, each with the tombstone that hides it."""
    if not tombstones:
        return found
    return [replace(one, hidden_by=_hidden_by(one, tombstones)) for one in found]


def _hidden_by(stored: StoredEvent, tombstones: Tombstones) -> Instant | None:
    event = stored.event
    return tombstones.hidden_by(event.subject, event.external_subject, event.received_at)
